"""Programs of many tasks, with locks, timers, futures and callbacks: five of the shape of those that leviathan, an
event loop in Zig, publishes figures of (https://github.com/kython28/leviathan, BENCHMARK.md).

Two things differ on purpose. Sleeps are a twentieth as long, in whole milliseconds (some loops count in these), and
there are so many users at a time that by the time the last one sleeps the first ones are due: it is the work that is
measured. And nothing depends on chance or on the order in which timers of one moment fire. What happens to whom is
drawn beforehand, every event finds what it is about (there, many are about an order or a rider that does not exist),
everything that was started is awaited, and at the end each program looks whether all was done.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import TypeAlias

from benches.workloads import SEED, enter

USERS = 5_000
CHATTERS = 10_000  # more, since each leaves only after 15 ms of silence, in which there is little else to do
EVENTS = 15_000
SMALL = 60  # users, or events
MS = 0.001
KITCHENS = 5

Program: TypeAlias = Callable[[int], Awaitable[None]]


class Unfinished(Exception):
    """A program did not do all that it should."""


def expect(what: str, found: object, wanted: object) -> None:
    """Fail unless all was done."""
    if found != wanted:
        raise Unfinished(f"{what}: {found}, not {wanted}")


def program(name: str, *, operation: str, size: int) -> Callable[[Program], Program]:
    """Enter a coroutine function of one argument, how many users or events there are, in WORKLOADS."""

    def decorate(once: Program) -> Program:
        async def run(n: int, *, size: int = size) -> None:
            for _ in range(n):
                await once(size)

        enter(name, run, group="program", operation=operation, operations=size, small=partial(run, size=SMALL))
        return once

    return decorate


class Room:
    """Where people chat."""

    def __init__(self) -> None:
        self.present: dict[int, bool] = {}
        self.log: list[str] = []
        self.lock = asyncio.Lock()

    async def handle(self, kind: str, user: int, text: str = "", delay: float = 0) -> None:
        """Something that a user does."""
        match kind:
            case "join":
                await self.enter(user, True)
            case "say":
                await self.say(user, text, delay)
            case "leave":
                await self.enter(user, False)

    async def enter(self, user: int, present: bool) -> None:
        """Come or go."""
        async with self.lock:
            self.present[user] = present

    async def say(self, user: int, text: str, delay: float) -> None:
        """Have all hear it, which takes a while."""
        await asyncio.sleep(delay)
        async with self.lock:
            self.log.append(f"{user}: {text}")


@cache
def deliveries(users: int) -> list[list[float]]:
    """For each user how long it takes to deliver each message."""
    random = Random(SEED)
    return [[random.randint(3, 5) * MS for _ in range(random.randint(2, 5))] for _ in range(users)]


@program("chat", operation=f"one of {CHATTERS:,} users joins, says two to five things, leaves", size=CHATTERS)
async def chat(users: int) -> None:
    room = Room()

    async def visit(user: int, delays: list[float]) -> None:
        await room.handle("join", user)
        for number, delay in enumerate(delays, 1):
            await asyncio.sleep(5 * MS)
            await room.handle("say", user, f"this is message {number} from user {user}", delay)
        await asyncio.sleep(15 * MS)
        await room.handle("leave", user)

    plan = deliveries(users)
    await asyncio.gather(*[asyncio.create_task(visit(user, delays)) for user, delays in enumerate(plan)])
    expect("messages", len(set(room.log)), sum(map(len, plan)))
    expect("people who came and left", list(room.present.values()).count(False), users)


class Shop:
    """Events in a shop, each of which starts tasks that nobody waits for on the spot."""

    def __init__(self) -> None:
        self.customers: dict[int, str] = {}
        self.orders: dict[int, str] = {}
        self.data: dict[int, list[str]] = {}
        self.journal: Counter[str] = Counter()
        self.greeted = 0
        self.lock = asyncio.Lock()
        self.background: set[asyncio.Task[None]] = set()

    async def handle(self, kind: str, number: int) -> None:
        """One event."""
        match kind:
            case "sign up":
                await self.sign_up(number)
            case "order":
                self.order(number, number % 10)
            case "data":
                self.process(number)

    async def sign_up(self, customer: int) -> None:
        """A new customer."""
        async with self.lock:
            self.customers[customer] = f"customer{customer}@example.com"
        self.later(self.greet())
        self.later(self.note("sign up"))

    def order(self, order: int, customer: int) -> None:
        """A customer, one of the first ten, buys something."""
        if customer in self.customers:
            self.orders[order] = "open"
            self.later(self.complete(order))
            self.later(self.note("order"))

    def process(self, number: int) -> None:
        """Data to be transformed."""
        self.data[number] = [str(part).upper() for part in (number, "data", f"payload of event {number}")]
        self.later(self.note("data"))

    def later(self, work: Coroutine[None, None, None]) -> None:
        """Do it in the background."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def greet(self) -> None:
        """Tell a customer."""
        self.greeted += 1

    async def complete(self, order: int) -> None:
        """Change an order's state."""
        self.orders[order] = "completed"

    async def note(self, kind: str) -> None:
        """Write it down."""
        self.journal[kind] += 1


@program("event_fiesta", operation=f"one of {EVENTS:,} events, with one or two tasks in the background", size=EVENTS)
async def event_fiesta(events: int) -> None:
    shop = Shop()
    kinds = ("sign up", "order", "data")
    tasks = [asyncio.create_task(shop.handle(kind, number)) for number in range(events // len(kinds)) for kind in kinds]
    await asyncio.gather(*tasks)
    while shop.background:
        await asyncio.wait(shop.background)
    each = events // len(kinds)
    expect("journal", shop.journal, dict.fromkeys(kinds, each))
    expect("greeted and data", (shop.greeted, len(shop.data)), (each, each))
    expect("completed orders", list(shop.orders.values()).count("completed"), each)


@dataclass(slots=True)
class Meal:
    """What somebody ordered."""

    kitchen: int
    state: str = "pending"
    rider: int | None = None


class Delivery:
    """Kitchens, meals and riders. An event's number is that of the meal and the rider that it is about."""

    def __init__(self, kinds: list[str]) -> None:
        """Make what has happened before, so that each event finds what it needs in whatever order they come."""
        self.lock = asyncio.Lock()
        self.handled = self.notices = self.entries = 0
        self.kitchens = dict.fromkeys(range(KITCHENS), True)
        self.riders = {number: kind == "assign" for number, kind in enumerate(kinds)}
        self.meals = {number: Meal(number % KITCHENS) for number, kind in enumerate(kinds) if kind == "assign"}
        for number, kind in enumerate(kinds):
            if kind == "delivered":
                self.meals[number] = Meal(number % KITCHENS, "on the way", number)

    async def handle(self, kind: str, number: int) -> None:
        """One event."""
        match kind:
            case "open":
                await self.switch(KITCHENS + number % KITCHENS, True)
            case "close":
                await self.switch(KITCHENS + number % KITCHENS, False)
            case "order":
                await self.order(number, number % KITCHENS)
            case "assign":
                await self.assign(number, number)
            case "delivered":
                await self.delivered(number)
            case "rider":
                await self.free(number)
        self.handled += 1

    async def switch(self, kitchen: int, is_open: bool) -> None:
        """A kitchen opens or closes (not one that gets orders, or their fate would be a matter of order)."""
        async with self.lock:
            self.kitchens[kitchen] = is_open

    async def order(self, number: int, kitchen: int) -> None:
        """Somebody orders a meal."""
        await asyncio.sleep(5 * MS)
        async with self.lock:
            if not self.kitchens[kitchen]:
                return
            self.meals[number] = Meal(kitchen)
        await self.notify()

    async def assign(self, number: int, rider: int) -> None:
        """A free rider takes a meal."""
        await asyncio.sleep(5 * MS)
        async with self.lock:
            meal = self.meals[number]
            if meal.state != "pending" or not self.riders[rider]:
                return
            meal.state, meal.rider = "on the way", rider
            self.riders[rider] = False
        await asyncio.gather(self.notify(), self.write())

    async def delivered(self, number: int) -> None:
        """A meal has arrived."""
        await asyncio.sleep(5 * MS)
        async with self.lock:
            meal = self.meals[number]
            if meal.rider is None:
                return
            self.riders[meal.rider] = True
            meal.state = "delivered"
        await asyncio.gather(self.notify(), self.write())

    async def free(self, rider: int) -> None:
        """A rider comes back from lunch."""
        async with self.lock:
            self.riders[rider] = True

    async def notify(self) -> None:
        """Tell the customer."""
        await asyncio.sleep(5 * MS)
        self.notices += 1

    async def write(self) -> None:
        """Make an entry in the log."""
        await asyncio.sleep(3 * MS)
        self.entries += 1


@cache
def kinds_of_events(events: int) -> list[str]:
    """Of each event its kind."""
    return Random(SEED).choices(("open", "close", "order", "assign", "delivered", "rider"), k=events)


@program("food_delivery", operation=f"one of {EVENTS:,} events of six kinds, half of which sleep", size=EVENTS)
async def food_delivery(events: int) -> None:
    kinds = kinds_of_events(events)
    delivery = Delivery(kinds)
    await asyncio.gather(*[delivery.handle(kind, number) for number, kind in enumerate(kinds)])
    of = Counter(kinds)
    expect("events", delivery.handled, events)
    expect("notices", delivery.notices, of["order"] + of["assign"] + of["delivered"])
    expect("log entries", delivery.entries, of["assign"] + of["delivered"])
    states = Counter(meal.state for meal in delivery.meals.values())
    expect("meals", states, {"pending": of["order"], "on the way": of["assign"], "delivered": of["delivered"]})


@program("producer_consumer", operation=f"one of {USERS:,} producers, with its consumer and future", size=USERS)
async def producer_consumer(producers: int) -> None:
    loop = asyncio.get_running_loop()

    async def produce(number: int) -> str:
        answer: asyncio.Future[str] = loop.create_future()
        consumer = asyncio.create_task(consume(answer, number))
        value = await answer
        await asyncio.sleep(3 * MS)
        await consumer
        return value

    async def consume(answer: asyncio.Future[str], number: int) -> None:
        await asyncio.sleep(2 * MS)
        answer.set_result(f"value for producer {number}")

    values = await asyncio.gather(*[produce(number) for number in range(producers)])
    expect("values", len(set(values)), producers)


@program("task_workflow", operation=f"one of {USERS:,} workflows of six tasks", size=USERS)
async def task_workflow(workflows: int) -> None:
    loop = asyncio.get_running_loop()
    deciders: list[asyncio.Task[None]] = []
    followers: list[asyncio.Task[None]] = []
    done: Counter[str] = Counter()

    async def step(name: str) -> None:
        await asyncio.sleep(5 * MS)
        done[name] += 1

    async def decide(decision: asyncio.Future[str], number: int) -> None:
        await asyncio.sleep(5 * MS)
        decision.set_result(f"workflow {number}")

    def follow(decision: asyncio.Future[str]) -> None:
        name = decision.result()
        followers.extend([loop.create_task(step(name)) for _ in range(3)])

    async def work(number: int) -> None:
        decision: asyncio.Future[str] = loop.create_future()
        decision.add_done_callback(follow)
        deciders.append(asyncio.create_task(decide(decision, number)))
        await asyncio.create_task(step(f"workflow {number}"))

    await asyncio.gather(*[asyncio.create_task(work(number)) for number in range(workflows)])
    await asyncio.gather(*deciders)
    await asyncio.gather(*followers)
    expect("steps", Counter(done.values()), {4: workflows})
