"""What a program is, and random ones.

A program is plain data, as JSON has it: `{"setup": {...}, "steps": [operation, ...]}`. An operation is a list: its name
and its arguments. Those that anybody can do, at the top level, in a callback, in a coroutine, are methods `do_NAME` of
operations.py; those that await something, for coroutines only, of blocks.py. Operations contain operations: what a
callback does, a coroutine's body. So every program ends.

What a program has made is numbered as it comes: things (futures, tasks), callbacks, handles, timeouts. Every index is
valid: it is taken modulo what there is. That keeps a program meaningful whatever hypothesis takes out of it when it
shrinks one.
"""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st

Operation = list[Any]
Program = dict[str, Any]

EAGER = sys.version_info >= (3, 12)

#: An index of a thing; -1 is the task that runs.
THING = st.integers(-1, 7)
THINGS = st.lists(st.integers(0, 7), min_size=1, max_size=3)
INDEX = st.integers(0, 5)
#: A list is a thing, as a value.
VALUE = st.sampled_from([None, 1, "value", [0], [1]])
MESSAGE = st.sampled_from([None, None, "message", "other", 7, [0]])
NAME = st.sampled_from([None, None, "name", 5])
CONTEXT = st.sampled_from([None, None, None, 0, 1])
FUTURE_KIND = st.sampled_from(["plain", "plain", "loud", "duck"])
TASK_KIND = st.sampled_from(["create_task", "create_task", "class", "loud"])
ERROR = st.sampled_from(
    [
        "ValueError",
        "shared",
        "class",
        "picky",
        "StopIteration",
        "StopIteration subclass",
        "StopAsyncIteration",
        "CancelledError",
        "CancelledError subclass",
        "chained",
        "group",
        "BaseException",
        "GeneratorExit",
        "KeyboardInterrupt",
        "SystemExit",
        "no exception",
    ]
)
ATTRIBUTES = st.sampled_from(
    [
        ["_log_traceback", False],
        ["_log_traceback", True],
        ["_log_destroy_pending", False],
        ["_cancel_message", "assigned"],
        ["_must_cancel", True],
        ["_asyncio_future_blocking", True],
        ["_asyncio_future_blocking", False],
    ]
)
#: What a loud subclass overrides: each says so and calls the base class.
OVERRIDABLE = [
    "cancel",
    "result",
    "exception",
    "done",
    "cancelled",
    "add_done_callback",
    "remove_done_callback",
    "set_result",
    "set_exception",
    "get_loop",
    "set_name",
    "uncancel",
    "_make_cancelled_error",
    "__del__",
    "__repr__",
]
HANDS = st.sampled_from([["next"], ["send", None], ["send", 1], ["throw", "ValueError"], ["throw", "class"], ["close"]])


def operation(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Operation]:
    return st.tuples(st.just(name), *arguments).map(list)


SIMPLE = st.one_of(
    operation("future", FUTURE_KIND),
    operation("set_result", THING, VALUE),
    operation("set_exception", THING, ERROR),
    operation("cancel", THING, MESSAGE),
    operation("cancel", THING, MESSAGE),
    operation("uncancel", THING),
    operation("result", THING),
    operation("exception", THING),
    operation("repr", THING),
    operation("state", THING),
    operation("add_again", THING, INDEX, CONTEXT),
    operation("remove_callback", THING, INDEX),
    operation("set_name", THING, NAME),
    operation("assign", THING, ATTRIBUTES),
    operation("set_variable", VALUE),
    operation("cancel_handle", INDEX),
    operation("expire", INDEX, st.booleans()),
    operation("gather", THINGS, st.booleans()),
    operation("shield", THING),
    operation("ensure_future", THING),
    operation("iterate", THING, st.lists(HANDS, min_size=1, max_size=3)),
    operation("stack", THING),
    operation("drop", INDEX),
    operation("collect"),
    operation("all_tasks"),
    operation("stop"),
    operation("raise", ERROR, st.booleans()),
)
AWAITING = st.one_of(
    operation("await", THING),
    operation("await", THING),
    operation("sleep", st.booleans()),
    operation("await_gather", THINGS, st.booleans()),
    operation("await_shield", THING),
    operation("wait", THINGS, st.sampled_from(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]), st.booleans()),
    operation("wait_for", THING, st.booleans()),
    operation("as_completed", THINGS),
    operation("yield", st.sampled_from(["None", "number", "future", "generator"])),
    operation("return", VALUE),
)
CATCH = st.sampled_from([[], ["Exception"], ["CancelledError"], ["BaseException"]])


def actions_with(body: st.SearchStrategy[list[Operation]], depth: int) -> st.SearchStrategy[list[Operation]]:
    """What a callback does, with tasks whose coroutines do `body`."""
    if depth == 0:
        return st.lists(SIMPLE, max_size=2)
    return st.lists(st.one_of(SIMPLE, nesting(actions_with(body, depth - 1), body)), max_size=3)


def nesting(actions: st.SearchStrategy[Any], body: st.SearchStrategy[Any]) -> st.SearchStrategy[Operation]:
    eager = st.booleans() if EAGER else st.just(False)
    return st.one_of(
        operation("task", TASK_KIND, body, NAME, CONTEXT, eager),
        operation("task", TASK_KIND, body, NAME, CONTEXT, eager),
        operation("add_callback", THING, actions, CONTEXT),
        operation("add_callback", THING, actions, CONTEXT),
        operation("call_soon", actions, CONTEXT),
        operation("call_at", st.integers(0, 5), actions),
        operation("call_threadsafe", actions),
    )


def body_of(depth: int) -> st.SearchStrategy[list[Operation]]:
    """What a coroutine does."""
    if depth == 0:
        return st.lists(st.one_of(AWAITING, SIMPLE), max_size=2)
    inner = body_of(depth - 1)
    blocks = st.one_of(
        operation("try", inner, CATCH, inner, inner),
        operation("try", inner, CATCH, inner, st.just([])),
        operation("await_coroutine", inner),
        operation("timeout", st.sampled_from(["none", "past", "soon", "never"]), inner),
        operation("group", st.lists(inner, max_size=3), inner),
    )
    return st.lists(st.one_of(AWAITING, AWAITING, blocks, SIMPLE, nesting(actions_with(inner, 0), inner)), max_size=5)


BODY = body_of(2)
STEP = st.one_of(
    SIMPLE,
    nesting(actions_with(BODY, 1), BODY),
    nesting(actions_with(BODY, 1), BODY),
    operation("turn"),
    operation("turn"),
    operation("run_until_complete", INDEX),
)
SETUP = st.fixed_dictionaries(
    {
        "futures": st.integers(0, 3),
        "debug": st.sampled_from([False, False, False, True]),
        "factory": st.sampled_from(["", "", "own", "eager"] if EAGER else ["", "", "own"]),
        "handler": st.sampled_from(["", "", "", "raises", "none"]),
        "overrides": st.lists(st.sampled_from(OVERRIDABLE), unique=True, max_size=5),
        "reentry": st.lists(SIMPLE, max_size=2),
    }
)
PROGRAMS: st.SearchStrategy[Program] = st.fixed_dictionaries(
    {"setup": SETUP, "steps": st.lists(STEP, min_size=1, max_size=12)}
)
