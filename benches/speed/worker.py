"""One worker process: times one workload on one implementation with pyperf.

python -m benches.speed.worker IMPLEMENTATION WORKLOAD [--clock wall|cpu] [pyperf's options]

On its own it is an ordinary pyperf benchmark of that one pair. measure.py starts it with pyperf's --worker, many times,
the implementations in turn.
"""

import argparse
import sys

from benches import implementations, probes


def main() -> None:
    """Hand the workload to pyperf."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("implementation", choices=implementations.IMPLEMENTATIONS)
    parser.add_argument("workload")
    parser.add_argument("--clock", choices=probes.CLOCKS, default="wall")
    chosen, pyperf_arguments = parser.parse_known_args()
    loop_class = implementations.select(chosen.implementation)

    # After the choice, since each of these may import asyncio.
    import asyncio

    import pyperf

    from benches import workloads

    workload = workloads.available().get(chosen.workload)
    if workload is None:
        sys.exit(f"no workload {chosen.workload!r} here; there are: {', '.join(workloads.available())}")

    clock = probes.CLOCKS[chosen.clock]

    async def timed(loops: int) -> float:
        start = clock()
        await workload.run(loops)
        return clock() - start

    runner = pyperf.Runner(
        metadata={"asyncio_implementation": chosen.implementation, "clock": chosen.clock},
        program_args=("-m", "benches.speed.worker", chosen.implementation, chosen.workload),
    )
    runner.parse_args(pyperf_arguments)
    with asyncio.Runner(loop_factory=loop_class) as loop_runner:
        runner.bench_time_func(
            chosen.workload,
            lambda loops: loop_runner.run(timed(loops)),
            inner_loops=workload.operations,
        )


if __name__ == "__main__":
    main()
