"""The package as it is installed: names, version, types, and what it says where it cannot work."""

import asyncio
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import rasyncio
from rasyncio import _asyncio, _native
from support.children import check_python, run_python


def test_public_names() -> None:
    functions = {
        "grafted",
        "install",
        "installed",
        "new_event_loop",
        "profile",
        "run",
        "serve_stats",
        "stats",
        "status",
        "uninstall",
        "watch",
    }
    public = {"EventLoop", "EventLoopPolicy", "Future", "Loop", "Task", "__version__", *functions}
    assert set(rasyncio.__all__) == public
    for name in public:
        assert hasattr(rasyncio, name)
    assert rasyncio.Future is _asyncio.Future and rasyncio.Task is _asyncio.Task
    assert issubclass(rasyncio.EventLoop, asyncio.SelectorEventLoop) and rasyncio.Loop is rasyncio.EventLoop
    for name in [*functions, "EventLoop", "EventLoopPolicy"]:
        assert getattr(rasyncio, name).__doc__


def test_version() -> None:
    assert rasyncio.__version__ == importlib.metadata.version("rasyncio")
    manifest = Path(__file__).parents[2] / "Cargo.toml"
    assert rasyncio.__version__ == tomllib.loads(manifest.read_text())["package"]["version"]


def test_types_are_shipped() -> None:
    home = Path(rasyncio.__file__).parent
    assert (home / "py.typed").is_file() and (home / "_asyncio.pyi").is_file()


def test_import_is_light() -> None:
    loaded = "; print(*sorted(set(sys.modules) - before))"
    ours, asyncio_s = (
        set(check_python(f"import sys; before = set(sys.modules); import {name}{loaded}").split())
        for name in ("rasyncio", "asyncio")
    )
    assert not {"asyncio", "_asyncio"} & ours
    # The rest of what it needs of the standard library, asyncio needs too.
    small = {"__future__", "gc", "_xxsubinterpreters"}
    assert {name for name in ours - asyncio_s if name.split(".")[0] != "rasyncio"} <= small


def test_free_threaded_build(monkeypatch: pytest.MonkeyPatch) -> None:
    _native.check_build()
    monkeypatch.setattr(sys, "version", "3.14.0 free-threading build (main, Oct 26 2026, 15:12:11) [GCC 16.2.0]")
    with pytest.raises(
        ImportError, match=r"does not support the free-threaded build.*run the program on the build with"
    ):
        _native.check_build()
    monkeypatch.setattr(sys, "version", "3.13.0 experimental free-threading build (main) [GCC 16.2.0]")
    with pytest.raises(ImportError, match="free-threaded"):
        _native.check_build()


def test_free_threaded_build_in_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever imports the extension module alone is told the same: the text stands in its own source."""
    monkeypatch.setattr(sys, "version", "3.14.0 free-threading build (main)")
    with pytest.raises(ImportError) as caught:
        _native.check_build()
    said = re.sub(r" \(python.*?\)", "", str(caught.value))
    source = (Path(__file__).parents[2] / "src" / "lib.rs").read_text()
    assert f'"{said}"' in re.sub(r"\\\n\s+", "", source)


def test_free_threaded_build_at_import() -> None:
    check_python("""
        import sys
        sys.version = sys.version.replace(" (", " free-threading build (", 1)
        try:
            import rasyncio
        except ImportError as error:
            assert "free-threaded" in str(error) and error.name == "rasyncio"
        else:
            raise AssertionError
        assert not any(name.split(".")[0] == "rasyncio" for name in sys.modules if name != "rasyncio._native")
    """)


def test_another_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    with pytest.raises(ImportError, match="needs CPython, this is pypy"):
        _native.check_build()
    # PyPy 3.9 comes as far as that, too: it would fail for `|` between types.
    assert _native.load.__annotations__ == {"return": "ModuleType | None"}


def test_missing_extension() -> None:
    check_python("""
        import sys
        sys.modules["rasyncio._asyncio"] = None
        try:
            import rasyncio
        except ImportError as error:
            assert "extension module cannot be loaded" in str(error) and "-m pip install" in str(error)
            assert error.name == "rasyncio._asyncio" and isinstance(error.__cause__, ImportError)
        else:
            raise AssertionError
    """)


def test_in_a_zip_file(tmp_path: Path) -> None:
    """Python loads no extension from there. (shiv's files unpack themselves: tests/programs/test_packed.py.)"""
    home = Path(rasyncio.__file__).parent
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", "import rasyncio")
        for file in home.rglob("*"):
            if file.suffix in (".py", ".so"):
                archive.write(file, file.relative_to(home.parent))
    done = subprocess.run([sys.executable, tmp_path / "app.pyz"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    last = done.stderr.rstrip().splitlines()[-1]
    assert "Python loads none from a zip file" in last and "pack the program by shiv" in last


@pytest.mark.timeout(300)
def test_stubs_match_the_extension(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="stubtest is mypy's")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "rasyncio"], cwd=tmp_path, timeout=290, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_types_that_a_user_sees(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(
        "import asyncio, rasyncio, unittest\n"
        "from typing import assert_type\n"
        "async def main() -> int:\n"
        "    future: rasyncio.Future[str] = rasyncio.Future()\n"
        "    assert_type(await future, str)\n"
        "    assert_type(await rasyncio.Task(main()), int)\n"
        "    return 3\n"
        "assert_type(rasyncio.run(main(), debug=True), int)\n"
        "assert_type(rasyncio.__version__, str)\n"
        "rasyncio.run(3)  # type: ignore[arg-type]\n"
        "rasyncio.install(); rasyncio.install(False); rasyncio.install(loop=True)\n"
        "rasyncio.install('no')  # type: ignore[arg-type]\n"
        "assert_type(rasyncio.new_event_loop(), rasyncio.EventLoop)\n"
        "loop: asyncio.SelectorEventLoop = rasyncio.EventLoop()\n"
        "assert_type(rasyncio.run(main(), loop_factory=asyncio.new_event_loop), int)\n"
        "assert_type(rasyncio.run(main(), loop_factory=None), int)\n"
        "rasyncio.run(main(), loop_factory=main)  # type: ignore[arg-type]\n"
        "with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner:\n"
        "    assert_type(runner.run(main()), int)\n"
        "rasyncio.absent  # type: ignore[attr-defined]\n"
        "async def tasks() -> None:\n"
        "    task: asyncio.Task[int] = rasyncio.Task(main())\n"
        "    future: asyncio.Future[int] = rasyncio.Future()\n"
        "    back: rasyncio.Task[int] = asyncio.create_task(main())\n"
        "    assert_type(await asyncio.shield(task), int)\n"
        "    assert_type(await asyncio.gather(task, back, future), tuple[int, int, int])\n"
        "class Case(unittest.IsolatedAsyncioTestCase):\n"
        "    loop_factory = rasyncio.new_event_loop\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "user.py"], cwd=tmp_path, timeout=290, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_extension_imported_twice_is_the_same() -> None:
    done = run_python(
        """
import sys
import rasyncio
first = sys.modules.pop("rasyncio._asyncio")
import importlib
second = importlib.import_module("rasyncio._asyncio")
assert first is not second
assert (first.Task, first.Future, first._enter_task) == (second.Task, second.Future, second._enter_task)
rasyncio.install()
import asyncio
assert isinstance(asyncio.Task, type) and asyncio.run(asyncio.sleep(0, "runs")) == "runs"
"""
    )
    assert done.returncode == 0, done.stderr
