"""A job for a dask cluster: very many small tasks, then a shuffle; each result is checked.

    python job.py SCHEDULER-FILE [--tasks 200000] [--records 200000]

It prints, as JSON, how long both took, what the scheduler's process used of its CPU for it, and which event loop each
process of the cluster has.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

import dask.bag
from distributed import Client, as_completed

AT_ONCE = 10_000  # tasks that are submitted before the first results are asked for
GROUPS, PARTITIONS = 100, 40


def work(number: int) -> int:
    """One task: as small as they come, so that what is measured is the cluster."""
    return number + 1


async def loop() -> str:
    """The event loop of the process that runs this: its class."""
    kind = type(asyncio.get_running_loop())
    return f"{kind.__module__}.{kind.__qualname__}"


async def cpu_time() -> float:
    """What a process has used of its CPU."""
    return time.process_time()


def many(client: Client, tasks: int) -> None:
    """Small tasks, some thousands at a time."""
    total = 0
    for start in range(0, tasks, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, tasks))
        futures = client.map(work, numbers, key=f"work-{start}", pure=False)
        total += sum(result for _, result in as_completed(futures, with_results=True))
    assert total == tasks * (tasks + 1) // 2, total


def shuffle(records: int) -> None:
    """Each record to its group, through all workers."""
    bag = dask.bag.from_sequence(range(records), npartitions=PARTITIONS)
    groups = bag.groupby(lambda record: record % GROUPS, shuffle="tasks").starmap(
        lambda group, members: (group, len(members), sum(members))
    )
    found = sorted(groups.compute())
    assert [group for group, _, _ in found] == list(range(GROUPS))
    assert sum(count for _, count, _ in found) == records
    assert sum(total for _, _, total in found) == records * (records - 1) // 2


def run(client: Client, tasks: int, records: int) -> dict[str, Any]:
    """Both parts, and what they took."""
    loops = {client.run_on_scheduler(loop), *client.run(loop).values()}
    before, start = client.run_on_scheduler(cpu_time), time.perf_counter()
    many(client, tasks)
    done, used = time.perf_counter(), client.run_on_scheduler(cpu_time) - before
    shuffle(records)
    return {
        "loops": sorted(loops),
        "tasks a second": tasks / (done - start),
        "scheduler, us a task": used / tasks * 1e6,
        "shuffle, s": time.perf_counter() - done,
    }


def main() -> None:
    """Run it on a cluster that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scheduler", metavar="SCHEDULER-FILE", help="which `dask scheduler --scheduler-file` wrote")
    parser.add_argument("--tasks", type=int, default=200_000, help="(default: %(default)s)")
    parser.add_argument("--records", type=int, default=200_000, help="of the shuffle (default: %(default)s)")
    arguments = parser.parse_args()
    with Client(scheduler_file=arguments.scheduler) as client:
        print(json.dumps(run(client, arguments.tasks, arguments.records)))


if __name__ == "__main__":
    main()
