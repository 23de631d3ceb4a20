"""`rasyncio.status()`, `python -m rasyncio --check`, the pytest plugin: what runs, what does not, and the remedy."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import rasyncio
from support.children import PATIENCE, check_python, run_python

PRINT = (
    "import rasyncio; status = rasyncio.status(); print(status.future_and_task, status.event_loop, status.running)\n"
)
REMARKS = "print(*status.remarks, sep='\\n')\n"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RASYNCIO", raising=False)


def test_without_anything() -> None:
    first, remark = check_python(PRINT + REMARKS).splitlines()
    assert first == "CPython asyncio.unix_events._UnixSelectorEventLoop None"
    assert "rasyncio.install()" in remark and "RASYNCIO=1" in remark


def test_installed() -> None:
    first, remark = check_python(f"import rasyncio; rasyncio.install()\n{PRINT}{REMARKS}").splitlines()
    assert first == "rasyncio rasyncio.EventLoop None"
    assert "set RASYNCIO=1 for them" in remark


def test_nothing_to_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASYNCIO", "1")
    assert check_python(PRINT + "print(status.remarks, status.children)") == "rasyncio rasyncio.EventLoop None\n() 1\n"


def test_loop_left_out() -> None:
    _, remark, _ = check_python(f"import rasyncio; rasyncio.install(loop=False)\n{PRINT}{REMARKS}").splitlines()
    assert remark == "The event loop is asyncio's: rasyncio.install() without loop=False makes ours the default."


def test_policy_of_the_program() -> None:
    code = f"""
import asyncio, rasyncio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
class Policy(type(asyncio.get_event_loop_policy())):
    _loop_factory = None
asyncio.set_event_loop_policy(Policy())
rasyncio.install()
{PRINT}{REMARKS}"""
    first, remark, _ = check_python(code).splitlines()
    assert first == "rasyncio whatever __main__.Policy makes None"
    assert "__main__.Policy" in remark and "rasyncio.EventLoopPolicy()" in remark


@pytest.mark.parametrize(
    ("factory", "remedy"),
    [("asyncio.SelectorEventLoop", "RASYNCIO=uvloop"), ("uvloop.new_event_loop", "process with RASYNCIO=uvloop")],
)
def test_loop_that_somebody_chose(factory: str, remedy: str) -> None:
    code = f"""
import rasyncio; rasyncio.install()
import asyncio, uvloop
async def main():
    status = rasyncio.status()
    print(status.running)
    print(status.remarks[0])
with asyncio.Runner(loop_factory={factory}) as runner:
    runner.run(main())
"""
    running, remark = check_python(code).splitlines()
    assert running in ("asyncio.unix_events._UnixSelectorEventLoop", "uvloop.Loop")
    assert running in remark and "--loop rasyncio:new_event_loop" in remark
    assert (remedy in remark) == running.startswith("uvloop")


def test_loop_of_ours_runs() -> None:
    code = """
import rasyncio
async def main(): return rasyncio.status().running
print(rasyncio.run(main()))
"""
    assert check_python(code) == "rasyncio.EventLoop\n"


def test_state() -> None:
    """On 3.14 and later debuggers see our tasks (tests/process/test_debuggers.py), or it is said why not."""
    code = "import rasyncio; {}; status = rasyncio.status(); print(status.state); " + REMARKS
    first, *remarks = check_python(code.format("rasyncio.install()")).splitlines()
    shared = getattr(rasyncio._asyncio, "__rasyncio_own_state__", None) is None
    assert first == ("CPython's" if shared else "rasyncio's own")
    assert any("asyncio ps" in remark for remark in remarks) == (not shared and sys.version_info >= (3, 14))
    assert check_python(code.format("pass")).splitlines()[0] == "CPython's"


def test_shown_to_people() -> None:
    text = check_python("import rasyncio; rasyncio.install(); print(rasyncio.status())")
    lines = text.splitlines()
    assert lines[0] == f"rasyncio                  {rasyncio.__version__} on Python {platform.python_version()}"
    assert "Future and Task           rasyncio" in lines and lines[-1].startswith("! ")


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ([], ["Future and Task           rasyncio", "event loop                rasyncio.EventLoop"]),
        (["--no-loop"], ["event loop                asyncio.unix_events._UnixSelectorEventLoop"]),
        (["--as-uvloop"], ["event loop                rasyncio.EventLoop"]),
    ],
)
def test_check(options: list[str], rows: list[str]) -> None:
    """Both the process itself and one that it starts have each row."""
    done = subprocess.run(
        [sys.executable, "-m", "rasyncio", *options, "--check"], capture_output=True, text=True, timeout=60 * PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")
    own, child = done.stdout.split("\n\nIn a child process:\n")
    for row in rows:
        assert row in own.splitlines() and row in child.splitlines()


def test_plugin_of_pytest(tmp_path: Path) -> None:
    """Whatever runs the test: asyncio.run, unittest, anyio's and pytest-asyncio's own plugins."""
    (tmp_path / "test_it.py").write_text(
        "import asyncio, unittest\n"
        "import anyio, pytest\n"
        "def loop(): return type(asyncio.get_running_loop()).__module__\n"
        "async def main(): return loop()\n"
        "def test_run(): assert asyncio.run(main()) == 'rasyncio._loop'\n"
        "class TestCase(unittest.IsolatedAsyncioTestCase):\n"
        "    async def test(self): assert loop() == 'rasyncio._loop'\n"
        "@pytest.mark.asyncio\n"
        "async def test_pytest_asyncio(): assert loop() == 'rasyncio._loop'\n"
        "@pytest.mark.anyio\n"
        "@pytest.mark.parametrize('anyio_backend', ['asyncio'])\n"
        "async def test_anyio(anyio_backend): assert loop() == 'rasyncio._loop'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "rasyncio.pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    assert f"rasyncio: {rasyncio.__version__}, event loop rasyncio.EventLoop" in done.stdout
    assert "4 passed" in done.stdout


def test_unknown_name() -> None:
    done = run_python("import rasyncio; rasyncio.stats_")
    assert "module 'rasyncio' has no attribute 'stats_'" in done.stderr
