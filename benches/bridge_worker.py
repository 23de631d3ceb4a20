"""The process that bridge.py times: a workload of the bridge on one implementation, its timings as JSON.

python benches/bridge_worker.py IMPLEMENTATION WORKLOAD OPERATIONS VALUES      with the extension on PYTHONPATH
"""

import json
import sys
import time

import implementations


def main() -> None:
    """Seconds for one operation, some times, after a time that does not count."""
    _, implementation, name, operations, values = sys.argv
    loop_class = implementations.select(implementation)
    import asyncio

    import tokio_bridge

    async def one_by_one(count: int) -> None:
        for number in range(count):
            await tokio_bridge.short(number)

    async def at_once(count: int) -> None:
        await asyncio.gather(*map(tokio_bridge.short, range(count)))

    async def nothing(number: int) -> int:
        return number

    async def callback(count: int) -> None:
        await tokio_bridge.call(nothing, count)

    async def callbacks(count: int) -> None:
        await tokio_bridge.map(nothing, range(count), limit=count)

    workload = {each.__name__: each for each in (one_by_one, at_once, callback, callbacks)}[name]
    found = []
    with asyncio.Runner(loop_factory=loop_class) as runner:
        for _ in range(1 + int(values)):
            start = time.perf_counter()
            runner.run(workload(int(operations)))
            found.append((time.perf_counter() - start) / int(operations))
    print(json.dumps(found[1:]))


if __name__ == "__main__":
    main()
