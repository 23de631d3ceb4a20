"""What counts as the same, and the table of what CPython's own two implementations differ in."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

from .engines import Engines
from .programs import Program

REFERENCE = "c"


@dataclass(frozen=True)
class Difference:
    """Text that is not the same in CPython's pure Python and C implementations: it is replaced in both."""

    reason: str
    pattern: str
    replacement: str = ""


#: As regular expressions of lines.
DIFFERENCES = [
    Difference("a traceback has the frames of Python code, and is saved and dropped at other times", r" ?tb=[\w>]*"),
    Difference("the C types say their module", r"\b_asyncio\."),
    Difference(
        "C says less in its InvalidStateErrors", r"""InvalidStateError\(("|').*?\1\)#""", "InvalidStateError()#"
    ),
    Difference("an empty set of tasks that await it stays where there was one", r"awaited by=\{\}", "awaited by=None"),
    Difference("a private method in Python", r"\w+\.(task_wakeup|__wakeup)\(\)", "Task.wakeup()"),
    Difference("a private method in Python", r"<TaskStepMethWrapper object at 0x>\(|Task\.__step\(", "Task.step("),
    Difference("a future's iterator is a generator in Python", "generator raised Stop", "coroutine raised Stop"),
    Difference(
        "a task may be freed before its coroutine, or after it", r"(was (destroyed|never).* coro)=<[^>]*>", r"\1"
    ),
    Difference("what a finalizer has changed may be freed by the next collection only", r"^left over .*", "left over"),
]
#: What is said when something is freed: later in Python, where more is in reference circles.
FREED = "was never retrieved|was destroyed but it is pending|was never awaited|Unhandled error in exception handler"
#: As regular expressions of programs and their traces, which are not compared then.
FEATURES = {
    "Python calls more of a subclass's methods": r'"overrides": \["',
    "what a task says that yields itself": r'"yield", "future"',
    "C's attribute is read-only": r'"_must_cancel", true',
    "a task that has awaited itself looks in C as if it were being awaited": "Task cannot await on itself",
    "Python throws a CancelledError while it handles that: others get it as a context": "context=CancelledError",
    "who looks whether a future is being awaited": r'"_asyncio_future_blocking", true',
    "C refuses what is no exception before it is stored": r'"no exception"',
    "a future's iterator is a generator in Python": r'\["iterate"',
}


def comparable(program: Program, *traces: list[str]) -> bool:
    """Are CPython's own two to be the same?"""
    text = "\n".join([json.dumps(program), *itertools.chain(*traces)])
    return not any(re.search(pattern, text) for pattern in FEATURES.values())


def loosened(trace: list[str]) -> list[str]:
    """A trace without what may differ between CPython's own two."""
    for difference in DIFFERENCES:
        trace = [re.sub(difference.pattern, difference.replacement, line) for line in trace]
    lines = [re.sub(r"#\d+", "#", line) for line in trace if line]
    return [line for line in lines if not re.search(FREED, line)] + sorted(
        line for line in lines if re.search(FREED, line)
    )


def difference(engines: Engines, program: Program) -> str:
    """What differs, for people to read; empty if nothing does."""
    traces = engines.traces(program)
    expected = traces[REFERENCE]
    parts = []
    for name, trace in traces.items():
        if name == "python" and not comparable(program, expected, trace):
            continue
        pair = (loosened(expected), loosened(trace)) if name == "python" else (expected, trace)
        if pair[0] != pair[1]:
            parts.append("\n".join(difflib.unified_diff(*pair, REFERENCE, name, lineterm="")))
    if any("the interpreter of programs failed:" in trace for trace in traces.values()):
        parts += ["\n".join(trace) for trace in traces.values() if trace[0].startswith("the interpreter")]
    return "\n".join(parts)


def written(program: Program) -> str:
    """A program as text, one step a line."""
    lines = [json.dumps(step) for step in program["steps"]]
    return f'{{"setup": {json.dumps(program["setup"])},\n "steps": [\n  ' + ",\n  ".join(lines) + "\n ]}"


def check(engines: Engines, program: Any) -> None:
    """Fail if a program is not the same on all engines."""
    found = difference(engines, program)
    assert not found, f"{found}\n\nthe program:\n{written(program)}"
