"""Python code that runs in the middle of an operation may do anything, at every place where there is any.

Nothing crashes, and what comes of it is what CPython's own module makes of it. The programs are in scenarios.py and
scenarios_odd.py; what runs inside the event loop is in test_reentrancy_loop.py. Where Python code runs in our Future
and Task, and the operations that come by:

* the loop's `get_debug`, `is_running`, `call_soon`, `call_exception_handler`, looked up and called; its hash: new …,
  finish, fail, cancel, add to done, yield None, wait, lose …, registry;
* a callback's `__eq__`: remove …; letting go of callbacks and messages: replace message, start again, lose cycle;
* `str` of a name, `repr` of a result or of what is no coroutine, `isinstance`: new task …, rename, show;
* an exception class's constructor and metaclass: fail …, throw into iterator;
* the coroutine's `send`, `throw`, `__next__`, looked up and called: run, throw, look up …, iterate coro, new eager;
* an odd awaitable's attributes and methods: await …, cancel waiting, blocking property;
* hash, `==`, `done()`, `get_loop()` of tasks of subclasses and of others: awaited by several, tasks of subclasses,
  foreign tasks;
* weak references' callbacks, the collector's callbacks, trace and profile functions, `sys.monitoring`: weak reference,
  collection, trace, profile, monitor.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import scenarios
import scenarios_odd  # noqa: F401  # adds to the operations
from support.impls import CRASH, MINOR, Fix, evaluate

# What child processes did is kept for all tests of the file.
pytestmark = pytest.mark.xdist_group("reentrancy")

SETUP = """
import warnings
warnings.simplefilter("ignore")
from scenarios import scenario
import scenarios_odd
import gc; gc.collect(); gc.freeze()  # the many collections below need not look at what was imported
def fresh():
    return {"scenario": scenario}
"""

PLACES = [(operation, place) for operation, (_, places) in scenarios.OPERATIONS.items() for place in places]


@functools.cache
def outcomes(name: str) -> dict[str, str]:
    """Everything that is tried, on one implementation."""
    codes = [
        f"scenario({operation!r}, {place!r}, {action!r})" for operation, place in PLACES for action in scenarios.ACTIONS
    ]
    return evaluate(name, SETUP, codes, path=[Path(__file__).parent])


#: Places that an implementation does not come by: what it has no use for there.
UNREACHED = {
    ("registry", "hash(loop)"): lambda name: MINOR >= (3, 14) and name != "python",
    ("registry", "loop == loop"): lambda name: MINOR >= (3, 14),
    ("new eager", "hash(loop)"): lambda name: MINOR >= (3, 14) and name != "python",
    # 3.15 refuses the second start; pure Python never replaces the message then
    ("start again", "get_debug"): lambda name: MINOR >= (3, 15),
    ("start again", "free callback0"): lambda name: MINOR >= (3, 15),
    ("start again", "free callback1"): lambda name: MINOR >= (3, 15),
    ("start again", "free message"): lambda name: MINOR >= (3, 15) or name == "python",
    ("awaited by several", "hash(task)"): lambda name: MINOR < (3, 14),
    ("awaited by several", "task == task"): lambda name: MINOR < (3, 14),
    ("iterate coro", "coro.__next__()"): lambda name: name == "python",  # calls `send`
}

EVIL_CALL_SOON = Fix(
    "gh-125969, gh-125984, gh-126080, gh-126138: owned references are taken before Python code runs",
    {(3, 12): 8, (3, 13): 1, (3, 14): 0, (3, 15): 0},
)
REMOVED = "called callback0; None"
#: What C makes of these since then (before, it crashed or went on with what it no longer owned). Ours does on every
#: version: (operation, places, action) -> outcome.
SINCE_THEN = {
    ("finish", ("loop.call_soon", "call_soon"), "remove"): (
        f"reached; 2; None; 'FINISHED'; []; None; 1 to run; {REMOVED}; 'FINISHED'"
    ),
    ("fail", ("loop.call_soon", "call_soon"), "remove"): (
        f"reached; 2; None; Error(); 'FINISHED'; []; None; 1 to run; {REMOVED}; 'FINISHED'"
    ),
    ("cancel", ("loop.call_soon", "call_soon"), "remove"): (
        f"reached; 2; True; 'CANCELLED'; []; <message>; 1 to run; {REMOVED}; 'CANCELLED'"
    ),
    ("run", ("loop.call_soon", "call_soon"), "remove"): (
        f"reached; 0; None; {REMOVED}; 'FINISHED'; []; None; 0 to run; 'FINISHED'"
    ),
    ("await duck cancelled", ("duck.cancel",), "message"): (
        "reached; None; None; 'PENDING'; []; 'other'; 0 to run; 'PENDING'"
    ),
    ("await future cancelled", ("future.cancel",), "message"): (
        "reached; None; None; None; 'CANCELLED'; []; None; 0 to run; 'CANCELLED'"
    ),
}
NEWER = {
    (operation, place, action): said for (operation, places, action), said in SINCE_THEN.items() for place in places
}
#: Older C does these on memory that it no longer owns, so that there is nothing to compare with.
UNDEFINED_BEFORE = {
    ("new task", "loop.call_soon", "init"),
    ("finish", "loop.call_soon", "init"),
    ("cancel", "loop.call_soon", "init"),
    ("await duck cancelled", "duck.cancel", "init"),
    ("await future cancelled", "future.cancel", "init"),
    ("run", "loop.call_soon", "init"),
    ("yield None", "loop.call_soon", "drop"),
    ("yield None", "call_soon", "drop"),
}
#: The newest C crashes in these up to 3.14: the future that is started again has no exception to log any more.
CRASHES_STILL = {("fail", "loop.call_soon", "init"), ("fail", "call_soon", "init")}
#: Likewise: a task is started again while its coroutine runs, a future while a task of a subclass is hashed.
CRASHES_STILL |= {
    (operation, place, "init")
    for operation in ("trace", "profile", "awaited by several", "monitor", "monitor cancelled")
    if operation in scenarios.OPERATIONS
    for place in scenarios.OPERATIONS[operation][1]
}
#: Up to 3.13 `all_tasks()` is Python code that goes through sets, in the order of addresses.
BY_ADDRESS = ("tasks of subclasses", "foreign tasks")


def outcome(name: str, operation: str, place: str, action: str) -> str:
    said = outcomes(name)[f"scenario({operation!r}, {place!r}, {action!r})"]
    return said if said == CRASH else str(ast.literal_eval(said))


@pytest.mark.parametrize(("operation", "place"), PLACES)
def test_place_is_reached(name: str, operation: str, place: str) -> None:
    unreached = UNREACHED.get((operation, place), lambda name: False)(name)
    said = outcome(name, operation, place, "nothing")
    assert said.startswith("not reached; " if unreached else "reached; ")


@pytest.mark.parametrize(("operation", "place"), PLACES)
def test_no_crash(name: str, operation: str, place: str) -> None:
    for action in scenarios.ACTIONS:
        key = (operation, place, action)
        if name == "c" and key in CRASHES_STILL and MINOR < (3, 15):
            continue
        if name == "c" and not EVIL_CALL_SOON.in_c() and key in NEWER | dict.fromkeys(UNDEFINED_BEFORE):
            continue
        assert CRASH not in outcome(name, operation, place, action), key


@pytest.mark.parametrize(("operation", "place"), PLACES)
def test_same_as_c(operation: str, place: str) -> None:
    differences = {}
    for action in scenarios.ACTIONS:
        key = (operation, place, action)
        expected = outcome("c", operation, place, action)
        if not EVIL_CALL_SOON.in_c():
            if key in UNDEFINED_BEFORE:
                continue
            expected = NEWER.get(key, expected)
        if MINOR < (3, 15) and (action == "init" or operation == "start again"):
            continue  # refused from 3.15 on; before, C is left with the halves of two lives, and the loop may hang
        if MINOR < (3, 14) and operation in BY_ADDRESS:
            continue
        if MINOR == (3, 13) and operation == "registry" and action.startswith("class "):
            continue  # C looks a loop up once, ours twice: a comparison more, of loops with the same hash
        if "SystemError: " in expected and "returned a result with an exception set" in expected:
            continue  # 3.12 and 3.13 register an eager task with an error set; 3.14 hands the error on, as ours does
        found = outcome("ours", operation, place, action)
        if found != expected:
            differences[action] = {"ours": found, "expected": expected}
    assert differences == {}


@pytest.mark.parametrize("name", ["c", "ours"])
@pytest.mark.parametrize("key", NEWER, ids=" ".join)
def test_what_the_fixes_made_of_it(name: str, key: tuple[str, str, str]) -> None:
    if name == "ours" or EVIL_CALL_SOON.in_c():
        assert outcome(name, *key) == NEWER[key]
    else:
        assert outcome(name, *key) != "", "an older C may crash here, in a process of its own"
