"""What a review of the event loop found: wake-ups that could be lost, chains, weak references, patched classes."""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref
from typing import Any

import pytest

from support.impls import run_fresh
from support.loops import Engine, turn


def test_signal_handler_between_the_last_look_and_the_wait(engine: Engine) -> None:
    """The handler runs when the loop has found nothing to do; what it queues must not wait for another wake-up."""

    def body() -> None:
        import signal

        loop = new_loop()  # type: ignore[name-defined]  # noqa: F821
        signal.signal(signal.SIGALRM, lambda *_: loop.call_soon_threadsafe(loop.stop))
        data = b"x" * 100_000_000
        loop.call_soon(data.count, b"y")  # native, so that the handler does not run meanwhile
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        loop.run_forever()
        loop.close()
        print("stopped")

    assert engine.fresh(body, timeout=20) == "stopped\n"


def test_long_chain_of_handles_is_freed(eventloop: Any) -> None:
    handle = eventloop.call_later(1000, print)
    for _ in range(200_000):
        handle = eventloop.call_later(1000, print, handle)
    eventloop._scheduled.clear()
    del handle


def test_weak_reference_to_a_handle_among_garbage(engine: Engine) -> None:
    """Like any other weak reference to garbage, it is dead before anything is taken apart."""

    class Spy:
        def __del__(self) -> None:
            seen.append(reference())

    seen: list[object] = []
    loop = engine.new()
    spy = Spy()
    spy.myself = spy  # type: ignore[attr-defined]
    handle = loop.call_later(1000, functools.partial(print, loop, spy))
    reference = weakref.ref(handle)
    spy.handle = handle  # type: ignore[attr-defined]
    handle.cancel()
    loop.close()
    engine._made.clear()
    del loop, spy, handle
    gc.collect()
    assert seen == [None]


def test_unclosed_loop_with_an_objects_own_timer_is_collected(engine: Engine) -> None:
    class Keeper:
        def __init__(self, loop: Any) -> None:
            self.handles = [loop.call_later(1000, self.work), loop.call_soon(self.work)]

        def work(self) -> None:
            """Do nothing."""

    loop = engine.new()
    keeper = weakref.ref(Keeper(loop))
    loop.close()  # the queue is emptied; the keeper is held by nothing else
    del loop
    engine._made.clear()
    gc.collect()
    assert keeper() is None


def test_context_is_left_when_a_handle_was_meddled_with(eventloop: Any) -> None:
    """A step whose task is gone is an error of that step, and of nothing else."""
    reports: list[dict[str, Any]] = []
    eventloop.set_exception_handler(lambda _loop, report: reports.append(report))

    async def value() -> int:
        return 1

    task = eventloop.create_task(value())
    entry = eventloop._ready[-1]
    asyncio.Handle._callback.__set__(entry, 5)  # type: ignore[attr-defined]
    turn(eventloop)
    assert [type(report["exception"]) for report in reports] == [TypeError]
    assert eventloop.run_until_complete(value()) == 1
    task._log_destroy_pending = False
    task.get_coro().close()


def test_handle_class_that_was_replaced(engine: Engine) -> None:
    def body() -> None:
        import asyncio

        class Handle(asyncio.Handle):
            """Inherits everything."""

        asyncio.events.Handle = Handle  # type: ignore[misc]

        async def main() -> str:
            await asyncio.sleep(0.001)
            return "done"

        print(run(main()))  # type: ignore[name-defined]  # noqa: F821

    assert engine.fresh(body) == "done\n"


def test_handle_class_that_was_replaced_on_the_stock_loop() -> None:
    code = """
    import asyncio
    class Handle(asyncio.Handle):
        runs = 0
        def __init__(self, *args):
            type(self).runs += 1
            super().__init__(*args)
    class Inherits(asyncio.Handle): pass
    for cls in Inherits, Handle:
        asyncio.events.Handle = cls
        asyncio.run(asyncio.sleep(0))
    print(Handle.runs > 0)
    """
    assert run_fresh("loop ours", code) == "True\n"


def test_chains_freed_in_two_threads_at_once() -> None:
    """Each counts how deep it is, in a counter that they share; nothing may be left over in it."""

    def body() -> None:
        import threading
        import weakref

        class Callback:
            def __init__(self, *steps):
                self.steps = steps

            def __del__(self):
                for step in self.steps:
                    step()

        def handle_of(callback):
            handle = loop.call_soon(callback)
            loop._ready.clear()
            return handle

        loop = new_loop()  # noqa: F821
        deep, shallow, freed = threading.Event(), threading.Event(), threading.Event()
        chain = handle_of(Callback(deep.set, shallow.wait))
        for _ in range(60):
            chain = handle_of(chain)
        chains = [chain]
        del chain
        thread = threading.Thread(target=lambda: (chains.clear(), freed.set()))
        thread.start()
        deep.wait()
        del_here = handle_of(Callback(shallow.set, freed.wait))
        del del_here
        thread.join()

        last = Callback()
        reference = weakref.ref(last)
        handle = handle_of(last)
        del last, handle
        print(reference() is None)
        loop.close()

    assert run_fresh("loop ours", body) == "True\n"


@pytest.mark.parametrize("kind", ["call_later(0, ", "call_soon_threadsafe("])
def test_a_handle_class_is_made_once(kind: str) -> None:
    """Up to 3.11 making it runs the collector, and so other threads, or code that needs the class itself."""
    code = f"""
    import gc
    def collecting(phase, info):
        if not made:
            made.append(None)
            made[0] = loop.{kind}print, "inner")
    loop, made = new_loop(), []
    gc.callbacks.append(collecting)
    gc.set_threshold(1)
    outer = loop.{kind}print, "outer")
    gc.collect()
    print(type(made[0]) is type(outer))
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.close()
    """
    said = run_fresh("loop ours", code).splitlines()
    assert said[0] == "True" and sorted(said[1:]) == ["inner", "outer"]


def test_slots_written_by_the_base_class() -> None:
    """asyncio's own descriptors write past ours: what is not a task cannot be driven as one."""

    def body() -> None:
        import asyncio

        async def nothing() -> None:
            """Do nothing."""

        loop = new_loop()  # noqa: F821
        loop.set_exception_handler(lambda _, context: print(type(context["exception"]).__name__))
        coroutine = nothing()
        task = loop.create_task(coroutine)
        task._log_destroy_pending = False
        (handle,) = loop._ready
        vars(asyncio.Handle)["_callback"].__set__(handle, 5)
        try:
            handle._callback()
        except TypeError as error:
            print(error)
        handle._run()
        coroutine.close()
        loop.close()

    text = "an event loop's handle was changed: it has 5"
    assert run_fresh("loop ours", body) == f"{text}\nTypeError\n"
