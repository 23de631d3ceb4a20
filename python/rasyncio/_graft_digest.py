"""The digest of a function: what it does, without its docstring, its line numbers and where its file is.

Part of it is what the names in its code stand for, in its module, in the modules that are found there, and in the
builtins: a module, a function, a class of a certain name. So a name that a program has replaced is found out.

Two releases whose function does the same have the same digest, unless their compilers make something else of it. It is
the same in a debug build. tools/known-functions writes down those of asyncio's functions, `_graft_known`.
"""

from __future__ import annotations

import _imp
import builtins
import sys
from types import CodeType, FunctionType, ModuleType

_modules = sys.modules  # others may replace sys.modules for a while

# Says that the first constant is a docstring (3.14 on); before, it is one if it is a string.
_HAS_DOCSTRING = 0x4000000
_PLAIN = (type(None), bool, int, float, str, bytes, type(...))


def digest(function: FunctionType) -> str:
    """Sixteen hexadecimal digits."""
    defaults = [_plain(value) for value in function.__defaults__ or ()]
    keywords = [(name, _plain(value)) for name, value in (function.__kwdefaults__ or {}).items()]
    text = repr((_of_code(function.__code__), defaults, keywords, _of_names(function)))
    return _imp.source_hash(0, text.encode("utf-8", "surrogatepass")).hex()


def name_of(function: FunctionType) -> str:
    """The name that the function was defined by: its module's and its own."""
    return f"{function.__globals__.get('__name__')}.{function.__code__.co_qualname}"


def names_in(code: CodeType) -> set[str]:
    """The names in a code object and in those inside of it: of globals, of attributes."""
    inner = [names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def _of_names(function: FunctionType) -> list[tuple[str, str]]:
    names = names_in(function.__code__)
    found: list[tuple[str, str]] = []
    for name in sorted(names):
        value: object = function.__globals__.get(name, found)
        if value is found:
            value = vars(builtins).get(name, found)
        if value is not found:
            found.append((name, _described(value)))
        if isinstance(value, ModuleType):
            found += [(f"{name}.{each}", _described(vars(value)[each])) for each in sorted(names & vars(value).keys())]
    return found


def _described(value: object) -> str:
    if isinstance(value, ModuleType):
        return f"module {value.__name__ if _modules.get(value.__name__) is value else 'that replaces it'}"
    if isinstance(value, FunctionType):
        return f"function {name_of(value)}"
    name = getattr(value, "__qualname__", None)
    module = getattr(value, "__module__", None)
    return f"{type(value).__name__} {module if name else ''} {name or ''}"


def _of_code(code: CodeType) -> tuple[object, ...]:
    constants = list(code.co_consts)
    if constants and (code.co_flags & _HAS_DOCSTRING or (sys.version_info < (3, 14) and isinstance(constants[0], str))):
        constants[0] = None
    return (
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_HAS_DOCSTRING),
        code.co_code,
        [_plain(value) for value in constants],
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        code.co_exceptiontable,
        code.co_qualname,
    )


def _plain(value: object) -> object:
    """Something whose repr is the same in each process."""
    if isinstance(value, CodeType):
        return _of_code(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, frozenset):
        return ["frozenset", *sorted(map(repr, value))]
    if isinstance(value, _PLAIN):
        return value
    return f"a {type(value).__qualname__}"
