"""What a loop holds, and when it lets go: handles, arguments, tasks, itself; and that nothing adds up."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import socket
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, turn


class Thing:
    """An object whose end can be seen. It can be called."""

    other: Any = None

    def __call__(self, *args: object) -> None:
        """Do nothing."""


async def value(result: object = None, times: int = 1) -> object:
    for _ in range(times):
        await asyncio.sleep(0)
    return result


WAYS: dict[str, Callable[..., Any]] = {
    "call_soon": lambda loop, *args, **kwargs: loop.call_soon(*args, **kwargs),
    "call_soon_threadsafe": lambda loop, *args, **kwargs: loop.call_soon_threadsafe(*args, **kwargs),
    "call_at": lambda loop, *args, **kwargs: loop.call_at(0, *args, **kwargs),
    "call_later": lambda loop, *args, **kwargs: loop.call_later(1000, *args, **kwargs),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


# --- by reference count


@pytest.mark.usefixtures("no_gc")
class TestByReferenceCount:
    def test_what_has_run_is_freed(self, eventloop: Any, way: str) -> None:
        if way == "call_later":
            eventloop.time = lambda: 5000.0  # it was made at this time, too
        things = [Thing() for _ in range(3)]
        references = [weakref.ref(thing) for thing in things]
        WAYS[way](eventloop, things[0], things[1], things[2])
        del things
        assert None not in [reference() for reference in references]
        if way == "call_later":
            eventloop.time = lambda: 7000.0
        turn(eventloop, 2)
        assert [reference() for reference in references] == [None] * 3

    def test_freed_before_the_next_callback(self, eventloop: Any) -> None:
        thing = Thing()
        gone = weakref.ref(thing)
        seen: list[object] = []
        eventloop.call_soon(thing, 1)
        eventloop.call_soon(lambda: seen.append(gone()))
        del thing
        turn(eventloop)
        assert seen == [None]

    def test_context_is_freed(self, eventloop: Any, way: str) -> None:
        variable: contextvars.ContextVar[Thing] = contextvars.ContextVar("variable")
        context, thing = contextvars.Context(), Thing()
        context.run(variable.set, thing)
        gone = weakref.ref(thing)
        handle = WAYS[way](eventloop, print, context=context)
        del context, thing
        assert gone() is not None
        handle.cancel()
        turn(eventloop, 2)
        del handle
        eventloop.close()
        assert gone() is None

    def test_cancelled_timer_lets_go_of_its_callback(self, eventloop: Any) -> None:
        """The timer may stay in the heap for long; what it was to call does not."""
        thing = Thing()
        gone = weakref.ref(thing)
        handle = eventloop.call_later(1000, thing, thing)
        del thing
        handle.cancel()
        assert gone() is None

    def test_close_lets_go_of_everything(self, eventloop: Any, way: str) -> None:
        thing = Thing()
        gone = weakref.ref(thing)
        WAYS[way](eventloop, thing, thing)
        left, right = socket.socketpair()
        with left, right:
            eventloop.add_reader(left, thing)
            del thing
            assert gone() is not None
            eventloop.close()
        assert gone() is None

    def test_reader_is_freed(self, eventloop: Any) -> None:
        left, right = socket.socketpair()
        with left, right:
            things = [Thing() for _ in range(3)]
            references = [weakref.ref(thing) for thing in things]
            eventloop.add_reader(left, things[0])
            eventloop.add_writer(left, things[1])
            eventloop.add_reader(left, things[2])
            del things
            assert [reference() is None for reference in references] == [True, False, False]
            eventloop.remove_writer(left)
            eventloop.remove_reader(left)
            assert [reference() for reference in references] == [None] * 3

    def test_finished_task_is_freed(self, eventloop: Any) -> None:
        thing = Thing()
        gone = weakref.ref(thing)
        task = eventloop.create_task(value(thing, 3))
        del thing
        task_gone = weakref.ref(task)
        eventloop.run_until_complete(task)
        assert gone() is not None
        del task
        assert task_gone() is None and gone() is None

    def test_future_and_callback_are_freed(self, eventloop: Any) -> None:
        thing = Thing()
        gone = weakref.ref(thing)
        future = eventloop.create_future()
        future_gone = weakref.ref(future)
        future.add_done_callback(functools.partial(thing))
        eventloop.call_soon(future.set_result, thing)
        del thing, future
        assert gone() is not None and future_gone() is not None
        turn(eventloop, 3)
        assert gone() is None and future_gone() is None

    def test_waiting_for_a_result_leaves_nothing(self, eventloop: Any) -> None:
        async def main() -> list[object]:
            future = eventloop.create_future()
            eventloop.call_soon(future.set_result, Thing())
            thing = await future
            references.append(weakref.ref(future))
            references.append(weakref.ref(thing))
            del future, thing
            await asyncio.sleep(0)
            return [reference() for reference in references]

        references: list[Any] = []
        assert eventloop.run_until_complete(main()) == [None, None]

    def test_closed_loop_is_freed(self, engine: Engine) -> None:
        """What goes in a circle on the stock loop is broken up by its `close`."""
        loop = engine.loop_class(*engine.arguments)
        loop.run_until_complete(value(1))
        gone = weakref.ref(loop)
        loop.close()
        del loop
        assert gone() is None

    def test_exit_frees_the_rest(self, eventloop: Any) -> None:
        thing = Thing()
        gone = weakref.ref(thing)

        def leaves(thing: Thing) -> None:
            del thing
            raise KeyboardInterrupt

        eventloop.call_soon(leaves, thing)
        del thing
        with pytest.raises(KeyboardInterrupt):
            eventloop.run_forever()
        assert gone() is None


# --- by the cycle collector


def collected(*references: Any) -> bool:
    for _ in range(3):
        gc.collect()
    return [reference() for reference in references] == [None] * len(references)


def collected_unclosed(*references: Any) -> bool:
    """The same with a loop among them that was not closed, which says so: the warning holds it for a while.

    With `no_gc`: a collection of the interpreter's own, while all is still alive, may put its sockets before the loop.
    """
    gc.disable()  # or it may come before the warnings are caught
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gc.collect()
            texts = [str(warning.message) for warning in caught]
            caught.clear()
    finally:
        gc.enable()
    assert [text.startswith("unclosed event loop <") for text in texts] == [True], texts
    return collected(*references)


def test_cycle_of_handle_and_callback(eventloop: Any, way: str) -> None:
    """Made by whoever keeps a handle to cancel it later. The loop is done with it, or was told to forget it."""
    for end in ("run", "cancel", "clear"):
        thing = Thing()
        thing.other = WAYS[way](eventloop, thing, thing)
        gone = weakref.ref(thing)
        if end == "cancel":
            thing.other.cancel()
        elif end == "clear":
            eventloop._ready.clear()
            eventloop._scheduled.clear()
        elif way == "call_later":
            continue
        del thing
        turn(eventloop, 2)
        assert collected(gone), end


def test_nothing_is_collected_too_early(eventloop: Any, way: str) -> None:
    """What the loop holds is alive, also if nobody else holds it."""
    called: list[int] = []

    class Counts(Thing):
        def __call__(self, *args: object) -> None:
            called.append(1)

    thing = Counts()
    handle = WAYS[way](eventloop, thing, thing)
    thing.other = handle
    gone = weakref.ref(thing)
    del thing, handle
    assert not collected(gone)
    assert gone().other._callback is gone()
    if way == "call_later":
        eventloop.time = lambda: 1e9
    turn(eventloop, 2)
    assert called == [1]


@pytest.mark.usefixtures("no_gc")
def test_loop_with_pending_work_in_a_cycle(engine: Engine, way: str) -> None:
    """The callbacks hold the loop that holds them. It was not closed; it says so, and is collected with everything."""
    loop = engine.loop_class(*engine.arguments)
    thing = Thing()
    thing.other = loop
    WAYS[way](loop, thing, loop)
    references = weakref.ref(loop), weakref.ref(thing)
    del loop, thing
    assert collected_unclosed(*references)


@pytest.mark.usefixtures("no_gc")
def test_loop_with_pending_tasks_in_a_cycle(engine: Engine) -> None:
    async def wait(loop: Any, thing: Thing) -> None:
        await loop.create_future()

    loop = engine.loop_class(*engine.arguments)
    loop.set_exception_handler(lambda _loop, _context: None)  # tasks are destroyed while pending
    thing = Thing()
    tasks = [loop.create_task(wait(loop, thing)) for _ in range(3)]
    turn(loop, 2)
    tasks.append(loop.create_task(wait(loop, thing)))
    references = [weakref.ref(loop), weakref.ref(thing), *map(weakref.ref, tasks)]
    tasks[-1].get_coro().close()
    tasks[-1]._log_destroy_pending = False
    del loop, thing, tasks
    assert collected_unclosed(*references)


@pytest.mark.usefixtures("no_gc")
def test_loop_with_readers_in_a_cycle(engine: Engine) -> None:
    loop = engine.loop_class(*engine.arguments)
    left, right = socket.socketpair()
    with left, right:
        thing = Thing()
        thing.other = loop
        loop.add_reader(left, thing)
        loop.add_writer(left, thing)
        references = weakref.ref(loop), weakref.ref(thing)
        del loop, thing
        assert collected_unclosed(*references)


def test_loop_in_a_cycle_with_its_own_attributes(engine: Engine) -> None:
    loop = engine.loop_class(*engine.arguments)
    thing = Thing()
    loop.itself = loop
    loop.thing = thing
    loop.set_exception_handler(lambda _loop, _context, loop=loop: None)
    loop.set_task_factory(functools.partial(lambda loop, *args: None, loop))
    references = weakref.ref(loop), weakref.ref(thing)
    loop.close()
    del loop, thing
    assert collected(*references)


def test_handle_holds_its_loop(engine: Engine, way: str) -> None:
    loop = engine.loop_class(*engine.arguments)
    handle = WAYS[way](loop, print)
    loop.close()
    gone = weakref.ref(loop)
    del loop
    assert not collected(gone)
    assert handle._loop is gone()
    handle.cancel()
    del handle
    assert collected(gone)


def test_collection_in_the_middle_of_a_run(eventloop: Any) -> None:
    """The collector walks over the loop while callbacks run and others wait, in each of them."""
    called: list[int] = []

    def work(number: int) -> None:
        gc.collect()
        called.append(number)
        if number < 10:
            eventloop.call_soon(work, number + 100)
            eventloop.call_later(0, work, number + 200)

    async def task() -> None:
        for _ in range(5):
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0.0001)

    for number in range(10):
        eventloop.call_soon(work, number)
    eventloop.run_until_complete(asyncio.wait([eventloop.create_task(task()) for _ in range(5)]))
    turn(eventloop, 2)
    assert sorted(called) == [*range(10), *range(100, 110), *range(200, 210)]


def test_finalizer_that_uses_the_loop(eventloop: Any) -> None:
    """Freeing an argument runs Python code, which schedules more."""
    called: list[str] = []

    class Schedules:
        def __del__(self) -> None:
            eventloop.call_soon(called.append, "soon")
            eventloop.call_at(0, called.append, "at")

    for _ in range(10):
        eventloop.call_soon(lambda _: None, Schedules())
        eventloop.call_later(1000, lambda _: None, Schedules()).cancel()
    turn(eventloop, 4)
    assert (called.count("soon"), called.count("at")) == (20, 20)


def test_finalizer_while_the_loop_closes(eventloop: Any) -> None:
    """`close` frees what waits, which then finds the loop closed."""
    said: list[str] = []

    class Schedules:
        def __del__(self) -> None:
            try:
                eventloop.call_soon(print)
            except RuntimeError as error:
                said.append(str(error))

    eventloop.call_soon(print, Schedules())
    eventloop.call_later(1000, print, Schedules())
    eventloop.close()
    assert said == ["Event loop is closed"] * 2
    assert len(eventloop._ready) == len(eventloop._scheduled) == 0


def test_finalizer_while_timers_are_dropped(eventloop: Any) -> None:
    """Cancelled timers leave the heap in one go; that frees things that cancel and add others."""
    left: list[Any] = []

    class Cancels:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        def __del__(self) -> None:
            self.handle.cancel()
            left.append(eventloop.call_later(1000, print))

    for _ in range(300):
        other = eventloop.call_later(500, print)
        # freed when the loop lets go of the handle, not when it is cancelled
        context = contextvars.Context()
        context.run(VARIABLE.set, Cancels(other))
        eventloop.call_later(2000, print, context=context).cancel()
        eventloop.call_later(2000, print).cancel()
        del context, other
    assert left == []
    for _ in range(5):
        turn(eventloop)
    assert len(left) == 300
    assert [timer._cancelled for timer in eventloop._scheduled].count(False) == 300


VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")


# --- nothing adds up


async def busy(loop: Any) -> None:
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    await future
    await asyncio.gather(value(), value())
    loop.call_later(1000, print).cancel()
    await asyncio.wait_for(value(), 10)
    await asyncio.sleep(0.0001)
    await loop.run_in_executor(None, int)
    loop.call_soon_threadsafe(int)
    left, right = socket.socketpair()
    loop.add_reader(left, int)
    loop.add_writer(left, int)
    await asyncio.sleep(0)
    loop.remove_reader(left)
    loop.remove_writer(left)
    left.close()
    right.close()


def test_objects_do_not_add_up(engine: Engine) -> None:
    """The number of objects is the same after many rounds as after a few."""

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        counts = []
        for rounds in (20, 20, 200):
            for _ in range(rounds):
                await busy(loop)
            await asyncio.sleep(0)
            gc.collect()
            counts.append(len(gc.get_objects()))
        return counts[1], counts[2]

    before, after = engine.run(main())
    assert after - before < 100


def test_blocks_do_not_add_up(engine: Engine) -> None:
    """Nor does memory that the collector does not see."""

    def work(loop: Any, count: int) -> None:
        for _ in range(count):
            loop.call_soon(int, 1)
            loop.call_soon_threadsafe(int, 2)
            loop.call_later(0, int, 3)
            loop.call_later(1000, int, 4).cancel()
            loop.create_future().add_done_callback(print)
            loop.create_task(value())
        for _ in range(4):
            turn(loop)

    loop = engine.new()
    work(loop, 1000)
    counts = []
    for _ in range(6):
        work(loop, 1000)
        gc.collect()
        counts.append(sys.getallocatedblocks())
    assert min(counts[3:]) - min(counts[:3]) < 300, counts


def test_loops_do_not_add_up(engine: Engine) -> None:
    def work() -> None:
        for _ in range(30):
            loop = engine.loop_class(*engine.arguments)
            loop.run_until_complete(value())
            loop.call_later(1000, print, loop)
            loop.close()

    counts = []
    for _ in range(6):
        work()
        gc.collect()
        counts.append(sys.getallocatedblocks())
    assert min(counts[3:]) - min(counts[:3]) < 100, counts


@pytest.mark.skipif(not hasattr(sys, "gettotalrefcount"), reason="only a debug build of Python counts all references")
def test_references_do_not_add_up(engine: Engine) -> None:
    """Catches one reference too many to an immortal-looking object, such as None before 3.12, or a class."""

    def work() -> None:
        async def main() -> None:
            for _ in range(100):
                await busy(asyncio.get_running_loop())

        engine.run(main())

    work()
    counts = []
    for _ in range(8):
        work()
        gc.collect()
        counts.append(sys.gettotalrefcount())
    assert min(counts[4:]) - min(counts[:4]) < 200, counts  # one for each round of four times a hundred is too many


def test_reference_counts_of_arguments(eventloop: Any, way: str) -> None:
    """Exactly as many references as before, after run, cancel and close."""
    thing, argument = Thing(), Thing()
    before = sys.getrefcount(thing), sys.getrefcount(argument)
    for _ in range(10):
        WAYS[way](eventloop, thing, argument, argument)
        WAYS[way](eventloop, thing, argument).cancel()
    if way != "call_later":
        turn(eventloop, 2)
        gc.collect()
        assert (sys.getrefcount(thing), sys.getrefcount(argument)) == before
    WAYS[way](eventloop, thing, argument)
    eventloop.close()
    gc.collect()
    assert (sys.getrefcount(thing), sys.getrefcount(argument)) == before


def test_memory_of_a_burst_is_given_back(engine: Engine) -> None:
    """What many handles took is kept for the next ones, but not for ever."""
    count = 20_000

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        for way in (loop.call_soon, loop.call_soon_threadsafe):
            for _ in range(count):
                way(int)
        for _ in range(count):
            loop.call_later(0, int)
        await asyncio.sleep(0.01)
        for _ in range(100):
            if sys.getallocatedblocks() < before + 5000:
                return True
            await asyncio.sleep(0.1)
        return False

    async def warm_up() -> None:
        await asyncio.sleep(0.01)

    engine.run(warm_up())
    before = sys.getallocatedblocks()
    assert engine.run(main())
