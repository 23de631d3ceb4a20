"""`python -m rasyncio`: whatever the program sees and does is the same as under plain `python`."""

import compileall
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# What a program can see of how it was started.
PROBE = """\
import sys
main = sys.modules["__main__"]
print(__name__, main.__dict__ is globals(), list(globals()))
print({name: globals().get(name, "-") for name in ("__doc__", "__file__", "__package__", "__cached__", "__builtins__")})
spec = __spec__ and (__spec__.name, __spec__.origin, __spec__.parent, __spec__.cached)
loader = __loader__ if isinstance(__loader__, type) else type(__loader__)
print(spec, loader, getattr(__loader__, "name", "-"), getattr(__loader__, "path", "-"))
print(sys.argv, sys.path, sys.flags, sys.excepthook is sys.__excepthook__)
"""

# What it gets of rasyncio.
SWAPPED = """\
import asyncio, sys
async def main(): return type(asyncio.current_task()) is asyncio.Task, type(asyncio.get_running_loop())
plain, loop = asyncio.run(main())
rasyncio = sys.modules.get("rasyncio")
print(plain, rasyncio and asyncio.Task is rasyncio.Task, rasyncio and loop is rasyncio.EventLoop)
"""
# Options before the program, and what SWAPPED says then.
SWAPS = {"": "True True True\n", "--no-loop": "True True False\n"}

FAILING = {
    "error": "def inner():\n    raise LookupError('a reason')\ninner()",
    "chained": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('outer') from error",
    "context": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    nonsense",
    "group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "status": "raise SystemExit(3)",
    "status text": "import sys\nsys.exit('no way')",
    "status none": "import sys\nprint('bye')\nsys.exit()",
    "status in a bool": "raise SystemExit(True)",
    "interrupt": "raise KeyboardInterrupt",
    "own signal": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "generator exit": "raise GeneratorExit('odd')",
    "syntax": "x = (",
    "indentation": "if True:\npass",
    "excepthook": "import sys, traceback\n"
    "def hook(kind, value, trace): print(kind, value, traceback.extract_tb(trace), trace is value.__traceback__)\n"
    "sys.excepthook = hook\n1 / 0",
    "at exit": "import atexit, sys, threading, time\n"
    "atexit.register(lambda: print('atexit', sys.excepthook is sys.__excepthook__))\n"
    "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n"
    "class Late:\n    def __del__(self): print('late')\nlate = Late()\nraise ValueError('end')",
    "warning": "import warnings\nwarnings.warn('careful')\ndef f(): warnings.warn('again', stacklevel=2)\nf()",
    "asyncio": "import asyncio\nasync def main():\n    async with asyncio.TaskGroup() as group:\n"
    "        group.create_task(asyncio.sleep(9)); raise OSError('inside')\nasyncio.run(main())",
    "asyncio interrupt": "import asyncio, os, signal\nasync def main():\n    os.kill(os.getpid(), signal.SIGINT)\n"
    "    await asyncio.sleep(9)\nasyncio.run(main())",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with one program in all the shapes in which Python runs one."""
    (tmp_path / "app.py").write_text(f'"""The doc."""\n{PROBE}')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "app.py").write_text(PROBE)
    (tmp_path / "sub" / "link.py").symlink_to(tmp_path / "app.py")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("print('package', __name__)\n")
    (package / "__main__.py").write_text(f"from . import tool\n{PROBE}")
    (package / "tool.py").write_text(
        f'if __name__ == "__main__":\n    {PROBE.strip().replace(chr(10), chr(10) + "    ")}\n'
    )
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hollow" / "__init__.py").touch()
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", f"import beside\n{PROBE}\nbeside.fail()\n")
        archive.writestr("beside.py", "def fail(): raise LookupError('from the zip')\n")
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nprint(ascii('\u00e9'))\n".encode("latin-1"))
    (tmp_path / "bom.py").write_bytes("\ufeffprint('bom')\r\nprint(repr('''a\r\nb'''))".encode())
    return tmp_path


def execute(cwd: Path, *arguments: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, *arguments], cwd=cwd, timeout=60, capture_output=True, encoding="utf-8"
    )


def check_same(cwd: Path, *arguments: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run it both ways: stdout, stderr and exit status must be equal. Returns the plain run."""
    plain = execute(cwd, *arguments, flags=flags)
    ours = execute(cwd, "-m", "rasyncio", *arguments, flags=flags)
    assert ours.stdout == plain.stdout
    assert ours.stderr == plain.stderr
    assert ours.returncode == plain.returncode
    return plain


@pytest.mark.parametrize(
    "arguments",
    [
        ["app.py"],
        ["app.py", "-h", "--version", "-m", "x", "", "é"],
        ["./app.py"],
        [".//sub/../app.py"],
        ["sub/app.py", "1"],
        ["sub/link.py"],
        ["-m", "app", "-m"],
        ["-mapp"],
        ["-m", "package", "a", "b"],
        ["-m", "package.tool", "--help"],
        ["-m", "package.__main__"],
        ["package", "argument"],
        ["package/"],
        ["app.zip", "argument"],
        ["-c", PROBE, "one", "-c", "two"],
        [f"-c{PROBE}"],
        ["latin.py"],
        ["bom.py"],
    ],
    ids=lambda arguments: " ".join(arguments)[:20],
)
@pytest.mark.parametrize("flags", [(), ("-P",), ("-X", "dev", "-OO")], ids=" ".join)
def test_what_the_program_sees(project: Path, arguments: list[str], flags: tuple[str, ...]) -> None:
    plain = check_same(project, *arguments, flags=flags)
    assert plain.stdout.strip() or plain.returncode == 1  # -m app is not found under -P


def test_absolute_path_from_elsewhere(project: Path) -> None:
    assert "app.py" in check_same(project / "sub", str(project / "app.py"), "argument").stdout


def test_compiled_script(project: Path) -> None:
    compileall.compile_file(project / "app.py", legacy=True, quiet=1)
    assert "app.pyc" in check_same(project, "app.pyc", "argument").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.py"],
        ["absent/"],
        ["/absent/app.py", "argument"],
        ["hollow"],
        ["-m", "hollow"],
        ["-m", "absent"],
        ["-m", "absent.tool"],
        ["-m", "app.py"],
        ["-m", "app.tool"],
        ["-m", "package.absent"],
    ],
    ids=" ".join,
)
def test_nothing_to_run(project: Path, arguments: list[str]) -> None:
    plain = check_same(project, *arguments)
    assert plain.returncode in (1, 2) and plain.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_script_that_cannot_be_read(project: Path) -> None:
    (project / "app.py").chmod(0)
    assert check_same(project, "app.py").returncode == 2


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("way", ["file", "module", "command"])
def test_how_the_program_ends(tmp_path: Path, name: str, way: str) -> None:
    (tmp_path / "program.py").write_text(FAILING[name])
    arguments = {"file": ["program.py"], "module": ["-m", "program"], "command": ["-c", FAILING[name]]}[way]
    plain = check_same(tmp_path, *arguments)
    assert plain.returncode or plain.stderr or plain.stdout


def test_tracebacks_show_no_runner(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("1 / 0")
    stderr = execute(tmp_path, "-m", "rasyncio", "program.py").stderr
    assert stderr.startswith(f'Traceback (most recent call last):\n  File "{tmp_path}/program.py", line 1')


@pytest.mark.skipif(sys.version_info < (3, 14), reason="python -c dedents since 3.14")
def test_command_is_dedented(tmp_path: Path) -> None:
    assert check_same(tmp_path, "-c", "\n    x = 3\n    print(x, '''\n    y''')\n").stdout == "3 \ny\n"


@pytest.mark.parametrize("flags", [(), ("-P",)], ids=" ".join)
def test_imports_beside_the_script(project: Path, flags: tuple[str, ...]) -> None:
    (project / "sub" / "neighbour.py").write_text("print('neighbour', __name__)\n")
    (project / "sub" / "user.py").write_text("import neighbour, sys\n")
    assert check_same(project, "sub/user.py", flags=flags).returncode == (1 if flags else 0)


def test_source_pickle_and_processes_work_on_main(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import inspect, multiprocessing, pickle\n"
        "class Thing:\n    value = 4\n"
        "def work(thing): return type(thing).__name__, thing.value\n"
        "if __name__ == '__main__':\n"
        "    print(inspect.getsource(Thing), pickle.dumps(Thing()), pickle.loads(pickle.dumps(work)) is work)\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(work, [Thing()]))\n"
    )
    for arguments in ["program.py"], ["-m", "program"]:
        assert "[('Thing', 4)]" in check_same(tmp_path, *arguments).stdout


@pytest.mark.parametrize("options", SWAPS)
@pytest.mark.parametrize("way", ["file", "module", "command", "directory"])
def test_the_swap_is_on(tmp_path: Path, way: str, options: str) -> None:
    (tmp_path / "program.py").write_text(SWAPPED)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(SWAPPED)
    arguments = {
        "file": ["program.py"],
        "module": ["-m", "program"],
        "command": ["-c", SWAPPED],
        "directory": ["package"],
    }
    done = execute(tmp_path, "-m", "rasyncio", *options.split(), *arguments[way], flags=("-W", "error"))
    assert (done.returncode, done.stdout, done.stderr) == (0, SWAPS[options], "")
    assert execute(tmp_path, *arguments[way]).stdout == "True None None\n"


@pytest.mark.parametrize("options", SWAPS)
def test_asyncio_was_imported_at_start_up(tmp_path: Path, options: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import asyncio\n")
    (tmp_path / "program.py").write_text(SWAPPED)
    done = subprocess.run(
        [sys.executable, "-m", "rasyncio", *options.split(), "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, SWAPS[options], "")


def test_no_loop_after_the_program_is_the_program_s(project: Path) -> None:
    assert "'--no-loop'" in check_same(project, "app.py", "--no-loop").stdout
    assert "'--no-loop'" in check_same(project, "-m", "package.tool", "--no-loop").stdout


def test_no_loop_shows_in_nothing_else(project: Path) -> None:
    plain = execute(project, "app.py", "argument")
    done = execute(project, "-m", "rasyncio", "--no-loop", "app.py", "argument")
    assert (done.returncode, done.stdout, done.stderr) == (0, plain.stdout, plain.stderr)


def test_a_module_of_the_current_directory_is_not_taken_for_the_standard_library_s(project: Path) -> None:
    """Plain Python has the script's directory in sys.path, and not the current one."""
    (project / "selectors.py").write_text("raise AssertionError('not to be imported')\n")
    (project / "sub" / "program.py").write_text("import asyncio\nprint(asyncio.run(asyncio.sleep(0, 'runs')))\n")
    assert check_same(project, "sub/program.py").stdout == "runs\n"


@pytest.mark.parametrize(("outer", "inner"), [("", ""), ("--no-loop", ""), ("", "--no-loop")])
def test_within_itself(project: Path, outer: str, inner: str) -> None:
    plain = execute(project, "-m", "package.tool", "x")
    nested = ["-m", "rasyncio", *outer.split(), "-m", "rasyncio", *inner.split()]
    done = execute(project, *nested, "-m", "package.tool", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, plain.stdout, "")
    assert execute(project, *nested, "-c", SWAPPED).stdout == SWAPS[inner]


@pytest.mark.parametrize("flags", ["-h", "--help", "--no-loop -h"])
def test_help(tmp_path: Path, flags: str) -> None:
    done = execute(tmp_path, "-m", "rasyncio", *flags.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m rasyncio [option] ... [-c cmd | -m mod | file] [arg] ...\n")
    assert all(f"\n{option}  " in done.stdout for option in ("--no-loop", "--as-uvloop", "--no-children"))


@pytest.mark.parametrize("flags", ["-V", "--version", "--no-loop -V"])
def test_version(tmp_path: Path, flags: str) -> None:
    import rasyncio

    done = execute(tmp_path, "-m", "rasyncio", *flags.split())
    python = "{}.{}.{}".format(*sys.version_info)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"rasyncio {rasyncio.__version__} (Python {python}")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "usage: "),
        (["-m"], "Argument expected for the -m option\nusage: "),
        (["-c"], "Argument expected for the -c option\nusage: "),
        (["-x", "app.py"], "Unknown option: -x\nusage: "),
        (["--module", "app"], "Unknown option: --module\nusage: "),
        ([""], "usage: "),
        (["--no-loop"], "usage: "),
        (["--no-loop", "-m"], "Argument expected for the -m option\nusage: "),
        (["--no-loop", "--no-loop", "app.py"], "Unknown option: --no-loop\nusage: "),
    ],
    ids=str,
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    done = execute(tmp_path, "-m", "rasyncio", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(complaint)
