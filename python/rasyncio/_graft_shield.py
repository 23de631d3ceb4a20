"""The functions inside of asyncio's `shield`, for a program that looks at a future's callbacks.

Native code asks for them then, and where there is more to do than to hand over a result: functions of asyncio's own
code, with cells for the variables of the call.
"""

from __future__ import annotations

from types import CellType, CodeType, FunctionType

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
    codes = {constant.co_name: constant for constant in shield.__code__.co_consts if isinstance(constant, CodeType)}
    made: list[FunctionType | None] = []
    for name in _NAMES:
        code, function = codes.get(name), None
        if code is not None:
            closure = tuple(cells[each] for each in code.co_freevars)
            function = cells[name].cell_contents = FunctionType(code, shield.__globals__, name, None, closure)
        made.append(function)
    return tuple(made)
