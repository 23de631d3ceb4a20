"""Each block of code on the pages runs as it stands there, and prints what the page says."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pages.blocks import PAGES, ROOT, Block, Section, matches, sections
from support.children import PATIENCE

SECTIONS = [section for page in PAGES for section in sections(page) if any(block.runs for block in section.blocks)]
REMARKS = ("serves ", "fails", "needs ", "not run, ")


def own_network() -> list[str]:
    """What to put before a command, so that it runs in a network of its own."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if not subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode:
            return command
    pytest.skip("`unshare -n` is refused here: a section would need ports that others may have")


def is_there(need: str) -> bool:
    kind, _, version = need.partition(" ")
    if kind == "Python":
        return sys.version_info[:2] >= tuple(map(int, version.split(".")))
    return importlib.util.find_spec(need) is not None


def command_of(block: Block, number: int, folder: Path) -> list[str]:
    if block.language == "sh":
        return ["bash", "-ec", block.text]
    (folder / f"block{number}.py").write_text(block.text)
    return ["python", f"block{number}.py"]


def environment(folder: Path, prefix: str = sys.prefix) -> dict[str, str]:
    """A shell's in an activated virtual environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RASYNCIO", "PYTHON", "PYTEST"))}
    path = f"{prefix}/bin{os.pathsep}{kept['PATH']}"
    return kept | {"PATH": path, "HOME": str(folder), "VIRTUAL_ENV": prefix, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_section(section: Section, tmp_path: Path) -> None:
    skipped = ""
    for number, block in enumerate(section.blocks):
        missing = [need for need in block.remark("needs") if not is_there(need)]
        if missing:
            skipped = f"{missing[0]} is not here"
            section = replace(section, blocks=section.blocks[:number])
            break
    check_section(section, tmp_path, environment(tmp_path))
    if skipped:
        pytest.skip(skipped)


def check_section(section: Section, folder: Path, variables: dict[str, str]) -> None:
    """Type all of it in a folder, and compare what it prints."""
    steps, ran = [], []
    for number, block in enumerate(section.blocks):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text)
        if block.runs:
            url = "".join(block.remark("serves"))
            command = command_of(block, number, folder)
            steps.append({"command": command, "url": url, "patience": 60 * PATIENCE, "fails": "fails" in block.remarks})
            ran.append(block)
    results, log = typed(steps, folder, variables, in_own_network=section.serves)
    for block, result in zip(ran, results, strict=False):
        where = f"{section.page.relative_to(ROOT)}:{block.line}"
        fails = "fails" in block.remarks
        assert (result["status"] != 0) == fails, f"{where}: exit status {result['status']}\n{result['said']}"
        if block.prints is not None and not block.remark("serves"):
            assert matches(block.prints, result["said"]), f"{where} expects\n{block.prints}\nand got\n{result['said']}"
    assert len(results) == len(ran), log


def typed(
    steps: list[dict[str, object]], folder: Path, variables: dict[str, str], *, in_own_network: bool
) -> tuple[list[Any], str]:
    """What came of each step, up to the first that failed, and what the typist itself has to say."""
    done = subprocess.run(
        [*(own_network() if in_own_network else []), sys.executable, str(Path(__file__).with_name("typed.py"))],
        cwd=folder,
        env=variables,
        input=json.dumps(steps),
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.timeout(120)
def test_image(tmp_path: Path) -> None:
    """What the Dockerfile on the page starts, with its variable, is on rasyncio: the application of another section."""
    page = {section.title: section for section in sections(ROOT / "docs" / "by-framework.md")}
    (dockerfile,) = (block.text for block in page["Docker"].blocks if block.title == "Dockerfile")
    (application,) = (block.text for block in page["FastAPI and uvicorn"].blocks if block.title == "app.py")
    (tmp_path / "app.py").write_text(application)
    lines = dict(line.split(" ", 1) for line in dockerfile.splitlines())
    packages = lines["RUN"].removeprefix("pip install --no-cache-dir ").split()
    assert all(importlib.util.find_spec(package) for package in packages)
    command = ["env", lines["ENV"], *json.loads(lines["CMD"])]
    url = "http://127.0.0.1:8000/"
    serve = {"command": command, "url": url, "patience": 60 * PATIENCE, "fails": False}
    look = {"command": ["curl", "-s", url], "url": "", "fails": False}
    results, log = typed([serve, look], tmp_path, environment(tmp_path), in_own_network=True)
    assert len(results) == 2 and results[1]["said"] == '{"runs on":"rasyncio.EventLoop"}', (results, log)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_remarks(page: Path) -> None:
    """A remark that is misspelt would let a block go unseen."""
    for section in sections(page):
        for block in section.blocks:
            for remark in block.remarks:
                assert remark.startswith(REMARKS), f"{page.name}:{block.line}: {remark!r}"
            for url in block.remark("serves"):
                assert url.startswith("http://127.0.0.1:"), f"{page.name}:{block.line}"


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("a\n", "a\n\n", True),
        ("a ... z\n", "a b c z", True),
        ("first\n...\nlast\n", "first\n1\n2\nlast\n", True),
        ("a\n", "a\nb\n", False),
        ("a ... z\n", "a b c", False),
    ],
)
def test_matches(expected: str, found: str, same: bool) -> None:
    assert matches(expected, found) is same
