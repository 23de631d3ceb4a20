"""A protocol may do anything in a callback: to its transport, its loop, itself.

Nothing crashes or hangs, and what comes of it is what it comes to on the stock loop. (The programs: scenarios_net.py
and scenarios_pipes.py.)
"""

from __future__ import annotations

import ast
import difflib
import functools
from pathlib import Path

import pytest

import scenarios_net
import scenarios_pipes
from support.impls import CRASH, evaluate
from support.loops import ENGINES
from support.net import FORGETS_LOSS

# What child processes did is kept for all tests of the file.
pytestmark = pytest.mark.xdist_group("reentrancy_net")

SETUP = """
import logging, warnings
logging.disable()
warnings.simplefilter("ignore")
from {module} import scenario
import gc; gc.collect(); gc.freeze()  # the many collections below need not look at what was imported
def fresh():
    return {{"scenario": scenario, "new_loop": new_loop}}
"""
NAMES = [name for name in ENGINES if name != "ours-select"]
MODULES = {module.__name__: module for module in (scenarios_net, scenarios_pipes)}
CASES = [(name, place, action) for name, of in MODULES.items() for place in of.PLACES for action in of.ACTIONS]
#: (place or nothing, action) -> why it need not come to the same.
NOT_COMPARED = {
    ("", "clear the dictionary"): "what asyncio keeps in there, ours does not",
    ("", "connection lost by hand"): "asyncio's own code then comes upon attributes that it has cleared",
    ("factory", "raise SystemExit"): "how long a traceback's frames keep the connection's task",
    ("resume_writing", "raise SystemExit"): "asyncio goes on waiting for a descriptor that it has nothing to write to",
}


@functools.cache
def outcomes(module: str, name: str) -> dict[str, str]:
    """Everything that is tried, on one kind of event loop."""
    codes = [f"scenario(new_loop, {place!r}, {action!r})" for of, place, action in CASES if of == module]
    return evaluate(f"loop {name}", SETUP.format(module=module), codes, path=[Path(__file__).parent])


def outcome(module: str, name: str, place: str, action: str) -> str:
    said = outcomes(module, name)[f"scenario(new_loop, {place!r}, {action!r})"]
    return said if said == CRASH else str(ast.literal_eval(said))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("module", "place", "action"), CASES)
def test_reentrancy(name: str, module: str, place: str, action: str) -> None:
    said = outcome(module, name, place, action)
    assert said != CRASH
    assert place in said.splitlines(), "the action's place was not reached"
    if not {("", action), (place, action)} & NOT_COMPARED.keys():
        lines = outcome(module, "stock", place, action).splitlines(), said.splitlines()
        if FORGETS_LOSS and "AttributeError" in "".join(lines[0]):
            return  # asyncio's own transport fails in abort() then
        assert lines[0] == lines[1], "\n".join(difflib.unified_diff(*lines, "stock", name, lineterm=""))
