"""`TaskGroup`, grafted: exits, subclasses, methods and attributes that a program replaces, also while a group waits."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
from collections.abc import Callable
from types import CoroutineType
from typing import Any

import pytest

from graft.notes import Notes, noting_cancel, outcome, outcome_of_call, shown
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

METHODS = ["create_task", "_on_task_done", "_abort", "_is_base_error", "_aexit", "__aenter__", "__aexit__", "__repr__"]


async def work(turns: int = 1, fails: type[BaseException] | None = None) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    if fails:
        raise fails(turns)
    return turns


def of_either(observe: Callable[[], Any]) -> Any:
    """What is observed grafted, which must be what is with asyncio's own bodies."""
    results = []
    for wanted in (False, True):
        _graft.attach(wanted)
        results.append(observe())
    assert results[0] == results[1]
    return results[1]


def test_it_is_native(grafted: None) -> None:
    async def main() -> list[bool]:
        group = asyncio.TaskGroup()
        entering = group.__aenter__()
        await entering
        group.create_task(work())
        leaving = group.__aexit__(None, None, None)
        kinds = [type(each) is CoroutineType for each in (entering, leaving)]
        await leaving
        return kinds

    assert asyncio.run(main()) == [False, False]


@pytest.mark.parametrize("where", ["task", "body"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exits(installed: None, where: str, kind: type[BaseException]) -> None:
    def observe() -> Any:
        notes: list[Any] = []

        async def other() -> None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError as error:
                notes.append(("cancelled", str(error)))
                raise

        async def main() -> None:
            task = asyncio.current_task()
            assert task is not None
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(other())
                    if where == "task":
                        group.create_task(work(2, kind))
                    else:
                        await asyncio.sleep(0)
                        raise kind("body")
            except BaseException as error:
                notes.append((type(error), task.cancelling()))
                raise

        async def wrapped() -> Any:
            return await outcome(main())

        loop = asyncio.new_event_loop()
        ended = []
        task = loop.create_task(wrapped())
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (KeyboardInterrupt, SystemExit) as error:
                ended.append(type(error))
        loop.close()
        return [ended, task.result(), notes]

    assert kind in [each[0] for each in of_either(observe)[2]]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("where", ["subclass", "instance", "class", "later"])
def test_replaced_method(installed: None, name: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(asyncio.TaskGroup, name):
        pytest.skip("a method that this release does not have")
    monkeypatch.setattr(asyncio.TaskGroup, "unrelated", None, raising=False)

    def observe() -> Any:
        calls: list[Any] = []
        plain = getattr(asyncio.TaskGroup, name)

        def replaced(self: Any, *arguments: Any, **keywords: Any) -> Any:
            calls.append(name)
            return plain(self, *arguments, **keywords)

        async def main() -> list[Any]:
            group: Any = asyncio.TaskGroup()
            if where == "subclass":
                group = type("Own", (asyncio.TaskGroup,), {name: replaced})()
            elif where == "instance":
                setattr(group, name, lambda *arguments, **keywords: replaced(group, *arguments, **keywords))
            elif where == "class":
                monkeypatch.setattr(asyncio.TaskGroup, name, replaced)
            async with group:
                first = group.create_task(work(3))
                if where == "later":
                    setattr(group, name, lambda *arguments, **keywords: replaced(group, *arguments, **keywords))
                group.create_task(work(1, ValueError if name in ("_abort", "_is_base_error") else None))
                calls.append(shown(repr(first)))
            return [first.result(), repr(group)]

        result = asyncio.run(outcome(main()))  # type: ignore[arg-type]
        monkeypatch.setattr(asyncio.TaskGroup, name, plain)
        return [result, calls]

    of_either(observe)


@pytest.mark.parametrize("what", ["attribute", "dict", "tasks", "class", "future"])
def test_changed_while_it_waits(installed: None, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program does something to a group in mid-flight, and then the tasks end, or one fails, or all is cancelled."""

    def observe(ending: str) -> Any:
        async def main(group: Any) -> list[Any]:
            async with group:
                tasks = [
                    group.create_task(work(4)),
                    group.create_task(work(4, ValueError if ending == "fails" else None)),
                ]
            return [task.result() for task in tasks]

        async def meddle() -> list[Any]:
            group: Any = asyncio.TaskGroup()
            task = asyncio.create_task(main(group))
            await work(2)
            if what == "attribute":
                group._errors.append(KeyError("another"))
            elif what == "dict":
                group.__dict__ = dict(group.__dict__)
            elif what == "tasks":
                group._tasks = set(group._tasks)
            elif what == "class":
                monkeypatch.setattr(asyncio.TaskGroup, "_is_base_error", lambda self, error: False)
            else:
                group._on_completed_fut.set_result("early")
            if ending == "cancelled":
                task.cancel("from outside")
            result = await outcome(task)
            return [result, task.cancelling(), group._exiting, group._aborting, len(group._tasks)]

        return asyncio.run(meddle())

    for ending in ("well", "fails", "cancelled"):
        of_either(lambda: observe(ending))  # noqa: B023


def test_context_of_what_is_aborted(installed: None) -> None:
    """A task that fails has others cancelled: what their `cancel` sees is the context of who made the task."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody")

    def observe() -> Any:
        seen: Notes = []
        noting = noting_cancel(variable, seen)

        async def waits() -> None:
            variable.set("the one that waits")
            await noting()

        async def main() -> None:
            variable.set("the group's task")
            async with asyncio.TaskGroup() as group:
                group.create_task(waits())
                group.create_task(work(3, ValueError))

        asyncio.run(outcome(main()))  # type: ignore[arg-type]
        return seen

    assert of_either(observe) == ["the group's task"]


def test_factory_whose_tasks_are_its_own(installed: None) -> None:
    class OwnTask(asyncio.Task[Any]):
        pass

    def observe() -> Any:
        async def main() -> list[Any]:
            loop = asyncio.get_running_loop()
            loop.set_task_factory(lambda loop, coro, **keywords: OwnTask(coro, loop=loop, **keywords))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work(turns)) for turns in range(3)]
            return [[type(task).__name__, task.result()] for task in tasks]

        return asyncio.run(main())

    assert of_either(observe)[0] == ["OwnTask", 0]


def test_eager_task_that_changes_the_group(installed: None) -> None:
    """It runs before it is one of the group's."""

    def observe() -> Any:
        async def meddles(group: Any, what: str) -> str:
            if what == "abort":
                group._abort()
            elif what == "replace":
                group._on_task_done = lambda task: asyncio.TaskGroup._on_task_done(group, task)  # type: ignore[attr-defined]
            else:
                group.create_task(work(2))
            await asyncio.sleep(0)
            return what

        async def main(what: str) -> list[Any]:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(meddles(group, what))
            return [task.done() and not task.cancelled() and task.result(), group._aborting]  # type: ignore[attr-defined]

        return [asyncio.run(outcome(main(what))) for what in ("abort", "replace", "more")]  # type: ignore[arg-type]

    of_either(observe)


def test_seen_while_it_waits(installed: None) -> None:
    """What a task shows that waits in a group: repr, stack, the chain of what it awaits."""

    def observe() -> Any:
        async def waits() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(work(3))

        async def main() -> list[Any]:
            task = asyncio.create_task(waits())
            await work(2)
            chain, awaited = [], task.get_coro()
            while awaited is not None:
                frame = getattr(awaited, "cr_frame", None)
                names = sorted(frame.f_locals) if frame and "_aexit" in frame.f_code.co_name else None
                chain.append((shown(repr(awaited)), frame and frame.f_lineno, names and names[-1]))
                awaited = getattr(awaited, "cr_await", None)  # type: ignore[assignment]
            stack = [(frame.f_code.co_qualname, frame.f_lineno) for frame in task.get_stack()]
            await task
            return [*chain, *stack]

        return asyncio.run(main())

    assert len(of_either(observe)) > 3


@pytest.mark.skipif(sys.version_info < (3, 15), reason="GeneratorExit alone comes out of a group since 3.15")
def test_generator_exit(installed: None) -> None:
    def observe() -> Any:
        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(work(3))
                raise GeneratorExit("body")

        return asyncio.run(outcome(main()))  # type: ignore[arg-type]

    assert of_either(observe)[0] == "GeneratorExit"


@pytest.mark.skipif(sys.version_info < (3, 15), reason="TaskGroup.cancel() is new in 3.15")
@pytest.mark.parametrize("moment", range(6))
def test_cancelled_group(installed: None, moment: int) -> None:
    def observe() -> Any:
        async def main() -> list[Any]:
            group: Any = asyncio.TaskGroup()

            async def cancels() -> None:
                await work(moment)
                group.cancel()

            if not moment:
                group.cancel()
            async with group:
                tasks = [group.create_task(make()) for make in (cancels, work, lambda: work(5))]
            task = asyncio.current_task()
            assert task is not None
            return [task.cancelling(), *(each.cancelled() for each in tasks)]

        return asyncio.run(outcome(main()))  # type: ignore[arg-type]

    of_either(observe)


def test_coroutines_of_a_group_closed_in_the_middle(installed: None) -> None:
    def observe() -> Any:
        async def main() -> list[Any]:
            group: Any = asyncio.TaskGroup()
            await group.__aenter__()
            group.create_task(work(1))
            leaving = group.__aexit__(None, None, None)
            leaving.send(None)
            closed = await outcome_of_call(leaving.close)
            await work(3)
            return [closed, group._parent_task is None, group._tasks, group._errors]

        return asyncio.run(main())

    assert of_either(observe)[2] == set()


AEXIT_REPLACED = """\
import asyncio, rasyncio

rasyncio.install()

async def _aexit(self):
    print("the replacement's")

async def replaces(task):
    await asyncio.sleep(0)
    asyncio.TaskGroup._aexit = _aexit
    task.cancel()

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(10))
        group.create_task(replaces(asyncio.current_task()))

try:
    asyncio.run(main())
except asyncio.CancelledError as error:
    print(type(error))
"""


@pytest.mark.parametrize("graft", ["0", "1"])
def test_the_inner_exit_is_replaced_while_it_waits(graft: str) -> None:
    """A group that waits goes on in the function that it began with. (The first to wait decides: in a new process.)"""
    done = subprocess.run(
        [sys.executable, "-c", AEXIT_REPLACED],
        env=os.environ | {"RASYNCIO_GRAFT": graft},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "<class 'asyncio.exceptions.CancelledError'>\n", done.stderr
