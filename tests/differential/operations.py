"""The operations that anybody can do: the top level, callbacks, coroutines, overridden methods."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import sys
from collections.abc import Callable
from typing import Any

from support.impls import Fix

from . import blocks
from .interpreter import HERE, NOT_THERE, World, forget_frames, variable
from .things import Duck

#: A time that no test reaches.
NEVER = 1e6
AWAITED_BY = sys.version_info >= (3, 14)


def do_future(world: World, kind: str) -> Any:
    if kind == "duck":
        return world.add("d", Duck(world.loop, world.overridden))
    return world.add("f", (world.LoudFuture if kind == "loud" else asyncio.Future)(loop=world.loop))


#: Without it a future's iterator crashes or raises SystemError when it is used after its end.
AFTER_THE_END = Fix("gh-146065", {(3, 14): 9, (3, 15): 1})
#: Without it `get_coro()` of an eager task crashes after its end.
WITHOUT_COROUTINE = Fix("gh-122332", {(3, 11): 0, (3, 12): 5, (3, 13): 0, (3, 14): 0, (3, 15): 0})
#: Without it an eager task that cannot enter its context stays the current one: nothing runs after that.
UNDONE = Fix("gh-157301: a failed eager start is undone", {(3, 13): 16, (3, 15): 0})


def is_entered(context: contextvars.Context) -> bool:
    """Is somebody in it?"""
    try:
        context.run(lambda: None)
    except RuntimeError:
        return True
    return False


def do_task(world: World, kind: str, body: list[Any], name: Any, context: int | None, eager: bool) -> Any:
    number = world.made.setdefault("body", -1) + 1
    world.made["body"] = number
    coro = blocks.coroutine(world, number, body)
    options = world.options(name, context, eager and kind != "create_task")
    if not UNDONE.in_c() and "context" in options and is_entered(options["context"]):
        coro.close()
        return "its context is entered already"
    try:
        if kind == "create_task":
            task = world.loop.create_task(coro, **options)
        else:
            task = (world.LoudTask if kind == "loud" else asyncio.Task)(coro, loop=world.loop, **options)
    except BaseException:
        coro.close()
        raise
    return world.add("t", task)


def of_thing(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on a thing: its index comes first."""

    def operation(world: World, index: int, *arguments: Any) -> Any:
        thing = world.thing(index)
        return NOT_THERE if thing is None else function(world, thing, *arguments)

    return operation


@of_thing
def do_set_result(world: World, thing: Any, value: Any) -> None:
    thing.set_result(world.value(value))


@of_thing
def do_set_exception(world: World, thing: Any, error: str) -> None:
    thing.set_exception(world.errors.get(error))


@of_thing
def do_cancel(world: World, thing: Any, message: Any) -> Any:
    return thing.cancel() if message is None else thing.cancel(msg=world.value(message))


@of_thing
def do_uncancel(world: World, thing: Any) -> Any:
    return thing.uncancel(), thing.cancelling()


@of_thing
def do_result(world: World, thing: Any) -> Any:
    return ["returned", thing.result()]


@of_thing
def do_exception(world: World, thing: Any) -> Any:
    return ["returned", thing.exception()]


@of_thing
def do_repr(world: World, thing: Any) -> Any:
    return [repr(thing)]


@of_thing
def do_state(world: World, thing: Any) -> Any:
    """All that can be read of it."""
    state = {"done": thing.done(), "cancelled": thing.cancelled()}
    if isinstance(thing, asyncio.Future):
        for name in (
            "_state",
            "_result",
            "_exception",
            "_cancel_message",
            "_log_traceback",
            "_asyncio_future_blocking",
        ):
            state[name] = getattr(thing, name)
        state["callbacks"] = len(thing._callbacks or ())
        state["loop"] = thing._loop is world.loop
        state["created"] = thing._source_traceback is not None
        if AWAITED_BY:
            state["awaited by"] = thing._asyncio_awaited_by
    if isinstance(thing, asyncio.Task):
        for name in ("_must_cancel", "_fut_waiter", "_log_destroy_pending"):
            state[name] = getattr(thing, name)
        state["cancelling"] = thing.cancelling()
        state["name"] = thing.get_name()
        if WITHOUT_COROUTINE.in_c():
            state["coro"] = thing.get_coro() is not None
    return f"{world.label(thing)} ({type(thing).__name__}): " + " ".join(
        f"{k}={world.show(v)}" for k, v in state.items()
    )


@of_thing
def do_set_name(world: World, thing: Any, name: Any) -> None:
    thing.set_name(name)


@of_thing
def do_assign(world: World, thing: Any, assignment: list[Any]) -> None:
    setattr(thing, *assignment)


@of_thing
def do_add_callback(world: World, thing: Any, actions: list[Any], context: int | None) -> None:
    thing.add_done_callback(world.callback(actions), **world.options(None, context))


@of_thing
def do_add_again(world: World, thing: Any, index: int, context: int | None) -> Any:
    if not world.callbacks:
        return NOT_THERE
    return thing.add_done_callback(world.callbacks[index % len(world.callbacks)].run, **world.options(None, context))


@of_thing
def do_remove_callback(world: World, thing: Any, index: int) -> Any:
    if not world.callbacks:
        return NOT_THERE
    return thing.remove_done_callback(world.callbacks[index % len(world.callbacks)].run)


@of_thing
def do_shield(world: World, thing: Any) -> Any:
    return world.add("s", asyncio.shield(thing))


@of_thing
def do_ensure_future(world: World, thing: Any) -> Any:
    return world.add("e", asyncio.ensure_future(thing, loop=world.loop))


@of_thing
def do_iterate(world: World, thing: Any, hands: list[list[Any]]) -> None:
    """Drive the thing's iterator by hand."""
    iterator = thing.__await__()
    for name, *arguments in hands:
        try:
            if name == "throw":
                answer = iterator.throw(world.errors.get(arguments[0]))
            else:
                answer = next(iterator) if name == "next" else getattr(iterator, name)(*arguments)
        except StopIteration as stop:  # with None as its argument or with none at all: iteration cannot tell
            world.say(f"{name} stops", stop.value)
        except BaseException as error:
            world.say(f"{name} raised", error)
        else:
            world.say(name, answer)
            if name != "close":
                continue
        if not AFTER_THE_END.in_c():
            break


@of_thing
def do_stack(world: World, thing: Any) -> Any:
    """Its frames, without those of the loop, which ours has not."""
    return [frame.f_code.co_name for frame in thing.get_stack() if frame.f_code.co_filename.startswith(HERE)]


def do_gather(world: World, indices: list[int], return_exceptions: bool) -> Any:
    return world.add("g", asyncio.gather(*world.some(indices), return_exceptions=return_exceptions))


def do_set_variable(world: World, value: Any) -> None:
    variable.set(value if not isinstance(value, list) else "list")


def do_call_soon(world: World, actions: list[Any], context: int | None) -> None:
    world.handles.append(world.loop.call_soon(world.callback(actions), **world.options(None, context)))


def do_call_threadsafe(world: World, actions: list[Any]) -> None:
    world.handles.append(world.loop.call_soon_threadsafe(world.callback(actions)))


def do_call_at(world: World, rank: int, actions: list[Any]) -> None:
    """A timer that is due, of a rank among those due with it, and of equal rank in the order of their making."""
    tie = len(world.handles)
    when = NEVER * 2 if rank == 0 else -NEVER + rank + tie / 1000
    world.handles.append(world.loop.call_at(world.start + when, world.callback(actions)))


def do_cancel_handle(world: World, index: int) -> Any:
    if not world.handles:
        return NOT_THERE
    handle = world.handles[index % len(world.handles)]
    handle.cancel()
    return [handle.cancelled(), repr(handle)]


def do_expire(world: World, index: int, now: bool) -> Any:
    """Let a timeout run out, or never."""
    if not world.timeouts:
        return NOT_THERE
    timeout = world.timeouts[index % len(world.timeouts)]
    timeout.reschedule(world.start if now else None)
    return timeout.expired()


def do_drop(world: World, index: int) -> Any:
    """Forget a thing: that may be its end."""
    if not world.things:
        return NOT_THERE
    index %= len(world.things)
    if world.things[index] is not None:
        world.things[index].label_when_dropped = world.label(world.things[index])
        world.say("drop", world.things[index])
    world.things[index] = None
    return None


#: What a task shows of its coroutine and of what that waits for: these may be finalised before it, or after it.
DEPENDENTS = re.compile(r"\b(coro|wait_for)=<(?:[^<>]|<[^<>]*>)*>")


def do_collect(world: World) -> None:
    """A garbage collection. In which order it finds things is nobody's business."""
    in_any_order(world, gc.collect)


def in_any_order(world: World, action: Callable[[], Any]) -> Any:
    """Do what comes upon things in the order of their addresses, and sort what was said."""
    before, was_in_override = len(world.trace), world.in_override
    world.in_override = True  # what these do would depend on the order
    try:
        answer = action()
    finally:
        world.in_override = was_in_override
    lines = [re.sub(r"#\d+", "#", DEPENDENTS.sub(r"\1", line)) for line in world.trace[before:]]
    world.trace[before:] = sorted(lines)
    return answer


def do_all_tasks(world: World) -> Any:
    return in_any_order(world, lambda: asyncio.all_tasks(world.loop))


def do_stop(world: World) -> None:
    world.loop.stop()


def do_turn(world: World) -> None:
    """One iteration of the loop; or less, where something stops it."""
    world.loop.call_soon(world.loop.stop)
    run_loop(world, world.loop.run_forever)


def run_loop(world: World, run: Callable[..., Any], *arguments: Any) -> Any:
    """Run the loop, and say what comes out of it."""
    try:
        return run(*arguments)
    except BaseException as error:
        world.say("the loop raised", error)
        forget_frames(error)
        raise


def do_run_until_complete(world: World, index: int) -> Any:
    """Run until a thing is done, but for a few turns only."""
    thing = world.thing(index)
    if not isinstance(thing, asyncio.Future):
        return NOT_THERE
    turns = [world.loop.call_soon(lambda: stop_later(4))]

    def stop_later(left: int) -> None:
        if left == 0:
            world.loop.stop()
        else:
            turns[0] = world.loop.call_soon(stop_later, left - 1)

    try:
        return ["returned", run_loop(world, world.loop.run_until_complete, thing)]
    finally:
        turns[0].cancel()


OPERATIONS: dict[str, Callable[..., Any]] = {
    name.removeprefix("do_"): function for name, function in globals().items() if name.startswith("do_")
}
