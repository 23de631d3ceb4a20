"""The guard for CI: fails if an operation of a hot workload has become more than 3 % dearer than the baseline says.

What is judged is what rasyncio's shared object does for one operation on rasyncio's loop, counted by callgrind.py: the
instructions of its own functions, and its calls of functions elsewhere, the interpreter's and malloc among them. Both
are the same in every run and on every machine, so a difference comes from the code, or from the compiler. What the
interpreter does in a call is not: it hashes objects by their addresses. The total is shown, but not judged.

Only polling would depend on time. So the guard wants rasyncio built with the cargo feature `counted-clock`, with which
the loop polls after a number of steps; and with symbols, to name functions. `make bench-guard` builds that.

    PYTHONPATH=DIR python -m benches.instructions.guard [--python PATH] [--keep DIR]
    PYTHONPATH=DIR python -m benches.instructions.guard --update-baseline   # deliberately: what it costs now is right
"""

import json
import platform
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benches import options, probes
from benches.instructions import callgrind
from benches.interpreter import ask
from benches.report import tables

WORKLOADS = ("sleep0", "future", "pingpong", "create_task", "gather", "call_soon", "timeout")
OPERATIONS = 1000
TOLERANCE = 0.03
BASELINE = Path(__file__).with_name("guard-baseline.json")
KINDS = {"instructions": "instructions in rasyncio", "calls": "calls out of rasyncio"}
SHOWN = 12  # functions named for a workload that fails
DIGITS = 3  # of the baseline's figures

# Of one of KINDS, by function or by call: what one operation costs.
Cost = dict[str, dict[str, float]]


@dataclass
class Result:
    """What the guard counts, with what it was built and counted; saved, it is the baseline."""

    machine: str
    python: str
    rustc: str
    valgrind: str
    workloads: dict[str, Cost]

    @property
    def interpreter(self) -> str:
        """What the counts of two results must have in common to be comparable."""
        return f"CPython {'.'.join(self.python.split('.')[:2])} on {self.machine}"

    @classmethod
    def load(cls, path: Path) -> "Result":
        """The baseline."""
        if not path.exists():
            raise SystemExit(f"there is no baseline {path}: --update-baseline makes one")
        return cls(**json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        """Make this the baseline."""
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def find_library(python: str) -> Path:
    """rasyncio's shared object, of which the measured interpreter knows."""
    command = [python, "-c", "import rasyncio._asyncio as module; print(module.__file__)"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{python} has no rasyncio (PYTHONPATH may say where it is):\n{done.stderr}")
    return Path(done.stdout.strip()).resolve()


def check(library: Path) -> str:
    """Refuse a shared object that cannot be guarded; give back what compiled it."""
    content = library.read_bytes()
    if b"rasyncio: counted-clock" not in content:
        raise SystemExit(
            f"{library} is built without the feature counted-clock, its counts depend on the machine's speed: "
            "use make bench-guard, or maturin build --release --features counted-clock --strip false"
        )
    if b".symtab" not in content:
        raise SystemExit(f"{library} has no symbols, its functions no names: maturin build ... --strip false")
    compiler = re.search(rb"rustc version ([^\0)]+\))", content)
    return compiler[1].decode() if compiler else "unknown"


def count(python: str, library: Path, result: Result, keep: Path) -> dict[str, float]:
    """Count all workloads into the result; give back the totals."""

    def is_ours(function: callgrind.Function) -> bool:
        return function.file == str(library)

    costs = callgrind.per_operation(python, "ours", WORKLOADS, OPERATIONS, keep)
    for name, cost in costs.items():
        instructions = ((each.name, number) for each, number in cost.instructions.items() if is_ours(each))
        calls = (
            (f"{caller.name} calls {callee_name(callee)}", number)
            for (caller, callee), number in cost.calls.items()
            if is_ours(caller) and not is_ours(callee)
        )
        result.workloads[name] = {"instructions": summed(instructions), "calls": summed(calls)}
        if not result.workloads[name]["instructions"]:
            raise SystemExit(f"{name} has done nothing in {library}")
    return {name: cost.total() for name, cost in costs.items()}


def callee_name(function: callgrind.Function) -> str:
    """The name; of a function that has none but its address, the file's."""
    return Path(function.file).name if function.name.startswith("0x") else function.name


def summed(costs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The costs by name, without those of nothing."""
    sums: defaultdict[str, float] = defaultdict(float)
    for name, cost in costs:
        sums[name] += cost
    return {name: rounded for name, cost in sorted(sums.items()) if (rounded := round(cost, DIGITS))}


def change(before: float, now: float) -> str:
    """The growth in per cent."""
    return f"{now / before - 1:+.1%}" if before else "new"


def tabulate(baseline: Result, now: Result, totals: dict[str, float]) -> tables.Report:
    """One row a workload."""
    rows = []
    for name, cost in now.workloads.items():
        row = [name]
        for kind in KINDS:
            old, new = (sum(each[kind].values()) for each in (baseline.workloads[name], cost))
            row += [f"{old:.1f}", f"{new:.1f}", change(old, new)]
        rows.append([*row, f"{totals[name]:.0f}"])
    header = ["one operation"]
    for title in KINDS.values():
        header += [f"{title}: baseline", "now", "change"]
    notes = [f"baseline: {described(baseline)}", f"now: {described(now)}"]
    return tables.Report(f"Guard, {now.interpreter}", [*header, "all instructions"], rows, notes)


def described(result: Result) -> str:
    """With what it was counted."""
    return f"CPython {result.python}, rustc {result.rustc}, valgrind {result.valgrind}"


def verdicts(baseline: Result, now: Result, worse: bool) -> Iterator[str]:
    """What costs too much, or is cheaper now, by more than the tolerance: a text for each workload and kind."""
    for name, cost in now.workloads.items():
        for kind, title in KINDS.items():
            before, after = baseline.workloads[name][kind], cost[kind]
            old, new = sum(before.values()), sum(after.values())
            if (new > old * (1 + TOLERANCE)) if worse else (new < old * (1 - TOLERANCE)):
                yield f"{name}: {old:.1f} -> {new:.1f} {title} per operation, {change(old, new)}"
                yield from differences(before, after)


def differences(before: dict[str, float], after: dict[str, float]) -> Iterator[str]:
    """The functions or calls that changed, those that grew most first."""
    changes = {each: after.get(each, 0.0) - before.get(each, 0.0) for each in before | after}
    changed = sorted((each for each in changes if round(changes[each], 1)), key=lambda each: -changes[each])
    for each in changed[:SHOWN]:
        old, new = before.get(each, 0.0), after.get(each, 0.0)
        yield f"    {changes[each]:+8.1f}  {each} ({old:.1f} -> {new:.1f}, {change(old, new)})"
    if len(changed) > SHOWN:
        yield f"    ... and {len(changed) - SHOWN} more"


def judge(baseline: Result, now: Result) -> bool:
    """Say what changed by more than the tolerance; whether nothing got dearer."""
    worse, better = ("\n".join(verdicts(baseline, now, worse)) for worse in (True, False))
    update = "make bench-guard ARGS=--update-baseline"
    if better:
        print(f"\nmore than {TOLERANCE:.0%} cheaper than the baseline; so that it stays so: {update}\n{better}")
    if worse:
        print(f"\nFAILED, more than {TOLERANCE:.0%} dearer than the baseline; if that is meant: {update}\n{worse}")
        if baseline.rustc != now.rustc:
            print("The baseline was counted with another rustc, whose code may cost something else.")
    else:
        print(f"\nok: nothing is more than {TOLERANCE:.0%} dearer than the baseline")
    return not worse


def main(words: Sequence[str] | None = None) -> None:
    """Count, then compare or update. The words are those of the command line."""
    parser = options.bare_parser(__doc__)
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="the interpreter (default: this one)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep callgrind's files here, for callgrind_annotate")
    parser.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--update-baseline", action="store_true", help="make what is counted now the baseline")
    arguments = parser.parse_args(words)
    library = find_library(arguments.python)
    version = ask(arguments.python, probes.version)
    now = Result(platform.machine(), version, check(library), callgrind.version(), {})
    baseline = None if arguments.update_baseline else Result.load(arguments.baseline)
    if baseline and baseline.interpreter != now.interpreter:
        raise SystemExit(f"there is no baseline for {now.interpreter}: the baseline is of {baseline.interpreter}")
    if baseline and (missing := set(WORKLOADS) - set(baseline.workloads)):
        raise SystemExit(f"the baseline lacks {', '.join(sorted(missing))}: --update-baseline")
    with tempfile.TemporaryDirectory() as temporary:
        totals = count(arguments.python, library, now, arguments.keep or Path(temporary))
    tables.show([tabulate(baseline or now, now, totals)])
    if baseline is None:
        now.save(arguments.baseline)
        print(f"\n{arguments.baseline} is the baseline now")
    elif not judge(baseline, now):
        sys.exit(1)


if __name__ == "__main__":
    main()
