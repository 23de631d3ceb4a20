"""The loop as an object: its class, repr, attributes, copies, subclasses; and how it comes to be asyncio's loop."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import subprocess
import sys
import weakref
from typing import Any

import pytest

import rasyncio
from support.loops import ENGINES, Engine, Say, run_fresh, same_as_stock, turn

OURS = [name for name in ENGINES if name != "stock"]


async def value(result: object = None) -> object:
    await asyncio.sleep(0)
    return result


# --- the class


def test_is_a_selector_event_loop(eventloop: Any) -> None:
    assert isinstance(eventloop, asyncio.SelectorEventLoop)
    assert isinstance(eventloop, asyncio.BaseEventLoop)
    assert isinstance(eventloop, asyncio.AbstractEventLoop)


def test_class_of_ours() -> None:
    import rasyncio

    assert rasyncio.EventLoop is rasyncio.EventLoop
    assert rasyncio.EventLoop.__name__ == "EventLoop"
    assert rasyncio.EventLoop.__module__.split(".")[0] == "rasyncio"
    assert rasyncio.EventLoop.__doc__
    assert "EventLoop" in rasyncio.__all__ and "new_event_loop" in rasyncio.__all__


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_public_names(eventloop: Any) -> None:
    """All of the stock loop's, and `stats()` besides."""
    stock = asyncio.SelectorEventLoop()
    stock.close()
    ours = {"stats"} if isinstance(eventloop, rasyncio.EventLoop) else set()
    assert public(eventloop) == public(stock) | ours


def test_private_names(eventloop: Any) -> None:
    """What debuggers, test suites and other libraries are known to read."""
    stock: Any = asyncio.SelectorEventLoop()
    stock.close()
    for name in vars(stock):
        assert hasattr(eventloop, name), name
    for name in dir(asyncio.SelectorEventLoop):
        assert hasattr(eventloop, name), name


def parameters(function: Any) -> list[str]:
    found = inspect.signature(function).parameters.values()
    return [str(each.replace(annotation=each.empty)) for each in found]


def test_signatures(eventloop: Any) -> None:
    """As the stock methods, parameter for parameter, where the interpreter can tell."""
    for name in sorted(public(asyncio.SelectorEventLoop)):
        stock, found = getattr(asyncio.SelectorEventLoop, name), getattr(type(eventloop), name)
        try:
            assert parameters(found) == parameters(stock), name
        except ValueError:  # a native method need not have one
            assert found is not stock
        assert found.__name__ == name
        assert bool(found.__doc__) or not stock.__doc__


def test_arguments(engine_name: str) -> None:
    """In a process of its own: what is refused leaves half a loop behind, of which asyncio's `__del__` complains."""
    code = """
    made = new_loop()
    made.close()
    for arguments, keywords in (((1, 2), {}), ((None, None), {}), ((), {"what": 1})):
        try:
            type(made)(*arguments, **keywords)
        except TypeError:
            print("refused")
    for loop in (type(made)(None), type(made)(selector=None)):
        print(loop.run_until_complete(asyncio.sleep(0, "usable")))
        loop.close()
    """
    assert run_fresh(engine_name, code, flags=("-Wignore",)) == "refused\n" * 3 + "usable\n" * 2


# --- the instance


def test_repr(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        say(loop)
        loop.set_debug(True)
        say(loop)
        loop.call_soon(lambda: say(loop))
        turn(loop)
        loop.close()
        say(loop)

    assert same_as_stock(engine_name, scenario)[0] == "<Loop running=False closed=False debug=False>"


def test_repr_of_a_subclass(engine: Engine) -> None:
    class Mine(engine.loop_class):  # type: ignore[misc]
        pass

    assert repr(engine.new(Mine)) == "<Mine running=False closed=False debug=False>"


def test_attributes_can_be_set(eventloop: Any) -> None:
    eventloop.mine = [1]
    assert eventloop.mine == [1] and "mine" in vars(eventloop) and "mine" in dir(eventloop)
    del eventloop.mine
    with pytest.raises(AttributeError):
        _ = eventloop.mine
    eventloop.slow_callback_duration = 5
    assert eventloop.slow_callback_duration == 5


def test_vars(eventloop: Any) -> None:
    assert isinstance(vars(eventloop), dict)
    eventloop.__dict__.update(one=1)
    assert eventloop.one == 1


def test_identity_is_equality(engine: Engine) -> None:
    first, second = engine.new(), engine.new()
    assert first == first and first != second
    assert len({first, second, first}) == 2


def test_weak_reference(eventloop: Any) -> None:
    assert weakref.ref(eventloop)() is eventloop
    kept = weakref.WeakKeyDictionary({eventloop: 1})
    assert kept[eventloop] == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_cannot_be_pickled(eventloop: Any, protocol: int) -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(eventloop, protocol)


def test_cannot_be_copied_deeply(engine_name: str) -> None:
    """In a process of its own: a copy that is begun leaves half a loop behind, which says so when it is freed."""
    code = """
    import copy
    loop = new_loop()
    try:
        copy.deepcopy(loop)
    except TypeError:
        print("refused")
    loop.close()
    """
    assert run_fresh(engine_name, code, flags=("-Wignore",)) == "refused\n"


def test_shallow_copy_is_no_crash(engine_name: str) -> None:
    """On the stock loop it shares everything with the original, whose descriptors it closes when it is freed."""
    code = """
    import copy, os
    loop = new_loop()
    handle = loop.call_soon(print)
    try:
        other = copy.copy(loop)
        other.call_soon(print)
        del other
        loop.run_until_complete(asyncio.sleep(0))
    except (TypeError, ValueError, AttributeError, OSError):
        pass
    print("alive", flush=True)
    os._exit(0)
    """
    assert run_fresh(engine_name, code, flags=("-Wignore",)).endswith("alive\n")


# --- not initialised, and initialised twice


@pytest.mark.parametrize(
    "use",
    [
        "loop.call_soon(print)",
        "loop.call_soon_threadsafe(print)",
        "loop.call_later(1, print)",
        "loop.call_at(1, print)",
        "loop.create_future()",
        "loop.time()",
        "loop.is_running()",
        "loop.is_closed()",
        "loop.get_debug()",
        "loop.stop()",
        "loop.run_forever()",
        "loop._run_once()",
        "loop.add_reader(0, print)",
        "loop.remove_reader(0)",
        "loop._ready",
        "list(loop._ready)",
        "loop._scheduled",
        "list(loop._scheduled)",
        "loop._process_events([])",
        "loop._timer_handle_cancelled(None)",
        "loop._add_callback(None)",
        "loop._write_to_self()",
        "loop.close()",
        "repr(loop)",
        "gc.collect()",
    ],
)
def test_without_init(engine_name: str, use: str) -> None:
    """`__new__` alone: anything but a crash."""
    code = f"""
    import gc, os
    loop = type(made := new_loop()).__new__(type(made))
    made.close()
    try:
        {use.replace("loop.run_forever()", "loop.stop(), loop.run_forever()")}
    except (AttributeError, RuntimeError, TypeError, OSError, ValueError):
        pass
    print("alive", flush=True)
    os._exit(0)
    """
    assert run_fresh(engine_name, code, flags=("-Wignore",)) == "alive\n"


def test_init_twice(engine_name: str) -> None:
    """Also no crash; the loop is usable."""
    code = """
    import gc, os
    loop = new_loop()
    loop.call_soon(print, "first")
    loop.call_later(1000, print)
    loop.__init__()
    loop.call_soon(loop.stop)
    loop.run_forever()
    print(loop.run_until_complete(asyncio.sleep(0.001, "usable")))
    loop.close()
    gc.collect()
    """
    assert run_fresh(engine_name, code, flags=("-Wignore",)).endswith("usable\n")


def test_subclass_that_does_not_call_init(engine_name: str) -> None:
    code = """
    import os
    made = new_loop()
    made.close()
    class Mine(type(made)):
        def __init__(self):
            pass
    loop = Mine()
    try:
        loop.call_soon(print)
        loop.run_forever()
    except (AttributeError, RuntimeError, TypeError, OSError):
        pass
    print("alive", flush=True)
    os._exit(0)
    """
    assert run_fresh(engine_name, code, flags=("-Wignore",)) == "alive\n"


@pytest.mark.parametrize("engine_name", OURS)
def test_init_that_fails(engine_name: str) -> None:
    """As when there are no more descriptors. Nothing stays open, as 3.15's stock loop leaves its selector."""
    code = """
    import gc, os, socket
    from unittest import mock
    new_loop().close()
    before = len(os.listdir("/proc/self/fd"))
    with mock.patch.object(socket, "socketpair", side_effect=OSError(24, "Too many open files")):
        try:
            new_loop()
        except OSError as error:
            print(error.errno)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    print("clean", flush=True)
    os._exit(0)
    """
    assert run_fresh(engine_name, code, flags=("-Wignore",)) == "24\nclean\n"


# --- subclasses


def test_subclass(engine: Engine) -> None:
    class Mine(engine.loop_class):  # type: ignore[misc]
        """A loop with a method and a slot of its own."""

        __slots__ = ("slot",)

        def double(self, number: int) -> int:
            return 2 * number

    loop = engine.new(Mine)
    loop.slot = 5
    assert (loop.slot, loop.double(4)) == (5, 8)
    assert loop.run_until_complete(value(6)) == 6
    assert isinstance(loop, engine.loop_class)


def test_multiple_inheritance(engine: Engine) -> None:
    class Mixin:
        def call_soon(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(args[0])
            return super().call_soon(*args, **kwargs)  # type: ignore[misc]

    class Mine(Mixin, engine.loop_class):  # type: ignore[misc]
        pass

    calls: list[object] = []
    loop = engine.new(Mine)
    assert loop.run_until_complete(value(6)) == 6
    assert len(calls) >= 3


def test_class_can_be_changed(engine: Engine) -> None:
    """`loop.__class__ = …`, as some test tools do it."""

    class Mine(engine.loop_class):  # type: ignore[misc]
        pass

    class Other(engine.loop_class):  # type: ignore[misc]
        def call_soon(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(args[0])
            return super().call_soon(*args, **kwargs)

    calls: list[object] = []
    loop = engine.new(Mine)
    assert loop.run_until_complete(value(1)) == 1
    loop.__class__ = Other
    assert loop.run_until_complete(value(2)) == 2
    assert len(calls) >= 3


def test_attribute_whose_name_is_no_string(engine: Engine) -> None:
    """The slot's own wrapper hands on whatever it gets."""
    loop = engine.new()
    with pytest.raises(TypeError, match="attribute name must be string, not 'int'"):
        type(loop).__setattr__(loop, 5, 1)


# --- how it comes to be asyncio's loop


def test_new_event_loop_swaps() -> None:
    code = """
    import asyncio, rasyncio
    loop = rasyncio.new_event_loop()
    assert type(loop) is rasyncio.EventLoop, loop
    assert asyncio.Task is rasyncio.Task and asyncio.Future is rasyncio.Future
    assert type(loop.create_future()) is rasyncio.Future
    loop.close()
    """
    assert run_fresh("c", code) == ""


def test_new_event_loop_while_a_loop_runs() -> None:
    """It is too late to swap; the loop it makes runs what there is."""
    code = """
    import asyncio, rasyncio, threading
    original = asyncio.Task
    async def main():
        loop = rasyncio.new_event_loop()
        thread = threading.Thread(target=lambda: print(loop.run_until_complete(asyncio.sleep(0, "ran"))))
        thread.start()
        thread.join()
        loop.close()
        assert asyncio.Task is original
    asyncio.run(main())
    """
    assert run_fresh("c", code) == "ran\n"


def test_install_makes_it_the_default() -> None:
    code = """
    import asyncio, rasyncio
    rasyncio.install()
    async def main():
        return type(asyncio.get_running_loop())
    assert asyncio.run(main()) is rasyncio.EventLoop
    loop = asyncio.new_event_loop()
    assert type(loop) is rasyncio.EventLoop
    loop.close()
    with asyncio.Runner() as runner:
        assert runner.run(main()) is rasyncio.EventLoop
    rasyncio.uninstall()
    assert asyncio.run(main()) is not rasyncio.EventLoop
    rasyncio.install(loop=False)
    assert asyncio.run(main()) is not rasyncio.EventLoop
    assert asyncio.Task is rasyncio.Task
    """
    assert run_fresh("c", code) == ""


def test_loop_factory() -> None:
    code = """
    import asyncio, rasyncio, sys
    async def main():
        return type(asyncio.get_running_loop()), type(asyncio.current_task())
    with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner:
        assert runner.run(main()) == (rasyncio.EventLoop, rasyncio.Task)
    if sys.version_info >= (3, 12):
        assert asyncio.run(main(), loop_factory=rasyncio.new_event_loop) == (rasyncio.EventLoop, rasyncio.Task)
        assert asyncio.run(main(), loop_factory=rasyncio.EventLoop) == (rasyncio.EventLoop, rasyncio.Task)
    """
    assert run_fresh("c", code) == ""


def test_command_line(tmp_path: Any) -> None:
    """Without a deprecation warning."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\n"
        "async def main():\n"
        "    print(type(asyncio.get_running_loop()).__name__, type(asyncio.current_task()).__module__)\n"
        "asyncio.run(main())\n"
    )
    child = subprocess.run(
        [sys.executable, "-Werror", "-m", "rasyncio", str(program)], capture_output=True, text=True, timeout=30
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "EventLoop _asyncio\n", "")


def test_event_loop_does_not_swap() -> None:
    """The class alone leaves asyncio as it is, and runs on CPython's Future and Task."""
    code = """
    import asyncio, rasyncio
    original = asyncio.Task, asyncio.Future
    loop = rasyncio.EventLoop()
    assert (asyncio.Task, asyncio.Future) == original
    assert type(loop.create_future()) is original[1]
    task = loop.create_task(asyncio.sleep(0, 5))
    assert type(task) is original[0]
    assert loop.run_until_complete(task) == 5
    loop.close()
    """
    assert run_fresh("c", code) == ""


@pytest.mark.parametrize("engine_name", OURS)
def test_swap_between_runs(engine_name: str) -> None:
    """A loop that was made before the swap runs the tasks of whichever side is in place."""
    code = """
    import rasyncio
    loop = new_loop()
    before = asyncio.Task
    assert type(loop.create_task(asyncio.sleep(0))) is before
    loop.run_until_complete(asyncio.sleep(0))
    rasyncio.install(loop=False)
    task = loop.create_task(asyncio.sleep(0, 5))
    assert type(task) is asyncio.Task is rasyncio.Task and type(loop.create_future()) is asyncio.Future
    assert loop.run_until_complete(task) == 5
    rasyncio.uninstall()
    task = loop.create_task(asyncio.sleep(0, 6))
    assert type(task) is asyncio.Task is not rasyncio.Task and type(loop.create_future()) is asyncio.Future
    assert loop.run_until_complete(task) == 6
    loop.close()
    """
    assert run_fresh(engine_name, code) == ""


def test_import_does_not_import_asyncio() -> None:
    code = """
    import sys, rasyncio
    assert "asyncio" not in sys.modules
    assert "EventLoop" in rasyncio.__all__
    """
    assert run_fresh("c", code) == ""
