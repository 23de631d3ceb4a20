"""call_soon, call_soon_threadsafe, call_later and call_at: what runs when, in which order, and what is refused."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import fractions
import functools
import itertools
import math
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn


def callback(*args: object) -> None:
    """Do nothing."""


async def coroutine_function() -> None:
    """Do nothing."""


# --- the ready queue


def test_first_in_first_out(eventloop: Any) -> None:
    called: list[int] = []
    for number in range(1000):
        schedule = eventloop.call_soon if number % 3 else eventloop.call_soon_threadsafe
        schedule(called.append, number)
    turn(eventloop)
    assert called == list(range(1000))


def test_arguments(eventloop: Any) -> None:
    called: list[tuple[object, ...]] = []
    for count in range(20):
        eventloop.call_soon(lambda *args: called.append(args), *range(count))
    turn(eventloop)
    assert called == [tuple(range(count)) for count in range(20)]


def test_what_an_iteration_schedules_runs_in_the_next(eventloop: Any) -> None:
    """`stop` ends the loop after the iteration that it is called in."""
    called: list[str] = []

    def first() -> None:
        called.append("first")
        eventloop.call_soon(called.append, "third")

    eventloop.call_soon(first)
    eventloop.call_soon(called.append, "second")
    eventloop.call_soon(eventloop.stop)
    eventloop.run_forever()
    assert called == ["first", "second"]
    turn(eventloop)
    assert called == ["first", "second", "third"]


def test_callbacks_after_stop_run_in_the_same_iteration(eventloop: Any) -> None:
    called: list[int] = []
    eventloop.call_soon(eventloop.stop)
    eventloop.call_soon(called.append, 1)
    eventloop.run_forever()
    assert called == [1]


def iterations(engine: Engine, say: Say) -> None:
    """Callbacks, tasks and futures: who runs in which iteration."""
    loop = engine.new()
    counter = itertools.count()

    def tick() -> None:
        say(f"iteration {next(counter)}")
        loop.call_soon(tick)

    def chain(name: str, depth: int) -> None:
        say(f"{name} {depth}")
        if depth:
            loop.call_soon(chain, name, depth - 1)

    async def sleeper(name: str) -> None:
        for number in range(4):
            say(f"{name} {number}")
            await asyncio.sleep(0)

    async def waiter(future: asyncio.Future[Any]) -> None:
        say(f"waiter got {await future}")

    async def creator() -> None:
        say("creator")
        task = asyncio.create_task(sleeper("created"))
        say(await asyncio.gather(task, asyncio.sleep(0, "gathered")))
        say(await asyncio.wait_for(asyncio.sleep(0, "waited for"), 10))

    async def main() -> None:
        future = loop.create_future()
        future.add_done_callback(lambda _: say("callback of the future"))
        tasks = [asyncio.create_task(coro) for coro in (sleeper("a"), waiter(future), creator(), sleeper("b"))]
        chain("chain", 6)
        loop.call_soon(future.set_result, "a result")
        loop.call_soon_threadsafe(say, "threadsafe")
        loop.call_later(0, say, "timer of no delay")
        await asyncio.wait(tasks)

    loop.call_soon(tick)
    loop.run_until_complete(main())


def test_iterations(engine_name: str) -> None:
    lines = same_as_stock(engine_name, iterations)
    assert "waiter got a result" in lines and "iteration 10" in lines


def test_a_million_ready_callbacks(eventloop: Any) -> None:
    called: list[int] = []
    numbers = range(1_000_000)
    for number in numbers:
        eventloop.call_soon(called.append, number)
    turn(eventloop)
    assert called == list(numbers)


def test_a_long_chain(eventloop: Any) -> None:
    """One hundred thousand iterations, none of them on top of another's stack."""
    left = 100_000

    def step() -> None:
        nonlocal left
        left -= 1
        if left:
            eventloop.call_soon(step)
        else:
            eventloop.stop()

    eventloop.call_soon(step)
    eventloop.run_forever()
    assert left == 0


def test_the_queue_can_be_looked_at(eventloop: Any) -> None:
    assert len(eventloop._ready) == 0 and not eventloop._ready
    handles = [eventloop.call_soon(callback, number) for number in range(3)]
    assert len(eventloop._ready) == 3 and eventloop._ready
    assert [handle._args for handle in eventloop._ready] == [(0,), (1,), (2,)]
    assert list(eventloop._ready) == handles
    assert eventloop._ready[0]._args == (0,) and eventloop._ready[-1]._args == (2,)
    assert handles[1] in eventloop._ready
    with pytest.raises(IndexError):
        eventloop._ready[3]
    turn(eventloop)
    assert len(eventloop._ready) == 0


def test_the_queue_can_be_changed(eventloop: Any) -> None:
    called: list[int] = []
    for number in range(4):
        eventloop.call_soon(called.append, number)
    first = eventloop._ready.popleft()
    eventloop._ready.append(first)
    turn(eventloop)
    assert called == [1, 2, 3, 0]
    eventloop.call_soon(called.append, 4)
    eventloop._ready.clear()
    turn(eventloop)
    assert called == [1, 2, 3, 0]


# --- timers


def test_timers_run_in_the_order_of_their_times(eventloop: Any) -> None:
    called: list[int] = []
    now = eventloop.time()
    numbers = list(range(200))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        eventloop.call_at(now - 1 + number / 1000, called.append, number)
    turn(eventloop, 2)
    assert called == sorted(numbers)


def run_timers(engine: Engine, say: Say, seed: int) -> None:
    """Timers of few different times, so that many are equal; some cancelled, some made and cancelled on the way."""
    chance = random.Random(seed)
    loop = engine.new()
    clock = 0.0
    loop.time = lambda: clock
    handles: list[Any] = []
    names = itertools.count()

    def called(name: int) -> None:
        say(name)
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            schedule()
        if chance.random() < 0.3:
            chance.choice(handles).cancel()

    def schedule() -> None:
        if (name := next(names)) < 3000:
            when = clock + chance.choice((-1, 0, 0, 1, 1, 1, 2, 2, 5))
            handles.append(loop.call_at(when, called, name))

    for _ in range(chance.choice((1, 10, 100, 300))):
        schedule()
    for handle in handles:
        if chance.random() < 0.4:
            handle.cancel()
    for _ in range(100):
        turn(loop)
        say(f"{clock}: {sum(1 for timer in loop._scheduled if not timer._cancelled)} left")
        clock += 1


@pytest.mark.parametrize("seed", range(30))
def test_timers_of_equal_time_run_in_the_stock_order(engine_name: str, seed: int) -> None:
    same_as_stock(engine_name, run_timers, seed)


def equal_timers(engine: Engine, say: Say, count: int) -> None:
    loop = engine.new()
    loop.time = lambda: 100.0
    for number in range(count):
        loop.call_at(50, say, number)
    turn(loop, 2)


@pytest.mark.parametrize("count", [2, 3, 10, 1000])
def test_equal_timers(engine_name: str, count: int) -> None:
    lines = same_as_stock(engine_name, equal_timers, count)
    assert sorted(map(int, lines)) == list(range(count))


def test_timer_is_not_early(eventloop: Any) -> None:
    times: list[float] = []
    handles = [eventloop.call_later(delay, lambda: times.append(eventloop.time())) for delay in (0.001, 0.0105, 0.02)]
    eventloop.call_later(0.03, eventloop.stop)
    eventloop.run_forever()
    assert len(times) == 3
    for at, handle in zip(times, handles, strict=True):
        assert at >= handle.when() - eventloop._clock_resolution


def test_due_timers_run_after_what_is_ready(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.call_at(0, say, "timer")
        loop.call_soon(say, "ready")
        loop.call_at(0, say, "second timer")
        turn(loop)
        say("end of the first iteration")
        loop.call_soon(lambda: loop.call_at(0, say, "third timer"))
        turn(loop)
        say("end of the second iteration")
        turn(loop)

    same_as_stock(engine_name, scenario)


def test_a_timer_made_by_a_timer_of_the_same_time_runs_in_the_next_iteration(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()

        def again(depth: int) -> None:
            say(depth)
            if depth:
                loop.call_at(0, again, depth - 1)
            loop.call_soon(say, "soon")

        loop.call_at(0, again, 3)
        for _ in range(5):
            turn(loop)
            say("iteration")

    same_as_stock(engine_name, scenario)


def test_a_hundred_thousand_timers(eventloop: Any) -> None:
    called: list[int] = []
    numbers = list(range(100_000))
    random.Random(2).shuffle(numbers)
    now = eventloop.time()
    for number in numbers:
        eventloop.call_at(now - 1000 + number / 1000, called.append, number)
    turn(eventloop, 2)
    assert called == sorted(numbers)
    assert len(eventloop._scheduled) == 0


def test_cancelled_timers_do_not_pile_up(eventloop: Any) -> None:
    kept = [eventloop.call_later(1000 + number, callback) for number in range(20)]
    for _ in range(10_000):
        eventloop.call_later(3600, callback).cancel()
    assert len(eventloop._scheduled) <= 10_020
    turn(eventloop)
    assert len(eventloop._scheduled) <= 200
    assert sum(1 for timer in eventloop._scheduled if not timer._cancelled) == len(kept)
    assert all(timer._scheduled for timer in kept)


def test_cancelled_timers_do_not_pile_up_one_after_the_other(eventloop: Any) -> None:
    """As `asyncio.timeout` makes and cancels them, one in each iteration."""

    def step() -> None:
        eventloop.call_later(3600, callback).cancel()
        nonlocal most, left
        most = max(most, len(eventloop._scheduled))
        left -= 1
        if left:
            eventloop.call_soon(step)
        else:
            eventloop.stop()

    most, left = 0, 5000
    eventloop.call_later(1000, callback)
    eventloop.call_soon(step)
    eventloop.run_forever()
    assert most <= 250


def test_few_cancelled_timers_behind_live_ones(engine_name: str) -> None:
    """The counts that programs look at: when the stock loop drops cancelled timers, and when it keeps them."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        handles = [loop.call_later(1000 + number, callback) for number in range(300)]
        for share in (0, 10, 100, 150, 151, 160, 200, 299):
            for handle in handles[300 - share :]:
                handle.cancel()
            turn(loop)
            say(sum(1 for timer in loop._scheduled if not timer._cancelled))
            say([handle._scheduled for handle in handles if not handle._cancelled] == [True] * (300 - share))
        handles[0].cancel()
        turn(loop)
        say(len(loop._scheduled))

    same_as_stock(engine_name, scenario)


def test_the_scheduled_can_be_looked_at(eventloop: Any) -> None:
    assert len(eventloop._scheduled) == 0 and not eventloop._scheduled
    handles = [eventloop.call_later(1000 - number, callback, number) for number in range(5)]
    assert len(eventloop._scheduled) == 5 and eventloop._scheduled
    assert eventloop._scheduled[0]._args == (4,)
    assert sorted(handle._args for handle in eventloop._scheduled) == [(number,) for number in range(5)]
    assert handles[2] in eventloop._scheduled
    assert all(isinstance(handle, asyncio.TimerHandle) for handle in eventloop._scheduled)


# --- delays of all kinds

DUE = {
    "zero": 0,
    "zero float": 0.0,
    "minus zero": -0.0,
    "negative": -5,
    "very negative": -1e300,
    "minus infinity": -math.inf,
    "false": False,
    "fraction": fractions.Fraction(0),
    "nan": math.nan,
    "denormal": 5e-324,
}
NOT_DUE = {
    "infinity": math.inf,
    "huge": 1e300,
    "year": 366 * 86400,
    "int": 1000,
    "true": True,
    "fraction": fractions.Fraction(10001, 10),
    "more than epoll can wait": 2**40,
}


@pytest.mark.parametrize("delay", DUE.values(), ids=DUE)
def test_due_at_once(eventloop: Any, delay: Any) -> None:
    called: list[int] = []
    handle = eventloop.call_later(delay, called.append, 1)
    assert called == []
    time.sleep(0.001)
    turn(eventloop)
    turn(eventloop)
    assert called == [1]
    assert not handle.cancelled() and len(eventloop._scheduled) == 0


@pytest.mark.parametrize("delay", NOT_DUE.values(), ids=NOT_DUE)
def test_not_due(eventloop: Any, delay: Any) -> None:
    """Nor does such a time keep the loop from waiting, or from serving an earlier timer."""
    called: list[int] = []
    eventloop.call_later(delay, called.append, 1)
    started = time.process_time()
    eventloop.call_later(0.1, eventloop.stop)
    eventloop.run_forever()
    assert called == []
    assert time.process_time() - started < 0.09
    assert len(eventloop._scheduled) == 1


@pytest.mark.parametrize("when", [*NOT_DUE.values(), decimal.Decimal(10) ** 10], ids=[*NOT_DUE, "decimal"])
def test_call_at_far_away(engine_name: str, when: Any) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.time = lambda: -1e9
        handle = loop.call_at(when, callback)
        say(handle.when())
        say(type(handle.when()).__name__)
        other = loop.call_at(-2e9, say, "called")
        tried(say, lambda: (handle < other, handle > other, handle == other))
        turn(loop, 2)
        say(len(loop._scheduled))

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("delay", [decimal.Decimal(1), "1", b"1", None, [], object], ids=repr)
def test_delays_that_are_refused(engine_name: str, delay: Any) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        tried(say, lambda: loop.call_later(delay, callback) and "accepted")
        say(len(loop._scheduled))

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("when", ["1", b"1", [], object(), 1j], ids=["str", "bytes", "list", "object", "complex"])
def test_times_that_are_none(engine: Engine, when: Any) -> None:
    """The stock loop finds out when it first compares it; ours may do so earlier."""
    loop = engine.new()
    loop.call_at(0, callback)
    with pytest.raises(TypeError):
        loop.call_at(when, callback) and turn(loop)


def test_when_must_not_be_none(engine_name: str) -> None:
    same_as_stock(engine_name, lambda engine, say: tried(say, lambda: engine.new().call_at(None, callback)))


def test_numbers_of_ones_own(engine_name: str) -> None:
    """What behaves as a number is a time."""

    class Seconds:
        def __init__(self, value: float) -> None:
            self.value = value

        def __radd__(self, other: float) -> float:
            return other + self.value

    class When(float):
        pass

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.time = lambda: 1.0
        say(loop.call_later(Seconds(5.0), callback).when())
        handle = loop.call_at(When(7.0), callback)
        say(handle.when())
        say(type(handle.when()).__name__)

    same_as_stock(engine_name, scenario)


def test_nan_does_not_keep_others_from_running(eventloop: Any) -> None:
    called: list[str] = []
    for number in range(5):
        eventloop.call_at(eventloop.time() - number, called.append, "past")
        eventloop.call_at(math.nan, called.append, "nan")
    for _ in range(20):
        turn(eventloop)
    assert sorted(called) == ["nan"] * 5 + ["past"] * 5


# --- bad input

NAMES = ("call_soon", "call_soon_threadsafe", "call_later", "call_at")


def schedule(loop: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call one of the four; those with a time get one that is due."""
    return getattr(loop, name)(*((0,) if name in ("call_later", "call_at") else ()), *args, **kwargs)


BAD_CALLBACKS: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "int": lambda: 5,
    "string": lambda: "text",
    "coroutine function": lambda: coroutine_function,
    "partial of a coroutine function": lambda: functools.partial(coroutine_function),
    "bound coroutine function": lambda: Bound().method,
    "class": lambda: Bound,
    "bad repr": lambda: BadRepr(),
}


class Bound:
    async def method(self) -> None:
        """Do nothing."""


class BadRepr:
    def __repr__(self) -> str:
        raise KeyError("no repr")


def bad_callback(engine: Engine, say: Say, name: str, make: Callable[[], object], debug: bool) -> None:
    loop = engine.new()
    loop.set_debug(debug)
    loop.slow_callback_duration = 100

    def handler(_loop: object, context: dict[str, Any]) -> None:
        say(sorted(context))
        say(context["message"])
        say(context["exception"])
        say(type(context["handle"].cancelled()).__name__)

    loop.set_exception_handler(handler)
    bad = make()
    try:
        handle = schedule(loop, name, bad)
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
    else:
        say(handle._callback is bad)
    say(len(loop._ready) + len(loop._scheduled))
    tried(say, lambda: turn(loop, 2))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("make", BAD_CALLBACKS.values(), ids=BAD_CALLBACKS)
@pytest.mark.parametrize("name", NAMES)
def test_bad_callback(engine_name: str, name: str, make: Callable[[], object], debug: bool) -> None:
    same_as_stock(engine_name, bad_callback, name, make, debug)


def bad_coroutine(engine: Engine, say: Say, name: str, debug: bool) -> None:
    coro = coroutine_function()
    bad_callback(engine, say, name, lambda: coro, debug)
    coro.close()


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("name", NAMES)
def test_coroutine_as_callback(engine_name: str, name: str, debug: bool) -> None:
    lines = same_as_stock(engine_name, bad_coroutine, name, debug)
    if debug:
        assert lines[0] == f"TypeError: coroutines cannot be used with {name if name != 'call_later' else 'call_at'}()"


class Context:
    """Not a Context, but it can run."""

    def run(self, function: Callable[..., object], *args: object) -> object:
        return function(*args)


CONTEXTS: dict[str, object] = {
    "int": 5,
    "string": "text",
    "class": contextvars.Context,
    "false": False,
    "can run": Context(),
    "mapping": {},
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("name", NAMES)
def test_context_that_is_none(engine_name: str, name: str, context: object) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, report: say((report["message"], report["exception"])))
        handle = schedule(loop, name, say, "called", context=context)
        say(handle._context is context)
        turn(loop, 2)

    same_as_stock(engine_name, scenario)


def test_context_that_is_entered_already(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.default_exception_handler = lambda context: say((context["message"], context["exception"]))
        context = contextvars.Context()
        loop.call_soon(say, "called", context=context)
        loop.call_soon(say, "called too")
        context.run(turn, loop)

    same_as_stock(engine_name, scenario)


WRONG_CALLS: dict[str, Callable[[Any, str], object]] = {
    "nothing": lambda loop, name: getattr(loop, name)(),
    "time only": lambda loop, name: schedule(loop, name),
    "unexpected keyword": lambda loop, name: schedule(loop, name, callback, what=1),
    "empty keyword": lambda loop, name: schedule(loop, name, callback, **{"": 1}),
    "callback twice": lambda loop, name: schedule(loop, name, callback, callback=callback),
    "one keyword too many": lambda loop, name: schedule(loop, name, callback, context=None, kontext=None),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
@pytest.mark.parametrize("name", NAMES)
def test_wrong_arguments(eventloop: Any, name: str, call: Callable[[Any, str], object]) -> None:
    with pytest.raises(TypeError):
        call(eventloop, name)
    assert len(eventloop._ready) == len(eventloop._scheduled) == 0


@pytest.mark.parametrize("name", NAMES)
def test_callback_by_keyword(eventloop: Any, name: str) -> None:
    called: list[int] = []
    handle = schedule(eventloop, name, callback=lambda: called.append(1))
    assert handle._args == ()
    turn(eventloop, 2)
    assert called == [1]


def test_times_by_keyword(eventloop: Any) -> None:
    called: list[int] = []
    eventloop.call_later(delay=0, callback=lambda: called.append(1))
    eventloop.call_at(when=0, callback=lambda: called.append(2))
    turn(eventloop, 2)
    assert sorted(called) == [1, 2]


def test_closed_loop_refuses(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.close()
        for name in NAMES:
            tried(say, lambda name=name: schedule(loop, name, callback))
            tried(say, lambda name=name: schedule(loop, name, 5))
        coro = coroutine_function()
        tried(say, lambda: loop.create_task(coro))
        coro.close()
        tried(say, lambda: loop.run_in_executor(None, callback))
        tried(say, lambda: loop.run_forever())
        tried(say, lambda: loop.run_until_complete(loop.create_future()))
        tried(say, lambda: loop.create_future())
        tried(say, lambda: loop.call_later(None, callback))
        tried(say, lambda: loop.stop())
        tried(say, lambda: loop.time() > 0)
        tried(say, lambda: loop.close())

    lines = same_as_stock(engine_name, scenario)
    assert lines.count("RuntimeError: Event loop is closed") >= 11


# --- time


def test_time(eventloop: Any) -> None:
    assert type(eventloop.time()) is float
    assert time.monotonic() <= eventloop.time() <= time.monotonic()
    assert eventloop._clock_resolution == time.get_clock_info("monotonic").resolution


def test_time_replaced_on_the_instance(eventloop: Any) -> None:
    """As fake clocks do: timers follow it."""
    clock = 1000.0
    eventloop.time = lambda: clock
    called: list[str] = []
    assert eventloop.call_later(10, called.append, "10").when() == 1010
    eventloop.call_later(20, called.append, "20")
    turn(eventloop, 2)
    assert called == []
    clock = 1010.0
    turn(eventloop, 2)
    assert called == ["10"]
    clock = 5000.0
    turn(eventloop, 2)
    assert called == ["10", "20"]
    del eventloop.time
    assert abs(eventloop.time() - time.monotonic()) < 60


def test_time_replaced_in_the_middle_of_a_run(eventloop: Any) -> None:
    """The clock is moved on by a callback; the timer is found due without any waiting."""
    called: list[str] = []

    def jump() -> None:
        real = eventloop.time
        eventloop.time = lambda: real() + 10_000

    eventloop.call_later(5000, called.append, "called")
    eventloop.call_later(5000, eventloop.stop)
    eventloop.call_soon(jump)
    eventloop.run_forever()
    assert called == ["called"]


def test_time_of_a_subclass(engine: Engine) -> None:
    class Slow(engine.loop_class):  # type: ignore[misc]
        def time(self) -> float:
            return super().time() / 1000

    loop = engine.new(Slow)
    called: list[int] = []
    loop.call_later(0.0001, called.append, 1)  # a tenth of a second
    started = time.monotonic()
    turn(loop, 2)
    assert called == [] or time.monotonic() - started > 0.1
    loop.call_later(0.0001, loop.stop)
    loop.run_forever()
    assert called == [1]
    assert time.monotonic() - started >= 0.09


def test_time_that_fails(engine: Engine) -> None:
    """The error comes out of `run_forever`; the loop can be run again."""
    loop = engine.new()
    loop.call_later(0.001, loop.stop)

    def broken() -> float:
        raise ArithmeticError("no clock")

    loop.time = broken
    with pytest.raises(ArithmeticError, match="no clock"):
        loop.run_forever()
    assert not loop.is_running()
    with pytest.raises(ArithmeticError, match="no clock"):
        loop.call_later(1, callback)
    del loop.time
    loop.run_forever()


def test_sleep_takes_its_time(engine: Engine) -> None:
    async def main() -> float:
        started = time.monotonic()
        assert await asyncio.sleep(0.05, "value") == "value"
        return time.monotonic() - started

    assert engine.run(main()) >= 0.0499
