"""Handle and TimerHandle: everything of them that people call, compare, print or look into."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import operator
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from support.impls import MINOR
from support.loops import Engine, Say, same_as_stock, tried, turn


def callback(*args: object) -> None:
    """Do nothing."""


async def coroutine_function() -> None:
    """Do nothing."""


def context_of(handle: Any) -> Any:
    return handle.get_context() if MINOR >= (3, 12) else handle._context


class Callable_:
    def __call__(self) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return "<a callable>"

    def method(self) -> None:
        """Do nothing."""


#: How a handle comes about; each gives one of a loop, for a callback with arguments.
WAYS: dict[str, Callable[..., Any]] = {
    "call_soon": lambda loop, *args, **kwargs: loop.call_soon(*args, **kwargs),
    "call_soon_threadsafe": lambda loop, *args, **kwargs: loop.call_soon_threadsafe(*args, **kwargs),
    "call_later": lambda loop, *args, **kwargs: loop.call_later(1000, *args, **kwargs),
    "call_at": lambda loop, *args, **kwargs: loop.call_at(4e9, *args, **kwargs),
}
CALLBACKS = {
    "function": (callback,),
    "with arguments": (callback, 1, "two", [3]),
    "builtin": (print, 1),
    "method": (Callable_().method,),
    "object": (Callable_(), 5),
    "partial": (functools.partial(callback, 1, key=2), 3),
    "partial of partial": (functools.partial(functools.partial(callback, 1), 2),),
    "class": (int, 5),
    "many": (callback, *range(50)),
    "long text": (callback, "x" * 5000),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture(params=[way for way in WAYS if not way.startswith("call_soon")])
def timed(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


# --- kinds, names, attributes


def test_is_a_handle(eventloop: Any, way: str) -> None:
    handle = WAYS[way](eventloop, callback)
    assert isinstance(handle, asyncio.Handle)
    assert isinstance(handle, asyncio.TimerHandle) == (way in ("call_later", "call_at"))
    assert issubclass(type(handle), asyncio.Handle)


def test_timed_kinds_are_related(eventloop: Any) -> None:
    soon, later = eventloop.call_soon(callback), eventloop.call_later(1, callback)
    assert not isinstance(soon, type(later))
    assert type(later) is type(eventloop.call_at(1, callback))


def attributes(engine: Engine, say: Say, way: str, debug: bool) -> None:
    loop = engine.new()
    loop.set_debug(debug)
    for name, arguments in CALLBACKS.items():
        say(name)
        handle = WAYS[way](loop, *arguments)
        for moment in ("new", "cancelled"):
            say(moment)
            say(handle._callback is (arguments[0] if moment == "new" else None))
            say(handle._args)
            say(type(handle._args).__name__)
            say(handle._cancelled)
            say(handle.cancelled())
            say(handle._loop is loop)
            say(type(handle._context).__name__)
            say(handle._context is context_of(handle))
            say(handle._source_traceback is None)
            if way in ("call_later", "call_at"):
                say(handle._scheduled)
                say(handle._when == handle.when())
                say(type(handle.when()).__name__)
            say(handle.cancel())
            say(handle.cancel())


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_attributes(engine_name: str, way: str, debug: bool) -> None:
    same_as_stock(engine_name, attributes, way, debug)


def unknown_attribute(engine: Engine, say: Say, way: str) -> None:
    handle = WAYS[way](engine.new(), callback)
    tried(say, lambda: hasattr(handle, "nothing"))
    tried(say, lambda: hasattr(handle, "__dict__"))
    tried(say, lambda: hasattr(handle, "when"))
    tried(say, lambda: hasattr(handle, "_scheduled"))
    tried(say, lambda: hasattr(handle, "_run"))


def test_attributes_that_there_are_not(engine_name: str, way: str) -> None:
    same_as_stock(engine_name, unknown_attribute, way)


def test_no_unknown_attribute_can_be_set(eventloop: Any, way: str) -> None:
    handle = WAYS[way](eventloop, callback)
    with pytest.raises(AttributeError):
        handle.nothing = 5


def test_public_names(eventloop: Any, way: str) -> None:
    """All of the stock class's, and none besides."""
    handle = WAYS[way](eventloop, callback)
    stock = asyncio.TimerHandle if way in ("call_later", "call_at") else asyncio.Handle

    def public(thing: object) -> set[str]:
        return {name for name in dir(thing) if not name.startswith("_")}

    assert public(handle) == public(stock)


# --- repr


def reprs(engine: Engine, say: Say, way: str, debug: bool) -> None:
    loop = engine.new()
    loop.time = lambda: 5.25
    loop.set_debug(debug)
    for arguments in CALLBACKS.values():
        handle = WAYS[way](loop, *arguments)
        say(handle)
        say(str(handle))
        say(f"{handle}")
        handle.cancel()
        say(handle)


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_repr(engine_name: str, way: str, debug: bool) -> None:
    same_as_stock(engine_name, reprs, way, debug)


def repr_across_debug(engine: Engine, say: Say, way: str, first: bool, second: bool) -> None:
    """Debug mode is switched between the handle's making, its cancel, and the repr."""
    loop = engine.new()
    loop.set_debug(first)
    handle, other = (WAYS[way](loop, callback, 1) for _ in range(2))
    loop.set_debug(second)
    say("when=" in repr(handle))
    say(repr(handle).split(" ")[-1].startswith("/"))
    say("created at" in repr(handle))
    handle.cancel()
    say("created at" in repr(handle))
    say("callback" in repr(handle))
    loop.set_debug(first)
    say("callback" in repr(handle))
    other.cancel()
    say("callback" in repr(other))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_repr_when_debug_mode_changes(engine_name: str, way: str, first: bool, second: bool) -> None:
    same_as_stock(engine_name, repr_across_debug, way, first, second)


def repr_run(engine: Engine, say: Say) -> None:
    loop = engine.new()
    handles = [loop.call_soon(callback, 1), loop.call_soon_threadsafe(callback, 2), loop.call_at(0, callback, 3)]
    turn(loop, 2)
    for handle in handles:
        say(handle)
        say(handle.cancelled())
        say(handle._callback is callback)
        handle.cancel()
        say(handle)


def test_after_the_run(engine_name: str) -> None:
    same_as_stock(engine_name, repr_run)


def test_repr_of_arguments_that_fail(eventloop: Any) -> None:
    class Bad:
        def __repr__(self) -> str:
            raise KeyError("no repr")

    eventloop.set_debug(True)
    handle = eventloop.call_soon(callback, Bad())
    assert "callback(<Bad instance at" in repr(handle)


# --- debug mode's traceback


def maker_of_handles(loop: Any, way: str) -> asyncio.Handle:
    handle: asyncio.Handle = WAYS[way](loop, callback)
    return handle


def test_source_traceback_ends_at_the_caller(eventloop: Any, way: str) -> None:
    eventloop.set_debug(True)
    handle: Any = maker_of_handles(eventloop, way)
    frames = handle._source_traceback
    assert type(frames).__name__ == "StackSummary"
    assert frames[-1].name == "<lambda>" and f"loop.{way}(" in frames[-1].line
    assert frames[-2].name == "maker_of_handles"
    assert repr(handle).endswith(f" created at {__file__}:{frames[-1].lineno}>")


def test_source_traceback_of_readers(eventloop: Any) -> None:
    """The public method is in it: one frame fewer would be wrong, as would one more."""
    import socket

    eventloop.set_debug(True)
    left, right = socket.socketpair()
    with left, right:
        eventloop.add_reader(left, callback)
        right.send(b"x")
        seen: list[Any] = []
        eventloop.add_reader(left, lambda: seen.append(eventloop._current_handle))
        turn(eventloop)
        eventloop.remove_reader(left)
    assert any(frame.name == "test_source_traceback_of_readers" for frame in seen[0]._source_traceback)


# --- cancel


def test_cancel(eventloop: Any, way: str) -> None:
    called: list[int] = []
    handle = WAYS[way](eventloop, called.append, 1)
    assert handle.cancelled() is False
    assert handle.cancel() is None
    assert handle.cancelled() is True
    turn(eventloop, 2)
    assert called == []
    assert handle.cancel() is None


def test_cancel_frees_what_the_handle_holds(eventloop: Any, way: str) -> None:
    class Thing:
        def __call__(self, *args: object) -> None:
            """Do nothing."""

    for debug in (False, True):
        eventloop.set_debug(debug)
        thing, argument = Thing(), Thing()
        references = [weakref.ref(thing), weakref.ref(argument)]
        handle = WAYS[way](eventloop, thing, argument)
        del thing, argument
        assert None not in [reference() for reference in references]
        handle.cancel()
        assert [reference() for reference in references] == [None, None]


def test_cancel_by_an_earlier_callback_of_the_same_iteration(eventloop: Any) -> None:
    called: list[int] = []
    later: list[asyncio.Handle] = []
    eventloop.call_soon(lambda: [handle.cancel() for handle in later])
    later.append(eventloop.call_soon(called.append, 1))
    later.append(eventloop.call_soon_threadsafe(called.append, 2))
    eventloop.call_soon(called.append, 3)
    turn(eventloop)
    assert called == [3]


def test_cancel_of_a_due_timer_by_an_earlier_one(eventloop: Any) -> None:
    called: list[object] = []
    now = eventloop.time()
    eventloop.call_at(now - 2, lambda: handle.cancel())
    handle = eventloop.call_at(now - 1, called.append, 1)
    eventloop.call_at(now - 0.5, called.append, 2)
    turn(eventloop, 2)
    assert called == [2]


def test_cancel_of_the_running_handle(eventloop: Any) -> None:
    called: list[object] = []
    handle = eventloop.call_soon(lambda: called.append(handle.cancel()))
    turn(eventloop)
    assert called == [None] and handle.cancelled()


def test_cancel_of_the_running_handle_which_then_fails(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, context: say(context))

        def fails() -> None:
            handle.cancel()
            raise LookupError("on purpose")

        handle = loop.call_soon(fails)
        turn(loop)
        say(handle)

    same_as_stock(engine_name, scenario)


def test_setting_the_flag_is_a_cancel(eventloop: Any, way: str) -> None:
    """The loop looks at `_cancelled`, which some programs set themselves."""
    if way in ("call_later", "call_at"):
        return
    called: list[int] = []
    handle = WAYS[way](eventloop, called.append, 1)
    handle._cancelled = True
    assert handle.cancelled() is True
    turn(eventloop)
    assert called == []


def test_cancelled_is_told_to_the_loop_by_timers_only(eventloop: Any) -> None:
    told: list[object] = []
    eventloop._timer_handle_cancelled = told.append
    eventloop.call_soon(callback).cancel()
    assert told == []
    handle = eventloop.call_later(100, callback)
    handle.cancel()
    handle.cancel()
    del eventloop._timer_handle_cancelled
    assert told == [handle]


# --- running one by hand


def test_run_by_hand(eventloop: Any, way: str) -> None:
    called: list[int] = []
    handle = WAYS[way](eventloop, called.append, 1)
    assert handle._run() is None
    assert handle._run() is None
    assert called == [1, 1]


def test_run_by_hand_reports_errors(engine_name: str, way: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()

        def handler(_loop: object, context: dict[str, Any]) -> None:
            say(sorted(context))
            say(context["message"])
            say(context["exception"])
            say(context["handle"] is handle)

        loop.set_exception_handler(handler)
        handle = WAYS[way](loop, divmod, 1, 0)
        say(handle._run())

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_run_by_hand_lets_exits_through(eventloop: Any, way: str, error: type[BaseException]) -> None:
    def leaves() -> None:
        raise error(4)

    with pytest.raises(error) as caught:
        WAYS[way](eventloop, leaves)._run()
    assert caught.value.args == (4,)


# --- context


def test_context_is_a_copy_by_default(eventloop: Any, way: str) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    token = variable.set(1)
    try:
        handle = WAYS[way](eventloop, variable.set, 2)
    finally:
        variable.reset(token)
    context = context_of(handle)
    assert isinstance(context, contextvars.Context)
    assert context[variable] == 1
    handle._run()
    assert context[variable] == 2
    assert variable.get() == 0


def test_context_given(eventloop: Any, way: str) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.Context()
    handle = WAYS[way](eventloop, variable.set, 2, context=context)
    assert context_of(handle) is context
    handle._run()
    assert context[variable] == 2
    assert variable.get() == 0


def test_two_handles_share_a_context(eventloop: Any) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.Context()
    seen: list[int] = []
    eventloop.call_soon(variable.set, 7, context=context)
    eventloop.call_soon(lambda: seen.append(variable.get()), context=context)
    eventloop.call_soon(lambda: seen.append(variable.get()))
    turn(eventloop)
    assert seen == [7, 0]


def test_no_context_is_a_copy(eventloop: Any, way: str) -> None:
    handle = WAYS[way](eventloop, callback, context=None)
    assert isinstance(context_of(handle), contextvars.Context)


def test_context_survives_a_cancel(eventloop: Any, way: str) -> None:
    context = contextvars.Context()
    handle = WAYS[way](eventloop, callback, context=context)
    handle.cancel()
    assert context_of(handle) is context


def test_contexts_of_handles_stay_apart(eventloop: Any, way: str) -> None:
    """What a callback leaves in its context, keeps of it or sees of it, none of the next ones does."""
    variable = contextvars.ContextVar("variable", default=0)
    kept: list[Any] = []
    seen: list[int] = []
    whys: dict[str, Callable[[Any], object]] = {
        "sets": lambda handle: variable.set(1),
        "sets and keeps the token": lambda handle: kept.append(variable.set(1)),
        "resets": lambda handle: variable.reset(variable.set(1)),
        "resets and keeps the token": lambda handle: (kept.append(token := variable.set(1)), variable.reset(token)),
        "looks": lambda handle: kept.append(context_of(handle)),
        "looks from afar": lambda handle: kept.append(weakref.ref(context_of(handle))),
        "does nothing": lambda handle: None,
    }

    def run_all() -> None:
        for why in whys.values():
            for _ in range(3):
                cell: list[Any] = []

                def work(why: Any = why, cell: Any = cell) -> None:
                    seen.append(variable.get())
                    why(cell[0])

                cell.append(WAYS[way](eventloop, work))
                cell[0]._run()

    contextvars.Context().run(run_all)  # an empty one, other than that of pytest
    assert seen == [0] * 3 * len(whys)
    near = [thing for thing in kept if isinstance(thing, contextvars.Context)]
    assert len(set(map(id, near))) == 3
    assert not any(near)
    far = [thing() for thing in kept if isinstance(thing, weakref.ref)]
    alive = [context for context in far if context is not None]
    assert len(set(map(id, alive))) == len(alive)


def test_context_of_a_run_is_still_the_handles(eventloop: Any, way: str) -> None:
    handle: Any = None
    seen: list[Any] = []

    def work() -> None:
        seen.append(context_of(handle))

    handle = contextvars.Context().run(WAYS[way], eventloop, work)
    handle._run()
    assert context_of(handle) is seen[0]
    handle._run()
    assert seen[1] is seen[0]


# --- weak references, copies, cycles


def test_weak_reference(eventloop: Any, way: str) -> None:
    handle = WAYS[way](eventloop, callback)
    reference = weakref.ref(handle)
    assert reference() is handle


def test_handles_die_when_they_have_run(eventloop: Any) -> None:
    handles = [eventloop.call_soon(callback), eventloop.call_soon_threadsafe(callback), eventloop.call_at(0, callback)]
    references = [weakref.ref(handle) for handle in handles]
    del handles
    assert None not in [reference() for reference in references]
    turn(eventloop, 2)
    assert [reference() for reference in references] == [None] * 3


def test_cannot_be_pickled(eventloop: Any, way: str) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(WAYS[way](eventloop, print))


def test_cycle_through_a_handle_is_collected(eventloop: Any, way: str) -> None:
    class Thing:
        handle: Any

        def __call__(self) -> None:
            """Do nothing."""

    thing = Thing()
    thing.handle = WAYS[way](eventloop, thing)
    reference = weakref.ref(thing)
    eventloop.close()  # which lets go of all handles
    assert reference() is thing
    del thing
    gc.collect()
    assert reference() is None


def test_cycle_through_the_context_is_collected(eventloop: Any, way: str) -> None:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    context = contextvars.Context()
    handle = WAYS[way](eventloop, callback, context=context)
    context.run(variable.set, handle)
    reference = weakref.ref(handle)
    eventloop.close()
    del handle, context
    gc.collect()
    assert reference() is None


# --- order, equality and hash


COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]


def comparisons(engine: Engine, say: Say) -> None:
    loop = engine.new()

    def timers() -> list[Any]:
        made = [
            loop.call_at(10, callback),
            loop.call_at(10, callback),
            loop.call_at(10, callback, 1),
            loop.call_at(10, callback, 1.0),
            loop.call_at(10, print),
            loop.call_at(10.0, callback),
            loop.call_at(20, callback),
            loop.call_at(20, callback),
            loop.call_at(float("nan"), callback),
            loop.call_at(float("inf"), callback),
            loop.call_at(10, callback),
        ]
        made[7].cancel()
        made[10].cancel()
        return made

    others = [loop.call_soon(callback), loop.call_soon_threadsafe(callback), 10, None, "10"]
    handles = timers()
    for left in [*handles, *others]:
        for right in [*handles, *others]:
            for name in COMPARISONS:
                try:
                    say(getattr(operator, name)(left, right))
                except TypeError:
                    say("TypeError")


def test_comparisons(engine_name: str) -> None:
    same_as_stock(engine_name, comparisons)


def test_comparison_with_a_stock_timer(eventloop: Any) -> None:
    """A program may put both on one heap."""
    ours = eventloop.call_at(10, callback)
    same = asyncio.TimerHandle(10, callback, (), eventloop)
    later = asyncio.TimerHandle(20, callback, (), eventloop)
    assert ours == same and same == ours and hash(ours) == hash(same)
    assert ours <= same and ours >= same and same <= ours and same >= ours
    assert ours != later and later != ours
    assert ours < later and later > ours and not ours > later and not later < ours
    assert sorted([later, ours]) == [ours, later]
    ours.cancel()
    assert ours != same and same != ours


def test_equality_asks_callback_and_arguments(eventloop: Any) -> None:
    asked: list[str] = []

    class Thing:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, *args: object) -> None:
            """Do nothing."""

        def __eq__(self, other: object) -> bool:
            asked.append(self.name)
            return True

        __hash__ = None  # type: ignore[assignment]

    left = eventloop.call_at(10, Thing("callback"), Thing("argument"))
    right = eventloop.call_at(10, Thing("callback 2"), Thing("argument 2"))
    assert left == right
    assert asked == ["callback", "argument"]


def test_equality_that_fails(eventloop: Any) -> None:
    class Thing:
        def __call__(self, *args: object) -> None:
            """Do nothing."""

        def __eq__(self, other: object) -> bool:
            raise KeyError("no equality")

        __hash__ = None  # type: ignore[assignment]

    left, right = eventloop.call_at(10, Thing()), eventloop.call_at(10, Thing())
    for name in ("eq", "ne", "le", "ge"):
        with pytest.raises(KeyError, match="no equality"):
            getattr(operator, name)(left, right)
    assert not left < right and not left > right


def test_handles_are_equal_to_themselves_only(eventloop: Any) -> None:
    first, second = eventloop.call_soon(callback), eventloop.call_soon(callback)
    assert first == first and first != second
    assert len({first, second, first}) == 2
    with pytest.raises(TypeError, match="not supported between instances"):
        _ = first < second


@pytest.mark.parametrize("when", [0, 10, 10.5, -3, 1e300, float("inf")])
def test_hash_of_a_timer(eventloop: Any, when: float) -> None:
    first, second = eventloop.call_at(when, callback), eventloop.call_at(when, callback)
    assert hash(first) == hash(when)
    assert len({first, second}) == 1


def test_hash_survives_the_cancel(eventloop: Any) -> None:
    handle = eventloop.call_at(10.5, callback)
    members = {handle}
    handle.cancel()
    assert handle in members


# --- times


@pytest.mark.parametrize("when", [0, 10, 10.25, -5, True, 1e300, float("inf"), 2**70])
def test_when_is_what_was_given(engine_name: str, when: Any) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        handle = engine.new().call_at(when, callback)
        say(handle.when())
        say(handle._when)
        say(handle)

    same_as_stock(engine_name, scenario)


def test_when_of_call_later(eventloop: Any) -> None:
    before = eventloop.time()
    handle = eventloop.call_later(5, callback)
    assert before + 5 <= handle.when() <= eventloop.time() + 5
    assert type(handle.when()) is float


def test_when_survives_run_and_cancel(eventloop: Any) -> None:
    run, cancelled = eventloop.call_at(1, callback), eventloop.call_at(2, callback)
    cancelled.cancel()
    turn(eventloop, 2)
    assert (run.when(), cancelled.when()) == (1, 2)


def test_scheduled_flag(eventloop: Any) -> None:
    run, cancelled, far = (eventloop.call_at(when, callback) for when in (1, 2, 4e9))
    assert (run._scheduled, cancelled._scheduled, far._scheduled) == (True, True, True)
    cancelled.cancel()
    assert cancelled._scheduled is True
    turn(eventloop, 2)
    assert (run._scheduled, cancelled._scheduled, far._scheduled) == (False, False, True)


# --- the classes


def test_making_one_by_hand(engine_name: str, way: str) -> None:
    """As for the stock class: `Handle(callback, args, loop, context)`, `TimerHandle(when, …)`; no more is promised."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        handle_class = type(WAYS[way](loop, callback))
        when = (5.5,) if way in ("call_later", "call_at") else ()
        try:
            handle = handle_class(*when, say, ("called",), loop)
        except TypeError:
            assert engine.ours  # a native class may refuse
            handle = asyncio.Handle(say, ("called",), loop)
        handle._run()

    same_as_stock(engine_name, scenario)


def test_stock_handles_on_the_loop(eventloop: Any) -> None:
    """Transports and signal handlers bring `asyncio.Handle`s of their own to the loop's queue."""
    called: list[int] = []
    handles = [asyncio.Handle(called.append, (number,), eventloop) for number in range(3)]
    eventloop._add_callback(handles[0])
    eventloop._add_callback_signalsafe(handles[1])
    eventloop._ready.append(handles[2])
    turn(eventloop)
    assert called == [0, 1, 2]


def test_cancelled_stock_handle_is_not_added(eventloop: Any) -> None:
    called: list[int] = []
    first, second = (asyncio.Handle(called.append, (number,), eventloop) for number in range(2))
    first.cancel()
    eventloop._add_callback(first)
    eventloop._add_callback(second)
    second.cancel()
    turn(eventloop)
    assert called == []


def test_subclass_of_a_handle_on_the_loop(eventloop: Any) -> None:
    ran: list[str] = []

    class Mine(asyncio.Handle):
        def _run(self) -> None:
            ran.append("mine")
            super()._run()  # type: ignore[misc]

    eventloop._ready.append(Mine(ran.append, ("callback",), eventloop))
    turn(eventloop)
    assert ran == ["mine", "callback"]
