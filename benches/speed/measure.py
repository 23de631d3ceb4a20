"""Timing: worker processes of all implementations, interleaved.

A round starts one short worker process (worker.py, a worker of pyperf) for each workload and implementation. pyperf
calibrates, warms up, times and writes the result files; the order of the processes is ours.
"""

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyperf

from benches.implementations import BASELINE, IMPLEMENTATIONS
from benches.interpreter import Failed, command, run, why_absent
from benches.options import Columns
from benches.rounds import Cell, in_turn, progress
from benches.workloads import WORKLOADS

WORKER = "benches.speed.worker"
WORKER_TIMEOUT = 300.0


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
class Series(Cell):
    """What the rounds measured for one workload on one implementation."""

    runs: list[pyperf.Run] = field(default_factory=list)

    def per_round(self) -> list[float]:
        """Seconds per operation, one figure a round."""
        return [statistics.median(run.values) for run in self.runs]

    def nanoseconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.per_round()) * 1e9


Results = dict[str, dict[str, Series]]  # by workload, and by column
Environment = Mapping[str, str] | None


def work(python: str, implementation: str, workload: str, *options: str, env: Environment = None) -> pyperf.Run:
    """Run one worker process, give back what it measured."""
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory, "result.json")
        pyperfs = ("--worker", "--quiet", f"--output={result}", *options)
        worker = command(python, WORKER, implementation, workload, *pyperfs)
        run(f"{implementation}, {workload}", worker, WORKER_TIMEOUT, env)
        (measured,) = pyperf.Benchmark.load(str(result)).get_runs()
    return measured


def calibrate(
    python: str, workload: str, effort: Effort, implementation: str = str(BASELINE), env: Environment = None
) -> tuple[int, float]:
    """How many repetitions take the time wanted, on the baseline for all; and how long they take."""
    options = ("--calibrate-loops", "--warmups=0", "--values=1", *effort.options())
    loops, seconds = work(python, implementation, workload, *options, env=env).warmups[-1]  # per operation
    return int(loops), seconds * loops * WORKLOADS[workload].operations


def measure(
    python: str, columns: Columns, workloads: Sequence[str], effort: Effort, env: Environment = None
) -> Results:
    """All rounds for one Python. Only a peer and the floor may fail."""
    reasons = {column: why_absent(python, name) for column, name in columns.items()}
    absent = {column: f"absent: {column}, {reason}" for column, reason in reasons.items() if reason}
    results = {
        workload: {column: Series(failure=absent.get(column, "")) for column in columns} for workload in workloads
    }
    with progress() as bar:
        repeat = {
            workload: effort.repeat(*calibrate(python, workload, effort, env=env))
            for workload in bar.track(workloads, description="calibrating")
        }
    for workload, column in in_turn(effort.rounds, workloads, list(columns)):
        series = results[workload][column]
        if series.failure:
            continue
        try:
            options = (*repeat[workload], *effort.options())
            series.runs.append(work(python, columns[column], workload, *options, env=env))
        except Failed as failure:
            if not IMPLEMENTATIONS[columns[column]].may_fail:
                raise
            series.failure = f"fails: {failure}"
    return results


def save(directory: Path, version: str, columns: Columns, results: Results) -> None:
    """One file a column, for `python -m pyperf compare_to`, `stats`, `hist`, and for the charts."""
    directory.mkdir(parents=True, exist_ok=True)
    for column in columns:
        measured = [by_column[column].runs for by_column in results.values() if not by_column[column].failure]
        if measured:
            suite = pyperf.BenchmarkSuite([pyperf.Benchmark(runs) for runs in measured])
            for benchmark in suite:
                benchmark.update_metadata({"column": column})
            suite.dump(str(directory / f"{version}-{column.replace(' ', '-')}.json"), replace=True)


def load(directory: Path) -> dict[str, tuple[Columns, Results]]:
    """What has been saved there, for each version of Python."""
    found: dict[str, tuple[Columns, Results]] = {}
    for path in sorted(directory.glob("*.json")):
        for benchmark in pyperf.BenchmarkSuite.load(str(path)):
            facts = benchmark.get_metadata()
            columns, results = found.setdefault(facts["python_version"].split()[0], ({}, {}))
            columns[facts["column"]] = facts["asyncio_implementation"]
            results.setdefault(benchmark.get_name(), {})[facts["column"]] = Series(runs=benchmark.get_runs())
    return found
