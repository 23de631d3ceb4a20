"""Links on the pages: each leads to a file that is there, and to a heading of it. Other sites are not asked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages.blocks import PAGES, ROOT

#: These are read too, though no block of theirs is run.
ALL = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benches/README.md"))]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
#: Where the repository's files are seen and fetched.
OWN = (
    f"{REPOSITORY}/blob/main/",
    f"{REPOSITORY}/tree/main/",
    f"{REPOSITORY.replace('github', 'raw.githubusercontent')}/main/",
)

#: These are no headings: the site shows a picture with such an ending on light pages only, or on dark ones.
SCHEMES = ("only-light", "only-dark")

_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: [^)]*)?\)|(?:src|srcset|href)=\"([^\"]+)\"")
_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[str]:
    text = _CODE.sub("", page.read_text())
    for found in _LINK.finditer(text):
        yield found[1] or found[2]


def anchors(page: Path) -> set[str]:
    """Those that GitHub makes of headings; the site's are the same for what the pages have."""
    found: set[str] = set()
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.*?)$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = sum(1 for other in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other))
        found.add(f"{slug}-{count}" if count else slug)
    return found | set(re.findall(r'(?:id|name)="([^"]+)"', text))


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_own_links(page: Path) -> None:
    broken = []
    for link in links(page):
        own = next((link.removeprefix(start) for start in OWN if link.startswith(start)), None)
        if own is None and re.match(r"\w+:", link):
            continue
        place, _, anchor = (link if own is None else own).partition("#")
        target = page if not place else (ROOT if own is not None else page.parent) / place
        there = target.exists() and (not anchor or anchor in SCHEMES or anchor in anchors(target))
        broken += [] if there else [link]
    assert not broken


def test_read_elsewhere() -> None:
    """The package index shows the README, where nothing can be told from a place in the repository."""
    assert [link for link in links(ROOT / "README.md") if not re.match(r"https://", link)] == []


def test_package_index_shows_it_all(caplog: pytest.LogCaptureFixture) -> None:
    markdown = pytest.importorskip("readme_renderer.markdown", reason="it has no wheel for this Python")
    text = (ROOT / "README.md").read_text()
    shown = markdown.render(text)
    assert shown is not None and "mermaid" not in text
    assert shown.count("<table") == 1 and shown.count("<picture") == 1 and shown.count("front-light.svg") == 1
    for heading in re.findall(r"^## (.*)$", text, re.MULTILINE):
        assert f">{heading}<" in shown
