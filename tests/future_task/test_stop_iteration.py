"""`StopIteration`, by which a future's iterator says the result: made in place, and that of `True` raised again."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from rasyncio import _asyncio

VALUES: list[Any] = [True, False, 1, "text", (), (1, 2), ValueError("a value"), [1], {}, object(), StopIteration(3)]


def stopped(value: Any, future_class: Any = _asyncio.Future) -> StopIteration:
    """What the iterator of a future with that result raises."""
    loop = asyncio.new_event_loop()
    future = future_class(loop=loop)
    future.set_result(value)
    loop.close()
    with pytest.raises(StopIteration) as raised:
        future.__iter__().send(None)
    return raised.value


def seen(stop: StopIteration) -> list[Any]:
    """All that the exception has, but its traceback."""
    notes = getattr(stop, "__notes__", None)
    return [stop.args, stop.value, stop.__context__, stop.__cause__, stop.__suppress_context__, notes, vars(stop)]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_as_the_class_makes_it(value: Any) -> None:
    theirs = asyncio.futures._PyFuture  # type: ignore[attr-defined]
    for _ in range(3):
        assert seen(stopped(value)) == seen(stopped(value, theirs))


def test_one_that_is_held_is_not_raised_again() -> None:
    first, second = stopped(True), stopped(True)
    assert first is not second
    assert [seen(first), seen(second)] == [[(True,), True, None, None, False, None, {}]] * 2


def test_what_somebody_left_in_it_is_not_seen() -> None:
    for _ in range(3):
        stop: Any = stopped(True)
        assert seen(stop) == [(True,), True, None, None, False, None, {}]
        stop.value, stop.args, stop.other = 2, (3, 4), 5
        stop.add_note("a note")
        stop.__context__, stop.__cause__ = KeyError(), ValueError()
        del stop


def test_while_an_exception_is_handled() -> None:
    """It is the context or not, as in CPython's module."""
    theirs = asyncio.futures._CFuture  # type: ignore[attr-defined]
    assert theirs is not _asyncio.Future

    def contexts(future_class: Any) -> list[Any]:
        try:
            raise KeyError("handled")
        except KeyError:
            return [type(stopped(value, future_class).__context__) for value in (True, 1)]

    assert contexts(_asyncio.Future) == contexts(theirs)


def test_the_value_is_let_go() -> None:
    class Value:
        pass

    value = Value()
    gone = weakref.ref(value)
    stopped(value)
    del value
    gc.collect()
    assert gone() is None
