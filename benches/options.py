"""The options that the commands have in common."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benches.implementations import BASELINE, COMMON, IMPLEMENTATIONS
from benches.probes import CLOCKS
from benches.report.ratios import CONTROL

Columns = dict[str, str]  # a column's title, and the implementation's name for the command line


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with what all of them have."""
    made = bare_parser(description)
    add_common(made)
    return made


def bare_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows how the command was called, which argparse itself does from 3.14 on."""
    spec = sys.modules["__main__"].__spec__
    program = f"python -m {spec.name.removesuffix('.__main__')}" if spec else None
    return argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """The interpreters, and where the tables go."""
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PATH", help="interpreters to measure")
    parser.add_argument("--markdown", action="store_true", help="print markdown instead of a table for the terminal")
    parser.add_argument(
        "--update",
        metavar="FILE",
        type=Path,
        nargs="+",
        default=[],
        help="also write the markdown into these files, between their <!-- SECTION:start --> and <!-- SECTION:end -->",
    )


def add_implementations(parser: argparse.ArgumentParser, default: str, known_names: Sequence[str] = COMMON) -> None:
    """For commands that compare implementations with the first one."""

    def names(text: str) -> list[str]:
        wanted = list(known_names) if text == "all" else text.split(",")
        if unknown := set(wanted) - set(known_names):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return wanted

    known = ",".join(known_names)
    parser.add_argument("--impl", type=names, default=default, help=f"of {known}, or all (default: %(default)s)")


def add_comparison(parser: argparse.ArgumentParser, default: str) -> None:
    """For commands that compare implementations with the baseline, which they measure twice."""
    add_implementations(parser, default)
    parser.add_argument("--no-control", action="store_true", help=f"do not measure {BASELINE} a second time")
    parser.add_argument("--note", default="", help="a remark for the notes, like who built this Python and how")


def columns(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Columns:
    """What is compared, with the baseline and the control among it."""
    if str(BASELINE) not in arguments.impl:
        parser.error(f"--impl: {BASELINE} is what the others are compared with, it cannot be left out")
    found = {str(IMPLEMENTATIONS[name]): name for name in arguments.impl}
    return found if arguments.no_control else found | {CONTROL: str(BASELINE)}


def add_rounds(parser: argparse.ArgumentParser, default: int) -> None:
    """For commands that measure in rounds."""
    parser.add_argument("--rounds", type=at_least_one, help=f"fresh processes for each figure (default: {default})")
    parser.add_argument("--quick", action="store_true", help="few short rounds: shows that it works, measures little")


def at_least_one(text: str) -> int:
    """A number of times."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least one")
    return int(text)


def add_clock(parser: argparse.ArgumentParser) -> None:
    """For measurements of time."""
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: CPU time, for a machine that others use too; what a workload waits does not count then",
    )
