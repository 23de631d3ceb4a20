"""What does the body of a function of asyncio's look up, and is that as asyncio made it?

Native code asks when a grafted function is called first, and again when something of what it was told has changed and
the answer had been no. All that the code mentions by name is looked up where the body would: in the function's module,
in the modules that are found there, in the classes whose objects it works on. What is found of asyncio's functions
is followed in the same way, for native code passes them over; each must be one whose code is known.
"""

from __future__ import annotations

import builtins
import sys
from enum import EnumType
from types import CodeType, FunctionType, ModuleType

from ._graft import find, modules
from ._graft_digest import digest, name_of, names_in

if sys.version_info >= (3, 16):
    KNOWN: dict[str, str] = {}
elif sys.version_info >= (3, 15):
    from ._graft_known.v3_15 import KNOWN
elif sys.version_info >= (3, 14):
    from ._graft_known.v3_14 import KNOWN
elif sys.version_info >= (3, 13):
    from ._graft_known.v3_13 import KNOWN
else:
    from ._graft_known.v3_12 import KNOWN

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from dis import Instruction
    from typing import Any

    #: A dict or a class, a name (None: its __mro__), whether it is there, and what it is.
    _Reliance = tuple[object, str | None, bool, object]

# What runs when an object is made or dies: nothing that is passed over, unless the code itself calls the class.
_OF_LIFE = frozenset({"__new__", "__init__", "__del__"})
# What the interpreter looks up in a class of its own accord.
_IMPLIED = frozenset(
    _OF_LIFE
    | {"__getattribute__", "__getattr__", "__setattr__", "__delattr__"}
    | {"__class__", "__bool__", "__len__", "__eq__", "__hash__", "__iter__", "__await__"}
)
_MISSING = object()
# Whose classes are known as well: what asyncio chains its futures to.
_CHAINED = frozenset({"concurrent.futures._base"})


def look(
    module: str, path: str, classes: list[str], calls_all: bool
) -> tuple[str | None, list[_Reliance], list[FunctionType]]:
    """Why native code may not stand in for the function (None: it may), what that relies on, and which functions.

    Native code that `calls_all` that the body calls relies on no other function.
    """
    looker = _Looker(calls_all)
    function = find(module, path)
    if function is None:
        return f"{path} is no Python function any more", list(looker.reliances.values()), []
    owner, _, name = path.rpartition(".")
    try:
        known = [looker.named(f"{module}:{owner}")] if owner else []
        known += [looker.named(each) for each in classes]
    except LookupError as error:
        return str(error), list(looker.reliances.values()), []
    if owner:
        looker.note_member(known[0], name)
    else:
        looker.note(vars(modules[module]), name)
    looker.follow(function, tuple(known))
    return looker.reason, list(looker.reliances.values()), list(looker.functions)


class _Looker:
    def __init__(self, calls_all: bool) -> None:
        self._calls_all = calls_all
        self.reason: str | None = None
        self.reliances: dict[tuple[int, str | None], _Reliance] = {}
        self.functions: dict[FunctionType, None] = {}
        self._seen: set[tuple[object, tuple[type, ...]]] = set()
        self._known = KNOWN

    def named(self, name: str) -> type:
        """A class of asyncio's by `module:name`."""
        module, _, attribute = name.partition(":")
        names = vars(modules[module])
        cls = names.get(attribute)
        self.note(names, attribute)
        if not isinstance(cls, type) or cls.__module__ != module or cls.__qualname__ != attribute:
            raise LookupError(f"{module}.{attribute} was replaced")
        return cls

    def note(self, names: dict[str, Any], name: str) -> object:
        value = names.get(name, _MISSING)
        self.reliances[id(names), name] = (names, name, value is not _MISSING, None if value is _MISSING else value)
        return value

    def note_member(self, cls: type, name: str) -> tuple[type | None, object]:
        """What looking the name up in a class finds, and in which base; and that nothing is found before."""
        self.reliances[id(cls), None] = (cls, None, True, cls.__mro__)
        for base in cls.__mro__:
            if base is object:
                break
            value = vars(base).get(name, _MISSING)
            self.reliances[id(base), name] = (base, name, value is not _MISSING, None if value is _MISSING else value)
            if value is not _MISSING:
                return base, value
        return None, _MISSING

    def follow(self, function: FunctionType, classes: tuple[type, ...]) -> None:
        """Note what the function's body looks up."""
        if (function, classes) in self._seen:
            return
        self._seen.add((function, classes))
        self.functions[function] = None
        self._must_be_known(function)
        keywords = function.__kwdefaults__ or {}  # a dict that can be changed in place
        for keyword in keywords:
            self.note(keywords, keyword)
        names = names_in(function.__code__)
        for each in names:
            self._look_up(function, each, names)
        for cls in () if self._calls_all else classes:
            self._follow_class(cls, names, classes, is_called=False)

    def _must_be_known(self, function: FunctionType) -> None:
        name = name_of(function)
        if digest(function) not in self._known.get(name, "").split():
            self.reason = self.reason or f"the code of {name} is not known: another release, or changed"

    def _look_up(self, function: FunctionType, name: str, names: set[str]) -> None:
        value = self.note(function.__globals__, name)
        if value is _MISSING:
            if name in vars(builtins):
                self.note(vars(builtins), name)
        elif isinstance(value, ModuleType):
            for attribute in names & vars(value).keys():
                found = self.note(vars(value), attribute)
                self._follow_value(found, names)
                for inner in names & vars(found).keys() if isinstance(found, ModuleType) else ():
                    self.note(vars(found), inner)
        else:
            self._follow_value(value, names)

    def _follow_value(self, value: object, names: set[str]) -> None:
        if isinstance(value, FunctionType):
            if _is_asyncios(value.__globals__.get("__name__")):
                self.follow(value, ())
        elif isinstance(value, EnumType) and _is_asyncios(value.__module__):
            for name in names:
                self.note_member(value, name)
        elif isinstance(value, type) and _is_asyncios(value.__module__):
            self._follow_class(value, names, (value,), is_called=True)

    def _follow_class(self, cls: type, names: set[str], classes: tuple[type, ...], *, is_called: bool) -> None:
        for name in names | _IMPLIED:
            base, found = self.note_member(cls, name)
            if base is None or not (_is_asyncios(base.__module__) or base.__module__ in _CHAINED) or found is None:
                continue
            for attribute in ("__func__", "fget"):
                found = getattr(found, attribute, found)
            if isinstance(found, FunctionType) and name_of(found) == _name_in(base, name):
                if name in _OF_LIFE and (name == "__del__" or not is_called) and name not in names:
                    self._must_be_known(found)
                else:
                    self.follow(found, classes)
            elif not (isinstance(found, (type, type(vars)))):
                self.reason = self.reason or f"{name} of {base.__module__}.{base.__qualname__} was replaced"


def _name_in(cls: type, name: str) -> str:
    """What a function was defined as that the class has by this name: a private one, without the class's."""
    private = name.removeprefix(f"_{cls.__name__.lstrip('_')}")
    return f"{cls.__module__}.{cls.__qualname__}.{private if private.startswith('__') else name}"


def _is_asyncios(module: object) -> bool:
    return isinstance(module, str) and module.startswith("asyncio.")


def places(code: CodeType, names: list[str]) -> list[tuple[int, int]]:
    """Instruction (in bytes) and line of the last call of each function of these names, then of each `await`.

    A name that comes again stands for the call before; `raise` and `while` for such a statement, of an exception and
    of something that is true or not. Of a name after `^` it is the first call. A name that ends with `+` is loaded
    before an argument that is another call.
    """
    from dis import get_instructions

    instructions = list(get_instructions(code))
    lines = {2 * place: line for place, (line, *_) in enumerate(code.co_positions())}
    found = [_call_of(name, instructions, names[:place].count(name)) for place, name in enumerate(names)]
    for place, instruction in enumerate(instructions):
        if instruction.opname == "SEND":
            found.append(next(each.offset for each in instructions[place:] if each.opname == "YIELD_VALUE"))
    return [(offset, lines.get(offset) or code.co_firstlineno) for offset in found]


def _call_of(name: str, instructions: list[Instruction], earlier: int) -> int:
    if name == "raise":
        return next((each.offset for each in reversed(instructions) if each.opname == "RAISE_VARARGS" and each.arg), -1)
    if name == "while":
        decides = ("TO_BOOL", "POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE")
        return next((each.offset for each in instructions if each.opname in decides), -1)
    wanted = name.strip("^+")
    loads = [
        place for place, each in enumerate(instructions) if each.opname.startswith("LOAD_") and each.argval == wanted
    ]
    if name.startswith("^"):
        loads = loads[:1]
    after = instructions[loads[-1 - earlier] :] if len(loads) > earlier else []
    calls = [each.offset for each in after if each.opname in {"CALL", "CALL_KW", "CALL_FUNCTION_EX"}]
    return next(iter(calls[name.endswith("+") :]), -1)
