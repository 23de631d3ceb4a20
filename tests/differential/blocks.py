"""What only coroutines do: await, and blocks around that."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from .interpreter import NOT_THERE, World
from .things import InOrder

#: What an operation answers so that the coroutine returns: a tuple of the value.
Returned = tuple[Any] | None
CAUGHT = {"Exception": Exception, "CancelledError": asyncio.CancelledError, "BaseException": BaseException}
#: A delay that is over in the next iteration, whatever the clock does.
SOON = 1e-9
NEVER = 1e6


async def coroutine(world: World, number: int, body: list[Any]) -> Any:
    """A coroutine of the program's, the body of a task or awaited directly."""
    world.enter(f"body {number}")
    try:
        returned = await block(world, body)
    except BaseException as error:
        world.enter(f"body {number} raises", error)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            world.kept.append(world.current())  # the stock loop's frames keep it, too
        raise
    value = None if returned is None else returned[0]
    world.enter(f"body {number} returns", value)
    return value


async def block(world: World, body: list[Any]) -> Returned:
    """Operations one after the other; the exceptions of those that await end it."""
    for name, *arguments in body:
        if name == "return":
            return (world.value(*arguments),)
        if name in AWAITING:
            world.say(f"{name}:")
            returned = await AWAITING[name](world, *arguments)
            if returned is not None:
                return returned
        else:
            world.perform([[name, *arguments]])
    return None


def would_wait_for_itself(world: World, things: list[Any]) -> bool:
    """Do these wait for the current task? A circle could not be cancelled: that is an infinite recursion."""
    current, todo, seen = world.current(), list(things), 0
    while todo and seen < 100:
        thing = todo.pop()
        seen += 1
        if thing is current:
            return True
        todo += getattr(thing, "_children", ())
        waiter = getattr(thing, "_fut_waiter", None)
        todo += [] if waiter is None else [waiter]
    return bool(todo)


async def do_await(world: World, index: int) -> None:
    thing = world.thing(index)
    if thing is None or (thing is not world.current() and would_wait_for_itself(world, [thing])):
        world.say(NOT_THERE)
    else:
        world.say("got", await thing)


async def do_sleep(world: World, by_timer: bool) -> None:
    world.say("slept", await asyncio.sleep(SOON if by_timer else 0, "result"))


def awaiting_some(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
    """An operation that awaits things, and says what it got."""

    async def operation(world: World, indices: int | list[int], *arguments: Any) -> None:
        things = world.some([indices] if isinstance(indices, int) else indices)
        if not things or would_wait_for_itself(world, things):
            world.say(NOT_THERE)
        else:
            world.say("got", await function(world, things, *arguments))

    return operation


@awaiting_some
async def do_await_gather(world: World, things: list[Any], return_exceptions: bool) -> Any:
    return await asyncio.gather(*things, return_exceptions=return_exceptions)


@awaiting_some
async def do_await_shield(world: World, things: list[Any]) -> Any:
    return await asyncio.shield(things[0])


@awaiting_some
async def do_wait(world: World, things: list[Any], return_when: str, soon: bool) -> Any:
    return await asyncio.wait(things, return_when=getattr(asyncio, return_when), timeout=SOON if soon else None)


@awaiting_some
async def do_wait_for(world: World, things: list[Any], soon: bool) -> Any:
    return await asyncio.wait_for(things[0], SOON if soon else NEVER)


@awaiting_some
async def do_as_completed(world: World, things: list[Any]) -> Any:
    # Some versions make a set of them in a way that cannot be replaced: without those that are done it has no order.
    return [await each for each in asyncio.as_completed([thing for thing in things if not thing.done()])]


@types.coroutine
def do_yield(world: World, what: str) -> Generator[Any, Any, None]:
    """What no coroutine should yield to a task."""
    values = {"None": None, "number": 42, "future": world.thing(0), "generator": (each for each in ())}
    world.say("sent", (yield values[what]))


async def do_try(world: World, body: list[Any], catch: list[str], handler: list[Any], final: list[Any]) -> Returned:
    try:
        return await block(world, body)
    except tuple(CAUGHT[name] for name in catch) as error:
        world.enter("caught", error)
        return await block(world, handler)
    finally:
        await block(world, final)


async def do_await_coroutine(world: World, body: list[Any]) -> None:
    number = world.made["body"] = world.made.setdefault("body", -1) + 1
    world.say("got", await coroutine(world, number, body))


async def do_timeout(world: World, deadline: str, body: list[Any]) -> Returned:
    now = world.loop.time()
    when = {"none": None, "past": now - 1, "soon": now + SOON, "never": now + NEVER}[deadline]
    timeout = asyncio.timeout_at(when)
    world.timeouts.append(timeout)
    async with timeout:
        return await block(world, body)
    world.say("timed out", timeout.expired())
    return None


async def do_group(world: World, members: list[list[Any]], body: list[Any]) -> Returned:
    async with asyncio.TaskGroup() as group:
        group._tasks = InOrder()  # type: ignore[attr-defined]
        for member in members:
            number = world.made["body"] = world.made.setdefault("body", -1) + 1
            world.add("t", group.create_task(coroutine(world, number, member)))
        return await block(world, body)


AWAITING: dict[str, Callable[..., Any]] = {
    name.removeprefix("do_"): function for name, function in globals().items() if name.startswith("do_")
}
