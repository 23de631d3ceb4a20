"""The measured Redis client: redis-py's asyncio side, many tasks on one client. The server is a real redis-server.

Standard library only at the top, and no asyncio: `implementations.select` has to come before it.

It says "ready"; then each line on standard input is the seconds of a burst, which a line of JSON tells of.
"""

import json
import sys
import time
from typing import Any

from benches import implementations
from benches.network.figures import summary

TASKS = 50
VALUE_BYTES = 100


def main() -> None:
    """Be loaded: the arguments are an implementation and the server's port."""
    implementation, port = sys.argv[1], int(sys.argv[2])
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

    async def burst(client: redis.asyncio.Redis, seconds: float) -> dict[str, Any]:
        start = clock()
        end = start + int(seconds * 1e9)
        found = await asyncio.gather(*[work(client, f"{implementation}:{number}", end) for number in range(TASKS)])
        return summary([each for latencies in found for each in latencies], (clock() - start) / 1e9)

    async def obey() -> None:
        async with redis.asyncio.Redis(host="127.0.0.1", port=port) as client:
            await burst(client, 0)
            print(json.dumps("ready"), flush=True)
            while line := sys.stdin.readline():  # nothing else is to be done until it comes
                print(json.dumps(await burst(client, float(line))), flush=True)

    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(obey())
