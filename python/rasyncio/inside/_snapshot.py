"""What a process is doing, as JSON: its loops with what they have counted, its tasks, its slow steps.

Made in any thread. It costs the loops no more than the GIL's time: a bounded number of tasks is looked at, and between
some of them the GIL is let go. What a version of this package adds to the schema, `_schema.py` knows as well; a change
of what is there already gets another number.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from dataclasses import fields
from typing import Any

from .. import __version__
from .._loop import EventLoop, loops, profiles
from .._profile import FunctionProfile, Profile
from .._slow_step import SlowStep
from .._some_tasks import some_tasks
from .._stats import Durations, LoopStats, of_loop
from .._watch import Told, recent, watched
from ._tasks import Described, clipped, described, natural

#: The number of the schema.
SCHEMA = 1
#: So many loops, tasks and coroutine functions are told of.
LOOPS_MAX = 32
TASKS_MAX = 200
COROUTINES_MAX = 50
#: So many tasks of a loop are looked at.
LOOKED_AT_MAX = 2000
#: Between so many of them the GIL is let go.
_BREATH = 50

FUNCTIONS_MAX = 50

_DURATIONS = {"gaps", "ready_wait", "timer_lateness"}


def snapshot() -> dict[str, Any]:
    """Tell what the process is doing: what `json.dumps()` takes. Times are in seconds, `time` is time.time()."""
    there = [loop for loop in list(loops.values()) if not loop.is_closed()][:LOOPS_MAX]
    tasks: list[Described] = []
    for loop in there:
        tasks += _look_at_tasks(loop)
    by_coroutine = Counter((each["coroutine"], each["place"]) for each in tasks)
    tasks.sort(key=lambda each: (each["state"] != "running", natural(each["name"])))
    threads = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        "schema": SCHEMA,
        "pid": os.getpid(),
        "program": clipped(" ".join(sys.orig_argv)),
        "python": "{}.{}.{}".format(*sys.version_info),
        "rasyncio": __version__,
        "time": time.time(),
        "loops": [_loop(loop, threads) for loop in there],
        "tasks": {"looked_at": len(tasks), "listed": tasks[:TASKS_MAX]},
        "coroutines": [
            {"coroutine": coroutine, "place": place, "tasks": number}
            for (coroutine, place), number in by_coroutine.most_common(COROUTINES_MAX)
        ],
        "functions": _functions(),
        "watched": watched(),
        "slow_steps": [_slow_step(told) for told in list(recent)],
    }


def _look_at_tasks(loop: EventLoop) -> list[Described]:
    found = []
    for number, task in enumerate(some_tasks(loop, LOOKED_AT_MAX)):
        if number % _BREATH == _BREATH - 1:
            time.sleep(0)
        if not task.done():
            found.append(described(task, loop))
    return found


def _loop(loop: EventLoop, threads: dict[int | None, str]) -> dict[str, Any]:
    stats = of_loop(loop)
    told: dict[str, Any] = {each.name: getattr(stats, each.name) for each in fields(LoopStats)}
    del told["functions"]  # those of all loops are told together
    for name in _DURATIONS:
        told[name] = _durations(told[name])
    told.update(
        id=f"{id(loop):x}",
        loop=clipped(stats.loop),
        thread_name=clipped(threads.get(stats.thread, "")),
    )
    return told


def _functions() -> list[dict[str, Any]] | None:
    """What the profile that is on has found, the busiest first; None if none is on."""
    functions = [profile.functions for profile in profiles if isinstance(profile, Profile)]
    return [_function(each) for each in functions[0][:FUNCTIONS_MAX]] if functions else None


def _function(of: FunctionProfile) -> dict[str, Any]:
    told: dict[str, Any] = {each.name: getattr(of, each.name) for each in fields(FunctionProfile)}
    return {**told, "name": clipped(of.name), "place": clipped(of.place or "")}


def _durations(durations: Durations) -> dict[str, Any]:
    return {"largest": durations.largest, "buckets": [list(each) for each in durations.buckets]}


def _slow_step(of: Told) -> dict[str, Any]:
    step = of.step
    told: dict[str, Any] = {each.name: getattr(step, each.name) for each in fields(SlowStep)}
    for name in ("task", "coroutine", "place", "called_at"):
        told[name] = None if told[name] is None else clipped(told[name])
    # Of a log, what was before it is of interest; of what is looked at now, what came since.
    return {**told, "time": of.time, "repeats": of.more, "stack": [clipped(line) for line in step.stack]}
