"""create_future, create_task and task factories; loops whose methods somebody else has replaced or overridden."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from support.impls import MINOR
from support.loops import Engine, Say, same_as_stock, tried, turn


async def value(result: object = None, times: int = 1) -> object:
    for _ in range(times):
        await asyncio.sleep(0)
    return result


# --- futures


def test_create_future(eventloop: Any) -> None:
    future = eventloop.create_future()
    assert type(future) is asyncio.Future
    assert future.get_loop() is eventloop
    assert not future.done()


def test_create_future_takes_nothing(eventloop: Any) -> None:
    for arguments, keywords in (((1,), {}), ((), {"loop": eventloop})):
        with pytest.raises(TypeError):
            eventloop.create_future(*arguments, **keywords)


def test_create_future_in_debug_mode(eventloop: Any) -> None:
    eventloop.set_debug(True)
    future = eventloop.create_future()
    assert "test_create_future_in_debug_mode" in [frame.name for frame in future._source_traceback]


def test_future_callbacks_run_in_order(eventloop: Any) -> None:
    future = eventloop.create_future()
    called: list[object] = []
    for number in range(5):
        future.add_done_callback(lambda done, number=number: called.append((number, done.result())))
    eventloop.call_soon(future.set_result, "result")
    turn(eventloop, 2)
    assert called == [(number, "result") for number in range(5)]


OUTCOMES: dict[str, Callable[[asyncio.Future[Any]], tuple[Any, ...]]] = {
    "result": lambda future: (future.set_result, 5),
    "none": lambda future: (future.set_result, None),
    "exception": lambda future: (future.set_exception, LookupError("no")),
    "exception class": lambda future: (future.set_exception, LookupError),
    "stop iteration": lambda future: (future.set_exception, StopIteration()),
    "cancel": lambda future: (future.cancel,),
    "cancel with message": lambda future: (future.cancel, "why"),
    "too few": lambda future: (future.set_result,),
    "too many": lambda future: (future.set_result, 1, 2),
}


@pytest.mark.parametrize("ways", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("make", OUTCOMES.values(), ids=OUTCOMES)
def test_future_methods_as_callbacks(engine_name: str, make: Callable[..., tuple[Any, ...]], ways: int) -> None:
    """Including what the exception handler is told when the future was done already."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()

        def handler(_loop: object, context: dict[str, Any]) -> None:
            say(sorted(context))
            say(context["message"])
            say((type(context["exception"]).__name__, str(context["exception"]).split("(")[0]))

        loop.set_exception_handler(handler)
        future = loop.create_future()
        future.add_done_callback(say)
        for _ in range(ways):
            handle = loop.call_soon(*make(future))
            say(handle)
            say(handle._callback == make(future)[0])
        timer = loop.call_at(0, *make(future))
        say(timer._args)
        if ways == 1:
            timer.cancel()
        turn(loop, 3)
        say(future.done())
        tried(say, lambda: None if future.cancelled() else future.exception())

    same_as_stock(engine_name, scenario)


def test_future_subclass_overrides_set_result(eventloop: Any) -> None:
    class Loud(asyncio.Future):  # type: ignore[type-arg]
        def set_result(self, result: object) -> None:
            super().set_result(("loud", result))

    future = Loud(loop=eventloop)
    eventloop.call_soon(future.set_result, 1)
    assert eventloop.run_until_complete(future) == ("loud", 1)


# --- tasks


def test_create_task(eventloop: Any) -> None:
    task = eventloop.create_task(value(5))
    assert type(task) is asyncio.Task
    assert task.get_loop() is eventloop
    assert not task.done()
    assert eventloop.run_until_complete(task) == 5


def test_create_task_names(eventloop: Any) -> None:
    named, unnamed, none = (
        eventloop.create_task(value(), **keywords) for keywords in ({"name": "a name"}, {}, {"name": None})
    )
    number = eventloop.create_task(value(), name=5)
    assert named.get_name() == "a name" and number.get_name() == "5"
    assert unnamed.get_name().startswith("Task-") and none.get_name().startswith("Task-")
    eventloop.run_until_complete(asyncio.wait([named, unnamed, none, number]))


def test_create_task_context(eventloop: Any) -> None:
    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.Context()

    async def change() -> None:
        variable.set(variable.get() + 1)
        await asyncio.sleep(0)
        variable.set(variable.get() + 1)

    eventloop.run_until_complete(eventloop.create_task(change(), context=context))
    eventloop.run_until_complete(eventloop.create_task(change()))
    assert context[variable] == 2 and variable.get() == 0


@pytest.mark.skipif(MINOR < (3, 14), reason="create_task has eager_start from 3.14 on")
@pytest.mark.parametrize("eager", [None, False, True])
def test_create_task_eager_start(eventloop: Any, eager: bool | None) -> None:
    async def main() -> tuple[bool, bool]:
        quick = eventloop.create_task(quick_one(), eager_start=eager)
        slow = eventloop.create_task(value(1), eager_start=eager)
        done = quick.done(), slow.done()
        assert await quick == 7 and await slow == 1
        return done

    async def quick_one() -> int:
        return 7

    assert eventloop.run_until_complete(main()) == (bool(eager), False)


WRONG_TASKS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "nothing": ((), {}),
    "none": ((None,), {}),
    "function": ((value,), {}),
    "positional name": ((None, "name"), {}),
    "unexpected keyword": ((None,), {"what": 1}),
    "loop": ((None,), {"loop": None}),
}


@pytest.mark.parametrize(("arguments", "keywords"), WRONG_TASKS.values(), ids=WRONG_TASKS)
def test_create_task_wrong_arguments(engine_name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        try:
            engine.new().create_task(*arguments, **keywords)
        except TypeError as error:
            say(error if len(arguments) == 1 and not keywords else "TypeError")

    assert "TypeError" in same_as_stock(engine_name, scenario)[0]


@pytest.mark.skipif(MINOR == (3, 13), reason="checked from some 3.13.x on: test_semantics_task.py has it")
def test_create_task_with_wrong_context(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, context: say((context["message"], context.get("exception"))))
        coro = value()
        try:
            task = loop.create_task(coro, context=5)
            turn(loop)
            task._log_destroy_pending = False
        except (TypeError, AttributeError) as error:
            say(error)
        coro.close()

    same_as_stock(engine_name, scenario)


def test_create_task_in_debug_mode(eventloop: Any) -> None:
    eventloop.set_debug(True)
    task = eventloop.create_task(value())
    frame = task._source_traceback[-1]
    assert (frame.name, frame.line) == ("test_create_task_in_debug_mode", "task = eventloop.create_task(value())")
    eventloop.run_until_complete(task)


def test_create_task_when_not_running_and_from_another_thread(eventloop: Any) -> None:
    """The loop that it is for need not be the running one."""

    async def main(other: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = other.create_task(value(3))
        await asyncio.sleep(0)
        return task

    other = type(eventloop)()
    try:
        task = eventloop.run_until_complete(main(other))
        assert not task.done() and task.get_loop() is other
        assert other.run_until_complete(task) == 3
    finally:
        other.close()


# --- factories


class Factory:
    """Remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
        self.calls.append((args, kwargs))
        loop, coro = args
        return asyncio.Task(coro, loop=loop, **kwargs)


FACTORY_KEYWORDS: list[dict[str, Any]] = [
    {},
    {"name": "a name"},
    {"name": None},
    {"context": None},
    {"context": contextvars.Context()},
    {"name": "a name", "context": contextvars.Context()},
]
if MINOR >= (3, 14):
    FACTORY_KEYWORDS += [{"eager_start": False}, {"name": "a name", "eager_start": None}]


@pytest.mark.parametrize("keywords", FACTORY_KEYWORDS, ids=lambda keywords: " ".join(keywords) or "none")
def test_factory_is_called_as_by_the_stock_loop(engine_name: str, keywords: dict[str, Any]) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        factory = Factory()
        say(loop.get_task_factory())
        loop.set_task_factory(factory)
        say(loop.get_task_factory() is factory)
        say(loop._task_factory is factory)
        coro = value(4)
        task = loop.create_task(coro, **keywords)
        [((first, second), given)] = factory.calls
        say((first is loop, second is coro))
        say(sorted(given.items()))
        say(loop.run_until_complete(task))
        say(task.get_name())
        loop.set_task_factory(None)
        say(loop.get_task_factory())
        say(loop.run_until_complete(loop.create_task(value(5), **keywords)))
        say(len(factory.calls))

    same_as_stock(engine_name, scenario)


def test_factory_may_return_anything(eventloop: Any) -> None:
    coro = value()
    made = mock.Mock(spec=["set_name"])  # some versions name what the factory returns
    eventloop.set_task_factory(lambda loop, coro, **kwargs: made)
    assert eventloop.create_task(coro) is made
    coro.close()


def test_factory_that_fails(eventloop: Any) -> None:
    def factory(loop: object, coro: object, **kwargs: object) -> None:
        raise LookupError("no tasks today")

    eventloop.set_task_factory(factory)
    coro = value()
    with pytest.raises(LookupError, match="no tasks today"):
        eventloop.create_task(coro)
    coro.close()
    assert len(eventloop._ready) == 0


@pytest.mark.parametrize("factory", [5, "text", False, []], ids=repr)
def test_factory_that_is_none(engine_name: str, factory: object) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        tried(say, lambda: loop.set_task_factory(factory))
        say(loop.get_task_factory())

    assert same_as_stock(engine_name, scenario)[0] == "TypeError: task factory must be a callable or None"


def test_factory_is_used_by_everything(engine: Engine) -> None:
    """gather, TaskGroup, wait_for, ensure_future, run_until_complete."""
    loop = engine.new()
    factory = Factory()
    loop.set_task_factory(factory)

    async def main() -> None:
        await asyncio.gather(value(), value())
        async with asyncio.TaskGroup() as group:
            group.create_task(value())
        await asyncio.ensure_future(value())
        await asyncio.create_task(value(), name="named")

    loop.run_until_complete(main())
    assert len(factory.calls) == 6


@pytest.mark.skipif(MINOR < (3, 12), reason="eager tasks are new in 3.12")
class TestEager:
    def test_eager_task_factory(self, engine: Engine) -> None:
        async def immediate() -> int:
            return 5

        async def main() -> None:
            loop = asyncio.get_running_loop()
            done, pending = loop.create_task(immediate()), loop.create_task(value(6))
            assert done.done() and not pending.done()
            assert done.result() == 5 and await pending == 6
            named = loop.create_task(value(), name="a name")
            assert named.get_name() == "a name"
            await named

        loop = engine.new()
        loop.set_task_factory(asyncio.eager_task_factory)
        assert loop.get_task_factory() is asyncio.eager_task_factory
        loop.run_until_complete(main())

    def test_order_of_eager_tasks(self, engine_name: str) -> None:
        def scenario(engine: Engine, say: Say) -> None:
            async def child(name: str) -> str:
                say(f"{name} starts in {asyncio.current_task().get_name()}")  # type: ignore[union-attr]
                await asyncio.sleep(0)
                say(f"{name} goes on")
                return name

            async def main() -> None:
                async with asyncio.TaskGroup() as group:
                    for name in "abc":
                        group.create_task(child(name), name=name)
                        say(f"made {name}")
                say(await asyncio.gather(*(child(name) for name in "xyz")))

            loop = engine.new()
            loop.set_task_factory(asyncio.eager_task_factory)
            loop.run_until_complete(main())

        same_as_stock(engine_name, scenario)

    def test_custom_eager_factory(self, engine: Engine) -> None:
        class Mine(asyncio.Task):  # type: ignore[type-arg]
            pass

        async def main() -> None:
            task = asyncio.create_task(value(8))
            assert type(task) is Mine
            assert await task == 8

        loop = engine.new()
        loop.set_task_factory(asyncio.create_eager_task_factory(Mine))
        loop.run_until_complete(main())


# --- overridden in a subclass


async def program() -> list[object]:
    """Uses tasks, futures and timers."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    task = asyncio.create_task(value(2, 3))
    results: list[object] = [await future, await task]
    results += await asyncio.gather(value(3), value(4))
    results.append(await asyncio.wait_for(value(5), 10))
    await asyncio.sleep(0.001)
    return results


EXPECTED = [1, 2, 3, 4, 5]
OVERRIDABLE = ["call_soon", "call_later", "call_at", "create_task", "create_future", "time", "get_debug", "is_running"]


def override(engine: Engine, *names: str) -> tuple[Any, list[str]]:
    """A loop of a subclass that overrides methods with ones that count their calls."""
    calls: list[str] = []
    base = engine.loop_class

    def counting(name: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return getattr(base, name)(self, *args, **kwargs)

        return method

    return engine.new(type("Loop", (base,), {name: counting(name) for name in names})), calls


@pytest.mark.parametrize("name", OVERRIDABLE)
def test_subclass_overrides(engine: Engine, name: str) -> None:
    loop, calls = override(engine, name)
    assert loop.run_until_complete(program()) == EXPECTED
    assert name in calls


def test_subclass_overrides_everything(engine: Engine) -> None:
    loop, calls = override(engine, *OVERRIDABLE, "_run_once", "_call_soon", "_process_events", "stop", "close")
    assert loop.run_until_complete(program()) == EXPECTED
    loop.close()
    assert {"call_soon", "create_task", "call_at", "_run_once", "stop", "close"} <= set(calls)


def calls_of_override(engine: Engine, say: Say, name: str) -> None:
    loop, calls = override(engine, name)
    say(loop.run_until_complete(program()))
    say(len(calls))


@pytest.mark.parametrize("name", ["call_soon", "call_at", "call_later", "create_task"])
def test_an_override_sees_every_call(engine_name: str, name: str) -> None:
    """Each step of a task and each callback of a future passes an overridden call_soon, as on the stock loop."""
    lines = same_as_stock(engine_name, calls_of_override, name)
    assert int(lines[-1]) >= 1


def test_override_of_run_once_is_the_loop(engine: Engine) -> None:
    """Each iteration goes through it, as GUI integrations and trio-asyncio-like libraries need it."""
    loop, calls = override(engine, "_run_once")
    turn(loop, 7)
    assert calls == ["_run_once"] * 7


def test_override_of_call_soon_gets_the_context(engine: Engine) -> None:
    seen: list[object] = []

    class Loop(engine.loop_class):  # type: ignore[misc]
        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
            seen.append(context)
            return super().call_soon(callback, *args, context=context)

    loop = engine.new(Loop)
    context = contextvars.Context()
    loop.run_until_complete(loop.create_task(value(1), context=context))
    assert seen.count(context) >= 2


def test_override_of_get_debug(engine: Engine) -> None:
    class Loop(engine.loop_class):  # type: ignore[misc]
        def get_debug(self) -> bool:
            return True

    loop = engine.new(Loop)
    assert loop.call_soon(print)._source_traceback is not None
    assert loop.call_later(1, print)._source_traceback is not None
    assert loop.create_future()._source_traceback is not None
    loop._ready.clear()


def test_override_with_super_and_own_state(engine: Engine) -> None:
    class Loop(engine.loop_class):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            self.made: list[str] = []
            super().__init__(*args)

        def create_task(self, coro: Any, **kwargs: Any) -> Any:
            task = super().create_task(coro, **kwargs)
            self.made.append(task.get_coro().__name__)
            return task

        def create_future(self) -> Any:
            self.made.append("future")
            return super().create_future()

    loop = engine.new(Loop)

    async def main() -> None:
        await asyncio.create_task(value())
        loop.call_soon((future := loop.create_future()).set_result, None)
        await future

    loop.run_until_complete(main())
    assert loop.made == ["main", "value", "future"]


# --- replaced on the instance or the class


@pytest.mark.parametrize("name", ["call_soon", "call_at", "call_later", "create_task", "create_future", "time"])
def test_replaced_on_the_instance(engine: Engine, name: str) -> None:
    loop = engine.new()

    async def main() -> int:
        with mock.patch.object(loop, name, wraps=getattr(loop, name)) as patched:
            assert await program() == EXPECTED
            count: int = patched.call_count
        assert name not in vars(loop)
        assert await program() == EXPECTED
        assert patched.call_count == count
        return count

    assert loop.run_until_complete(main()) >= 1


def calls_of_replaced(engine: Engine, say: Say, name: str) -> None:
    loop = engine.new()

    async def main() -> None:
        with mock.patch.object(loop, name, wraps=getattr(loop, name)) as patched:
            await program()
            say(patched.call_count)

    loop.run_until_complete(main())


@pytest.mark.parametrize("name", ["call_soon", "call_at", "call_later", "create_task"])
def test_a_replacement_sees_every_call(engine_name: str, name: str) -> None:
    lines = same_as_stock(engine_name, calls_of_replaced, name)
    assert int(lines[-1]) >= 1


def test_replaced_between_runs(engine: Engine) -> None:
    loop = engine.new()
    for _ in range(2):
        assert loop.run_until_complete(program()) == EXPECTED
        with mock.patch.object(loop, "call_soon", wraps=loop.call_soon) as patched:
            assert loop.run_until_complete(program()) == EXPECTED
        assert patched.call_count > 5


def test_replaced_on_the_class(engine: Engine) -> None:
    """A patch of the stock base class reaches ours if it inherits the method; a patch of our own class always works."""
    cls = engine.loop_class
    calls: list[object] = []
    original = cls.call_soon

    def call_soon(self: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(callback)
        return original(self, callback, *args, **kwargs)

    loop = engine.new()
    with mock.patch.object(cls, "call_soon", call_soon):
        assert loop.run_until_complete(program()) == EXPECTED
    count = len(calls)
    assert count > 10
    assert loop.run_until_complete(program()) == EXPECTED
    assert len(calls) == count


def test_call_soon_that_drops_everything(engine: Engine) -> None:
    loop = engine.new()
    future = loop.create_future()
    with mock.patch.object(loop, "call_soon") as patched:
        future.add_done_callback(print)
        future.set_result(1)
        task = loop.create_task(value())
    assert patched.call_args_list[0].args[0] is print
    assert len(patched.call_args_list) == 2
    assert len(loop._ready) == 0
    task._log_destroy_pending = False
    task.get_coro().close()


def test_call_soon_that_fails(engine: Engine) -> None:
    loop = engine.new()
    future = loop.create_future()
    future.add_done_callback(print)
    with (
        mock.patch.object(loop, "call_soon", side_effect=LookupError("not now")),
        pytest.raises(LookupError, match="not now"),
    ):
        future.set_result(1)


def test_run_forever_replaced(engine: Engine) -> None:
    loop = engine.new()
    with (
        mock.patch.object(loop, "run_forever") as patched,
        pytest.raises(RuntimeError, match="^Event loop stopped before Future completed.$"),
    ):
        loop.run_until_complete(loop.create_future())
    patched.assert_called_once_with()


# --- whose loop is running


def test_current_task_and_all_tasks(engine: Engine) -> None:
    seen: list[object] = []

    async def main() -> None:
        me = asyncio.current_task()
        other = asyncio.create_task(value(), name="other")
        asyncio.get_running_loop().call_soon(lambda: seen.append(asyncio.current_task()))
        assert asyncio.all_tasks() == {me, other}
        await other
        assert asyncio.current_task() is me
        assert asyncio.all_tasks() == {me}

    engine.run(main())
    assert seen == [None]


def test_deep_recursion_in_a_callback_is_reported(eventloop: Any) -> None:
    reports: list[dict[str, Any]] = []
    eventloop.set_exception_handler(lambda _loop, context: reports.append(context))

    def recurse() -> None:
        recurse()

    eventloop.call_soon(recurse)
    turn(eventloop, 2)
    assert [type(report["exception"]) for report in reports] == [RecursionError]
    assert sys.getrecursionlimit() > 100
