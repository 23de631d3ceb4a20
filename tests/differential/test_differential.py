"""Random programs do the same on CPython's Future, Task and loop and on ours: a fixed number of them, always the same.

`make fuzz` runs others.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from differential.comparison import comparable, difference
from differential.engines import PRELUDES, Engines, engines
from differential.fuzz import ROUND, one_round
from differential.programs import Program

# The engines run for all tests of the file.
pytestmark = pytest.mark.xdist_group("differential")

ROUNDS = 4


@pytest.fixture(scope="module")
def running() -> Iterator[Engines]:
    with engines() as running:
        yield running


@pytest.mark.parametrize("number", range(ROUNDS))
def test_random_programs_do_the_same_everywhere(running: Engines, number: int) -> None:
    one_round(running, number, ROUND)


def program(*steps: list[object]) -> Program:
    setup = {"futures": 1, "debug": False, "factory": "", "handler": "", "overrides": [], "reentry": []}
    return {"setup": setup, "steps": list(steps)}


def test_a_trace_tells_what_happened(running: Engines) -> None:
    body = [["try", [["await", 0]], ["CancelledError"], [["raise", "ValueError", False]], []]]
    steps = program(["task", "create_task", body, "mine", None, False], ["turn"], ["cancel", 1, "please"], ["turn"])
    traces = running.traces(steps)
    assert list(traces) == list(PRELUDES)
    for trace in traces.values():
        text = "\n".join(trace)
        assert "body 0: [task t0, 'unset']" in trace
        assert "caught: CancelledError('please')#0" in text
        assert "handler: Task exception was never retrieved exception=ValueError('new', 1)#1<context=Canc" in text


@pytest.mark.parametrize("engine", list(PRELUDES))
def test_a_difference_is_seen(running: Engines, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    steps = program(["turn"])
    traces = running.traces(steps)
    assert difference(running, steps) == "" and comparable(steps, traces["c"])
    traces[engine] = [*traces[engine], "one line more"]
    monkeypatch.setattr(running, "traces", lambda _: traces)
    assert "one line more" in difference(running, steps)


def test_a_crash_and_a_failing_interpreter_are_differences(running: Engines) -> None:
    assert "KeyError: 'debug'" in difference(running, {**program(), "setup": {"handler": "", "reentry": []}})
    crashing = running._engines[-1]
    crashing.send(program())
    crashing.receive()
    assert crashing._process is not None
    crashing._process.kill()
    crashing._process.wait()
    with pytest.raises(BrokenPipeError):
        crashing.send(program())
    assert crashing.receive() == ["crashes: exit status -9"]
    assert difference(running, program()) == "", "it is started again"
