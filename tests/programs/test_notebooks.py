"""IPython and Jupyter: `%load_ext rasyncio`, and the kernel that `python -m rasyncio --kernelspec` writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.children import PATIENCE, run_python

#: What a cell runs on.
CELL = "import rasyncio\nstatus = rasyncio.status()\nprint(status.future_and_task, status.running, *status.remarks)"
OURS = "rasyncio rasyncio.EventLoop"

SHELL = """
import os, tempfile
os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.autoawait = True
for cell in {cells}:
    shell.run_cell(cell).raise_error()
shell.history_manager.end_session()
"""


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RASYNCIO", raising=False)


@pytest.mark.parametrize("before", [[], ["import asyncio\nawait asyncio.sleep(0)"]], ids=["first", "later"])
def test_extension_in_a_terminal(before: list[str]) -> None:
    """IPython keeps one loop for all cells with `await` in them; the one that it has made before is not used."""
    cells = [*before, "%load_ext rasyncio", f"import asyncio\nawait asyncio.sleep(0)\n{CELL}"]
    done = run_python(SHELL.format(cells=cells), flags=())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(OURS)


def test_loop_with_tasks_is_kept() -> None:
    cells = [
        "import asyncio\n"
        "async def work(): await asyncio.sleep(0.01); return 'done'\n"
        "task = asyncio.create_task(work())\n"
        "await asyncio.sleep(0)",
        "%load_ext rasyncio",
        "print(await task)",
    ]
    done = run_python(SHELL.format(cells=cells), flags=())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done"


@pytest.mark.timeout(180)
def test_kernel(tmp_path: Path) -> None:
    """The one that is written runs on rasyncio; in another, the extension says what to type."""
    write = "import sys; sys.prefix = sys.base_prefix; from rasyncio.__main__ import main; main(['--kernelspec'])"
    environment = {**os.environ, "JUPYTER_DATA_DIR": str(tmp_path), "IPYTHONDIR": str(tmp_path)}
    done = run_python(write, flags=(), env=environment)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "kernels" / "rasyncio"
    assert done.stdout.splitlines()[0] == str(folder)
    *typed, name = done.stdout.rstrip().partition("; or type: ")[2].split()
    assert [*typed, name] == ["jupyter", "run", "--kernel", "rasyncio", "app.py"]
    spec = json.loads((folder / "kernel.json").read_text())
    assert spec["display_name"] == f"Python {sys.version_info[0]} (rasyncio)" and spec["argv"][0] == sys.executable
    (tmp_path / "app.py").write_text(CELL)
    run = [sys.executable, "-m", *typed, str(tmp_path / name)]
    shown = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120 * PATIENCE)
    assert shown.stdout.strip() == OURS, shown.stderr
    run_cells = f"""
    import queue, sys, tempfile
    from jupyter_client.manager import KernelManager

    def said_by(kernel, cell):
        # Not TCP: a port that the manager has found free may be taken when the kernel binds it.
        directory = tempfile.TemporaryDirectory()
        manager = KernelManager(transport="ipc", ip=directory.name + "/kernel", kernel_name=kernel)
        manager.start_kernel()
        client = manager.blocking_client()
        client.start_channels()
        said = []
        def hook(message):
            content = message["content"]
            said.append(content.get("text") or content.get("evalue") or "")
        try:
            client.wait_for_ready(timeout=60)
            client.execute_interactive(cell, timeout=60, output_hook=hook)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            directory.cleanup()
        return " ".join(said)

    print(said_by("rasyncio", {CELL!r}).strip())
    print(said_by("python3", "%load_ext rasyncio").strip())
    """
    done = run_python(run_cells, flags=(), env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    ours, refused = done.stdout.splitlines()
    assert ours == OURS
    assert "cannot be called while an event loop is running" in refused
    assert "Type `python -m rasyncio --kernelspec` in a shell" in refused


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("main(['--kernelspec', 'app.py'])", "--kernelspec takes no program, and got app.py"),
        (
            "import importlib.util; importlib.util.find_spec = lambda name: None; main(['--kernelspec'])",
            f"ipykernel is not here: type {sys.executable} -m pip install ipykernel",
        ),
    ],
)
def test_kernel_that_cannot_be_written(code: str, says: str) -> None:
    done = run_python(f"from rasyncio.__main__ import main; {code}", timeout=60 * PATIENCE)
    assert done.returncode in (1, 2) and (done.stdout, done.stderr) == ("", f"{says}\n")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"JUPYTER_DATA_DIR": "/data"}, "/data"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/jupyter"),
        ({"HOME": "/home/me"}, "/home/me/.local/share/jupyter"),
    ],
)
def test_where_jupyter_looks(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    """As jupyter_core says."""
    from rasyncio import _kernelspec

    for name in ("JUPYTER_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    assert str(_kernelspec._data_folder()) == str(Path(sys.prefix) / "share" / "jupyter")
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert str(_kernelspec._data_folder()) == expected
