"""What programs are made of besides asyncio's own: exceptions, loud subclasses, a future-like object."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn


class Picky(Exception):
    """Cannot be made without an argument."""

    def __init__(self, argument: object) -> None:
        super().__init__(argument)


class OwnStopIteration(StopIteration):
    pass


class OwnCancelledError(asyncio.CancelledError):
    pass


class OwnBaseException(BaseException):
    pass


def _chained() -> BaseException:
    error = ValueError("chained")
    error.__cause__ = KeyError("cause")
    error.__context__ = IndexError("context")
    return error


class Errors:
    """The exceptions of a program, by their names in it."""

    def __init__(self) -> None:
        self.shared = ValueError("shared")

    def get(self, name: str) -> Any:
        """A new instance, or a class, or what is neither."""
        makers: dict[str, Callable[[], Any]] = {
            "ValueError": lambda: ValueError("new", 1),
            "shared": lambda: self.shared,
            "class": lambda: KeyError,
            "picky": lambda: Picky,
            "StopIteration": lambda: StopIteration("stop"),
            "StopIteration subclass": lambda: OwnStopIteration("stop"),
            "StopAsyncIteration": lambda: StopAsyncIteration("stop"),
            "CancelledError": lambda: asyncio.CancelledError("own"),
            "CancelledError subclass": lambda: OwnCancelledError("own"),
            "chained": _chained,
            "group": lambda: ExceptionGroup("group", [ValueError(1), KeyError(2)]),
            "BaseException": lambda: OwnBaseException("base"),
            "GeneratorExit": GeneratorExit,
            "KeyboardInterrupt": lambda: KeyboardInterrupt("key"),
            "SystemExit": lambda: SystemExit(3),
            "no exception": lambda: 42,
        }
        return makers[name]()

    def throw(self, name: str, from_current: bool) -> NoReturn:
        """Raise it, perhaps from the exception that is being handled."""
        if from_current:
            raise self.get(name) from sys.exc_info()[1]
        raise self.get(name)


@dataclass(frozen=True)
class Override:
    """What loud classes override, and whom their methods tell."""

    tell: Callable[[str, Any], None]
    names: frozenset[str]


def loud_class(name: str, base: Any, override: Override) -> Any:
    """A subclass whose overridden methods tell that they are called, and call the base's."""
    (base,) = types.resolve_bases((base,))

    def method(name: str) -> Any:
        inherited = getattr(base, name)

        def overriding(self: Any, *args: Any, **kwargs: Any) -> Any:
            override.tell(name, self)
            return inherited(self, *args, **kwargs)

        overriding.__name__ = name
        return overriding

    methods = {each: method(each) for each in sorted(override.names) if hasattr(base, each)}
    return type(name, (base,), methods)


class InOrder(dict[Any, None]):
    """As much of a set as asyncio needs, in the order of arrival: that of a set is that of addresses."""

    def __init__(self, things: Iterable[Any] = ()) -> None:
        super().__init__(dict.fromkeys(things))

    def add(self, thing: Any) -> None:
        self[thing] = None

    def remove(self, thing: Any) -> None:
        del self[thing]

    def discard(self, thing: Any) -> None:
        self.pop(thing, None)


class Duck:
    """Like a future, without being one."""

    _asyncio_future_blocking = False

    def __init__(self, loop: Any, tell: Callable[[str, Any], None]) -> None:
        self._loop, self._tell = loop, tell
        self._outcome: list[Any] = []
        self._waiting: list[tuple[Any, Any]] = []

    def __repr__(self) -> str:
        return "<Duck>"

    def get_loop(self) -> Any:
        self._tell("get_loop", self)
        return self._loop

    def done(self) -> bool:
        return bool(self._outcome)

    def cancelled(self) -> bool:
        return bool(self._outcome) and isinstance(self._outcome[0], asyncio.CancelledError)

    def add_done_callback(self, callback: Any, *, context: Any = None) -> None:
        self._tell("add_done_callback", self)
        if self._outcome:
            self._loop.call_soon(callback, self, context=context)
        else:
            self._waiting.append((callback, context))

    def remove_done_callback(self, callback: Any) -> int:
        before = len(self._waiting)
        self._waiting = [pair for pair in self._waiting if pair[0] != callback]
        return before - len(self._waiting)

    def cancel(self, msg: Any = None) -> bool:
        self._tell("cancel", self)
        if self._outcome:
            return False
        self._finish(asyncio.CancelledError(msg), True)
        return True

    def set_result(self, value: Any) -> None:
        self._finish(value, False)

    def set_exception(self, error: Any) -> None:
        self._finish(error, True)

    def _finish(self, value: Any, raises: bool) -> None:
        if self._outcome:
            raise asyncio.InvalidStateError("duck")
        self._outcome = [value, raises]
        waiting, self._waiting = self._waiting, []
        for callback, context in waiting:
            self._loop.call_soon(callback, self, context=context)

    def result(self) -> Any:
        self._tell("result", self)
        if not self._outcome:
            raise asyncio.InvalidStateError("duck")
        value, raises = self._outcome
        if raises:
            raise value
        return value

    def exception(self) -> Any:
        return self._outcome[0] if self.done() and self._outcome[1] else None

    def __await__(self) -> Iterator[Any]:
        if not self._outcome:
            self._asyncio_future_blocking = True
            yield self
        return self.result()
