"""Messages on the page for troubleshooting are those of the sources: whoever has one on the screen must find it."""

from __future__ import annotations

import ast
import asyncio
import re
from functools import cache
from pathlib import Path

import pytest

from pages.blocks import ROOT, sections

PAGE = ROOT / "docs" / "troubleshooting.md"
MESSAGES = [block.text.strip() for section in sections(PAGE) for block in section.blocks if block.title == "message"]


def python_strings(file: Path) -> list[str]:
    """Its strings as they are put together; what is filled in stands as `…`."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            found.append("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


@cache
def strings() -> list[str]:
    """Those of the package, and of asyncio, whose messages are on the page too."""
    homes = (ROOT / "python" / "rasyncio", Path(asyncio.__file__).parent)
    return [text for home in homes for file in sorted(home.glob("*.py")) for text in python_strings(file)]


def may_be(message: str, text: str) -> bool:
    """Whether the message can come of that string: the fixed parts of either are in the other, in their order."""
    fixed = [part for part in text.split("…") if part.strip()]
    if sum(map(len, fixed)) < 20:
        return False
    known = "".join(re.escape(part) if part != "…" else ".*" for part in re.split("(…)", message))
    for filled in (text, *(text.replace("…", name, 1) for name in ("install", "RASYNCIO"))):
        if re.fullmatch(known, filled, re.DOTALL):
            return True
    return False


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[:60])
def test_message(message: str) -> None:
    assert any(may_be(message, text) for text in strings())


def test_that_they_are_looked_for() -> None:
    assert len(MESSAGES) > 15
    assert not any(may_be("Future and Task are CPython's: call rasyncio.instal()", text) for text in strings())
