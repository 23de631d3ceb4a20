"""Servers under load: echo, HTTP, WebSocket; and a Redis client. Every case on every implementation, interleaved.

The measured server runs in a process of its own on the implementation, the client in another one, which is the same for
all: load.py on plain sockets, or wrk. A connection sends its next request when it has the answer to the last one.
With Redis it is the client that is measured. The method of the echo cases is that of uvloop's and rloop's published
benchmarks: the same servers by protocol, streams and sock_* methods, message sizes, TCP_NODELAY, requests per second,
mean and 99th percentile of the latency.

A round starts fresh processes for each case and implementation; the implementations of one case follow each other
directly, and every round begins with another one. The baseline is measured twice, as "c" and as "c again".

    python -m benches.network [--python PATH...] [--impl c,swap,ours,...] [--case NAME...] [--rounds N] [--seconds S]
        [--quick] [--json FILE] [--update FILE...]
"""

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benches import options, probes
from benches.implementations import IMPLEMENTATIONS
from benches.interpreter import ask
from benches.network.cases import CASES
from benches.network.measure import PACKAGES, measure, tool_versions
from benches.network.tables import reports
from benches.report import tables
from benches.report.machine import interpreter, load_average, machine, named, versions

ROUNDS, SECONDS = 5, 2.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.2


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    options.add_comparison(parser, default="c,swap,ours,uvloop,rloop,zuvloop,blazio")
    parser.add_argument(
        "--case",
        nargs="+",
        default=list(CASES),
        metavar="NAME",
        help=f"of {' '.join(CASES)}; or what names begin with, like streams or streams-1k (default: all)",
    )
    options.add_rounds(parser, ROUNDS)
    parser.add_argument("--seconds", type=float, help=f"of load in each, wrk's at least 1 (default: {SECONDS:g})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of all rounds into this file")
    arguments = parser.parse_args()
    arguments.columns = options.columns(parser, arguments)
    known = {wanted: {name for name in CASES if f"{name}-".startswith(f"{wanted}-")} for wanted in arguments.case}
    if unknown := [wanted for wanted, names in known.items() if not names]:
        parser.error(f"--case: unknown {', '.join(unknown)}")
    arguments.cases = [name for name in CASES if name in set[str]().union(*known.values())]
    arguments.rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    arguments.seconds = arguments.seconds or (QUICK_SECONDS if arguments.quick else SECONDS)
    if arguments.seconds <= 0:
        parser.error("--seconds: more than nothing")
    return arguments


def stop(number: int, frame: object) -> None:
    """End like Ctrl-C does: by an exception, so that what has been started is ended too."""
    sys.exit(128 + number)


def main() -> None:
    """Measure and report; fail if one of CPython's or our own implementations failed."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, stop)
    found, raw, failed = [], {}, []
    for python in arguments.python:
        version, load = ask(python, probes.version), os.getloadavg()[0]
        results = measure(python, arguments.columns, arguments.cases, arguments.rounds, arguments.seconds)
        used = versions(python, PACKAGES) | tool_versions(arguments.cases)
        notes = [
            f"{machine()}; clients and servers on this machine",
            interpreter(python, arguments.note),
            named(used),
            f"{tables.counted(arguments.rounds, 'round', 'rounds')} of {arguments.seconds:g} s (wrk: whole seconds)",
            load_average(load, "1 to 2"),
        ]
        found += reports(f"CPython {version}", arguments.columns, results, notes)
        raw[version] = {
            "notes": notes,
            "cases": {
                name: {
                    column: {"failure": cell.failure, "rounds": [asdict(each) for each in cell.rounds]}
                    for column, cell in cells.items()
                }
                for name, cells in results.items()
            },
        }
        failed += [
            f"{name} on {column} {cell.failure}"
            for name, cells in results.items()
            for column, cell in cells.items()
            if cell.failure.startswith("fails") and not IMPLEMENTATIONS[arguments.columns[column]].may_fail
        ]
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(raw, indent=1) + "\n")
    tables.output({"network": found}, arguments)
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
