"""Single operations: what one await, one hand-over, one task of a group costs."""

import asyncio
import concurrent.futures
import itertools
import socket
import threading
from collections.abc import Callable

from benches.workloads import Run, enter

GROUP = 100  # tasks in one gather or TaskGroup
TASKS = 1000  # that sleep(0) side by side
SLEEPS = 50  # of each of them: so many that making the tasks hardly counts
TIMERS = 50_000
TREE_LEVELS = 6
TREE_BRANCHES = 3
TREE_TASKS = sum(TREE_BRANCHES**level for level in range(1, TREE_LEVELS + 1))
# The tree with sleeps is wider: when its last leaf starts to sleep, the first ones are due, and the loop never waits.
WIDE_BRANCHES = 4
WIDE_TASKS = sum(WIDE_BRANCHES**level for level in range(1, TREE_LEVELS + 1))
LONG = 10.0  # seconds of a timeout that never comes


def workload(
    name: str, *, operation: str, operations: int = 1, since: tuple[int, int] = (3, 11)
) -> Callable[[Run], Run]:
    """Enter what follows in WORKLOADS."""

    def decorate(run: Run) -> Run:
        enter(name, run, group="micro", operation=operation, operations=operations, since=since)
        return run

    return decorate


async def noop() -> None:
    """A task's body that never suspends."""


@workload("sleep0", operation="`await asyncio.sleep(0)`")
async def sleep0(n: int) -> None:
    sleep = asyncio.sleep
    for _ in range(n):
        await sleep(0)


@workload("sleep0_file", operation="the same beside an idle connection")
async def sleep0_file(n: int) -> None:
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        loop.add_reader(left, print)
        await sleep0(n)
        loop.remove_reader(left)


@workload("sleep0_tasks", operation=f"the same in each of {TASKS:,} tasks", operations=TASKS * SLEEPS)
async def sleep0_tasks(n: int) -> None:
    for _ in range(n):
        await asyncio.gather(*[sleep0(SLEEPS) for _ in range(TASKS)])


@workload("future", operation="a future made, resolved by `call_soon`, awaited")
async def future(n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        waiter = loop.create_future()
        loop.call_soon(waiter.set_result, None)
        await waiter


@workload("pingpong", operation="one of two tasks wakes the other by a future", operations=2)
async def pingpong(n: int) -> None:
    loop = asyncio.get_running_loop()
    inbox: list[asyncio.Future[None]] = [loop.create_future(), loop.create_future()]

    async def player(me: int, other: int) -> None:
        for _ in range(n):
            await inbox[me]
            inbox[me] = loop.create_future()
            inbox[other].set_result(None)

    players = [asyncio.create_task(player(0, 1)), asyncio.create_task(player(1, 0))]
    await asyncio.sleep(0)
    inbox[0].set_result(None)
    await asyncio.wait(players)


@workload("create_task", operation="`await create_task(noop())`")
async def create_task(n: int) -> None:
    for _ in range(n):
        await asyncio.create_task(noop())


@workload("gather", operation="one task of a `gather` of 100", operations=GROUP)
async def gather(n: int) -> None:
    for _ in range(n):
        await asyncio.gather(*[noop() for _ in range(GROUP)])


@workload("taskgroup", operation="one task of a `TaskGroup` of 100", operations=GROUP)
async def taskgroup(n: int) -> None:
    for _ in range(n):
        async with asyncio.TaskGroup() as group:
            for _ in range(GROUP):
                group.create_task(noop())


@workload("taskgroup_eager", operation="the same with `eager_task_factory`", operations=GROUP, since=(3, 12))
async def taskgroup_eager(n: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    try:
        await taskgroup(n)
    finally:
        loop.set_task_factory(None)


@workload("ensure_future", operation="`await ensure_future(noop())`")
async def ensure_future(n: int) -> None:
    for _ in range(n):
        await asyncio.ensure_future(noop())


@workload("shield", operation="`await shield(noop())`")
async def shield(n: int) -> None:
    for _ in range(n):
        await asyncio.shield(noop())


@workload("wait", operation="one task of a `wait` for 100", operations=GROUP)
async def wait(n: int) -> None:
    for _ in range(n):
        await asyncio.wait([asyncio.create_task(noop()) for _ in range(GROUP)])


@workload("as_completed", operation="one task of an `as_completed` of 100", operations=GROUP)
async def as_completed(n: int) -> None:
    for _ in range(n):
        for completed in asyncio.as_completed([noop() for _ in range(GROUP)]):
            await completed


@workload("queue", operation="one item through a `Queue(1)`")
async def queue(n: int) -> None:
    items: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for number in range(n):
            await items.put(number)

    producer = asyncio.create_task(produce())
    for _ in range(n):
        await items.get()
    await producer


@workload("event", operation="two tasks wake each other by an `Event`, there and back")
async def event(n: int) -> None:
    ping, pong = asyncio.Event(), asyncio.Event()

    async def echo() -> None:
        for _ in range(n):
            await ping.wait()
            ping.clear()
            pong.set()

    other = asyncio.create_task(echo())
    for _ in range(n):
        ping.set()
        await pong.wait()
        pong.clear()
    await other


@workload("lock", operation="a `Lock` that two tasks want changes hands", operations=2)
async def lock(n: int) -> None:
    shared = asyncio.Lock()

    async def contend() -> None:
        for _ in range(n):
            async with shared:
                await asyncio.sleep(0)

    await asyncio.gather(contend(), contend())


@workload("call_soon", operation="a callback that gives itself to `call_soon` again")
async def call_soon(n: int) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = n

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(again)
        else:
            done.set_result(None)

    loop.call_soon(again)
    await done


@workload("timers", operation=f"one of {TIMERS:,} timers, from `call_later` to its callback", operations=TIMERS)
async def timers(n: int) -> None:
    # 1 to 2 ms, in no order. Setting all of them takes longer, so that nothing waits; less than 1 ms would be no timer
    # at all on a loop that counts in milliseconds.
    delays = [0.001 + number * 7919 % 1000 * 1e-6 for number in range(TIMERS)]
    loop = asyncio.get_running_loop()
    for _ in range(n):
        done = loop.create_future()
        left = TIMERS

        def fire(done: asyncio.Future[None] = done) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set_result(None)

        for delay in delays:
            loop.call_later(delay, fire)
        await done


@workload("timeout", operation="`async with asyncio.timeout(10)` around `sleep(0)`")
async def timeout(n: int) -> None:
    for _ in range(n):
        async with asyncio.timeout(LONG):
            await asyncio.sleep(0)


@workload("wait_for", operation="`wait_for` of a coroutine that does `sleep(0)`")
async def wait_for(n: int) -> None:
    async def quick() -> None:
        await asyncio.sleep(0)

    for _ in range(n):
        await asyncio.wait_for(quick(), LONG)


@workload("cancel", operation="a task created, started, cancelled, awaited")
async def cancel(n: int) -> None:
    loop = asyncio.get_running_loop()

    async def wait_for_ever() -> None:
        await loop.create_future()

    for _ in range(n):
        task = asyncio.create_task(wait_for_ever())
        await asyncio.sleep(0)
        task.cancel()
        try:  # not contextlib.suppress, whose own cost would be measured as well
            await task
        except asyncio.CancelledError:
            pass


@workload(
    "gather_tree",
    operation=f"one task of a {TREE_LEVELS}-level tree of `gather`({TREE_BRANCHES})",
    operations=TREE_TASKS,
)
async def gather_tree(n: int) -> None:
    async def node(level: int) -> None:
        if level:
            await asyncio.gather(*[node(level - 1) for _ in range(TREE_BRANCHES)])

    for _ in range(n):
        await node(TREE_LEVELS)


@workload(
    "taskgroup_tree",
    operation=f"one task of a {TREE_LEVELS}-level tree of `TaskGroup`s of {WIDE_BRANCHES} whose leaves sleep 1 ms",
    operations=WIDE_TASKS,
)
async def taskgroup_tree(n: int) -> None:
    async def node(level: int) -> None:
        if level:
            async with asyncio.TaskGroup() as group:
                for _ in range(WIDE_BRANCHES):
                    group.create_task(node(level - 1))
        else:
            await asyncio.sleep(0.001)

    for _ in range(n):
        await node(TREE_LEVELS)


@workload("threadsafe", operation="`call_soon_threadsafe` from another thread")
async def threadsafe(n: int) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = n

    def arrive() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set_result(None)

    def produce() -> None:
        for _ in itertools.repeat(None, n):
            loop.call_soon_threadsafe(arrive)

    producer = threading.Thread(target=produce)
    producer.start()
    await done
    producer.join()


@workload("run_in_executor", operation="`await loop.run_in_executor(executor, int)`, a pool of one thread")
async def run_in_executor(n: int) -> None:
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        for _ in range(n):
            await loop.run_in_executor(executor, int)


@workload("to_thread", operation="`await asyncio.to_thread(int)`")
async def to_thread(n: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    for _ in range(n):
        await asyncio.to_thread(int)


@workload("wrap_future", operation="a `concurrent.futures.Future` wrapped, resolved by `call_soon`, awaited")
async def wrap_future(n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        source: concurrent.futures.Future[None] = concurrent.futures.Future()
        loop.call_soon(source.set_result, None)
        await asyncio.wrap_future(source)
