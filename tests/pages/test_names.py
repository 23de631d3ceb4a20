"""What the pages say of tests: each that is named is there, and a table's gaps are those of the packages."""

from __future__ import annotations

import ast
import html
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

import rasyncio
from pages.blocks import PAGES, ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::([\w:]+))?`")
VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
#: The packages of rows whose names do not have them.
PACKAGES = {"FastAPI with a database": "sqlalchemy", "SQLAlchemy's asyncio": "sqlalchemy"}


@cache
def names(file: Path) -> set[str]:
    """A file's classes and functions, as pytest names them."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {node.name, *(f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_are_there(page: Path) -> None:
    for file, name in _TEST.findall(page.read_text()):
        assert (ROOT / file).is_file(), file
        assert not name or name in names(ROOT / file), f"{file}::{name}"


def test_all_public_names_are_on_the_api_s_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    names = set(rasyncio.__all__) - {"__version__"}
    assert {
        name for name in names if not re.search(rf"::: rasyncio\.(_\w+\.)?{name}$|`rasyncio\.{name}`", page, re.M)
    } == set()


@pytest.mark.parametrize("source", sorted((ROOT / "docs" / "diagrams").glob("*.dot")), ids=lambda file: file.stem)
def test_diagrams_are_drawn(source: Path) -> None:
    """Each word of what describes a diagram is in the picture; where not: make diagrams."""
    labels = re.findall(r'label=(?:"(.*?)"|<(.*?)>\])', source.read_text(), re.DOTALL)
    words = {word for pair in labels for word in re.split(r"\\n|<[^>]*>|\s+", "".join(pair)) if word}
    shown = html.unescape(re.sub(r"<[^>]*>", " ", source.with_suffix(".svg").read_text()))
    assert len(words) > 10
    assert {word for word in words if word not in shown} == set()


def rows() -> dict[str, list[str]]:
    """Those of the matrix: subject, versions, test."""
    found = {}
    matrix, _, _ = (ROOT / "docs" / "compatibility.md").read_text().partition("## CPython's own tests")
    for line in matrix.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 2 + len(VERSIONS) and cells[-1] not in ("test", "---"):  # no head
            found[cells[0]] = cells[1:]
    return found


def test_each_row_names_its_test() -> None:
    assert len(rows()) > 30
    assert [subject for subject, cells in rows().items() if not _TEST.search(cells[-1])] == []


def test_gaps_are_those_of_the_packages() -> None:
    """A dash where our own requirements leave the package out on that Python, and nowhere else."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["test"]
    left_out = {
        re.split(r"[\[<>=]", line)[0]: version
        for line in required
        if isinstance(line, str) and (version := "".join(re.findall(r"python_version < '([\d.]+)'", line)))
    }
    assert left_out
    for subject, cells in rows().items():
        package = PACKAGES.get(subject, subject.split(" ")[0].lower())
        expected = [version for version in VERSIONS if version == left_out.get(package)]
        assert [version for version, cell in zip(VERSIONS, cells, strict=False) if cell == "\N{EN DASH}"] == expected, (
            subject
        )
