"""The pages that people read, and the blocks of code on them: what each is, and what a test does with it.

A section, from one heading of the second level to the next, is what somebody types in one folder, from top to bottom:

* a block with a title (```` ```python title="app.py" ````) is a file that is written there;
* a `python` block without one is a program that runs;
* an `sh` block is typed into a shell;
* a `text` block right after one of these is what it prints; `...` stands for anything, on a line or between lines;
* any other block is only there to be read.

A comment above a block says what a page does not show:

* `<!-- block: serves http://127.0.0.1:8000/ -->`: it runs until the section ends or the next one serves, and what comes
  below is typed as soon as it answers there;
* `<!-- block: fails -->`: it ends with another exit status than 0;
* `<!-- block: needs PACKAGE -->` or `needs Python 3.12`: where there is none, the section is skipped from here on;
* `<!-- block: not run, REASON -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What is read as a page of the documentation.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w-]*)(?P<rest>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_COMMENT = re.compile(r"^ *<!-- block: (.*?) -->$")


@dataclass
class Block:
    """A block of code."""

    language: str
    title: str | None
    text: str
    line: int
    remarks: list[str] = field(default_factory=list)
    prints: str | None = None
    """What a test expects it to print, on stdout and stderr."""

    def remark(self, kind: str) -> list[str]:
        """What the remarks of that kind say."""
        return [remark[len(kind) :].strip(" ,") for remark in self.remarks if remark.startswith(kind)]

    @property
    def runs(self) -> bool:
        """Whether it is something to run."""
        return self.language in ("sh", "python") and self.title is None and not self.remark("not run")


@dataclass
class Section:
    """What is typed in one folder."""

    page: Path
    title: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.title}"

    @property
    def serves(self) -> bool:
        return any(block.remark("serves") for block in self.blocks)


def sections(page: Path) -> Iterator[Section]:
    """A page's sections, those that have no block included."""
    section = Section(page, "(top)")
    remarks: list[str] = []
    lines = enumerate(page.read_text().splitlines(), 1)
    for number, line in lines:
        if comment := _COMMENT.match(line):
            remarks.append(comment[1])
        elif opening := _FENCE.match(line):
            content = []
            for _, inside in lines:
                if inside.strip() == opening["fence"]:
                    break
                content.append(inside.removeprefix(opening["indent"]) + "\n")
            title = _TITLE.search(opening["rest"])
            block = Block(opening["language"], title and title[1], "".join(content), number, remarks)
            remarks = []
            if block.language == "text" and block.title is None and section.blocks and section.blocks[-1].runs:
                section.blocks[-1].prints = block.text
            section.blocks.append(block)
        elif line.startswith("## "):
            yield section
            section = Section(page, line[3:].strip())
    yield section


def matches(expected: str, found: str) -> bool:
    """Whether a program printed that, where `...` stands for anything."""
    parts = (re.escape(part) for part in "\n".join(map(str.rstrip, expected.strip().splitlines())).split("..."))
    return (
        re.fullmatch(".*?".join(parts), "\n".join(map(str.rstrip, found.strip().splitlines())), re.DOTALL) is not None
    )
