"""The functions inside of asyncio's `shield`, for a program that looks at a future's callbacks.

Native code asks for them then, and where there is more to do than to hand over a result: functions of asyncio's own
code, with cells for the variables of the call.
"""

from __future__ import annotations

from types import CellType, FunctionType

from ._graft_inner import codes, inner_function

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from asyncio import Future
    from typing import Any

_NAMES = ("_inner_done_callback", "_outer_done_callback", "_clear_awaited_by_callback")


def expose(
    shield: FunctionType, inner: Future[Any], outer: Future[Any], cur_task: object
) -> tuple[FunctionType | None, ...]:
    """The callbacks of a call of shield() that is under way. (Up to 3.13 there are two.)"""
    cells = {name: CellType() for name in ("inner", "outer", "cur_task", *_NAMES)}
    cells["inner"].cell_contents, cells["outer"].cell_contents = inner, outer
    cells["cur_task"].cell_contents = cur_task
    known = codes(shield)
    made: list[FunctionType | None] = []
    for name in _NAMES:
        function = None
        if name in known:
            function = cells[name].cell_contents = inner_function(shield, name, cells)
        made.append(function)
    return tuple(made)
