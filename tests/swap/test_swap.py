"""The swap of Future and Task by install(), uninstall() and run(): every test in an interpreter of its own.

The event loop that comes with it is in test_install_loop.py.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.children import check_python, run_python

# Shared by the programs below. `held` finds who still holds an object of a module, by other means than the swap does.
HELPERS = """
import gc, sys, types

def interface(module):
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}

# Containers of CPython's module that ours uses, too (up to 3.13).
COMMON = "_current_tasks", "_all_tasks", "_scheduled_tasks", "_eager_tasks"

def held(module):
    import rasyncio
    own = [vars(module), vars(sys.modules["__main__"])]
    own += [vars(m) for name, m in sys.modules.items() if name.split(".")[0] == "rasyncio"]
    return sorted(
        f"{namespace['__name__']}.{name}"
        for value in [module, *(value for name, value in interface(module).items() if name not in COMMON)]
        for namespace in gc.get_referrers(value)
        if type(namespace) is dict and "__loader__" in namespace and not any(namespace is o for o in own)
        and namespace["__name__"] != "_asyncio"  # 3.11 keeps a second copy of it, for sub-interpreters
        for name, found in namespace.items() if found is value
    )

def snapshot():
    return {(name, key): value for name, module in sys.modules.items()
            if isinstance(module, types.ModuleType) and name.split(".")[0] not in ("rasyncio", "__main__")
            for key, value in vars(module).items()}

def changed(before):
    # asyncio.run() itself makes the default policy, and drops it
    after = snapshot()
    policy = "asyncio.events", "_event_loop_policy"
    return {key for key in before if after.get(key, key) is not before[key] and key != policy}

def in_sub_interpreter(code):
    try:
        import _interpreters as interpreters
        create, execute = interpreters.create, interpreters.exec
    except ImportError:
        import _xxsubinterpreters as interpreters
        # 3.12.1 crashes at exit when its own _asyncio was imported in an isolated one.
        create, execute = lambda: interpreters.create(isolated=False), interpreters.run_string
    interpreter = create()
    failure = execute(interpreter, code)
    assert failure is None, failure
    interpreters.destroy(interpreter)

async def exercise(theirs=False):
    \"\"\"Uses whatever is installed, through the ways that the swap has to carry along.

    With `theirs` the loop itself makes futures and tasks of what was installed when it was imported.
    \"\"\"
    import asyncio
    loop = asyncio.get_running_loop()
    future = asyncio.Future()
    task = asyncio.create_task(asyncio.sleep(0, 5))
    loop.call_soon(future.set_result, 7)
    gathered = asyncio.gather(task, future)
    assert repr(gathered).startswith("<_GatheringFuture pending"), gathered  # 3.14.8: with a callback of gather's
    assert (type(loop.create_future()) is not asyncio.Future) == (type(task) is not asyncio.Task) == theirs
    assert isinstance(gathered, asyncio.Future) and type(gathered) is asyncio.tasks._GatheringFuture
    me = asyncio.current_task()
    assert asyncio.all_tasks() == {me, task}
    assert await gathered == [5, 7]
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        children = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
    assert [child.result() for child in children] == [0, 1, 2]
    waiting = asyncio.gather(asyncio.sleep(30), asyncio.sleep(30))
    loop.call_soon(waiting.cancel, "enough")
    try:
        await waiting
    except asyncio.CancelledError as error:
        assert waiting._cancel_requested and error.args == ("enough",)
    else:
        raise AssertionError("not cancelled")
    assert asyncio.all_tasks() == {me} and asyncio.current_task() is me
    return asyncio.Task
"""


def skip_without_uvloop() -> None:
    """Not importorskip(), which would import uvloop here: then no other test of this process could make the swap."""
    if importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not for this platform or Python")


def check(code: str, *arguments: str, cwd: Path | None = None) -> str:
    return check_python(HELPERS + "\n" + "\n".join(line[8:] for line in code.splitlines()), *arguments, cwd=cwd)


class TestInstall:
    def test_before_asyncio_is_imported(self) -> None:
        cpython_s = "import asyncio, _asyncio; print(*(name for name in vars(_asyncio) if not name.startswith('__')))"
        check(
            """
        import rasyncio
        assert "asyncio" not in sys.modules
        rasyncio.install(loop=False)
        assert "asyncio" not in sys.modules and rasyncio.installed()
        import asyncio, _asyncio
        assert _asyncio is rasyncio._asyncio
        names = sys.argv[1:]
        assert "Task" in names
        for name in names:
            homes = [m for m in (asyncio.events, asyncio.futures, asyncio.tasks) if hasattr(m, name)]
            assert homes and all(getattr(m, name) is getattr(_asyncio, name) for m in homes), name
        assert asyncio.Future is asyncio.futures._CFuture is rasyncio.Future
        assert asyncio.Task is asyncio.tasks._CTask is rasyncio.Task
        assert asyncio.tasks._GatheringFuture.__base__ is rasyncio.Future
        assert asyncio.run(exercise()) is rasyncio.Task
        """,
            *check_python(cpython_s).split(),
        )

    def test_after_asyncio_was_imported(self) -> None:
        check("""
        import asyncio, _asyncio
        theirs = [_asyncio]  # not as a name: these change
        assert {"asyncio.Task", "asyncio.tasks._CTask", "asyncio.events._c_get_running_loop"} <= set(held(*theirs))
        import rasyncio
        assert asyncio.Task is not rasyncio.Task
        rasyncio.install()
        assert rasyncio.installed()
        assert sys.modules["_asyncio"] is _asyncio is asyncio.tasks._asyncio is rasyncio._asyncio is not theirs[0]
        assert held(*theirs) == []
        assert asyncio.run(exercise()) is rasyncio.Task
        """)

    def test_every_alias_has_its_counterpart(self) -> None:
        check("""
        import asyncio, _asyncio as module
        names_of = {id(module): "_asyncio", **{id(value): name for name, value in interface(module).items()}}
        places = [(m.__name__, key, names_of[id(value)])
                  for m in (asyncio, asyncio.events, asyncio.futures, asyncio.tasks)
                  for key, value in vars(m).items() if id(value) in names_of]
        assert len(places) > 25, places
        import rasyncio
        rasyncio.install()
        for module_name, key, name in places:
            expected = rasyncio._asyncio if name == "_asyncio" else getattr(rasyncio._asyncio, name)
            assert getattr(sys.modules[module_name], key) is expected, (module_name, key)
        """)

    def test_names_that_other_modules_took_earlier(self, tmp_path: Path) -> None:
        (tmp_path / "early.py").write_text(
            "import asyncio.tasks as tasks, _asyncio\n"
            "from asyncio import Future, Task as Job, all_tasks, current_task, gather, get_running_loop\n"
            "from asyncio.tasks import _GatheringFuture as Gathering\n"
            "def is_task(x): return isinstance(x, Job)\n"
        )
        check(
            """
        import early, rasyncio
        gather = early.gather
        rasyncio.install()
        assert early.Future is rasyncio.Future and early.Job is rasyncio.Task and early._asyncio is rasyncio._asyncio
        assert early.gather is gather
        async def main():
            task = early.tasks.create_task(early.tasks.sleep(0))
            future = early.get_running_loop().create_future()
            assert early.is_task(task) and not early.is_task(future) and isinstance(future, early.Future)
            assert isinstance(early.gather(task), early.Gathering)
            assert early.current_task() in early.all_tasks() and early.is_task(early.current_task())
            await task
        rasyncio.run(main())
        rasyncio.uninstall()
        import asyncio
        assert early.Future is asyncio.Future is not rasyncio.Future
        """,
            cwd=tmp_path,
        )

    def test_names_in_main(self) -> None:
        check("""
        from asyncio import Future, Task
        import rasyncio
        rasyncio.install()
        assert Future is rasyncio.Future and Task is rasyncio.Task
        """)

    def test_odd_things_in_sys_modules_stay_asleep(self, tmp_path: Path) -> None:
        (tmp_path / "lazy.py").write_text("raise AssertionError('the lazy module was loaded')\n")
        check(
            """
        import asyncio, importlib.util, rasyncio
        spec = importlib.util.find_spec("lazy")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        lazy = sys.modules["lazy"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(lazy)

        def wake(*args):
            raise AssertionError("touched")

        class Proxy:
            __class__ = __dict__ = property(wake)
            __getattribute__ = __getattr__ = __eq__ = wake
            __hash__ = None

        class Guarded(types.ModuleType):
            __dict__ = property(wake)
            __getattribute__ = __getattr__ = __setattr__ = wake

        guarded = Guarded("guarded")
        namespace = types.ModuleType.__dict__["__dict__"].__get__(guarded)
        namespace.update(Future=asyncio.Future, __getattr__=wake)
        sys.modules.update(proxy=Proxy(), guarded=guarded, nothing=None, number=3)
        rasyncio.install()
        assert namespace["Future"] is rasyncio.Future  # a module's name like any other
        assert type(lazy) is importlib.util._LazyModule
        rasyncio.uninstall()
        assert namespace["Future"] is asyncio.Future is not rasyncio.Future
        """,
            cwd=tmp_path,
        )

    def test_what_others_put_into_asyncio_stays(self) -> None:
        check("""
        import asyncio
        class Traced(asyncio.tasks._PyTask): pass
        asyncio.Task = asyncio.tasks.Task = Traced
        import rasyncio
        rasyncio.install()
        assert asyncio.Task is asyncio.tasks.Task is Traced and asyncio.tasks._CTask is rasyncio.Task
        rasyncio.uninstall()
        assert asyncio.Task is asyncio.tasks.Task is Traced
        """)

    def test_futures_and_classes_made_before_can_be_awaited(self) -> None:
        check("""
        import asyncio, rasyncio
        import warnings
        class Early(asyncio.Future): pass
        loop = asyncio.new_event_loop()
        futures = loop.create_future(), Early(loop=loop)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            rasyncio.install()
        async def main():
            for n, future in enumerate(futures):
                loop.call_soon(future.set_result, n)
                assert await future == n
            return type(asyncio.current_task())
        assert loop.run_until_complete(main()) is rasyncio.Task
        loop.close()
        """)

    def test_twice_is_once(self) -> None:
        check("""
        import asyncio, rasyncio
        rasyncio.install()
        before = snapshot()
        rasyncio.install()
        assert changed(before) == set()
        rasyncio.uninstall()
        assert not rasyncio.installed() and asyncio.Task is not rasyncio.Task
        before = snapshot()
        rasyncio.uninstall()
        assert changed(before) == set()
        """)

    def test_without_the_c_module(self) -> None:
        check("""
        sys.modules["_asyncio"] = None
        import asyncio, rasyncio
        assert asyncio.Task is asyncio.tasks._PyTask
        before = snapshot()
        try:
            rasyncio.install()
        except RuntimeError as error:
            assert "without its C module" in str(error)
        else:
            raise AssertionError("installed")
        assert changed(before) == set() and sys.modules["_asyncio"] is None
        """)


class TestDerived:
    """What asyncio makes of Future and Task when it is imported."""

    def test_gathering_future(self) -> None:
        check("""
        import asyncio, rasyncio
        original = [asyncio.tasks._GatheringFuture]
        rasyncio.install()
        rebuilt = asyncio.tasks._GatheringFuture
        assert rebuilt is not original[0] and rebuilt.__bases__ == (rasyncio.Future,)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            assert getattr(rebuilt, name) == getattr(original[0], name)
        assert set(vars(rebuilt)) == set(vars(original[0]))
        assert rebuilt.__init__.__closure__[0].cell_contents is rebuilt
        assert original[0].__init__.__closure__[0].cell_contents is original[0]
        loop = asyncio.new_event_loop()
        made = rebuilt([], loop=loop)  # its super().__init__(loop=loop)
        assert made.get_loop() is loop and repr(made) == "<_GatheringFuture pending>" and made.cancel() is False
        loop.close()
        """)

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
    def test_eager_task_factory(self, tmp_path: Path) -> None:
        (tmp_path / "early.py").write_text("from asyncio import eager_task_factory as factory\n")
        check(
            """
        import asyncio, early, rasyncio
        original = [asyncio.eager_task_factory]
        rasyncio.install()
        assert asyncio.eager_task_factory is asyncio.tasks.eager_task_factory is early.factory is not original[0]
        async def main():
            asyncio.get_running_loop().set_task_factory(early.factory)
            task = asyncio.create_task(asyncio.sleep(0))
            async def at_once(): return asyncio.current_task()
            done = asyncio.create_task(at_once())
            assert done.done() and done.result() is done and type(done) is type(task) is rasyncio.Task
            await task
        asyncio.run(main())
        rasyncio.uninstall()
        assert asyncio.eager_task_factory is early.factory is original[0]
        """,
            cwd=tmp_path,
        )

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
    def test_somebody_elses_eager_task_factory_stays(self) -> None:
        check("""
        import asyncio, rasyncio
        class Traced(asyncio.tasks._PyTask): pass
        patched = [asyncio.create_eager_task_factory(Traced)]
        asyncio.tasks.eager_task_factory = patched[0]
        rasyncio.install()
        assert asyncio.tasks.eager_task_factory is patched[0]
        """)

    def test_rebuilding_a_class_tree(self) -> None:
        # Stands for Windows, where asyncio derives a tree of classes from Future.
        check("""
        import asyncio, rasyncio
        module = sys.modules["asyncio.windows_events"] = types.ModuleType("asyncio.windows_events")
        exec('''if 1:
            from asyncio import futures
            class Base(futures.Future):
                def __init__(self, value, *, loop=None, flag="kept"):
                    super().__init__(loop=loop)
                    self.seen = value, flag
                def plain(self): return "plain"
                @property
                def kind(self): return __class__.__name__
            class Leaf(Base):
                def cancel(self): return ("leaf", super().cancel())
            def make(value, loop): return Leaf(value, loop=loop)
        ''', module.__dict__)
        original = [module.Base, module.Leaf]
        rasyncio.install()
        assert module.Leaf.__mro__ == (module.Leaf, module.Base, rasyncio.Future, object)
        loop = asyncio.new_event_loop()
        leaf = module.make(4, loop)
        assert leaf.seen == (4, "kept") and leaf.plain() == "plain" and leaf.kind == "Base"
        assert leaf.cancel() == ("leaf", True) and isinstance(leaf, asyncio.Future)
        rasyncio.uninstall()
        assert [module.Base, module.Leaf] == original
        assert not isinstance(module.make(4, loop), rasyncio.Future)
        loop.close()
        """)

    @pytest.mark.parametrize("wrap", ["by a closure", "by its code", "twice"])
    def test_a_method_that_a_tool_has_wrapped(self, wrap: str) -> None:
        """The wrapped function's `super()` starts from the class that it is a method of now."""
        check(f"""
        import asyncio, functools, types
        cls = asyncio.tasks._GatheringFuture
        calls = []
        def by_closure(function):
            @functools.wraps(function)
            def wrapper(*arguments, **keywords):
                calls.append(wrapper)
                return function(*arguments, **keywords)
            return wrapper
        def by_code(function):
            # As ddtrace's profiler does: the same function object, whose code calls a wrapper with the old function.
            old = types.FunctionType(function.__code__, function.__globals__, "old", closure=function.__closure__)
            old.__kwdefaults__ = function.__kwdefaults__
            __class__ = None
            def new(self, children, *, loop):
                wrapped = "old"
                seen = "calls"
                seen.append(__class__)
                return wrapped(self, children, loop=loop)
            found = {{"old": old, "calls": calls}}
            constants = tuple(found.get(one, one) for one in new.__code__.co_consts)
            function.__code__ = new.__code__.replace(co_consts=constants)
            return function
        def twice(function): return by_closure(by_closure(function))
        ways = {{"by a closure": by_closure, "by its code": by_code, "twice": twice}}
        cls.__init__ = ways[{wrap!r}](cls.__init__)
        import rasyncio
        async def main(): return await asyncio.gather(*(asyncio.sleep(0, i) for i in range(3)))
        for action in rasyncio.install, rasyncio.uninstall, rasyncio.install:
            action()
            calls.clear()
            assert asyncio.run(main()) == [0, 1, 2] and len(calls) == {1 + (wrap == "twice")}
        """)


class TestPlaces:
    """What stands right in a module is reached, what is further in is not: docs/differences.md has the line between."""

    @pytest.fixture
    def held(self, tmp_path: Path) -> Path:
        """A directory with a module that keeps asyncio's objects in all kinds of places."""
        (tmp_path / "held.py").write_text(
            "import asyncio, dataclasses, enum, functools, typing\n"
            "FUTURES = asyncio.Future, list\n"
            "def default(a, kind=asyncio.Task, *, get=asyncio.get_running_loop): return kind, get\n"
            "class Hostile(type):\n"
            "    def __setattr__(cls, name, value): raise AssertionError(name)\n"
            "    def __getattribute__(cls, name): raise AssertionError(name)\n"
            "class Odd(metaclass=Hostile):\n"
            "    kind = asyncio.Future\n"
            "class Attributes:\n"
            "    kind = asyncio.Future\n"
            "    kinds = asyncio.Task, asyncio.Future\n"
            "    def method(self, kind=asyncio.Task): return kind\n"
            "    @classmethod\n"
            "    def of_class(cls, kind=asyncio.Task): return kind\n"
            "    @staticmethod\n"
            "    def static(*, kind=asyncio.Task): return kind\n"
            "@dataclasses.dataclass\n"
            "class Data:\n"
            "    kind: type = asyncio.Future\n"
            "class Named(typing.NamedTuple):\n"
            "    kind: type = asyncio.Future\n"
            "class Kinds(enum.Enum):\n"
            "    FUTURE = asyncio.Future\n"
            "class Instance:\n"
            "    def __init__(self): self.kind = asyncio.Future\n"
            "instance = Instance()\n"
            "in_list, in_dict, in_set = [asyncio.Future], {1: asyncio.Future}, {asyncio.Future}\n"
            "nested = (asyncio.Future,),\n"
            "partial = functools.partial(asyncio.Future)\n"
            "alias = asyncio.Future[int]\n"
            "def closure(kind):\n"
            "    def inner(): return kind\n"
            "    return inner\n"
            "closure = closure(asyncio.Future)\n"
            "def reached():\n"
            "    return [FUTURES[0], *default(1), type.__getattribute__(Odd, 'kind'), Attributes.kind,\n"
            "            *Attributes.kinds, Attributes().method(), Attributes.of_class(), Attributes.static(),\n"
            "            Data.kind, Data().kind, Named().kind]\n"
            "def not_reached():\n"
            "    return [Kinds.FUTURE.value, instance.kind, in_list[0], in_dict[1], *in_set, nested[0][0],\n"
            "            partial.func, alias.__origin__, closure()]\n"
        )
        return tmp_path

    def test_there_and_back(self, held: Path) -> None:
        check(
            """
        import held, rasyncio
        theirs, stay, tuples = held.reached(), held.not_reached(), (held.FUTURES, held.default.__defaults__)
        own = rasyncio._asyncio
        ours = [own.Future, own.Task, own.get_running_loop, own.Future, own.Future, own.Task, own.Future, own.Task,
                own.Task, own.Task, own.Future, own.Future, own.Future]
        for _ in range(2):
            rasyncio.install()
            assert held.reached() == ours, held.reached()
            assert held.FUTURES[1] is list
            assert held.not_reached() == stay and own.Future not in stay
            rasyncio.uninstall()
            assert held.reached() == theirs and held.not_reached() == stay
            assert held.FUTURES is tuples[0] and held.default.__defaults__ is tuples[1]
        """,
            cwd=held,
        )

    def test_first_imported_on_the_swap(self, held: Path) -> None:
        check(
            """
        import rasyncio
        rasyncio.install()
        import held
        ours = held.reached()
        assert ours[1] is rasyncio.Task
        rasyncio.uninstall()
        import _asyncio
        assert held.reached()[:3] == [_asyncio.Future, _asyncio.Task, _asyncio.get_running_loop]
        rasyncio.install()
        assert held.reached() == ours
        """,
            cwd=held,
        )

    def test_what_was_taken_from_rasyncio_stays(self, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(
            "import asyncio, rasyncio\n"
            "BOTH = rasyncio.Future, asyncio.Future\n"
            "OWN = (rasyncio.Future,)\n"
            "class Own:\n"
            "    kind = rasyncio.Future\n"
            "def default(kind=rasyncio.Task): return kind\n"
        )
        check(
            """
        import asyncio, mine, rasyncio
        rasyncio.install()
        assert mine.BOTH == (rasyncio.Future, rasyncio.Future)
        rasyncio.uninstall()
        assert mine.BOTH == (rasyncio.Future, asyncio.Future) and asyncio.Future is not rasyncio.Future
        assert mine.OWN == (rasyncio.Future,)
        assert mine.Own.kind is rasyncio.Future and mine.default() is rasyncio.Task
        """,
            cwd=tmp_path,
        )

    def test_a_class_that_another_module_names(self, held: Path) -> None:
        (held / "other.py").write_text("from held import Attributes, default as renamed\n")
        check(
            """
        import other, rasyncio, sys
        del sys.modules["held"]
        rasyncio.install()
        assert other.renamed(1)[0] is rasyncio.Task  # functions are whose they are
        assert other.Attributes.kind is not rasyncio.Future  # classes are looked at where they were made
        """,
            cwd=held,
        )

    @pytest.mark.skipif(sys.version_info >= (3, 12), reason="only 3.11's _testcapi has such a type")
    def test_a_static_type_that_is_not_ready(self) -> None:
        """It has no dictionary to look into."""
        pytest.importorskip("_testcapi", reason="this Python came without it")
        check(
            """
        import asyncio, rasyncio
        from _testcapi import _test_structmembersType as unready
        assert type.__dict__["__dict__"].__get__(unready) is None
        rasyncio.install()
        assert asyncio.Future is rasyncio.Future
        """
        )


#: `told(action)`: what RuntimeWarnings it gave, as (class, base, remedy, file and line that the warning points to).
TOLD = r"""
import re, warnings

def told(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    pattern = r"(\S+) was derived from asyncio\.(\w+) before rasyncio exchanged that class, .*\. Call rasyncio\.(.*)"
    assert all(warning.category is RuntimeWarning for warning in caught)
    return sorted((*re.fullmatch(pattern, str(w.message)).groups(), f"{w.filename}:{w.lineno}") for w in caught)

def names(action):
    return [name for name, *_ in told(action)]
"""


def check_told(code: str, *arguments: str, cwd: Path | None = None) -> str:
    return check_python(TOLD + "\n".join(line[8:] for line in code.splitlines()), *arguments, cwd=cwd)


class TestEarlySubclasses:
    """A class that was derived from what the swap takes away is named once."""

    @pytest.fixture
    def early(self, tmp_path: Path) -> Path:
        """A directory with a module of early subclasses."""
        (tmp_path / "early.py").write_text(
            "import asyncio\n"
            "class Task(asyncio.Task):\n"
            "    class Nested(asyncio.Future): pass\n"
            "class Sub(Task): pass\n"
            "class Mixin: pass\n"
            "class Both(Mixin, asyncio.Future): __slots__ = ()\n"
            "class Gathering(asyncio.tasks._GatheringFuture): pass\n"
            "class Pure(asyncio.tasks._PyTask): pass\n"
            "class AlsoPure(asyncio.futures._PyFuture): pass\n"
            "Generic = asyncio.Future[int]\n"
        )
        return tmp_path

    def test_each_is_named_with_the_remedy(self, early: Path) -> None:
        check_told(
            """
        import early, rasyncio
        remedy = "install() before early is imported"
        warned = told(rasyncio.install)
        assert [(name, base, text) for name, base, text, _ in warned] == [
            ("early.Both", "Future", remedy),
            ("early.Gathering", "Future", remedy),
            ("early.Sub", "Task", remedy),
            ("early.Task", "Task", remedy),
            ("early.Task.Nested", "Future", remedy),
        ], warned
        """,
            cwd=early,
        )

    def test_none_that_is_made_after(self, early: Path) -> None:
        check_told(
            """
        import asyncio, rasyncio
        assert told(rasyncio.install) == []
        import early
        assert issubclass(early.Task, rasyncio.Task)
        assert names(rasyncio.uninstall) == ["early.Both", "early.Gathering", "early.Sub", "early.Task",
                                             "early.Task.Nested"]
        assert told(rasyncio.install) == []
        """,
            cwd=early,
        )

    def test_once_in_a_process(self) -> None:
        check_told("""
        import asyncio, rasyncio
        class Early(asyncio.Task): pass
        assert names(rasyncio.install) == ["__main__.Early"]
        class Ours(asyncio.Task): pass
        warned = told(rasyncio.uninstall)
        assert [warning[:3] for warning in warned] == [
            ("__main__.Ours", "Task", "uninstall() before the class is made")], warned
        class Late(asyncio.Future): pass
        assert names(rasyncio.install) == ["__main__.Late"]
        assert names(rasyncio.uninstall) == []
        """)

    def test_it_points_to_the_caller(self) -> None:
        check_told("""
        import asyncio, inspect, rasyncio, traceback
        async def main(): pass

        def by_run(): rasyncio.run(main())
        def by_factory():
            with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner: runner.run(main())
        def by_new_loop(): rasyncio.new_event_loop().close()
        def by_install(): rasyncio.install()

        for action in by_run, by_factory, by_new_loop, by_install:
            class Early(asyncio.Task): pass
            warned = told(action)
            line = action.__code__.co_firstlineno + (action is by_factory)
            assert [place for *_, place in warned] == [f"<string>:{line}"], (action, warned)
            rasyncio.uninstall()
            del Early
        """)

    def test_not_what_nobody_has_any_more(self) -> None:
        check_told("""
        import asyncio, gc, rasyncio
        gc.disable()
        class Early(asyncio.Task): pass
        del Early
        assert told(rasyncio.install) == []
        """)

    def test_as_an_error_it_undoes_the_swap(self) -> None:
        check_told("""
        import asyncio, rasyncio, warnings
        class Early(asyncio.Task): pass
        theirs = [asyncio.Task]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                rasyncio.install()
            except RuntimeWarning as warning:
                assert "__main__.Early" in str(warning)
            else:
                raise AssertionError("installed")
        assert not rasyncio.installed() and asyncio.Task is theirs[0]
        assert names(rasyncio.install) == ["__main__.Early"] and rasyncio.installed()
        """)

    def test_classes_that_are_odd(self) -> None:
        check_told("""
        import asyncio, rasyncio
        class Refusing(type):
            def __getattribute__(cls, name): raise AssertionError(name)
            def __subclasscheck__(cls, other): raise AssertionError
            def __eq__(cls, other): raise AssertionError
            def __hash__(cls): raise AssertionError
        Odd = Refusing("Odd", (asyncio.Task,), {"__module__": 5})
        warned = told(rasyncio.install)
        assert [warning[:3] for warning in warned] == [("?.Odd", "Task", "install() before ? is imported")], warned
        """)

    def test_what_is_said_is_so(self) -> None:
        check_told("""
        import asyncio, rasyncio
        class Task(asyncio.Task): pass
        class Future(asyncio.Future): pass

        async def inside():
            assert isinstance(asyncio.current_task(), Task) and asyncio.current_task() in asyncio.all_tasks()
            async with asyncio.timeout(1), asyncio.TaskGroup():
                pass

        async def main():
            loop = asyncio.get_running_loop()
            task, future = Task(inside(), loop=loop), Future(loop=loop)
            assert not isinstance(task, asyncio.Task) and not isinstance(future, asyncio.Future)
            loop.call_soon(future.set_result, 5)
            assert await future == 5
            await task

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rasyncio.install()
        texts = sorted(str(warning.message) for warning in caught)
        assert [text.partition(" ")[0] for text in texts] == ["__main__.Future", "__main__.Task"], texts
        # Where CPython's module and ours have no state in common, there is more to say (test_debug_section.py).
        assert not any("timeout" in text for text in texts)
        asyncio.run(main())
        """)


class TestUninstall:
    def test_everything_is_the_same_object_again(self) -> None:
        check("""
        import asyncio, unittest.async_case, concurrent.futures, logging.config
        from asyncio import Task, current_task, get_event_loop, tasks
        import rasyncio
        before = snapshot()
        for _ in range(3):
            rasyncio.install()
            after_install = changed(before)
            assert ("asyncio", "Task") in after_install and Task is rasyncio.Task
            assert ("asyncio.tasks", "_GatheringFuture") in after_install
            assert asyncio.run(exercise()) is rasyncio.Task
            rasyncio.uninstall()
            assert changed(before) == set(), changed(before)
            assert asyncio.run(exercise()) is Task is not rasyncio.Task
        assert sys.modules["_asyncio"] is asyncio.tasks._asyncio is not rasyncio._asyncio
        """)

    def test_before_asyncio_is_imported(self) -> None:
        check("""
        import rasyncio
        rasyncio.install(loop=False)
        rasyncio.uninstall()
        assert not rasyncio.installed() and "_asyncio" not in sys.modules and "asyncio" not in sys.modules
        import asyncio, _asyncio
        assert asyncio.Task is _asyncio.Task is not rasyncio.Task and held(rasyncio._asyncio) == []
        assert asyncio.run(exercise()) is _asyncio.Task
        """)

    def test_asyncio_was_first_imported_on_the_swap(self, tmp_path: Path) -> None:
        (tmp_path / "late.py").write_text("from asyncio import Future, all_tasks, current_task\n")
        check(
            """
        import rasyncio
        rasyncio.install()
        import asyncio, late
        assert late.Future is rasyncio.Future
        rasyncio.uninstall()
        import _asyncio
        assert _asyncio is not rasyncio._asyncio and _asyncio.__spec__.name == "_asyncio"
        for name, value in interface(_asyncio).items():
            homes = [m for m in (asyncio.events, asyncio.futures, asyncio.tasks) if hasattr(m, name)]
            assert homes and all(getattr(m, name) is value for m in homes), name
        assert late.Future is asyncio.Future is _asyncio.Future and late.current_task is asyncio.current_task
        assert asyncio.tasks._GatheringFuture.__bases__ == (_asyncio.Future,)
        del late.Future
        assert held(rasyncio._asyncio) == []
        assert asyncio.run(exercise()) is _asyncio.Task
        rasyncio.install()
        assert asyncio.run(exercise()) is rasyncio.Task
        rasyncio.uninstall()
        assert asyncio.run(exercise()) is _asyncio.Task
        """,
            cwd=tmp_path,
        )

    def test_what_was_taken_from_rasyncio_stays(self) -> None:
        check("""
        import asyncio, rasyncio
        from rasyncio import Future, Task as RustTask
        rasyncio.install()
        rasyncio.uninstall()
        assert rasyncio.Future is Future is rasyncio._asyncio.Future is not asyncio.Future
        assert RustTask is rasyncio.Task is not asyncio.Task
        """)


class TestAllOrNothing:
    def test_an_error_half_way_restores_all(self) -> None:
        check("""
        import asyncio, rasyncio
        from rasyncio import _swap

        class Stubborn(dict):
            refused = 0
            def __setitem__(self, key, value):
                if not Stubborn.refused:
                    Stubborn.refused += 1
                    raise KeyboardInterrupt
                super().__setitem__(key, value)

        places = _swap.places
        def with_stubborn(ids, *modules):
            yield from places(ids, *modules)
            if modules[-1] is not modules[0]:
                yield ("stubborn", "Future"), modules[0].Future, (Stubborn.__setitem__, Stubborn(), "Future")

        before = snapshot()
        for action in rasyncio.install, rasyncio.uninstall:
            _swap.places = with_stubborn
            Stubborn.refused = 0
            state, installed = snapshot(), rasyncio.installed()
            try:
                action()
            except KeyboardInterrupt:
                assert Stubborn.refused == 1
            else:
                raise AssertionError("no error")
            assert changed(state) == set(), changed(state)
            assert rasyncio.installed() is installed
            _swap.places = places
            action()
            assert rasyncio.installed() is not installed
        assert changed(before) == set(), changed(before)
        """)

    def test_cpython_s_module_cannot_be_loaded(self) -> None:
        check("""
        import rasyncio
        rasyncio.install()
        import asyncio
        class Refusing:
            def find_spec(self, name, path=None, target=None):
                if name == "_asyncio":
                    raise ImportError("not today")
        sys.meta_path.insert(0, Refusing())
        before = snapshot()
        try:
            rasyncio.uninstall()
        except ImportError as error:
            assert "not today" in str(error)
        else:
            raise AssertionError("uninstalled")
        assert rasyncio.installed() and changed(before) == set()
        assert asyncio.run(exercise()) is rasyncio.Task
        del sys.meta_path[0]
        rasyncio.uninstall()
        assert asyncio.run(exercise()) is not rasyncio.Task
        """)

    def test_an_interface_that_does_not_fit(self) -> None:
        check("""
        import asyncio, _asyncio, rasyncio
        _asyncio._from_a_later_patch_release = lambda: None
        before = snapshot()
        try:
            rasyncio.install()
        except RuntimeError as error:
            assert "_from_a_later_patch_release" in str(error)
        else:
            raise AssertionError("installed")
        assert changed(before) == set() and not rasyncio.installed()
        """)


class TestRefusal:
    def test_in_a_running_loop(self) -> None:
        check("""
        import asyncio, rasyncio

        async def refused(action):
            before = snapshot()
            try:
                action()
            except RuntimeError as error:
                assert f"rasyncio.{action.__name__}() cannot be called while an event loop is running" in str(error)
            else:
                raise AssertionError("not refused")
            assert changed(before) == set()

        asyncio.run(refused(rasyncio.install))
        assert not rasyncio.installed()
        rasyncio.install()
        asyncio.run(refused(rasyncio.uninstall))
        assert rasyncio.installed()

        async def nothing_to_do(action):
            action()

        asyncio.run(nothing_to_do(rasyncio.install))
        rasyncio.uninstall()
        asyncio.run(nothing_to_do(rasyncio.uninstall))
        """)

    def test_while_a_loop_runs_in_another_thread(self) -> None:
        check("""
        import asyncio, rasyncio, threading
        loop = asyncio.new_event_loop()
        started = threading.Event()
        loop.call_soon(started.set)
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        started.wait()
        for action in rasyncio.install, lambda: rasyncio.run(never_run):
            never_run = asyncio.sleep(0)
            try:
                action()
            except RuntimeError as error:
                assert "while an event loop is running" in str(error) and type(loop).__name__ in str(error)
            else:
                raise AssertionError("not refused")
            finally:
                never_run.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        rasyncio.install()  # a loop that has stopped is no obstacle
        assert loop.run_until_complete(exercise()) is rasyncio.Task
        loop.close()
        """)

    def test_loops_that_cannot_say(self) -> None:
        check("""
        import asyncio, rasyncio
        class Broken(asyncio.AbstractEventLoop):
            def is_running(self): raise ValueError("ask someone else")
        class Vague(asyncio.AbstractEventLoop):
            def is_running(self): return object()
        half_made = asyncio.SelectorEventLoop.__new__(asyncio.SelectorEventLoop)
        loops = Broken(), Vague(), half_made, asyncio.AbstractEventLoop()
        rasyncio.install()
        assert rasyncio.installed()
        asyncio.SelectorEventLoop.__del__ = lambda self: None  # it cannot cope with one half made
        """)

    def test_a_loop_of_another_make(self) -> None:
        check("""
        import asyncio, rasyncio
        class Foreign(asyncio.AbstractEventLoop):
            running = True
            def is_running(self): return self.running
        loop = Foreign()
        try:
            rasyncio.install()
        except RuntimeError as error:
            assert "Foreign" in str(error)
        else:
            raise AssertionError("not refused")
        loop.running = False
        rasyncio.install()
        """)


class TestRun:
    def test_installs_and_stays_installed(self) -> None:
        check("""
        import rasyncio
        async def main():
            import asyncio
            assert asyncio.get_running_loop().get_debug() is DEBUG
            return type(asyncio.current_task())
        for DEBUG in False, True:
            assert rasyncio.run(main(), debug=DEBUG) is rasyncio.Task
            assert rasyncio.installed()
        import asyncio
        assert asyncio.run(exercise()) is rasyncio.Task
        """)

    @pytest.mark.parametrize("installed", [False, True])
    def test_in_a_running_loop_the_error_is_asyncio_s_own(self, installed: bool) -> None:
        check(f"""
        import asyncio, rasyncio
        if {installed}:
            rasyncio.install()
        async def inner(): pass
        async def main():
            errors = []
            for run in asyncio.run, rasyncio.run:
                coroutine = inner()
                try:
                    run(coroutine)
                except RuntimeError as error:
                    errors.append(str(error))
                coroutine.close()
            assert errors == ["asyncio.run() cannot be called from a running event loop"] * 2, errors
        asyncio.run(main())
        assert rasyncio.installed() is {installed}
        """)

    def test_errors_come_through(self) -> None:
        check("""
        import rasyncio
        async def main(): raise LookupError("mine")
        try:
            rasyncio.run(main())
        except LookupError as error:
            assert error.args == ("mine",)
        else:
            raise AssertionError
        try:
            rasyncio.run(3)
        except (TypeError, ValueError) as error:
            import asyncio
            try:
                asyncio.run(3)
            except (TypeError, ValueError) as expected:
                assert str(error) == str(expected) and type(error) is type(expected)
        else:
            raise AssertionError
        """)


class TestSurroundings:
    def test_sub_interpreter(self) -> None:
        check("""
        HERE = '''if 1:
            import sys, rasyncio
            assert "asyncio" not in sys.modules and "rasyncio._asyncio" not in sys.modules
            from rasyncio import Future, Task
            rasyncio.install()
            import asyncio
            assert asyncio.Task is Task and asyncio.Future is Future and not rasyncio.installed()
            async def main():
                await asyncio.sleep(0)
                return type(asyncio.current_task())
            assert rasyncio.run(main()) is Task is sys.modules["_asyncio"].Task
            assert "rasyncio._asyncio" not in sys.modules
            rasyncio.uninstall()
            assert rasyncio.__version__[0].isdigit()
            try:
                rasyncio.nothing
            except AttributeError as error:
                assert "nothing" in str(error)
            else:
                raise AssertionError
        '''
        in_sub_interpreter(HERE)  # first: it must not claim the extension
        import rasyncio
        rasyncio.install()
        assert rasyncio.run(exercise()) is rasyncio.Task is rasyncio._asyncio.Task
        in_sub_interpreter(HERE)
        assert rasyncio.run(exercise()) is rasyncio.Task
        """)

    def test_at_start_up_from_a_pth_file(self, tmp_path: Path) -> None:
        import rasyncio

        home = Path(rasyncio.__file__).parents[1]
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True, timeout=60)
        (site_packages,) = tmp_path.glob("[lL]ib/**/site-packages")
        (site_packages / "rasyncio-swap.pth").write_text(f"{home}\nimport rasyncio; rasyncio.install()\n")
        (python,) = [path for path in tmp_path.glob("*/python*") if path.stem == "python"]
        program = (
            "import asyncio, rasyncio, sys\n"
            "async def main(): return type(asyncio.current_task())\n"
            "assert asyncio.run(main()) is asyncio.Task is rasyncio.Task is sys.modules['_asyncio'].Task\n"
        )
        done = subprocess.run([python, "-I", "-c", program], timeout=60, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_forked_child(self) -> None:
        check("""
        import asyncio, os, rasyncio, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads

        def in_child(function):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    function()
                    status = 0
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    os._exit(status)
            assert os.waitpid(pid, 0)[1] == 0

        def run_and_uninstall():
            assert asyncio.run(exercise()) is rasyncio.Task
            rasyncio.uninstall()
            assert asyncio.run(exercise()) is not rasyncio.Task

        def install_here():
            rasyncio.install()
            run_and_uninstall()

        # The parent's loop runs in a thread that the child has not.
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        started = threading.Event()
        loop.call_soon(started.set)
        thread.start()
        started.wait()
        in_child(install_here)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

        rasyncio.install()
        in_child(run_and_uninstall)

        async def fork_inside():
            def child():
                assert asyncio._get_running_loop() is None
                assert rasyncio.run(exercise()) is rasyncio.Task
            in_child(child)
        asyncio.run(fork_inside())
        assert asyncio.run(exercise()) is rasyncio.Task
        """)

    def test_pickled_references(self) -> None:
        plain = (
            "import asyncio, pickle\n"
            "things = asyncio.Future, asyncio.Task, asyncio.get_running_loop, asyncio.current_task\n"
            "print(*map(pickle.dumps, things))\n"
        )
        assert check_python(plain) == check_python(f"import rasyncio; rasyncio.install()\n{plain}") != ""
        check("""
        import asyncio, copy, pickle, rasyncio
        things = [asyncio.Future, asyncio.Task, asyncio.get_running_loop, asyncio.tasks._GatheringFuture]
        before = [pickle.dumps(thing) for thing in things]
        rasyncio.install()
        ours = [asyncio.Future, asyncio.Task, asyncio.get_running_loop, asyncio.tasks._GatheringFuture]
        assert [pickle.loads(data) for data in before] == ours == copy.deepcopy(ours) != things
        assert [pickle.dumps(thing) for thing in ours] == before
        rasyncio.uninstall()
        assert [pickle.loads(data) for data in before] == things
        """)

    def test_uvloop(self) -> None:
        skip_without_uvloop()
        check("""
        import rasyncio
        rasyncio.install()
        import asyncio, uvloop
        assert uvloop.run(exercise()) is rasyncio.Task
        """)

    def test_uvloop_was_imported_earlier(self) -> None:
        skip_without_uvloop()
        check("""
        import asyncio, rasyncio, uvloop
        rasyncio.install()
        # Its tasks are of the class that it found.
        assert uvloop.run(exercise(theirs=True)) is asyncio.run(exercise()) is rasyncio.Task
        """)

    def test_debug_mode(self, tmp_path: Path) -> None:
        program = tmp_path / "program.py"
        program.write_text(
            "import asyncio, logging, sys, time\n"
            "if sys.argv[1] == 'swap': import rasyncio; rasyncio.install()\n"
            "logging.basicConfig(format='%(name)s %(levelname)s')\n"
            "async def main():\n"
            "    loop = asyncio.get_running_loop()\n"
            "    loop.slow_callback_duration = 0.4\n"
            "    task = asyncio.create_task(asyncio.sleep(0))\n"
            "    for future in task, asyncio.gather(task), loop.create_future():\n"
            "        lines = [frame.line for frame in future._source_traceback if frame.filename == __file__]\n"
            "        print(*lines, sep=' | ')\n"
            "    await task\n"
            "    time.sleep(0.5)\n"
            "asyncio.run(main(), debug=True)\n"
        )
        plain, swapped = (
            subprocess.run([sys.executable, program, which], timeout=60, capture_output=True, text=True)
            for which in ("plain", "swap")
        )
        assert "asyncio.run(main(), debug=True) | task = asyncio.create_task(asyncio.sleep(0))\n" in plain.stdout
        assert "asyncio WARNING" in plain.stderr  # the slow callback
        assert (swapped.returncode, swapped.stdout, swapped.stderr) == (0, plain.stdout, plain.stderr)

    def test_two_threads_at_once(self) -> None:
        check("""
        import asyncio, rasyncio, threading
        before = snapshot()
        barrier = threading.Barrier(4)
        errors = []
        def work():
            barrier.wait()
            try:
                for _ in range(20):
                    rasyncio.install()
                    rasyncio.uninstall()
            except BaseException as error:
                errors.append(error)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not errors and not rasyncio.installed(), errors
        assert changed(before) == set(), changed(before)
        """)


def test_the_helpers_see_a_program_that_fails() -> None:
    assert run_python("raise SystemExit(4)").returncode == 4
    with pytest.raises(AssertionError, match="deliberate"):
        check("""
        raise AssertionError("deliberate")
        """)


def test_whoever_keeps_get_running_loop_of_either_module_is_told() -> None:
    """As an extension does, in a C variable that no swap can reach."""
    check_python("""
        import asyncio, rasyncio
        kept = [(asyncio.get_running_loop, asyncio._get_running_loop)]
        rasyncio.install()
        kept.append((asyncio.get_running_loop, asyncio._get_running_loop))
        assert kept[0] != kept[1]

        async def main():
            for get, get_or_none in kept:
                assert get() is get_or_none() is asyncio.get_running_loop()

        def check():
            asyncio.run(main())
            for get, get_or_none in kept:
                assert get_or_none() is None
                try:
                    get()
                except RuntimeError as error:
                    assert str(error) == "no running event loop"
                else:
                    raise AssertionError("a loop is running")

        check()
        rasyncio.uninstall()
        check()
        rasyncio.install()
        check()
    """)
