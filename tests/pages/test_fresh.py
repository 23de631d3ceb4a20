"""README.md's lines and the quick start's, typed as they stand in a fresh environment: what it has, they install."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pages.blocks import ROOT, Block, sections
from pages.test_blocks import check_section, command_of, environment
from support.children import PATIENCE

#: The wheel that `make build` has made for this Python stands for the one on the package index.
WHEELS = ROOT / ".cache" / "wheels" / "own"
SAYS_OURS = "event loop                rasyncio.EventLoop; running: rasyncio.EventLoop"


def fresh_environment(home: Path) -> dict[str, str]:
    """A new virtual environment, and the variables of a shell in which it is activated."""
    if not list(WHEELS.glob(f"*-cp{sys.version_info[0]}{sys.version_info[1]}-*.whl")):
        pytest.skip("there is no wheel for this Python: make build")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    # Its own would take as long to install as all the rest.
    pip = home / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip --python "{home}/bin/python" "$@"\n')
    pip.chmod(0o755)
    return environment(home, str(home)) | {"PIP_FIND_LINKS": f"{WHEELS} {os.environ.get('PIP_FIND_LINKS', '')}"}


def type_in(work: Path, variables: dict[str, str], block: Block, number: int) -> str:
    """What a block prints."""
    command = command_of(block, number, work)
    done = subprocess.run(command, cwd=work, env=variables, capture_output=True, text=True, timeout=100 * PATIENCE)
    assert done.returncode == 0, f"line {block.line}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.timeout(180)
def test_lines(tmp_path: Path) -> None:
    home, work = tmp_path / "environment", tmp_path / "work"
    work.mkdir()
    variables = fresh_environment(home) | {"PIP_NO_INDEX": "1"}
    said = {}
    for number, block in enumerate(next(sections(ROOT / "README.md")).blocks):
        if block.title:
            (work / block.title).write_text(block.text)
        elif block.runs:
            said[block.text.strip()] = type_in(work, variables, block, number)
    assert f"rasyncio-{version(home)}" in said["pip install rasyncio"]
    for line in ("RASYNCIO=1 python app.py", "python -m rasyncio app.py", "python -m rasyncio --check app.py"):
        assert SAYS_OURS in said[line].splitlines(), line


@pytest.mark.timeout(600)
def test_quick_start(tmp_path: Path) -> None:
    """From nothing to a service, a test and a notebook's kernel, by what the page installs and nothing else."""
    home = tmp_path / "environment"
    variables = fresh_environment(home)
    page = list(sections(ROOT / "docs" / "index.md"))
    installs = [block for section in page for block in section.blocks if block.text.startswith("pip install ")]
    for number, block in enumerate(installs):  # sections that serve have a network of their own, without the index
        type_in(tmp_path, variables, block, number)
    for number, section in enumerate(page):
        work = tmp_path / f"section{number}"
        work.mkdir()
        typed_blocks = [block for block in section.blocks if block not in installs]
        check_section(replace(section, blocks=typed_blocks), work, variables)


def version(home: Path) -> str:
    code = "import rasyncio; print(rasyncio.__version__)"
    return subprocess.run([home / "bin" / "python", "-c", code], capture_output=True, text=True, check=True).stdout[:-1]
