"""A function inside of one of asyncio's, with cells for the variables of a call that is under way natively."""

from __future__ import annotations

from types import CellType, CodeType, FunctionType

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from collections.abc import Mapping


def codes(function: FunctionType) -> dict[str, CodeType]:
    """The code of each function inside of it, by name."""
    return {constant.co_name: constant for constant in function.__code__.co_consts if isinstance(constant, CodeType)}


def inner_function(
    function: FunctionType, name: str, cells: Mapping[str, CellType], defaults: tuple[object, ...] | None = None
) -> FunctionType:
    """The one of that name, which shares these variables."""
    code = codes(function)[name]
    closure = tuple(cells[each] for each in code.co_freevars)
    return FunctionType(code, function.__globals__, name, defaults, closure)
