"""rasyncio against itself, interleaved: under another environment variable, or another build of it.

The baseline is rasyncio as it is. A variant is what one environment variable makes of it, like `RASYNCIO_WATCH=0.1`;
with `PYTHONPATH=DIR` it is the build that lies in DIR (`make bench-guard` leaves one in .cache/guard/python, which it
makes anew; `pip install --target DIR WHEEL` makes one). The baseline is measured twice, as if it were a variant of its
own: how far apart these two are is how far the table can be trusted.

    python -m benches.speed.variants NAME=VALUE ... [--python PATH...] [--bench NAME...] [--rounds N] [--quick]
"""

import argparse
import os
from dataclasses import replace

from benches import options, probes
from benches.interpreter import Failed, ask
from benches.report import tables
from benches.report.machine import interpreter, load_average, machine
from benches.report.ratios import Ratio, brackets, control
from benches.rounds import in_turn
from benches.speed.measure import Effort, Series, calibrate, work
from benches.workloads import WORKLOADS

OURS = "ours"
AS_IT_IS = "rasyncio"
AGAIN = f"{AS_IT_IS} again"
FULL = Effort(rounds=15, values=3, min_time=0.1)
QUICK = Effort(rounds=2, values=1, min_time=0.01)
DEFAULT = ["sleep0", "call_soon", "create_task", "pingpong", "gather"]


def variant(text: str) -> tuple[str, str]:
    """An environment variable and its value."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = options.parser(__doc__)
    parser.add_argument("variants", nargs="+", type=variant, metavar="NAME=VALUE", help="what is compared with none")
    parser.add_argument("--bench", nargs="+", choices=WORKLOADS, default=DEFAULT, metavar="NAME")
    options.add_rounds(parser, FULL.rounds)
    options.add_clock(parser)
    return parser.parse_args()


def report(python: str, arguments: argparse.Namespace, effort: Effort) -> tables.Report:
    """The table for one Python."""
    load = os.getloadavg()[0]
    environments: dict[str, dict[str, str]] = {AS_IT_IS: {**os.environ}}
    for name, value in arguments.variants:
        environments[f"{name}={value}"] = os.environ | {name: value}
    environments[AGAIN] = environments[AS_IT_IS]
    repeat = {name: effort.repeat(*calibrate(python, name, effort, OURS)) for name in arguments.bench}
    results = {name: {column: Series() for column in environments} for name in arguments.bench}
    for name, column in in_turn(effort.rounds, arguments.bench, list(environments)):
        run = work(python, OURS, name, *repeat[name], *effort.options(), env=environments[column])
        results[name][column].runs.append(run)
    others = [column for column in environments if column != AS_IT_IS]
    ratios = {
        name: {column: Ratio.of(by[column].per_round(), by[AS_IT_IS].per_round()) for column in others}
        for name, by in results.items()
    }
    rows = [
        [tables.label(name), f"{results[name][AS_IT_IS].nanoseconds():.0f}", *map(str, by_column.values())]
        for name, by_column in ratios.items()
    ]
    notes = [
        machine(),
        interpreter(python),
        f"the time of each divided by rasyncio's as it is: the median of the rounds' ratios{brackets(effort.rounds)}",
        *control((by_column[AGAIN] for by_column in ratios.values()), "workload", AS_IT_IS),
        f"{tables.counted(effort.rounds, 'round', 'rounds')}, {effort.clock} clock",
        load_average(load, "about 1"),
    ]
    title = f"CPython {ask(python, probes.version)}: variants of rasyncio"
    return tables.Report(title, ["one operation", f"{AS_IT_IS}, ns", *others], rows, notes)


def main() -> None:
    """Measure and report."""
    arguments = parse_arguments()
    effort = replace(QUICK if arguments.quick else FULL, clock=arguments.clock)
    effort = replace(effort, rounds=arguments.rounds or effort.rounds)
    try:
        reports = [report(python, arguments, effort) for python in arguments.python]
    except Failed as failure:
        raise SystemExit(str(failure)) from None
    tables.output({"variants": reports}, arguments)


if __name__ == "__main__":
    main()
