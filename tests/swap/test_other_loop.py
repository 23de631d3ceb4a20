"""A process that was started to run on our loop and runs another one says so, once, and what to type."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.children import PATIENCE
from test_swap import skip_without_uvloop

STOCK = "import asyncio\nwith asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:\n    runner.run({})\n"
UVLOOP = "import uvloop\nimport asyncio\nuvloop.run(asyncio.sleep(0))\n"
SLEEP = "asyncio.sleep(0)"
CHOSE_STOCK = (
    "rasyncio: program.py chose asyncio's own loop, so that asyncio.unix_events._UnixSelectorEventLoop runs, and not"
    " rasyncio's event loop; give it loop_factory=rasyncio.new_event_loop"
)
CHOSE_UVLOOP = (
    "rasyncio: program.py chose uvloop, so that uvloop.Loop runs, and not rasyncio's event loop; give it"
    " loop_factory=rasyncio.new_event_loop, or start it with --as-uvloop (RASYNCIO=uvloop)"
)


def environment(value: str | None, **more: str) -> Mapping[str, str]:
    variables = {name: text for name, text in os.environ.items() if name not in ("RASYNCIO", "PYTHONWARNINGS")}
    return variables | more | ({} if value is None else {"RASYNCIO": value})


def complaints(
    folder: Path, code: str, *before: str, value: str | None = None, flags: tuple[str, ...] = ()
) -> list[str]:
    """What the program, which must end well, writes to stderr."""
    program = folder / "program.py"
    program.write_text(code)
    done = subprocess.run(
        [sys.executable, *flags, *before, str(program)],
        env=environment(value),
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize(("code", "expected"), [(STOCK.format(SLEEP), CHOSE_STOCK), (UVLOOP, CHOSE_UVLOOP)])
@pytest.mark.parametrize(
    ("before", "value"), [(("-m", "rasyncio"), None), ((), "1")], ids=["by the runner", "by the variable"]
)
def test_it_is_named(tmp_path: Path, code: str, expected: str, before: tuple[str, ...], value: str | None) -> None:
    skip_without_uvloop()
    said = complaints(tmp_path, code, *before, value=value)
    line = next(number for number, text in enumerate(code.splitlines(), 1) if "run" in text.lower())
    line = line if code == UVLOOP else 2 if sys.version_info < (3, 12) else line
    assert f": RuntimeWarning: {expected}" in said[0] and said[0].startswith(str(tmp_path / "program.py"))
    assert [text for text in said if "rasyncio:" in text] == said[:1]


def test_once_in_a_process(tmp_path: Path) -> None:
    said = complaints(tmp_path, STOCK.format(SLEEP) * 3, value="1")
    assert sum("RuntimeWarning" in line for line in said) == 1


@pytest.mark.parametrize(
    ("code", "before", "value"),
    [
        ("import asyncio; asyncio.run(asyncio.sleep(0))", (), "1"),
        ("import rasyncio, asyncio; rasyncio.run(asyncio.sleep(0))", ("-m", "rasyncio"), None),
        (UVLOOP, ("-m", "rasyncio", "--as-uvloop"), None),
        (STOCK.format(SLEEP), ("-m", "rasyncio", "--no-loop"), None),
        (STOCK.format(SLEEP), (), "tasks"),
        (STOCK.format(SLEEP), (), None),
        ("import rasyncio; rasyncio.install()\n" + STOCK.format(SLEEP), (), None),
        ("import rasyncio; rasyncio.install(loop=False)\n" + STOCK.format(SLEEP), (), "1"),
        ("import asyncio, rasyncio; rasyncio.uninstall()\n" + STOCK.format(SLEEP), (), "1"),
    ],
)
def test_nothing_to_say(tmp_path: Path, code: str, before: tuple[str, ...], value: str | None) -> None:
    """Ours runs, or the program has chosen for itself, or nobody asked for our loop."""
    skip_without_uvloop()
    assert complaints(tmp_path, code, *before, value=value) == []


def test_a_loop_that_derives_from_ours(tmp_path: Path) -> None:
    code = "import asyncio, rasyncio\nclass Own(rasyncio.EventLoop): pass\nOwn().run_until_complete(asyncio.sleep(0))"
    assert complaints(tmp_path, code, value="1", flags=("-W", "ignore::ResourceWarning")) == []


@pytest.mark.parametrize("filters", ["error", "error::RuntimeWarning"])
def test_program_does_not_fail_for_it(tmp_path: Path, filters: str) -> None:
    assert complaints(tmp_path, STOCK.format(SLEEP), value="1", flags=("-W", filters)) == [CHOSE_STOCK]


def test_it_can_be_ignored(tmp_path: Path) -> None:
    assert complaints(tmp_path, STOCK.format(SLEEP), value="1", flags=("-W", "ignore::RuntimeWarning")) == []


def test_status_names_who_chose_it(tmp_path: Path) -> None:
    code = (
        "async def main():\n    import rasyncio; print(rasyncio.status().remarks[0], file=__import__('sys').stderr)\n"
    )
    said = complaints(tmp_path, code + STOCK.format("main()"), value="1")
    assert said[-1] == CHOSE_STOCK.removeprefix("rasyncio: ") + "."


RUN_UVLOOP = "import asyncio, uvloop; uvloop.run(asyncio.sleep(0))"
RUN_STOCK = "import asyncio; asyncio.Runner(loop_factory=asyncio.SelectorEventLoop).run(asyncio.sleep(0))"


@pytest.mark.parametrize(
    ("stack", "call", "expected"),
    [
        (
            ["uvicorn"],
            RUN_UVLOOP,
            "uvicorn chose uvloop, *; add --loop rasyncio:new_event_loop, or start it with --as-uvl",
        ),
        (
            ["uvicorn"],
            RUN_STOCK,
            "uvicorn chose asyncio's *; add --loop rasyncio:new_event_loop, or start it with --as-uvl",
        ),
        (
            ["gunicorn", "uvicorn_worker"],
            RUN_UVLOOP,
            "gunicorn chose uvloop, *; use -k rasyncio.gunicorn.UvicornWorker, or start it",
        ),
        (
            ["gunicorn", "uvicorn_worker"],
            RUN_STOCK,
            "gunicorn chose asyncio's *; use -k rasyncio.gunicorn.UvicornWorker, or start it with --as-uvloop",
        ),
        (
            ["fastapi_cli", "uvicorn"],
            RUN_UVLOOP,
            "fastapi chose uvloop, * rasyncio's event loop; start it with --as-uvloop",
        ),
        (
            ["fastapi_cli", "uvicorn"],
            RUN_STOCK,
            "fastapi chose asyncio's * rasyncio's event loop; start it with --as-uvloop",
        ),
        (["granian"], RUN_UVLOOP, "granian chose uvloop, *; add --loop asyncio, or start it with --as-uvloop (RAS"),
        (
            ["ray"],
            RUN_UVLOOP,
            "ray chose uvloop, *; give it loop_factory=rasyncio.new_event_loop, or start it with --as-uvl",
        ),
        (["ray"], RUN_STOCK, "ray chose asyncio's own loop, *; give it loop_factory=rasyncio.new_event_loop"),
    ],
)
def test_what_to_type_where(tmp_path: Path, stack: list[str], call: str, expected: str) -> None:
    """By the packages that are on the stack; tests/programs/test_servers.py has the real ones."""
    skip_without_uvloop()
    for package in reversed(stack):
        code = f"def run():\n    {call}\n"
        (tmp_path / f"{package}.py").write_text(code)
        call = f"import {package}; {package}.run()"
    (said, *_) = complaints(tmp_path, call, value="1")
    begin, end = expected.split("*")
    assert f"rasyncio: {begin}" in said and end in said
