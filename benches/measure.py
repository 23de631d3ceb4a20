"""Timing: worker processes of all implementations, interleaved.

A round starts one short worker process (worker.py) for each workload and implementation; the implementations of one
workload follow each other directly, and every round begins with another one, so that whatever else the machine does
hits all of them alike.
"""

import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyperf

import probes
import report
from implementations import BASELINE, IMPLEMENTATIONS
from workloads import WORKLOADS

WORKER = Path(__file__).with_name("worker.py")
WORKER_TIMEOUT = 300.0

Columns = dict[str, str]  # a column's title, and the implementation's name for the command line


class WorkerFailed(Exception):
    """A worker process did not do what it should; the text says why, in one line."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    values: int  # timings in one worker process, after one that is thrown away
    min_time: float  # seconds that one timing takes at least on the baseline
    clock: str = "wall"

    def options(self) -> tuple[str, ...]:
        """The worker's options that do not depend on the workload."""
        return (f"--clock={self.clock}", f"--min-time={self.min_time}")

    def repeat(self, loops: int, seconds: float) -> tuple[str, ...]:
        """The worker's options for a workload whose one timing of so many loops takes these seconds on the baseline.

        A long one warms itself up, and one timing of it says enough.
        """
        long = loops == 1 and seconds > 3 * self.min_time
        warmups, values = (0, 1) if long else (1, self.values)
        return (f"--loops={loops}", f"--warmups={warmups}", f"--values={values}")


@dataclass
class Series:
    """What the rounds measured for one workload on one implementation."""

    runs: list[pyperf.Run] = field(default_factory=list)
    failure: str = ""  # if it cannot be measured: "absent: ..." or "fails: ..."

    def per_round(self) -> list[float]:
        """Seconds per operation, one figure a round."""
        return [statistics.median(run.values) for run in self.runs]

    def nanoseconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.per_round()) * 1e9


Results = dict[str, dict[str, Series]]  # by workload, and by column


def work(python: str, implementation: str, workload: str, *options: str) -> pyperf.Run:
    """Run one worker process, give back what it measured."""
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory, "result.json")
        command = [python, str(WORKER), implementation, workload, "--worker", "--quiet", f"--output={result}", *options]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WORKER_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"{implementation}, {workload}: no end within {WORKER_TIMEOUT:.0f} s") from None
        if done.returncode:
            last_words = done.stderr.strip().rpartition("\n")[2] or "without a word"
            raise WorkerFailed(f"{implementation}, {workload}: exit status {done.returncode}, {last_words}")
        (run,) = pyperf.Benchmark.load(str(result)).get_runs()
    return run


def calibrate(python: str, workload: str, effort: Effort) -> tuple[str, ...]:
    """The worker's options for as many repetitions as take the time wanted on the baseline.

    All implementations then do as many.
    """
    run = work(python, str(BASELINE), workload, "--calibrate-loops", "--warmups=0", "--values=1", *effort.options())
    loops, seconds = run.warmups[-1]  # per operation
    return effort.repeat(int(loops), seconds * loops * WORKLOADS[workload].operations)


def measure(python: str, columns: Columns, workloads: Sequence[str], effort: Effort) -> Results:
    """All rounds for one Python. Only a peer and the floor may fail."""
    reasons = {column: probes.why_absent(python, name) for column, name in columns.items()}
    absent = {column: f"absent: {column}, {reason}" for column, reason in reasons.items() if reason}
    results = {
        workload: {column: Series(failure=absent.get(column, "")) for column in columns} for workload in workloads
    }
    with report.progress() as progress:
        steps = progress.add_task("calibrating", total=len(workloads) * (1 + effort.rounds * len(columns)))
        repeat = {}
        for workload in workloads:
            progress.update(steps, description=f"calibrating {workload}")
            repeat[workload] = calibrate(python, workload, effort)
            progress.advance(steps)
        for number in range(effort.rounds):
            for workload in workloads:
                for column in rotated(list(columns), number):
                    progress.update(steps, description=f"round {number + 1}: {workload} on {column}")
                    series = results[workload][column]
                    if not series.failure:
                        options = (*repeat[workload], *effort.options())
                        try:
                            series.runs.append(work(python, columns[column], workload, *options))
                        except WorkerFailed as failure:
                            if not IMPLEMENTATIONS[columns[column]].may_fail:
                                raise
                            series.failure = f"fails: {failure}"
                    progress.advance(steps)
    return results


def rotated(columns: Sequence[str], number: int) -> list[str]:
    """The columns in another order each round."""
    first = number % len(columns)
    return [*columns[first:], *columns[:first]]
