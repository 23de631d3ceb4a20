"""A dask cluster on this machine, scheduler and workers as processes, on stock asyncio, uvloop and rasyncio.

    python cluster.py [--tasks N] [--records N] [--rounds N] [--loop NAME...] [--comm NAME...] [--update FILE]

Each combination of an event loop and one of dask's ways to communicate (`tcp`, on tornado's streams; `asyncio_tcp`, on
asyncio's transports) is a cluster of its own, started by dask's own commands; all that differs is its environment. The
job (`job.py`) checks its results and says which loops it met. What it took is shown as a table: in each round every
loop has its turn, another one first each time, and what is shown are medians; *x stock* is that of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PATIENCE, GOODBYE = 120.0, 20.0  # seconds, for coming up and for ending
#: What is set for the processes of a cluster, and the package whose loop they must have then.
LOOPS: dict[str, tuple[dict[str, str], str]] = {
    "stock": ({"RASYNCIO": "0", "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "asyncio"}, "asyncio"),
    "uvloop": ({"RASYNCIO": "0", "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "uvloop"}, "uvloop"),
    "rasyncio": ({"RASYNCIO": "1"}, "rasyncio"),
}
COMMS = {"tcp": "tornado", "asyncio_tcp": "asyncio"}
FIGURES = ("tasks a second", "scheduler, us a task", "shuffle, s")

#: By way to communicate and loop: what each round took.
Results = dict[tuple[str, str], list[dict[str, Any]]]


@contextlib.contextmanager
def cluster(folder: Path, workers: int, environment: Mapping[str, str]) -> Iterator[Path]:
    """Scheduler and workers; yields the file by which they and clients find each other."""
    found = folder / "scheduler.json"
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str, *arguments: str) -> None:
        line = [sys.executable, "-m", "dask", command, "--scheduler-file", str(found), "--no-dashboard", *arguments]
        with (folder / f"{command}.log").open("ab") as log:
            started.append(subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log))

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0")
        give_up = time.monotonic() + PATIENCE
        while not found.exists():
            if started[0].poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"no scheduler:\n{(folder / 'scheduler.log').read_text()}")
            time.sleep(0.05)
        for _ in range(workers):
            start("worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny")
        yield found
    finally:
        for process in reversed(started):  # a worker says goodbye to its scheduler
            process.terminate()
            try:
                process.wait(GOODBYE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure(loop: str, comm: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The job on a cluster of that kind."""
    variables, package = LOOPS[loop]
    environment = os.environ | variables | {"DASK_DISTRIBUTED__COMM__TCP__BACKEND": COMMS[comm]}
    with (
        tempfile.TemporaryDirectory(prefix="cluster-") as folder,
        cluster(Path(folder), arguments.workers, environment) as found,
    ):
        job = [sys.executable, str(HERE / "job.py"), str(found)]
        sizes = ["--tasks", str(arguments.tasks), "--records", str(arguments.records)]
        done = subprocess.run([*job, *sizes], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    strange = [name for name in result["loops"] if name.partition(".")[0] != package]
    if strange:
        raise SystemExit(f"{loop}: a process runs {', '.join(strange)}")
    return result


def measure_all(arguments: argparse.Namespace) -> Results:
    """All of them, round by round."""
    results: Results = {(comm, loop): [] for comm in arguments.comm for loop in arguments.loop}
    for number in range(arguments.rounds):
        turn = number % len(arguments.loop)
        for comm in arguments.comm:
            for loop in arguments.loop[turn:] + arguments.loop[:turn]:
                results[comm, loop].append(measure(loop, comm, arguments))
                print(number, comm, loop, results[comm, loop][-1], file=sys.stderr, flush=True)
    return results


def table(results: Results, arguments: argparse.Namespace) -> str:
    """As markdown."""
    columns = ["cluster", *FIGURES]
    columns.insert(2, "x stock")
    lines = [f"| {' | '.join(columns)} |".replace("us a", "µs a"), "| --- | ---: | ---: | ---: | ---: |"]
    for (comm, loop), rounds in results.items():
        rate, cpu, seconds = (statistics.median(result[figure] for result in rounds) for figure in FIGURES)
        pairs = zip(rounds, results.get((comm, "stock"), []), strict=False)
        ratios = [one[FIGURES[0]] / stock[FIGURES[0]] for one, stock in pairs]
        times = f"{statistics.median(ratios):.2f}" if ratios else ""
        lines.append(f"| {comm}, {loop} | {rate:,.0f} | {times} | {cpu:,.0f} | {seconds:.1f} |")
    what = (
        f"{arguments.rounds} x {arguments.tasks:,} tasks, a shuffle of {arguments.records:,} records,"
        f" {arguments.workers} workers"
    )
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    lines += ["", f"* {what}; Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, load average {load} at the end"]
    return "\n".join(lines) + "\n"


def replace(file: Path, text: str) -> None:
    """Put the table where the last one is."""
    start, end = "<!-- cluster:start -->", "<!-- cluster:end -->"
    before, _, rest = file.read_text().partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{file} has no {start} ... {end}")
    file.write_text(f"{before}{start}\n{text}{end}{after}")


def main() -> None:
    """Measure, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200_000, help="(default: %(default)s)")
    parser.add_argument("--records", type=int, default=200_000, help="of the shuffle (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--loop", nargs="+", choices=LOOPS, default=list(LOOPS), help="(default: all)")
    parser.add_argument("--comm", nargs="+", choices=COMMS, default=list(COMMS), help="(default: both)")
    parser.add_argument("--update", type=Path, metavar="FILE", help="put the table into this page")
    arguments = parser.parse_args()
    text = table(measure_all(arguments), arguments)
    print(text)
    if arguments.update:
        replace(arguments.update, text)


if __name__ == "__main__":
    main()
