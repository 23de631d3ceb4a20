"""tools/check_wheel refuses a wheel that lacks something, or has too much; `make wheel` runs it on a real one."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("check_wheel", str(ROOT / "tools" / "check_wheel"))
    spec = importlib.util.spec_from_loader("check_wheel", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def contents() -> dict[str, str]:
    home = ROOT / "python" / "rasyncio"
    files = (file for file in home.rglob("*") if file.is_file() and file.suffix not in (".so", ".pyc"))
    return {
        **{f"rasyncio/{file.relative_to(home)}": "" for file in files},
        "rasyncio/_asyncio.cpython-311-x86_64-linux-gnu.so": "",
        f"rasyncio-{VERSION}.data/platlib/rasyncio.pth": "",
        f"rasyncio-{VERSION}.dist-info/METADATA": f"Name: rasyncio\nVersion: {VERSION}\n",
        f"rasyncio-{VERSION}.dist-info/licenses/LICENSE": "",
        f"rasyncio-{VERSION}.dist-info/entry_points.txt": "",
    }


def made(folder: Path, files: dict[str, str], version: str = VERSION) -> Path:
    wheel = folder / f"rasyncio-{version}-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def test_whole(tool: ModuleType, tmp_path: Path) -> None:
    tool.check_contents(made(tmp_path, contents()))


def test_the_wheel_of_this_build(tool: ModuleType) -> None:
    """What `make build` has made: it has its files, and runs in an environment of its own."""
    wheels = [*(ROOT / ".cache" / "wheels" / "own").glob("*.whl")]
    if not wheels:
        pytest.skip("there is no wheel in .cache/wheels/own: rasyncio was not installed by make build")
    tool.check_contents(wheels[0])
    tool.check_installed(wheels[0], sys.executable)


@pytest.mark.parametrize(
    "name",
    [
        "rasyncio/_startup.py",
        "rasyncio/py.typed",
        "rasyncio/inside/page/page.js",
        f"rasyncio-{VERSION}.data/platlib/rasyncio.pth",
    ],
)
def test_lacks_a_file(tool: ModuleType, tmp_path: Path, name: str) -> None:
    files = contents()
    del files[name]
    with pytest.raises(SystemExit, match=f"it lacks {name}"):
        tool.check_contents(made(tmp_path, files))


@pytest.mark.parametrize("name", ["rasyncio/old.so", "rasyncio/__pycache__/_swap.cpython-311.pyc"])
def test_has_too_much(tool: ModuleType, tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit, match="one extension module and no compiled files"):
        tool.check_contents(made(tmp_path, contents() | {name: ""}))


def test_depends_on_something(tool: ModuleType, tmp_path: Path) -> None:
    metadata = f"Name: rasyncio\nVersion: {VERSION}\nRequires-Dist: uvloop\n"
    files = contents() | {f"rasyncio-{VERSION}.dist-info/METADATA": metadata}
    with pytest.raises(SystemExit, match="may depend on nothing"):
        tool.check_contents(made(tmp_path, files))


def test_depends_on_something_for_an_extra(tool: ModuleType, tmp_path: Path) -> None:
    metadata = f"Name: rasyncio\nVersion: {VERSION}\nRequires-Dist: rich>=13 ; extra == 'top'\n"
    tool.check_contents(made(tmp_path, contents() | {f"rasyncio-{VERSION}.dist-info/METADATA": metadata}))


def test_other_version(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"is not of version {VERSION}"):
        tool.check_contents(made(tmp_path, contents(), "9.9.9"))
