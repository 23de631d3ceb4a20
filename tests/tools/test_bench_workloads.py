"""The benchmarks' workloads: all run and do what they say, the same work on every implementation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.benches import ROOT

EAGER = sys.version_info >= (3, 12)
TREES = {
    f"async_tree{eager}{variant}{group}": variant.removeprefix("_")
    for eager in (("", "_eager") if EAGER else ("",))
    for variant in ("", "_io", "_memoization", "_cpu_io_mixed")
    for group in ("", "_tg")
}
PROGRAMS = ("chat", "event_fiesta", "food_delivery", "producer_consumer", "task_workflow")

# Runs each of the workloads and counts: tasks, those of them that started before create_task returned, sleeps by their
# length, computations. With sleep=False no sleep takes any time.
OBSERVE = """
import inspect, json, math, sys
from benches import implementations
loop_class = implementations.select({implementation!r})
import asyncio
from collections import Counter
from benches.workloads import available

counts = Counter()
real_eager, real_sleep, real_factorial = getattr(asyncio, "eager_task_factory", None), asyncio.sleep, math.factorial

def counting(factory):
    def make(loop, coro, **options):
        task = factory(loop, coro, **options)
        counts["tasks"] += 1
        counts["started"] += inspect.getcoroutinestate(coro) != inspect.CORO_CREATED
        return task
    return make

async def sleep(delay, result=None):
    counts[f"sleep {{delay:g}}"] += 1
    return await real_sleep(delay if {sleep} else 0, result)

def factorial(number):
    counts[f"factorial {{number}}"] += 1
    return real_factorial(number)

asyncio.sleep, math.factorial = sleep, factorial
if real_eager:
    asyncio.eager_task_factory = counting(real_eager)

async def observe(run):
    counts.clear()
    asyncio.get_running_loop().set_task_factory(counting(lambda loop, coro, **kw: asyncio.Task(coro, loop=loop, **kw)))
    await run(1)
    return dict(counts)

found = {{}}
for name, entry in available().items():
    if name in {names} or not {names}:
        with asyncio.Runner(loop_factory=loop_class) as runner:
            found[name] = runner.run(observe(entry.{size}))
print(json.dumps(found))
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def observe(implementation: str, size: str, names: tuple[str, ...] = (), sleep: bool = True) -> Any:
    code = OBSERVE.format(implementation=implementation, size=size, names=names, sleep=sleep)
    return json.loads(run(code))


@pytest.fixture(scope="module")
def small() -> dict[str, dict[str, dict[str, int]]]:
    """What each implementation did in each workload."""
    return {name: observe(name, "small") for name in ("c", "swap", "ours")}


def test_all_run_and_do_the_same(small: dict[str, dict[str, dict[str, int]]]) -> None:
    assert {*TREES, *PROGRAMS} < set(small["c"])
    assert small["swap"] == small["c"]
    assert small["ours"] == small["c"]


def test_only_the_eager_ones_start_eagerly(small: dict[str, dict[str, dict[str, int]]]) -> None:
    eager = {name: counts for name, counts in small["ours"].items() if "_eager" in name}
    assert bool(eager) == EAGER
    for name, counts in small["ours"].items():
        assert counts.get("started", 0) == (counts["tasks"] if name in eager else 0), name


def test_variants_of_a_tree(small: dict[str, dict[str, dict[str, int]]]) -> None:
    """Lazy or eager, `gather` or `TaskGroup`: the tree and its leaves are the same."""
    for name, variant in TREES.items():
        of_variant = small["ours"][f"async_tree_{variant}".rstrip("_")]
        assert small["ours"][name] | {"started": 0} == of_variant | {"started": 0}, name
        assert small["ours"][name]["tasks"] == 6 + 6**2 + 6**3


def test_leaves(small: dict[str, dict[str, dict[str, int]]]) -> None:
    """What the leaves of a tree do, where it is the same for all of them."""
    tasks, leaves = 6 + 6**2 + 6**3, 6**3
    assert small["ours"]["async_tree"] == {"tasks": tasks, "started": 0}
    assert small["ours"]["async_tree_io"] == {"tasks": tasks, "started": 0, "sleep 0.05": leaves}


def test_documented_parameters() -> None:
    """The size of the trees, and what the leaves do by chance: as often as documented, if there are many."""
    memoization, mixed = observe(
        "ours", "run", ("async_tree_memoization", "async_tree_cpu_io_mixed"), sleep=False
    ).values()
    tasks, leaves = 55_986, 46_656
    assert set(memoization) == {"tasks", "started", "sleep 0.05"}
    assert memoization["tasks"] == mixed["tasks"] == tasks
    assert memoization["sleep 0.05"] / leaves == pytest.approx(0.1, rel=0.05)
    assert mixed["factorial 500"] / leaves == pytest.approx(0.5, rel=0.05)
    assert mixed["sleep 0.05"] / leaves == pytest.approx(0.05, rel=0.05)
    code = f"from benches.workloads import WORKLOADS; print({{WORKLOADS[name].operations for name in {list(TREES)}}})"
    assert run(code).strip() == f"{{{tasks}}}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_notice_what_is_missing(name: str) -> None:
    """With a gather that does not wait until all is done, and a journal that loses its entries."""
    code = f"""
import asyncio
from benches.workloads import WORKLOADS, programs

async def gather(*awaitables):
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    await asyncio.sleep(0)
    return [task.result() for task in tasks if task.done()]

async def note(shop, kind):
    pass

asyncio.gather = gather
programs.Shop.note = note
try:
    asyncio.run(WORKLOADS[{name!r}].small(1))
except programs.Unfinished as error:
    print(error)
"""
    assert ", not " in run(code)


def test_groups() -> None:
    """The trees and the programs have their own, and the order is that of the groups."""
    code = "import json; from benches.workloads import GROUPS, WORKLOADS; "
    code += "of = {name: entry.group for name, entry in WORKLOADS.items()}; "
    groups, of = json.loads(run(f"{code}print(json.dumps([list(GROUPS), of]))"))
    assert list(dict.fromkeys(of.values())) == groups == ["micro", "tree", "program", "bridge"]
    assert all(of[name] == "tree" for name in TREES)
    assert all(of[name] == "program" for name in PROGRAMS)


def test_bridge(tmp_path: Path) -> None:
    """Its workloads are there where the extension is, and use it as often as they say."""
    (tmp_path / "tokio_bridge.py").write_text(
        """
import asyncio
from collections import Counter
counts = Counter()

async def short(number):
    counts["short"] += 1

async def call(function, count):
    for number in range(count):
        counts["call"] += await function(number) == number

async def map(function, numbers, limit):
    counts["map"] += await asyncio.gather(*[function(number) for number in numbers]) == list(numbers)
    counts["mapped"] += limit
"""
    )
    code = """
import asyncio, json, sys
from benches.workloads import available

def bridge():
    return {name: entry for name, entry in available().items() if entry.group == "bridge"}

print(json.dumps(list(bridge())))
sys.path.append(sys.argv[1])
found = {}
for name, entry in bridge().items():
    import tokio_bridge
    tokio_bridge.counts.clear()
    asyncio.run(entry.run(3))
    found[name] = dict(tokio_bridge.counts)
print(json.dumps(found))
"""
    without, found = map(json.loads, run(code, str(tmp_path)).splitlines())
    assert without == []
    assert found == {
        "one_by_one": {"short": 3},
        "at_once": {"short": 30_000},
        "callback": {"call": 3},
        "callbacks": {"map": 3, "mapped": 30_000},
    }
