"""Servers under load: echo, HTTP, WebSocket; and a Redis client. What a request costs on each implementation.

All implementations of a case are alive at the same time, each in a process of its own, and are loaded in turn by short
bursts; every round begins with another one. What is compared is the measured process's CPU time per request, the
kernel's work for it included, by bursts of the same round. The load is wire/'s program on plain sockets, the same for
all: a client sends its next request when it has the answer to the last one, and all answers are compared with what
they must be. With Redis it is the client that is measured. Ours is measured twice, as "rasyncio" and as
"rasyncio again". The floor is a server in Rust that does the least.

    python -m benches.network [--python PATH...] [--impl ours,c,uvloop,...] [--case NAME...] [--starts N] [--rounds N]
        [--seconds S] [--quick] [--instructions] [--json FILE] [--update FILE...]
"""

import argparse
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benches import options, probes
from benches.implementations import IMPLEMENTATIONS, OURS
from benches.interpreter import ask
from benches.network import callgrind, targets
from benches.network.cases import CASES, Encrypted
from benches.network.counts import way
from benches.network.measure import AGAIN, PACKAGES, Plan, Results, count_instructions, measure, tool_versions
from benches.network.tables import reports, summary
from benches.report import tables
from benches.report.machine import interpreter, load_average, machine, named, versions

FULL = Plan(starts=3, rounds=5, seconds=0.1)
QUICK = Plan(starts=1, rounds=5, seconds=0.06)
DEFAULT = [name for name in IMPLEMENTATIONS if name not in ("swap", "python")]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    options.add_implementations(parser, ",".join(DEFAULT), list(IMPLEMENTATIONS))
    parser.add_argument("--no-control", action="store_true", help=f"do not measure {OURS} a second time")
    parser.add_argument("--note", default="", help="a remark for the notes, like who built this Python and how")
    parser.add_argument(
        "--case",
        nargs="+",
        default=list(CASES),
        metavar="NAME",
        help=f"of {' '.join(CASES)}; or what names begin with, like streams or streams-1k (default: all)",
    )
    usual = f"{FULL.starts}, {FULL.rounds} and {FULL.seconds:g}; with --quick {QUICK.starts}, {QUICK.rounds} and"
    parser.add_argument("--starts", type=options.at_least_one, help="how often the processes are started anew")
    parser.add_argument("--rounds", type=options.at_least_one, help="bursts of each process")
    parser.add_argument("--seconds", type=float, help=f"of a burst (default of these three: {usual} {QUICK.seconds:g})")
    parser.add_argument("--quick", action="store_true", help="a few minutes: shows that it works, measures little")
    parser.add_argument(
        "--instructions",
        action="store_true",
        help="also count the programs' user instructions, under callgrind where perf cannot (ten seconds for each)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures into this file")
    arguments = parser.parse_args()
    if "ours" not in arguments.impl:
        parser.error(f"--impl: {OURS} is what the others are compared with, it cannot be left out")
    if arguments.instructions and not callgrind.available():
        parser.error("--instructions: valgrind is not installed (apt-get install valgrind)")
    arguments.columns = {str(IMPLEMENTATIONS[name]): name for name in arguments.impl}
    if not arguments.no_control:
        arguments.columns[AGAIN] = "ours"
    known = {wanted: {name for name in CASES if f"{name}-".startswith(f"{wanted}-")} for wanted in arguments.case}
    if unknown := [wanted for wanted, names in known.items() if not names]:
        parser.error(f"--case: unknown {', '.join(unknown)}")
    arguments.cases = [name for name in CASES if name in set[str]().union(*known.values())]
    plan = QUICK if arguments.quick else FULL
    seconds = plan.seconds if arguments.seconds is None else arguments.seconds
    if seconds <= 0:
        parser.error("--seconds: more than nothing")
    arguments.plan = Plan(arguments.starts or plan.starts, arguments.rounds or plan.rounds, seconds)
    return arguments


def stop(number: int, frame: object) -> None:
    """End like Ctrl-C does: by an exception, so that what has been started is ended too."""
    sys.exit(128 + number)


def saved(results: Results) -> dict[str, Any]:
    """The figures of all bursts, for the file."""
    return {name: {column: asdict(cell) for column, cell in cells.items()} for name, cells in results.items()}


def main() -> None:
    """Measure and report; fail if one of CPython's or our own implementations failed, or the floor."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, stop)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the idle connections; the processes inherit it
    plan: Plan = arguments.plan
    found, short, reached, raw, failed = [], [], [], {}, []
    for python in arguments.python:
        version, load = ask(python, probes.version), os.getloadavg()[0]
        results = measure(python, arguments.columns, arguments.cases, plan)
        uncounted = count_instructions(python, arguments.columns, results) if arguments.instructions else []
        used = versions(python, PACKAGES) | tool_versions(arguments.cases)
        tls = any(isinstance(CASES[name], Encrypted) for name in arguments.cases)
        notes = [
            f"{machine()}; load and measured process take turns on one of the CPUs",
            interpreter(python, arguments.note),
            named(used),
            *([f"TLS, that of the floor too: {ask(python, probes.openssl)}"] if tls else []),
            f"{tables.counted(plan.starts, 'start', 'starts')} of all processes, each with "
            f"{tables.counted(plan.rounds, 'round', 'rounds')} of bursts of {plan.seconds * 1e3:g} ms; {way()}",
            load_average(load, "1"),
            *uncounted,
        ]
        found += reports(f"CPython {version}", arguments.columns, results, notes)
        short += summary(f"CPython {version}", arguments.columns, results, notes)
        if not arguments.quick:
            reached += targets.tabulate(f"Targets under load, CPython {version}", arguments.columns, results)
        raw[version] = {"notes": notes, "cases": saved(results)}
        failed += [
            f"{name} on {column} {cell.failure}"
            for name, cells in results.items()
            for column, cell in cells.items()
            if cell.failure.startswith("fails") and not IMPLEMENTATIONS[arguments.columns[column]].peer
        ]
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(raw, indent=1) + "\n")
    sections = {"network": found, "network-targets": reached, "network-summary": short}
    tables.output(sections, arguments, hidden=["network-summary"])
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
