"""A function that native code passes over is changed, in each way there is: what is new is called."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import pytest

from rasyncio import _graft, _graft_look

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

API = ctypes.pythonapi
VECTORCALL = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def passed_over() -> dict[int, list[FunctionType]]:
    """By place in the table: the functions that a graft stands in for, its own first."""
    found: dict[int, list[FunctionType]] = {}
    names = _graft._asyncio._grafts()

    def look(module: str, path: str, classes: list[str], calls_all: bool) -> Any:
        answer = _graft_look.look(module, path, classes, calls_all)
        found[names.index((module, path))] = answer[2]
        return answer

    _graft._asyncio._graft_ask(look, _graft_look.places)
    for place in range(len(names)):
        assert _graft._asyncio._graft_standing(place) is None
    _graft._asyncio._graft_ask(_graft_look.look, _graft_look.places)
    return found


@contextmanager
def attribute(function: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(function, name)
    setattr(function, name, value)
    yield
    setattr(function, name, before)


def code(function: FunctionType) -> Any:
    return attribute(function, "__code__", function.__code__.replace(co_firstlineno=1))


def defaults(function: FunctionType) -> Any:
    return attribute(function, "__defaults__", (1,))


def keyword_defaults(function: FunctionType) -> Any:
    return attribute(function, "__kwdefaults__", {"x": 1})


@contextmanager
def set_by_c(function: Any, setter: Any, before: Any, value: Any) -> Iterator[None]:
    for each in (value, before):
        assert setter(ctypes.py_object(function), ctypes.py_object(each)) == 0
        if each is value:
            yield


def defaults_by_c(function: FunctionType) -> Any:
    return set_by_c(function, API.PyFunction_SetDefaults, function.__defaults__, (1,))


def keyword_defaults_by_c(function: FunctionType) -> Any:
    return set_by_c(function, API.PyFunction_SetKwDefaults, function.__kwdefaults__, {"x": 1})


def native_code_of(function: Any) -> int:
    """The address of what does the function's calls."""
    API.PyVectorcall_Function.restype = ctypes.c_void_p
    address: int = API.PyVectorcall_Function(ctypes.py_object(function))
    return address


@contextmanager
def vectorcall(function: Any, also: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Another extension's native code is in the function: it does something, and goes on as before."""
    before = native_code_of(function)
    go_on = VECTORCALL(before)

    def call(function: Any, arguments: Any, count: int, keywords: Any) -> Any:
        also()
        return go_on(function, arguments, count, keywords)

    other = VECTORCALL(call)
    API.PyFunction_SetVectorcall.restype = None
    API.PyFunction_SetVectorcall(ctypes.py_object(function), other)
    yield
    API.PyFunction_SetVectorcall(ctypes.py_object(function), ctypes.c_void_p(before))


WAYS = [code, defaults, keyword_defaults, defaults_by_c, keyword_defaults_by_c, vectorcall]


@pytest.mark.parametrize("change", WAYS)
def test_each_function_that_is_passed_over(grafted: None, change: Callable[[FunctionType], Any]) -> None:
    over = passed_over()
    functions = {id(function): function for found in over.values() for function in found}
    for function in functions.values():
        concerned = [place for place, found in over.items() if any(each is function for each in found)]
        for _ in range(2):  # the second time it has no number of its state any more
            with change(function):
                for place in concerned:
                    assert _graft._asyncio._graft_standing(place) is not None, function
            for place in concerned:
                assert _graft._asyncio._graft_standing(place) is None, function


def test_few_functions_are_compared(grafted: None) -> None:
    """What makes an object, or runs when it dies, is none of what is passed over where the object is there already."""
    names = {f"{each.__qualname__}" for found in passed_over().values() for each in found}
    assert "Queue._wakeup_next" in names
    assert not names & {"Queue.__init__", "Lock.__init__", "Event.__init__", "StreamReaderProtocol.__del__"}


def calls(use: Callable[[], None], function: FunctionType) -> int:
    """How often the function is called, as far as native code that is put into it sees."""
    seen: list[None] = []
    with vectorcall(function, lambda: seen.append(None)):
        use()
    return len(seen)


@pytest.mark.parametrize("function", [asyncio.Queue.full, asyncio.Queue._put, asyncio.Event.clear])  # type: ignore[attr-defined]
def test_native_code_of_others_is_called(either: bool, function: FunctionType) -> None:
    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        for number in range(3):
            queue.put_nowait(number)

    assert calls(lambda: asyncio.run(main()), function) == 3


def test_a_builtins_name_in_a_module(either: bool) -> None:
    """A name that was looked up in the builtins is now found before."""
    uses: list[object] = []

    def noting(queue: Any) -> int:
        uses.append(queue)
        return len(queue)

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        queue.put_nowait(1)
        assert queue.full()

    asyncio.run(main())
    vars(asyncio.queues)["len"] = noting
    try:
        asyncio.run(main())
    finally:
        del vars(asyncio.queues)["len"]
    assert len(uses) == 2
