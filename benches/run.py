"""The benchmark: every workload on every implementation, interleaved.

A round starts one short worker process (worker.py) for each workload and implementation; the implementations of one
workload follow each other directly, and every round begins with another one, so that whatever else the machine does
hits all of them alike. CPython's C module is measured twice, as if it were two implementations ("c" and "c again"):
how far apart these two are is how far the whole table can be trusted.

    python benches/run.py [--python PATH...] [--impl c,rasyncio] [--bench NAME...] [--quick] [--json DIR]
"""

import argparse
import math
import os
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyperf

import probes
import report
from implementations import IMPLEMENTATIONS
from workloads import WORKLOADS

WORKER = Path(__file__).with_name("worker.py")
WORKER_TIMEOUT = 120.0
BASELINE = "c"
CONTROL = "c again"
CONFIDENCE = 0.95


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


FULL = Effort(rounds=25, values=3, min_time=0.05)
QUICK = Effort(rounds=5, values=2, min_time=0.01)


@dataclass
class Series:
    """What the rounds measured for one workload on one implementation."""

    runs: list[pyperf.Run] = field(default_factory=list)

    def per_round(self) -> list[float]:
        """Seconds per operation, one figure a round."""
        return [statistics.median(run.values) for run in self.runs]

    def nanoseconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.per_round()) * 1e9


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the baseline: the median over the rounds, with its confidence interval."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, baseline: Series, other: Series) -> "Ratio":
        """Compare round by round, since both worker processes of a round ran next to each other."""
        ratios = sorted(a / b for a, b in zip(baseline.per_round(), other.per_round(), strict=True))
        outside = left_out(len(ratios)) or 0
        return cls(statistics.median(ratios), ratios[outside], ratios[-1 - outside])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def left_out(rounds: int) -> int | None:
    """How many of the sorted figures lie outside the 95 % confidence interval of their median, at either end.

    Each figure is below the true median with probability 1/2, whatever its distribution, so this is a matter of
    counting. None: there are too few rounds for such an interval.
    """
    tail, outside = 0.0, None
    for number in range(rounds):
        tail += math.comb(rounds, number) / 2**rounds
        if tail > (1 - CONFIDENCE) / 2:
            break
        outside = number
    return outside


def work(python: str, column: str, workload: str, *options: str) -> pyperf.Run:
    """Run one worker process, give back what it measured."""
    implementation = BASELINE if column == CONTROL else column
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory, "result.json")
        command = [python, str(WORKER), implementation, workload, "--worker", "--quiet", f"--output={result}", *options]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WORKER_TIMEOUT)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        (run,) = pyperf.Benchmark.load(str(result)).get_runs()
    return run


def calibrate(python: str, workload: str, effort: Effort) -> int:
    """How many repetitions take the time wanted on the baseline. All implementations then do as many."""
    run = work(python, BASELINE, workload, "--calibrate-loops", "--warmups=0", "--values=1", *effort.options())
    return int(run.get_metadata()["calibrate_loops"])


def measure(
    python: str, columns: Sequence[str], workloads: Sequence[str], effort: Effort
) -> dict[str, dict[str, Series]]:
    """All rounds for one Python: {workload: {column: its figures}}."""
    results = {workload: {column: Series() for column in columns} for workload in workloads}
    with report.progress() as progress:
        steps = progress.add_task("calibrating", total=len(workloads) * (1 + effort.rounds * len(columns)))
        loops = {}
        for workload in workloads:
            loops[workload] = calibrate(python, workload, effort)
            progress.advance(steps)
        for number in range(effort.rounds):
            for workload in workloads:
                repeat = (f"--loops={loops[workload]}", "--warmups=1", f"--values={effort.values}")
                for column in rotated(columns, number):
                    progress.update(steps, description=f"round {number + 1}: {workload} on {column}")
                    run = work(python, column, workload, *repeat, *effort.options())
                    results[workload][column].runs.append(run)
                    progress.advance(steps)
    return results


def rotated(columns: Sequence[str], number: int) -> list[str]:
    """The columns in another order each round."""
    first = number % len(columns)
    return [*columns[first:], *columns[:first]]


def tabulate(version: str, results: dict[str, dict[str, Series]], notes: Sequence[str]) -> report.Report:
    """The table for one Python."""
    columns = list(next(iter(results.values())))
    others = [column for column in columns if column != BASELINE]
    header = ["one operation", f"{BASELINE}, ns"]
    for column in others:
        header += [f"times as fast: {column}"] if column == CONTROL else [f"{column}, ns", f"times as fast: {column}"]
    rows, control = [], []
    for workload, by_column in results.items():
        row = [report.label(workload), f"{by_column[BASELINE].nanoseconds():.0f}"]
        for column in others:
            ratio = Ratio.of(by_column[BASELINE], by_column[column])
            if column == CONTROL:
                control.append(abs(ratio.median - 1))
            else:
                row.append(f"{by_column[column].nanoseconds():.0f}")
            row.append(str(ratio))
        rows.append(row)
    runs = results[next(iter(results))][BASELINE].runs
    first = runs[0].get_metadata()
    enough = left_out(len(runs)) is not None
    brackets = f"its {CONFIDENCE:.0%} confidence interval" if enough else "the lowest and the highest (few rounds)"
    facts = [
        f"{first['platform']}, {first.get('cpu_model_name', 'unknown CPU')}, {first['cpu_count']} CPUs",
        f"times as fast: median of the rounds' ratios, above 1 is faster than c; in brackets {brackets}",
    ]
    if control:
        facts.append(
            f"c against c itself: {statistics.median(control):.1%} apart in the median workload, "
            f"{max(control):.1%} at most"
        )
    return report.Report(f"CPython {version}", header, rows, [*facts, *notes])


def save(directory: Path, version: str, results: dict[str, dict[str, Series]]) -> None:
    """One file a column, for `python -m pyperf compare_to`, `stats`, `hist`."""
    directory.mkdir(parents=True, exist_ok=True)
    for column in next(iter(results.values())):
        suite = pyperf.BenchmarkSuite([pyperf.Benchmark(by_column[column].runs) for by_column in results.values()])
        suite.dump(str(directory / f"{version}-{column.replace(' ', '-')}.json"), replace=True)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = report.argument_parser(__doc__)
    parser.add_argument("--impl", default="c,rasyncio", help=f"of {','.join(IMPLEMENTATIONS)}, c among them")
    parser.add_argument("--no-control", action="store_true", help="do not measure c a second time")
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help=f"worker processes for each figure (default: {FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="few short rounds: shows that it works, measures little")
    report.add_clock(parser)
    parser.add_argument("--note", default="", help="a remark for the table's notes, like who built this Python and how")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write pyperf's JSON files into this directory")
    arguments = parser.parse_args()
    arguments.columns = arguments.impl.split(",")
    if unknown := set(arguments.columns) - set(IMPLEMENTATIONS):
        parser.error(f"--impl: unknown {', '.join(sorted(unknown))}")
    if BASELINE not in arguments.columns:
        parser.error(f"--impl: {BASELINE!r} is what the others are compared with, it cannot be left out")
    if not arguments.no_control:
        arguments.columns.append(CONTROL)
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: at least one")
    return arguments


def main() -> None:
    """Measure and report."""
    arguments = parse_arguments()
    effort = replace(QUICK if arguments.quick else FULL, clock=arguments.clock)
    if arguments.rounds is not None:
        effort = replace(effort, rounds=arguments.rounds)
    reports = []
    for python in arguments.python:
        version = probes.ask(python, "version()")
        workloads = [name for name in probes.ask(python, "workload_names()") if name in arguments.bench]
        if not workloads:
            raise SystemExit(f"CPython {version} can run none of {', '.join(arguments.bench)}")
        load = os.getloadavg()[0]
        results = measure(python, arguments.columns, workloads, effort)
        notes = [
            probes.ask(python, "description()") + (f"; {arguments.note}" if arguments.note else ""),
            f"{effort.rounds} rounds of {effort.values} timings of {effort.min_time * 1000:.0f} ms or more, "
            f"{effort.clock} clock",
            f"load average {load:.2f} before, {os.getloadavg()[0]:.2f} after (the benchmark alone makes about 1)",
        ]
        reports.append(tabulate(version, results, notes))
        if arguments.json:
            save(arguments.json, version, results)
    report.output(reports, arguments, section="bench")


if __name__ == "__main__":
    main()
