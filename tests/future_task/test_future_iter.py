"""What can be seen behind a Future and a Task: FutureIter, the step wrapper, the wake-up."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import pickle
import types
import weakref
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from support.fakes import MockLoop
from support.impls import MINOR, Fix, Impl, outcome, plain

AFTER_THROW = Fix("gh-146065 (send and next after throw)", {(3, 14): 9, (3, 15): 1})

USED_WRONGLY = "await wasn't used with future"


def iterator_of(mock: MockLoop, result: Any = "pending") -> tuple[asyncio.Future[Any], Any]:
    future = asyncio.Future(loop=mock)
    if isinstance(result, BaseException):
        future.set_exception(result)
    elif result != "pending":
        future.set_result(result)
    return future, future.__await__()


# --- the protocol: the same on the generator of pure Python


@pytest.mark.parametrize(
    "advance", [next, lambda i: i.send(None), lambda i: i.__next__()], ids=["next", "send", "dunder"]
)
def test_pending_then_done(impl: Impl, mock: MockLoop, advance: Any) -> None:
    future, iterator = iterator_of(mock)
    assert advance(iterator) is future
    assert future._asyncio_future_blocking is True
    future.set_result("value")
    with pytest.raises(StopIteration) as caught:
        advance(iterator)
    assert caught.value.value == "value" and caught.value.args == ("value",)


@pytest.mark.parametrize("value", [None, 5, (), (1, 2), (1,), StopIteration(3), ValueError, [1]], ids=repr)
def test_value(impl: Impl, mock: MockLoop, value: Any) -> None:
    future = asyncio.Future(loop=mock)
    future.set_result(value)
    for advance in (next, lambda i: i.send(None)):
        with pytest.raises(StopIteration) as caught:
            advance(future.__await__())
        assert caught.value.value is value, "not unpacked, not taken for an exception"

    async def main() -> Any:
        return await future

    with pytest.raises(StopIteration) as caught:
        main().send(None)
    assert caught.value.value is value


def test_failed(impl: Impl, mock: MockLoop) -> None:
    error = ValueError("e")
    _, iterator = iterator_of(mock, error)
    with pytest.raises(ValueError, match="^e$") as caught:
        next(iterator)
    assert caught.value is error


def test_cancelled(impl: Impl, mock: MockLoop) -> None:
    future, iterator = iterator_of(mock)
    future.cancel("m")
    with pytest.raises(asyncio.CancelledError, match="^m$"):
        next(iterator)


def test_pending_twice(impl: Impl, mock: MockLoop) -> None:
    future, iterator = iterator_of(mock)
    next(iterator)
    with pytest.raises(RuntimeError, match=f"^{USED_WRONGLY}$"):
        next(iterator)
    if impl.native:  # the generator of pure Python ends with its error
        with pytest.raises(RuntimeError, match=f"^{USED_WRONGLY}$"):
            next(iterator)
        future._asyncio_future_blocking = False
        assert next(iterator) is future


def test_blocking_flag_of_another_iterator(native: Impl, mock: MockLoop) -> None:
    future, iterator = iterator_of(mock)
    next(iterator)
    with pytest.raises(RuntimeError, match=f"^{USED_WRONGLY}$"):
        next(future.__await__())


@pytest.mark.parametrize("sent", [None, 5, "text"])
def test_what_is_sent_is_ignored(native: Impl, mock: MockLoop, sent: Any) -> None:
    future, iterator = iterator_of(mock)
    assert iterator.send(sent) is future
    future.set_result(1)
    with pytest.raises(StopIteration):
        iterator.send(sent)


def test_after_the_end(native: Impl, mock: MockLoop) -> None:
    """Up to 3.13 it is used up; from 3.14 on the future stays, and answers again."""
    _, iterator = iterator_of(mock, 5)
    answers = [outcome(lambda: next(iterator)) for _ in range(3)]
    again = "StopIteration: 5" if MINOR >= (3, 14) else "StopIteration: "
    assert answers == ["StopIteration: 5", again, again]
    error = ValueError("e")
    _, iterator = iterator_of(mock, error)
    answers = [outcome(lambda: next(iterator)) for _ in range(3)]
    again = "ValueError: e" if MINOR >= (3, 14) else "StopIteration: "
    assert answers == ["ValueError: e", again, again]


def test_send_after_the_end(native: Impl, mock: MockLoop) -> None:
    _, iterator = iterator_of(mock, 5)
    assert outcome(lambda: iterator.send(None)) == "StopIteration: 5"
    second = outcome(lambda: iterator.send(None))
    if MINOR >= (3, 14):
        assert second == "StopIteration: 5"
    else:
        assert_send_of_nothing(native, second)


def assert_send_of_nothing(impl: Impl, answer: str) -> None:
    """Up to 3.13 C's `send` on an empty iterator returns NULL with no error set; ours may say what 3.14 says."""
    assert answer.startswith("SystemError: ") or (impl.name == "ours" and answer == "StopIteration: ")


@pytest.mark.parametrize("end", ["throw", "close"])
def test_after_throw_and_close(native: Impl, mock: MockLoop, end: str) -> None:
    future, iterator = iterator_of(mock)
    next(iterator)
    if end == "throw":
        with pytest.raises(ZeroDivisionError, match="^t$"):
            iterator.throw(ZeroDivisionError("t"))
    else:
        assert iterator.close() is None and iterator.close() is None
    assert future._asyncio_future_blocking is True and not future.done()
    if native.name == "c" and not AFTER_THROW.in_c() and MINOR >= (3, 14):
        pytest.skip(f"this CPython's own module crashes here, before {AFTER_THROW.reason}")
    assert outcome(lambda: next(iterator)) == "StopIteration: "
    second = outcome(lambda: iterator.send(None))
    if MINOR >= (3, 14):
        assert second == "StopIteration: "
    else:
        assert_send_of_nothing(native, second)


# --- throw()


def test_throw_instance_and_class(impl: Impl, mock: MockLoop) -> None:
    error = ZeroDivisionError("z")
    with pytest.raises(ZeroDivisionError, match="^z$") as caught:
        iterator_of(mock)[1].throw(error)
    assert caught.value is error
    with pytest.raises(ZeroDivisionError, match="^$"):
        iterator_of(mock)[1].throw(ZeroDivisionError)


@pytest.mark.filterwarnings("ignore:the .type, exc, tb. signature:DeprecationWarning")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("ZeroDivisionError, None, None", "ZeroDivisionError: "),
        ("ZeroDivisionError, None", "ZeroDivisionError: "),
        ("ZeroDivisionError, 'v'", "ZeroDivisionError: v"),
        ("ZeroDivisionError, ZeroDivisionError('w')", "ZeroDivisionError: w"),
        ("ZeroDivisionError('i'), None, None", "ZeroDivisionError: i"),
        ("ZeroDivisionError('i'), 5", "TypeError: instance exception may not have a separate value"),
        ("ZeroDivisionError, None, 5", "TypeError: throw() third argument must be a traceback"),
        ("ZeroDivisionError, (1, 2)", "ZeroDivisionError: (1, 2)"),
    ],
)
def test_throw_with_more_arguments(impl: Impl, mock: MockLoop, arguments: str, expected: str) -> None:
    _, iterator = iterator_of(mock)
    if impl.name == "python" and arguments.endswith("None, 5"):
        expected += " object"
    assert outcome(lambda: eval(f"iterator.throw({arguments})", {"iterator": iterator})) == expected


@pytest.mark.skipif(MINOR < (3, 12), reason="deprecated since 3.12")
def test_throw_with_more_arguments_warns(impl: Impl, mock: MockLoop) -> None:
    text = r"^the \(type, exc, tb\) signature of throw\(\) is deprecated, use the single-arg signature instead\.$"
    _, iterator = iterator_of(mock)
    with pytest.warns(DeprecationWarning, match=text) as caught, pytest.raises(ZeroDivisionError):
        iterator.throw(ZeroDivisionError, None)
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.skipif(MINOR < (3, 12), reason="deprecated since 3.12")
def test_throw_warning_as_error(native: Impl, mock: MockLoop) -> None:
    """The warning is an error in these tests: it comes instead of the exception, and the iterator goes on."""
    future, iterator = iterator_of(mock)
    with pytest.raises(DeprecationWarning):
        iterator.throw(ZeroDivisionError, None)
    assert next(iterator) is future


@pytest.mark.parametrize("wrong", [5, "text", object, None])
def test_throw_something_else(impl: Impl, mock: MockLoop, wrong: Any) -> None:
    future, iterator = iterator_of(mock)
    name = type(wrong).__name__ if impl.name == "python" and not isinstance(wrong, type) else "type"
    expected = "exceptions must be classes deriving BaseException or instances of such a class"
    if impl.name == "python":
        expected = f"exceptions must be classes or instances deriving from BaseException, not {name}"
    assert outcome(lambda: iterator.throw(wrong)) == f"TypeError: {expected}"
    if impl.native:
        assert next(iterator) is future, "a bad call changes nothing"


def test_throw_keeps_the_traceback_given(native: Impl, mock: MockLoop) -> None:
    try:
        raise KeyError("k")
    except KeyError as caught:
        error = caught
    frame = error.__traceback__
    _, iterator = iterator_of(mock)
    with pytest.raises(KeyError) as again:
        iterator.throw(error)
    tracebacks = []
    step = again.value.__traceback__
    while step is not None:
        tracebacks.append(step)
        step = step.tb_next
    assert frame in tracebacks


def test_throw_through_a_coroutine(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    ended: list[str] = []

    async def main() -> str:
        try:
            await future
        except ValueError as error:
            return str(error)
        finally:
            ended.append("finally")
        raise AssertionError

    coro = main()
    assert coro.send(None) is future
    with pytest.raises(StopIteration, match="^thrown$"):
        coro.throw(ValueError("thrown"))
    closing = main()
    future._asyncio_future_blocking = False
    closing.send(None)
    closing.close()
    assert ended == ["finally", "finally"]


# --- as an object


def test_type(native: Impl, mock: MockLoop) -> None:
    _, iterator = iterator_of(mock)
    cls = type(iterator)
    assert (cls.__name__, cls.__qualname__, cls.__module__) == ("FutureIter", "FutureIter", "_asyncio")
    assert plain(repr(iterator)) == "<_asyncio.FutureIter object at 0x>"
    assert iter(iterator) is iterator and isinstance(iterator, Iterator) and isinstance(iterator, Generator)
    assert type(iter(asyncio.Future(loop=mock))) is cls
    assert not hasattr(cls, "__await__") and not hasattr(iterator, "__dict__")
    for name in ("send", "throw", "close"):
        assert type(getattr(cls, name)) is types.MethodDescriptorType
    assert gc.is_tracked(iterator)


def test_type_is_closed(native: Impl, mock: MockLoop) -> None:
    _, iterator = iterator_of(mock)
    cls = type(iterator)
    with pytest.raises(TypeError, match=r"^type '_asyncio\.FutureIter' is not an acceptable base type$"):
        type("Sub", (cls,), {})
    with pytest.raises(TypeError, match=r"^cannot set 'x' attribute of immutable type '_asyncio\.FutureIter'$"):
        cls.x = 1
    with pytest.raises(AttributeError, match=r"^'_asyncio\.FutureIter' object has no attribute 'x'"):
        iterator.x = 1
    with pytest.raises(TypeError, match=r"^cannot create weak reference to '_asyncio\.FutureIter' object$"):
        weakref.ref(iterator)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"^cannot pickle '_asyncio\.FutureIter' object$"):
            duplicate(iterator)


def test_keeps_its_future(native: Impl, mock: MockLoop) -> None:
    future, iterator = iterator_of(mock)
    assert future in gc.get_referents(iterator)
    reference = weakref.ref(future)
    del future
    assert reference() is not None
    iterator.close()
    assert reference() is None


def test_cycle_is_collected(native: Impl, mock: MockLoop) -> None:
    future, iterator = iterator_of(mock)
    future.iterator = iterator
    reference = weakref.ref(future)
    del future, iterator
    gc.collect()
    assert reference() is None


def test_made_by_hand(native: Impl, mock: MockLoop) -> None:
    cls = type(iterator_of(mock)[1])
    if MINOR < (3, 12):
        with pytest.raises(TypeError, match=r"^cannot create '_asyncio\.FutureIter' instances$"):
            cls()
        return
    empty = cls()
    if native.name == "c" and MINOR >= (3, 14) and not AFTER_THROW.in_c():
        pytest.skip(f"this CPython's own module crashes here, before {AFTER_THROW.reason}")
    assert outcome(lambda: next(empty)) == "StopIteration: "
    assert empty.close() is None and outcome(lambda: empty.throw(KeyError("k"))) == "KeyError: 'k'"
    assert iter(empty) is empty and gc.get_referents(empty) is not None


def test_many_at_once(impl: Impl, mock: MockLoop) -> None:
    """More than any freelist keeps."""
    future = asyncio.Future(loop=mock)
    for _ in range(2):
        iterators = [future.__await__() for _ in range(2_000)]
        assert len({id(i) for i in iterators}) == 2_000
        if impl.native:
            assert all(gc.is_tracked(i) for i in iterators)
        del iterators
    gc.collect()
    assert next(future.__await__()) is future


# --- the step and the wake-up, as a loop sees them


async def nothing() -> None:
    """Finish at once."""


def test_step(native: Impl, mock: MockLoop) -> None:
    task = asyncio.Task(nothing(), loop=mock)
    step = mock.ready[0].callback
    cls = type(step)
    assert cls.__name__ == "TaskStepMethWrapper"
    module = "builtins" if MINOR < (3, 12) else "_asyncio"
    assert cls.__module__ == module
    prefix = "" if MINOR < (3, 12) else "_asyncio."
    assert plain(repr(step)) == f"<{prefix}TaskStepMethWrapper object at 0x>"
    assert callable(step) and step.__self__ is task and task in gc.get_referents(step)
    assert not hasattr(step, "__name__") and not hasattr(step, "__qualname__")
    with pytest.raises(TypeError, match="^function takes no keyword arguments$"):
        step(x=1)
    with pytest.raises(TypeError, match="^function takes no positional arguments$"):
        step(1)
    with pytest.raises(AttributeError):
        step.__self__ = None
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (cls,), {})
    mock.run()
    assert task.done()


def test_step_in_a_handle(native: Impl) -> None:
    """What the slow-callback warning and a debugger show."""
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        task = asyncio.Task(nothing(), loop=loop, name="T")
        (handle,) = loop._ready
        loop.run_until_complete(task)
        prefix = "" if MINOR < (3, 12) else "_asyncio."
        assert plain(repr(handle)) == f"<Handle <{prefix}TaskStepMethWrapper object at 0x>()>"
        assert asyncio.base_events._format_handle(handle) == repr(task)


def waiting(mock: MockLoop) -> tuple[Any, Any, Any]:
    """A future, a task that waits for it, and what the future calls to wake the task up."""
    future = asyncio.Future(loop=mock)

    async def main() -> object:
        return await future

    task = asyncio.Task(main(), loop=mock)
    mock.run()
    ((wakeup, _),) = future._callbacks
    return future, task, wakeup


def test_wakeup(native: Impl, mock: MockLoop) -> None:
    future, task, wakeup = waiting(mock)
    assert type(wakeup) is types.BuiltinFunctionType
    assert (wakeup.__name__, wakeup.__qualname__, wakeup.__module__) == ("task_wakeup", "Task.task_wakeup", None)
    assert wakeup.__self__ is task
    assert plain(repr(wakeup)) == "<built-in method task_wakeup of _asyncio.Task object at 0x>"
    assert repr(future) == "<Future pending cb=[Task.task_wakeup()]>"
    with pytest.raises(TypeError, match=r"takes exactly one argument \(0 given\)$"):
        wakeup()
    with pytest.raises(TypeError, match=r"takes no keyword arguments$"):
        wakeup(future=future)
    future.set_result(1)
    assert mock.ready[0].callback is wakeup or mock.ready[0].callback == wakeup
    mock.run()
    assert task.result() == 1


def test_wakeup_can_be_removed(native: Impl, mock: MockLoop) -> None:
    future, task, wakeup = waiting(mock)
    assert future.remove_done_callback(print) == 0
    assert future.remove_done_callback(wakeup) == 1 and not future._callbacks
    future.set_result(1)
    assert not mock.ready and not task.done()
    with mock.as_running():
        wakeup(future)
    assert task.done()


def test_wakeup_with_other_arguments(native: Impl, mock: MockLoop) -> None:
    """It takes any object that has a `result`, or the lack of one as the exception."""
    _, task, wakeup = waiting(mock)
    with mock.as_running():
        wakeup(5)
    assert repr(task.exception()) == "AttributeError(\"'int' object has no attribute 'result'\")"
    assert not hasattr(asyncio.Task, "task_wakeup")


def test_step_keeps_the_task(native: Impl, mock: MockLoop) -> None:
    asyncio.Task(nothing(), loop=mock)
    gc.collect()
    assert mock.reports == []
    mock.ready.clear()
    gc.collect()
    assert [report["message"] for report in mock.reports] == ["Task was destroyed but it is pending!"]
    mock.reports[0]["task"].get_coro().close()


def test_step_after_a_bad_yield_carries_the_error(native: Impl, mock: MockLoop) -> None:
    @types.coroutine
    def bad() -> Any:
        yield 5

    task = asyncio.Task(bad(), loop=mock) if MINOR < (3, 12) else asyncio.Task(_await(bad()), loop=mock)
    mock.step()
    step = mock.ready[0].callback
    assert [type(r).__name__ for r in gc.get_referents(step) if isinstance(r, BaseException)] == ["RuntimeError"]
    mock.run()
    assert str(task.exception()) == "Task got bad yield: 5"


async def _await(awaitable: Any) -> Any:
    return await awaitable
