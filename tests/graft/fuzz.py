"""New random programs of all that is grafted, with bodies in Python and with native code, until the time is over.

`python -m graft.fuzz --seconds SECONDS [--seed SEED]`, in `tests/`, stops at the first program that does not do the
same. In processes of their own: the interpreter tells of a thousand changes of a class and of no more, and programs
that patch classes make many.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import rasyncio
from graft import random_groups, random_locks, random_streams, random_threads, random_timeouts
from graft.notes import Notes
from rasyncio import _graft

#: How many programs a process runs.
BATCH = 50
#: Seconds for that. A second is usual.
LIMIT = 300
KINDS: dict[str, tuple[Callable[[int, Notes], Coroutine[Any, Any, None]], Callable[[int], Any]]] = {
    "groups": (random_groups.run, random_groups.program),
    "locks": (random_locks.run, random_locks.program),
    "streams": (random_streams.run, random_streams.program),
    "threads": (random_threads.run, random_threads.program),
    "timeouts": (random_timeouts.run, random_timeouts.program),
}


def both(kind: str, seed: int) -> tuple[Notes, Notes]:
    """What the program of that seed notes with bodies in Python, and grafted."""
    results = []
    for wanted in (False, True):
        _graft.attach(wanted)
        notes: Notes = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what has no time is never awaited
            asyncio.run(KINDS[kind][0](seed, notes))
            gc.collect()
        results.append(notes)
    return results[0], results[1]


def batch(kind: str, first: int, count: int) -> str:
    """What the first of so many programs that differs does; nothing if none does."""
    rasyncio.install()
    if off := rasyncio.grafted().off:
        return f"not all is grafted: {off}"
    for seed in range(first, first + count):
        in_python, grafted = both(kind, seed)
        if in_python != grafted:
            lines = [f"--kind {kind} --seed {seed}: {KINDS[kind][1](seed)}"]
            for one, other in zip(in_python, grafted, strict=False):
                lines.append(f"   {one}" if one == other else f"!  {one}\n   grafted: {other}")
            return "\n".join(lines)
    off = rasyncio.grafted().off
    return f"programs {first} to {first + count} have put it off for good: {off}" if off else ""


def main() -> int:
    """Until the time is over, or the one of that seed."""
    parser = argparse.ArgumentParser(prog="python -m graft.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--seed", type=int, help="the first program's; without --count only this one is run")
    parser.add_argument("--count", type=int, help="run so many programs from the seed on, in this process")
    options = parser.parse_args()
    kinds = list(KINDS) if options.kind == "all" else [options.kind]
    if options.seed is not None:
        differences = [batch(kind, options.seed, options.count or 1) for kind in kinds]
        print("\n".join(filter(None, differences)))
        return any(differences)
    end, count = time.monotonic() + options.seconds, 0
    while time.monotonic() < end:
        seed, kind = random.randrange(1 << 40), kinds[count % len(kinds)]
        command = [sys.executable, "-m", "graft.fuzz", "--kind", kind, "--seed", str(seed), "--count", str(BATCH)]
        try:
            done = subprocess.run(
                command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            print(f"{' '.join(command)}\none of these programs has not come to its end after {LIMIT} s")
            return 1
        if done.returncode or done.stderr:
            print(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
            return 1
        count += 1
    print(f"{count * BATCH} programs did the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
