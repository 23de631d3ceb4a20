"""The places where the swap looks for objects: the names of modules, and what stands right there.

A place is a name in a module, an item of the tuple that such a name has (`isinstance(x, FUTURES)`), an attribute of a
class of that module, or a default argument of its functions and methods. To look at them runs no Python code of
anybody's: neither `==` nor an attribute, a lazy module or a proxy would wake up.

Not looked at: instances, closures, lists, sets and dicts, `functools.partial`, generic aliases, C variables, and what
no module has a name for. What is in there is somebody's state, or cannot be exchanged.
"""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Set
    from typing import Any, TypeAlias

    # Where it is; what is there, as `holds` describes it; `(put, target, name)`: put(target, name, value) exchanges it.
    _Place: TypeAlias = tuple[tuple[str, ...], object, tuple[Callable[[Any, Any, Any], None], object, str]]

_module_dict: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__
_class_dict: Callable[[type], Any] = vars(type)["__dict__"].__get__


def places(ids: Set[int], *passed_over: ModuleType) -> Iterator[_Place]:
    """Every place of the objects whose id is one of `ids`, but for this package's and those of some modules."""
    from . import _asyncio  # in a sub-interpreter it cannot be, and nobody looks

    wanted = list(ids)
    modules = [
        (name, _module_dict(module)) for name, module in list(sys.modules.items()) if _counts(name, module, passed_over)
    ]
    classes: list[tuple[tuple[str, str], type]] = []
    # Native code picks out what is worth a look: there are 60,000 names in a program of 800 modules.
    for number, name, value in _asyncio._lead_to(wanted, [namespace for _, namespace in modules]):
        module_name, namespace = modules[number]
        where, kind = (module_name, name), type(value)
        if holds(ids, value):
            yield where, value, (dict.__setitem__, namespace, name)
        elif kind is FunctionType:
            yield from _defaults(ids, where, value)
        elif issubclass(kind, type) and _is_class_of(module_name, value):
            classes.append((where, value))
    for number, name, value in _asyncio._lead_to(wanted, [_class_dict(cls).copy() for _, cls in classes]):
        of_class, cls = classes[number]
        place, kind = (*of_class, name), type(value)
        if holds(ids, value):
            yield place, value, (type.__setattr__, cls, name)
        elif kind is FunctionType:
            yield from _defaults(ids, place, value)
        elif kind is classmethod or kind is staticmethod:
            function = value.__func__
            if type(function) is FunctionType:
                yield from _defaults(ids, place, function)


def _counts(name: str, module: object, passed_over: tuple[ModuleType, ...]) -> bool:
    """Whether it is a module, none of this package's, and none of those."""
    if f"{name}.".startswith(f"{__package__}.") or any(module is one for one in passed_over):
        return False
    return issubclass(type(module), ModuleType)


def holds(ids: Set[int], value: object) -> bool:
    """Whether the value is one of the objects looked for, or a tuple with some of them."""
    return id(value) in ids or (type(value) is tuple and not ids.isdisjoint(map(id, value)))


def _is_class_of(module_name: str, cls: type) -> bool:
    home = _class_dict(cls).get("__module__")
    return type(home) is str and home == module_name


def _defaults(ids: Set[int], where: tuple[str, ...], function: FunctionType) -> Iterator[_Place]:
    defaults = function.__defaults__
    if defaults is not None and holds(ids, defaults):
        yield (*where, "__defaults__"), defaults, (setattr, function, "__defaults__")
    keywords = function.__kwdefaults__
    if keywords is not None:
        for name, value in list(keywords.items()):
            if id(value) in ids:
                yield (*where, "__kwdefaults__", name), value, (dict.__setitem__, keywords, name)
