"""Up to 3.13 the swap makes ours use the containers of CPython's module, which its tasks are in.

Who kept what of CPython's module sees our tasks by it, too, and the other way round. Every test in an interpreter of
its own. (test_one_state.py has what is so on all versions.)
"""

from __future__ import annotations

import sys

import pytest

from support.children import check_python
from test_swap import skip_without_uvloop

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 14), reason="from 3.14 on the interpreter has places for these")

#: `kept`: what a program has stored of CPython's, where the swap does not reach.
KEPT = """
import asyncio, gc, sys, warnings
warnings.simplefilter("ignore", RuntimeWarning)
ALL = "_all_tasks" if sys.version_info < (3, 12) else "_scheduled_tasks"
class Kept: pass
kept = Kept()
for name in vars(asyncio.tasks._asyncio):
    if not name.startswith("__"): setattr(kept, name, getattr(asyncio.tasks._asyncio, name))
kept.all = getattr(kept, ALL)
kept.current_task, kept.all_tasks = asyncio.current_task, asyncio.all_tasks
class Early(asyncio.Task): pass
loop = asyncio.new_event_loop()
async def forever(): await asyncio.sleep(1000)
before = loop.create_task(forever()), Early(forever(), loop=loop)

def end(*tasks):
    for task in tasks: task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
"""
SWAP = """
import rasyncio
rasyncio.install()
assert rasyncio.status().state == "CPython's"
assert asyncio.Task is not kept.Task
"""


def check(code: str, after_kept: str = "") -> str:
    return check_python(KEPT + after_kept + SWAP + "\n".join(line[8:] for line in code.splitlines()))


def test_there_is_one_of_each_container() -> None:
    check("""
        for module in asyncio.tasks, asyncio.tasks._asyncio, rasyncio._asyncio:
            assert module._current_tasks is kept._current_tasks
            assert getattr(module, ALL) is kept.all
            assert sys.version_info < (3, 12) or module._eager_tasks is kept._eager_tasks
        rasyncio.uninstall()
        for module in asyncio.tasks, asyncio.tasks._asyncio, rasyncio._asyncio:
            assert module._current_tasks is kept._current_tasks and getattr(module, ALL) is kept.all
        end(*before)
        """)


def test_all_tasks() -> None:
    check("""
        class Late(asyncio.Task):
            __hash__ = lambda self: 5
        late = loop.create_task(forever()), Late(forever(), loop=loop)
        tasks = {*before, *late}
        assert {*map(type, tasks)} == {kept.Task, Early, asyncio.Task, Late}
        assert asyncio.all_tasks(loop) == kept.all_tasks(loop) == set(kept.all) == tasks and len(kept.all) == 4
        for task in tasks:
            for container in (kept, asyncio.tasks):
                assert task in kept.all
                container._unregister_task(task)
                assert task not in kept.all and asyncio.all_tasks(loop) == kept.all_tasks(loop) == tasks - {task}
                container._register_task(task)
                assert asyncio.all_tasks(loop) == kept.all_tasks(loop) == tasks
        rasyncio.uninstall()
        assert asyncio.all_tasks(loop) == tasks
        rasyncio.install()
        assert asyncio.all_tasks(loop) == tasks
        end(*tasks)
        del tasks, late, task, before
        gc.collect()
        assert list(kept.all) == []
        """)


def test_functions_that_were_stored() -> None:
    check("""
        async def inside():
            me = asyncio.current_task()
            for current_task in kept.current_task, asyncio.current_task:
                assert current_task() is current_task(loop) is kept._current_tasks[loop] is me
            for functions in kept, asyncio.tasks:
                try:
                    functions._enter_task(loop, before[0])
                except RuntimeError as error:
                    assert "Cannot enter into task" in str(error) and f"name={me.get_name()!r}" in str(error), error
                else:
                    raise AssertionError
                functions._leave_task(loop, me)
                assert asyncio.current_task() is kept.current_task() is None
                functions._enter_task(loop, before[1])
                assert asyncio.current_task() is kept.current_task() is before[1]
                functions._leave_task(loop, before[1])
                functions._enter_task(loop, me)
                if sys.version_info >= (3, 12):
                    assert functions._swap_current_task(loop, before[0]) is me
                    assert asyncio.current_task() is kept.current_task() is before[0]
                    assert functions._swap_current_task(loop, me) is before[0]
                    functions._register_eager_task(before[0])
                    assert before[0] in kept._eager_tasks and before[0] in asyncio.tasks._eager_tasks
                    functions._unregister_eager_task(before[0])
                    assert not kept._eager_tasks
                assert functions.get_running_loop() is loop if functions is kept else True
            return type(me)
        for kind in kept.Task, Early, asyncio.Task:
            assert loop.run_until_complete(kind(inside(), loop=loop)) is kind
        end(*before)
        """)


def test_functions_that_were_stored_before_ours_are_taken_out() -> None:
    """Installed before asyncio was imported, so that CPython's module is met at the end only."""
    check_python("""if True:
        import rasyncio
        rasyncio.install()
        import asyncio, sys
        ALL = "_all_tasks" if sys.version_info < (3, 12) else "_scheduled_tasks"
        kept = asyncio.tasks
        kept = [kept._current_tasks, getattr(kept, ALL), asyncio.current_task, asyncio.all_tasks, asyncio.Task]
        loop = asyncio.new_event_loop()
        async def forever(): await asyncio.sleep(1000)
        class Odd(asyncio.Task):
            __hash__ = lambda self: 7
        tasks = {loop.create_task(forever()), Odd(forever(), loop=loop)}
        sentinel = asyncio.new_event_loop()
        sentinel.close()
        kept[0][sentinel] = "somebody's"
        import warnings
        warnings.simplefilter("ignore", RuntimeWarning)
        rasyncio.uninstall()
        assert asyncio.Task is not kept[4] and asyncio.tasks._current_tasks is not kept[0]
        assert asyncio.tasks._current_tasks.pop(sentinel) == "somebody's"
        tasks.add(loop.create_task(forever()))
        assert type(loop.create_task) and len({type(task) for task in tasks}) == 3
        assert set(kept[1]) == set(getattr(asyncio.tasks, ALL)) == tasks
        assert asyncio.all_tasks(loop) == kept[3](loop) == tasks
        async def inside(): return asyncio.current_task() is kept[2]() is not None
        assert loop.run_until_complete(inside()) and loop.run_until_complete(kept[4](inside(), loop=loop))
        for task in tasks: task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
        """)


#: `data`: the plain set that a profiler reads all tasks from, whenever it likes.
READ = "data = kept.all.data\n"


@pytest.mark.parametrize("before", [True, False])
def test_the_plain_set_is_live(before: bool) -> None:
    """Whether somebody has taken it before the swap, or takes it later."""
    check(
        f"""
        {"" if before else READ}
        def seen(): return {{reference() for reference in data}}
        assert data is kept.all.data is getattr(asyncio.tasks, ALL).data
        assert type(kept.all).__name__ == "WeakSet"  # it costs what it costs in CPython, and does what it does there
        class Odd(asyncio.Task):
            __hash__ = lambda self: 5
        late = [loop.create_task(forever()), Odd(forever(), loop=loop), Early(forever(), loop=loop)]
        tasks = {{*before, *late}}
        assert seen() == tasks == asyncio.all_tasks(loop) == kept.all_tasks(loop)
        for functions in kept, asyncio.tasks:
            for task in tasks:
                functions._unregister_task(task)
                assert seen() == asyncio.all_tasks(loop) == tasks - {{task}}
                functions._register_task(task)
        for _ in kept.all:  # whoever dies meanwhile is taken out later
            late.clear(); tasks.clear()
        assert seen() == asyncio.all_tasks(loop)
        end(*asyncio.all_tasks(loop))
        del before, task, _
        gc.collect()
        assert data == set()
        rasyncio.uninstall()
        assert data is kept.all.data
        """,
        READ if before else "",
    )


def test_what_is_asked_often_goes_without_the_plain_set() -> None:
    check("""
        task = loop.create_task(forever())
        for _ in range(3):
            assert task in kept.all and before[0] in kept.all and 5 not in kept.all
            assert len(kept.all) == len(list(kept.all)) == 3 and str(id(task)) != repr(kept.all)
            assert len(kept.all.copy()) == len(kept.all | {task}) == 3
            assert asyncio.all_tasks(loop) == kept.all_tasks(loop)
            try: [] in kept.all
            except TypeError: pass
        assert type(kept.all).__name__ == "ScheduledTasks"
        kept.all.remove(task)  # all the rest may cost
        assert type(kept.all).__name__ == "WeakSet" and task not in kept.all and len(kept.all) == 2
        end(task, *before)
        """)


def test_uvloop_was_imported_earlier() -> None:
    """It keeps all that it needs of CPython's module in C variables."""
    skip_without_uvloop()
    check_python("""if True:
        import asyncio, uvloop, warnings
        theirs = [asyncio.Task]
        import rasyncio
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rasyncio.new_event_loop().close()
        assert asyncio.Task is rasyncio.Task
        async def child(): return type(asyncio.current_task())
        async def main():
            assert asyncio.current_task() in asyncio.all_tasks() and asyncio.get_running_loop()
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                task = group.create_task(child())
            done = await asyncio.gather(task, child(), rasyncio.Task(child(), loop=asyncio.get_running_loop()))
            server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
            server.close()
            await asyncio.to_thread(int)
            return done
        for run in uvloop.run, rasyncio.run, lambda main: rasyncio.run(main, loop_factory=uvloop.new_event_loop):
            assert {*run(main())} <= {theirs[0], rasyncio.Task}
        """)
