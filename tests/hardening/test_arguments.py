"""Bad calls: ours gives the exception and the text that CPython's own module gives, on every public name.

Both run the same expressions in interpreters of their own, and the outcomes are compared. A few outcomes that must not
change from one CPython to the next are written out as well, so that the comparison cannot be empty.
"""

from __future__ import annotations

import functools

import pytest

from support.children import run_python
from support.impls import CRASH, MINOR, Fix, evaluate

# What child processes did is kept for all tests of the file.
pytestmark = pytest.mark.xdist_group("arguments")

SETUP = """
import asyncio, sys, types, warnings
warnings.simplefilter("ignore")
import _asyncio as m
from support.fakes import QuietLoop

class Loop(QuietLoop):
    def __repr__(self): return "<Loop>"

class Subclass(m.Future):
    pass

class SubTask(m.Task):
    pass

async def nothing():
    pass

class Awkward:
    def __bool__(self): raise ZeroDivisionError("bool")
    def __str__(self): raise ZeroDivisionError("str")
    def __repr__(self): raise ZeroDivisionError("repr")
    def __eq__(self, other): raise ZeroDivisionError("eq")
    def __hash__(self): raise ZeroDivisionError("hash")
    def __getattr__(self, name): raise ZeroDivisionError(name)

def fresh():
    asyncio._set_running_loop(None)
    loop = Loop()
    coroutine = nothing()
    task = m.Task(coroutine, loop=loop, name="T")
    task._log_destroy_pending = False
    future = m.Future(loop=loop)
    done = m.Future(loop=loop)
    done.set_result(1)
    return dict(m=m, asyncio=asyncio, loop=loop, t=task, f=future, done=done, i=future.__await__(), types=types,
                Subclass=Subclass, SubTask=SubTask, coroutine=coroutine, awkward=Awkward(), nothing=nothing,
                delete=lambda o, n: delattr(o, n), tb=types.TracebackType)
"""

#: name -> the calls that are wrong for it, as arguments
NO_ARGUMENTS = ["1", "1, 2", "x=1", "*(), **{'x': 1}"]
ONE_POSITIONAL = ["", "1, 2", "x=1", "1, x=2", "result=1", "exception=1", "fn=1", "value=1"]

METHODS: dict[str, list[str]] = {
    "f.result": NO_ARGUMENTS,
    "f.exception": NO_ARGUMENTS,
    "f.done": NO_ARGUMENTS,
    "f.cancelled": NO_ARGUMENTS,
    "f.get_loop": NO_ARGUMENTS,
    "f._make_cancelled_error": NO_ARGUMENTS,
    "f.set_result": ONE_POSITIONAL,
    "f.set_exception": [*ONE_POSITIONAL, "1", "None", "int", "'text'", "object()", "type", "awkward", "StopIteration"],
    "f.remove_done_callback": [*ONE_POSITIONAL, "None", "awkward"],
    "f.add_done_callback": ["", "1, 2", "fn=1", "1, contxt=2", "1, context=2, x=3", "context=1", "1, *[2], context=3"],
    "f.cancel": ["1, 2", "x=1", "1, msg=2", "message=1", "msg=1, x=2", "1, 2, 3", "*[1], **{'msg': 2}"],
    "f.__init__": ["1", "1, 2", "x=1", "loop=1, x=2", "*[1], loop=2", "loop=5", "loop=awkward", "loop='text'"],
    "f.__await__": ["1", "x=1"],
    "f.__iter__": ["1", "x=1"],
    "f.__del__": ["1", "x=1"],
    "f.__repr__": ["1", "x=1"],
    "f.__class_getitem__": ["", "1, 2", "x=1"],
    "done.set_result": ["1"],
    "done.set_exception": ["1", "ValueError", "ValueError()", "int"],
    "done.cancel": ["1, 2"],
    "done.add_done_callback": ["", "x=1"],
    "t.result": NO_ARGUMENTS,
    "t.exception": NO_ARGUMENTS,
    "t.done": NO_ARGUMENTS,
    "t.cancelled": NO_ARGUMENTS,
    "t.cancelling": NO_ARGUMENTS,
    "t.uncancel": NO_ARGUMENTS,
    "t.get_coro": NO_ARGUMENTS,
    "t.get_name": NO_ARGUMENTS,
    "t.get_loop": NO_ARGUMENTS,
    "t._make_cancelled_error": NO_ARGUMENTS,
    "t.set_result": [*ONE_POSITIONAL, "1"],
    "t.set_exception": [*ONE_POSITIONAL, "1"],
    "t.set_name": [*ONE_POSITIONAL, "awkward"],
    "t.cancel": ["1, 2", "x=1", "1, msg=2", "msg=1, x=2"],
    "t.get_stack": ["1", "limt=1", "limit=1, x=2", "limit='x'", "1, limit=2"],
    "t.print_stack": ["1", "limt=1", "limit=1, file=2", "1, 2", "file=5", "limit='x'"],
    "t.add_done_callback": ["", "1, 2", "fn=1", "1, contxt=2"],
    "t.remove_done_callback": ["", "1, 2", "fn=1"],
    "i.send": ["", "1, 2", "x=1", "1, x=2"],
    "i.close": ["1", "x=1"],
    "i.__next__": ["1", "x=1"],
    "i.__iter__": ["1"],
    "i.throw": [
        "",
        "1",
        "1, 2",
        "1, 2, 3",
        "1, 2, 3, 4",
        "x=1",
        "ValueError, x=2",
        "type=ValueError",
        "None",
        "int",
        "'text'",
        "object()",
        "ValueError, 1, 2",
        "ValueError, None, 2",
        "ValueError(), 1",
        "ValueError(), ValueError()",
        "ValueError(), None, 5",
        "ValueError(), None, None",
        "ValueError, KeyError('k')",
        "ValueError, ValueError('k')",
        "ValueError, 1",
        "ValueError, (1, 2)",
        "ValueError, None",
        "ValueError, None, None",
        "KeyboardInterrupt",
        "StopIteration(5)",
        "GeneratorExit()",
    ],
    "type(i)": ["1", "x=1", "f"],
    "m.Future": ["1", "1, 2", "x=1", "loop=1, x=2", "loop=5", "loop='text'", "loop=awkward", "None", "loop=object()"],
    "m.Task": [
        "",
        "loop=loop",
        "1, 2",
        "coroutine, loop",
        "coroutine, x=1",
        "coroutine, loop=loop, x=1",
        "coroutine, coro=2",
        "coroutine, loop=loop, coro=2",
        "coroutine, loop=5",
        "coroutine, loop=awkward",
        "5, loop=loop",
        "None, loop=loop",
        "'text', loop=loop",
        "nothing, loop=loop",
        "int, loop=loop",
        "[], loop=loop",
        "(x for x in ()).gi_frame, loop=loop",
        "awkward, loop=loop",
        "coro=5, loop=loop",
        "coroutine, loop=loop, name=awkward",
        "coroutine, loop=loop, eager=True",
        "coroutine, 1, 2, 3, 4, 5",
        "coroutine, None, None, None",
    ],
    "m.Task.__new__": ["", "1", "int", "m.Future"],
    "m.Future.__new__": ["", "1", "int"],
    "m.Task.cancel": ["", "1", "f"],
    "m.Future.cancel": ["", "1", "object()"],
    "m.Future.set_result": ["", "f", "1, 2"],
    "m.Future.result": ["", "1"],
    "m.Task.get_coro": ["", "f", "1"],
    "m.Task.set_name": ["", "f, 'x'", "t"],
    "Subclass": ["1", "x=1", "loop=5"],
    "SubTask": ["", "1, 2", "5, loop=loop"],
    "m.get_event_loop": ["1", "x=1"],
    "m.get_running_loop": ["1", "x=1", ""],
    "m._get_running_loop": ["1", "x=1"],
    "m._set_running_loop": ["", "1, 2", "loop=1", "x=1"],
    "m._register_task": ["", "1, 2", "x=1", "task=t, x=1", "t, task=t", "5"],
    "m._unregister_task": ["", "1, 2", "x=1", "t, task=t"],
    "m._enter_task": ["", "loop", "loop, t, 1", "x=1", "loop, t, x=1", "loop, loop=1", "task=t", "loop=loop"],
    "m._leave_task": ["", "loop", "loop, t, 1", "x=1", "loop, loop=1", "loop, t", "loop, 5", "[], t", "task=t"],
}
if MINOR < (3, 12):
    METHODS["m._get_event_loop"] = ["1, 2", "x=1", "'text'", "stacklevel='x'"]
else:
    METHODS |= {
        "t.get_context": NO_ARGUMENTS,
        "m._register_eager_task": ["", "1, 2", "x=1", "t, task=t"],
        "m._unregister_eager_task": ["", "1, 2", "x=1"],
        "m._swap_current_task": ["", "loop", "loop, t, 1", "x=1", "loop, loop=1", "task=t"],
        "m.current_task": ["1, 2", "x=1", "loop, loop=1", "", "None"],
    }
    METHODS["m.Task"] += [
        "coroutine, loop=loop, eager_start=awkward",
        "coroutine, True",
        "5, eager_start=True, loop=loop",
    ]
if MINOR < (3, 14):
    METHODS["m._enter_task"] += ["[], t", "awkward, t", "loop, t) or m._enter_task(loop, f"]
    METHODS["m._register_task"] += ["[]", "awkward"]
else:
    METHODS |= {
        "m.all_tasks": ["1, 2", "x=1", "", "None", "loop, loop=1"],
        "m.future_add_to_awaited_by": ["", "1", "1, 2, 3", "fut=1, waiter=2", "1, waiter=2", "1, 2", "f, 5", "5, f"],
        "m.future_discard_from_awaited_by": ["", "1", "1, 2, 3", "fut=1, waiter=2", "1, 2", "f, 5", "5, f", "f, f"],
    }
    METHODS["m._enter_task"] += ["5, t", "loop, t", "None, t"]
    METHODS["m._swap_current_task"] += ["5, t", "loop, t", "loop, None"]

ATTRIBUTES = {
    "f": ["_state", "_loop", "_callbacks", "_result", "_exception", "_source_traceback", "result", "x_y"],
    "t": ["_must_cancel", "_coro", "_fut_waiter", "_state", "get_name"],
    "i": ["x", "send", "gi_frame"],
}
CODES = [f"{name}({arguments})" for name, cases in METHODS.items() for arguments in cases]
CODES += [f"{owner}.{name}.x" for owner, names in ATTRIBUTES.items() for name in names]
CODES += [f"delete({owner}, {name!r})" for owner, names in ATTRIBUTES.items() for name in names]
CODES += [
    f"setattr({owner}, {name!r}, {value})"
    for owner, names in ATTRIBUTES.items()
    for name in names
    if name[0] == "_" or owner == "i"
    for value in ("1", "None")
]
CODES += [
    f"setattr({owner}, {name!r}, {value})"
    for owner in "ft"
    for name in ("_log_traceback", "_asyncio_future_blocking", "_cancel_message")
    for value in ("True", "False", "None", "0", "5", "''", "awkward")
]
CODES += [f"delete({owner}, {name!r})" for owner in "ft" for name in ("_log_traceback", "_asyncio_future_blocking")]
CODES += ["setattr(t, '_log_destroy_pending', awkward)", "delete(t, '_log_destroy_pending')"]
CODES += ["f + 1", "f < f", "f[0]", "len(f)", "f()", "next(f)", "list(f)", "bool(f)", "i + 1", "len(i)", "i()", "i[0]"]
CODES += ["type('S', (type(i),), {})", "m.Future[int]()", "m.Task[int]", "isinstance(f, m.Future[int])"]
CODES += ["setattr(m.Future, 'x', 1)", "delattr(m.Task, 'cancel')", "setattr(type(i), 'x', 1)", "m.Future.x"]
CODES += ["hash(f) == hash(f)", "f.__dict__", "t.__dict__", "f.__weakref__", "f.__slots__", "f.__reduce_ex__(4)"]

#: Calls whose outcome is the same on every version, so that a broken set-up cannot pass.
KNOWN = {
    "f.result(1)": "TypeError: Future.result() takes no arguments (1 given)",
    "i.throw()": "TypeError: throw expected at least 1 argument, got 0",
    "m.Task(5, loop=loop)": "TypeError: a coroutine was expected, got 5",
    "m.Task(loop=loop)": "TypeError: Task() missing required argument 'coro' (pos 1)",
    "m.Future(1)": "TypeError: Future() takes no positional arguments",
    "m._set_running_loop(loop=1)": "TypeError: _asyncio._set_running_loop() takes no keyword arguments",
}

#: Where the running CPython is older than the newest patch of its minor: expression -> what the newest patch says.
NO_KEYWORDS = Fix(
    "3.12 ignores keywords given to a method without parameters that gets its class",
    {(3, 11): 0, (3, 13): 0, (3, 14): 0, (3, 15): 0},
)
NEWER_TEXT: dict[str, tuple[Fix, str]] = {
    f"{owner}.{method}({keywords})": (NO_KEYWORDS, f"TypeError: {method}() takes no arguments")
    for owner in "ft"
    for method in ("exception", "get_loop")
    for keywords in ("x=1", "*(), **{'x': 1}")
}


@functools.cache
def outcomes(name: str) -> dict[str, str]:
    """What every call gives on one implementation."""
    return evaluate(name, SETUP, CODES)


@pytest.mark.parametrize("code", CODES)
def test_same_as_c(code: str) -> None:
    expected = outcomes("c")[code]
    assert expected != CRASH
    if code in NEWER_TEXT and not NEWER_TEXT[code][0].in_c():
        expected = NEWER_TEXT[code][1]
    assert outcomes("ours")[code] == expected


@pytest.mark.parametrize("name", ["c", "ours"])
@pytest.mark.parametrize("code", KNOWN)
def test_known(name: str, code: str) -> None:
    assert outcomes(name)[code] == KNOWN[code]


def test_most_of_them_fail() -> None:
    failing = [code for code, text in outcomes("c").items() if "Error: " in text or "Exit: " in text]
    assert len(failing) > 0.75 * len(CODES)


BAD_CALLS = """
import asyncio, gc, sys
import rasyncio
rasyncio.install()
loop = asyncio.new_event_loop()
future = loop.create_future()

def bad_calls():
    for call in (
        lambda: delattr(future, "_asyncio_future_blocking"),
        lambda: future.get_loop(1),
        lambda: future.add_done_callback(1, 2),
        lambda: asyncio.Task(1, 2),
        lambda: asyncio.current_task(1, 2),
    ):
        try:
            call()
        except (TypeError, AttributeError):
            continue
        raise SystemExit("no error")

def blocks_of(count):
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(count):
        bad_calls()
    gc.collect()
    return sys.getallocatedblocks() - before

blocks_of(100)
print(blocks_of(1000))
loop.close()
"""


def test_errors_leave_nothing_behind() -> None:
    """Exceptions raised inside our slots are let go at once."""
    done = run_python(BAD_CALLS)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100
