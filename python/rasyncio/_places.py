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

_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8
_module_dict: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__
_class_dict: Callable[[type], Any] = vars(type)["__dict__"].__get__
_class_flags: Callable[[type], int] = vars(type)["__flags__"].__get__


def places(ids: Set[int], *passed_over: ModuleType) -> Iterator[_Place]:
    """Every place of the objects whose id is one of `ids`, but for this package's and those of some modules."""
    for module_name, module in list(sys.modules.items()):
        if f"{module_name}.".startswith(f"{__package__}.") or any(module is one for one in passed_over):
            continue
        if issubclass(type(module), ModuleType):
            namespace = _module_dict(module)
            for name, value in list(namespace.items()):
                kind = type(value)  # looked at here, too: there are 60,000 of them in a program of 800 modules
                if id(value) in ids or (kind is tuple and holds(ids, value)):
                    yield (module_name, name), value, (dict.__setitem__, namespace, name)
                elif kind is FunctionType:
                    if value.__defaults__ or value.__kwdefaults__:
                        yield from _defaults(ids, (module_name, name), value)
                elif (kind is type or issubclass(kind, type)) and _is_class_of(module_name, value):
                    yield from _attributes(ids, (module_name, name), value)


def holds(ids: Set[int], value: object) -> bool:
    """Whether the value is one of the objects looked for, or a tuple with some of them."""
    return id(value) in ids or (type(value) is tuple and not ids.isdisjoint(map(id, value)))


def _is_class_of(module_name: str, cls: type) -> bool:
    if _class_flags(cls) & (_HEAP_TYPE | _IMMUTABLE_TYPE) != _HEAP_TYPE:
        return False  # nor may it be looked into: a static type that nobody has made ready has no dictionary
    home = _class_dict(cls).get("__module__")
    return type(home) is str and home == module_name


def _attributes(ids: Set[int], where: tuple[str, ...], cls: type) -> Iterator[_Place]:
    for name, value in list(_class_dict(cls).items()):
        kind = type(value)
        if id(value) in ids or (kind is tuple and holds(ids, value)):
            yield (*where, name), value, (type.__setattr__, cls, name)
        elif kind is FunctionType:
            if value.__defaults__ or value.__kwdefaults__:
                yield from _defaults(ids, (*where, name), value)
        elif kind is classmethod or kind is staticmethod:
            function = value.__func__
            if type(function) is FunctionType:
                yield from _defaults(ids, (*where, name), function)


def _defaults(ids: Set[int], where: tuple[str, ...], function: FunctionType) -> Iterator[_Place]:
    defaults = function.__defaults__
    if defaults is not None and holds(ids, defaults):
        yield (*where, "__defaults__"), defaults, (setattr, function, "__defaults__")
    keywords = function.__kwdefaults__
    if keywords is not None:
        for name, value in list(keywords.items()):
            if id(value) in ids:
                yield (*where, "__kwdefaults__", name), value, (dict.__setitem__, keywords, name)
