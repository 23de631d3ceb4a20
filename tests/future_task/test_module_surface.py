"""The names, signatures, types and flags of the module and its two classes."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import types
import weakref
from typing import Any

import pytest

from support.fakes import MockLoop
from support.impls import MINOR, Impl, c_module, outcome

FIRST = (3, 11)
LAST = (3, 15)

#: name -> (`__text_signature__`, first and last version that has it)
FUNCTIONS: dict[str, tuple[str, tuple[int, int], tuple[int, int]]] = {
    "get_event_loop": ("($module, /)", FIRST, LAST),
    "_get_event_loop": ("($module, /, stacklevel=3)", FIRST, (3, 11)),
    "get_running_loop": ("($module, /)", FIRST, LAST),
    "_get_running_loop": ("($module, /)", FIRST, LAST),
    "_set_running_loop": ("($module, loop, /)", FIRST, LAST),
    "_register_task": ("($module, /, task)", FIRST, LAST),
    "_unregister_task": ("($module, /, task)", FIRST, LAST),
    "_enter_task": ("($module, /, loop, task)", FIRST, LAST),
    "_leave_task": ("($module, /, loop, task)", FIRST, LAST),
    "_register_eager_task": ("($module, /, task)", (3, 12), LAST),
    "_unregister_eager_task": ("($module, /, task)", (3, 12), LAST),
    "_swap_current_task": ("($module, /, loop, task)", (3, 12), LAST),
    "current_task": ("($module, /, loop=None)", (3, 12), LAST),
    "all_tasks": ("($module, /, loop=None)", (3, 14), LAST),
    "future_add_to_awaited_by": ("($module, fut, waiter, /)", (3, 14), LAST),
    "future_discard_from_awaited_by": ("($module, fut, waiter, /)", (3, 14), LAST),
}

#: What rasyncio's transports and `sock_*` are made of.
OF_TRANSPORTS = {
    "SocketOperation",
    "_adopt_datagram_transport_class",
    "_adopt_read_pipe_class",
    "_adopt_tls_transport_class",
    "_adopt_transport_class",
    "_adopt_write_pipe_class",
    "_ask_about_tls",
    "_ask_about_transports",
    "_datagram_transport_core",
    "_does_not_block",
    "_know_files",
    "_know_openssl",
    "_know_sockets",
    "_note_habits",
    "_open_transport",
    "_pipe_descriptor",
    "_read_pipe_core",
    "_socket_transport_core",
    "_tls_transport_core",
    "_write_pipe_core",
}
#: What python/rasyncio/_graft.py is made of.
OF_GRAFTS = {
    "_graft_ask",
    "_graft_attach",
    "_graft_detach",
    "_graft_standing",
    "_graft_tools",
    "_grafts",
}

CONTAINERS: dict[str, tuple[type, tuple[int, int], tuple[int, int]]] = {
    "_all_tasks": (weakref.WeakSet, FIRST, (3, 11)),
    "_scheduled_tasks": (weakref.WeakSet, (3, 12), (3, 13)),
    "_eager_tasks": (set, (3, 12), (3, 13)),
    "_current_tasks": (dict, FIRST, (3, 13)),
}

FUTURE_METHODS = {
    "result": "($self, /)",
    "exception": "($self, /)",
    "set_result": "($self, result, /)",
    "set_exception": "($self, exception, /)",
    "add_done_callback": "($self, fn, /, *, context=<unrepresentable>)",
    "remove_done_callback": "($self, fn, /)",
    "cancel": "($self, /, msg=None)",
    "cancelled": "($self, /)",
    "done": "($self, /)",
    "get_loop": "($self, /)",
    "_make_cancelled_error": "($self, /)",
}
TASK_METHODS = {
    "set_result": "($self, result, /)",
    "set_exception": "($self, exception, /)",
    "cancel": "($self, /, msg=None)",
    "cancelling": "($self, /)",
    "uncancel": "($self, /)",
    "get_stack": "($self, /, *, limit=None)",
    "print_stack": "($self, /, *, limit=None, file=None)",
    "get_name": "($self, /)",
    "set_name": "($self, value, /)",
    "get_coro": "($self, /)",
    "_make_cancelled_error": "($self, /)",
} | ({"get_context": "($self, /)"} if MINOR >= (3, 12) else {})

FUTURE_ATTRIBUTES = {
    "_state",
    "_asyncio_future_blocking",
    "_loop",
    "_callbacks",
    "_result",
    "_exception",
    "_log_traceback",
    "_source_traceback",
    "_cancel_message",
} | ({"_asyncio_awaited_by"} if MINOR >= (3, 14) else set())
TASK_ATTRIBUTES = {"_log_destroy_pending", "_must_cancel", "_coro", "_fut_waiter"}
WRITABLE = {"_asyncio_future_blocking", "_log_traceback", "_cancel_message", "_log_destroy_pending"}


@pytest.fixture
def module(native: Impl) -> types.ModuleType:
    """The module that is in `_asyncio`'s place."""
    return sys.modules["_asyncio"]


def present(table: dict[str, Any]) -> list[str]:
    return [name for name, (_, first, last) in table.items() if first <= MINOR <= last]


def test_the_swap_reaches_the_module(native: Impl, module: types.ModuleType) -> None:
    assert module.Future is asyncio.Future and module.Task is asyncio.Task
    assert (module is c_module()) is (native.name == "c")


def test_names(module: types.ModuleType) -> None:
    expected = {"Future", "Task", *present(FUNCTIONS), *present(CONTAINERS)}
    if module is not c_module():
        # What rasyncio.EventLoop is made of.
        expected |= {"EventLoopCore", "_adopt_event_loop_class", "_ask_about_replacements", "_lead_to", "_passed_over"}
        expected |= {"_some_tasks", "_tell_of_loops", "_unwatch", "_watch", "_watching"}
        expected |= OF_GRAFTS if MINOR >= (3, 12) else set()
        expected |= OF_TRANSPORTS if sys.platform == "linux" else set()
    assert {name for name in vars(module) if not name.startswith("__")} == expected
    assert module.__doc__ == "Accelerator module for asyncio"


@pytest.mark.parametrize("function", present(FUNCTIONS))
def test_function(module: types.ModuleType, function: str) -> None:
    found = getattr(module, function)
    assert type(found) is types.BuiltinFunctionType, "a Python function would be bound as a class attribute"
    assert (found.__name__, found.__text_signature__) == (function, FUNCTIONS[function][0])
    assert found.__module__ == "_asyncio"
    assert found.__self__ is module or found.__self__.__name__ == "_asyncio"
    inspect.signature(found)


@pytest.mark.parametrize("function", present(FUNCTIONS))
def test_docstrings(module: types.ModuleType, function: str) -> None:
    """Whatever has a docstring in C has one in ours (some of the private functions have none)."""
    if getattr(c_module(), function).__doc__:
        assert getattr(module, function).__doc__


def test_containers(module: types.ModuleType) -> None:
    for container in present(CONTAINERS):
        found = getattr(module, container)
        kind = CONTAINERS[container][0]
        if kind is weakref.WeakSet:
            assert {"add", "discard", "__iter__", "__len__", "__contains__"} <= set(dir(found))
        else:
            assert type(found) is kind
        assert getattr(asyncio.tasks, container) is found


def test_aliases(module: types.ModuleType) -> None:
    """Every place where asyncio keeps what it took from the module."""
    for function in present(FUNCTIONS):
        expected = getattr(module, function)
        for home in (asyncio, asyncio.events, asyncio.futures, asyncio.tasks):
            # asyncio.tasks drops an underscore: `_c_enter_task`; asyncio.events does not: `_c__get_running_loop`
            for alias in (function, f"_c{function}" if home is asyncio.tasks else f"_c_{function}"):
                assert vars(home).get(alias, expected) is expected, f"{home.__name__}.{alias}"
    assert asyncio.futures._CFuture is asyncio.futures.Future is module.Future
    assert asyncio.tasks._CTask is asyncio.tasks.Task is module.Task
    assert asyncio.futures._asyncio is module and asyncio.tasks._asyncio is module
    assert asyncio.tasks._GatheringFuture.__base__ is module.Future
    assert asyncio.futures._PyFuture is not module.Future and asyncio.tasks._PyTask is not module.Task


# --- the classes


def test_classes(module: types.ModuleType) -> None:
    future, task = module.Future, module.Task
    assert future.__mro__ == (future, object) and task.__mro__ == (task, future, object)
    for cls, name in ((future, "Future"), (task, "Task")):
        assert (cls.__name__, cls.__qualname__, cls.__module__) == (name, name, "_asyncio")
        assert type(cls) is type and cls.__doc__
        assert inspect.isclass(cls) and not inspect.isabstract(cls)


def test_constructor_signatures(module: types.ModuleType) -> None:
    assert module.Future.__text_signature__ == "(*, loop=None)"
    eager = ", eager_start=False" if MINOR >= (3, 12) else ""
    assert module.Task.__text_signature__ == f"(coro, *, loop=None, name=None, context=None{eager})"


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_sizes(module: types.ModuleType, name: str) -> None:
    """An object costs at most 24 bytes more than C's."""
    mine, theirs = getattr(module, name), getattr(c_module(), name)
    assert mine.__basicsize__ <= theirs.__basicsize__ + 24
    assert mine.__itemsize__ == 0


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_size_of_an_instance(module: types.ModuleType, mock: MockLoop, name: str) -> None:
    def size(cls: type) -> int:
        return sys.getsizeof(cls.__new__(cls))

    assert size(getattr(module, name)) <= size(getattr(c_module(), name)) + 24


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_immutable(module: types.ModuleType, name: str) -> None:
    cls = getattr(module, name)
    text = f"TypeError: cannot set 'x' attribute of immutable type '_asyncio.{name}'"
    assert outcome(lambda: setattr(cls, "x", 1)) == text
    assert outcome(lambda: setattr(cls, "cancel", 1)) == text.replace("'x'", "'cancel'")
    assert outcome(lambda: delattr(cls, "cancel")) == text.replace("'x'", "'cancel'")


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_flags(module: types.ModuleType, name: str) -> None:
    flags = getattr(module, name).__flags__
    immutable, basetype, have_gc, abstract = 1 << 8, 1 << 10, 1 << 14, 1 << 20
    assert flags & immutable and flags & basetype and flags & have_gc and not flags & abstract


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_own_dict(module: types.ModuleType, name: str) -> None:
    methods = FUTURE_METHODS if name == "Future" else TASK_METHODS
    attributes = FUTURE_ATTRIBUTES if name == "Future" else TASK_ATTRIBUTES
    own = vars(getattr(module, name))
    assert set(methods) <= set(own) and attributes <= set(own)
    known = FUTURE_METHODS | (TASK_METHODS if name == "Task" else {})
    public = {n for n in dir(getattr(module, name)) if not n.startswith("_")}
    assert public == {n for n in known if not n.startswith("_")}
    slots = {"__new__", "__init__", "__repr__", "__del__", "__doc__", "__class_getitem__", "__iter__", "__await__"}
    assert slots - set(own) <= ({"__new__", "__iter__", "__await__"} if name == "Task" else set())


@pytest.mark.parametrize(("method", "signature"), FUTURE_METHODS.items())
def test_future_methods(module: types.ModuleType, method: str, signature: str) -> None:
    found = vars(module.Future)[method]
    assert type(found) is types.MethodDescriptorType
    assert (found.__name__, found.__objclass__, found.__text_signature__) == (method, module.Future, signature)
    assert found.__doc__ or not vars(c_module().Future)[method].__doc__


@pytest.mark.parametrize(("method", "signature"), TASK_METHODS.items())
def test_task_methods(module: types.ModuleType, method: str, signature: str) -> None:
    found = vars(module.Task)[method]
    assert type(found) is types.MethodDescriptorType
    assert (found.__name__, found.__objclass__, found.__text_signature__) == (method, module.Task, signature)
    assert found.__doc__ or not vars(c_module().Task)[method].__doc__


def test_class_getitem(module: types.ModuleType) -> None:
    for cls in (module.Future, module.Task):
        assert type(vars(cls)["__class_getitem__"]) is types.ClassMethodDescriptorType
        assert cls[int, str].__args__ == (int, str)
        assert repr(cls[int]) == f"_asyncio.{cls.__name__}[int]"


@pytest.mark.parametrize("attribute", sorted(FUTURE_ATTRIBUTES | TASK_ATTRIBUTES))
def test_attributes(module: types.ModuleType, mock: MockLoop, attribute: str) -> None:
    cls = module.Future if attribute in FUTURE_ATTRIBUTES else module.Task
    descriptor = vars(cls)[attribute]
    assert type(descriptor) is types.GetSetDescriptorType and descriptor.__name__ == attribute
    future = cls.__new__(cls)
    if attribute not in WRITABLE:
        text = f"AttributeError: attribute '{attribute}' of '_asyncio.{cls.__name__}' objects is not writable"
        assert outcome(lambda: setattr(future, attribute, 1)) == text
        assert outcome(lambda: delattr(future, attribute)) == text


def test_what_is_not_there(module: types.ModuleType, mock: MockLoop) -> None:
    names = {
        "_repr_info",
        "_num_cancels_requested",
        "_context",
        "_name",
        "_loop_ref",
        "__eq__",
        "__hash__",
        "__slots__",
    }
    for cls in (module.Future, module.Task):
        assert not names & set(vars(cls))
    for name in ("FutureIter", "TaskStepMethWrapper", "_RunningLoopHolder"):
        assert not hasattr(module, name)


@pytest.mark.parametrize("name", ["Future", "Task"])
def test_interned_states(module: types.ModuleType, mock: MockLoop, name: str) -> None:
    future = module.Future(loop=mock)
    assert future._state is sys.intern("PENDING")
    future.set_result(1)
    assert future._state is sys.intern("FINISHED")


def test_slots_layout(module: types.ModuleType, mock: MockLoop) -> None:
    class Slotted(module.Future):  # type: ignore[misc, name-defined]
        __slots__ = ("a", "b")

    class Both(Slotted):
        """With instance attributes again."""

    value = Both(loop=mock)
    value.a, value.b, value.c = 1, 2, [3]
    assert (value.a, value.b, value.c) == (1, 2, [3]) and gc.is_tracked(value)
    assert {1, 2} <= {r for r in gc.get_referents(value) if type(r) is int}


def test_two_native_bases_do_not_mix(module: types.ModuleType) -> None:
    with pytest.raises(TypeError, match="multiple bases have instance lay-out conflict"):
        type("Both", (module.Task, dict), {})
    assert issubclass(type("Same", (module.Task, module.Future), {}), module.Task)


def test_multiple_inheritance(module: types.ModuleType, mock: MockLoop) -> None:
    class Mixin:
        def describe(self) -> str:
            return f"{type(self).__name__}: {self!r}"

    class Mixed(Mixin, module.Task):  # type: ignore[misc, name-defined]
        """A Task with more."""

    async def nothing() -> None:
        """Finish at once."""

    task = Mixed(nothing(), loop=mock, name="M")
    mock.run()
    assert task.describe().startswith("Mixed: <Mixed finished name='M' ")


# --- functions


def test_running_loop(native: Impl, module: types.ModuleType, mock: MockLoop) -> None:
    assert module._get_running_loop() is None
    with pytest.raises(RuntimeError, match="^no running event loop$"):
        module.get_running_loop()
    assert module._set_running_loop(mock) is None
    try:
        assert module._get_running_loop() is module.get_running_loop() is module.get_event_loop() is mock
        assert asyncio.get_running_loop() is mock
    finally:
        module._set_running_loop(None)
    assert module._get_running_loop() is None


def test_get_event_loop_asks_the_policy(native: Impl, module: types.ModuleType) -> None:
    def main() -> None:
        import asyncio
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)

        class Policy(asyncio.DefaultEventLoopPolicy):
            def get_event_loop(self) -> str:
                return "from the policy"

        asyncio.set_event_loop_policy(Policy())
        print(asyncio.get_event_loop())

    assert native.run(main, flags=()) == "from the policy\n"


def test_running_loop_keeps_a_reference(native: Impl, module: types.ModuleType) -> None:
    loop = MockLoop()
    reference = weakref.ref(loop)
    module._set_running_loop(loop)
    del loop
    gc.collect()
    assert reference() is not None
    module._set_running_loop(None)
    gc.collect()
    assert reference() is None


def test_import_star(module: types.ModuleType) -> None:
    assert not hasattr(module, "__all__")
