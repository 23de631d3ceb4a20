"""`unsafe` stays where it is: in src/sys/, and in the few items outside of it that are listed here.

rustc refuses it anywhere else (`unsafe_code = "deny"`), unless an attribute says otherwise; those are what is counted.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
#: Why an item outside of src/sys/ may have `unsafe` in it, and which items those are.
EXCEPTIONS = {
    # The one question that is asked at every call_soon.
    "the class was looked at before, and asking again would cost more": ["event_loop/plain.rs: fn plain"],
    # Rust's type for it wants it open, which nobody can promise of a number from Python.
    "a descriptor that Python code owns": ["io/epoll.rs: fn borrowed"],
}

ATTRIBUTE = re.compile(
    r'(?:expect|allow|warn)\([^)]*\bunsafe_code(?:, reason = "(?P<reason>[^"]*)")?\)\]'
    r"(?:\s*(?:#\[[^\n]*\]|//[^\n]*))*\s*(?P<item>[^\n]*)"
)


def exceptions_of(source: Path) -> list[tuple[str | None, str]]:
    """The reason and the item of each attribute that lets `unsafe` in."""
    name = source.relative_to(SOURCES).as_posix()
    found = []
    for match in ATTRIBUTE.finditer(source.read_text()):
        item = re.search(r"(impl [^{]*[^{ ]|fn \w+)", match["item"])
        found.append((match["reason"], f"{name}: {item[1] if item else match['item']}"))
    return found


def test_rustc_refuses_unsafe_code() -> None:
    assert tomllib.loads((ROOT / "Cargo.toml").read_text())["lints"]["rust"]["unsafe_code"] == "deny"


def test_exceptions_are_those_that_are_listed() -> None:
    outside = [source for source in SOURCES.rglob("*.rs") if source.parent != SOURCES / "sys"]
    found = Counter(exception for source in outside for exception in exceptions_of(source))
    assert found == Counter((reason, item) for reason, items in EXCEPTIONS.items() for item in items)


def test_in_sys_it_is_the_module_and_its_macros() -> None:
    lets_in = {source.name for source in (SOURCES / "sys").glob("*.rs") if exceptions_of(source)}
    assert lets_in == {"life.rs", "list.rs", "mod.rs", "part.rs", "python_function.rs", "slots.rs"}


def test_attributes_are_found(tmp_path: Path) -> None:
    """The other tests would pass if none were."""
    for text in ("#[allow(unsafe_code)]\nfn new()", "#[expect(dead_code, unsafe_code)]\n#[inline]\npub fn new()"):
        assert ATTRIBUTE.search(text), text


def test_python_code_is_entered_through_one_module() -> None:
    """What sys/enter.rs declares anew is called through it only: pyo3's own declarations are no good for it."""
    entered = set(re.findall(r"\bfn (_?Py\w+)\(", (SOURCES / "sys" / "enter.rs").read_text()))
    assert len(entered) > 50
    for source in SOURCES.rglob("*.rs"):
        if source.name != "enter.rs":
            called = set(re.findall(r"\bffi::(?:compat::)?(_?Py\w+)\(", source.read_text()))
            assert not called & (entered | {"Py_XDECREF"}), source


def test_tests_that_the_documentation_names_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::([\w:]+))?`", (ROOT / "docs" / "safety.md").read_text())
    assert len(named) > 40
    for file, test in named:
        text = (ROOT / file).read_text()
        for name in filter(None, test.split("::")):
            assert re.search(rf"^ *(def|class) {name}\b", text, re.MULTILINE), f"{file}::{test}"
