"""What a run of CPython's tests with the swap is worth next to a run without it. Nothing is run here."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

PROCESS = " (process)"
"""Ends the id of the entry that stands for a module's process as a whole: exit status, class and module fixtures."""

NEVER_EXCUSED = ("missing", "unswapped", "another loop")
"""Outcomes with the swap that are held against it even if the test fails without it."""


def is_bad(outcome: str) -> bool:
    """Whether the outcome is neither a pass nor a skip."""
    return outcome not in ("passed", "skipped")


@dataclass
class ModuleRun:
    """One test module's results; `retried` has the second outcome of what failed or was missing.

    A test's outcome is "passed", "skipped", "failed", "crashed" or "hung" (its process did so in it), "exit status N"
    (its process ended in it), "unswapped": it ran on another implementation than the run is about, or "another loop":
    it passed, but where a loop of ours should have run it was asyncio's.
    """

    outcomes: dict[str, str]
    seconds: float
    details: dict[str, str] = field(default_factory=dict)
    retried: dict[str, str] = field(default_factory=dict)
    on_our_loop: int = 0
    """How many tests ran a loop of ours; looked at in the modes loop and alone."""

    def final(self) -> dict[str, str]:
        """Each test's outcome that counts: a retry's replaces the first."""
        return self.outcomes | self.retried

    def flaky(self) -> dict[str, str]:
        """Tests that did well only when run again, with both outcomes."""
        return {
            test: f"{self.outcomes.get(test, 'missing')}, then {again}"
            for test, again in self.retried.items()
            if not is_bad(again)
        }

    def counts(self) -> dict[str, int]:
        """How many tests ran, passed, were skipped and failed (in any way)."""
        final = [outcome for test, outcome in self.final().items() if not test.endswith(PROCESS)]
        return {
            "run": len(final),
            "passed": final.count("passed"),
            "skipped": final.count("skipped"),
            "failed": sum(map(is_bad, final)),
        }


Run = dict[str, ModuleRun]
"""The results by module name."""


@dataclass(frozen=True)
class Expectation:
    """One entry of expectations.toml: a failure that is known and has its reason."""

    test: str
    versions: tuple[str, ...]
    modes: tuple[str, ...]
    reason: str

    def covers(self, version: str, mode: str) -> bool:
        """Whether the entry is about this Python (3.13 covers 3.13.0) and mode."""
        return mode in self.modes and any(version == v or version.startswith(v + ".") for v in self.versions)


def load_expectations(path: Path) -> list[Expectation]:
    """Read the file; an entry with a missing, unknown or empty key is an error."""
    entries = tomllib.loads(path.read_text()).get("expect", [])
    keys = {"test", "versions", "modes", "reason"}
    for entry in entries:
        if set(entry) != keys or not all(entry.values()):
            raise ValueError(f"{path}: each entry needs {', '.join(sorted(keys))}: {entry}")
    return [Expectation(e["test"], tuple(e["versions"]), tuple(e["modes"]), e["reason"]) for e in entries]


@dataclass
class Verdict:
    """The comparison's result; it is good when both `failures` and `unused` are empty."""

    failures: dict[str, str] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    baseline_failures: dict[str, str] = field(default_factory=dict)
    flaky: dict[str, str] = field(default_factory=dict)
    only_with_swap: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing failed that was not expected, and nothing passed that was expected to fail."""
        return not self.failures and not self.unused


def differences(baseline: ModuleRun, swap: ModuleRun) -> Iterator[tuple[str, str, str]]:
    """Each test with its final outcome without and with the swap ("missing" where it did not run)."""
    before, after = baseline.final(), swap.final()
    for test in sorted(before.keys() | after.keys()):
        yield test, before.get(test, "missing"), after.get(test, "missing")


def problem(before: str, after: str) -> str | None:
    """Why this pair of outcomes is held against the swap, if it is."""
    if after == "passed" or (after == "skipped" and before in ("skipped", "missing")):
        return None
    if is_bad(before) and before != "missing" and is_bad(after) and after not in NEVER_EXCUSED:
        return None
    return f"{after} (without the swap: {before})"


def judge(baseline: Run, swap: Run, expectations: list[Expectation], version: str, mode: str, whole: bool) -> Verdict:
    """Compare a run with the swap to one without it; if `whole`, all modules ran, and each expectation must be used."""
    verdict = Verdict()
    relevant = [e for e in expectations if e.covers(version, mode)]
    seen: set[Expectation] = set()
    used: set[Expectation] = set()
    for module, run in swap.items():
        flaky = run.flaky()
        verdict.flaky |= flaky
        for test, before, after in differences(baseline[module], run):
            matching = {e for e in relevant if fnmatchcase(test, e.test)}
            seen |= matching
            why = problem(before, after)
            if why is not None:
                (verdict.expected if matching else verdict.failures)[test] = why
            elif is_bad(after):
                verdict.baseline_failures[test] = f"{after} (without the swap: {before})"
            elif before == "missing":
                verdict.only_with_swap.append(test)
            if why is not None or test in flaky:
                used |= matching
    verdict.unused = [e.test for e in relevant if e not in used and (whole or e in seen)]
    return verdict
