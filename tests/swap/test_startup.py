"""`RASYNCIO` in the environment: which processes it reaches, and what it leaves alone.

The line in `rasyncio.pth` is part of the wheel, so these tests run on an installed one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.children import PATIENCE, run_python

#: Whose Task and whose event loop a process has.
PROBE = """\
import asyncio, sys
ours = sys.modules.get("rasyncio")
ours = ours if ours and ours.installed() else None  # in a sub-interpreter its names are asyncio's own
async def main(): return type(asyncio.current_task()), type(asyncio.get_running_loop()), ours and ours.status()
task, loop, status = asyncio.run(main())
tasks = ours and task is ours.Task is asyncio.Task
assert not ours or (status.future_and_task == "rasyncio") == tasks
assert not ours or (status.running == "rasyncio.EventLoop") == (loop is ours.EventLoop)
print("ours" if tasks else "theirs", "ours" if ours and loop is ours.EventLoop else "theirs")
"""
OURS, TASKS, THEIRS = "ours ours\n", "ours theirs\n", "theirs theirs\n"


def environment(value: str | None, **more: str) -> Mapping[str, str]:
    variables = {name: text for name, text in os.environ.items() if name != "RASYNCIO"}
    return variables | more | ({} if value is None else {"RASYNCIO": value})


def said(code: str, value: str | None = None, *arguments: str, flags: tuple[str, ...] = ("-W", "error")) -> str:
    """What the program prints on stdout; it must end well, with nothing on stderr."""
    done = run_python(code, *arguments, flags=flags, env=environment(value))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def probe(tmp_path: Path) -> str:
    path = tmp_path / "probe.py"
    path.write_text(PROBE)
    return str(path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, THEIRS), ("", THEIRS), ("0", THEIRS), ("1", OURS), ("uvloop", OURS), ("tasks", TASKS)],
)
def test_value(value: str | None, expected: str) -> None:
    assert said(PROBE, value) == expected


@pytest.mark.parametrize("value", ["yes", "2", " 1", "TASKS", "é"])
def test_unknown_value_is_said_once_and_changes_nothing(value: str) -> None:
    done = run_python(PROBE, env=environment(value))
    assert (done.returncode, done.stdout) == (0, THEIRS)
    (line,) = done.stderr.splitlines()
    assert line.startswith("rasyncio: RASYNCIO=") and line.endswith("this process runs without")
    assert all(repr(known) in line for known in ("0", "1", "tasks", "uvloop"))


@pytest.mark.parametrize("value", [None, "0", "1", "tasks", "uvloop"])
def test_asyncio_is_not_imported_for_it(value: str | None) -> None:
    assert said("import sys; print([name for name in sys.modules if 'asyncio' in name.split('.')])", value) == "[]\n"


def test_nothing_of_rasyncio_is_imported_without_it() -> None:
    assert said("import sys; print([name for name in sys.modules if 'rasyncio' in name])") == "[]\n"


def test_asyncio_is_the_module_that_it_is_otherwise() -> None:
    """Nothing of the hook stays in the module, nor in the way of others."""
    look = """
        import asyncio, sys, importlib.util
        assert asyncio.__spec__.loader is asyncio.__loader__
        print(type(asyncio.__loader__).__name__, asyncio.__file__, asyncio.__spec__.origin, asyncio.__path__)
        print(importlib.util.find_spec("asyncio") is asyncio.__spec__)
        """
    assert said(look, "1") == said(look)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        *[("-I", THEIRS), ("-E", THEIRS), ("-S", THEIRS), ("-s", OURS), ("-P", OURS)],
        *[("-Xfrozen_modules=on", OURS), ("-Xfrozen_modules=off", OURS)],
    ],
)
def test_flags_of_the_interpreter(flag: str, expected: str, probe: str) -> None:
    """Where Python is to mind no variable of its own, neither do we; without site nobody looks."""
    done = subprocess.run(
        [sys.executable, flag, probe], env=environment("1"), capture_output=True, text=True, timeout=60 * PATIENCE
    )
    assert (done.stdout, done.stderr) == (expected, "")


def test_program_has_the_last_word() -> None:
    begin, end = "import rasyncio, asyncio\n", PROBE
    assert said(begin + "rasyncio.uninstall()\n" + end, "1") == THEIRS
    assert said("import rasyncio\nrasyncio.uninstall()\n" + end, "1") == THEIRS
    assert said("import rasyncio\nrasyncio.install(loop=False)\n" + end, "1") == TASKS
    assert said("import rasyncio\nrasyncio.install()\n" + end, "tasks") == OURS


def test_installed_says_what_will_be() -> None:
    code = "import sys, rasyncio; print(rasyncio.installed(), 'asyncio' in sys.modules)"
    assert said(code, "1") == "True False\n"
    assert said(code) == "False False\n"


@pytest.mark.parametrize("name", ["EventLoop", "Loop", "EventLoopPolicy", "new_event_loop", "run", "Task"])
def test_any_name_may_be_asked_for_first(name: str) -> None:
    assert said(f"import rasyncio\nrasyncio.{name}\n{PROBE}", "1") == OURS


def test_asyncio_that_fails_to_import_fails_as_it_does(tmp_path: Path) -> None:
    (tmp_path / "asyncio.py").write_text("raise LookupError('not today')")
    done = run_python("import asyncio", env=environment("1", PYTHONPATH=str(tmp_path)))
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("LookupError: not today")


def test_sub_interpreter_is_left_alone() -> None:
    code = """
        try:
            from concurrent import interpreters
        except ImportError:
            import _interpreters as interpreters
        """
    if sys.version_info < (3, 14):
        pytest.skip("concurrent.interpreters came with 3.14")
    probe = PROBE.replace('"', "'")
    assert said(textwrap.dedent(code) + f'interpreters.create().exec("""{probe}""")', "1") == THEIRS


# Children


def child(start: str, probe: str) -> str:
    """A program that starts a process which runs the probe."""
    if start == "subprocess":
        return f"import subprocess, sys; subprocess.run([sys.executable, {probe!r}], check=True)"
    if start == "posix_spawn":
        return f"import os, sys; os.waitpid(os.posix_spawn(sys.executable, [sys.executable, {probe!r}], os.environ), 0)"
    if start == "exec":
        return f"import os, sys; os.execv(sys.executable, [sys.executable, {probe!r}])"
    if start == "pool":
        return f"""
            import concurrent.futures, runpy
            if __name__ == "__main__":
                with concurrent.futures.ProcessPoolExecutor(1) as pool:
                    pool.submit(runpy.run_path, {probe!r}).exception()
            """
    return f"""
        import multiprocessing, runpy
        if __name__ == "__main__":
            process = multiprocessing.get_context({start!r}).Process(target=runpy.run_path, args=({probe!r},))
            process.start()
            process.join()
        """


STARTS = ["subprocess", "posix_spawn", "exec", "fork", "spawn", "forkserver", "pool"]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("options", "expected"),
    [((), OURS), (("--no-loop",), TASKS), (("--as-uvloop",), OURS), (("--no-children",), THEIRS)],
)
def test_children_of_the_runner(
    start: str, options: tuple[str, ...], expected: str, probe: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(child(start, probe)))
    done = subprocess.run(
        [sys.executable, "-m", "rasyncio", *options, str(program)],
        env=environment(None),
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    stays = "--no-children" in options and (start == "fork" or (start == "pool" and sys.version_info < (3, 14)))
    # A forked child has what its parent has.
    assert (done.stdout, done.stderr) == (OURS if stays else expected, "")


@pytest.mark.parametrize("start", STARTS)
def test_children_of_a_process_that_was_reached(start: str, probe: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(child(start, probe)))
    done = subprocess.run(
        [sys.executable, str(program)], env=environment("1"), capture_output=True, text=True, timeout=60 * PATIENCE
    )
    assert (done.stdout, done.stderr) == (OURS, "")


def test_variable_of_an_outer_process_does_not_outlive_no_children(probe: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rasyncio", "--no-children", "-c", child("subprocess", probe)],
        env=environment("1"),
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    assert (done.stdout, done.stderr) == (THEIRS, "")


# In the place of uvloop

UVLOOP = """\
import uvloop, rasyncio, asyncio
print(uvloop.Loop is rasyncio.EventLoop, uvloop.install is rasyncio.install, uvloop.__version__.partition("+")[2][:8])
async def main(): return isinstance(asyncio.get_running_loop(), uvloop.Loop)
print(uvloop.run(main()), uvloop.run(main(), debug=True))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: print(runner.run(main()))
from uvloop import *
print(EventLoopPolicy is rasyncio.EventLoopPolicy, sorted(uvloop.__all__))
try: uvloop.libuv_version
except AttributeError as error: print(error)
"""


def test_alias() -> None:
    lines = said(UVLOOP, "uvloop").splitlines()
    assert lines[:3] == ["True True rasyncio", "True True", "True"]
    assert lines[3] == "True ['EventLoopPolicy', 'Loop', 'install', 'new_event_loop', 'run']"
    assert "no attribute 'libuv_version'" in lines[4] and "rasyncio's stand-in" in lines[4]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import uvloop.loop", "loop"),
        ("from uvloop.loop import Loop", "loop"),
        ("import uvloop.includes.stdlib", "includes"),
        ("from uvloop import Loop, _noop", "_noop"),
        ("import importlib; importlib.import_module('uvloop._version')", "_version"),
    ],
)
def test_alias_has_no_modules(statement: str, name: str) -> None:
    """Whoever tries whether they are there sees what Python says of missing ones."""
    code = f"""
try: {statement}
except ModuleNotFoundError as error: print(error.name, error)
import uvloop, uvloop as again
print(hasattr(uvloop, "loop"), again is uvloop)
"""
    first, last = said(code, "uvloop").splitlines()
    assert first.startswith(
        f"uvloop cannot import '{name}' from 'uvloop': it is rasyncio's stand-in (RASYNCIO=uvloop or"
    )
    assert last == "False True"


def test_another_uvloop_has_the_modules_that_it_has() -> None:
    code = """
        import sys, types
        sys.modules["uvloop"] = types.ModuleType("uvloop")
        try: import uvloop.loop
        except ModuleNotFoundError as error: print(error)
        """
    assert said(code, "uvloop") == "No module named 'uvloop.loop'; 'uvloop' is not a package\n"


def test_alias_is_there_only_where_it_was_asked_for() -> None:
    look = "import importlib.util as u; spec = u.find_spec('uvloop'); print(spec and type(spec.loader).__module__)"
    without = said(look)
    assert said(look, "1") == without
    assert said(look, "uvloop") == "rasyncio._as_uvloop\n" != without


def test_policy() -> None:
    code = """
        import asyncio, rasyncio, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # asyncio's own, for whoever sets any policy
        asyncio.set_event_loop_policy(rasyncio.EventLoopPolicy())
        async def main(): return type(asyncio.get_running_loop()) is rasyncio.EventLoop
        print(asyncio.run(main()))
        """
    assert said(code) == "True\n"
    assert said("import rasyncio; rasyncio.EventLoopPolicy().new_event_loop().close()") == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--no-loop", "--as-uvloop", "-c", ""], "--as-uvloop needs the loop that --no-loop leaves out"),
        (["--check", "--kernelspec"], "--kernelspec takes no --check"),
        (["--kernelspec", "--no-loop", "--no-children"], "--kernelspec takes no --no-children, --no-loop"),
        (["--no-loop", "top"], "top takes no --no-loop; a file of that name is ./top"),
        (["--check", "top", "1"], "top takes no --check; a file of that name is ./top"),
    ],
)
def test_options_that_contradict_each_other(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rasyncio", *arguments], capture_output=True, text=True, timeout=60 * PATIENCE
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"{says}\nusage:")
