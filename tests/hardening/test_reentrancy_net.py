"""A protocol may do anything in a callback: to its transport, its loop, itself.

Nothing crashes or hangs, and what comes of it is what it comes to on the stock loop. (The programs: scenarios_net.py.)
"""

from __future__ import annotations

import ast
import difflib
import functools
from pathlib import Path

import pytest

import scenarios_net
from support.impls import CRASH, evaluate
from support.loops import ENGINES
from support.net import FORGETS_LOSS

# What child processes did is kept for all tests of the file.
pytestmark = pytest.mark.xdist_group("reentrancy_net")

SETUP = """
import logging, warnings
logging.disable()
warnings.simplefilter("ignore")
from scenarios_net import scenario
import gc; gc.collect(); gc.freeze()  # the many collections below need not look at what was imported
def fresh():
    return {"scenario": scenario, "new_loop": new_loop}
"""
NAMES = [name for name in ENGINES if name != "ours-select"]
#: (place or nothing, action) -> why it need not come to the same.
NOT_COMPARED = {
    ("", "clear the dictionary"): "what asyncio keeps in there, ours does not",
    ("", "connection lost by hand"): "asyncio's own code then comes upon attributes that it has cleared",
    ("resume_writing", "raise SystemExit"): "asyncio goes on waiting for a descriptor that it has nothing to write to",
}


@functools.cache
def outcomes(name: str) -> dict[str, str]:
    """Everything that is tried, on one kind of event loop."""
    codes = [
        f"scenario(new_loop, {place!r}, {action!r})"
        for place in scenarios_net.PLACES
        for action in scenarios_net.ACTIONS
    ]
    return evaluate(f"loop {name}", SETUP, codes, path=[Path(__file__).parent])


def outcome(name: str, place: str, action: str) -> str:
    said = outcomes(name)[f"scenario(new_loop, {place!r}, {action!r})"]
    return said if said == CRASH else str(ast.literal_eval(said))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("action", scenarios_net.ACTIONS)
@pytest.mark.parametrize("place", scenarios_net.PLACES)
def test_reentrancy(name: str, place: str, action: str) -> None:
    said = outcome(name, place, action)
    assert said != CRASH
    assert place in said.splitlines(), "the action's place was not reached"
    if not {("", action), (place, action)} & NOT_COMPARED.keys():
        lines = outcome("stock", place, action).splitlines(), said.splitlines()
        if FORGETS_LOSS and "AttributeError" in "".join(lines[0]):
            return  # asyncio's own transport fails in abort() then
        assert lines[0] == lines[1], "\n".join(difflib.unified_diff(*lines, "stock", name, lineterm=""))
