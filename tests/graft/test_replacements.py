"""Whatever a function's body looks up can be replaced, and the replacement is used.

A sweep: for each name that the code of a grafted function, or of a function that this one calls, mentions, that name is
replaced in the function's module, in the modules that are found there, in the classes it works on, and in the builtins;
then the construct's program runs, with asyncio's bodies and grafted. Both must use the replacement as often.
"""

from __future__ import annotations

import asyncio
import builtins
import gc
import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import pytest

import rasyncio
from graft.constructs import USES, run
from graft.notes import Notes
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: Replacing these in the builtins would replace them for pytest and for the program as well.
#: Without the real CancelledError a lock (a semaphore, a condition) of asyncio's own loses a wake-up, as does a queue
#: without the real ValueError, and its program never ends.
NEVER_ENDS = {
    ("lock", "exceptions"),
    ("lock", "CancelledError"),
    ("semaphore", "CancelledError"),
    ("condition", "CancelledError"),
    ("queue", "ValueError"),
}
#: A class of C's, in which nothing can be replaced.
IMMUTABLE = 1 << 8
# Imports need a KeyError.
LEFT_ALONE = {"super", "BaseException", "KeyError", "isinstance", "len", "type", "repr", "print", "__build_class__"}


def names_in(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(names_in, inner))


def places() -> Iterator[tuple[str, Any, str]]:
    """`(program, owner, name)` of all that can be replaced: in a dict, or in a class."""
    seen = set()
    for module, path in [name.rpartition(".")[::2] for name in ()] or _graft._asyncio._grafts():
        function = _graft.find(module, path)
        assert function is not None
        program = USES[f"{module}.{path}"]
        owner = path.rpartition(".")[0]
        cls = vars(sys.modules[module])[owner] if owner else None
        todo = [(function, cls)]
        while todo:
            function, cls = todo.pop()
            for place, found in of_function(function, cls):
                key = program, id(place[0]), place[1]
                if key in seen or (program, place[1]) in NEVER_ENDS:
                    continue
                seen.add(key)
                yield program, *place
                if isinstance(found, FunctionType) and found.__globals__["__name__"].startswith("asyncio."):
                    todo.append((found, cls if isinstance(place[0], type) else None))


def of_function(function: FunctionType, cls: type | None) -> Iterator[tuple[tuple[Any, str], Any]]:
    names = names_in(function.__code__)
    for name in sorted(names):
        found = function.__globals__.get(name)
        if found is None:
            if name in vars(builtins) and name not in LEFT_ALONE:
                yield (vars(builtins), name), vars(builtins)[name]
            continue
        yield (function.__globals__, name), found
        if isinstance(found, ModuleType) and found is not sys:
            for inner in sorted(names & vars(found).keys()):
                yield (vars(found), inner), vars(found)[inner]
    for base in cls.__mro__[:-1] if cls else ():
        if base.__flags__ & IMMUTABLE:
            continue
        for name in sorted(names & vars(base).keys()):
            yield (base, name), vars(base)[name]


SWEEP = list(places()) if sys.version_info >= (3, 12) else []


#: The programs that have run once: what that imports and caches is no use of what is replaced.
WARM: set[str] = set()


def label(place: tuple[str, Any, str]) -> str:
    program, owner, name = place
    where = owner.__qualname__ if isinstance(owner, type) else owner.get("__name__", "?")
    return f"{program}-{where}-{name}"


def replacement(value: Any, uses: list[str], name: str) -> Any:
    """Something that does what the value does, and notes that it is used."""
    if isinstance(value, type) and issubclass(value, BaseException):
        return type(value.__name__, (value,), {"__init__": noting(value.__init__, uses, name)})
    if isinstance(value, ModuleType):

        class Replaced(ModuleType):
            def __getattr__(self, attribute: str) -> Any:
                uses.append(f"{name}.{attribute}")
                return getattr(value, attribute)

        return Replaced(value.__name__)
    if isinstance(value, (FunctionType, BuiltinFunctionType)) or callable(value):
        return noting(value, uses, name)
    return value


def noting(function: Any, uses: list[str], name: str) -> Any:
    def replaced(*arguments: Any, **keywords: Any) -> Any:
        # What rasyncio itself looks at, and when, is its own affair. (What a step does natively is called by the loop.)
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller == "rasyncio._loop" or not caller.startswith("rasyncio."):
            uses.append(name)
        return function(*arguments, **keywords)

    return replaced


def put(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, type):
        setattr(owner, name, value)
    else:
        owner[name] = value


def observe(program: str, uses: list[str]) -> tuple[Notes | str, list[str]]:
    gc.collect()  # what earlier runs have left, such as a loop, uses things when it dies
    gc.disable()
    uses.clear()
    try:
        notes: Notes | str = run(program)
    except Exception as error:  # what cannot be replaced fails in the same way
        notes = type(error).__name__
    finally:
        gc.enable()
    return notes, list(uses)


@pytest.mark.parametrize("place", SWEEP, ids=map(label, SWEEP))
def test_replaced(installed: None, place: tuple[str, Any, str]) -> None:
    program, owner, name = place
    value = vars(owner)[name] if isinstance(owner, type) else owner[name]
    uses: list[str] = []
    if program not in WARM:
        run(program)
        _graft.attach(True)
        run(program)
        _graft.detach()
        WARM.add(program)
    put(owner, name, replacement(value, uses, name))
    try:
        in_python = observe(program, uses)
        _graft.attach(True)
        grafted = observe(program, uses)
    finally:
        put(owner, name, value)
    if isinstance(value, type):
        _graft.attach(True)  # functions of a class that was not there
    assert grafted[1] == in_python[1]
    assert without_lines(grafted[0]) == without_lines(in_python[0])
    assert rasyncio.grafted().off == {}, "put back, it is on again"


def without_lines(notes: Any) -> Any:
    """An exception's traceback goes through the replacement, whose frames are there in both."""
    return notes


@pytest.mark.parametrize("name", sorted(USES))
@pytest.mark.parametrize("what", ["__code__", "__defaults__", "__kwdefaults__"])
def test_function_that_is_changed(grafted: None, name: str, what: str) -> None:
    place = next(i for i, found in enumerate(_graft._asyncio._grafts()) if ".".join(found) == name)
    function: Any = _graft.find(*_graft._asyncio._grafts()[place])
    assert _graft._asyncio._graft_standing(place) is None
    before = getattr(function, what)
    changed = before.replace(co_firstlineno=1) if what == "__code__" else ((1,) if what == "__defaults__" else {"x": 1})
    setattr(function, what, changed)
    try:
        assert _graft._asyncio._graft_standing(place) is not None
    finally:
        setattr(function, what, before)
    assert _graft._asyncio._graft_standing(place) is None


def test_keyword_defaults_changed_in_place(grafted: None) -> None:
    async def fails() -> None:
        raise ValueError("kept")

    async def main() -> list[Any]:
        return await asyncio.gather(fails())

    defaults: Any = asyncio.gather.__kwdefaults__
    with pytest.raises(ValueError, match="kept"):
        asyncio.run(main())
    defaults["return_exceptions"] = True
    try:
        assert str(asyncio.run(main())[0]) == "kept"
    finally:
        defaults["return_exceptions"] = False


METHODS: list[tuple[Callable[[], Any], str]] = [
    (asyncio.Event, "_get_loop"),
    (asyncio.Lock, "_get_loop"),
    (asyncio.Lock, "_wake_up_first"),
    (asyncio.Lock, "acquire"),
    (asyncio.Lock, "release"),
]


@pytest.mark.parametrize(("make", "name"), METHODS, ids=[f"{make.__name__}-{name}" for make, name in METHODS])
@pytest.mark.parametrize("early", [True, False])
def test_method_of_an_instance(either: bool, make: Callable[[], Any], name: str, early: bool) -> None:
    uses: list[str] = []

    async def main() -> int:
        thing, other = make(), make()
        if not early and isinstance(thing, asyncio.Event):
            await asyncio.wait([asyncio.create_task(thing.wait())], timeout=0)
        setattr(thing, name, noting(getattr(thing, name), uses, name))
        if isinstance(thing, asyncio.Event):
            asyncio.get_running_loop().call_soon(thing.set)
            await thing.wait()
            asyncio.get_running_loop().call_soon(other.set)
            await other.wait()
        else:
            for lock in (thing, other):
                async with lock:
                    task = asyncio.create_task(lock.acquire())
                    await asyncio.sleep(0)
                await task
        return len(uses)

    expected = {
        "Event-_get_loop": 1,
        "Lock-_get_loop": 1,
        "Lock-_wake_up_first": 1,
        "Lock-acquire": 2,
        "Lock-release": 1,
    }
    assert asyncio.run(main()) == expected[f"{make.__name__}-{name}"]  # type: ignore[attr-defined]


OF_SEMAPHORES = ("_get_loop", "_wake_up_next", "acquire", "release", "locked")
OF_CONDITIONS = ("_get_loop", "_notify", "acquire", "locked", "notify", "release", "wait")
OTHER_METHODS: list[tuple[Callable[[], Any], str]] = [
    *((make, name) for make in (asyncio.Semaphore, asyncio.BoundedSemaphore) for name in OF_SEMAPHORES),
    *((asyncio.Condition, name) for name in OF_CONDITIONS if hasattr(asyncio.Condition(), name)),
]


@pytest.mark.parametrize(
    ("make", "name"), OTHER_METHODS, ids=[f"{make.__name__}-{name}" for make, name in OTHER_METHODS]
)
@pytest.mark.parametrize("early", [True, False])
def test_method_of_an_instance_is_called_as_often(
    installed: None, make: Callable[[], Any], name: str, early: bool
) -> None:
    async def main(uses: list[str]) -> None:
        thing, done = make(), asyncio.Event()

        async def uses_it() -> None:
            async with thing:
                if isinstance(thing, asyncio.Condition):
                    await thing.wait_for(done.is_set)
                else:
                    await asyncio.sleep(0)

        def replace() -> None:
            setattr(thing, name, noting(getattr(thing, name), uses, name))

        if early:
            replace()
        tasks = [asyncio.create_task(uses_it()) for _ in range(3)]
        await asyncio.sleep(0)
        if not early:
            replace()
        await asyncio.sleep(0)
        tasks[1].cancel()
        if isinstance(thing, asyncio.Condition):
            async with thing:
                thing.notify()
            async with thing:
                done.set()
                thing.notify_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    found = []
    for wanted in (False, True):
        _graft.attach(wanted)
        uses: list[str] = []
        asyncio.run(main(uses))
        found.append(uses)
    assert found[1] == found[0]
    assert found[0] or not early, "this one is not used later on"
