"""README.md's lines, typed as they stand in a fresh environment: it has nothing but what the first of them installs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pages.blocks import ROOT, sections
from support.children import PATIENCE

#: The wheel that `make build` has made for this Python stands for the one on the package index.
WHEELS = ROOT / ".cache" / "wheels" / "own"
SAYS_OURS = "event loop                rasyncio.EventLoop; running: rasyncio.EventLoop"


@pytest.mark.timeout(180)
def test_lines(tmp_path: Path) -> None:
    if not list(WHEELS.glob(f"*-cp{sys.version_info[0]}{sys.version_info[1]}-*.whl")):
        pytest.skip("there is no wheel for this Python: make build")
    home, work = tmp_path / "environment", tmp_path / "work"
    work.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    # Its own would take as long to install as all the rest.
    pip = home / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip --python "{home}/bin/python" "$@"\n')
    pip.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RASYNCIO", "PYTHON", "PIP"))}
    variables = kept | {
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(WHEELS),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    said = {}
    for number, block in enumerate(next(sections(ROOT / "README.md")).blocks):
        if block.title:
            (work / block.title).write_text(block.text)
        elif block.runs:
            (work / f"block{number}.py").write_text(block.text)
            command = ["bash", "-ec", block.text] if block.language == "sh" else ["python", f"block{number}.py"]
            done = subprocess.run(
                command, cwd=work, env=variables, capture_output=True, text=True, timeout=100 * PATIENCE
            )
            assert done.returncode == 0, f"README.md:{block.line}\n{done.stdout}{done.stderr}"
            said[block.text.strip()] = done.stdout
    assert f"rasyncio-{version(home)}" in said["pip install rasyncio"]
    for line in ("RASYNCIO=1 python app.py", "python -m rasyncio app.py", "python -m rasyncio --check app.py"):
        assert SAYS_OURS in said[line].splitlines(), line


def version(home: Path) -> str:
    code = "import rasyncio; print(rasyncio.__version__)"
    return subprocess.run([home / "bin" / "python", "-c", code], capture_output=True, text=True, check=True).stdout[:-1]
