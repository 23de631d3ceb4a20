"""Stories about corners of `_asyncio`, each told by CPython's module and by ours, in an interpreter of its own.

A story prints what it sees. Ours must print what C prints, whatever that is on this version; where ours does not, the
test says what it prints instead, and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from support.impls import MINOR, run_fresh

up_to_3_13 = pytest.mark.skipif(MINOR >= (3, 14), reason="3.14 keeps the tasks in lists of its threads instead")


def told(name: str, story: Callable[..., None], *arguments: object) -> list[str]:
    lines = re.sub(r"0x[0-9a-f]+", "0x", run_fresh(name, story, *arguments, flags=("-Wignore",))).splitlines()
    assert lines, "a story says something"
    return lines


def check_told_alike(story: Callable[..., None], *arguments: object) -> None:
    assert told("ours", story, *arguments) == told("c", story, *arguments)


# --- how an iterator ends


def story_of_ends(how: str) -> None:
    import asyncio

    class Loop:
        def get_debug(self) -> bool:
            return False

    def fresh(value: object) -> object:
        future = asyncio.Future(loop=Loop())
        future.set_result(value)
        return future.__await__()

    def closed(value: object) -> object:
        iterator = fresh(value)
        iterator.close()
        return iterator

    def used(value: object) -> object:
        iterator = fresh(value)
        list(iterator)
        return iterator

    def thrown(value: object) -> object:
        iterator = fresh(value)
        try:
            iterator.throw(KeyError)
        except KeyError:
            return iterator

    class Awaitable:
        def __init__(self, iterator: object) -> None:
            self.iterator = iterator

        def __await__(self) -> object:
            return self.iterator

    async def awaiting(iterator: object) -> object:
        return [await Awaitable(iterator)]

    def delegating(iterator: object) -> object:
        return [(yield from iterator)]

    ends = {
        "send": lambda iterator: iterator.send(None),
        "next": next,
        "__next__": lambda iterator: iterator.__next__(),
        "default": lambda iterator: next(iterator, "default"),
        "list": list,
        "await": lambda iterator: awaiting(iterator).send(None),
        "yield from": lambda iterator: next(delegating(iterator)),
    }
    for make in (fresh, closed, used, thrown):
        for value in (None, 5, (), (1, 2), StopIteration(3), ValueError):
            for handled in (False, True):
                try:
                    try:
                        if handled:
                            raise KeyError("handled")
                        print(make.__name__, repr(value), ends[how](make(value)))
                    except KeyError:
                        print(make.__name__, repr(value), ends[how](make(value)))
                except Exception as error:
                    arguments = tuple(map(repr, error.args))
                    print(make.__name__, repr(value), type(error), arguments, repr(error.__context__), error.__cause__)


#: What C's `send` says of an iterator that is used up: up to 3.13 a NULL without an exception.
NOTHING = ("returned NULL without setting an exception", "error return without exception set")


@pytest.mark.parametrize("how", ["send", "next", "__next__", "default", "list", "await", "yield from"])
def test_end_of_an_iterator(how: str) -> None:
    theirs, ours = told("c", story_of_ends, how), told("ours", story_of_ends, how)
    differences = []
    for expected, found in zip(theirs, ours, strict=True):
        if any(text in expected for text in NOTHING):
            assert MINOR < (3, 14), expected
            assert "<class 'StopIteration'>" in found, found
        elif found != expected:
            differences.append((expected, found))
    if how in ("next", "__next__") and (3, 12) <= MINOR < (3, 15):
        # There `await` asks by the same slot, and a `StopIteration` for each would cost 650 instructions.
        for expected, found in differences:
            assert re.fullmatch(r"(fresh|used) None <class 'StopIteration'> \('None',\) None None", expected), expected
            assert re.match(r"(fresh|used) None <class 'StopIteration'> \(\) ", found), found
    else:
        assert differences == []


def story_of_a_tracer(value: object) -> None:
    import asyncio
    import sys

    class Loop:
        def get_debug(self) -> bool:
            return False

    future = asyncio.Future(loop=Loop())
    future.set_result(value)

    async def awaiting() -> object:
        return await future

    def trace(frame: object, event: str, argument: object) -> object:
        if frame.f_code.co_name != "awaiting":
            return None
        print(event, argument[1].args if event == "exception" else "")
        return trace

    sys.settrace(trace)
    try:
        awaiting().send(None)
    except StopIteration:
        pass
    sys.settrace(None)


@pytest.mark.parametrize("value", [None, 5])
def test_tracer_sees_the_same(value: object) -> None:
    theirs, ours = told("c", story_of_a_tracer, value), told("ours", story_of_a_tracer, value)
    if value is None and (3, 12) <= MINOR < (3, 15):
        theirs = [line for line in theirs if not line.startswith("exception ")]  # the same shortcut
    assert ours == theirs


# --- what a class is called


def story_of_names() -> None:
    import asyncio
    import datetime
    import types

    module = types.ModuleType("module")
    exec(
        "import asyncio\n"
        "class Outer:\n"
        "    class F(asyncio.Future): pass\n"
        "    class T(asyncio.Task): pass\n"
        "class Meta(type):\n"
        "    @property\n"
        "    def __name__(self): return 'meta'\n"
        "class M(asyncio.Future, metaclass=Meta): pass\n"
        "async def nothing(): pass\n",
        vars(module),
    )

    class Loop:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, *arguments: object, context: object) -> None:
            pass

        def call_exception_handler(self, context: dict) -> None:
            print(context["message"])

    def show(action: object, *arguments: object) -> None:
        try:
            print(action(*arguments))
        except Exception as error:
            print(type(error), error)

    loop = Loop()
    renamed = type("before", (asyncio.Future,), {})
    renamed.__name__ = "after"
    names = ["X" * 150, "dotted.name", "\u00e9\u4e2d" * 60, "\u4e2d" * 60]
    made = [type(name, (asyncio.Future,), {}) for name in names]
    for cls in (asyncio.Future, module.Outer.F, module.M, renamed, *made):
        future = cls(loop=loop)
        for attribute in ("_asyncio_future_blocking", "_log_traceback", "_cancel_message", "_state", "_loop"):
            show(delattr, future, attribute)
        show(asyncio.Task.cancel, future)
        future.set_exception(ValueError())
    del future
    task = module.Outer.T(module.nothing(), loop=loop)
    show(delattr, task, "_log_destroy_pending")

    class Made(Exception):
        def __new__(cls, *arguments: object) -> object:
            return made_of[-1]

    date, dotted = datetime.date(2000, 1, 1), type("dotted.name", (), {})()
    for wrong in (module.Outer(), dotted, date, 5, asyncio.Future(loop=loop)):
        made_of = [wrong]
        iterator = asyncio.Future(loop=loop).__await__()
        show(iterator.throw, Made)
        show(iterator.throw, Made, 5)
        show(asyncio.Future(loop=loop).set_exception, Made)


def test_names_in_texts() -> None:
    check_told_alike(story_of_names)


def story_of_contexts() -> None:
    import asyncio
    import types

    module = types.ModuleType("module")
    exec("class Outer:\n    class Inner: pass\n", vars(module))

    async def nothing() -> None:
        pass

    class Loop:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, *arguments: object, context: object) -> None:
            pass

        def call_exception_handler(self, context: dict) -> None:
            print(context["message"])

    for wrong in (module.Outer.Inner(), 5, type("dotted.name", (), {})()):
        try:
            print(asyncio.Task(nothing(), loop=Loop(), context=wrong).done())
        except TypeError as error:
            print(error)


def test_names_of_what_is_no_context() -> None:
    check_told_alike(story_of_contexts)


def story_of_the_module() -> None:
    import asyncio
    import sys

    module = sys.modules["_asyncio"]
    print(module.__name__, module.__doc__)
    try:
        print(module.missing)
    except AttributeError as error:
        print(error)
    print(asyncio.Future.__module__, sys.modules[asyncio.Future.__module__] is module)
    print(module.get_running_loop.__module__, module.get_running_loop.__self__ is module)


def test_module() -> None:
    check_told_alike(story_of_the_module)


# --- which tasks there are


def story_of_current_tasks() -> None:
    import asyncio

    class BadHash:
        def __hash__(self) -> int:
            raise ValueError("hash")

    class BadEqual:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            raise ValueError("equal")

    class Same:
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same)

    def show(name: str, *arguments: object) -> None:
        try:
            answer = getattr(asyncio.tasks, name)(*arguments)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(name, *[type(argument).__name__ for argument in arguments], "->", answer)

    for entered in (None, "loop"):
        if entered is not None:
            asyncio._set_running_loop(entered)
            asyncio.tasks._enter_task(entered, "task")
        for loop in ([], BadHash(), None, 5, "loop", object()):
            for name in ("_swap_current_task", "_enter_task", "_leave_task"):
                for task in (None, [], "task"):
                    show(name, loop, task)
                    asyncio.tasks._current_tasks.pop("other", None) if hasattr(
                        asyncio.tasks, "_current_tasks"
                    ) else None
            show("current_task", loop)
    asyncio._set_running_loop(None)
    show("_enter_task", BadEqual(), "task")
    for name, *arguments in (
        ("_swap_current_task", None),
        ("_swap_current_task", "x"),
        ("_leave_task", "x"),
        ("current_task",),
    ):
        show(name, BadEqual(), *arguments)
    show("_enter_task", Same(), "task")
    show("_swap_current_task", Same(), None)
    show("_swap_current_task", Same(), "task")
    show("_leave_task", Same(), "task")


def test_current_tasks() -> None:
    check_told_alike(story_of_current_tasks)


def story_of_the_container(kind: str) -> None:
    import asyncio

    class BadHash:
        def __hash__(self) -> int:
            raise ValueError("hash")

    class Slots:
        __slots__ = ()

    class Plain:
        pass

    class Loop:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, *arguments: object, context: object) -> None:
            pass

        def call_exception_handler(self, context: dict) -> None:
            pass

    async def nothing() -> None:
        pass

    container = getattr(asyncio.tasks, "_scheduled_tasks", None)
    if container is None:
        container = asyncio.tasks._all_tasks
    task, other = (asyncio.Task(nothing(), loop=Loop(), name=name) for name in ("one", "two"))
    plain = Plain()
    item = {
        "int": 5, "list": [], "slots": Slots(), "unhashable": BadHash(), "plain": plain, "task": task, "other": other
    }[kind]  # fmt: skip
    if kind == "other":
        container.discard(other)
    actions = {
        "in": lambda: item in container,
        "add": lambda: container.add(item),
        "discard": lambda: container.discard(item),
        "remove": lambda: container.remove(item),
        "register": lambda: asyncio.tasks._register_task(item),
        "unregister": lambda: asyncio.tasks._unregister_task(item),
        "update": lambda: container.update([task, item]),
        "difference_update": lambda: container.difference_update([task, item]),
        "intersection_update": lambda: container.intersection_update([task, item]),
        "symmetric_difference_update": lambda: container.symmetric_difference_update([task, item]),
        "|=": lambda: container.__ior__([item]) is container,
        "-=": lambda: container.__isub__([item]) is container,
        "&=": lambda: container.__iand__([item]) is container,
        "^=": lambda: container.__ixor__([item]) is container,
        "-= itself": lambda: container.__isub__(container) is container,
        "^= itself": lambda: container.__ixor__(container) is container,
        "&= itself": lambda: container.__iand__(container) is container,
        "|= itself": lambda: container.__ior__(container) is container,
        "difference": lambda: len(container.difference([item])),
        "symmetric_difference": lambda: len(container.symmetric_difference([item])),
        "intersection": lambda: len(container.intersection([item])),
        "union": lambda: len(container.union([item])),
        "issubset": lambda: container.issubset([task, item]),
        "issuperset": lambda: container.issuperset([task, item]),
        "isdisjoint": lambda: container.isdisjoint([item]),
        "pop": lambda: container.pop() in (task, item),
        "pop twice": lambda: [container.pop() and None for _ in range(3)],
        "clear": container.clear,
        "copy": lambda: len(container.copy()),
    }
    for name, action in actions.items():
        container.clear()
        container.add(task)
        try:
            answer = action()
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(name, answer, sorted(type(known).__name__ for known in container), len(container), task in container)
    container.clear()
    print(list(container), len(container))


@up_to_3_13
@pytest.mark.parametrize("kind", ["int", "list", "slots", "unhashable", "plain", "task", "other"])
def test_container(kind: str) -> None:
    check_told_alike(story_of_the_container, kind)


def story_of_tasks_that_come_back() -> None:
    import asyncio
    import gc
    import weakref

    gc.disable()
    kept = []

    class Loop:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, *arguments: object, context: object) -> None:
            pass

        def call_exception_handler(self, context: dict) -> None:
            kept.append(context["task"])
            print("in the handler", context["task"] in asyncio.all_tasks(self))

    async def nothing() -> None:
        pass

    class Sub(asyncio.Task):
        pass

    class Del(asyncio.Task):
        def __del__(self) -> None:
            kept.append(self)
            print("in the finaliser", self in asyncio.all_tasks(loop))

    class Super(asyncio.Task):
        def __del__(self) -> None:
            super().__del__()

    loop = Loop()
    for cls in (asyncio.Task, Sub, Del, Super):
        for in_a_cycle in (False, True):
            for registered in ("never", "before", "after"):
                task = cls(nothing(), loop=loop)
                reference = weakref.ref(task)
                if in_a_cycle:
                    task.itself = task
                if registered == "before":
                    asyncio.tasks._register_task(task)
                del task
                gc.collect()
                task = kept.pop()
                if registered == "after":
                    asyncio.tasks._register_task(task)
                print(cls.__name__, in_a_cycle, registered, task in asyncio.all_tasks(loop), reference() is task)
                asyncio.tasks._unregister_task(task)
                print("unregistered", task in asyncio.all_tasks(loop))
                asyncio.tasks._register_task(task)
                print("registered", task in asyncio.all_tasks(loop), kept)
                if in_a_cycle:
                    del task.itself
                del task
                gc.collect()
                print("gone", len(asyncio.all_tasks(loop)), reference() is None, kept)


def test_tasks_that_come_back() -> None:
    check_told_alike(story_of_tasks_that_come_back)


def story_of_tasks_with_an_identity() -> None:
    import asyncio
    import gc

    gc.disable()

    class Loop:
        def get_debug(self) -> bool:
            return False

        def is_running(self) -> bool:
            return True

        def call_soon(self, *arguments: object, context: object) -> None:
            pass

        def call_exception_handler(self, context: dict) -> None:
            print(context["message"])

    async def waiting() -> None:
        await asyncio.Future(loop=loop)

    def show(action: object, *arguments: object, **keywords: object) -> None:
        try:
            print("->", action(*arguments, **keywords))
        except Exception as error:
            print("->", type(error).__name__, error)

    class NoHash(asyncio.Task):
        __hash__ = None

    class BadHash(asyncio.Task):
        def __hash__(self) -> int:
            print("hash")
            raise ValueError("hash")

    class Same(asyncio.Task):
        def __hash__(self) -> int:
            print("hash")
            return 7

        def __eq__(self, other: object) -> bool:
            print("equal")
            return isinstance(other, Same)

    loop = Loop()
    asyncio._set_running_loop(loop)
    for cls in (NoHash, BadHash, Same):
        show(cls, waiting(), loop=loop, name=cls.__name__)
        gc.collect()
    if hasattr(asyncio.tasks, "_swap_current_task"):
        show(Same, waiting(), loop=loop, name="eager", eager_start=True)
        gc.collect()
    first, second = Same(waiting(), loop=loop), Same(waiting(), loop=loop)
    show(lambda: len(asyncio.all_tasks(loop)))
    show(lambda: second in asyncio.all_tasks(loop))
    show(lambda: asyncio.tasks._unregister_task(second))
    show(lambda: len(asyncio.all_tasks(loop)))
    show(lambda: asyncio.tasks._register_task(first))
    show(lambda: len(asyncio.all_tasks(loop)))
    asyncio._set_running_loop(None)


def test_tasks_with_an_identity() -> None:
    check_told_alike(story_of_tasks_with_an_identity)


# --- when the interpreter ends


def story_of_the_end(where: str) -> None:
    import asyncio
    import sys

    def the_first(asyncio: object = asyncio) -> None:
        class Loop:
            def get_debug(self) -> bool:
                return False

            def call_soon(self, *arguments: object, context: object) -> None:
                pass

            def call_exception_handler(self, context: dict) -> None:
                print(context)

        class Debug(Loop):
            def get_debug(self) -> bool:
                return True

        def show(action: object) -> None:
            try:
                print(action())
            except BaseException as error:
                print(type(error), error)

        loop = Loop()
        future = asyncio.Future(loop=loop)
        print(future)
        future.set_exception(ValueError("value"))
        print(future)
        del future

        async def nothing() -> None:
            pass

        task = asyncio.Task(nothing(), loop=loop)
        print(task, len(task.get_stack()))
        task.print_stack(file=sys.stdout)
        print(asyncio.Handle(print, (), loop))
        show(asyncio.Future(loop=loop).result)
        cancelled = asyncio.Future(loop=loop)
        cancelled.cancel()
        show(cancelled.result)
        print(asyncio.Future(loop=Debug())._source_traceback is not None)
        show(lambda: asyncio.Task(5, loop=loop))
        show(lambda: asyncio.Task(type("X", (), {"__await__": 1})(), loop=loop))
        show(lambda: len(asyncio.all_tasks(loop)))
        show(lambda: asyncio.futures._set_result_unless_cancelled(asyncio.Future(loop=loop), 5))
        show(lambda: asyncio.run(nothing()))

    class End:
        def __del__(self) -> None:
            the_first()

    if where == "atexit":
        import atexit

        atexit.register(the_first)
    elif where == "main":
        sys.modules["__main__"].end = End()
    elif where == "builtins":
        import builtins

        builtins.end = End()
    elif where == "modules":
        sys.modules["end"] = End()
    elif where == "cycle":
        end = End()
        end.itself = end
    elif where == "thread":
        import threading

        def late() -> None:
            threading.main_thread().join()
            the_first()

        threading.Thread(target=late).start()


@pytest.mark.parametrize("where", ["atexit", "main", "builtins", "modules", "cycle", "thread"])
def test_first_future_at_the_end(where: str) -> None:
    check_told_alike(story_of_the_end, where)
