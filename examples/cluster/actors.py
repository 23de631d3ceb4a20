"""Ray's actors: very many calls of asynchronous methods, whose results are checked.

    RASYNCIO=uvloop python actors.py [--calls 20000] [--actors 2]

Ray's workers choose uvloop if it is there, and rasyncio stands in for it. With RASYNCIO=0 they have what Ray chose.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import ray

AT_ONCE = 1000  # calls that are under way


@ray.remote
class Account:
    """Something with a state, and a loop that its methods run on."""

    def __init__(self) -> None:
        self.balance = 0
        self.lock = asyncio.Lock()

    async def pay_in(self, amount: int) -> int:
        """One call."""
        async with self.lock:
            before = self.balance
            await asyncio.sleep(0)  # others would come in between, but for the lock
            self.balance = before + amount
        return self.balance

    async def loop(self) -> str:
        """The class of the actor's event loop."""
        kind = type(asyncio.get_running_loop())
        return f"{kind.__module__}.{kind.__qualname__}"


def main() -> None:
    """Call, check, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000, help="of each actor (default: %(default)s)")
    parser.add_argument("--actors", type=int, default=2, help="(default: %(default)s)")
    arguments = parser.parse_args()
    ray.init(num_cpus=arguments.actors, include_dashboard=False, log_to_driver=False)
    accounts = [Account.remote() for _ in range(arguments.actors)]  # type: ignore[attr-defined]
    loops = set(ray.get([account.loop.remote() for account in accounts]))
    start, highest = time.perf_counter(), 0
    for first in range(0, arguments.calls, AT_ONCE):
        calls = range(first, min(first + AT_ONCE, arguments.calls))
        highest = max(ray.get([account.pay_in.remote(1) for _ in calls for account in accounts]))
    seconds = time.perf_counter() - start
    assert highest == arguments.calls, highest
    calls_made = arguments.calls * arguments.actors
    print(f"{calls_made:,} calls on {', '.join(sorted(loops))}: {calls_made / seconds:,.0f} a second")
    ray.shutdown()


if __name__ == "__main__":
    main()
