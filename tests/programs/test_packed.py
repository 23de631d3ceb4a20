"""Programs in one file or folder, as their packers make them: zipapp, shiv, PyInstaller; and a program in C.

Each brings an ordinary program, which asks for nothing of rasyncio and runs on what `RASYNCIO` says, and prints what
`status()` says there.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import zipapp
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.children import PATIENCE

PROGRAM = """\
import asyncio, multiprocessing, sys

async def main():
    import rasyncio
    status = rasyncio.status()
    return status.future_and_task, status.running

def tell():
    print(*asyncio.run(main()), flush=True)

if __name__ == "__main__":
    multiprocessing.freeze_support()
    tell()
    for method in sys.argv[1:]:
        child = multiprocessing.get_context(method).Process(target=tell)
        child.start()
        child.join()
"""
THEIRS = "CPython asyncio.unix_events._UnixSelectorEventLoop"
SAYS = {
    None: THEIRS,
    "0": THEIRS,
    "1": "rasyncio rasyncio.EventLoop",
    "tasks": "rasyncio asyncio.unix_events._UnixSelectorEventLoop",
    "uvloop": "rasyncio rasyncio.EventLoop",
}


def environment(value: str | None, **more: str) -> Mapping[str, str]:
    variables = {name: text for name, text in os.environ.items() if name != "RASYNCIO"}
    return variables | more | ({} if value is None else {"RASYNCIO": value})


def run(*command: str | Path, value: str | None = None, **more: str) -> str:
    """What it prints; it must end well."""
    done = subprocess.run(
        command, env=environment(value, **more), capture_output=True, text=True, timeout=100 * PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM)
    return folder


def test_zipapp(source: Path, tmp_path: Path) -> None:
    """The program is in the file, rasyncio in the environment."""
    target = tmp_path / "program.pyz"
    zipapp.create_archive(source, target, main="program:tell")
    for value, says in SAYS.items():
        assert run(sys.executable, target, value=value) == f"{says}\n"
    assert run(sys.executable, "-m", "rasyncio", target) == f"{SAYS['1']}\n"


def test_shiv(source: Path, tmp_path: Path) -> None:
    """Both are in the file, which unpacks itself, and goes through the `.pth` files of what it has unpacked."""
    if importlib.util.find_spec("shiv") is None:
        pytest.skip("there is no shiv for this Python")
    target = tmp_path / "program.pyz"
    # What shiv would have pip install; here there may be no wheel to install it from.
    package = Path(str(importlib.util.find_spec("rasyncio").submodule_search_locations[0]))
    (source / "rasyncio").symlink_to(package)
    (source / "rasyncio.pth").write_text((package.parent / "rasyncio.pth").read_text())
    run(
        sys.executable,
        "-m",
        "shiv",
        "--site-packages",
        source,
        "-o",
        target,
        "-e",
        "program:tell",
        "-p",
        sys.executable,
    )
    for value, says in SAYS.items():
        # -I: of this environment's packages it sees none.
        assert run(target, value=value, SHIV_ROOT=str(tmp_path / "root")) == f"{says}\n"


@pytest.mark.timeout(240)
def test_pyinstaller(source: Path, tmp_path: Path) -> None:
    """Frozen as a whole, whatever the program imports; it brings no `site` that would go through `.pth` files."""
    if importlib.util.find_spec("PyInstaller") is None:
        pytest.skip("there is no PyInstaller for this Python")
    if not is_there(sysconfig.get_config_var("LDLIBRARY")):
        pytest.skip("PyInstaller needs a Python with a shared library that the system finds")
    options = [
        "--hidden-import",
        "rasyncio",
        "--log-level",
        "ERROR",
        "--distpath",
        tmp_path,
        "--workpath",
        tmp_path / "w",
    ]
    run(sys.executable, "-m", "PyInstaller", *options, "--specpath", tmp_path, source / "program.py")
    frozen = tmp_path / "program" / "program"
    for value, says in SAYS.items():
        assert run(frozen, value=value) == f"{says}\n"
    methods = ["fork", "spawn", "forkserver"]
    assert run(frozen, *methods, value="1") == f"{SAYS['1']}\n" * 4


def is_there(library: str) -> bool:
    folder = Path(sysconfig.get_config_var("LIBDIR"), library)
    return bool(sysconfig.get_config_var("Py_ENABLE_SHARED")) and folder.exists()


EMBEDDING = """\
#include <Python.h>

int main(int argc, char **argv) {
    PyConfig config;
    if (argc > 2)
        PyConfig_InitIsolatedConfig(&config);
    else
        PyConfig_InitPythonConfig(&config);
    PyStatus status = PyConfig_SetBytesString(&config, &config.executable, argv[1]);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    if (PyRun_SimpleString("import program; program.tell()"))
        return 1;
    return Py_FinalizeEx() < 0;
}
"""


def test_embedded(source: Path, tmp_path: Path) -> None:
    """In the C API's usual configuration the variable counts; in the isolated one, as with -I, none does."""
    library = sysconfig.get_config_var("LDLIBRARY")
    include = sysconfig.get_path("include")
    if not is_there(library) or not Path(include, "Python.h").exists():
        pytest.skip("this Python has no shared library or no headers to build with")
    (tmp_path / "embedding.c").write_text(EMBEDDING)
    folder = sysconfig.get_config_var("LIBDIR")
    name = library.removeprefix("lib").removesuffix(".so")
    options = [f"-I{include}", f"-L{folder}", f"-l{name}", f"-Wl,-rpath,{folder}"]
    run("cc", "-o", tmp_path / "embedding", tmp_path / "embedding.c", *options)
    for value, says in SAYS.items():
        assert run(tmp_path / "embedding", sys.executable, value=value, PYTHONPATH=str(source)) == f"{says}\n"
