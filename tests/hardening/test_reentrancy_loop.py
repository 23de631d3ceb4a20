"""Python code that runs in the middle of the event loop's work may do anything to the loop, wherever there is any.

Nothing crashes or hangs, and what comes of it is what the stock loop makes of it. (The programs: scenarios_loop.py.)
Where our loop runs Python code (`src/event_loop`, `src/sched`), and the operation that comes by:

* a handle's callback, in its context or in what was given as one: callbacks, timers, foreign context, entered context;
* letting go of a callback, its arguments, a handle: freed callbacks, many cancelled timers, weak references;
* delays and times that are no numbers: delays, odd times;
* a file's `fileno()`, a reader or writer that is replaced: files;
* the exception handler, the repr of a failed callback: reports; the task factory, a task's step: factory;
* what Python code put into the queue: foreign handle;
* methods that a subclass overrides: overridden; a selector of Python's: selector;
* asyncio's code for debug mode: debug; the collector's callbacks: collections; profilers and `sys.monitoring`: traced,
  monitored;
* changes of the loop's class and its bases, while it runs: subclassed.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import scenarios_loop
from support.impls import CRASH, evaluate
from support.loops import ENGINES

# What child processes did is kept for all tests of the file.
pytestmark = pytest.mark.xdist_group("reentrancy_loop")

SETUP = """
import logging, warnings
logging.disable()
warnings.simplefilter("ignore")
from scenarios_loop import scenario
import gc; gc.collect(); gc.freeze()  # the many collections below need not look at what was imported
def fresh():
    return {"scenario": scenario, "new_loop": new_loop}
"""

PLACES = [(operation, place) for operation, (_, places) in scenarios_loop.OPERATIONS.items() for place in places]
#: All but the operation "selector" passes by what these two differ in: the selector.
NAMES = [name for name in ENGINES if name != "ours-select"]


@functools.cache
def outcomes(name: str) -> dict[str, str]:
    """Everything that is tried, on one kind of event loop."""
    codes = [
        f"scenario(new_loop, {operation!r}, {place!r}, {action!r})"
        for operation, place in PLACES
        for action in scenarios_loop.ACTIONS
    ]
    return evaluate(f"loop {name}", SETUP, codes, path=[Path(__file__).parent])


def outcome(name: str, operation: str, place: str, action: str) -> str:
    said = outcomes(name)[f"scenario(new_loop, {operation!r}, {place!r}, {action!r})"]
    return said if said == CRASH else str(ast.literal_eval(said))


#: Our loop lets go of a handle when it has run, asyncio's when it takes the next one: what is queued then differs.
FREED_SOONER = {
    ("freed callbacks", "free first"),
    ("freed callbacks", "free second"),
    ("many cancelled timers", "free swept"),
    ("weak references", "weakref callback"),
}
#: Ours takes `float(when)` at once; asyncio's compares and subtracts what it was given, when the time comes.
NOT_ON_STOCK = {("odd times", "float when")}
#: A task that nobody has is reported when the last traceback goes, and ours have fewer frames.
REPORTED_SOONER = {"factory"}
#: (operation, place, action) -> what asyncio's loop makes of it, what ours does, and why.
KNOWN = {
    ("files", "fileno file", "close"): (
        "AttributeError: 'NoneType' object has no attribute 'register'",
        "RuntimeError: Event loop is closed",
        "asyncio does not look again",
    ),
}
#: asyncio's loop, whose queue was emptied while it ran.
EMPTIED = "; IndexError: pop from an empty deque"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("operation", "place"), PLACES)
def test_no_crash(name: str, operation: str, place: str) -> None:
    for action in scenarios_loop.ACTIONS:
        said = outcome(name, operation, place, action)
        assert CRASH not in said and "SystemError" not in said, action
    reached = outcome(name, operation, place, "nothing").startswith("reached; ")
    assert reached != (name == "stock" and (operation, place) in NOT_ON_STOCK)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "stock"])
@pytest.mark.parametrize(("operation", "place"), [cell for cell in PLACES if cell not in FREED_SOONER | NOT_ON_STOCK])
def test_same_as_stock(name: str, operation: str, place: str) -> None:
    differences = {}
    for action in scenarios_loop.ACTIONS:
        expected = outcome("stock", operation, place, action).replace(EMPTIED, "")
        known = KNOWN.get((operation, place, action))
        if known is not None:
            assert known[0] in expected, f"{action}: asyncio has changed"
            expected = expected.replace(known[0], known[1])
        found = outcome(name, operation, place, action).replace(EMPTIED, "")
        same = found == expected
        if operation in REPORTED_SOONER:
            same = sorted(found.split("; ")) == sorted(expected.split("; "))
        if not same:
            differences[action] = {name: found, "expected": expected}
    assert differences == {}
