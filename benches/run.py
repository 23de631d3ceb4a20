"""The benchmark: every workload on every implementation, interleaved.

An implementation is one of Future and Task together with an event loop: CPython's C module on asyncio's loop (the
baseline, "c"), rasyncio's on asyncio's loop ("swap only") and on its own ("rasyncio"), and CPython's C module on other
people's loops. A round starts one short worker process (worker.py) for each workload and implementation; the
implementations of one workload follow each other directly, and every round begins with another one, so that whatever
else the machine does hits all of them alike. The baseline is measured twice, as if it were two implementations ("c" and
"c again"): how far apart these two are is how far the whole table can be trusted.

    python benches/run.py [--python PATH...] [--loop stock,ours,uvloop,...] [--bench NAME...] [--quick] [--json DIR]
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
import targets
from implementations import BASELINE, IMPLEMENTATIONS, LOOPS, MODULES, OURS
from workloads import WORKLOADS

WORKER = Path(__file__).with_name("worker.py")
WORKER_TIMEOUT = 120.0
CONTROL = f"{BASELINE} again"
BEST_PEER = f"best peer / {OURS}"
CONFIDENCE = 0.95

Columns = dict[str, str]  # a column's title, and the implementation's name for the command line
Ratios = dict[str, dict[str, "Ratio"]]  # by what is compared, like "c / rasyncio", and by workload


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


FULL = Effort(rounds=15, values=3, min_time=0.1)
QUICK = Effort(rounds=5, values=2, min_time=0.01)


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


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another: the median over the rounds, with its confidence interval."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, other: Series, series: Series) -> "Ratio":
        """Compare round by round, since the worker processes of a round ran next to each other."""
        ratios = sorted(a / b for a, b in zip(other.per_round(), series.per_round(), strict=True))
        outside = left_out(len(ratios)) or 0
        return cls(statistics.median(ratios), ratios[outside], ratios[-1 - outside])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


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


def calibrate(python: str, workload: str, effort: Effort) -> int:
    """How many repetitions take the time wanted on the baseline. All implementations then do as many."""
    run = work(python, str(BASELINE), workload, "--calibrate-loops", "--warmups=0", "--values=1", *effort.options())
    return int(run.get_metadata()["calibrate_loops"])


def measure(python: str, columns: Columns, workloads: Sequence[str], effort: Effort) -> dict[str, dict[str, Series]]:
    """All rounds for one Python: {workload: {column: its figures}}. Only a peer may fail."""
    reasons = {column: probes.why_absent(python, name) for column, name in columns.items()}
    absent = {column: f"absent: {column}, {reason}" for column, reason in reasons.items() if reason}
    results = {
        workload: {column: Series(failure=absent.get(column, "")) for column in columns} for workload in workloads
    }
    with report.progress() as progress:
        steps = progress.add_task("calibrating", total=len(workloads) * (1 + effort.rounds * len(columns)))
        loops = {}
        for workload in workloads:
            loops[workload] = calibrate(python, workload, effort)
            progress.advance(steps)
        for number in range(effort.rounds):
            for workload in workloads:
                repeat = (f"--loops={loops[workload]}", "--warmups=1", f"--values={effort.values}")
                for column in rotated(list(columns), number):
                    progress.update(steps, description=f"round {number + 1}: {workload} on {column}")
                    series = results[workload][column]
                    if not series.failure:
                        try:
                            series.runs.append(work(python, columns[column], workload, *repeat, *effort.options()))
                        except WorkerFailed as failure:
                            if not IMPLEMENTATIONS[columns[column]].peer:
                                raise
                            series.failure = f"fails: {failure}"
                    progress.advance(steps)
    return results


def rotated(columns: Sequence[str], number: int) -> list[str]:
    """The columns in another order each round."""
    first = number % len(columns)
    return [*columns[first:], *columns[:first]]


def against_baseline(column: str) -> str:
    """The title of a column's ratios."""
    return f"{BASELINE} / {column}"


def compare(columns: Columns, results: dict[str, dict[str, Series]]) -> Ratios:
    """Every column with the baseline, and ours with the fastest peer of each workload."""
    others = [column for column in columns if column != str(BASELINE)]
    peers = [column for column, name in columns.items() if IMPLEMENTATIONS[name].peer]
    ratios: Ratios = {against_baseline(column): {} for column in others}
    if peers and str(OURS) in columns:
        ratios[BEST_PEER] = {}
    for workload, by_column in results.items():
        measured = {column: series for column, series in by_column.items() if not series.failure}
        for column in measured.keys() & others:
            ratios[against_baseline(column)][workload] = Ratio.of(measured[str(BASELINE)], measured[column])
        running = [column for column in peers if column in measured]
        if BEST_PEER in ratios and running:
            best = min(running, key=lambda column: measured[column].nanoseconds())
            ratios[BEST_PEER][workload] = Ratio.of(measured[best], measured[str(OURS)])
    return ratios


def tabulate(
    version: str, columns: Columns, results: dict[str, dict[str, Series]], ratios: Ratios, notes: Sequence[str]
) -> report.Report:
    """The table for one Python."""
    timed = [column for column in (str(BASELINE), str(OURS)) if column in columns]
    others = [column for column in columns if column != str(BASELINE)]
    rows = []
    for workload, by_column in results.items():
        row = [report.label(workload), *(f"{by_column[column].nanoseconds():.0f}" for column in timed)]
        for column in others:
            ratio = ratios[against_baseline(column)].get(workload)
            if ratio is None:
                row.append(by_column[column].failure.partition(":")[0])
            else:
                row.append(f"{ratio.median:.2f}" if IMPLEMENTATIONS[columns[column]].peer else str(ratio))
        if BEST_PEER in ratios:
            row.append(str(ratios[BEST_PEER].get(workload, "")))
        rows.append(row)
    runs = results[next(iter(results))][str(BASELINE)].runs
    first = runs[0].get_metadata()
    enough = left_out(len(runs)) is not None
    brackets = f"its {CONFIDENCE:.0%} confidence interval" if enough else "the lowest and the highest (few rounds)"
    facts = [
        f"{first['platform']}, {first.get('cpu_model_name', 'unknown CPU')}, {first['cpu_count']} CPUs",
        f"a / b: how many times as fast b is as a, the median of the rounds' ratios; in brackets {brackets}",
    ]
    if CONTROL in columns:
        apart = [abs(ratio.median - 1) for ratio in ratios[against_baseline(CONTROL)].values()]
        facts.append(
            f"{BASELINE} against itself: {statistics.median(apart):.1%} apart in the median workload, "
            f"{max(apart):.1%} at most"
        )
    failures = dict.fromkeys(series.failure for by_column in results.values() for series in by_column.values())
    header = ["one operation", *(f"{column}, ns" for column in timed), *ratios]
    return report.Report(f"CPython {version}", header, rows, [*facts, *notes, *filter(None, failures)])


def save(directory: Path, version: str, columns: Columns, results: dict[str, dict[str, Series]]) -> None:
    """One file a column, for `python -m pyperf compare_to`, `stats`, `hist`."""
    directory.mkdir(parents=True, exist_ok=True)
    for column in columns:
        runs = [by_column[column].runs for by_column in results.values() if not by_column[column].failure]
        if runs:
            suite = pyperf.BenchmarkSuite([pyperf.Benchmark(each) for each in runs])
            suite.dump(str(directory / f"{version}-{column.replace(' ', '-')}.json"), replace=True)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = report.argument_parser(__doc__)
    parser.add_argument("--impl", default="c,rasyncio", help=f"Future and Task, of {','.join(MODULES)}, c among them")
    parser.add_argument(
        "--loop",
        default="stock,ours",
        help=f"of {','.join(LOOPS)}, stock among them; ours runs with rasyncio's Future and Task, "
        "other people's with CPython's C module",
    )
    parser.add_argument("--no-control", action="store_true", help=f"do not measure {BASELINE} a second time")
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help=f"worker processes for each figure (default: {FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="few short rounds: shows that it works, measures little")
    report.add_clock(parser)
    parser.add_argument("--note", default="", help="a remark for the table's notes, like who built this Python and how")
    parser.add_argument("--json", type=Path, metavar="DIR", help="write pyperf's JSON files into this directory")
    arguments = parser.parse_args()
    modules, loops = set(arguments.impl.split(",")), set(arguments.loop.split(","))
    for option, wanted, known in (("--impl", modules, MODULES), ("--loop", loops, LOOPS)):
        if unknown := wanted - set(known):
            parser.error(f"{option}: unknown {', '.join(sorted(unknown))}")
    arguments.columns = {
        str(each): name for name, each in IMPLEMENTATIONS.items() if each.module in modules and each.loop in loops
    }
    if str(BASELINE) not in arguments.columns:
        parser.error("c on the loop stock is what the others are compared with, it cannot be left out")
    if not arguments.no_control:
        arguments.columns[CONTROL] = arguments.columns[str(BASELINE)]
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: at least one")
    return arguments


def main() -> None:
    """Measure and report."""
    arguments = parse_arguments()
    effort = replace(QUICK if arguments.quick else FULL, clock=arguments.clock)
    if arguments.rounds is not None:
        effort = replace(effort, rounds=arguments.rounds)
    reports, reached = [], []
    for python in arguments.python:
        version = probes.ask(python, "version()")
        workloads = [name for name in probes.ask(python, "workload_names()") if name in arguments.bench]
        if not workloads:
            raise SystemExit(f"CPython {version} can run none of {', '.join(arguments.bench)}")
        load = os.getloadavg()[0]
        try:
            results = measure(python, arguments.columns, workloads, effort)
        except WorkerFailed as failure:
            raise SystemExit(str(failure)) from None
        notes = [
            probes.ask(python, "description()") + (f"; {arguments.note}" if arguments.note else ""),
            f"{effort.rounds} rounds of {effort.values} timings of {effort.min_time * 1000:.0f} ms or more, "
            f"{effort.clock} clock",
            f"load average {load:.2f} before, {os.getloadavg()[0]:.2f} after (the benchmark alone makes about 1)",
        ]
        ratios = compare(arguments.columns, results)
        reports.append(tabulate(version, arguments.columns, results, ratios, notes))
        medians = {title: {name: ratio.median for name, ratio in row.items()} for title, row in ratios.items()}
        reached.append(targets.tabulate(f"Targets, CPython {version}", medians))
        if arguments.json:
            save(arguments.json, version, arguments.columns, results)
    report.output({"bench": reports, "targets": reached}, arguments)


if __name__ == "__main__":
    main()
