"""The event loop that install(), new_event_loop() and run() bring: every test in an interpreter of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from test_swap import check as check_with_helpers
from test_swap import skip_without_uvloop

# `made()` is what asyncio makes for a program that does not choose, by each of the ways to get it.
HELPERS = """
import contextlib, warnings

def made():
    import asyncio
    async def main():
        return type(asyncio.get_running_loop())
    loop = asyncio.new_event_loop()
    loop.close()
    kinds = {type(loop), asyncio.run(main()), asyncio.run(main(), debug=True)}
    with asyncio.Runner() as runner:
        kinds.add(runner.run(main()))
    if sys.version_info < (3, 14):
        policy = asyncio.get_event_loop_policy()
        policy.set_event_loop(None)
        policy._local._set_called = False  # as in a program that has just started
        with warnings.catch_warnings(record=True):  # 3.12 and 3.13 warn when they make one
            warnings.simplefilter("always")
            loop = policy.get_event_loop()
        kinds.add(type(loop))
        loop.close()
    assert len(kinds) == 1, kinds
    return kinds.pop()

def set_policy(policy):
    import asyncio
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.14
        asyncio.set_event_loop_policy(policy)

def policy_classes():
    import asyncio
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.14
        return asyncio.AbstractEventLoopPolicy, asyncio.DefaultEventLoopPolicy

def default_factory():
    return vars(policy_classes()[1])["_loop_factory"]

@contextlib.contextmanager
def loop_in_a_thread():
    import asyncio, threading
    loop = asyncio.SelectorEventLoop()
    started = threading.Event()
    loop.call_soon(started.set)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    started.wait()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
"""


def check(code: str, *arguments: str, cwd: Path | None = None) -> str:
    helpers = "".join(f"        {line}\n" for line in HELPERS.splitlines())
    return check_with_helpers(helpers + code, *arguments, cwd=cwd)


class TestInstall:
    @pytest.mark.parametrize("before", ["", "import asyncio", "from asyncio import run, new_event_loop, unix_events"])
    def test_asyncio_makes_ours(self, before: str) -> None:
        check(f"""
        {before}
        import rasyncio
        rasyncio.install()
        assert made() is rasyncio.EventLoop
        import asyncio
        assert asyncio.run(exercise()) is rasyncio.Task
        """)

    def test_before_asyncio_is_imported(self) -> None:
        check("""
        import rasyncio
        assert "asyncio" not in sys.modules
        rasyncio.install()
        import asyncio, _asyncio
        assert _asyncio is rasyncio._asyncio and asyncio.Task is asyncio.tasks._CTask is rasyncio.Task
        assert asyncio.tasks._GatheringFuture.__base__ is rasyncio.Future
        """)

    def test_the_stock_classes_stay(self) -> None:
        check("""
        import asyncio, rasyncio
        names = [name for name in ("SelectorEventLoop", "EventLoop") if hasattr(asyncio, name)]
        stock = [getattr(asyncio, name) for name in names]
        rasyncio.install()
        assert [getattr(asyncio, name) for name in names] == stock and rasyncio.EventLoop not in stock
        assert issubclass(rasyncio.EventLoop, asyncio.SelectorEventLoop)
        async def main(): return type(asyncio.get_running_loop())
        for kind in stock:
            with asyncio.Runner(loop_factory=kind) as runner:
                assert runner.run(main()) is kind
        """)

    def test_without_the_loop(self) -> None:
        check("""
        import rasyncio
        rasyncio.install(loop=False)
        assert "asyncio" not in sys.modules and "rasyncio._loop" not in sys.modules
        import asyncio
        assert rasyncio.installed() and made() is asyncio.SelectorEventLoop
        assert asyncio.run(exercise()) is rasyncio.Task
        """)

    def test_back_and_forth(self) -> None:
        check("""
        import asyncio, rasyncio
        before = snapshot()
        stock = asyncio.SelectorEventLoop
        for action, swapped, loop in [
            (rasyncio.uninstall, False, stock),
            (rasyncio.install, True, rasyncio.EventLoop),
            (rasyncio.install, True, rasyncio.EventLoop),
            (rasyncio.uninstall, False, stock),
            (rasyncio.uninstall, False, stock),
            (lambda: rasyncio.install(loop=False), True, stock),
            (lambda: rasyncio.install(loop=True), True, rasyncio.EventLoop),
            (lambda: rasyncio.install(False), True, stock),
            (lambda: rasyncio.install(loop=False), True, stock),
            (rasyncio.install, True, rasyncio.EventLoop),
            (rasyncio.uninstall, False, stock),
        ]:
            action()
            assert rasyncio.installed() is swapped and made() is default_factory() is loop
            assert asyncio.run(exercise()) is asyncio.Task
            assert (asyncio.Task is rasyncio.Task) is swapped
        assert changed(before) == set(), changed(before)
        """)

    def test_loops_and_the_policy_that_exist_stay(self) -> None:
        check("""
        import asyncio, rasyncio
        asyncio.run(asyncio.sleep(0))
        policy, loop = asyncio.events._get_event_loop_policy() if sys.version_info >= (3, 14) \
            else asyncio.get_event_loop_policy(), asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        rasyncio.install()
        assert asyncio.events._event_loop_policy is policy and asyncio.get_event_loop() is loop
        assert loop.run_until_complete(exercise()) is rasyncio.Task
        loop.close()
        assert made() is rasyncio.EventLoop
        """)

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="child watchers were removed in 3.14")
    def test_child_watcher(self) -> None:
        check("""
        import asyncio, rasyncio
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: child watchers are deprecated
        watcher = asyncio.SafeChildWatcher()
        asyncio.set_child_watcher(watcher)
        rasyncio.install()
        assert asyncio.get_child_watcher() is watcher
        async def main():
            assert type(asyncio.get_running_loop()) is rasyncio.EventLoop is type(watcher._loop)
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
            return await process.wait()
        assert asyncio.run(main()) == 7
        watcher.close()
        """)

    def test_asyncio_cannot_be_imported(self) -> None:
        check("""
        import rasyncio
        class Refusing:
            def find_spec(self, name, path=None, target=None):
                if name == "asyncio.unix_events":
                    raise ImportError("not today")
        sys.meta_path.insert(0, Refusing())
        try:
            rasyncio.install()
        except ImportError as error:
            assert "not today" in str(error)
        else:
            raise AssertionError("installed")
        assert rasyncio.installed() and "asyncio" not in sys.modules
        del sys.meta_path[0]
        for name in [name for name in sys.modules if name.split(".")[0] == "asyncio"]:
            del sys.modules[name]  # what was imported of it, with which it cannot be imported again
        rasyncio.install()
        import asyncio
        assert made() is rasyncio.EventLoop and asyncio.run(exercise()) is rasyncio.Task
        """)

    def test_a_platform_with_another_kind_of_default_loop(self) -> None:
        # Stands for Windows, where asyncio.unix_events is not imported and cannot be.
        check("""
        import asyncio, rasyncio
        set_policy(policy_classes()[1]())
        sys.modules["asyncio.unix_events"] = None
        for action in rasyncio.install, lambda: rasyncio.install(loop=False), rasyncio.install, rasyncio.uninstall:
            action()
            loop = asyncio.new_event_loop()
            assert type(loop) is asyncio.SelectorEventLoop
            loop.close()
        rasyncio.install()
        assert asyncio.run(exercise()) is rasyncio.Task
        assert rasyncio.run(exercise()) is rasyncio.Task
        """)


class TestExplicitChoice:
    def test_loop_factory(self) -> None:
        check("""
        import asyncio, rasyncio
        rasyncio.install()
        class Own(asyncio.SelectorEventLoop): pass
        async def main(): return type(asyncio.get_running_loop())
        with asyncio.Runner(loop_factory=Own) as runner:
            assert runner.run(main()) is Own
        if sys.version_info >= (3, 12):
            assert asyncio.run(main(), loop_factory=Own) is Own
        """)

    @pytest.mark.parametrize("first", ["policy", "install"])
    @pytest.mark.parametrize(
        "body",
        [
            "_loop_factory = Own",
            "_loop_factory = staticmethod(lambda: Own())",
            "def new_event_loop(self): return Own()",
        ],
    )
    def test_a_subclass_of_the_default_policy(self, first: str, body: str) -> None:
        check(f"""
        import asyncio, rasyncio
        class Own(asyncio.SelectorEventLoop): pass
        class Policy(policy_classes()[1]):
            {body}
        if {first == "install"}:
            rasyncio.install()
        set_policy(Policy())
        rasyncio.install()
        assert made() is Own
        set_policy(None)
        assert made() is rasyncio.EventLoop
        """)

    def test_a_subclass_that_leaves_the_loop_open(self) -> None:
        check("""
        import asyncio, rasyncio
        class Policy(policy_classes()[1]): pass
        set_policy(Policy())
        assert made() is asyncio.SelectorEventLoop
        rasyncio.install()
        assert made() is rasyncio.EventLoop and "_loop_factory" not in vars(Policy)
        rasyncio.uninstall()
        assert made() is asyncio.SelectorEventLoop
        """)

    def test_a_policy_from_scratch(self) -> None:
        check("""
        import asyncio, rasyncio
        class Own(asyncio.SelectorEventLoop): pass
        class Policy(policy_classes()[0]):
            def new_event_loop(self): return Own()
            def set_event_loop(self, loop): pass
        set_policy(Policy())
        rasyncio.install()
        async def main(): return type(asyncio.get_running_loop())
        assert asyncio.run(main()) is Own
        rasyncio.uninstall()
        assert asyncio.run(main()) is Own
        """)

    def test_what_somebody_else_put_there(self) -> None:
        check("""
        import asyncio, rasyncio
        class Own(asyncio.SelectorEventLoop): pass
        policy = policy_classes()[1]
        for first in rasyncio.uninstall, rasyncio.install:
            policy._loop_factory = asyncio.SelectorEventLoop
            first()
            policy._loop_factory = Own
            for action in rasyncio.install, lambda: rasyncio.install(loop=False), rasyncio.install, rasyncio.uninstall:
                action()
                assert made() is Own
        """)

    @pytest.mark.parametrize("way", ["uvloop.install()", "set_policy(uvloop.EventLoopPolicy())"])
    def test_uvloop(self, way: str) -> None:
        skip_without_uvloop()
        check(f"""
        import rasyncio
        rasyncio.install()
        import asyncio, uvloop
        async def main(): return type(asyncio.get_running_loop())
        assert uvloop.run(main()) is uvloop.Loop
        assert made() is rasyncio.EventLoop
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            {way}
        assert asyncio.run(main()) is uvloop.Loop
        rasyncio.install()
        assert asyncio.run(exercise()) is rasyncio.Task
        assert asyncio.run(main()) is uvloop.Loop
        assert rasyncio.run(main()) is rasyncio.EventLoop
        """)


class TestRefusal:
    def test_in_a_running_loop(self) -> None:
        check("""
        import asyncio, rasyncio
        async def refused(action):
            try:
                action()
            except RuntimeError as error:
                assert f"rasyncio.{action.__name__}() cannot be called while an event loop is running" in str(error)
            else:
                raise AssertionError("not refused")

        asyncio.run(refused(rasyncio.install))
        assert made() is asyncio.SelectorEventLoop
        rasyncio.install()
        asyncio.run(refused(rasyncio.uninstall))
        assert made() is rasyncio.EventLoop
        """)

    def test_the_loop_alone_is_never_refused(self) -> None:
        # It concerns loops that are made later.
        check("""
        import asyncio, rasyncio
        rasyncio.install(loop=False)
        async def main(*arguments):
            rasyncio.install(*arguments)
            return type(asyncio.get_running_loop())
        assert asyncio.run(main()) is asyncio.SelectorEventLoop and made() is rasyncio.EventLoop
        assert asyncio.run(main(False)) is rasyncio.EventLoop and made() is asyncio.SelectorEventLoop
        """)


class TestNewEventLoop:
    def test_as_a_loop_factory(self) -> None:
        check("""
        import rasyncio
        assert "asyncio" not in sys.modules
        loop = rasyncio.new_event_loop()
        assert type(loop) is rasyncio.EventLoop and not loop.is_running() and rasyncio.installed()
        loop.close()
        import asyncio
        async def main():
            assert await exercise() is rasyncio.Task
            return type(asyncio.get_running_loop())
        with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner:
            assert runner.run(main()) is rasyncio.EventLoop
        if sys.version_info >= (3, 12):
            assert asyncio.run(main(), loop_factory=rasyncio.new_event_loop) is rasyncio.EventLoop
        assert made() is asyncio.SelectorEventLoop  # the default is install()'s
        """)

    def test_after_asyncio_was_imported(self) -> None:
        check("""
        import asyncio, rasyncio
        from asyncio import Task
        with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner:
            assert runner.run(exercise()) is Task is rasyncio.Task
        """)

    @pytest.mark.parametrize("loop", [False, True])
    def test_leaves_alone_what_install_did(self, loop: bool) -> None:
        check(f"""
        import asyncio, rasyncio
        rasyncio.install(loop={loop})
        before = snapshot(), made()
        rasyncio.new_event_loop().close()
        assert changed(before[0]) == set() and made() is before[1]
        """)

    def test_while_a_loop_runs_in_another_thread(self) -> None:
        check("""
        import asyncio, rasyncio
        before = snapshot()
        with loop_in_a_thread() as other:
            with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner:
                assert type(runner.get_loop()) is rasyncio.EventLoop
                assert runner.run(exercise()) is asyncio.Task is not rasyncio.Task
            assert asyncio.run_coroutine_threadsafe(exercise(), other).result() is asyncio.Task
        assert not rasyncio.installed() and changed(before) == set()
        rasyncio.new_event_loop().close()
        assert rasyncio.installed()
        """)

    def test_in_a_running_loop(self) -> None:
        check("""
        import asyncio, rasyncio
        async def main():
            loop = rasyncio.new_event_loop()
            assert type(loop) is rasyncio.EventLoop and not rasyncio.installed()
            loop.close()
            return await exercise()
        assert asyncio.run(main()) is asyncio.Task is not rasyncio.Task
        """)

    def test_after_uvloop_was_imported(self) -> None:
        skip_without_uvloop()
        check("""
        import asyncio, rasyncio, uvloop
        with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner:
            assert type(runner.get_loop()) is rasyncio.EventLoop
            assert runner.run(exercise()) is asyncio.Task is rasyncio.Task
        assert uvloop.run(exercise(theirs=True)) is asyncio.Task and rasyncio.installed()
        """)

    def test_takes_no_argument(self) -> None:
        """But for the test case that has it as a class attribute: tests/swap/test_status.py."""
        check("""
        import rasyncio, selectors
        for wrong in 1, "x", selectors.SelectSelector(), object:
            try:
                rasyncio.new_event_loop(wrong)
            except TypeError as error:
                assert "takes no argument" in str(error) and "rasyncio.EventLoop()" in str(error)
            else:
                raise AssertionError(wrong)
        assert not rasyncio.installed()
        rasyncio.new_event_loop(None).close()
        """)

    def test_from_many_threads_at_once(self) -> None:
        check("""
        import asyncio, rasyncio, threading
        barrier = threading.Barrier(6)
        results = []
        def work():
            barrier.wait()
            loop = rasyncio.new_event_loop()
            barrier.wait()  # a loop that runs already would keep the next one from the swap
            results.append((type(loop), loop.run_until_complete(exercise())))
            loop.close()
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert results == [(rasyncio.EventLoop, rasyncio.Task)] * 6, results
        """)


class TestRun:
    @pytest.mark.parametrize("before", ["", "import asyncio"])
    def test_on_our_loop(self, before: str) -> None:
        check(f"""
        {before}
        import rasyncio
        async def main(debug):
            import asyncio
            loop = asyncio.get_running_loop()
            assert loop.get_debug() is debug and (debug or await exercise() is rasyncio.Task)
            return type(loop)
        assert rasyncio.run(main(False)) is rasyncio.run(main(True), debug=True) is rasyncio.EventLoop
        import asyncio
        assert rasyncio.installed() and made() is asyncio.SelectorEventLoop  # the default is install()'s
        """)

    def test_loop_factory(self) -> None:
        check("""
        import asyncio, rasyncio
        class Own(asyncio.SelectorEventLoop): pass
        async def main(): return type(asyncio.get_running_loop()), asyncio.get_running_loop().get_debug()
        assert rasyncio.run(main(), loop_factory=Own) == (Own, False)
        assert rasyncio.run(main(), loop_factory=Own, debug=True) == (Own, True)
        assert rasyncio.run(main(), loop_factory=None) == (asyncio.SelectorEventLoop, False)
        rasyncio.install()
        assert rasyncio.run(main(), loop_factory=None, debug=True) == (rasyncio.EventLoop, True)
        """)

    def test_while_a_loop_runs_in_another_thread(self) -> None:
        check("""
        import asyncio, rasyncio
        rasyncio.install(loop=False)
        async def main(): return type(asyncio.get_running_loop())
        with loop_in_a_thread():
            assert rasyncio.run(main()) is rasyncio.EventLoop
        """)

    def test_the_loop_is_closed(self) -> None:
        check("""
        import asyncio, rasyncio
        loops, cleaned = [], []
        async def background():
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0)
                cleaned.append("task")
        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0)
                cleaned.append("generator")
        async def main():
            loops.append(asyncio.get_running_loop())
            loops.append(asyncio.create_task(background()))
            loops.append(numbers())
            await anext(loops[-1])
            raise LookupError("mine")
        try:
            rasyncio.run(main())
        except LookupError:
            assert loops[0].is_closed() and loops[1].cancelled() and sorted(cleaned) == ["generator", "task"]
        else:
            raise AssertionError
        """)


class TestSurroundings:
    def test_threads(self) -> None:
        check("""
        import asyncio, rasyncio, threading
        rasyncio.install()
        async def main():
            assert await exercise() is rasyncio.Task
            return type(asyncio.get_running_loop())
        results = []
        threads = [threading.Thread(target=lambda: results.append(asyncio.run(main()))) for _ in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert results == [rasyncio.EventLoop] * 6, results
        """)

    def test_unittest_s_async_cases(self, tmp_path: Path) -> None:
        chosen = "asyncio.SelectorEventLoop" if sys.version_info >= (3, 13) else "rasyncio.EventLoop"  # no choice
        (tmp_path / "test_it.py").write_text(
            "import asyncio, unittest, rasyncio\n"
            "rasyncio.install()\n"
            "class Test(unittest.IsolatedAsyncioTestCase):\n"
            "    async def test_it(self):\n"
            "        self.assertIs(type(asyncio.get_running_loop()), rasyncio.EventLoop)\n"
            "        self.assertIs(type(asyncio.current_task()), rasyncio.Task)\n"
            "class Chosen(unittest.IsolatedAsyncioTestCase):\n"
            "    loop_factory = asyncio.SelectorEventLoop\n"
            "    async def test_it(self):\n"
            f"        self.assertIs(type(asyncio.get_running_loop()), {chosen})\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "unittest", "-v", "test_it"],
            cwd=tmp_path,
            timeout=60,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and "Ran 2 tests" in done.stderr, done.stderr

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_forked_child(self) -> None:
        check("""
        import asyncio, os, rasyncio
        rasyncio.install()
        asyncio.run(exercise())
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                assert made() is rasyncio.EventLoop and asyncio.run(exercise()) is rasyncio.Task
                rasyncio.uninstall()
                assert made() is asyncio.SelectorEventLoop and asyncio.run(exercise()) is not rasyncio.Task
                status = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert made() is rasyncio.EventLoop
        """)

    def test_sub_interpreter(self) -> None:
        check("""
        HERE = '''if 1:
            import sys, rasyncio
            rasyncio.install()
            assert "asyncio" not in sys.modules
            loop = rasyncio.new_event_loop()
            import asyncio
            assert type(loop) is rasyncio.EventLoop is asyncio.SelectorEventLoop
            loop.close()
            async def main():
                return type(asyncio.get_running_loop())
            assert rasyncio.run(main()) is asyncio.run(main()) is asyncio.SelectorEventLoop
            assert rasyncio.run(main(), loop_factory=None) is asyncio.SelectorEventLoop
            rasyncio.uninstall()
            assert "rasyncio._loop" not in sys.modules and "rasyncio._asyncio" not in sys.modules
        '''
        in_sub_interpreter(HERE)
        import rasyncio
        rasyncio.install()
        assert made() is rasyncio.EventLoop
        in_sub_interpreter(HERE)
        assert made() is rasyncio.EventLoop
        """)


class TestNames:
    def test_the_class_is_made_when_it_is_asked_for(self) -> None:
        check("""
        import rasyncio
        assert not hasattr(rasyncio, "Policy")
        assert "asyncio" not in sys.modules and "rasyncio._loop" not in sys.modules
        from rasyncio import EventLoop
        assert EventLoop is rasyncio.EventLoop and "asyncio" in sys.modules
        assert not rasyncio.installed()  # the class alone swaps nothing
        import asyncio
        loop = EventLoop()
        assert loop.run_until_complete(exercise()) is asyncio.Task is not rasyncio.Task
        loop.close()
        assert made() is asyncio.SelectorEventLoop
        """)

    def test_import_star(self) -> None:
        check("""
        from rasyncio import *
        loop = new_event_loop()
        assert type(loop) is EventLoop and installed()
        loop.close()
        """)

    def test_the_class_survives_the_swap(self) -> None:
        check("""
        import rasyncio
        before = rasyncio.EventLoop
        rasyncio.install()
        rasyncio.uninstall()
        rasyncio.install()
        assert rasyncio.EventLoop is before is made()
        """)
