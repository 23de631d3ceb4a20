"""What a Task does, step by step: the same body on pure Python, C and ours."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import traceback
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from support.fakes import MockLoop
from support.impls import MINOR, Fix, Impl, outcome, plain

CONTEXT_CHECKED = Fix(
    "gh-157301: a context of a wrong type is refused at once", {(3, 13): 16, (3, 15): 0}, follows=True
)
EAGER_UNDONE = Fix("gh-157301: an eager start that fails is undone", {(3, 13): 16, (3, 15): 0})
EAGER_LOOP_FOUND = Fix("gh-154695: eager_start without a loop", {(3, 14): 7, (3, 15): 0}, follows=True)

NO_COROUTINE = Fix(
    "gh-122332: get_coro() crashed after an eager task's end", {(3, 12): 5, (3, 13): 0, (3, 14): 0, (3, 15): 0}
)

needs_eager = pytest.mark.skipif(MINOR < (3, 12), reason="eager tasks came with 3.12")
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def nothing() -> None:
    """Finish at once."""


async def forever(loop: Any) -> None:
    await asyncio.Future(loop=loop)


@types.coroutine
def give(value: object) -> Any:
    """Yield any object to the task."""
    return (yield value)


def started(coro: Any, mock: MockLoop, **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(coro, loop=mock, **options)
    mock.run()
    return task


def silence(task: asyncio.Task[Any]) -> None:
    """End a task that is left pending on purpose, without a report."""
    task._log_destroy_pending = False


# --- construction


def test_new(impl: Impl, mock: MockLoop) -> None:
    coro = nothing()
    task = asyncio.Task(coro, loop=mock, name="N")
    assert (task.get_coro(), task.get_name(), task.get_loop()) == (coro, "N", mock)
    assert (task._fut_waiter, task._must_cancel, task._log_destroy_pending) == (None, False, True)
    assert (task.done(), task.cancelled(), task.cancelling()) == (False, False, 0)
    assert isinstance(task, asyncio.Future) and asyncio.isfuture(task)
    (entry,) = mock.ready
    assert entry.args == () and type(entry.context) is contextvars.Context
    if MINOR >= (3, 12):
        assert task.get_context() is entry.context
    mock.run()
    assert task.done() and task.result() is None


def test_names(impl: Impl, mock: MockLoop) -> None:
    class Text(str):
        """Is made a plain str."""

    def named(name: Any) -> str:
        task = started(nothing(), mock, name=name)
        return task.get_name()

    first, second = (started(nothing(), mock).get_name() for _ in range(2))
    assert first.startswith("Task-") and int(second[5:]) == int(first[5:]) + 1
    assert [named("x"), named(5), named(("a",)), named(""), named(Text("t"))] == ["x", "5", "('a',)", "", "t"]
    if impl.native:  # the pure Python class has `str(name)` too, which keeps nothing of the subclass either
        assert type(named(Text("t"))) is str
    task = started(nothing(), mock)
    task.set_name(1.5)
    assert task.get_name() == "1.5"
    task.set_name(None)
    assert task.get_name() == "None"


def test_name_is_formatted_once(impl: Impl, mock: MockLoop) -> None:
    task = started(nothing(), mock)
    assert task.get_name() == task.get_name() and f"name={task.get_name()!r}" in repr(task)


def test_name_fails(impl: Impl, mock: MockLoop) -> None:
    class Evil:
        def __str__(self) -> str:
            raise ZeroDivisionError("name")

    coro = nothing()
    with pytest.raises(ZeroDivisionError, match="^name$"):
        asyncio.Task(coro, loop=mock, name=Evil())
    coro.close()
    task = started(nothing(), mock, name="before")
    with pytest.raises(ZeroDivisionError, match="^name$"):
        task.set_name(Evil())
    assert task.get_name() == "before"
    gc.collect()
    # The half-made task is pending, so that its end is reported; 3.11's C reports it too.
    assert {report["message"] for report in mock.reports} <= {"Task was destroyed but it is pending!"}


@pytest.mark.parametrize("wrong", [123, None, "text", nothing, iter(())], ids=lambda value: type(value).__name__)
def test_not_a_coroutine(impl: Impl, mock: MockLoop, wrong: Any) -> None:
    assert outcome(lambda: asyncio.Task(wrong, loop=mock)) == plain(
        f"TypeError: a coroutine was expected, got {wrong!r}"
    )
    gc.collect()
    assert mock.reports == [] and not mock.ready


def test_generators(impl: Impl, mock: MockLoop) -> None:
    def generator() -> Any:
        yield

    if MINOR < (3, 12):  # generator-based coroutines were still allowed
        assert started(generator(), mock).result() is None
    else:
        answer = outcome(lambda: asyncio.Task(generator(), loop=mock))
        assert answer.startswith("TypeError: a coroutine was expected, got <generator object ")


def test_duck_coroutine(impl: Impl, mock: MockLoop) -> None:
    from collections.abc import Coroutine

    class Duck(Coroutine[Any, Any, int]):
        def __init__(self) -> None:
            self.sent: list[object] = []

        def send(self, value: object) -> Any:
            self.sent.append(value)
            if len(self.sent) == 3:
                raise StopIteration(7)

        def throw(self, *args: object) -> Any:
            self.sent.append(args)
            raise StopIteration(8)

        def __await__(self) -> Any:
            raise AssertionError

    duck = Duck()
    assert started(duck, mock).result() == 7 and duck.sent == [None] * 3
    thrown = Duck()
    task = asyncio.Task(thrown, loop=mock)
    task.cancel("m")
    mock.run()
    assert task.result() == 8, "StopIteration out of throw() is a return"
    ((error,),) = thrown.sent
    assert type(error) is asyncio.CancelledError and error.args == ("m",)


def test_context(impl: Impl, mock: MockLoop) -> None:
    async def main() -> str:
        before = variable.get()
        variable.set("inner")
        await asyncio.sleep(0)
        return before + " " + variable.get()

    token = variable.set("outer")
    try:
        copied = asyncio.Task(main(), loop=mock)
        own = contextvars.Context()
        given = asyncio.Task(main(), loop=mock, context=own)
    finally:
        variable.reset(token)
    mock.run()
    assert copied.result() == "outer inner" and given.result() == "unset inner"
    assert own[variable] == "inner" and variable.get() == "unset"
    if MINOR >= (3, 12):
        assert given.get_context() is own and copied.get_context()[variable] == "inner"


def test_context_of_wrong_type(native: Impl, mock: MockLoop) -> None:
    coro = nothing()
    if native.has(CONTEXT_CHECKED):
        with pytest.raises(TypeError, match=r"^a contextvars\.Context was expected, got int$"):
            asyncio.Task(coro, loop=mock, context=5)
        coro.close()
        gc.collect()
        assert mock.reports == [] and not mock.ready
    else:  # it is handed to the loop, which would fail
        task = asyncio.Task(coro, loop=mock, context=5)
        assert mock.ready.popleft().context == 5
        silence(task)
        coro.close()


def test_call_soon_fails(native: Impl) -> None:
    class Loop(MockLoop):
        def call_soon(self, *args: object, **kwargs: object) -> None:
            raise ZeroDivisionError("call_soon")

    loop, coro = Loop(), nothing()
    with pytest.raises(ZeroDivisionError, match="^call_soon$"):
        asyncio.Task(coro, loop=loop)
    gc.collect()
    assert [report["message"] for report in loop.reports] == ["Task was destroyed but it is pending!"]
    loop.reports.clear()
    coro.close()
    assert asyncio.all_tasks(loop) == set()


def test_no_result_from_outside(impl: Impl, mock: MockLoop) -> None:
    task = started(nothing(), mock)
    for name in ("set_result", "set_exception"):
        with pytest.raises(RuntimeError, match=f"^Task does not support {name} operation$"):
            getattr(task, name)(ValueError())


def test_init_again(impl: Impl, mock: MockLoop) -> None:
    task = started(nothing(), mock, name="first")
    second = nothing()
    if MINOR >= (3, 15):
        with pytest.raises(RuntimeError, match=r"^(_asyncio\.)?Task object is already initialized$"):
            task.__init__(second, loop=mock)
        second.close()
        assert task.get_name() == "first" and task.done()
    elif impl.native:
        task.__init__(second, loop=mock, name="second")
        assert (task.get_name(), task.done(), task.get_coro()) == ("second", False, second)
        mock.run()
        assert task.done()
    else:
        second.close()  # pure Python leaves the old state in place


# --- steps


def test_results(impl: Impl, mock: MockLoop) -> None:
    async def returns() -> int:
        return 5

    async def fails() -> None:
        raise ValueError("f")

    assert started(returns(), mock).result() == 5
    failed = started(fails(), mock)
    assert repr(failed.exception()) == "ValueError('f')"
    assert [f.name for f in traceback.extract_tb(failed.exception().__traceback__)][-1] == "fails"


def test_bare_yield_is_another_step(impl: Impl, mock: MockLoop) -> None:
    async def main() -> list[object]:
        return [await give(None), await give(None)]

    task = asyncio.Task(main(), loop=mock)
    for _ in range(3):
        assert not task.done() and len(mock.ready) == 1 and mock.ready[0].args == ()
        mock.step()
    assert task.result() == [None, None]


def test_waiting_for_a_future(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)

    async def main() -> Any:
        return await future

    task = started(main(), mock)
    assert task._fut_waiter is future and future._asyncio_future_blocking is False
    ((wakeup, context),) = future._callbacks
    assert wakeup.__self__ is task
    if MINOR >= (3, 12):
        assert context is task.get_context()
    if MINOR >= (3, 14):
        assert future._asyncio_awaited_by == {task}
    future.set_result("value")
    assert mock.ready[0].args == (future,)
    mock.run()
    assert task.result() == "value" and task._fut_waiter is None
    if MINOR >= (3, 14):
        assert not future._asyncio_awaited_by


def test_waiting_for_a_failed_future(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)

    async def main() -> Any:
        try:
            await future
        except ValueError as error:
            return error

    task = started(main(), mock)
    error = ValueError()
    future.set_exception(error)
    mock.run()
    assert task.result() is error and future._log_traceback is False


def test_waiting_for_a_done_future_takes_no_step(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.set_result(3)

    async def main() -> Any:
        return await future

    task = asyncio.Task(main(), loop=mock)
    mock.step()
    assert task.result() == 3 and not mock.ready


def test_finished_future_with_blocking_flag(impl: Impl, mock: MockLoop) -> None:
    """A future that was done when the task got it: the wake-up is scheduled at once."""
    future = asyncio.Future(loop=mock)
    future.set_result(3)

    async def main() -> Any:
        future._asyncio_future_blocking = True
        await give(future)
        return future.result()

    task = asyncio.Task(main(), loop=mock)
    mock.step()
    assert task._fut_waiter is future and len(mock.ready) == 1
    mock.run()
    assert task.result() == 3


ERRORS: dict[str, tuple[Callable[[MockLoop, Any], Any], str]] = {
    "itself": (lambda mock, task: task, "Task cannot await on itself: {task}"),
    "bad yield": (lambda mock, task: 42, "Task got bad yield: 42"),
    "generator": (
        lambda mock, task: (i for i in ()),
        "yield was used instead of yield from for generator in task {task} with {value}",
    ),
    "not blocking": (
        lambda mock, task: asyncio.Future(loop=mock),
        "yield was used instead of yield from in task {task} with {value}",
    ),
    "other loop": (
        lambda mock, task: asyncio.Future(loop=MockLoop()),
        "Task {task} got Future {value} attached to a different loop",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("subclass", [False, True])
def test_bad_yields(impl: Impl, mock: MockLoop, case: str, subclass: bool) -> None:
    """The error is thrown into the coroutine in the next iteration of the loop."""
    make, text = ERRORS[case]

    class Subclass(asyncio.Future):
        """Takes the slow path of a duck-typed future."""

    async def main() -> str:
        value = make(mock, tasks[0])
        if subclass and isinstance(value, asyncio.Future) and value is not tasks[0]:
            value = Subclass(loop=value.get_loop())
        values.append(value)
        try:
            await give(value)
        except RuntimeError as error:
            return str(error)
        raise AssertionError

    values: list[Any] = []
    tasks: list[asyncio.Task[str]] = []
    tasks.append(asyncio.Task(main(), loop=mock, name="T"))
    (task,) = tasks
    assert mock.step() is None
    during = f"<Task pending name='T' coro=<test_bad_yields.<locals>.main() running at {__file__}:N>>"
    assert len(mock.ready) == 1 and not task.done()
    mock.run()
    if case == "itself" and impl.name == "python":  # looks at the flag first, and `yield` alone does not set it
        text = ERRORS["not blocking"][1]
    value = during if case == "itself" else plain(repr(values[0]))
    assert plain(task.result()) == text.format(task=during, value=value)
    tasks.clear()


def test_same_loop_is_checked_before_blocking(impl: Impl, mock: MockLoop) -> None:
    other = asyncio.Future(loop=MockLoop())
    other._asyncio_future_blocking = True

    async def main() -> None:
        await give(other)

    task = started(main(), mock)
    assert "attached to a different loop" in str(task.exception())
    assert other._asyncio_future_blocking is True


def test_await_itself_leaves_the_blocking_flag(impl: Impl, mock: MockLoop) -> None:
    async def main() -> None:
        await tasks[0]

    tasks: list[Any] = []
    tasks.append(asyncio.Task(main(), loop=mock, name="T"))
    mock.run()
    assert str(tasks[0].exception()).startswith("Task cannot await on itself: <Task pending name='T' ")
    assert tasks.pop()._asyncio_future_blocking is True


class Duck:
    """The least that a task takes for a future."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._asyncio_future_blocking = True
        self.added: list[tuple[Any, Any]] = []
        self.value: BaseException | int = 0
        self.cancelled: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def add_done_callback(self, callback: Any, *, context: Any) -> None:
        self.added.append((callback, context))

    def cancel(self, *args: object, **kwargs: object) -> bool:
        self.cancelled.append((args, kwargs))
        return True

    def result(self) -> int:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


@pytest.mark.parametrize("value", [5, ValueError("v"), KeyboardInterrupt("k"), asyncio.CancelledError("c")], ids=repr)
def test_duck_future(impl: Impl, mock: MockLoop, value: Any) -> None:
    duck = Duck(mock)

    async def main() -> object:
        try:
            return await give(duck)
        except BaseException as error:
            return error

    task = started(main(), mock)
    assert duck._asyncio_future_blocking is False and task._fut_waiter is duck
    ((wakeup, context),) = duck.added
    duck.value = value
    mock.call_soon(wakeup, duck, context=context)
    mock.run()
    assert task.result() is (value if isinstance(value, BaseException) else None)


def test_duck_future_with_get_loop(impl: Impl, mock: MockLoop) -> None:
    class WithGetLoop(Duck):
        def get_loop(self) -> Any:
            return mock

    duck = WithGetLoop(None)

    async def main() -> None:
        await give(duck)

    task = started(main(), mock)
    assert task._fut_waiter is duck and len(duck.added) == 1
    silence(task)


@pytest.mark.parametrize("flag", [None, False, 0, 1, "yes"])
def test_duck_blocking_flag(impl: Impl, mock: MockLoop, flag: Any) -> None:
    duck = Duck(mock)
    duck._asyncio_future_blocking = flag

    async def main() -> str:
        try:
            await give(duck)
        except RuntimeError as error:
            return str(error)
        raise AssertionError

    task = started(main(), mock)
    if flag is None:
        assert plain(task.result()) == f"Task got bad yield: {plain(repr(duck))}"
    elif flag:
        assert task._fut_waiter is duck
        silence(task)
    else:
        assert task.result().startswith("yield was used instead of yield from in task <Task pending")


@pytest.mark.parametrize("attribute", ["_asyncio_future_blocking", "get_loop", "add_done_callback", "set blocking"])
def test_duck_attribute_fails(impl: Impl, mock: MockLoop, attribute: str) -> None:
    """What an attribute of the awaited object raises reaches the coroutine, or the caller of the step."""

    class Evil(Duck):
        def __getattribute__(self, name: str) -> Any:
            if name == attribute:
                raise ZeroDivisionError(name)
            if name == "get_loop":
                raise AttributeError(name)
            return super().__getattribute__(name)

        def __setattr__(self, name: str, value: object) -> None:
            if attribute == "set blocking" and name == "_asyncio_future_blocking" and value is False:
                raise ZeroDivisionError(attribute)
            super().__setattr__(name, value)

    duck = Evil(mock)

    async def main() -> None:
        await give(duck)

    task = asyncio.Task(main(), loop=mock)
    with pytest.raises(ZeroDivisionError, match=f"^{attribute}$"):
        mock.step()
    assert not task.done() and not mock.ready
    silence(task)


def test_subclass_methods_are_honoured(impl: Impl, mock: MockLoop) -> None:
    calls: list[str] = []

    class Mine(asyncio.Future):
        def add_done_callback(self, *args: Any, **kwargs: Any) -> None:
            calls.append("add_done_callback")
            super().add_done_callback(*args, **kwargs)

        def get_loop(self) -> Any:
            calls.append("get_loop")
            return super().get_loop()

        def result(self) -> Any:
            calls.append("result")
            return super().result()

    future = Mine(loop=mock)

    async def main() -> Any:
        return await future

    task = started(main(), mock)
    future.set_result(1)
    mock.run()
    assert task.result() == 1
    assert [c for c in calls if c != "result"] == ["get_loop", "add_done_callback"] and "result" in calls


def test_subclass_of_task(impl: Impl, mock: MockLoop) -> None:
    """The steps use the base implementations: an override of set_result or cancel is not called by them."""

    class Mine(asyncio.Task):
        def set_result(self, result: object) -> None:
            raise AssertionError

        def set_exception(self, error: object) -> None:
            raise AssertionError

        def cancel(self, msg: object = None) -> bool:
            calls.append("cancel")
            return super().cancel(msg)

    async def value() -> int:
        return 5

    async def fails() -> None:
        raise ValueError

    calls: list[str] = []
    good, bad, ended = Mine(value(), loop=mock), Mine(fails(), loop=mock), Mine(nothing(), loop=mock)
    ended.cancel()
    mock.run()
    assert good.result() == 5 and type(bad.exception()) is ValueError and ended.cancelled()
    assert calls == ["cancel"]


# --- cancelling


def test_cancel_before_the_first_step(impl: Impl, mock: MockLoop) -> None:
    ran = []

    async def main() -> None:
        ran.append(1)

    task = asyncio.Task(main(), loop=mock)
    assert task.cancel("m") is True and task.cancelling() == 1 and task._must_cancel
    mock.run()
    assert task.cancelled() and ran == [] and not task._must_cancel
    assert task.cancel() is False and task.cancelling() == 1


def test_cancel_while_waiting(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)

    async def main() -> None:
        await future

    task = started(main(), mock)
    assert task.cancel("m") is True
    assert future.cancelled() and future._cancel_message == "m"
    assert task._fut_waiter is future and not task._must_cancel and task._cancel_message is None
    mock.run()
    assert task.cancelled()
    with pytest.raises(asyncio.CancelledError, match="^m$"):
        task.result()
    with pytest.raises(asyncio.CancelledError) as caught:
        task.result()
    # The first reader gets the object that travelled; C then has no message any more, pure Python makes one from it.
    assert caught.value.args == ()


def test_cancelled_error_is_the_object_that_left_the_coroutine(impl: Impl, mock: MockLoop) -> None:
    class Mine(asyncio.CancelledError):
        """A subclass counts as cancellation."""

    error = Mine("mine")

    async def main() -> None:
        raise error

    task = started(main(), mock)
    assert task.cancelled()
    with pytest.raises(Mine) as caught:
        task.result()
    assert caught.value is error


def test_first_reader_leaves_no_reference(impl: Impl, mock: MockLoop) -> None:
    task = asyncio.Task(forever(mock), loop=mock)
    mock.run()
    task.cancel()
    mock.run()
    try:
        task.exception()
    except asyncio.CancelledError as caught:
        error = caught
    assert [h for h in gc.get_referrers(error) if not isinstance(h, types.FrameType)] == []


def test_cancel_inside_its_last_step(impl: Impl, mock: MockLoop) -> None:
    async def main() -> int:
        tasks[0].cancel("late")
        return 5

    tasks: list[Any] = []
    tasks.append(asyncio.Task(main(), loop=mock))
    mock.run()
    task = tasks.pop()
    assert task.cancelled()
    with pytest.raises(asyncio.CancelledError, match="^late$"):
        task.result()


def test_must_cancel_calls_the_method_of_the_awaited_object(impl: Impl, mock: MockLoop) -> None:
    duck = Duck(mock)

    async def main() -> None:
        tasks[0].cancel("m")
        await give(duck)

    tasks: list[Any] = []
    tasks.append(asyncio.Task(main(), loop=mock))
    mock.run()
    task = tasks.pop()
    # Positional in C, by name in pure Python.
    assert duck.cancelled == [((), {"msg": "m"}) if impl.name == "python" else (("m",), {})]
    assert not task._must_cancel
    silence(task)


@pytest.mark.parametrize("answer", [True, False, "yes", 0])
def test_answer_of_the_waiters_cancel(impl: Impl, mock: MockLoop, answer: Any) -> None:
    class Stubborn(Duck):
        def cancel(self, *args: object, **kwargs: object) -> Any:
            super().cancel(*args, **kwargs)
            return answer

    duck = Stubborn(mock)

    async def main() -> None:
        await give(duck)

    task = started(main(), mock)
    assert task.cancel("m") is True
    assert duck.cancelled == [((), {"msg": "m"}) if impl.name == "python" else (("m",), {})]
    assert task._must_cancel is not bool(answer)
    assert task._cancel_message == (None if answer else "m")
    silence(task)


def test_swallowed_cancellation(impl: Impl, mock: MockLoop) -> None:
    async def main() -> str:
        try:
            await asyncio.Future(loop=mock)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "survived"

    task = started(main(), mock)
    task.cancel()
    mock.run()
    assert task.result() == "survived" and task.cancelling() == 1 and not task.cancelled()


def test_uncancel(impl: Impl, mock: MockLoop) -> None:
    async def main() -> None:
        await asyncio.sleep(0)

    task = asyncio.Task(main(), loop=mock)
    assert task.uncancel() == 0
    task.cancel()
    task.cancel()
    assert (task.cancelling(), task.uncancel(), task._must_cancel) == (2, 1, True)
    assert task.uncancel() == 0
    assert task._must_cancel is (MINOR < (3, 13)), "from 3.13 on the last uncancel takes the request back"
    mock.run()
    assert task.cancelled() is (MINOR < (3, 13))


def test_cancel_clears_the_log_flag(impl: Impl, mock: MockLoop) -> None:
    async def main() -> None:
        raise ValueError

    task = started(main(), mock)
    assert task._log_traceback and task.cancel() is False and not task._log_traceback


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exits_leave_the_step(impl: Impl, mock: MockLoop, error: type[BaseException]) -> None:
    class Sub(error):  # type: ignore[misc, valid-type]
        """Subclasses count too."""

    for kind in (error, Sub):

        async def main(kind: type[BaseException] = kind) -> None:
            raise kind("out")

        task = asyncio.Task(main(), loop=mock)
        with pytest.raises(kind, match="^out$"):
            mock.step()
        assert type(task.exception()) is kind


@pytest.mark.parametrize("error", [GeneratorExit, BaseException])
def test_other_base_exceptions_stay(impl: Impl, mock: MockLoop, error: type[BaseException]) -> None:
    async def main() -> None:
        raise error("stays")

    assert type(started(main(), mock).exception()) is error


def test_stop_iteration_is_a_runtime_error(impl: Impl, mock: MockLoop) -> None:
    async def main() -> None:
        raise StopIteration(5)

    error = started(main(), mock).exception()
    assert repr(error) == "RuntimeError('coroutine raised StopIteration')"


def test_step_after_the_end(impl: Impl, mock: MockLoop) -> None:
    task = asyncio.Task(nothing(), loop=mock, name="T")
    step = mock.ready[0]
    mock.run()
    text = "_step(): already done: " if MINOR < (3, 14) else "__step(): already done: "
    with mock.as_running(), pytest.raises(asyncio.InvalidStateError) as caught:
        step.callback()
    # C has a space where pure Python has a comma.
    separator = ", " if impl.name == "python" else " "
    if impl.name == "python" and MINOR < (3, 14):
        text = "_step(): already done: "
    assert str(caught.value) == f"{text}{task!r}{separator}None"


def test_wakeup_after_cancel_returns_true(native: Impl, mock: MockLoop) -> None:
    """The answer of the base class's cancel leaks out of the step."""
    task = started(forever(mock), mock)
    task.cancel()
    assert mock.step() is True and task.cancelled()


# --- the current task, and the registry


def test_current_task(impl: Impl, mock: MockLoop) -> None:
    seen: list[Any] = []

    async def main() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task(mock))

    task = started(main(), mock)
    assert seen == [task, task] and asyncio.current_task(mock) is None


def test_two_at_once(impl: Impl, mock: MockLoop) -> None:
    outer, inner = asyncio.Task(nothing(), loop=mock, name="outer"), asyncio.Task(nothing(), loop=mock, name="inner")
    asyncio.tasks._register_task(outer)
    step = mock.ready.pop()
    with mock.as_running():
        asyncio.tasks._enter_task(mock, outer)
        with pytest.raises(RuntimeError) as caught:
            step.callback()
        assert str(caught.value) == f"Cannot enter into task {inner!r} while another task {outer!r} is being executed."
        assert asyncio.current_task() is outer and not inner.done()
        with pytest.raises(RuntimeError) as caught:
            asyncio.tasks._leave_task(mock, inner)
        # Pure Python has kept the text that C had up to 3.13.
        assert str(caught.value) == (
            f"Invalid attempt to leave task {inner!r} while task {outer!r} is entered."
            if impl.native and MINOR >= (3, 14)
            else f"Leaving task {inner!r} does not match the current task {outer!r}."
        )
        assert asyncio.tasks._leave_task(mock, outer) is None
        with pytest.raises(RuntimeError, match=r"task None|current task None"):
            asyncio.tasks._leave_task(mock, outer)
    silence(inner)
    inner.get_coro().close()
    mock.run()


@pytest.mark.skipif(MINOR >= (3, 14), reason="from 3.14 on the current task belongs to the thread's running loop")
def test_enter_any_hashable(impl: Impl, mock: MockLoop) -> None:
    for loop in ("loop", 5, None, ()):
        asyncio.tasks._enter_task(loop, mock)
        assert asyncio.tasks._current_tasks[loop] is mock
        asyncio.tasks._leave_task(loop, mock)
        assert loop not in asyncio.tasks._current_tasks
    with pytest.raises(TypeError, match="unhashable"):
        asyncio.tasks._enter_task([], mock)


@pytest.mark.skipif(MINOR < (3, 14), reason="earlier versions have a dict for the current tasks")
def test_enter_needs_the_running_loop(native: Impl, mock: MockLoop) -> None:
    task = started(nothing(), mock)
    for name, arguments in (
        ("_enter_task", (mock, task)),
        ("_leave_task", (mock, task)),
        ("_swap_current_task", (mock, task)),
    ):
        with pytest.raises(RuntimeError, match=r"^loop <MockLoop> is not the running loop$"):
            getattr(asyncio.tasks, name)(*arguments)


@needs_eager
def test_swap(impl: Impl, mock: MockLoop) -> None:
    one, two = started(nothing(), mock), started(nothing(), mock)
    swap = asyncio.tasks._swap_current_task
    with mock.as_running():
        assert swap(mock, one) is None and asyncio.current_task() is one
        assert swap(mock, two) is one and asyncio.current_task() is two
        assert swap(mock, None) is two and asyncio.current_task() is None


@needs_eager
def test_swap_of_nothing(impl: Impl, mock: MockLoop) -> None:
    fixed = Fix("swapping None for None raised KeyError", {(3, 13): 0, (3, 14): 0, (3, 15): 0})
    with mock.as_running():
        answer = outcome(lambda: asyncio.tasks._swap_current_task(mock, None))
    if impl.name == "c":
        assert answer == ("None" if fixed.in_c() else "KeyError: <MockLoop>")
    elif impl.name == "ours":  # on 3.12 it may say what 3.13 says
        assert answer == "None" or (MINOR < (3, 13) and answer == "KeyError: <MockLoop>")
    else:
        assert answer in ("None", "KeyError: <MockLoop>")


def test_all_tasks(impl: Impl, mock: MockLoop) -> None:
    class Mine(asyncio.Task):
        """A subclass is listed as well."""

    other = MockLoop()
    pending, mine = started(forever(mock), mock), Mine(forever(mock), loop=mock)
    done, elsewhere = started(nothing(), mock), started(forever(other), other)
    found = asyncio.all_tasks(mock)
    assert type(found) is set and found == {pending, mine}
    assert asyncio.all_tasks(other) == {elsewhere} and asyncio.all_tasks(MockLoop()) == set()
    assert done not in found
    with mock.as_running():
        assert asyncio.all_tasks() == {pending, mine}
    for task in (pending, mine, elsewhere):
        silence(task)
    found.clear()
    mock.run()


def test_all_tasks_holds_no_reference(impl: Impl, mock: MockLoop) -> None:
    task = started(forever(mock), mock)
    silence(task)
    reference = weakref.ref(task)
    del task
    gc.collect()
    assert reference() is None and asyncio.all_tasks(mock) == set()


def test_foreign_tasks(impl: Impl, mock: MockLoop) -> None:
    class Foreign:
        def __init__(self, done: object = False) -> None:
            self.answer, self._loop = done, mock

        def done(self) -> Any:
            return self.answer

    pending, done = Foreign(), Foreign(True)
    register, unregister = asyncio.tasks._register_task, asyncio.tasks._unregister_task
    for task in (pending, done, pending):
        assert register(task) is None
    assert asyncio.all_tasks(mock) == {pending}
    assert unregister(pending) is None and unregister(pending) is None and unregister(task=done) is None
    assert asyncio.all_tasks(mock) == set()
    register(task=pending)
    assert asyncio.all_tasks(mock) == {pending}
    del pending, task
    gc.collect()
    assert asyncio.all_tasks(mock) == set()


def test_unregistering_a_task(impl: Impl, mock: MockLoop) -> None:
    task = started(forever(mock), mock)
    asyncio.tasks._unregister_task(task)
    asyncio.tasks._unregister_task(task)
    assert asyncio.all_tasks(mock) == set()
    asyncio.tasks._register_task(task)
    asyncio.tasks._register_task(task)
    assert asyncio.all_tasks(mock) == {task}
    silence(task)


@pytest.mark.skipif(MINOR >= (3, 14), reason="3.14 keeps the tasks in lists of its threads instead")
def test_live_containers(native: Impl, mock: MockLoop) -> None:
    scheduled = asyncio.tasks._all_tasks if MINOR < (3, 12) else asyncio.tasks._scheduled_tasks
    seen = []

    async def main() -> None:
        seen.append(dict(asyncio.tasks._current_tasks))

    task = asyncio.Task(main(), loop=mock)
    assert task in list(scheduled)
    mock.run()
    assert seen == [{mock: task}] and mock not in asyncio.tasks._current_tasks
    assert task in list(scheduled), "a done task stays until it is freed"
    scheduled.discard(task)
    assert task not in list(scheduled)
    scheduled.add(task)
    assert task in list(scheduled)
    asyncio.tasks._current_tasks[mock] = task  # as nest_asyncio does
    assert asyncio.current_task(mock) is task
    assert asyncio.tasks._current_tasks.pop(mock) is task and asyncio.current_task(mock) is None


# --- eager start


@needs_eager
def test_eager(impl: Impl, mock: MockLoop) -> None:
    seen: list[Any] = []

    async def main() -> int:
        seen.append(asyncio.current_task())
        seen.append(asyncio.all_tasks())
        return 5

    mock.running = True
    with mock.as_running():
        task = asyncio.Task(main(), loop=mock, eager_start=True, name="E")
        assert asyncio.current_task() is None
    assert task.result() == 5 and not mock.ready and seen == [task, {task}]
    if not impl.native or impl.has(NO_COROUTINE):
        assert task.get_coro() is None
    assert asyncio.all_tasks(mock) == set()
    assert repr(task) == "<Task finished name='E' result=5>"


@needs_eager
def test_eager_blocks(impl: Impl, mock: MockLoop) -> None:
    async def main() -> str:
        variable.set("eager")
        await asyncio.sleep(0)
        return variable.get()

    mock.running = True
    with mock.as_running():
        task = asyncio.Task(main(), loop=mock, eager_start=True)
        assert asyncio.all_tasks() == {task} and variable.get() == "unset"
    assert task.get_coro() is not None and len(mock.ready) == 1
    mock.run()
    assert task.result() == "eager"


@needs_eager
def test_eager_inside_a_task(impl: Impl, mock: MockLoop) -> None:
    async def child() -> Any:
        return asyncio.current_task()

    async def main() -> Any:
        inner = asyncio.Task(child(), loop=mock, eager_start=True)
        return inner, asyncio.current_task()

    mock.running = True
    task = started(main(), mock)
    inner, after = task.result()
    assert inner.result() is inner and after is task


@needs_eager
@pytest.mark.parametrize("answer", [False, None, 1, "yes"])
def test_eager_only_if_the_loop_runs(impl: Impl, mock: MockLoop, answer: Any) -> None:
    """C takes only True for an answer, pure Python anything true."""
    mock.running = answer
    with mock.as_running():
        task = asyncio.Task(nothing(), loop=mock, eager_start=True)
    assert task.done() is (impl.name == "python" and bool(answer))
    mock.run()
    assert task.done()


@needs_eager
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_eager_failure_is_stored(impl: Impl, mock: MockLoop, error: type[BaseException]) -> None:
    async def main() -> None:
        raise error("stored")

    mock.running = True
    with mock.as_running():
        task = asyncio.Task(main(), loop=mock, eager_start=True)
    assert task.done() and outcome(task.result) == f"{error.__name__}: stored"


@needs_eager
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_eager_exit_leaves_the_constructor(impl: Impl, mock: MockLoop, error: type[BaseException]) -> None:
    async def main() -> None:
        raise error("out")

    mock.running = True
    with mock.as_running():
        with pytest.raises(error, match="^out$"):
            asyncio.Task(main(), loop=mock, eager_start=True)
        assert asyncio.current_task() is None
    gc.collect()
    assert [report["message"] for report in mock.reports] == ["Task exception was never retrieved"]


@needs_eager
def test_eager_in_an_entered_context(native: Impl, mock: MockLoop) -> None:
    """The context that is entered already: everything is undone (gh-157301)."""
    mock.running = True
    context = contextvars.copy_context()
    coro = nothing()
    with mock.as_running():
        with pytest.raises(RuntimeError, match="is already entered"):
            context.run(lambda: asyncio.Task(coro, loop=mock, eager_start=True, context=context))
        if native.has(EAGER_UNDONE):
            assert asyncio.current_task() is None
            gc.collect()
            assert asyncio.all_tasks() == set() and mock.reports == []
        elif asyncio.current_task() is not None:  # earlier versions leave the task current: undo that
            asyncio.tasks._swap_current_task(mock, None)
    coro.close()


@needs_eager
def test_eager_without_a_loop(native: Impl, mock: MockLoop) -> None:
    mock.running = True
    coro = nothing()
    with mock.as_running():
        if native.has(EAGER_LOOP_FOUND):
            assert asyncio.Task(coro, eager_start=True).done()
        else:
            with pytest.raises(AttributeError, match="^'NoneType' object has no attribute 'is_running'$"):
                asyncio.Task(coro, eager_start=True)
            coro.close()


@needs_eager
@pytest.mark.skipif(MINOR < (3, 14), reason="before 3.14 the current tasks are a dict of loops, with no check")
def test_eager_on_a_loop_of_another_thread(native: Impl, mock: MockLoop) -> None:
    mock.running = True
    coro = nothing()
    with pytest.raises(RuntimeError, match="^loop <MockLoop> is not the running loop$"):
        asyncio.Task(coro, loop=mock, eager_start=True)
    coro.close()
    gc.collect()
    assert [report["message"] for report in mock.reports] == ["Task was destroyed but it is pending!"]


@needs_eager
def test_eager_task_factory(impl: Impl) -> None:
    async def child() -> int:
        return 7

    async def main() -> bool:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(child())
        assert type(task) is asyncio.Task
        return task.done()

    assert asyncio.run(main()) is True


# --- stacks, repr


def test_stack(impl: Impl, mock: MockLoop) -> None:
    async def inner() -> None:
        await give(None)

    task = asyncio.Task(inner(), loop=mock)
    mock.step()
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["inner"]
    assert task.get_stack(limit=0) == [] and len(task.get_stack(limit=5)) == 1
    text = io.StringIO()
    assert task.print_stack(file=text) is None
    assert text.getvalue().startswith("Stack for <Task pending ") and "in inner" in text.getvalue()
    mock.run()
    empty = io.StringIO()
    task.print_stack(limit=1, file=empty)
    assert task.get_stack() == [] and empty.getvalue().startswith("No stack for <Task finished ")


def test_stack_of_a_failure(impl: Impl, mock: MockLoop) -> None:
    async def fails() -> None:
        raise ValueError("x")

    task = started(fails(), mock)
    frames = [frame.f_code.co_name for frame in task.get_stack()]
    assert frames[-1] == "fails"
    text = io.StringIO()
    task.print_stack(file=text)
    assert text.getvalue().startswith("Traceback for <Task finished ") and "ValueError: x" in text.getvalue()
    task.exception()


def test_repr(impl: Impl, mock: MockLoop) -> None:
    where = f"coro=<nothing() running at {__file__}:N>"
    task = asyncio.Task(nothing(), loop=mock, name="T")
    assert plain(repr(task)) == f"<Task pending name='T' {where}>"
    task.cancel()
    assert plain(repr(task)) == f"<Task cancelling name='T' {where}>"
    mock.run()
    assert plain(repr(task)) == f"<Task cancelled name='T' coro=<nothing() done, defined at {__file__}:N>>"
    future = asyncio.Future(loop=mock)

    async def waits() -> None:
        await future

    waiting = started(waits(), mock, name="W")
    wakeup = "cb=[Task.__wakeup()]" if impl.name == "python" else "cb=[Task.task_wakeup()]"
    assert f" wait_for=<Future pending {wakeup}>>" in plain(repr(waiting))
    assert repr(future) == f"<Future pending {wakeup}>"
    silence(waiting)


def test_tasks_awaited_by_tasks(impl: Impl, mock: MockLoop) -> None:
    async def outer() -> object:
        return await inner

    inner = asyncio.Task(forever(mock), loop=mock)
    outers = [asyncio.Task(outer(), loop=mock) for _ in range(3)]
    mock.run()
    if MINOR >= (3, 14):
        assert inner._asyncio_awaited_by == set(outers) and type(inner._asyncio_awaited_by) is frozenset
        assert inner._asyncio_awaited_by is not inner._asyncio_awaited_by
    inner.cancel()
    mock.run()
    assert all(task.cancelled() for task in (inner, *outers))
    if MINOR >= (3, 14):
        assert not inner._asyncio_awaited_by


# --- destroyed while pending


def test_destroyed_pending(impl: Impl, mock: MockLoop) -> None:
    task = started(forever(mock), mock, name="T")
    del task
    gc.collect()
    (report,) = mock.reports
    assert sorted(report) == ["message", "task"] and report["message"] == "Task was destroyed but it is pending!"
    assert report["task"].get_name() == "T" and not report["task"].done()


def test_destroyed_pending_in_debug_mode(impl: Impl) -> None:
    loop = MockLoop(debug=True)
    task = started(forever(loop), loop)
    summary = task._source_traceback
    del task
    gc.collect()
    assert loop.reports[0]["source_traceback"] is summary


def test_destroyed_quietly(impl: Impl, mock: MockLoop) -> None:
    task = started(forever(mock), mock)
    task._log_destroy_pending = False
    assert task._log_destroy_pending is False
    del task
    gc.collect()
    assert mock.reports == []


def test_never_retrieved(impl: Impl, mock: MockLoop) -> None:
    async def fails() -> None:
        raise ValueError("lost")

    task = started(fails(), mock)
    del task
    gc.collect()
    assert [report["message"] for report in mock.reports] == ["Task exception was never retrieved"]


# --- on a real loop


def test_gather_and_groups(impl: Impl) -> None:
    async def child(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main() -> list[int]:
        gathered = await asyncio.gather(*(child(i) for i in range(5)))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(i)) for i in range(5)]
        async with asyncio.timeout(5):
            shielded = await asyncio.shield(child(9))
        return [*gathered, *(task.result() for task in tasks), shielded]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 9]


def test_gather_cancels_its_children(impl: Impl) -> None:
    async def main() -> tuple[bool, ...]:
        loop = asyncio.get_running_loop()
        children = [asyncio.ensure_future(forever(loop)) for _ in range(3)]
        outer = asyncio.gather(*children)
        assert isinstance(outer, asyncio.Future) and repr(outer).startswith("<_GatheringFuture pending")
        await asyncio.sleep(0)
        assert outer.cancel() is True
        with pytest.raises(asyncio.CancelledError):
            await outer
        return tuple(child.cancelled() for child in children)

    assert asyncio.run(main()) == (True, True, True)


def test_timeout_and_wait_for(impl: Impl) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await forever(loop)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(forever(loop), 0.001)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(main()) == 0


def test_exception_handler_runs_in_the_tasks_context(impl: Impl) -> None:
    seen: list[str] = []

    async def fails() -> None:
        variable.set("in task")
        raise ValueError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: seen.append(variable.get()))
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    assert seen == ["in task" if MINOR >= (3, 12) else "unset"]


def test_debug_mode(impl: Impl, caplog: pytest.LogCaptureFixture) -> None:
    async def child() -> None:
        await asyncio.sleep(0)

    async def main() -> str:
        task = asyncio.create_task(child())
        names = [frame.name for frame in task._source_traceback]
        await task
        return names[-1]

    assert asyncio.run(main(), debug=True) == "create_task"
    assert caplog.records == []


def test_threads_have_their_own_loop(impl: Impl) -> None:
    import threading

    seen: dict[str, object] = {}

    async def main(name: str) -> None:
        barrier.wait(10)
        seen[name] = (asyncio.get_running_loop(), asyncio.current_task())
        barrier.wait(10)

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=asyncio.run, args=(main(name),)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    (loop_a, task_a), (loop_b, task_b) = seen["a"], seen["b"]  # type: ignore[misc]
    assert loop_a is not loop_b and task_a is not task_b
    assert task_a.get_loop() is loop_a and task_b.get_loop() is loop_b


@pytest.mark.skipif(MINOR < (3, 14), reason="earlier versions look only at the calling thread's tasks")
def test_all_tasks_of_another_threads_loop(native: Impl) -> None:
    import threading

    ready, finish = threading.Event(), threading.Event()
    loops: list[Any] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        asyncio.current_task().set_name("over there")
        ready.set()
        finish.wait(10)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    ready.wait(10)
    try:
        assert [task.get_name() for task in asyncio.all_tasks(loops[0])] == ["over there"]
        assert asyncio.current_task(loops[0]).get_name() == "over there"
    finally:
        finish.set()
        thread.join(10)


def test_no_running_loop(impl: Impl) -> None:
    for function in (asyncio.get_running_loop, asyncio.current_task, asyncio.all_tasks):
        assert outcome(function) == "RuntimeError: no running event loop"
    assert asyncio._get_running_loop() is None
