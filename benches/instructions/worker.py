"""The process that callgrind.py has counted: runs workloads, with a mark before, between and after what counts.

python -m benches.instructions.worker IMPLEMENTATION NAME:WARM_UP:REPETITIONS...
"""

import gc
import os
import sys

from benches import implementations


def main() -> None:
    """The workloads one after the other, each on a loop of its own."""
    _, implementation, *tasks = sys.argv
    gc.disable()
    loop_class = implementations.select(implementation)
    import asyncio

    from benches.workloads import find

    async def run(name: str, repetitions: int) -> None:
        await find(name).run(repetitions)

    for task in tasks:
        name, warm_up, repetitions = task.split(":")
        with asyncio.Runner(loop_factory=loop_class) as runner:
            for count in (int(warm_up), int(repetitions), 2 * int(repetitions)):
                runner.run(run(name, count))
                os.getppid()


if __name__ == "__main__":
    main()
