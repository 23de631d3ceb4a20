"""What introspection says of an object, as texts that can be compared: of one of asyncio's and of one of ours."""

from __future__ import annotations

import collections.abc
import copy
import fnmatch
import functools
import inspect
import pickle
import re
import typing
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from unittest import mock

NAMES = ("__name__", "__qualname__", "__module__", "__text_signature__", "__self__", "__func__")
PREDICATES = sorted(name for name in dir(inspect) if name.startswith("is") and callable(getattr(inspect, name)))
ABSTRACT = sorted(collections.abc.__all__)

#: By facet, what asyncio's says and what ours says.
Differences = dict[str, tuple[str, str]]


def told(ask: Callable[[], object]) -> str:
    """The answer's repr or the error's text, without addresses and the loop classes' names."""
    try:
        answer = ask()
        text = answer if isinstance(answer, str) else repr(answer)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
    text = re.sub(r"0x[0-9a-f]+|id='\d+'", "...", text)
    return re.sub(r"\b_UnixSelectorEventLoop\b|\bEventLoop\b", "Loop", text)


def facets(thing: Any) -> dict[str, str]:
    """What can be asked of an object without calling it."""
    asked: dict[str, Callable[[], object]] = {name: functools.partial(getattr, thing, name) for name in NAMES}
    asked |= {
        "type": lambda: type(thing).__qualname__,
        "docstring": lambda: getattr(thing, "__doc__", None),
        "signature": lambda: inspect.signature(thing),
        "getfullargspec": lambda: inspect.getfullargspec(thing),
        "get_type_hints": lambda: typing.get_type_hints(thing),
        "getsource": lambda: inspect.getsource(thing),
        # which asking for annotations may make
        "dir": lambda: [name for name in dir(thing) if name != "__annotations__"],
        "callable": lambda: callable(thing),
        "hashable": lambda: hash(thing) and True,
        "weak reference": lambda: weakref.ref(thing)() is not None,
        "abstract classes": lambda: [name for name in ABSTRACT if isinstance(thing, getattr(collections.abc, name))],
    }
    asked |= {name: functools.partial(getattr(inspect, name), thing) for name in PREDICATES}
    if callable(thing):
        asked |= {"partial": lambda: inspect.signature(functools.partial(thing)), "wraps": lambda: _wrapped(thing)}
        asked["create_autospec"] = lambda: _specified(thing)
    itself = told(lambda: thing)
    return {name: told(ask).replace(itself, "it") for name, ask in asked.items()}


def _wrapped(thing: Any) -> object:
    made = functools.wraps(thing)(lambda *args: args)
    taken = sorted(vars(made)) if not isinstance(thing, type) else ()
    return made.__name__, made.__qualname__, made.__module__, inspect.signature(made), taken


def _specified(thing: Any) -> object:
    made = mock.create_autospec(thing)
    if inspect.iscoroutinefunction(thing):
        return type(made).__name__, inspect.signature(made)
    return type(made).__name__, inspect.signature(made), told(lambda: made(*range(50), nonsense=1))


def copies(thing: Any) -> dict[str, str]:
    """What copying and pickling say: the type of the copy, or the error."""
    asked: dict[str, Callable[[], object]] = {
        "copy": lambda: type(copy.copy(thing)).__qualname__,
        "deepcopy": lambda: type(copy.deepcopy(thing)).__qualname__,
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        asked[f"pickle {protocol}"] = functools.partial(pickle.dumps, thing, protocol)
    return {name: told(ask) for name, ask in asked.items()}


def differing(stock: Mapping[str, str], ours: Mapping[str, str], prefix: str = "") -> Differences:
    """The facets that are not equal."""
    return {prefix + name: (stock[name], ours[name]) for name in stock if stock[name] != ours[name]}


def of_attributes(stock: Any, ours: Any, names: Iterable[str]) -> Differences:
    """The same of attributes, as `attribute: facet`. What is the very same object or plain data is not looked at."""
    found: Differences = {}
    for name in sorted(set(names) - {"__class__", "__dict__", "__doc__"}):
        theirs, mine = getattr(stock, name, None), getattr(ours, name, None)
        if theirs is not mine and not isinstance(theirs, (str, int, tuple, dict)):
            found |= differing(facets(theirs), facets(mine), f"{name}: ")
    return found


def check(found: Differences, listed: Mapping[str, str]) -> None:
    """Assert that exactly the listed facets differ. A line has wildcards, and tells the reason."""

    def is_listed(facet: str, line: str) -> bool:
        return any(fnmatch.fnmatchcase(facet, each) for each in line.split(" | "))

    unlisted = {facet: both for facet, both in found.items() if not any(is_listed(facet, line) for line in listed)}
    assert not unlisted, "\n".join(f"{facet}\n  {both[0]}\n  {both[1]}" for facet, both in unlisted.items())
    idle = [line for line in listed if not any(is_listed(facet, line) for facet in found)]
    assert not idle, f"these do not differ: {idle}"
