"""`rasyncio.status()`, `python -m rasyncio --check`, the pytest plugin: what runs, what does not, and the remedy."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rasyncio
from rasyncio import _tls
from support.children import PATIENCE, check_python, run_python
from test_swap import skip_without_uvloop

PRINT = (
    "import rasyncio; status = rasyncio.status(); print(status.future_and_task, status.event_loop, status.running)\n"
)
REMARKS = "print(*status.remarks, sep='\\n')\n"
HINTS = "print(len(status.remarks), *status.hints, sep='\\n')\n"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RASYNCIO", raising=False)


def test_without_anything() -> None:
    first, remark = check_python(PRINT + REMARKS).splitlines()
    assert first == "CPython asyncio.unix_events._UnixSelectorEventLoop None"
    assert "rasyncio.install()" in remark and "RASYNCIO=1" in remark


def test_installed() -> None:
    first, remarks, hint = check_python(f"import rasyncio; rasyncio.install()\n{PRINT}{HINTS}").splitlines()
    assert first == "rasyncio rasyncio.EventLoop None"
    assert remarks == "0" and "set RASYNCIO=1 for them" in hint


def test_nothing_to_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASYNCIO", "1")
    code = PRINT + "print(status.remarks, status.hints, status.children)"
    assert check_python(code) == "rasyncio rasyncio.EventLoop None\n() () 1\n"


LEFT_OUT = "The event loop is asyncio's: rasyncio.install() without loop=False makes ours the default."
ON_PURPOSE = "The event loop is asyncio's, for RASYNCIO=tasks (--no-loop) says so: RASYNCIO=1 makes it rasyncio's."
THE_OTHERS = "Loops that asyncio makes by itself are its own: rasyncio.install() makes them rasyncio's."


@pytest.mark.parametrize(
    ("begin", "variable", "ours", "stock"),
    [
        ("rasyncio.install(loop=False)", "tasks", THE_OTHERS, ON_PURPOSE),
        ("rasyncio.install(loop=False)", None, THE_OTHERS, LEFT_OUT),
        ("pass", None, THE_OTHERS, LEFT_OUT),
        ("rasyncio.install(loop=False)", "1", THE_OTHERS, "! " + LEFT_OUT),
    ],
)
def test_loop_left_out(
    begin: str, variable: str | None, ours: str, stock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fault where nobody asked for it, and no word of it where ours runs after all."""
    if variable:
        monkeypatch.setenv("RASYNCIO", variable)
    code = f"""
import asyncio, rasyncio
{begin}
async def main():
    status = rasyncio.status()
    print(*[f"! {{one}}" for one in status.remarks], *(one for one in status.hints if "set RASYNCIO=1 for" not in one))
rasyncio.run(main())
asyncio.run(main())
"""
    assert check_python(code).splitlines() == [ours, stock]


@pytest.mark.parametrize(
    ("flags", "begin", "says", "children"),
    [
        (
            ["-E"],
            "",
            "Python was started with -E, which hides RASYNCIO=1 from it",
            " where they are started without -E ",
        ),
        (
            ["-I"],
            "",
            "Python was started with -I, which hides RASYNCIO=1 from it",
            " where they are started without -I ",
        ),
        ([], "rasyncio.uninstall()", "in spite of RASYNCIO=1: rasyncio.uninstall() was called", ""),
    ],
)
def test_variable_without_effect(
    flags: list[str], begin: str, says: str, children: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, so that it is no remedy to set it."""
    monkeypatch.setenv("RASYNCIO", "1")
    done = run_python(f"import rasyncio\n{begin}\nprint(rasyncio.status())", flags=flags)
    *_, row, remark = done.stdout.splitlines()
    assert row.startswith("child processes ") and children in row and row.endswith(" (RASYNCIO=1)")
    assert remark.startswith("! ") and says in remark and remark.endswith("all rasyncio.install().")


#: What is said of grafts: on another loop; before 3.12; and from then on.
GRAFTS = {
    None: r"none: the loop is (asyncio|uvloop)'s",
    False: r"none: Python 3\.11 calls its functions without asking: .*",
    True: r"([1-9]\d*) of \1 functions",
}
PARTS = "print(status.transports, status.tls, status.streams, status.grafts, sep='; ')\n"


@pytest.mark.parametrize(
    ("install", "factory", "transports"),
    [
        ("rasyncio.install()", "None", "rasyncio's"),
        ("rasyncio.install(loop=False)", "None", "asyncio's"),
        ("rasyncio.install(loop=False)", "rasyncio.new_event_loop", "rasyncio's"),
        ("rasyncio.install()", "asyncio.SelectorEventLoop", "asyncio's"),
        ("rasyncio.install()", "uvloop.new_event_loop", "uvloop's"),
    ],
)
def test_parts(install: str, factory: str, transports: str) -> None:
    """Whose transports and TLS are in question where a loop runs are that loop's, else those of the default."""
    skip_without_uvloop()
    code = f"""
import rasyncio; {install}
import asyncio, uvloop
async def main():
    status = rasyncio.status()
    {PARTS}
with asyncio.Runner(loop_factory={factory}) as runner:
    runner.run(main())
"""
    if sys.platform != "linux":
        transports = "uvloop's" if transports == "uvloop's" else "asyncio's"
    said = check_python(code).strip().split("; ")
    tls = f"rasyncio's, by {_tls.route()}" if transports == "rasyncio's" else transports
    streams, grafts = said[2:]
    assert said[:2] == [transports, tls]
    is_grafted = sys.version_info >= (3, 12) and install == "rasyncio.install()" and factory == "None"
    is_grafted |= sys.version_info >= (3, 12) and factory == "rasyncio.new_event_loop"
    assert streams == ("asyncio's, grafted" if is_grafted else "asyncio's")
    assert re.fullmatch(GRAFTS[sys.version_info >= (3, 12) if transports == "rasyncio's" else None], grafts), grafts


@pytest.mark.skipif(sys.platform != "linux", reason="natively on Linux only")
@pytest.mark.parametrize(
    ("route", "says"),
    [("openssl", "rasyncio's, by openssl"), ("memorybio", "rasyncio's, by memorybio"), ("python", "asyncio's")],
)
def test_route_of_tls(monkeypatch: pytest.MonkeyPatch, route: str, says: str) -> None:
    if route == "openssl" != _tls.route():
        pytest.skip("this Python's OpenSSL cannot be called")
    monkeypatch.setenv("RASYNCIO_TLS", route)
    assert check_python("import rasyncio; rasyncio.install(); print(rasyncio.status().tls)") == f"{says}\n"


def test_parts_in_debug_mode() -> None:
    code = f"""
import rasyncio
async def main():
    status = rasyncio.status()
    {PARTS}
rasyncio.run(main(), debug=True)
"""
    transports, _, streams, grafts = check_python(code).strip().split("; ")
    assert streams == "asyncio's"
    assert transports == ("asyncio's, as in debug mode" if sys.platform == "linux" else "asyncio's")
    assert grafts == "none, as in debug mode"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no grafts")
@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("rasyncio.install(graft=False)", "none: install(graft=False) was called"),
        (
            "rasyncio.install(); import os; os.environ['RASYNCIO_GRAFT'] = '0'; rasyncio.install()",
            "none: RASYNCIO_GRAFT",
        ),
        ("rasyncio.install(); import sys; sys.setprofile(print)", "none: a tracer, a profiler or a tool"),
    ],
)
def test_grafts_that_are_off(does: str, says: str) -> None:
    code = f"import rasyncio, sys; {does}\ngrafts = rasyncio.status().grafts\nsys.setprofile(None); print(grafts)"
    assert check_python(code).splitlines()[-1].startswith(says)


@pytest.mark.parametrize(
    ("replacement", "name"),
    [
        ("import time; time.monotonic = lambda: 7.0", "time.monotonic"),
        ("asyncio.BaseEventLoop.call_soon = lambda *_, **__: None", "EventLoop.call_soon"),
        ("asyncio.selector_events._SelectorSocketTransport.write = print", "_SelectorSocketTransport"),
        ("asyncio.Handle._run = print", "asyncio.events.Handle._run"),
        ("rasyncio.EventLoop.call_soon = print", "EventLoop.call_soon"),
        ("asyncio.base_events.heapq = None", "asyncio.base_events.heapq"),
    ],
)
def test_what_a_program_has_replaced(replacement: str, name: str) -> None:
    """Where native code steps back, it is said for what."""
    code = f"""
import rasyncio; rasyncio.install()
import asyncio
asyncio.new_event_loop().close()
before = rasyncio.status().remarks
{replacement}
print(*set(rasyncio.status().remarks) - set(before))
"""
    said = check_python(code).strip()
    assert name in said and said.endswith("asyncio's own code does what it would do with it.")


def test_policy_of_uvloop() -> None:
    skip_without_uvloop()
    code = f"""
import asyncio, rasyncio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
rasyncio.install()
import uvloop
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
{PRINT}{REMARKS}"""
    _, remark = check_python(code).splitlines()
    assert remark == "The program has set uvloop's event loop policy: start it with RASYNCIO=uvloop (or --as-uvloop)."


def test_policy_of_the_program() -> None:
    code = f"""
import asyncio, rasyncio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
class Policy(type(asyncio.get_event_loop_policy())):
    _loop_factory = None
asyncio.set_event_loop_policy(Policy())
rasyncio.install()
{PRINT}{REMARKS}"""
    first, remark = check_python(code).splitlines()
    assert first == "rasyncio whatever __main__.Policy makes None"
    assert "__main__.Policy" in remark and "rasyncio.EventLoopPolicy()" in remark


@pytest.mark.parametrize("factory", ["asyncio.SelectorEventLoop", "uvloop.new_event_loop"])
def test_loop_that_somebody_chose(factory: str) -> None:
    skip_without_uvloop()
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
    assert running in remark and "give it loop_factory=rasyncio.new_event_loop" in remark
    assert ("start it with --as-uvloop (RASYNCIO=uvloop)" in remark) == running.startswith("uvloop")


def test_loop_of_ours_runs() -> None:
    code = """
import rasyncio
async def main(): return rasyncio.status().running
print(rasyncio.run(main()))
"""
    assert check_python(code) == "rasyncio.EventLoop\n"


def test_state() -> None:
    """On 3.14 and later debuggers see our tasks (tests/process/test_debuggers.py), or it is said why not.

    Up to 3.13, ours is CPython's once the swap has met its module (tests/swap/test_one_state.py).
    """
    own = "print(rasyncio._asyncio.__rasyncio_own_state__ is None); "
    code = "import rasyncio; {}; status = rasyncio.status(); print(status.state); "
    first, its, *hints = check_python((code + own + HINTS).format("rasyncio.install()")).splitlines()
    shared = its == "True"
    assert shared or sys.version_info < (3, 14) or rasyncio._asyncio.__rasyncio_own_state__ is not None
    assert first == ("CPython's" if shared else "rasyncio's own")
    assert any("asyncio ps" in hint for hint in hints) == (not shared and sys.version_info >= (3, 14))
    assert check_python(code.format("pass")).splitlines()[0] == "CPython's"
    if sys.version_info < (3, 14):
        late = check_python(code.format("import asyncio; rasyncio.install()")).splitlines()
        assert late == ["CPython's"]


def test_shown_to_people() -> None:
    text = check_python("import rasyncio; rasyncio.install(); print(rasyncio.status())")
    lines = text.splitlines()
    assert lines[0] == f"rasyncio                  {rasyncio.__version__} on Python {platform.python_version()}"
    assert "Future and Task           rasyncio" in lines and lines[-1].startswith("hint: ")


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


def test_loop_factories_of_test_runners(tmp_path: Path) -> None:
    """Without the plugin: each runner's own way to be given a loop, as docs/by-framework.md has them."""
    (tmp_path / "conftest.py").write_text(
        "import pytest, rasyncio\n"
        "def pytest_asyncio_loop_factories(config, item):\n"
        "    return {'rasyncio': rasyncio.new_event_loop}\n"
        "@pytest.fixture\n"
        "def anyio_backend():\n"
        "    return 'asyncio', {'loop_factory': rasyncio.new_event_loop}\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import anyio, pytest, rasyncio, sys, unittest\n"
        "async def check():\n"
        "    status = rasyncio.status()\n"
        "    assert (status.running, status.future_and_task) == ('rasyncio.EventLoop', 'rasyncio')\n"
        "@pytest.mark.skipif(sys.version_info < (3, 13), reason='loop_factory came with 3.13')\n"
        "class TestCase(unittest.IsolatedAsyncioTestCase):\n"
        "    loop_factory = rasyncio.new_event_loop\n"
        "    async def test(self): await check()\n"
        "@pytest.mark.asyncio\n"
        "async def test_pytest_asyncio(): await check()\n"
        "@pytest.mark.anyio\n"
        "async def test_anyio(): await check()\n"
        "def test_anyio_run(): anyio.run(check, backend_options={'loop_factory': rasyncio.new_event_loop})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    assert f"{4 if sys.version_info >= (3, 13) else 3} passed" in done.stdout


def test_unittest_by_its_own_command(tmp_path: Path) -> None:
    """On any version: by the variable, or by the runner."""
    (tmp_path / "test_it.py").write_text(
        "import rasyncio, unittest\n"
        "class TestCase(unittest.IsolatedAsyncioTestCase):\n"
        "    async def test(self):\n"
        "        status = rasyncio.status()\n"
        "        assert (status.running, status.future_and_task) == ('rasyncio.EventLoop', 'rasyncio')\n"
    )
    for before, value in (["-m", "rasyncio", "-m", "unittest"], "0"), (["-m", "unittest"], "1"):
        done = subprocess.run(
            [sys.executable, *before, "test_it"],
            cwd=tmp_path,
            env={**os.environ, "RASYNCIO": value},
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
        )
        assert done.returncode == 0 and "Ran 1 test" in done.stderr, done.stderr


def test_unknown_name() -> None:
    done = run_python("import rasyncio; rasyncio.stats_")
    assert "module 'rasyncio' has no attribute 'stats_'" in done.stderr
