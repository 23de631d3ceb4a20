"""What native code of `asyncio.wait` leaves to Python: a program looks at it, or has replaced something meanwhile.

The functions are asyncio's own code, or look names up where that would.
"""

from __future__ import annotations

from types import CellType, FunctionType

from ._graft_inner import inner_function

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from asyncio import Future, TimerHandle, futures
    from typing import Any


def expose(
    wait: FunctionType,
    waiter: Future[Any],
    return_when: str,
    timeout_handle: TimerHandle | None,
    counter: int,
    cur_task: object,
) -> FunctionType:
    """The function `_on_completion` of a call of `_wait()` that is under way."""
    cells = {
        "counter": CellType(counter),
        "cur_task": CellType(cur_task),
        "return_when": CellType(return_when),
        "timeout_handle": CellType(timeout_handle),
        "waiter": CellType(waiter),
    }
    return inner_function(wait, "_on_completion", cells)


def leave(wait: FunctionType, fs: list[Future[Any]], on_completion: FunctionType, cur_task: object) -> None:
    """Have none of the futures call it any more."""
    knows_waiters = "cur_task" in wait.__code__.co_cellvars
    FunctionType((_leave_graph if knows_waiters else _leave).__code__, wait.__globals__)(fs, on_completion, cur_task)


def _leave(fs: list[Any], on_completion: object, cur_task: object) -> None:
    for f in fs:
        f.remove_done_callback(on_completion)


def _leave_graph(fs: list[Any], on_completion: object, cur_task: object) -> None:
    for f in fs:
        f.remove_done_callback(on_completion)
        futures.future_discard_from_awaited_by(f, cur_task)  # type: ignore[attr-defined, arg-type, unused-ignore]


def sort(
    wait: FunctionType, fs: list[Future[Any]], done: set[Future[Any]] | None, pending: set[Future[Any]] | None
) -> tuple[set[Future[Any]], set[Future[Any]]]:
    """Those who are done, and the others; with what was found of them before, if anything."""
    result: tuple[set[Future[Any]], set[Future[Any]]] = FunctionType(_sort.__code__, wait.__globals__)(
        fs, done, pending
    )
    return result


def _sort(fs: list[Any], done: Any, pending: Any) -> tuple[set[Any], set[Any]]:
    if done is None:
        done, pending = set(), set()
    for f in fs:
        if f.done():
            done.add(f)
        else:
            pending.add(f)
    return done, pending
