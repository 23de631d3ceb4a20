"""Random programs for as long as wanted, see --help."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from .comparison import check, difference
from .datagrams import DATAGRAMS
from .engines import Engines, engines
from .network import NETWORK
from .pipes import PIPES
from .programs import PROGRAMS, Program
from .tls import TLS

#: Examples that have one seed: a failure is found again by that.
ROUND = 200
#: What there are programs of; with connections they take longer.
KINDS = {"tasks": PROGRAMS, "network": NETWORK, "tls": TLS, "datagrams": DATAGRAMS, "pipes": PIPES}


def one_round(running: Engines, kind: str, number: int, examples: int = ROUND) -> None:
    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(KINDS[kind])
    def same_everywhere(program: Program) -> None:
        check(running, program)

    same_everywhere()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m differential.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--kind",
        choices=[*KINDS, "all"],
        default="all",
        help="of futures and tasks, of connections, of TLS, of datagrams, of pipes",
    )
    parser.add_argument("--seed", type=int, help="run the round of this seed only")
    parser.add_argument("--program", type=Path, help="run the program in this file only, and show what it does")
    options = parser.parse_args()
    with engines() as running:
        if options.program:
            program = json.loads(options.program.read_text())
            print("\n".join(running.traces(program)["c"]))
            print(found := difference(running, program))
            return bool(found)
        kinds = list(KINDS) if options.kind == "all" else [options.kind]
        end, rounds = time.monotonic() + options.seconds, 0
        while rounds < len(kinds) or (options.seed is None and time.monotonic() < end):
            number = random.randrange(10**9) if options.seed is None else options.seed
            kind = kinds[rounds % len(kinds)]
            try:
                one_round(running, kind, number)
            except (AssertionError, BaseExceptionGroup) as failure:
                print(
                    f"\n{failure}\n\nagain: make fuzz KIND={kind} SEED={number}\n"
                    "or, with the program in a file: make fuzz PROGRAM=FILE",
                    file=sys.stderr,
                )
                return 1
            rounds += 1
            print(
                f"\r{rounds * ROUND} programs, the same on all; {max(0, end - time.monotonic()):.0f} s to go",
                end="",
                flush=True,
            )
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
