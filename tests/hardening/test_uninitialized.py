"""`T.__new__(T)` without `__init__`: every entry point of C and ours survives it, with CPython's answer."""

from __future__ import annotations

import functools
from typing import NamedTuple

import pytest

from support.impls import CRASH, MINOR, Fix, evaluate

# What child processes did is kept for all tests of the file.
pytestmark = pytest.mark.xdist_group("uninitialized")

SETUP = """
import asyncio, gc, io, sys, warnings
from support.fakes import MockLoop as Loop
warnings.simplefilter("ignore")

async def coroutine():
    pass

def outcome_of_awaiting(future, loop):
    async def main():
        await future
    task = asyncio.Task(main(), loop=loop)
    loop.run()
    return task.exception()

class functions:
    pass

for module in (asyncio.futures, asyncio.tasks):
    for function in dir(module):
        if function.endswith(("_task", "_by", "all_tasks")):
            setattr(functions, function, staticmethod(getattr(module, function)))

def fresh(previous=[]):
    if previous and sys.version_info >= (3, 14):  # the current task belongs to the thread there, not to a loop
        asyncio._set_running_loop(previous[0])
        if asyncio.current_task(previous[0]) is not None:
            functions._swap_current_task(previous[0], None)
    asyncio._set_running_loop(None)
    loop = Loop()
    previous[:] = [loop]
    cls = getattr(asyncio, TYPE)
    return dict(globals(), loop=loop, m=functions, f=cls.__new__(cls), other=asyncio.Future(loop=loop),
                running=asyncio._set_running_loop)
"""

NOT_INIT = "RuntimeError: Future object is not initialized."
NO_CALLBACKS = "AttributeError: '{type}' object has no attribute '_callbacks'"
ADD = "RuntimeError: uninitialized Future object"


def undeletable(name: str) -> str:
    """What C says when one of its attributes is deleted."""
    if MINOR < (3, 14):
        return "AttributeError: cannot delete attribute"
    return f"AttributeError: attribute '{name}' of '_asyncio.{{type}}' objects cannot be deleted"


def missing(name: str) -> str:
    """The pure Python classes keep their state in the instance: without `__init__` the attribute is not there."""
    return f"AttributeError: '{{type}}' object has no attribute '{name}'"


class Row(NamedTuple):
    """An expression, and what it gives on C and ours, and on pure Python (None: the same)."""

    code: str
    native: str
    python: str | None = None
    since: tuple[int, int] = (3, 11)


FUTURE_AND_TASK = [
    Row("f.done()", "False"),
    Row("f.cancelled()", "False"),
    Row("f._loop", "None"),
    Row("f._source_traceback", "None"),
    Row("f._cancel_message", "None"),
    Row("f._asyncio_awaited_by", "None", since=(3, 14)),
    Row("f._asyncio_future_blocking", "False"),
    Row("setattr(f, '_asyncio_future_blocking', True)", NOT_INIT, "None"),
    Row("setattr(f, '_asyncio_future_blocking', False)", NOT_INIT, "None"),
    Row(
        "delattr(f, '_asyncio_future_blocking')",
        NOT_INIT if MINOR < (3, 14) else undeletable("_asyncio_future_blocking"),
        missing("_asyncio_future_blocking"),
    ),
    Row("f._log_traceback", NOT_INIT, "False"),
    Row("setattr(f, '_log_traceback', False)", "None"),
    Row("setattr(f, '_log_traceback', True)", "ValueError: _log_traceback can only be set to False"),
    Row(
        "delattr(f, '_log_traceback')",
        undeletable("_log_traceback"),
        "AttributeError: property '_log_traceback' of '{type}' object has no deleter",
    ),
    Row("setattr(f, '_cancel_message', 'm') or f._cancel_message", "'m'"),
    Row("delattr(f, '_cancel_message')", undeletable("_cancel_message"), missing("_cancel_message")),
    Row("f._make_cancelled_error()", "CancelledError()"),
    Row("f._state", NOT_INIT, "'PENDING'"),
    Row("f._callbacks", NOT_INIT, NO_CALLBACKS),
    Row("f._result", NOT_INIT, "None"),
    Row("f._exception", NOT_INIT, "None"),
    Row("repr(f)", NOT_INIT, NO_CALLBACKS),
    Row("str(f)", NOT_INIT, NO_CALLBACKS),
    Row("iter(f)", NOT_INIT, "<generator object Future.__await__ at 0x>"),
    Row("f.__await__()", NOT_INIT, "<generator object Future.__await__ at 0x>"),
    Row("f.get_loop()", NOT_INIT),
    Row("f.remove_done_callback(print)", NOT_INIT, NO_CALLBACKS),
    Row("f.add_done_callback(print)", ADD, NO_CALLBACKS),
    Row("f.add_done_callback(print, context=None)", ADD, NO_CALLBACKS),
    Row("f.add_done_callback(None, context=5)", ADD, NO_CALLBACKS),
    Row(
        "f.result()",
        "InvalidStateError: Future object is not initialized.",
        "InvalidStateError: Result is not ready.",
    ),
    Row(
        "f.exception()",
        "InvalidStateError: Future object is not initialized.",
        "InvalidStateError: Exception is not set.",
    ),
    Row("f == f, f != other, hash(f) == hash(f)", "(True, True, True)"),
    Row("type(f)[int] is not None", "True"),
    Row("gc.get_referents(f) is not None, gc.collect() >= 0", "(True, True)"),
    Row("asyncio.isfuture(f), asyncio.ensure_future(f) is f", "(True, True)"),
    Row("outcome_of_awaiting(f, loop)", "RuntimeError('Future object is not initialized.')", NOT_INIT),
    Row("setattr(f, 'x', 1) or f.x", "1"),
]

FUTURE = [
    Row("f.__del__()", "None"),
    Row("f.cancel()", NOT_INIT, NO_CALLBACKS),
    Row("f.cancel('m')", NOT_INIT, NO_CALLBACKS),
    Row("f.set_result(1)", NOT_INIT, NO_CALLBACKS),
    Row("f.set_exception(ValueError)", NOT_INIT, NO_CALLBACKS),
    Row("f.set_exception(ValueError())", NOT_INIT, NO_CALLBACKS),
    Row("f.set_exception(1)", NOT_INIT, "AttributeError: 'int' object has no attribute '__traceback__'"),
    Row("f.__init__(loop=loop) or f._state", "'PENDING'"),
]

TASK = [
    Row("f.__del__()", "None", "AttributeError: 'NoneType' object has no attribute 'call_exception_handler'"),
    Row("f.cancel()", "True", missing("_num_cancels_requested")),
    Row("f.cancel(), f.cancelling(), f._must_cancel", "(True, 1, True)", missing("_num_cancels_requested")),
    Row("f.cancel('m'), f._cancel_message", "(True, 'm')", missing("_num_cancels_requested")),
    Row("f.set_result(1)", "RuntimeError: Task does not support set_result operation"),
    Row("f.set_exception(ValueError)", "RuntimeError: Task does not support set_exception operation"),
    Row("f.get_coro()", "None", missing("_coro")),
    Row("f.get_context()", "None", missing("_context"), since=(3, 12)),
    Row("f.get_name()", "None", missing("_name")),
    Row("f._coro", "None", missing("_coro")),
    Row("f._fut_waiter", "None", missing("_fut_waiter")),
    Row("f._must_cancel", "False", missing("_must_cancel")),
    Row("f.cancelling()", "0", missing("_num_cancels_requested")),
    Row("f.uncancel()", "0", missing("_num_cancels_requested")),
    Row("f.set_name('n') or f.get_name()", "'n'"),
    Row("f.set_name(5) or f.get_name()", "'5'"),
    Row("f.get_stack()", NOT_INIT, missing("_coro")),
    Row("f.get_stack(limit=1)", NOT_INIT, missing("_coro")),
    Row("f.print_stack(file=io.StringIO())", NOT_INIT, missing("_coro")),
    Row("f._log_destroy_pending", "False", "True"),
    Row("setattr(f, '_log_destroy_pending', False) or f._log_destroy_pending", "False"),
    Row("delattr(f, '_log_destroy_pending')", undeletable("_log_destroy_pending"), missing("_log_destroy_pending")),
    Row("f.__init__(coroutine(), loop=loop) or f._state", "'PENDING'"),
    Row("f.__init__(5, loop=loop)", "TypeError: a coroutine was expected, got 5"),
]

#: The functions of the module. Before 3.14 `asyncio.all_tasks` is Python and asks each registered object for its state.
MODULE = [
    Row("m._register_task(f)", "None"),
    Row("m._unregister_task(f)", "None"),
    Row("m._register_task(f), m._unregister_task(f), m._unregister_task(f)", "(None, None, None)"),
    Row("m._register_eager_task(f)", "None", since=(3, 12)),
    Row("m._unregister_eager_task(f)", "None", since=(3, 12)),
    Row("running(loop), m._enter_task(loop, f), asyncio.current_task(loop) is f", "(None, None, True)"),
    Row("running(loop), m._leave_task(loop, f)", NOT_INIT, NO_CALLBACKS),
    Row("running(loop), m._enter_task(loop, f), m._leave_task(loop, f)", "(None, None, None)"),
    Row("running(loop), m._enter_task(loop, f), m._enter_task(loop, f)", NOT_INIT, NO_CALLBACKS),
    Row("running(loop), m._swap_current_task(loop, f)", "(None, None)", since=(3, 12)),
    Row(
        "running(loop), m._swap_current_task(loop, f), m._swap_current_task(loop, None) is f",
        "(None, None, True)",
        since=(3, 12),
    ),
    Row("m.future_add_to_awaited_by(f, other), f._asyncio_awaited_by == {other}", "(None, True)", since=(3, 14)),
    Row("m.future_add_to_awaited_by(other, f), other._asyncio_awaited_by == {f}", "(None, True)", since=(3, 14)),
    Row("m.future_add_to_awaited_by(f, f), f._asyncio_awaited_by == {f}", "(None, True)", since=(3, 14)),
    Row("m.future_discard_from_awaited_by(f, other)", "None", since=(3, 14)),
    Row("m.future_discard_from_awaited_by(other, f)", "None", since=(3, 14)),
    Row(
        "m.future_add_to_awaited_by(f, other), m.future_discard_from_awaited_by(f, other), f._asyncio_awaited_by",
        "(None, None, None)",
        "(None, None, frozenset())",
        since=(3, 14),
    ),
]

# 3.14 keeps its own tasks in a list and looks at their state; what is not a Task it asks, as earlier versions did.
ALL_TASKS_OF_TASK = "(None, set())" if MINOR >= (3, 14) else NOT_INIT
ALL_TASKS = {
    "Future": [
        Row("m._register_task(f), asyncio.all_tasks(loop)", NOT_INIT),
        Row("m._register_eager_task(f), asyncio.all_tasks(loop)", NOT_INIT, since=(3, 12)),
    ],
    "Task": [
        Row("m._register_task(f), asyncio.all_tasks(loop)", ALL_TASKS_OF_TASK, NOT_INIT),
        Row("m._register_eager_task(f), asyncio.all_tasks(loop)", ALL_TASKS_OF_TASK, NOT_INIT, since=(3, 12)),
    ],
}

ROWS = {
    "Future": [*FUTURE_AND_TASK, *FUTURE, *MODULE, *ALL_TASKS["Future"]],
    "Task": [*FUTURE_AND_TASK, *TASK, *MODULE, *ALL_TASKS["Task"]],
}
CASES = [(kind, row) for kind, rows in ROWS.items() for row in rows if row.since <= MINOR]

NEVER_FIXED = Fix("all_tasks of 3.14 and 3.15 reads the loop of a foreign task without a check", {})
#: Where CPython's own module crashes, and since which patch it does not. Ours never does.
C_CRASHES = {
    "f.get_coro()": Fix("gh-122332", {(3, 12): 5, (3, 13): 0, (3, 14): 0, (3, 15): 0}),
    "f.get_context()": Fix("gh-154871", {(3, 13): 16, (3, 14): 7, (3, 15): 0}),
}
if MINOR >= (3, 14):
    C_CRASHES |= {row.code: NEVER_FIXED for row in ALL_TASKS["Future"]}


@functools.cache
def matrix(name: str, kind: str) -> dict[str, str]:
    """All outcomes for one implementation and type."""
    codes = [row.code for row in ROWS[kind] if row.since <= MINOR]
    return evaluate(name, f"TYPE = {kind!r}\n{SETUP}", codes)


@pytest.mark.parametrize(("kind", "row"), CASES, ids=[f"{kind}-{row.code}" for kind, row in CASES])
def test_uninitialized(name: str, kind: str, row: Row) -> None:
    expected = row.python if name == "python" and row.python is not None else row.native
    expected = expected.replace("{type}", kind)
    crash = C_CRASHES.get(row.code) if name == "c" else None
    if crash is not None and not crash.in_c() and (kind == "Task") == (crash is not NEVER_FIXED):
        assert matrix(name, kind)[row.code] in (expected, CRASH)
    else:
        assert matrix(name, kind)[row.code] == expected
