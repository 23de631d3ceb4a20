"""Timeouts, grafted: methods and attributes that a program replaces, tasks of its own, what is seen meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from types import CoroutineType
from typing import Any

import pytest

from graft.notes import Notes, noting_cancel, shown, spin
from graft.timeouts import LONG, chain_of, state_of, stubborn, waits, within
from rasyncio import _graft
from support.children import run_python

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

METHODS = [
    "__init__",
    "__aenter__",
    "__aexit__",
    "_on_timeout",
    "_insert_timeout_error",
    "reschedule",
    "when",
    "__repr__",
]


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
        future = asyncio.get_running_loop().create_future()
        limit = asyncio.timeout(LONG)
        made = [limit.__aenter__(), limit.__aexit__(None, None, None), asyncio.wait_for(future, timeout=LONG)]
        kinds = [type(each) is CoroutineType for each in made]
        for each in made:
            each.close()
        return kinds

    assert asyncio.run(main()) == [False, False, False]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("where", ["class", "later", "instance", "subclass"])
def test_replaced_method(installed: None, name: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(asyncio.Timeout, name):
        pytest.skip("a method that this release does not have")
    is_static = isinstance(vars(asyncio.Timeout)[name], staticmethod)
    monkeypatch.setattr(asyncio.Timeout, "unrelated", None, raising=False)

    def observe(expires: bool) -> Any:
        calls: list[str] = []
        before = vars(asyncio.Timeout)[name]
        plain = getattr(asyncio.Timeout, name)

        def replaced(*arguments: Any) -> Any:
            calls.append(name)
            return plain(*arguments)

        method: Any = staticmethod(replaced) if is_static else replaced
        subclass: Any = type("Own", (asyncio.Timeout,), {name: method}) if where == "subclass" else asyncio.Timeout

        async def raises() -> None:
            try:
                await spin(4)
                await asyncio.sleep(LONG if expires else 0)
            finally:
                raise ValueError("after")

        async def main() -> list[Any]:
            limit: Any = subclass(asyncio.get_running_loop().time() + LONG)
            if where == "class":
                monkeypatch.setattr(asyncio.Timeout, name, method)
                limit = asyncio.timeout(LONG)
            elif where == "instance":
                setattr(limit, name, replaced if is_static else lambda *arguments: replaced(limit, *arguments))
            tasks = [asyncio.create_task(within(limit, raises())), asyncio.create_task(waits(raises(), LONG))]
            await spin(2)
            if where == "later":
                monkeypatch.setattr(asyncio.Timeout, name, method)
            if expires:
                for timer in list(asyncio.get_running_loop()._scheduled):  # type: ignore[attr-defined]
                    timer._run()
            outcomes = [await chain_of(task) for task in tasks]
            return [outcomes, state_of(limit)]

        result = asyncio.run(main())
        monkeypatch.setattr(asyncio.Timeout, name, before)
        return [result, calls]

    for expires in (False, True):
        of_either(lambda: observe(expires))  # noqa: B023


@pytest.mark.parametrize("what", ["_state", "_timeout_handler", "_task", "_when", "_cancelling", "dict", "class"])
@pytest.mark.parametrize("early", [True, False])
def test_changed_attribute(installed: None, what: str, early: bool) -> None:
    """A program does something to a timeout, before it is entered or while it waits."""

    class Own(asyncio.Timeout):  # type: ignore[misc]
        pass

    def observe(value: Any, expires: bool) -> Any:
        async def main() -> list[Any]:
            limit: Any = asyncio.timeout(LONG)

            def change() -> None:
                if what == "dict":
                    limit.__dict__ = dict(limit.__dict__)
                elif what == "class":
                    limit.__class__ = Own
                else:
                    setattr(limit, what, value)

            if early:
                change()
            task = asyncio.create_task(within(limit, asyncio.sleep(LONG)))
            await spin(2)
            timer = limit._timeout_handler
            if not early:
                change()
            if expires and isinstance(timer, asyncio.TimerHandle):
                timer._run()
                await spin(4)
            task.cancel()
            return [await chain_of(task), limit._state, shown(repr(limit._task)), task.cancelling()]

        loop_reports: list[str] = []

        def report(_: Any, context: dict[str, Any]) -> None:
            loop_reports.append(shown(context["message"]).partition(" at ")[0])

        async def reporting() -> list[Any]:
            asyncio.get_running_loop().set_exception_handler(report)
            return await main()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what is not entered is not awaited
            result = asyncio.run(reporting())
            gc.collect()
        return [result, loop_reports]

    for value in (None, 1, 1.5, float("nan"), "text"):
        for expires in (False, True):
            of_either(lambda: observe(value, expires))  # noqa: B023


def test_task_of_ones_own(installed: None) -> None:
    """Its `cancelling`, `uncancel` and `cancel` are called."""

    def observe(in_place: bool, expires: bool) -> Any:
        calls: list[str] = []

        class OwnTask(asyncio.Task[Any]):
            def cancelling(self) -> int:
                calls.append("cancelling")
                return super().cancelling()

            def uncancel(self) -> int:
                calls.append("uncancel")
                return super().uncancel()

            def cancel(self, msg: Any = None) -> bool:
                calls.append("cancel")
                return super().cancel(msg)

        async def main() -> list[Any]:
            loop = asyncio.get_running_loop()
            limit = asyncio.timeout(0 if expires else LONG)
            delay = LONG if expires else 0
            made: list[Any] = [
                within(limit, asyncio.sleep(delay)),
                waits(asyncio.sleep(delay), 1e-9 if expires else LONG),
            ]
            if in_place:
                tasks = [loop.create_task(each) for each in made]
                for task in tasks:
                    for name in ("cancelling", "uncancel", "cancel"):
                        setattr(task, name, lambda *a, name=name, task=task: getattr(OwnTask, name)(task, *a))
                    # What is called for `super()` wants one of its own.
                    for name in ("cancelling", "uncancel", "cancel"):
                        plain = getattr(asyncio.Task, name)
                        setattr(task, name, lambda *a, n=name, p=plain, t=task: (calls.append(n), p(t, *a))[1])
            else:
                tasks = [OwnTask(each, loop=loop) for each in made]
            return [await chain_of(task) for task in tasks]

        return [asyncio.run(main()), calls]

    for in_place in (False, True):
        for expires in (False, True):
            assert of_either(lambda: observe(in_place, expires))[1]  # noqa: B023


def test_current_task_of_ones_own(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def observe() -> Any:
        calls: list[str] = []
        plain = asyncio.tasks.current_task

        def current_task(loop: Any = None) -> Any:
            calls.append("current_task")
            return plain(loop)

        async def main() -> None:
            with monkeypatch.context() as patch:
                patch.setattr(asyncio.tasks, "current_task", current_task)
                async with asyncio.timeout(LONG):
                    await waits(asyncio.sleep(0), LONG)

        asyncio.run(main())
        return calls

    assert of_either(observe) == ["current_task", "current_task"]


def test_context_of_what_expires(installed: None) -> None:
    """What is cancelled is so in the context that the timeout was entered in."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody")

    def observe() -> Any:
        seen: Notes = []
        noting = noting_cancel(variable, seen)

        async def changes() -> None:
            variable.set("later")
            await noting()

        async def main() -> list[Any]:
            variable.set("entered")
            limits = [await chain_of(within(asyncio.timeout(0.001), changes()))]
            variable.set("entered again")
            limits.append(await chain_of(waits(changes(), 0.001)))
            return limits

        return [asyncio.run(main()), seen]

    assert of_either(observe)[1] == ["entered", "entered again"]


def test_seen_while_it_waits(installed: None) -> None:
    """What a task shows that waits: repr, stack, the chain of what it awaits, the call graph, its timers."""

    def observe() -> Any:
        async def inner(event: asyncio.Event) -> None:
            async with asyncio.timeout(LONG):
                await asyncio.wait_for(event.wait(), LONG)

        async def main() -> list[Any]:
            loop: Any = asyncio.get_running_loop()
            event = asyncio.Event()
            task = asyncio.create_task(waits(inner(event), timeout(LONG)))
            await spin(2)
            chain, awaited = [], task.get_coro()
            while awaited is not None:
                frame = getattr(awaited, "cr_frame", None)
                chain.append((shown(repr(awaited)), frame and frame.f_lineno))
                awaited = getattr(awaited, "cr_await", None)  # type: ignore[assignment]
            stack, graph = io.StringIO(), io.StringIO()
            task.print_stack(file=stack)
            if sys.version_info >= (3, 14):
                with redirect_stdout(graph):
                    asyncio.print_call_graph(task)
            timers = [shown(repr(timer)).replace(f"{timer.when()}", "") for timer in loop._scheduled]
            event.set()
            await task
            return [chain, shown(stack.getvalue()), shown(graph.getvalue()), len(timers), timers[0].split("when=")[0]]

        return asyncio.run(main())

    found = of_either(observe)
    assert len(found[0]) >= 4
    assert found[3] == 3


def timeout(seconds: float) -> float:
    """The time itself."""
    return seconds


@pytest.mark.parametrize("kind", ["timeout", "wait_for"])
def test_profiler_that_comes_while_it_waits(installed: None, kind: str) -> None:
    """From then on bodies in Python go on with it, or it goes on natively; the same comes of it."""

    def observe(expires: bool) -> Any:
        async def main() -> list[Any]:
            limit: Any = asyncio.timeout(LONG)
            made = within(limit, stubborn()) if kind == "timeout" else waits(stubborn(), LONG)
            task = asyncio.create_task(made)
            await spin(2)
            (timer,) = (each for each in asyncio.get_running_loop()._scheduled if "Timeout" in repr(each))  # type: ignore[attr-defined]
            sys.setprofile(lambda *_: None)
            try:
                timer._run() if expires else task.cancel()
                result = await chain_of(task)
            finally:
                sys.setprofile(None)
            return [result, timer.cancelled(), task.cancelling()]

        return asyncio.run(main())

    for expires in (False, True):
        of_either(lambda: observe(expires))  # noqa: B023


@pytest.mark.parametrize("changed", ["state", "handler", "left"])
def test_changed_by_what_the_timer_lets_go_of(installed: None, changed: str) -> None:
    """A cancelled timer forgets its context, whose values' ends are Python code."""
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")

    def observe(by_wait_for: bool) -> Any:
        calls: list[str] = []

        class Ends:
            limit: Any = None

            def __del__(self) -> None:
                calls.append("ended")
                if changed == "handler":
                    self.limit._timeout_handler = None
                elif changed == "state":
                    self.limit.other = 1
                else:
                    gc.collect()

        async def main() -> list[Any]:
            limit: Any = asyncio.timeout(LONG)
            ends = Ends()
            ends.limit = limit
            variable.set(ends)
            del ends
            await limit.__aenter__()
            variable.set(None)
            if by_wait_for:
                await waits(asyncio.sleep(0), LONG)
            limit._timeout_handler._context = None
            return [await limit.__aexit__(None, None, None), state_of(limit)]

        return [asyncio.run(main()), calls]

    for by_wait_for in (False, True):
        of_either(lambda: observe(by_wait_for))  # noqa: B023


def test_exception_that_is_kept(installed: None) -> None:
    """An exception that goes through `wait_for` twice has both ways in its traceback."""

    def observe() -> Any:
        kept = ValueError("kept")

        async def raises() -> None:
            raise kept

        async def main() -> list[Any]:
            return [await chain_of(waits(raises(), LONG)) for _ in range(2)]

        return asyncio.run(main())

    of_either(observe)


@pytest.mark.parametrize("returns", ["true", "false", "raises", "waits"])
def test_code_of_aexit_changed_while_it_waits(installed: None, returns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`async with` has found the function before; what is called is what that does then."""

    async def true(self: Any, *raised: Any) -> Any:
        return [raised[0]]

    async def false(self: Any, *raised: Any) -> Any:
        return raised and 0

    async def raises(self: Any, *raised: Any) -> Any:
        raise KeyError("instead")

    async def waits_too(self: Any, *raised: Any) -> Any:
        await __import__("asyncio").sleep(0)
        return raised[2] is not None and raised[0] is not None

    codes = {"true": true, "false": false, "raises": raises, "waits": waits_too}

    def observe(fails: bool) -> Any:
        async def inner() -> str:
            await spin(3)
            if fails:
                raise ValueError("inside")
            return "result"

        async def main() -> list[Any]:
            task = asyncio.create_task(waits(inner(), LONG))
            await spin(2)
            function: Any = asyncio.Timeout.__aexit__
            before = function.__code__
            function.__code__ = codes[returns].__code__
            try:
                return [await chain_of(task)]
            finally:
                function.__code__ = before

        return asyncio.run(main())

    for fails in (False, True):
        of_either(lambda: observe(fails))  # noqa: B023


MANY_NAMES = """
import asyncio
import rasyncio
rasyncio.install()
LONG = 100.0

async def main():
    made = [asyncio.timeout(LONG) for _ in range(40)]  # the interpreter leaves less room for names with each
    made += [asyncio.Timeout.__new__(asyncio.Timeout) for _ in range(4)]
    for number in range(4):
        setattr(made[number], f"own_{number}", number)  # and now there is none for what __aenter__ sets
    for _ in range(300):
        limit = asyncio.timeout(LONG)
        async with limit:
            others = [bytes(size) for size in range(200)]
            assert isinstance(limit._timeout_handler, asyncio.TimerHandle), limit._timeout_handler
            assert limit._task is asyncio.current_task()
        assert limit._timeout_handler is None
        assert list(vars(limit)) == ["_state", "_timeout_handler", "_task", "_when", "_cancelling"]
        assert await asyncio.wait_for(asyncio.sleep(0, others), LONG) is others

asyncio.run(main())
"""

FOREIGN_NAMES = """
import asyncio
import rasyncio
rasyncio.install()

class_made = asyncio.Timeout.__new__
for number in range(40):
    setattr(class_made(asyncio.Timeout), f"own_{number}", number)  # no name of asyncio's has room

async def main():
    for _ in range(300):
        limit = asyncio.timeout(100.0)
        others = [bytes(size) for size in range(200)]
        assert limit.when() > 1 and list(vars(limit)) == ["_state", "_timeout_handler", "_task", "_when"], others
        async with limit:
            assert limit._state.name == "ENTERED"

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [MANY_NAMES, FOREIGN_NAMES], ids=["many", "foreign"])
def test_names_without_room(program: str) -> None:
    """An instance's attributes move into a dict of its own when its class has no room for another name."""
    done = run_python(program)
    assert (done.returncode, done.stderr) == (0, "")
