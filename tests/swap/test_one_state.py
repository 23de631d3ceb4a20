"""One world with CPython's module: running loop, current task and tasks are where it has them.

From 3.14 on these are places of the interpreter's, up to 3.13 containers of CPython's module, which ours uses once the
swap has met it (test_linked_worlds.py has what there is of these only). Every test in an interpreter of its own.
"""

from __future__ import annotations

import importlib.util
import sys

import pytest

from support.children import check_python, run_python
from test_swap import skip_without_uvloop

with_places = pytest.mark.skipif(sys.version_info < (3, 14), reason="CPython has no such places before 3.14")

# What was taken before the swap, in places that it does not reach, and tasks of all classes in one loop.
MIXED = """
import asyncio, sys
theirs = {name: [getattr(asyncio, name)] for name in ("Task", "Future", "current_task", "all_tasks")}
class Early(asyncio.Task): pass
import rasyncio, warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    rasyncio.install()
assert rasyncio._asyncio.__rasyncio_own_state__ is None, rasyncio._asyncio.__rasyncio_own_state__
(TheirTask,), (TheirFuture,) = theirs["Task"], theirs["Future"]
class Late(asyncio.Task): pass
CLASSES = TheirTask, Early, asyncio.Task, Late
assert TheirTask is not asyncio.Task

def current(loop=None):
    (one,) = {asyncio.current_task(loop), theirs["current_task"][0](loop)}
    return one

def every(loop=None):
    ours = asyncio.all_tasks(loop)
    assert ours == theirs["all_tasks"][0](loop)
    return ours
"""


def check(code: str, before: str = "") -> str:
    return check_python(before + MIXED + "\n".join(line[8:] for line in code.splitlines()))


def test_current_and_all() -> None:
    check("""
        async def leaf(started):
            me = current()
            assert me in every()
            started.append(me)
            await asyncio.sleep(0)
            assert current() is me
            async with asyncio.timeout(30):
                await asyncio.sleep(0)
            return me

        async def main():
            loop = asyncio.get_running_loop()
            started = []
            tasks = [cls(leaf(started), loop=loop) for cls in CLASSES for _ in range(2)]
            assert every() == {current(), *tasks}
            assert await asyncio.gather(*tasks) == tasks == started
            assert every() == {current()}
            assert await asyncio.to_thread(every, loop) == {current()}
        asyncio.run(main())
        """)


def test_each_awaits_cancels_and_times_out_the_other() -> None:
    check("""
        async def forever(): await asyncio.sleep(1000)
        async def returning(value): return value
        async def waiting(other): return await other

        async def cancelled(task):
            try:
                await task
            except asyncio.CancelledError as error:
                return error.args
            raise AssertionError("not cancelled")

        async def timed_out():
            try:
                async with asyncio.timeout(0.001):
                    await forever()
            except TimeoutError:
                return "timed out"

        async def group(child):
            async with asyncio.TaskGroup() as group:
                members = [group.create_task(waiting(child)), group.create_task(returning(1))]
            return [member.result() for member in members]

        async def main():
            loop = asyncio.get_running_loop()
            for outer in CLASSES:
                assert await outer(timed_out(), loop=loop) == "timed out"
                for inner in CLASSES:
                    assert await outer(waiting(inner(returning(inner), loop=loop)), loop=loop) is inner
                    assert await outer(group(inner(returning(5), loop=loop)), loop=loop) == [5, 1]
                    slow = inner(forever(), loop=loop)
                    waiter = outer(waiting(slow), loop=loop)
                    await asyncio.sleep(0)
                    waiter.cancel("enough")
                    assert await cancelled(waiter) == ("enough",) and slow.cancelled()
                    slow = inner(forever(), loop=loop)
                    shielding = outer(waiting(asyncio.shield(slow)), loop=loop)
                    await asyncio.sleep(0)
                    shielding.cancel()
                    await cancelled(shielding)
                    assert not slow.done()
                    slow.cancel("now")
                    assert await cancelled(slow) == ("now",)
                for future in TheirFuture(loop=loop), asyncio.Future(loop=loop):
                    loop.call_soon(future.set_result, outer)
                    assert await outer(waiting(future), loop=loop) is outer
            assert every() == {current()}
        asyncio.run(main())
        """)


@with_places
def test_who_awaits_whom() -> None:
    """Edges of the call graph lead from either kind to the other, and are gone when the wait is over."""
    check("""
        async def waiting(other):
            return await other

        def awaiting(future): return future._asyncio_awaited_by or frozenset()

        async def main():
            loop = asyncio.get_running_loop()
            for kind in TheirFuture, asyncio.Future, *CLASSES:
                is_task = issubclass(kind, (TheirTask, asyncio.Task))
                for outer in CLASSES:
                    gate = loop.create_future()
                    inner = kind(waiting(gate), loop=loop) if is_task else kind(loop=loop)
                    inner.add_done_callback([].append)
                    waiters = []
                    for number in range(3):
                        waiters.append(outer(waiting(inner), loop=loop))
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                        assert awaiting(inner) == set(waiters), (kind, outer, awaiting(inner))
                    gate.set_result(5)
                    if not is_task: inner.set_result(5)
                    assert await asyncio.gather(*waiters) == [5, 5, 5]
                    assert awaiting(inner) == set(), (kind, outer, awaiting(inner))
                    late = outer(waiting(inner), loop=loop)
                    assert await late == 5 and awaiting(inner) == set()
                    if not is_task:
                        inner = kind(loop=loop)
                        waiter = outer(waiting(inner), loop=loop)
                        await asyncio.sleep(0)
                        assert awaiting(inner) == {waiter}
                        waiter.cancel()
                        await asyncio.wait([waiter])
                        assert waiter.cancelled() and awaiting(inner) == set()
        asyncio.run(main())
        """)


@with_places
def test_a_callback_that_is_no_wait() -> None:
    """A method of a task that is a callback by chance."""
    check("""
        async def main():
            future = asyncio.Future()
            task = TheirTask(asyncio.sleep(1000), loop=future.get_loop())
            future.add_done_callback(task.cancel)
            assert future._asyncio_awaited_by is None
            future.set_result(None)
            await asyncio.wait([task])
            assert task.cancelled()
        asyncio.run(main())
        """)


@with_places
def test_classes_that_only_look_like_cpython_s() -> None:
    """What is not laid out so is no future to us; nothing is written into it."""
    check("""
        class Short: pass
        class Long:
            __slots__ = tuple(f"_{i}" for i in range(20))
        import types
        for Future in Short, Long, int, type, 5, None:
            for add in (lambda *both: None), list, None:
                module = types.ModuleType("theirs")
                module.Future, module.future_add_to_awaited_by = Future, add
                try:
                    sys.modules["_asyncio"].__rasyncio_link__(module)
                except TypeError:
                    pass
        waiter = asyncio.Future(loop=(loop := asyncio.new_event_loop()))
        asyncio.future_add_to_awaited_by(Long(), waiter)
        assert not any(hasattr(Long(), name) for name in Long.__slots__)
        loop.close()
        """)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
def test_a_step_inside_of_the_others_step_is_refused() -> None:
    check("""
        async def leaf(): pass
        def eager(cls): return cls(leaf(), loop=asyncio.get_running_loop(), eager_start=True)

        async def main():
            loop = asyncio.get_running_loop()
            for cls in CLASSES:
                assert eager(cls).done() and current() is not None
            for functions in asyncio.tasks, sys.modules["_asyncio"]:
                try:
                    functions._enter_task(loop, current())
                except RuntimeError as error:
                    assert "Cannot enter into task" in str(error)
                else:
                    raise AssertionError(functions)
        for cls in CLASSES:
            with asyncio.Runner() as runner:
                runner.get_loop().set_task_factory(lambda loop, coro, **keywords: cls(coro, loop=loop, **keywords))
                runner.run(main())
        """)


def test_uvloop_needs_no_early_install() -> None:
    skip_without_uvloop()
    check(
        """
        async def main():
            assert type(current()) is TheirTask and every() == {current()}
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                member = group.create_task(asyncio.sleep(0, 5))
            assert type(member) is TheirTask
            return await asyncio.gather(member, asyncio.Task(asyncio.sleep(0, 6), loop=asyncio.get_running_loop()))
        assert uvloop.run(main()) == [5, 6]
        """,
        before="import uvloop\n",
    )


def test_tasks_of_a_thread_that_has_ended() -> None:
    """From 3.14 on they are in the interpreter's list then."""
    check("""
        import gc, threading
        async def forever(): await asyncio.sleep(1000)
        loop = asyncio.new_event_loop()
        left = []
        def work(): left.extend(cls(forever(), loop=loop) for cls in CLASSES)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert every(loop) == set(left) and len(left) == 4
        # CPython looks for the tasks of a loop that runs here only among those that were made here; we do, too, where
        # a thread's list has all of them (gh-159041).
        complete = (3, 14, 9) <= sys.version_info < (3, 15) or sys.version_info >= (3, 15, 1)
        async def main(): return every() if complete else {current()} | theirs["all_tasks"][0]()
        assert len(loop.run_until_complete(main())) == (1 if sys.version_info >= (3, 14) else 1 + len(left))
        for task in left: task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        assert every(loop) == set()
        loop.close()
        """)


def test_a_thread_that_ends_while_tasks_are_made() -> None:
    """By finalisers of what the thread's state holds: nothing may refer to the state when it is gone (gh-159041)."""
    check("""
        import contextvars, gc, threading
        async def forever(): await asyncio.sleep(1000)
        loop = asyncio.new_event_loop()
        left = []
        variable, local = contextvars.ContextVar("variable"), threading.local()
        class Making:
            def __del__(self): left.extend(cls(forever(), loop=loop) for cls in CLASSES)
        def in_context(): variable.set(Making())
        def in_dictionary(): local.one = Making()
        def work(put):
            left.append(asyncio.Task(forever(), loop=loop))  # its context has nothing of what follows
            put()
        for put in [in_context, in_dictionary] * 10:
            thread = threading.Thread(target=work, args=(put,))
            thread.start()
            thread.join()
        gc.collect()
        assert len(left) >= 100 and every(loop) == set(left)
        for task in left: task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        assert every(loop) == set()
        loop.close()
        """)


def test_fork() -> None:
    check("""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        async def forever(): await asyncio.sleep(1000)
        async def main():
            loop = asyncio.get_running_loop()
            tasks = [cls(forever(), loop=loop) for cls in CLASSES]
            await asyncio.sleep(0)
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    assert asyncio._get_running_loop() is None
                    if sys.version_info >= (3, 14):
                        assert every(loop) == set() and current(loop) is None
                    else:  # as in CPython: gh-139894
                        assert every(loop) == {current(loop), *tasks}
                    async def again(): return current() in every()
                    assert asyncio.run(again())
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert every() == {current(), *tasks}
        asyncio.run(main())
        """)


def test_aiomonitor_was_imported_earlier() -> None:
    """Its class of tasks is derived from the one that it found, and it asserts that it finds these."""
    if importlib.util.find_spec("aiomonitor") is None:
        pytest.skip("aiomonitor is not for this Python")
    done = run_python(
        """if True:
        import asyncio, warnings
        import aiomonitor, rasyncio
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rasyncio.install()
        (text,) = [str(warning.message) for warning in caught]
        assert text.startswith("aiomonitor.task.TracedTask was derived from asyncio.Task"), text
        assert text.endswith("Call rasyncio.install() before aiomonitor.task is imported"), text

        async def child():
            async with asyncio.timeout(1000):
                await asyncio.sleep(1000)

        async def main():
            loop = asyncio.get_running_loop()
            quiet = {"port": 0, "webui_port": 0, "console_enabled": False}
            with aiomonitor.start_monitor(loop, hook_task_factory=True, **quiet) as monitor:
                task = asyncio.create_task(child(), name="watched")
                assert "TracedTask" in str(type(task)) and not isinstance(task, asyncio.Task)
                assert asyncio.all_tasks() == {asyncio.current_task(), task}
                await asyncio.sleep(0)
                shown = await asyncio.to_thread(monitor.format_running_task_list, "", False)
                assert "watched" in [one.name for one in shown], shown
                task.cancel()
                await asyncio.wait([task])
        asyncio.run(main())
        """,
        flags=(),  # its own warnings are no matter of ours
    )
    assert done.returncode == 0, done.stderr
