"""What rasyncio costs besides time: bytes, wake-ups of an idle loop, the import. Every figure is of a fresh process.

    python -m benches.footprint sizes|memory|idle|import-time|start-up [--python PATH...] [--impl c,ours] [--limit LIM]

With a limit it fails where it is exceeded.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches import options
from benches import probes as any_interpreter
from benches.footprint import probes
from benches.footprint import start_up as start_ups
from benches.implementations import IMPLEMENTATIONS
from benches.interpreter import ask, why_absent
from benches.report import tables
from benches.rounds import progress

PENDING = (
    "task",
    "timer",
    "callback",
    "queue",
    "reader",
    "task in `Queue().get()`",
    "task in `Event().wait()`",
    "task in `StreamReader().readline()`",
    "task in a `timeout`",
    "task in `wait_for`",
    "task in a `TaskGroup` of one",
)
BUSY = 0.05  # CPU seconds per second of a loop that does not wait but spins


@dataclass
class Table:
    """What a measurement finds, one Python after the other, and what of it is more than the limit."""

    header: Sequence[str]
    note: str
    rows: list[list[str]] = field(default_factory=list)
    too_much: list[str] = field(default_factory=list)


def names(arguments: argparse.Namespace, unit: str = "") -> list[str]:
    """Titles for the implementations' columns."""
    return [f"{IMPLEMENTATIONS[name]}{unit}" for name in arguments.impl]


def sizes(arguments: argparse.Namespace) -> Table:
    """Bytes of the objects that each implementation makes, as `sys.getsizeof` tells them."""
    note = "bytes by `sys.getsizeof`: with the garbage collector's header, without what the object points to"
    table = Table(["object", *names(arguments), "difference"], note)
    if len(arguments.impl) != 2:
        raise SystemExit("--impl: two, the second is compared with the first")
    for python in arguments.python:
        version = ask(python, any_interpreter.version)
        baseline, other = (ask(python, probes.sizes, name) for name in arguments.impl)
        for kind in baseline:
            title, extra = f"{version} {kind}", other[kind] - baseline[kind]
            table.rows.append([title, str(baseline[kind]), str(other[kind]), f"{extra:+d}"])
            if arguments.limit is not None and extra > arguments.limit:
                table.too_much.append(f"{title}: {extra} bytes more, {arguments.limit:g} are allowed")
    return table


def memory(arguments: argparse.Namespace) -> Table:
    """Resident memory of many pending tasks, timers, callbacks, queues and readers, whoever allocates it, and how.

    A task waits for a future of its own, if nothing else is said. Timers (`call_later`) and callbacks (`call_soon`)
    have a builtin to call, and their handles are kept.
    """
    note = f"resident memory for each of {arguments.count:,}, with its coroutine, future, callback and place in a list"
    table = Table(["pending", *names(arguments, ", bytes")], note)
    for python in arguments.python:
        version = ask(python, any_interpreter.version)
        for kind in PENDING:
            first, *others = (ask(python, probes.pending_bytes, name, kind, arguments.count) for name in arguments.impl)
            title, extra = f"{version} {kind}", max((each - first for each in others), default=0.0)
            table.rows.append([title, *(f"{each:.1f}" for each in (first, *others))])
            if arguments.limit is not None and extra > arguments.limit:
                table.too_much.append(f"{title}: {extra:.1f} bytes more, {arguments.limit:g} are allowed")
    return table


def idle(arguments: argparse.Namespace) -> Table:
    """How often the thread of a loop that has nothing to do wakes up to wait anew, and its CPU time.

    A signal ends the waiting, which costs every loop one wake-up or more.
    """
    header = ["loop", "nothing to do: wake-ups", "CPU ms", "one timer in an hour: wake-ups", "CPU ms"]
    table = Table(header, f"voluntary context switches and CPU time of the loop's thread in {arguments.seconds:g} s")
    for python in arguments.python:
        version = ask(python, any_interpreter.version)
        baseline: Sequence[int] = ()
        for name in arguments.impl:
            title = f"{version} {IMPLEMENTATIONS[name]}"
            if reason := why_absent(python, name):
                table.rows.append([title, "absent", "", "absent", ""])
                print(f"{title}: {reason}", file=sys.stderr)
                continue
            found = [ask(python, probes.idle, name, arguments.seconds, far_timer) for far_timer in (False, True)]
            wake_ups, cpu = zip(*found, strict=True)
            baseline = baseline or wake_ups
            extra = max(count - first for count, first in zip(wake_ups, baseline, strict=True))
            if arguments.limit is not None and (extra > arguments.limit or max(cpu) > BUSY * arguments.seconds):
                milliseconds = f"{max(cpu) * 1e3:.1f} ms of CPU time"
                table.too_much.append(f"{title}: {extra} wake-ups more than the first, {milliseconds}")
            cells = (cell for count, seconds in found for cell in (str(count), f"{seconds * 1e3:.2f}"))
            table.rows.append([title, *cells])
    return table


def import_time(arguments: argparse.Namespace) -> Table:
    """What `import rasyncio` adds to `import asyncio`; processes of both kinds in turn.

    Not timed by pyperf, which would have imported half of what is to be imported here.
    """
    header = ["CPython", "import asyncio, ms", "import asyncio, rasyncio, ms", "added, ms"]
    note = f"medians of {arguments.processes} fresh processes each, {arguments.clock} clock"
    table = Table(header, f"{note}; added: the median of the pairs' differences")
    for python in arguments.python:
        version = ask(python, any_interpreter.version)
        alone, both = [], []
        with progress() as bar:
            for _ in bar.track(range(arguments.processes)):
                alone.append(ask(python, probes.import_seconds, arguments.clock, "asyncio") * 1e3)
                both.append(ask(python, probes.import_seconds, arguments.clock, "asyncio", "rasyncio") * 1e3)
        added = statistics.median(b - a for a, b in zip(alone, both, strict=True))
        times = (statistics.median(alone), statistics.median(both), added)
        table.rows.append([version, *(f"{each:.2f}" for each in times)])
        if arguments.limit is not None and added > arguments.limit:
            table.too_much.append(f"{version}: rasyncio adds {added:.2f} ms, {arguments.limit:g} are allowed")
    return table


def start_up(arguments: argparse.Namespace) -> Table:
    """What an environment that has rasyncio costs a process at its start, without `RASYNCIO` and with it."""
    header = ["process", "compared with", "its CPU time, ms", "added, µs", "added, instructions"]
    note = f"medians of {arguments.processes} fresh processes of each kind in turn; instructions by callgrind"
    table = Table(header, note)
    for python in arguments.python:
        version = ask(python, any_interpreter.version)
        for added in start_ups.measure(python, Path(ask(python, probes.package)), arguments.processes):
            instructions = "" if added.instructions is None else f"{added.instructions:,.0f}"
            cells = (added.base, f"{added.base_ms:.2f}", f"{added.microseconds:.0f}", instructions)
            table.rows.append([f"{version} {added.name}", *cells])
            if (
                arguments.limit is not None
                and added.name == start_ups.LINE.name
                and added.microseconds > arguments.limit
            ):
                table.too_much.append(f"{version}: {added.microseconds:.0f} µs, {arguments.limit:g} are allowed")
    return table


def main() -> None:
    """Measure, report, and fail if a limit is exceeded."""
    parser = options.bare_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="WHAT")

    def command(title: str, measure: Callable[[argparse.Namespace], Table], limit: str) -> argparse.ArgumentParser:
        name, text = measure.__name__.replace("_", "-"), str(measure.__doc__)
        made: argparse.ArgumentParser = commands.add_parser(name, help=text.partition("\n")[0], description=text)
        options.add_common(made)
        made.add_argument("--limit", type=float, metavar="LIMIT", help=f"fail if {limit}")
        made.set_defaults(section=name, title=title, measure=measure)
        return made

    made = command("Object sizes", sizes, "an object is larger than the first's by more bytes")
    options.add_implementations(made, default="c,ours")
    made = command("Memory", memory, "one takes more bytes than the first's by more")
    options.add_implementations(made, default="c,swap,ours")
    made.add_argument("--count", type=int, default=100_000, help="pending things of each kind (default: %(default)s)")
    busy = f"wakes up more often than the first by more, or uses more than {BUSY:g} of a CPU"
    made = command("An idle loop", idle, f"one {busy}")
    options.add_implementations(made, default="c,swap,ours")
    made.add_argument("--seconds", type=float, default=3.0, help="of idling, each (default: %(default)s)")
    made = command("Start-up", start_up, "the line in rasyncio.pth alone adds more microseconds")
    made.add_argument("--processes", type=int, default=100, help="of each kind (default: %(default)s)")
    made = command("Import time", import_time, "rasyncio adds more milliseconds")
    options.add_clock(made)
    made.add_argument("--processes", type=int, default=60, help="of each kind (default: %(default)s)")

    arguments = parser.parse_args()
    table: Table = arguments.measure(arguments)
    report = tables.Report(arguments.title, table.header, table.rows, [table.note])
    tables.output({arguments.section: [report]}, arguments)
    if table.too_much:
        raise SystemExit("\n".join(table.too_much))


if __name__ == "__main__":
    main()
