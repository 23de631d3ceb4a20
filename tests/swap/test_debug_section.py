"""CPython's section `.AsyncioDebug`, which says where its places for running loop, current task and tasks are.

What does not fit, or is not there: the state is our own, and `status()` says so; never a crash, never a wrong table.
The numbers are changed in a copy of the file that has them. Every test in an interpreter of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import rasyncio
from support.children import PATIENCE, check_python

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="CPython has no such places before 3.14")

WORDS = struct.Struct("13Q")
NAMES = (
    *("task.size", "task.name", "task.awaited_by", "task.is_task", "task.awaited_by_is_set", "task.coro", "task.node"),
    *("interpreter.size", "interpreter.tasks", "thread.size", "thread.loop", "thread.task", "thread.tasks"),
)

REPORT = """
import rasyncio
rasyncio.install()
import asyncio
async def leaf():
    await asyncio.sleep(0)
    return asyncio.current_task() in asyncio.all_tasks()
async def main():
    async with asyncio.timeout(30): return await asyncio.gather(*(leaf() for _ in range(10)))
assert asyncio.run(main()) == [True] * 10
print(rasyncio.status().state, rasyncio._asyncio.__rasyncio_own_state__, sep="\\n")
"""


def carrier() -> Path:
    """The file with CPython's section."""
    if "_asyncio" in sys.builtin_module_names:
        return Path("/proc/self/exe").resolve()
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("_asyncio")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


def place_of_section(data: bytes) -> tuple[int, int, int]:
    """Where the section's contents, its header, and the number of its name are."""
    start, size, count, names = struct.unpack_from("Q", data, 40)[0], *struct.unpack_from("3H", data, 58)
    headers = [start + size * index for index in range(count)]
    texts = struct.unpack_from("Q", data, headers[names] + 24)[0]
    for header in headers:
        name = texts + struct.unpack_from("I", data, header)[0]
        if data[name : data.index(b"\0", name)] == b".AsyncioDebug":
            return struct.unpack_from("Q", data, header + 24)[0], header, name
    raise AssertionError("no section")


def run_with(folder: Path, data: bytes) -> tuple[str, str]:
    """The state, and the reason, of a program where the file with the section has these contents."""
    state, reason = run_program_with(folder, data, REPORT).splitlines()
    return state, reason


def run_program_with(folder: Path, data: bytes, program: str) -> str:
    """What the program says where the file with the section has these contents."""
    file = folder / carrier().name
    file.write_bytes(data)
    file.chmod(0o755)
    env = dict(os.environ)
    home = Path(rasyncio.__file__).parents[1]
    if file.suffix == ".so":
        executable = sys.executable
        env["PYTHONPATH"] = os.pathsep.join([str(folder), str(home)])
    else:
        executable = str(file)
        env |= {"PYTHONHOME": sys.base_prefix, "PYTHONPATH": str(home)}
    done = subprocess.run(
        [executable, "-c", program], env=env, capture_output=True, text=True, timeout=60 * PATIENCE, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stdout, done.stderr)
    return done.stdout


def changed(**changes: int) -> bytes:
    """The file with some of the numbers increased."""
    data = bytearray(carrier().read_bytes())
    place = place_of_section(bytes(data))[0]
    words = dict(zip(NAMES, WORDS.unpack_from(data, place), strict=True))
    for name, change in changes.items():
        words[name.replace("__", ".")] += change
    WORDS.pack_into(data, place, *(word % 2**64 for word in words.values()))
    return bytes(data)


def test_a_copy_fits(tmp_path: Path) -> None:
    """Or the tests that follow would say nothing."""
    assert run_with(tmp_path, changed()) == ("CPython's", "None")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", [8, -8, 1, 2**40, -(2**63)])
def test_a_number_that_does_not_fit(tmp_path: Path, name: str, change: int) -> None:
    if name == "thread.size" and abs(change) < 9:
        pytest.skip("nothing depends on that number, as long as the others are below it")
    state, reason = run_with(tmp_path, changed(**{name.replace(".", "__"): change}))
    assert state == "rasyncio's own" and "does not fit" in reason


@pytest.mark.parametrize("change", [-64, -24, -16, -8, 8, 16, 24])
def test_numbers_that_fit_each_other(tmp_path: Path, change: int) -> None:
    """A thread's state of another layout: what is there is something else."""
    state, reason = run_with(tmp_path, changed(thread__loop=change, thread__task=change, thread__tasks=change))
    assert state == "rasyncio's own" and "is not there" in reason


@pytest.mark.parametrize("change", [-8, 8])
def test_references_that_are_something_else(tmp_path: Path, change: int) -> None:
    state, reason = run_with(tmp_path, changed(thread__loop=change, thread__task=change))
    assert state == "rasyncio's own" and "does not fit" in reason


def test_without_the_section(tmp_path: Path) -> None:
    data = bytearray(carrier().read_bytes())
    data[place_of_section(bytes(data))[2] + 1] = ord("a")
    assert run_with(tmp_path, bytes(data)) == ("rasyncio's own", "CPython's section .AsyncioDebug was not found")


def test_what_is_told_then(tmp_path: Path) -> None:
    """Where the two modules are apart, all that comes of it is said, with the remedy."""
    spec = importlib.util.find_spec("uvloop")
    has_uvloop = spec is not None and spec.origin is not None
    import_uvloop = f"sys.path.append({str(Path(spec.origin).parents[1])!r}); import uvloop" if has_uvloop else ""
    program = f"""if True:
        import asyncio, sys, warnings
        {import_uvloop}
        class Early(asyncio.Task): pass
        import rasyncio
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if {has_uvloop}:
                rasyncio.new_event_loop().close()
                assert not rasyncio.installed()
                print(caught.pop().message)
            rasyncio.install()
        print(*(warning.message for warning in caught), sep="\\n")
        async def inside(): return asyncio.current_task()
        async def main(): return await Early(inside(), loop=asyncio.get_running_loop())
        assert asyncio.run(main()) is None
        print(*rasyncio.status().hints, sep="\\n")
        """
    data = bytearray(carrier().read_bytes())
    data[place_of_section(bytes(data))[2] + 1] = ord("a")
    lines = run_program_with(tmp_path, bytes(data), program).splitlines()
    if has_uvloop:
        assert "Call rasyncio.install() before uvloop is imported, or start the process with" in lines.pop(0)
    early, *uvloop, no_debugger, _children = lines
    assert early.startswith("__main__.Early was derived from asyncio.Task")
    assert "asyncio.current_task() is None and asyncio.timeout() and TaskGroup fail." in early
    assert early.endswith("Call rasyncio.install() before the class is made")
    assert ["install() before uvloop is imported" in text for text in uvloop] == [True] * has_uvloop
    assert "`python -m asyncio ps` does not see the tasks of this process" in no_debugger


@pytest.mark.parametrize("size", [0, 96, 112, 2**40])
def test_section_of_another_length(tmp_path: Path, size: int) -> None:
    data = bytearray(carrier().read_bytes())
    struct.pack_into("Q", data, place_of_section(bytes(data))[1] + 32, size)
    assert run_with(tmp_path, bytes(data)) == ("rasyncio's own", "CPython's section .AsyncioDebug was not found")


def test_section_headers_stripped(tmp_path: Path) -> None:
    """What `strip --strip-section-headers` and packers do."""
    data = bytearray(carrier().read_bytes())
    struct.pack_into("Q", data, 40, 0)
    struct.pack_into("3H", data, 58, 64, 0, 0)
    assert run_with(tmp_path, bytes(data)) == ("rasyncio's own", "CPython's section .AsyncioDebug was not found")


@pytest.mark.skipif("_asyncio" in sys.builtin_module_names, reason="it is in the interpreter")
def test_without_the_file(tmp_path: Path) -> None:
    """CPython's own module may have been left out of an image."""
    (tmp_path / "_asyncio.py").write_text("raise ImportError('not here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + REPORT
    assert check_python(code) == "rasyncio's own\nCPython's section .AsyncioDebug was not found\n"


@pytest.mark.parametrize("name", ["_asyncio.so", "_asyncio.abi3.so"])
def test_library_that_was_renamed(tmp_path: Path, name: str) -> None:
    """By a packager: that CPython's debugger does not find it by its name is all that comes of it."""
    package = Path(rasyncio.__file__).parent
    copy = tmp_path / "rasyncio"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    assert rasyncio._asyncio.__file__ is not None
    shutil.copy(rasyncio._asyncio.__file__, copy / name)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + REPORT
    assert check_python(code) == "CPython's\nNone\n"


def interpreter_of_program(file: Path) -> str:
    """The dynamic linker that an ELF program asks for."""
    data = file.read_bytes()
    start, size, count = struct.unpack_from("Q", data, 32)[0], *struct.unpack_from("2H", data, 54)
    for header in range(start, start + size * count, size):
        if struct.unpack_from("I", data, header)[0] == 3:
            offset, length = struct.unpack_from("Q", data, header + 8)[0], struct.unpack_from("Q", data, header + 32)[0]
            return data[offset : offset + length - 1].decode()
    raise AssertionError("no dynamic linker")


def test_a_program_that_python_is_a_library_of(tmp_path: Path) -> None:
    """As with `--enable-shared`: CPython's section is in the library (3.15) or in its module's (3.14)."""
    name = f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so"
    library = next(Path(sys.base_prefix, "lib").rglob(name), None)
    compiler = shutil.which("cc")
    if library is None or compiler is None:
        pytest.skip("needs a C compiler, and Python as a library")
    (tmp_path / "program.c").write_text(
        "extern int Py_BytesMain(int, char **);\nint main(int argc, char **argv) { return Py_BytesMain(argc, argv); }\n"
    )
    program = tmp_path / "program"
    linker = [
        f"--dynamic-linker={interpreter_of_program(Path(sys.executable).resolve())}",
        f"-rpath={library.parent}",
        "--disable-new-dtags",  # the library's own libraries are looked for there, too
        "--unresolved-symbols=ignore-all",
    ]
    subprocess.run([compiler, tmp_path / "program.c", "-o", program, library, f"-Wl,{','.join(linker)}"], check=True)
    env = {**os.environ, "PYTHONHOME": sys.base_prefix, "PYTHONPATH": str(Path(rasyncio.__file__).parents[1])}
    done = subprocess.run([program, "-c", REPORT], env=env, capture_output=True, text=True, timeout=60 * PATIENCE)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "CPython's\nNone\n")


def test_a_stripped_file(tmp_path: Path) -> None:
    """Symbols are not needed."""
    strip = shutil.which("strip")
    if strip is None:
        pytest.skip("needs strip")
    stripped = tmp_path / "stripped"
    subprocess.run([strip, "-o", stripped, carrier()], check=True)
    (folder := tmp_path / "there").mkdir()
    assert run_with(folder, stripped.read_bytes()) == ("CPython's", "None")
