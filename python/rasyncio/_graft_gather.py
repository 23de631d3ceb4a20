"""The function `_done_callback` inside of asyncio's `gather`, for a program that looks at a future's callbacks.

Native code asks for it then: a function of asyncio's own code, with cells for the variables of the call.
"""

from __future__ import annotations

from asyncio import exceptions
from types import CellType, FunctionType

from ._graft_inner import codes, inner_function

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from asyncio import Future
    from typing import Any


def expose(
    gather: FunctionType,
    children: list[Future[Any]] | None,
    outer: Future[Any] | None,
    nfuts: int,
    nfinished: int,
    return_exceptions: bool,
    cur_task: object,
) -> FunctionType:
    """The callback of a call of gather() that is under way."""
    cells = {
        "children": CellType(children),
        "outer": CellType(outer),
        "nfuts": CellType(nfuts),
        "nfinished": CellType(nfinished),
        "return_exceptions": CellType(return_exceptions),
    }
    knows_waiters = codes(gather)["_done_callback"].co_argcount > 1
    return inner_function(gather, "_done_callback", cells, (cur_task,) if knows_waiters else None)


def complete(callback: FunctionType, outer: Future[Any], nfuts: int, children: list[Future[Any]]) -> None:
    """Tell a callback that was made early what gather() has found out since."""
    for name, cell in zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True):
        if name == "outer":
            cell.cell_contents = outer
        elif name == "nfuts":
            cell.cell_contents = nfuts
        elif name == "children":
            cell.cell_contents = children


def result(child: Future[Any]) -> object:
    """What gather() returns of a child that is none of ours, or has attributes of its own."""
    if child.cancelled():
        message = child._cancel_message  # type: ignore[attr-defined]
        return exceptions.CancelledError("" if message is None else message)
    exception = child.exception()
    return child.result() if exception is None else exception
