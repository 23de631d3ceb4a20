"""What a process tells of itself: the snapshot, the tree of awaits, the text for Prometheus."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import rasyncio
from rasyncio.inside import prometheus, snapshot
from rasyncio.inside._await_tree import DEPTH_MAX, NODES_MAX, await_tree
from rasyncio.inside._schema import checked_snapshot, checked_tree
from rasyncio.inside._snapshot import TASKS_MAX
from rasyncio.inside._tasks import TEXT_MAX, identity
from support.loops import engine_for

TELLS_OF_GROUPS = pytest.mark.skipif(sys.version_info < (3, 14), reason="3.14 made groups tell who awaits their tasks")


@pytest.fixture
def loop() -> Iterator[Any]:
    with engine_for("ours") as engine:
        yield engine.new()


async def sleeps() -> None:
    await asyncio.sleep(1000)


def told() -> dict[str, Any]:
    """The snapshot as another process gets it."""
    plain = json.loads(json.dumps(snapshot()))
    checked = checked_snapshot(plain)
    for mine, theirs in zip(plain["loops"], checked["loops"], strict=True):
        assert set(mine) == set(theirs), "the reader knows all that is told"
    assert set(plain) == set(checked)
    return checked


def tree_of(task: asyncio.Task[Any]) -> dict[str, Any]:
    tree = checked_tree(json.loads(json.dumps({"tree": await_tree(identity(task))})))
    assert tree is not None
    return tree


def names(node: dict[str, Any]) -> Any:
    """A tree as `{name: {...}}`."""
    return {each["name"]: names(each) for each in node["awaits"]}


def test_tasks_and_where_they_are(loop: Any) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(sleeps(), name=f"one-{number}") for number in (10, 9)]
        ready = asyncio.create_task(sleeps(), name="ready")
        await asyncio.sleep(0)
        late = asyncio.create_task(sleeps(), name="late")
        said = told()
        listed = {each["name"]: each for each in said["tasks"]["listed"]}
        assert [each["name"] for each in said["tasks"]["listed"]][1:] == ["late", "one-9", "one-10", "ready"]
        assert said["tasks"]["looked_at"] == said["loops"][0]["tasks_alive"] == 5
        me = asyncio.current_task()
        assert me is not None
        assert (listed[me.get_name()]["state"], listed["late"]["state"]) == ("running", "ready")
        assert (listed["ready"]["state"], listed["ready"]["waits_for"]) == ("waiting", "Future")
        assert listed["one-9"]["coroutine"] == "sleeps"
        assert re.fullmatch(r".*test_snapshot\.py:\d+ in sleeps", listed["one-9"]["place"])
        # Of the running one, what runs: not only where its coroutine is.
        assert "in snapshot" in listed[me.get_name()]["place"] or "_tasks.py" in listed[me.get_name()]["place"]
        assert {"coroutine": "sleeps", "place": listed["one-9"]["place"], "tasks": 3} in said["coroutines"]
        for task in (*tasks, ready, late):
            task.cancel()
        await asyncio.gather(*tasks, ready, late, return_exceptions=True)

    loop.run_until_complete(main())


def test_a_bounded_number_of_tasks(loop: Any) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(sleeps(), name="x" * 10_000) for _ in range(3 * TASKS_MAX)]
        await asyncio.sleep(0)
        said = told()
        assert len(said["tasks"]["listed"]) == TASKS_MAX
        assert said["tasks"]["looked_at"] == len(tasks) + 1
        assert max(len(each["name"]) for each in said["tasks"]["listed"]) == TEXT_MAX
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.run_until_complete(main())


def test_tasks_that_tell_nothing_of_use(loop: Any) -> None:
    class Odd(asyncio.Task):  # type: ignore[type-arg]
        def get_name(self) -> str:
            raise ZeroDivisionError

        def get_coro(self) -> Any:
            raise ZeroDivisionError

        __hash__ = asyncio.Future.__hash__

    async def main() -> None:
        task = Odd(sleeps())
        bare = asyncio.create_task(sleeps(), name="\x1b[31m\udc80\u202e")
        await asyncio.sleep(0)
        said = told()
        listed = {each["id"]: each for each in said["tasks"]["listed"]}
        assert listed[identity(task)]["name"] == "(ZeroDivisionError)"
        name = listed[identity(bare)]["name"]
        assert name == "\N{REPLACEMENT CHARACTER}[31m" + 2 * "\N{REPLACEMENT CHARACTER}"
        for each in (task, bare):
            each.cancel()
        await asyncio.gather(task, bare, return_exceptions=True)

    loop.run_until_complete(main())


def test_a_loop_that_sleeps_is_not_busy_and_one_that_is_blocked_is(loop: Any) -> None:
    blocks, unblock, asked = threading.Event(), threading.Event(), threading.Event()
    said: list[dict[str, Any]] = []

    async def main() -> None:
        await asyncio.to_thread(asks)
        blocks.set()
        assert unblock.wait(30)

    def asks() -> None:
        time.sleep(0.02)
        first = told()["loops"][0]
        time.sleep(0.2)
        said.extend((first, told()["loops"][0]))

    def asks_while_it_blocks() -> None:
        assert blocks.wait(30)
        time.sleep(0.05)
        said.append(told()["loops"][0])
        unblock.set()
        asked.set()

    threading.Thread(target=asks_while_it_blocks).start()
    loop.run_until_complete(main())
    assert asked.wait(30)
    first, second, third = said
    ran, slept = (second[name] - first[name] for name in ("seconds_running", "seconds_asleep"))
    assert ran >= 0.2
    assert slept == pytest.approx(ran, abs=0.02)
    assert first["gap_now"] == second["gap_now"] == 0
    assert third["gap_now"] >= 0.05
    assert loop.stats().gap_now == 0


def test_a_chain_of_tasks(loop: Any) -> None:
    async def awaits(task: asyncio.Task[Any]) -> None:
        await task

    async def main() -> None:
        innermost = asyncio.create_task(sleeps(), name="c")
        middle = asyncio.create_task(awaits(innermost), name="b")
        outer = asyncio.create_task(awaits(middle), name="a")
        await asyncio.sleep(0)
        for task in (innermost, middle, outer):
            tree = tree_of(task)
            assert (tree["name"], names(tree)) == ("a", {"b": {"c": {}}})
        assert re.search(r"in test_a_chain_of_tasks\.<locals>\.awaits$", tree["stack"][0])
        assert tree["awaits"][0]["awaits"][0]["stack"][0].endswith("in sleeps")
        outer.cancel()
        await asyncio.gather(outer, return_exceptions=True)
        assert await_tree(identity(innermost)) is None

    loop.run_until_complete(main())


def test_a_gather(loop: Any) -> None:
    async def gathers() -> None:
        await asyncio.gather(*(asyncio.create_task(sleeps(), name=name) for name in "xy"))

    async def main() -> None:
        task = asyncio.create_task(gathers(), name="gathers")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert names(tree_of(task)) == {"x": {}, "y": {}}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run_until_complete(main())


@TELLS_OF_GROUPS
def test_a_group_is_as_asyncio_has_it(loop: Any) -> None:
    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in "xyz":
                tasks.create_task(sleeps(), name=name)

    async def main() -> None:
        task = asyncio.create_task(group(), name="group")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (x,) = (each for each in asyncio.all_tasks() if each.get_name() == "x")
        graph = asyncio.capture_call_graph(x)
        assert graph is not None
        (above,) = graph.awaited_by
        assert above.future is task
        tree = tree_of(x)
        assert (tree["name"], names(tree)) == ("group", {"x": {}, "y": {}, "z": {}})
        lines = [entry.frame.f_lineno for entry in reversed(above.call_stack)]
        assert [int(re.findall(r":(\d+) in ", place)[-1]) for place in tree["stack"]] == lines
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run_until_complete(main())


def test_tasks_that_await_each_other_and_too_many(loop: Any) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def awaits(other: int) -> None:
        await tasks[other]

    async def main() -> None:
        tasks.extend(asyncio.create_task(awaits(1 - number), name=str(number)) for number in (0, 1))
        await asyncio.sleep(0)
        assert {tree_of(tasks[0])["name"], *names(tree_of(tasks[0]))} == {"0", "1"}
        tasks.extend(asyncio.create_task(awaits(number), name="deep") for number in range(1, 2 * DEPTH_MAX))
        await asyncio.sleep(0)
        assert len(tree_of(tasks[-1])["awaits"]) == 1
        many = asyncio.create_task(sleeps(), name="many")
        children = [asyncio.create_task(sleeps()) for _ in range(2 * NODES_MAX)]
        waits = asyncio.create_task(gather(children))
        await asyncio.sleep(0)
        assert len(tree_of(waits)["awaits"]) == NODES_MAX - 1
        # Those that await each other stay: to cancel one would cancel the other, and so on.
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        for task in (many, waits):
            task.cancel()
        await asyncio.gather(many, waits, return_exceptions=True)

    async def gather(children: list[asyncio.Task[Any]]) -> None:
        await asyncio.gather(*children)

    loop.run_until_complete(main())


def test_a_profile_is_told_while_it_is_on(loop: Any) -> None:
    assert told()["functions"] is None
    with rasyncio.profile():
        loop.run_until_complete(asyncio.sleep(0.001))
        found = told()["functions"]
        assert any(each["name"] == "sleep" and each["steps"] >= 2 for each in found)
    assert told()["functions"] is None


def test_slow_steps_are_told(loop: Any) -> None:
    over = threading.Event()

    def callback(step: Any) -> None:
        if step.is_over:
            over.set()

    async def blocks() -> None:
        time.sleep(0.2)

    assert told()["watched"] is None
    with rasyncio.watch(0.02, callback):
        loop.run_until_complete(blocks())
        assert over.wait(30)
        said = told()
    assert said["watched"] == 0.02
    # What tests before this one in the same process left is told of too.
    (step,) = (each for each in said["slow_steps"] if each["coroutine"] == blocks.__qualname__)
    assert step["is_over"] and step["seconds"] >= 0.1  # since it was first seen
    assert "time.sleep(0.2)" in step["stack"][-1]
    assert abs(step["time"] - said["time"]) < 60


def test_the_text_for_prometheus(loop: Any) -> None:
    loop.run_until_complete(asyncio.wait_for(asyncio.sleep(0.001), 5))

    async def main() -> str:
        return prometheus()

    text = loop.run_until_complete(main())
    assert text.endswith("\n")
    families = {each.name: each for each in text_string_to_metric_families(text)}
    assert len(families) == text.count("# TYPE ")
    samples: dict[str, list[Any]] = {}
    for each in (sample for family in families.values() for sample in family.samples):
        samples.setdefault(each.name, []).append(each)
    assert sum(map(len, samples.values())) == sum(not line.startswith("#") for line in text.splitlines())
    (made,) = samples["rasyncio_loop_tasks_made_total"]
    assert made.labels == {"thread": "MainThread"} and made.value == 2 + (sys.version_info < (3, 12))
    for name, family in families.items():
        assert family.documentation
        if family.type == "histogram":
            buckets = samples[f"{name}_bucket"]
            assert [each.value for each in buckets] == sorted(each.value for each in buckets)
            assert buckets[-1].labels["le"] == "+Inf"
            assert buckets[-1].value == samples[f"{name}_count"][0].value
            assert "0.05" in [each.labels["le"] for each in buckets], "the rule of docs/seeing-inside.md asks for it"
        else:
            assert samples[f"{name}_total" if family.type == "counter" else name]
    assert samples["rasyncio_loop_timer_lateness_seconds_count"][0].value >= 1
