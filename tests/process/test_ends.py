"""The end of the interpreter while daemon threads are inside of native code."""

from __future__ import annotations

from textwrap import dedent

import pytest

from support.impls import run_fresh

#: Where a daemon thread is when the interpreter ends: in Python code that native code has called, one way or another.
PLACES = {
    "__del__ of a result": "f = future(); f.set_result(Del()); del f",
    "__eq__ of a callback": "f = future(); f.add_done_callback(print); f.remove_done_callback(Eq())",
    "__str__ of a name": "asyncio.Task(nothing(), loop=quiet, name=Str())",
    "__bool__ of a flag": "future()._asyncio_future_blocking = Bool()",
    "property of what is awaited": "asyncio.run(awaits(Awaited()))",
    "__getattr__ of what is awaited": "asyncio.run(awaits(Unknown()))",
    "__repr__ in an error": "asyncio.Task(Repr(), loop=quiet)",
    "weak reference's callback": "f = future(); kept = weakref.ref(f, stay); del f",
    "finaliser": "f = future(handler); f.set_exception(ValueError()); del f",
    "callback": "loop.call_soon(stay); loop.run_forever()",
    "__del__ of an argument": "loop.call_soon(id, Del()); loop.run_forever()",
    "__del__ of a timer's argument": "loop.call_later(0, id, Del()); loop.run_forever()",
    "__float__ of a time": "loop.call_at(Float(), print)",
    "fileno of a file": "loop.add_reader(File(), print)",
    "poll": "loop.call_soon(ready.set); loop.run_forever()",
}


@pytest.mark.parametrize("place", PLACES)
def test_daemon_thread_inside_of_native_code(place: str) -> None:
    """Up to 3.13 the thread is ended by pthread_exit, which unwinds its stack, but must not do so through Rust code."""
    code = f"""
    import threading, time, warnings, weakref
    import asyncio
    from support.fakes import QuietLoop

    warnings.simplefilter("ignore")

    def stay(*_):
        ready.set()
        while True:
            time.sleep(0.002)

    class Handler(QuietLoop):
        def call_exception_handler(self, context): stay()
    class Del: __del__ = stay
    class Eq: __eq__ = stay
    class Str: __str__ = stay
    class Bool: __bool__ = stay
    class Float: __float__ = stay
    class File: fileno = stay
    class Repr: __repr__ = stay
    class Awaited:
        _asyncio_future_blocking = property(stay)
        def __await__(self): yield self
    class Unknown:
        def __await__(self): yield self
        def __getattr__(self, name): stay()

    async def nothing(): pass
    async def awaits(what): await what
    def future(loop=None): return asyncio.Future(loop=loop or quiet)
    def work():
        loop = asyncio.new_event_loop()
        {PLACES[place]}

    ready, quiet, handler = threading.Event(), QuietLoop(), Handler()
    threading.Thread(target=work, daemon=True).start()
    assert ready.wait(20)
    time.sleep(0.02)
    print("end")
    """
    assert run_fresh("ours", f"import rasyncio; rasyncio.install()\n{dedent(code)}", flags=(), stderr="") == "end\n"
