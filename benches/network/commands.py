"""The measured Redis client: redis-py's asyncio side, many tasks on one client. The server is a real redis-server.

Standard library only at the top, and no asyncio: `implementations.select` has to come before it.
"""

import json
import sys
import time
from typing import Any

from benches import implementations
from benches.network.figures import cpu_seconds, summary

TASKS = 50
WARM_UP = 0.25  # of the seconds of the timing
VALUE_BYTES = 100


def main() -> None:
    """Measure: the arguments are an implementation, the server's port and seconds."""
    implementation, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    loop_class = implementations.select(implementation)
    import asyncio

    import redis.asyncio

    clock = time.perf_counter_ns

    async def work(client: redis.asyncio.Redis, key: str, end: int) -> list[int]:
        """SET and GET in turn, what is got must be what was set."""
        latencies: list[int] = []
        now, number = clock(), 0
        while not latencies or now < end:  # at least once, should the machine be busy
            value = b"%0*d" % (VALUE_BYTES, number)
            number += 1
            await client.set(key, value)
            middle = clock()
            found = await client.get(key)
            latencies += (middle - now, clock() - middle)
            if found != value:
                raise RuntimeError(f"{key} is {found!r}, set was {value!r}")
            now = clock()
        return latencies

    async def timed(client: redis.asyncio.Redis, seconds: float) -> dict[str, Any]:
        before, start = cpu_seconds(), clock()
        end = start + int(seconds * 1e9)
        found = await asyncio.gather(*[work(client, f"key:{number}", end) for number in range(TASKS)])
        elapsed, cpu = (clock() - start) / 1e9, cpu_seconds() - before
        return summary([each for latencies in found for each in latencies], elapsed, cpu)

    async def measure() -> dict[str, Any]:
        async with redis.asyncio.Redis(host="127.0.0.1", port=port) as client:
            await timed(client, seconds * WARM_UP)
            print(json.dumps("ready"), flush=True)
            sys.stdin.readline()
            return await timed(client, seconds)

    with asyncio.Runner(loop_factory=loop_class) as runner:
        print(json.dumps(runner.run(measure())), flush=True)
