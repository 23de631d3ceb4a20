"""What another process tells is checked before it is used, and shown: types, sizes, and no control characters.

The other process may be anything that listens there. What has the wrong type is refused as a whole; what is too long is
cut; fields that are not known are left out, for a later version may tell more.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable
from typing import Any

from ._await_tree import DEPTH_MAX, NODES_MAX
from ._protocol import Malformed
from ._snapshot import COROUTINES_MAX, FUNCTIONS_MAX, LOOPS_MAX, SCHEMA, TASKS_MAX
from ._tasks import FRAMES_MAX, TEXT_MAX

Check = Callable[[Any, str], Any]

#: No count and no time is larger.
_NUMBER_MAX = 2.0**63
#: As many slow steps, frames of each, and buckets of a histogram are taken.
_STEPS_MAX = 100
_STACK_MAX = 100
_BUCKETS_MAX = 1000


def printable(text: str) -> str:
    """The text without what a terminal would act upon, or what would turn it round; line breaks and tabs are spaces."""
    plain = " ".join(text.splitlines()).replace("\t", " ")
    return "".join(each if unicodedata.category(each)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for each in plain)


def _fails(where: str, what: str) -> Malformed:
    return Malformed(f"{where} is no {what}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _fails(where, "text")
    return printable(value[:TEXT_MAX])


def _source(value: Any, where: str) -> str:
    """Several lines of a stack."""
    if not isinstance(value, str):
        raise _fails(where, "text")
    return "\n".join(printable(line) for line in value[:TEXT_MAX].splitlines())


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _fails(where, "number")
    if not 0 <= value <= _NUMBER_MAX or not math.isfinite(value):
        raise _fails(where, "number from 0 to 2**63")
    return value


def _truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _fails(where, "true or false")
    return value


def _maybe(check: Check) -> Check:
    return lambda value, where: None if value is None else check(value, where)


def _all(check: Check, most: int) -> Check:
    def checked(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise _fails(where, "list")
        return [check(each, f"{where}[{number}]") for number, each in enumerate(value[:most])]

    return checked


def _fields(**checks: Check) -> Check:
    def checked(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _fails(where, "object")
        return {name: check(value.get(name), f"{where}.{name}") for name, check in checks.items()}

    return checked


def _bucket(value: Any, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise _fails(where, "pair")
    return _number(value[0], where), _number(value[1], where)


_DURATIONS = _fields(largest=_number, buckets=_all(_bucket, _BUCKETS_MAX))
_COUNTS = (
    "seconds_running",
    "seconds_asleep",
    "iterations",
    "callbacks",
    "polls",
    "waits",
    "threadsafe_calls",
    "ready_now",
    "ready_most",
    "gap_now",
    "timers_scheduled",
    "files_watched",
    "tasks_made",
    "tasks_returned",
    "tasks_failed",
    "tasks_cancelled",
    "tasks_alive",
    "connections_made",
    "connections_lost",
    "bytes_received",
    "bytes_sent",
)
_LOOP = _fields(
    id=_text,
    loop=_text,
    thread=_maybe(_number),
    thread_name=_text,
    **dict.fromkeys(("gaps", "ready_wait", "timer_lateness"), _DURATIONS),
    **dict.fromkeys(_COUNTS, _number),
)
_DESCRIBED: dict[str, Check] = dict.fromkeys(("id", "name", "coroutine", "state", "place", "waits_for"), _text)
_STEP = _fields(
    is_over=_truth,
    seconds=_number,
    time=_number,
    thread=_number,
    task=_maybe(_text),
    coroutine=_maybe(_text),
    place=_maybe(_text),
    called_at=_maybe(_text),
    gil_held=_number,
    repeats=_number,
    stack=_all(_source, _STACK_MAX),
)
_FUNCTION = _fields(
    name=_text,
    place=_text,
    **dict.fromkeys(("steps", "seconds_busy", "seconds_longest", "seconds_waiting"), _number),
)
_SNAPSHOT = _fields(
    schema=_number,
    pid=_number,
    program=_text,
    python=_text,
    rasyncio=_text,
    time=_number,
    loops=_all(_LOOP, LOOPS_MAX),
    tasks=_fields(looked_at=_number, listed=_all(_fields(**_DESCRIBED), TASKS_MAX)),
    coroutines=_all(_fields(coroutine=_text, place=_text, tasks=_number), COROUTINES_MAX),
    functions=_maybe(_all(_FUNCTION, FUNCTIONS_MAX)),
    watched=_maybe(_number),
    slow_steps=_all(_STEP, _STEPS_MAX),
)
_NODE = _fields(**_DESCRIBED, stack=_all(_text, FRAMES_MAX))


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number")


def decoded(line: bytes) -> dict[str, Any]:
    """Decode an answer. Raises Malformed, with what the other process refused where it did."""
    try:
        told = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the answer is not JSON: {printable(str(error))[:200]}") from None
    if not isinstance(told, dict):
        raise _fails("the answer", "object")
    if "error" in told:
        raise Malformed(f"the program answers: {_text(told['error'], 'error')}")
    return told


def checked_snapshot(told: dict[str, Any]) -> dict[str, Any]:
    """The snapshot, as `_snapshot.py` has it. Raises Malformed for what is none, or of another schema."""
    if _number(told.get("schema"), "schema") != SCHEMA:
        raise Malformed(
            f"it speaks schema {told['schema']:.0f}, this is {SCHEMA}: use the same version of rasyncio on both sides"
        )
    checked: dict[str, Any] = _SNAPSHOT(told, "the answer")
    return checked


def checked_tree(told: dict[str, Any]) -> dict[str, Any] | None:
    """The tree, as `_await_tree.py` has it; None if the task is gone."""
    return None if told.get("tree") is None else _node(told["tree"], 0, [NODES_MAX])


def _node(value: Any, depth: int, left: list[int]) -> dict[str, Any]:
    left[0] -= 1
    node: dict[str, Any] = _NODE(value, "tree")
    below = value.get("awaits")
    if not isinstance(below, list):
        raise _fails("tree.awaits", "list")
    node["awaits"] = []
    for each in below if depth < DEPTH_MAX else []:
        if left[0] <= 0:
            break
        node["awaits"].append(_node(each, depth + 1, left))
    return node
