"""What a Future does: the same body on pure Python, C and ours."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import sys
import traceback
import types
import weakref
from typing import Any

import pytest

from support.fakes import MockLoop
from support.impls import MINOR, Fix, Impl, outcome, plain

CALLBACKS_ARE_COPIED = Fix("gh-125789", {(3, 12): 8, (3, 13): 1, (3, 14): 0, (3, 15): 0})


def states(future: asyncio.Future[Any]) -> tuple[str, bool, bool]:
    return future._state, future.done(), future.cancelled()


# --- construction


def test_new(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    assert states(future) == ("PENDING", False, False)
    assert future.get_loop() is mock and future._loop is mock
    assert (future._callbacks or None, future._result, future._exception) == (None, None, None)
    assert (future._cancel_message, future._source_traceback) == (None, None)
    assert future._log_traceback is False and future._asyncio_future_blocking is False
    assert asyncio.isfuture(future) and isinstance(future, asyncio.Future)


def test_loop_is_found(impl: Impl, mock: MockLoop) -> None:
    with mock.as_running():
        assert asyncio.Future().get_loop() is mock
        assert asyncio.Future(loop=None).get_loop() is mock


@pytest.mark.skipif(MINOR < (3, 14), reason="before 3.14 the policy makes a loop, with a warning on 3.12 and 3.13")
def test_no_loop(impl: Impl) -> None:
    with pytest.raises(RuntimeError, match=r"^There is no current event loop in thread 'MainThread'\.$"):
        asyncio.Future()


def test_get_debug_is_asked_each_time(impl: Impl) -> None:
    class Loop(MockLoop):
        asked = 0

        def get_debug(self) -> Any:
            self.asked += 1
            return [] if self.asked == 1 else ["true"]

    loop = Loop()
    assert asyncio.Future(loop=loop)._source_traceback is None
    assert asyncio.Future(loop=loop)._source_traceback is not None
    assert loop.asked == 2


def test_get_debug_fails(impl: Impl) -> None:
    class Loop(MockLoop):
        def get_debug(self) -> bool:
            raise ZeroDivisionError("debug")

    with pytest.raises(ZeroDivisionError, match="^debug$"):
        asyncio.Future(loop=Loop())


def test_truth_of_debug_fails(impl: Impl) -> None:
    class Evil:
        def __bool__(self) -> bool:
            raise ZeroDivisionError("truth")

    class Loop(MockLoop):
        def get_debug(self) -> Any:
            return Evil()

    with pytest.raises(ZeroDivisionError, match="^truth$"):
        asyncio.Future(loop=Loop())


def test_loop_of_wrong_type(impl: Impl) -> None:
    with pytest.raises(AttributeError, match="^'object' object has no attribute 'get_debug'$"):
        asyncio.Future(loop=object())


def test_source_traceback(impl: Impl) -> None:
    loop = MockLoop(debug=True)
    future = asyncio.Future(loop=loop)
    summary = future._source_traceback
    assert isinstance(summary, traceback.StackSummary)
    assert summary is future._source_traceback, "the same list each time: create_task() deletes from it"
    assert summary[-1].name == "test_source_traceback"
    length = len(summary)
    del summary[-1]
    assert len(future._source_traceback) == length - 1


def test_source_traceback_cannot_be_set(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    if impl.native:
        with pytest.raises(AttributeError):
            future._source_traceback = []


# --- results


def test_result(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    value = object()
    assert future.set_result(value) is None
    assert states(future) == ("FINISHED", True, False)
    assert future.result() is value and future.result() is value and future._result is value
    assert future.exception() is None and future._exception is None


@pytest.mark.parametrize("how", ["result", "exception", "cancel"])
def test_done_only_once(impl: Impl, mock: MockLoop, how: str) -> None:
    future = asyncio.Future(loop=mock)
    {
        "result": lambda: future.set_result(1),
        "exception": lambda: future.set_exception(KeyError()),
        "cancel": future.cancel,
    }[how]()
    before = states(future)
    # Pure Python says which future and which state; C has one fixed text.
    text = f"{future._state}: {future!r}" if impl.name == "python" else "invalid state"
    for action in (
        lambda: future.set_result(2),
        lambda: future.set_exception(ValueError),
        lambda: future.set_exception(ValueError()),
    ):
        assert outcome(action) == f"InvalidStateError: {plain(text)}"
    assert future.cancel() is False
    assert states(future) == before
    if how == "exception":
        future.exception()


def test_not_done(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    not_set = "Result is not ready." if impl.name == "python" else "Result is not set."
    assert outcome(future.result) == f"InvalidStateError: {not_set}"
    assert outcome(future.exception) == "InvalidStateError: Exception is not set."


def test_invalid_state_on_something_unhashable(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.set_result([{}])
    assert future.result() == [{}]


# --- exceptions


def test_exception_instance(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    error = ValueError("v")
    assert future.set_exception(error) is None
    assert future._log_traceback is True and future._exception is error and future._result is None
    assert future.exception() is error
    assert future._log_traceback is False
    with pytest.raises(ValueError, match="^v$") as caught:
        future.result()
    assert caught.value is error


def test_exception_class_is_called(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.set_exception(KeyError)
    error = future.exception()
    assert type(error) is KeyError and error.args == ()
    assert future.exception() is error


def test_exception_class_fails(impl: Impl, mock: MockLoop) -> None:
    class Needs(Exception):
        def __init__(self, argument: object) -> None:
            super().__init__(argument)

    future = asyncio.Future(loop=mock)
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'argument'$"):
        future.set_exception(Needs)
    assert states(future) == ("PENDING", False, False)


@pytest.mark.parametrize("base", [BaseException, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_base_exceptions_are_stored(impl: Impl, mock: MockLoop, base: type[BaseException]) -> None:
    future = asyncio.Future(loop=mock)
    future.set_exception(base("b"))
    assert states(future) == ("FINISHED", True, False), "a CancelledError that is set does not cancel"
    assert type(future.exception()) is base
    with pytest.raises(base, match="^b$"):
        future.result()


@pytest.mark.parametrize("wrong", [1, None, object, "text", type])
def test_not_an_exception(impl: Impl, mock: MockLoop, wrong: Any) -> None:
    future = asyncio.Future(loop=mock)
    if impl.name == "python":  # fails by accident, on reading `__traceback__`
        with pytest.raises((TypeError, AttributeError)):
            future.set_exception(wrong)
    else:
        with pytest.raises(TypeError, match="^invalid exception object$"):
            future.set_exception(wrong)
        assert states(future) == ("PENDING", False, False)


def test_class_whose_instance_is_no_exception(native: Impl, mock: MockLoop) -> None:
    class Odd(Exception):
        def __new__(cls) -> Any:
            return 5

    future = asyncio.Future(loop=mock)
    with pytest.raises(TypeError, match="^invalid exception object$"):
        future.set_exception(Odd)
    assert states(future) == ("PENDING", False, False)


class MyStop(StopIteration):
    """A subclass, which 3.11 and 3.12 let through."""


STOP_TEXT = "StopIteration interacts badly with generators and cannot be raised into a Future"


@pytest.mark.parametrize("error", [StopIteration, StopIteration(5), MyStop, MyStop(6)], ids=repr)
def test_stop_iteration(impl: Impl, mock: MockLoop, error: Any) -> None:
    future = asyncio.Future(loop=mock)
    exact = error is StopIteration or type(error) is StopIteration
    if MINOR >= (3, 13):
        future.set_exception(error)
        stored = future.exception()
        assert type(stored) is RuntimeError and str(stored) == STOP_TEXT
        assert isinstance(stored.__cause__, StopIteration) and stored.__context__ is stored.__cause__
        if isinstance(error, StopIteration):
            assert stored.__cause__ is error
        with pytest.raises(RuntimeError, match=f"^{STOP_TEXT}$"):
            future.result()
    elif exact:
        with pytest.raises(TypeError, match=f"^{STOP_TEXT}$"):
            future.set_exception(error)
        assert states(future) == ("PENDING", False, False)
    else:
        future.set_exception(error)
        assert isinstance(future.exception(), MyStop)


def test_exceptions_of_await_grow_no_traceback(impl: Impl, mock: MockLoop) -> None:
    """The saved traceback is put back once; after that each `result()` starts from nothing (gh-154791)."""
    try:
        raise ValueError("origin")
    except ValueError as caught:
        error = caught
    future = asyncio.Future(loop=mock)
    future.set_exception(error)

    def frames() -> list[str]:
        try:
            future.result()
        except ValueError as caught:
            return [frame.name for frame in traceback.extract_tb(caught.__traceback__)]
        raise AssertionError

    me = "test_exceptions_of_await_grow_no_traceback"
    result = ["result"] if impl.name == "python" else []
    # Pure Python keeps the saved traceback, C gives it out once.
    later = ["frames", *result, me] if impl.name == "python" else ["frames"]
    assert [frames(), frames(), frames()] == [["frames", *result, me], later, later]


def test_exception_does_not_touch_the_traceback(impl: Impl, mock: MockLoop) -> None:
    try:
        raise ValueError
    except ValueError as caught:
        error = caught
    before = error.__traceback__
    future = asyncio.Future(loop=mock)
    future.set_exception(error)
    assert future.exception() is error and error.__traceback__ is before


# --- cancelling


def test_cancel(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    assert future.cancel() is True
    assert states(future) == ("CANCELLED", True, True)
    assert future.cancel() is False and future.cancel("again") is False and future._cancel_message is None
    for read in (future.result, future.exception):
        with pytest.raises(asyncio.CancelledError) as caught:
            read()
        assert caught.value.args == ()


@pytest.mark.parametrize("message", ["text", 5, (), ("a", "b"), False])
def test_cancel_message(impl: Impl, mock: MockLoop, message: Any) -> None:
    by_position, by_name = asyncio.Future(loop=mock), asyncio.Future(loop=mock)
    assert by_position.cancel(message) is True and by_name.cancel(msg=message) is True
    for future in (by_position, by_name):
        assert future._cancel_message == message
        for _ in range(2):  # a future has no stored exception: a new one with the message each time
            with pytest.raises(asyncio.CancelledError) as caught:
                future.result()
            assert caught.value.args == (message,)


def test_cancel_message_can_be_set(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future._cancel_message = "before"
    assert future._make_cancelled_error().args == ("before",)
    future.cancel("mine")
    future._cancel_message = "after"
    with pytest.raises(asyncio.CancelledError, match="^after$"):
        future.result()


def test_cancelled_errors_are_new_and_free_of_cycles(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.cancel()
    errors = []
    for read in (future.result, future.exception, future.result):
        try:
            read()
        except asyncio.CancelledError as error:
            errors.append(error)
    assert len({id(error) for error in errors}) == 3
    while errors:
        error = errors.pop()
        holders = [h for h in gc.get_referrers(error) if not isinstance(h, types.FrameType)]
        assert holders == []


def test_make_cancelled_error(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    error = future._make_cancelled_error()
    assert type(error) is asyncio.CancelledError and error.args == ()
    assert future._make_cancelled_error() is not error


# --- the log flag


def test_log_traceback_flag(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    for wrong in (True, 1, "x"):
        with pytest.raises(ValueError, match="^_log_traceback can only be set to False$"):
            future._log_traceback = wrong
    future._log_traceback = False
    future.set_exception(KeyError())
    assert future._log_traceback is True
    future._log_traceback = False
    assert future._log_traceback is False


def test_cancel_clears_log_flag(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.set_exception(KeyError())
    assert future.cancel() is False
    assert future._log_traceback is False


def test_log_flag_is_set_after_the_callbacks(impl: Impl) -> None:
    class Loop(MockLoop):
        def call_soon(self, *args: object, **kwargs: object) -> None:
            raise ZeroDivisionError("call_soon")

    future = asyncio.Future(loop=Loop())
    future.add_done_callback(print)
    with pytest.raises(ZeroDivisionError, match="^call_soon$"):
        future.set_exception(KeyError())
    assert states(future) == ("FINISHED", True, False)
    assert future._log_traceback is False
    assert not future._callbacks


# --- callbacks


def test_callbacks_run_in_order_with_their_contexts(impl: Impl, mock: MockLoop) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    future = asyncio.Future(loop=mock)
    seen: list[tuple[int, int]] = []
    for number in range(4):
        variable.set(number)
        future.add_done_callback(lambda f, n=number: seen.append((n, variable.get())))
    own = contextvars.copy_context()
    own.run(variable.set, 99)
    future.add_done_callback(lambda f: seen.append((4, variable.get())), context=own)
    assert len(future._callbacks) == 5 and future._callbacks[4][1] is own
    future.set_result(None)
    assert not future._callbacks and seen == []
    assert [entry.args for entry in mock.ready] == [(future,)] * 5
    mock.run()
    assert seen == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 99)]


def test_callback_of_done_future_is_scheduled_at_once(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.set_result(1)
    context = contextvars.copy_context()
    assert future.add_done_callback(print, context=context) is None
    future.add_done_callback(len)
    first, second = mock.ready
    assert (first.callback, first.args, first.context) == (print, (future,), context)
    assert (second.callback, second.args) == (len, (future,))
    # C copies the context itself, pure Python leaves that to the loop.
    assert type(second.context) is (type(None) if impl.name == "python" else contextvars.Context)


@pytest.mark.parametrize("context", [5, "text"])
def test_context_is_not_checked(impl: Impl, mock: MockLoop, context: Any) -> None:
    future = asyncio.Future(loop=mock)
    future.add_done_callback(print, context=context)
    assert future._callbacks == [(print, context)]
    future.set_result(1)
    assert mock.ready[0].context == context


def test_context_none(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.add_done_callback(print, context=None)
    ((_, context),) = future._callbacks
    # C hands None on; pure Python takes it for "not given".
    assert (type(context) is contextvars.Context) is (impl.name == "python")


def test_callbacks_attribute(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    assert future._callbacks == ([] if impl.name == "python" else None)
    context = contextvars.copy_context()
    future.add_done_callback(len, context=context)
    assert future._callbacks == [(len, context)]
    future.add_done_callback(print, context=context)
    assert future._callbacks == [(len, context), (print, context)]
    future.remove_done_callback(len)
    assert future._callbacks == [(print, context)]
    if impl.name == "python":
        assert future._callbacks is future._callbacks
    elif impl.has(CALLBACKS_ARE_COPIED):
        assert future._callbacks is not future._callbacks
        future._callbacks.clear()
        assert future._callbacks == [(print, context)]


def test_remove_done_callback(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    for callback in (len, print, len, repr, len):
        future.add_done_callback(callback)
    assert future.remove_done_callback(str) == 0
    assert future.remove_done_callback(len) == 3
    assert [callback for callback, _ in future._callbacks] == [print, repr]
    assert future.remove_done_callback(print) == 1
    assert future.remove_done_callback(print) == 0
    assert future.remove_done_callback(repr) == 1
    assert not future._callbacks
    future.set_result(None)
    assert not mock.ready and future.remove_done_callback(repr) == 0


def test_remove_compares_by_equality(impl: Impl, mock: MockLoop) -> None:
    class Equal:
        def __init__(self, name: str) -> None:
            self.name = name

        def __eq__(self, other: object) -> bool:
            compared.append((self.name, other.name))
            return True

        def __call__(self, future: object) -> None:
            """Do nothing."""

    compared: list[tuple[str, str]] = []
    future = asyncio.Future(loop=mock)
    future.add_done_callback(Equal("first"))
    future.add_done_callback(Equal("second"))
    assert future.remove_done_callback(Equal("given")) == 2
    assert compared == [("first", "given"), ("second", "given")], "the stored one is on the left"


def test_remove_by_identity_does_not_ask_eq(native: Impl, mock: MockLoop) -> None:
    class NeverEqual:
        def __eq__(self, other: object) -> bool:
            raise AssertionError

        def __call__(self, future: object) -> None:
            """Do nothing."""

    callback = NeverEqual()
    future = asyncio.Future(loop=mock)
    future.add_done_callback(callback)
    future.add_done_callback(callback)
    assert future.remove_done_callback(callback) == 2


@pytest.mark.parametrize("position", [0, 1, 2])
def test_remove_eq_fails(impl: Impl, mock: MockLoop, position: int) -> None:
    class Fails:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError("eq")

        def __call__(self, future: object) -> None:
            """Do nothing."""

    future = asyncio.Future(loop=mock)
    callbacks: list[Any] = [print, print, print]
    callbacks[position] = Fails()
    for callback in callbacks:
        future.add_done_callback(callback)
    with pytest.raises(ZeroDivisionError, match="^eq$"):
        future.remove_done_callback(len)
    assert [c for c, _ in future._callbacks] == callbacks


def test_call_soon_is_looked_up_for_each_callback(impl: Impl) -> None:
    class Loop(MockLoop):
        looked_up = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "call_soon":
                type(self).looked_up += 1
            return super().__getattribute__(name)

    loop = Loop()
    future = asyncio.Future(loop=loop)
    for _ in range(3):
        future.add_done_callback(print)
    future.set_result(None)
    assert Loop.looked_up == 3


def test_call_soon_on_the_instance(impl: Impl, mock: MockLoop) -> None:
    calls = []
    future = asyncio.Future(loop=mock)
    future.add_done_callback(print)
    mock.call_soon = lambda *args, context: calls.append((args, type(context)))  # type: ignore[method-assign]
    future.set_result(None)
    assert calls == [((print, future), contextvars.Context)]


def test_call_soon_fails_in_the_middle(impl: Impl) -> None:
    class Loop(MockLoop):
        def call_soon(self, callback: Any, *args: object, context: Any = None) -> None:
            if callback is len:
                raise ZeroDivisionError("second")
            super().call_soon(callback, *args, context=context)

    loop = Loop()
    future = asyncio.Future(loop=loop)
    for callback in (print, len, repr):
        future.add_done_callback(callback)
    with pytest.raises(ZeroDivisionError, match="^second$"):
        future.set_result(7)
    assert states(future) == ("FINISHED", True, False) and future.result() == 7
    assert [entry.callback for entry in loop.ready] == [print], "the rest is dropped"
    assert not future._callbacks


# --- repr


def a_callback(future: object) -> None:
    """Has a name that a repr can show."""


def test_repr(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    assert repr(future) == "<Future pending>"
    here = f"a_callback() at {__file__}:N"
    future.add_done_callback(a_callback)
    assert plain(repr(future)) == f"<Future pending cb=[{here}]>"
    future.add_done_callback(a_callback)
    assert plain(repr(future)) == f"<Future pending cb=[{here}, {here}]>"
    future.add_done_callback(a_callback)
    future.add_done_callback(a_callback)
    assert plain(repr(future)) == f"<Future pending cb=[{here}, <2 more>, {here}]>"
    future.set_result("r")
    assert repr(future) == "<Future finished result='r'>"


def test_repr_of_outcomes(impl: Impl, mock: MockLoop) -> None:
    failed, cancelled, own = asyncio.Future(loop=mock), asyncio.Future(loop=mock), asyncio.Future(loop=mock)
    failed.set_exception(ValueError("x"))
    cancelled.cancel("why")
    own.set_result(own)
    assert repr(failed) == "<Future finished exception=ValueError('x')>"
    assert repr(cancelled) == "<Future cancelled>"
    assert repr(own) == "<Future finished result=...>"
    failed.exception()


def test_repr_of_subclass_and_debug(impl: Impl) -> None:
    class Mine(asyncio.Future):
        """A subclass shows its own name."""

    assert repr(Mine(loop=MockLoop())) == "<Mine pending>"
    future = asyncio.Future(loop=MockLoop(debug=True))
    assert plain(repr(future)).startswith("<Future pending created at ")


def test_repr_of_failing_result(impl: Impl, mock: MockLoop) -> None:
    class Evil:
        def __repr__(self) -> str:
            raise ZeroDivisionError("repr")

    future = asyncio.Future(loop=mock)
    future.set_result(Evil())
    assert "Evil" in repr(future), "reprlib shows the object instead of failing"


# --- as a Python object


def test_class_getitem(impl: Impl) -> None:
    for cls in (asyncio.Future, asyncio.Task):
        alias = cls[int]
        assert isinstance(alias, types.GenericAlias)
        assert alias.__origin__ is cls and alias.__args__ == (int,)
    module = "asyncio.futures" if impl.name == "python" else "_asyncio"
    assert repr(asyncio.Future[int]) == f"{module}.Future[int]"


def test_weakref_and_instance_attributes(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    reference = weakref.ref(future)
    future.attribute = 5
    assert future.attribute == 5
    del future.attribute
    with pytest.raises(AttributeError, match="no attribute 'attribute'"):
        future.attribute  # noqa: B018
    assert reference() is future
    del future
    assert reference() is None


def test_cycle_through_an_instance_attribute_is_collected(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.me = future
    reference = weakref.ref(future)
    del future
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_no_copy_no_pickle(native: Impl, mock: MockLoop, duplicate: Any) -> None:
    with pytest.raises(TypeError, match=r"^cannot pickle '_asyncio.Future' object$"):
        duplicate(asyncio.Future(loop=mock))


def test_identity_equality(impl: Impl, mock: MockLoop) -> None:
    one, other = asyncio.Future(loop=mock), asyncio.Future(loop=mock)
    assert one == one and one != other and len({one, other, one}) == 2
    with pytest.raises(TypeError, match="not supported between instances"):
        one < other  # noqa: B015


def test_subclasses(impl: Impl, mock: MockLoop) -> None:
    class Plain:
        def hello(self) -> str:
            return "hello"

    class Mixed(Plain, asyncio.Future):
        def __init__(self, *, loop: Any, extra: int) -> None:
            super().__init__(loop=loop)
            self.extra = extra

        def set_result(self, result: int) -> None:
            super().set_result(result * 2)

    class Slotted(asyncio.Future):
        __slots__ = ("slot",)

    mixed, slotted = Mixed(loop=mock, extra=3), Slotted(loop=mock)
    mixed.set_result(21)
    slotted.slot = 1
    assert (mixed.result(), mixed.hello(), mixed.extra, slotted.slot) == (42, "hello", 3, 1)
    assert isinstance(mixed, asyncio.Future) and asyncio.isfuture(mixed)
    references = [weakref.ref(mixed), weakref.ref(slotted)]
    mixed.cycle, slotted.slot = mixed, slotted
    del mixed, slotted
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_init_again(impl: Impl, mock: MockLoop) -> None:
    other = MockLoop()
    future = asyncio.Future(loop=mock)
    future.add_done_callback(print)
    future.set_result(1)
    if impl.native and MINOR >= (3, 15):
        with pytest.raises(RuntimeError, match=r"^_asyncio\.Future object is already initialized$"):
            future.__init__(loop=other)
        assert future.get_loop() is mock and future.result() == 1
    elif MINOR >= (3, 15):
        with pytest.raises(RuntimeError, match=r"^Future object is already initialized$"):
            future.__init__(loop=other)
    else:
        future.__init__(loop=other)
        assert future.get_loop() is other
        if impl.native:  # pure Python keeps the state in class attributes, which `__init__` does not reset
            assert states(future) == ("PENDING", False, False) and future._callbacks is None


@pytest.mark.skipif(MINOR < (3, 15), reason="earlier versions initialise again")
def test_init_again_names_the_subclass(native: Impl, mock: MockLoop) -> None:
    class Mine(asyncio.Future):
        """Shows its own name, with its module."""

    future = Mine(loop=mock)
    with pytest.raises(RuntimeError, match=r"^.*Mine object is already initialized$"):
        future.__init__(loop=mock)


def test_is_abstract_awaitable(impl: Impl, mock: MockLoop) -> None:
    from collections.abc import Awaitable, Coroutine

    future = asyncio.Future(loop=mock)
    assert isinstance(future, Awaitable) and not isinstance(future, Coroutine)


# --- never retrieved


def test_never_retrieved(impl: Impl, mock: MockLoop) -> None:
    error = ValueError("lost")
    future = asyncio.Future(loop=mock)
    future.set_exception(error)
    del future
    gc.collect()
    (report,) = mock.reports
    assert report["message"] == "Future exception was never retrieved" and report["exception"] is error
    assert sorted(report) == ["exception", "future", "message"]
    assert repr(report["future"]) == "<Future finished exception=ValueError('lost')>"
    mock.reports.clear()
    del report
    gc.collect()
    assert mock.reports == [], "said once, though the handler kept the future alive"


def test_never_retrieved_in_debug_mode(impl: Impl) -> None:
    class Mine(asyncio.Future):
        """A subclass is called by its name."""

    loop = MockLoop(debug=True)
    future = Mine(loop=loop)
    future.set_exception(ValueError())
    summary = future._source_traceback
    del future
    gc.collect()
    assert loop.reports[0]["message"] == "Mine exception was never retrieved"
    assert loop.reports[0]["source_traceback"] is summary


@pytest.mark.parametrize("read", ["result", "exception", "cancel", "flag"])
def test_retrieved(impl: Impl, mock: MockLoop, read: str) -> None:
    future = asyncio.Future(loop=mock)
    future.set_exception(ValueError())
    if read == "flag":
        future._log_traceback = False
    else:
        outcome(getattr(future, read))
    del future
    gc.collect()
    assert mock.reports == []


def test_the_handler_fails(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop(MockLoop):
        def call_exception_handler(self, context: object) -> None:
            raise ZeroDivisionError("handler")

    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(type(args.exc_value)))
    future = asyncio.Future(loop=Loop())
    future.set_exception(ValueError())
    del future
    gc.collect()
    assert unraisable == [ZeroDivisionError]


def test_the_current_exception_survives_a_finalizer(impl: Impl, mock: MockLoop) -> None:
    future = asyncio.Future(loop=mock)
    future.set_exception(ValueError())
    current = KeyError("current")
    try:
        raise current
    except KeyError:
        del future
        gc.collect()
        assert sys.exc_info()[1] is current
    assert len(mock.reports) == 1
