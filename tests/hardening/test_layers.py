"""The layers of `src/`: each room uses those below it only, and no file goes round in a circle with another.

The table is CONTRIBUTING.md's. What a file uses are the paths in it that begin with `crate::` or `super::`; a name that
`mod.rs` hands on counts for the file that it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "Cargo.toml").exists())
SOURCES = ROOT / "src"
#: The rooms, from the ground up. Those of one floor do not know each other.
FLOORS = (
    ("sys",),
    ("histogram", "io", "names", "versions"),
    ("asyncio", "job", "replaced"),
    ("handle", "state"),
    ("event_loop",),
    ("sched", "watchdog"),
    ("future",),
    ("task",),
    ("graft",),
    ("net", "sync", "group", "time", "chain"),
    ("streams",),
    ("module",),
    ("lib",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: How a coroutine is driven is a circle: a step suspends the task, a wake-up steps it again.
THE_CIRCLE = frozenset({"task/step", "task/step_wrapper", "task/suspend", "task/wakeup"})

PATH = re.compile(r"\b(?P<root>crate|super)::(?P<rest>\{[^;]*?\};|[\w:]+(?:\{[^;]*?\};)?)")


def room_of(source: Path) -> str:
    return source.relative_to(SOURCES).parts[0].removesuffix(".rs")


def code_of(source: Path) -> str:
    """Without comments, in whose links a name may stand that is not used."""
    return re.sub(r"//[^\n]*", "", source.read_text())


def expanded(path: str) -> Iterator[str]:
    """`a::{b, c::{d, e}}` as its single paths."""
    path = path.strip().removesuffix(";").strip()
    if "{" not in path:
        if path:
            yield path.split(" as ")[0].strip().rstrip(":")
        return
    head, inner = path.split("{", 1)
    inner = inner[: inner.rindex("}")]
    depth, part = 0, ""
    for character in inner + ",":
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            for one in expanded(part):
                yield head + one
            part = ""
        else:
            part += character


def paths_of(source: Path) -> Iterator[tuple[str, list[str]]]:
    """The root, `crate` or `super`, and the parts of each path that the file uses."""
    for match in PATH.finditer(code_of(source)):
        for path in expanded(match["rest"]):
            yield match["root"], [part for part in path.split("::") if part]


def rooms_used(source: Path) -> set[str]:
    return {parts[0] for root, parts in paths_of(source) if root == "crate" and parts}


def handed_on(room: Path) -> dict[str, str]:
    """What the room's `mod.rs` hands on under its own name, and the file that it is from."""
    text = code_of(room / "mod.rs")
    files = {file.stem for file in room.glob("*.rs")}
    names = {}
    for use in re.findall(r"pub\(\w+\) use ([^;]*);", text):
        for path in expanded(use):
            parts = path.split("::")
            if parts[0] in files:
                names[parts[-1]] = parts[0]
    return names


def files_used(source: Path) -> set[str]:
    """The files of its own room that a file uses."""
    room = source.parent
    names, files = handed_on(room), {file.stem for file in room.glob("*.rs")} - {"mod"}
    used = set()
    for root, parts in paths_of(source):
        inside = parts[1:] if root == "crate" and parts[:1] == [room.name] else parts if root == "super" else []
        if inside:
            used.add(inside[0] if inside[0] in files else names.get(inside[0], "mod"))
    return used - {source.stem}


ROOMS = sorted(path for path in SOURCES.iterdir() if path.is_dir())
FILES = sorted(SOURCES.rglob("*.rs"))


def test_every_room_has_its_floor() -> None:
    assert {room_of(source) for source in FILES} == set(FLOOR)


@pytest.mark.parametrize("source", FILES, ids=lambda source: source.relative_to(SOURCES).as_posix())
def test_no_arrow_runs_upwards(source: Path) -> None:
    own = room_of(source)
    above = {room for room in rooms_used(source) - {own} if room in FLOOR and FLOOR[room] >= FLOOR[own]}
    assert not above


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_no_file_goes_round_in_a_circle(room: Path) -> None:
    graph = {
        f"{room.name}/{source.stem}": {f"{room.name}/{used}" for used in files_used(source) - {"mod"}}
        for source in room.glob("*.rs")
        if source.stem != "mod"
    }
    without_the_circle = {file: used - THE_CIRCLE if file in THE_CIRCLE else used for file, used in graph.items()}
    try:
        TopologicalSorter(without_the_circle).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_paths_are_found(tmp_path: Path) -> None:
    """The other tests would pass if none were."""
    source = tmp_path / "a.rs"
    source.write_text(
        "use crate::sys::{self, Object, call};\nuse crate::{future, task::{self, step}};\n// crate::lib\n"
        "use super::{poll, run::time};\nfn f() { crate::state::thread::forget(); super::step::step(); }\n"
    )
    found = {f"{root}::{'::'.join(parts)}" for root, parts in paths_of(source)}
    assert found == {
        "crate::sys::self",
        "crate::sys::Object",
        "crate::sys::call",
        "crate::future",
        "crate::task::self",
        "crate::task::step",
        "super::poll",
        "super::run::time",
        "crate::state::thread::forget",
        "super::step::step",
    }


def test_the_table_of_rooms_is_the_documented_one() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    documented = re.findall(r"^\| \d+ \| `src/(\w+)(?:/|\.rs)`", text, re.MULTILINE)
    assert sorted(documented) == sorted(FLOOR)
    floors = [int(number) for number in re.findall(r"^\| (\d+) \| `src/\w+(?:/|\.rs)`", text, re.MULTILINE)]
    assert [FLOOR[room] for room in documented] == floors
