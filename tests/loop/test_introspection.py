"""What introspection says of our classes and objects: what it says of asyncio's, but for what is listed.

A table has the facets that differ, and why; `*` is a wildcard. A line that nothing differs by fails as well, so that no
line outlives its reason.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import pydoc
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

import rasyncio
from rasyncio import _asyncio
from support.facets import check, copies, differing, facets, of_attributes, told
from support.impls import MINOR, c_module
from support.loops import engine_for, run_fresh

OWN_WORDS = {"*docstring": "docstrings are our own words"}
SIGNED = {"__class_getitem__: *": "it has a signature, as from 3.13 on"} if MINOR < (3, 13) else {}
STATIC_TYPES = MINOR == (3, 11)  # those in C; ours are heap types on all versions
HEAP_TYPES = (
    {"*__module__ | *get_type_hints | *dir": "objects have __module__, as from 3.12 on"} if STATIC_TYPES else {}
)
UNKNOWN = {"iterator: pickle [01] | step: pickle [01]": "refused at once, not in the end"} if STATIC_TYPES else {}
MADE_BY_LOOKING = {"__annotations__"} | ({"__module__"} if STATIC_TYPES else set())


@pytest.fixture(scope="module", autouse=True)
def swapped() -> Iterator[None]:
    """Tasks and futures are ours, so that `asyncio.Task` is in annotations and specifications on both sides."""
    with engine_for("ours"):
        yield


@pytest.fixture
def loops() -> Iterator[tuple[Any, Any]]:
    """One of asyncio's, one of ours."""
    both = asyncio.SelectorEventLoop(), rasyncio.EventLoop()
    yield both
    for loop in both:
        # Tasks that have not ended would tell of it when they die, in the middle of another test.
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def nothing() -> None:
    """What a task needs."""


def callback(*args: object) -> None:
    """What a handle needs."""


# --- the module `_asyncio`


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_class_of_the_module(name: str) -> None:
    stock, ours = getattr(c_module(), name), getattr(_asyncio, name)
    check(
        differing(facets(stock), facets(ours)) | of_attributes(stock, ours, dir(stock)),
        OWN_WORDS | SIGNED | HEAP_TYPES,
    )
    assert set(vars(ours)) - MADE_BY_LOOKING == set(vars(stock)) - MADE_BY_LOOKING


def documented(cls: Any) -> list[str]:
    """The headings and signatures that `help()` shows."""
    lines = pydoc.render_doc(cls, renderer=pydoc.plaintext).splitlines()
    names = ("class ", *vars(cls))
    return [line for line in lines if line.lstrip(" |").startswith(names) and line.rstrip().endswith((")", ":"))]


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_documentation_of_the_module(name: str) -> None:
    shown = documented(getattr(_asyncio, name))
    assert shown == documented(getattr(c_module(), name))
    assert any("set_result(self, result, /)" in line for line in shown)


def test_documentation_of_the_loop() -> None:
    shown = pydoc.render_doc(rasyncio.EventLoop, renderer=pydoc.plaintext)
    assert " call_soon(self, callback, *args, context=None)" in shown
    text = pydoc.render_doc(rasyncio.EventLoop.call_later, renderer=pydoc.plaintext)
    stock = pydoc.render_doc(asyncio.SelectorEventLoop.call_later, renderer=pydoc.plaintext)
    assert text == stock


def test_functions_of_the_module() -> None:
    stock = c_module()
    names = [name for name in dir(stock) if not name.startswith("__") and callable(getattr(stock, name))]
    assert set(names) <= set(dir(_asyncio))
    check(
        of_attributes(stock, _asyncio, set(names) - {"Future", "Task"}),
        OWN_WORDS | {"*: __self__": "each belongs to its module"},
    )


def futures(module: Any, loop: Any) -> dict[str, Any]:
    """Futures and tasks in all states, and what iterates over them and steps them."""
    done, cancelled, failed = (module.Future(loop=loop) for _ in range(3))
    done.set_result(1)
    cancelled.cancel()
    failed.set_exception(ValueError())
    failed.exception()
    pending = module.Future(loop=loop)
    task = module.Task(nothing(), loop=loop, name="a task")
    step = loop._ready[-1]._callback
    iterator = iter(pending)
    return {
        "pending": pending,
        "done": done,
        "cancelled": cancelled,
        "failed": failed,
        "task": task,
        "iterator": iterator,
        "step": step,
        "method": pending.result,
        "method of a task": task.cancel,
    }


def test_futures(loops: tuple[Any, Any]) -> None:
    """Futures, tasks, their iterators and steps, bound methods."""
    loop = loops[0]
    stock, ours = futures(c_module(), loop), futures(_asyncio, loop)
    found = {}
    for name, thing in stock.items():
        found |= differing(facets(thing) | copies(thing), facets(ours[name]) | copies(ours[name]), f"{name}: ")
        found |= of_attributes(type(thing), type(ours[name]), dir(thing) if name in ("iterator", "step") else ())
    check(found, OWN_WORDS | HEAP_TYPES | UNKNOWN)
    loop.run_until_complete(asyncio.gather(stock["task"], ours["task"]))


@pytest.mark.parametrize("what", ["Future", "Task", "future", "task"])
def test_specification_of_futures(loops: tuple[Any, Any], what: str) -> None:
    """`create_autospec` of a class and of an object."""
    loop = loops[0]

    def specification(module: Any) -> Any:
        if what in ("Future", "Task"):
            return getattr(module, what)
        return module.Future(loop=loop) if what == "future" else futures(module, loop)["task"]

    stock, ours = specification(c_module()), specification(_asyncio)
    theirs, mine = mock.create_autospec(stock), mock.create_autospec(ours)
    assert set(dir(mine)) - MADE_BY_LOOKING == set(dir(theirs)) - MADE_BY_LOOKING
    for name in ("cancel", "set_result", "add_done_callback"):
        good, bad = (told(functools.partial(getattr(made, name), *range(9))) for made in (theirs, mine))
        assert bad == good, name
    loop.run_until_complete(asyncio.sleep(0))


# --- the loop

PYTHON_HALF = " | ".join(
    f"{name}: *" for name, found in vars(rasyncio.EventLoop).items() if type(found) is types.FunctionType
)
LOOP_CLASS = {
    "__name__ | __qualname__ | __module__ | docstring | wraps": "it is a class of its own",
    "signature | getfullargspec | get_type_hints | partial | create_autospec": "the constructor has annotations",
    "getsource": "the source of its Python half",
    "dir": "what the two halves call of each other; attributes are slots of the class, not in the instance's dict",
}
LOOP_METHODS = {
    "*: type": "type() tells a function in Rust from one in Python; isinstance() and inspect do not",
    PYTHON_HALF: "methods of its Python half",
    "__delattr__: * | __setattr__: * | __new__: * | __subclasshook__: * | __init_subclass__: * | __weakref__: *": (
        "they name the class that they are of"
    ),
}


def test_loop_class() -> None:
    stock, ours = asyncio.SelectorEventLoop, rasyncio.EventLoop
    check(differing(facets(stock), facets(ours)), LOOP_CLASS)
    check(of_attributes(stock, ours, dir(stock)), LOOP_METHODS)
    assert set(dir(stock)) <= set(dir(ours))
    public = {name for name in dir(ours) if not name.startswith("_")} - set(dir(stock))
    assert public - {"slow_callback_duration"} == {"stats"}, "the former is an attribute of stock's instances"


def test_loop_object(loops: tuple[Any, Any]) -> None:
    """The bound methods."""
    stock, ours = loops
    assert set(dir(stock)) <= set(dir(ours))
    methods = [name for name in dir(stock) if callable(getattr(stock, name)) and not name.startswith("__")]
    assert {"call_soon", "create_task", "_run_once", "_add_reader"} <= set(methods)
    listed = {
        "*: __func__": "the function behind it is ours",
        PYTHON_HALF: "methods of its Python half",
    }
    check(of_attributes(stock, ours, methods), listed)


def test_copies_of_loops() -> None:
    """A copy of asyncio's shares its descriptors, and closes them when it is freed. Ours refuses."""
    code = """
    import os
    from support.facets import copies
    for name, said in copies(new_loop()).items():
        print(name, said.split(":")[0])
    os._exit(0)
    """
    stock, ours = (run_fresh(name, code, flags=("-Wignore",)).splitlines() for name in ("stock", "ours"))
    assert stock[0] == "copy Loop"
    assert [line.split()[-1] for line in ours] == ["TypeError"] * len(stock)


@pytest.mark.parametrize("of_a_class", [True, False])
@pytest.mark.parametrize("name", ["call_soon", "call_later", "create_task", "time", "_run_once", "_remove_reader"])
def test_patch_with_autospec(loops: tuple[Any, Any], name: str, of_a_class: bool) -> None:
    """On the class, where the function gets `self`, and on the object; what it was is there again after it."""

    def patched(loop: Any) -> list[object]:
        target = type(loop) if of_a_class else loop
        before = vars(target).get(name)
        count = len(inspect.signature(getattr(loop, name)).parameters)
        with mock.patch.object(target, name, autospec=True) as replacement:
            replacement.return_value = "replaced"
            method = getattr(loop, name)
            said = [told(functools.partial(method, *range(given))) for given in range(count + 2)]
            said += [told(lambda: inspect.signature(method)), told(lambda: method(nonsense=1))]
            said += [[argument is loop for argument in call.args] for call in replacement.mock_calls]
        assert vars(target).get(name) is before and getattr(loop, name).__func__.__name__ == name
        return said

    stock, ours = map(patched, loops)
    assert ours == stock and "replaced" in ours


@pytest.mark.parametrize("of_a_class", [True, False])
def test_specification_of_loops(loops: tuple[Any, Any], of_a_class: bool) -> None:
    for loop in loops:
        made = mock.create_autospec(type(loop) if of_a_class else loop, instance=of_a_class)
        made.call_soon(callback, 1)
        made.call_soon.assert_called_once_with(callback, 1)
        made.create_task("coro", name="name")
        for wrong in (made.call_soon, made.create_task, lambda made=made: made.time(1), lambda made=made: made.stop(1)):
            with pytest.raises(TypeError):
                wrong()
        assert isinstance(made.create_server, (mock.AsyncMock, types.FunctionType))
        assert not isinstance(made.call_soon, mock.AsyncMock)


# --- functions in Rust


def functions() -> list[str]:
    ours = vars(rasyncio.EventLoop)
    return sorted(name for name, found in ours.items() if type(found).__name__ == "native_function")


def test_all_methods_are_functions() -> None:
    """What is native and has a sibling in asyncio looks like that."""
    stock = {
        name for name in dir(asyncio.SelectorEventLoop) if inspect.isfunction(getattr(asyncio.SelectorEventLoop, name))
    }
    assert not [
        name for name, found in vars(rasyncio.EventLoop).items() if inspect.ismethoddescriptor(found) and name in stock
    ]
    assert {"call_soon", "call_later", "create_task", "create_future", "time", "_run_once"} <= set(functions())


def test_function_can_be_copied_and_pickled() -> None:
    for name in functions():
        function = getattr(rasyncio.EventLoop, name)
        assert copy.copy(function) is copy.deepcopy(function) is pickle.loads(pickle.dumps(function)) is function


def test_attributes_of_a_function() -> None:
    """As of any function: of this one, not of asyncio's."""
    function: Any = rasyncio.EventLoop.call_soon
    stock: Any = asyncio.SelectorEventLoop.call_soon
    function.mark = "mine"
    try:
        assert function.mark == vars(function)["mark"] == "mine" and "mark" in dir(function)
        assert rasyncio.EventLoop.call_soon.mark == "mine" and not hasattr(stock, "mark")  # type: ignore[attr-defined]
    finally:
        del function.mark
    assert not hasattr(function, "mark") and dir(function) == dir(stock)
    assert {weakref.ref(function): function}[weakref.ref(function)] is function
    assert repr(function).startswith("<function BaseEventLoop.call_soon at 0x")
    assert function.__get__(None, rasyncio.EventLoop) is function and isinstance(function, types.FunctionType)
    with pytest.raises(TypeError, match="cannot create 'rasyncio._asyncio.native_function' instances"):
        type(function)()


@pytest.mark.parametrize("name", ["__code__", "__defaults__", "__kwdefaults__", "__class__", "__dict__"])
def test_what_a_function_refuses(name: str) -> None:
    """Nothing would come of it."""
    function: Any = rasyncio.EventLoop.call_soon
    text = rf"^{name} of a function in Rust cannot be changed: put another function in the place of <function BaseEv"
    with pytest.raises(AttributeError, match=text):
        setattr(function, name, getattr(function, name))
    with pytest.raises(AttributeError, match=text):
        delattr(function, name)


Call = Callable[[Any, Any], object]
CALLS: list[Call] = [
    lambda cls, loop: cls.time(),
    lambda cls, loop: cls.time(loop, 1),
    lambda cls, loop: cls.time(loop, what=1),
    lambda cls, loop: cls.time(self=loop) > 0,
    lambda cls, loop: cls.call_soon(),
    lambda cls, loop: cls.call_soon(loop),
    lambda cls, loop: cls.call_soon(self=loop, callback=callback).cancel(),
    lambda cls, loop: cls.call_soon(1, callback),
    lambda cls, loop: cls.call_soon(loop=loop, callback=callback),
    lambda cls, loop: loop.call_soon(callback=callback, context=None).cancel(),
    lambda cls, loop: loop.call_later(),
    lambda cls, loop: loop.call_later(delay=1),
    lambda cls, loop: loop.call_later(1, delay=1),
    lambda cls, loop: loop._remove_reader(fd=0),
    lambda cls, loop: loop._remove_reader(0),
    lambda cls, loop: loop._remove_reader(),
    lambda cls, loop: loop._remove_reader(0, fd=0),
    lambda cls, loop: loop._remove_reader(fe=0),
    lambda cls, loop: loop._remove_reader(0, 1),
    lambda cls, loop: cls._remove_reader(fd=0),
    lambda cls, loop: loop._add_callback(handle=loop.call_later(0, callback)),
    lambda cls, loop: loop.create_task(),
    lambda cls, loop: loop.get_debug(1),
    lambda cls, loop: loop.is_closed(*()),
    lambda cls, loop: functools.partial(cls.is_running, loop)(),
    lambda cls, loop: types.MethodType(cls.is_running, loop)(),
    lambda cls, loop: cls.is_running.__call__(loop),
    lambda cls, loop: cls.is_running.__get__(loop, cls)(),
    lambda cls, loop: list(map(cls.is_running, [loop, loop])),
]


@pytest.mark.parametrize("index", range(len(CALLS)))
def test_calls(loops: tuple[Any, Any], index: int) -> None:
    """Right and wrong ones, by class and by object."""
    stock, ours = (told(lambda loop=loop: CALLS[index](type(loop), loop)) for loop in loops)
    assert ours == stock


def test_another_object_as_self() -> None:
    """The function does what asyncio's does, with whatever has what that one asks for."""
    stock = asyncio.SelectorEventLoop()
    said: list[object] = []
    handle = rasyncio.EventLoop.call_soon(stock, said.append, 1)  # type: ignore[arg-type]
    assert type(handle) is asyncio.Handle
    stock._run_once()  # type: ignore[attr-defined]
    assert said == [1]
    assert rasyncio.EventLoop.is_closed(mock.Mock(_closed="what it has")) == "what it has"
    stock.close()


def test_subclass_has_the_functions(loops: tuple[Any, Any]) -> None:
    class Mine(rasyncio.EventLoop):
        def call_soon(self, *args: Any, **keywords: Any) -> Any:
            calls.append(args[0])
            return super().call_soon(*args, **keywords)

    calls: list[object] = []
    loop = Mine()
    assert loop.run_until_complete(asyncio.sleep(0, "done")) == "done" and calls
    assert inspect.signature(loop.call_later) == inspect.signature(loops[0].call_later)
    loop.close()


# --- handles

HANDLES: dict[str, Callable[[Any], Any]] = {
    "call_soon": lambda loop: loop.call_soon(callback, 1),
    "without arguments": lambda loop: loop.call_soon(callback),
    "call_later": lambda loop: loop.call_later(1000, callback, 1),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(callback, 1),
    "cancelled": lambda loop: cancelled(loop.call_soon(callback, 1)),
    "cancelled timer": lambda loop: cancelled(loop.call_later(1000, callback, 1)),
    "sleep": lambda loop: loop.call_later(1000, asyncio.futures._set_result_unless_cancelled, loop.create_future(), 1),  # type: ignore[attr-defined]
    "step": lambda loop: [loop.create_task(nothing()), loop._ready[-1]][1],
}
HANDLE_CLASS = {
    "*: type": "type() tells a function in Rust from one in Python; isinstance() and inspect do not",
    "_args: * | _callback: * | _context: * | _when: *": "computed when somebody looks",
    "__reduce_ex__: *": "copies what is computed",
}


def cancelled(handle: Any) -> Any:
    handle.cancel()
    return handle


@pytest.mark.parametrize("name", [name for name in HANDLES if name != "step"])  # there, stock's loop has ours as well
def test_handles(loops: tuple[Any, Any], name: str) -> None:
    stock, ours = (HANDLES[name](loop) for loop in loops)
    assert dir(ours) == dir(stock)
    check(differing(facets(stock), facets(ours)), {})
    classes = type(stock), type(ours)
    check(differing(*map(facets, classes)), {})
    check(of_attributes(*classes, dir(stock)), HANDLE_CLASS)
    assert issubclass(classes[1], classes[0]) and classes[1].__name__ == classes[0].__name__
    for loop in loops:
        loop._ready.clear()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of half a copy of a loop
@pytest.mark.parametrize("name", HANDLES)
def test_copies_of_handles(loops: tuple[Any, Any], name: str) -> None:
    """A copy is one of the same kind with the same attributes; deep copies and pickles are refused."""
    for loop in loops:
        handle = HANDLES[name](loop)
        made = copy.copy(handle)
        assert type(made) is type(handle) and made is not handle
        assert handle._callback is handle._callback
        slots = "_callback _args _cancelled _loop _source_traceback _repr _context _when _scheduled"
        for attribute in slots.split():
            assert getattr(made, attribute, "none") == getattr(handle, attribute, "none"), attribute
        assert (made == handle) is isinstance(handle, asyncio.TimerHandle) and repr(made) == repr(handle)
        assert {said.split(":")[0] for said in copies(handle).values()} <= {
            type(handle).__qualname__,
            "TypeError",
            "PicklingError",
            "AttributeError",
        }
        assert len([said for said in copies(handle).values() if "Error" in said]) == len(copies(handle)) - 1
        for task in asyncio.all_tasks(loop):
            loop.run_until_complete(task)


def test_copy_of_a_handle_runs(loops: tuple[Any, Any]) -> None:
    said: list[object] = []
    for loop in loops:
        handle = loop.call_soon(said.append, loop)
        loop._ready.append(copy.copy(handle))
        handle.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert said == list(loops)


def test_handles_can_be_made(loops: tuple[Any, Any]) -> None:
    """By calling the class of one, as tests of libraries do."""
    for loop in loops:
        said: list[object] = []
        for make in (loop.call_soon, functools.partial(loop.call_later, 1), loop.call_soon_threadsafe):
            handle = make(callback)
            timer = isinstance(handle, asyncio.TimerHandle)
            made = type(handle)(*[2.5][: int(timer)], said.append, (1,), loop)
            assert type(made) is type(handle) and made._args == (1,) and not made.cancelled()
            made._run()
            made.cancel()
            assert made.cancelled() and made._args is None and said == [1]
            assert not timer or made.when() == 2.5
            said.clear()
            empty = type(handle).__new__(type(handle))
            with pytest.raises(AttributeError):
                repr(empty)
            del empty
