"""Run CPython's own asyncio tests on rasyncio and hold the result against a run without it.

Each test module is one `python -m test MODULE` process in a venv of the given Python, `--jobs` of them at a time. A
test that fails is run again, when nothing else runs; one that crashes or hangs is not.

In mode startup a `.pth` of the venv swaps Future and Task before asyncio is imported, in isolated child processes too.
In mode runtime it does so after, and only the modules that look closest at the types are run. In mode loop it installs
the event loop as well, and where a test names one of asyncio's loops it gets ours (see site_hook.py). Mode alone is the
same with CPython's own Future and Task.

It is a failure if a test fails, hangs, crashes, is skipped or is missing with the swap that did not so without it; if a
test or a child process was not on what the mode demands; if no test ran a loop of ours in these two, or one ran another
loop; and if an entry of expectations.toml was not needed.

With --leaks regrtest hunts for leaked references, memory blocks and file descriptors (-R 3:3) on debug builds of
Python, with the swap; without it in the modules where it has found some, which are a failure if they were not there.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verdict import PROCESS, ModuleRun, Run, Verdict, differences, judge, load_expectations

HERE = Path(__file__).parent
HOOK = HERE / "site_hook.py"
MODES = ("startup", "runtime", "loop", "alone")
PTH = {
    "baseline": "",
    "startup": "import rasyncio; rasyncio.install(loop=False)\n",
    "runtime": "import asyncio; import rasyncio; rasyncio.install(loop=False)\n",
    "loop": "import rasyncio; rasyncio.install()\n",
    "alone": "import asyncio.unix_events as u; import rasyncio;"
    " u._UnixDefaultEventLoopPolicy._loop_factory = rasyncio.EventLoop\n",
}
IN_USE = {"baseline": "", "startup": "types", "runtime": "types", "loop": "types loop", "alone": "loop"}
"""What of rasyncio a process of each mode must be on, as site_hook.in_use() puts it."""
RUNTIME_MODULES = {
    f"test_asyncio.test_{name}"
    for name in ("tasks", "futures", "futures2", "eager_task_factory", "taskgroups", "graph", "free_threading")
}
LEAK_MODULES = [
    f"test_asyncio.test_{name}"
    for name in (
        *("tasks", "futures", "futures2", "eager_task_factory", "taskgroups", "timeouts", "waitfor", "locks", "queues"),
        *("streams", "buffered_proto", "selector_events", "sendfile", "server", "sock_lowlevel", "transports"),
        *("ssl", "sslproto"),
    )
]
LEAK_MODES = ("startup", "loop")
HUNT = ("--huntrleaks", "3:3")
OTHER_MODULES = ("test_contextlib_async", "test_coroutines", "test_asyncgen", "test_context")
LONGEST_FIRST = (
    "test_asyncio.test_ssl",
    "test_asyncio.test_events",
    "test_asyncio.test_subprocess",
    "test_asyncio.test_tasks",
)
MAX_PROCESSES = 12
"""After a crash or a hang a module goes on with its remaining tests in a new process; at most this many per module."""
MEMORY = 4 << 30
"""Bytes that a process may allocate: a test that loops can take a gigabyte in ten seconds."""
OUTPUT_TAIL = 6000
"""Characters of a process's output that are kept when it ended badly."""
MAX_DETAILS = 20
"""Tracebacks that are printed; the JSON has all."""


@dataclass(frozen=True)
class Module:
    """A module as the table names it, and how regrtest is asked for it."""

    name: str
    regrtest: tuple[str, ...]
    match: str = "*"


@dataclass(frozen=True)
class Venv:
    """A venv of the Python under test, with the harness's hook and, except for the baseline, rasyncio."""

    path: Path
    mode: str
    limit: float
    arguments: tuple[str, ...] = ()
    """For regrtest, besides what to run."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


class SwapError(Exception):
    """The swap is not on where it should be, or the other way round."""


def output_of(*command: str | Path, cwd: Path | None = None) -> str:
    """A command's output; its error output goes to ours."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=clean_env(), cwd=cwd).stdout


def clean_env() -> dict[str, str]:
    """The environment without what would change the tested Python."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "__PYVENV"))
    }


def find_modules(python: Path) -> list[Module]:
    """All modules that this Python has of those to be run, in mode startup's order."""
    try:
        directory = Path(output_of(python, "-c", "import test.test_asyncio; print(test.__path__[0])").strip())
    except subprocess.CalledProcessError:
        raise SystemExit(f"{python} came without CPython's own tests (Debian: libpython3.X-testsuite)") from None
    names = sorted(f"test_asyncio.{file.stem}" for file in (directory / "test_asyncio").glob("test_*.py"))
    names += [name for name in OTHER_MODULES if (directory / f"{name}.py").exists()]
    names.sort(key=lambda name: (name not in LONGEST_FIRST, not name.startswith("test_asyncio.")))
    modules = [Module(name, (name,)) for name in names]
    async_case = "test_unittest.test_async_case"
    if (directory / "test_unittest").is_dir():
        modules.append(Module(async_case, (async_case,)))
    else:  # 3.11: the module is inside the package unittest, and regrtest can only be given test_unittest
        modules.append(Module(async_case, ("test_unittest",), "unittest.test.test_async_case.*"))
    return modules


def make_venv(python: Path, mode: str, wheel: Path, work: Path, limit: float, arguments: tuple[str, ...] = ()) -> Venv:
    """Make the venv of a mode anew."""
    venv = Venv(work / mode, mode, limit, arguments)
    shutil.rmtree(venv.path, ignore_errors=True)
    subprocess.run(
        [python, "-m", "venv", *(["--without-pip"] if mode == "baseline" else []), venv.path],
        check=True,
        env=clean_env(),
    )
    if mode != "baseline":
        source = ["--find-links", wheel, "rasyncio"] if wheel.is_dir() else [wheel]
        pip: list[str | Path] = [venv.python, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "-q"]
        subprocess.run([*pip, "--no-index", "--no-deps", *source], check=True, env=clean_env())
    hook_up(venv)
    return venv


def hook_up(venv: Venv) -> None:
    """Put into the venv what its processes run when they start, and see that it works."""
    site = site_packages(venv)
    shutil.copy(HOOK, site / "_rasyncio_harness.py")
    (site / "rasyncio.pth").write_text(PTH[venv.mode])
    (site / "zz_harness.pth").write_text(f"import _rasyncio_harness; _rasyncio_harness.start({venv.mode!r})\n")
    check_swap(venv)


def site_packages(venv: Venv) -> Path:
    """Where the venv has its packages."""
    return Path(output_of(venv.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def check_swap(venv: Venv) -> None:
    """Ask an isolated process of the venv what it is on, and require that it is what the mode says."""
    code = "import asyncio, _rasyncio_harness as h; print(h.in_use(), asyncio.tasks._asyncio, sep=', ')"
    if "types" in IN_USE[venv.mode]:
        code += "; import rasyncio as r; assert asyncio.Task is r.Task and asyncio.Future is r.Future"
    try:
        answer = output_of(venv.python, "-I", "-c", code).strip()
    except subprocess.CalledProcessError as error:
        raise SwapError(f"mode {venv.mode}: the swap could not be looked at: {error}") from None
    if answer.split(",")[0] != IN_USE[venv.mode]:
        raise SwapError(f"mode {venv.mode}: in use, and asyncio's C module: {answer}")


def read_journal(path: Path) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Each test's last records, merged, and the test that was started but has no end."""
    tests: dict[str, dict[str, Any]] = {}
    running = None
    for line in path.read_text().splitlines() if path.exists() else ():
        record = json.loads(line)
        running = record.get("start")
        tests.setdefault(running or record["end"], {}).update(record)
    return tests, running


def run_process(venv: Venv, arguments: list[str], journal: Path) -> tuple[str, str]:
    """Run `python -m test` and return how it ended, and its output.

    It is killed when its journal has had nothing new for the time limit: no test, import or fixture may take longer.
    """
    log = journal.with_suffix(".log")
    command = [str(venv.python), "-m", "test", "--fail-env-changed", "--tempdir", str(journal.parent)]
    command += [*venv.arguments, *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=journal.parent,
            env=clean_env() | {"RASYNCIO_JOURNAL": str(journal)},
            start_new_session=True,
        )
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (MEMORY, MEMORY))
        said, since, hung = 0, time.monotonic(), False
        while process.poll() is None:
            try:
                process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                size = journal.stat().st_size if journal.exists() else 0
                if size != said:
                    said, since = size, time.monotonic()
                elif time.monotonic() - since > venv.limit:
                    hung = True
                    stop(process)
    output = log.read_text(errors="replace")
    if hung:
        return "hung", output
    if process.returncode < 0:
        return f"crashed: {signal.Signals(-process.returncode).name}", output
    return f"exit status {process.returncode}", output


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children; SIGABRT first, upon which regrtest's faulthandler prints all tracebacks."""
    process.send_signal(signal.SIGABRT)
    time.sleep(3)
    os.killpg(process.pid, signal.SIGKILL)  # the process is not reaped yet, so that its group still exists
    process.wait()


def run_module(venv: Venv, module: Module, tests: list[str] | None = None) -> ModuleRun:
    """Run a module, or some tests of it, going on after a test that hangs or crashes."""
    start = time.monotonic()
    result = ModuleRun({}, 0)
    process_id = module.name + PROCESS
    result.outcomes[process_id] = "passed"
    with tempfile.TemporaryDirectory(prefix="rasyncio-", ignore_cleanup_errors=True) as directory:
        only, done = Path(directory, "only"), Path(directory, "done")
        only.write_text("\n".join(tests or [module.match]))
        for n in range(MAX_PROCESSES):
            done.write_text("\n".join(test for test in result.outcomes if test != process_id))
            arguments = ["--matchfile", str(only), *(["--ignorefile", str(done)] if n else []), *module.regrtest]
            ending, output = run_process(venv, arguments, Path(directory, f"{n}.jsonl"))
            records, unfinished = read_journal(Path(directory, f"{n}.jsonl"))
            for test, record in records.items():
                outcome = record.get("outcome", ending.partition(":")[0])
                loops = record.get("loops", ())
                if outcome != "skipped" and not is_swap_right(venv, module, record["in_use"]):
                    outcome = "unswapped"
                elif outcome == "passed" and "stock" in loops:
                    outcome = "another loop"
                result.outcomes[test] = outcome
                result.on_our_loop += "ours" in loops
                if record.get("outcome") == "failed":
                    result.details[test] = record["details"]
                elif "outcome" not in record:
                    result.details[test] = f"{ending}\n{output[-OUTPUT_TAIL:]}"
            if unfinished is None:
                break
        problem = process_problem(ending, records)
        if problem:
            result.outcomes[process_id] = problem
            result.details[process_id] = f"{ending}\n{output[-OUTPUT_TAIL:]}"
    result.seconds = round(time.monotonic() - start, 1)
    return result


def is_swap_right(venv: Venv, module: Module, in_use: str | None) -> bool:
    """Whether a test ran on what the mode demands; it may be open (None) in a module that has not imported asyncio."""
    if in_use is None:
        return not module.name.startswith("test_asyncio.")
    return in_use == IN_USE[venv.mode]


def process_problem(ending: str, records: dict[str, dict[str, Any]]) -> str | None:
    """The outcome of a process whose end its tests do not explain: death, a failing fixture, a changed environment."""
    failed = any(record.get("outcome") == "failed" for record in records.values())
    if (
        ending == "exit status 0"
        or (ending == "exit status 2" and failed)
        or (ending == "exit status 4" and not records)
    ):
        return None
    return "failed" if ending.startswith("exit") else ending.partition(":")[0]


def run_all(venv: Venv, modules: list[Module], jobs: int, before: Run | None) -> Run:
    """Run the modules, then the failed tests again one module at a time; a crash or a hang needs no second one."""
    with ThreadPoolExecutor(jobs) as pool:
        run = dict(zip((m.name for m in modules), pool.map(lambda m: run_module(venv, m), modules), strict=True))
    for module in modules:
        result = run[module.name]
        bad = [test for test, outcome in result.outcomes.items() if outcome == "failed"]
        if before is not None:
            bad += [test for test, _, after in differences(before[module.name], result) if after == "missing"]
        if not bad:
            continue
        whole = any(test.endswith(PROCESS) or test not in result.outcomes for test in bad)
        again = run_module(venv, module, None if whole else bad)
        result.retried = {test: again.outcomes[test] for test in bad if test in again.outcomes}
        result.details |= {test: text for test, text in again.details.items() if test in bad}
    return run


def check_children(venv: Venv) -> int:
    """Count the processes of the venv that used asyncio and lived to say so; all must have used the right one."""
    path = venv.path / "processes.jsonl"  # not there if none lived
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    wrong = [record["argv"] for record in records if record["in_use"] != IN_USE[venv.mode]]
    if wrong:
        raise SwapError(
            f"mode {venv.mode}: {len(wrong)} of {len(records)} processes ran on another implementation, as {wrong[:3]}"
        )
    return len(records)


def kept_baseline(path: Path, modules: list[Module]) -> Run | None:
    """The run without the swap that an earlier call kept, if it has all the modules."""
    if not path.exists():
        return None
    run = {name: ModuleRun(**result) for name, result in json.loads(path.read_text()).items()}
    return run if all(module.name in run for module in modules) else None


def tell(mode: str, version: str, baseline: Run, swap: Run, verdict: Verdict, seconds: float) -> None:
    """Print the table of a mode, and every test that is not as it should be."""
    row = "{:<8} {:<8} {:<39} {:>5} {:>7} {:>8} {:>7} {:>12} {:>8}"
    print(
        "\n" + row.format("Python", "mode", "module", "run", "passed", "skipped", "failed", "without: run", "seconds")
    )
    for name, result in swap.items():
        print(
            row.format(version, mode, name, *result.counts().values(), baseline[name].counts()["run"], result.seconds)
        )
    sections = {
        "FAILED": verdict.failures,
        "expected failures": verdict.expected,
        "fail without the swap too": verdict.baseline_failures,
        "flaky (failed at first, not when run again alone)": verdict.flaky,
        "only with the swap": dict.fromkeys(verdict.only_with_swap, "passed or skipped"),
        "in expectations.toml, but NOT NEEDED": dict.fromkeys(verdict.unused, "remove the entry"),
    }
    for title, tests in sections.items():
        if tests:
            print(f"\n{len(tests)} {title}:")
        for test, text in tests.items():
            print(f"    {test}: {text}")
    details = {test: text for result in swap.values() for test, text in result.details.items()}
    for test in [test for test in verdict.failures if test in details][:MAX_DETAILS]:
        print(f"\n--- {test}\n{details[test]}")
    words = [", ".join(f"{n} {key}" for key, n in totals(run).items()) for run in (swap, baseline)]
    outcome = "good" if verdict.good else "BAD"
    print(f"\n{version} {mode}: {words[0]} (without the swap: {words[1]}) in {seconds:.0f} s: {outcome}")


def totals(run: Run) -> dict[str, int]:
    """The modules' counts added up."""
    counts = [result.counts() for result in run.values()]
    return {key: sum(count[key] for count in counts) for key in ("run", "passed", "skipped", "failed")}


def run_python(python: Path, options: argparse.Namespace) -> list[tuple[Run, Verdict]]:
    """All of it for one Python: each mode's results."""
    full_version = output_of(python, "-c", "import sys; print(sys.version)").strip()
    version = full_version.split()[0]
    expectations = load_expectations(options.expectations)
    if options.leaks and output_of(python, "-c", "import sys; print(hasattr(sys, 'gettotalrefcount'))") != "True\n":
        raise SystemExit(f"{python} does not count references: leaks are hunted on debug builds")
    available = find_modules(python)
    chosen = [module for module in available if not options.modules or module.name in options.modules]
    if len(chosen) < len(options.modules):
        raise SystemExit(f"{version} has only these modules: {' '.join(module.name for module in available)}")
    by_mode = {mode: [m for m in chosen if mode != "runtime" or m.name in RUNTIME_MODULES] for mode in options.modes}
    by_mode = {mode: modules for mode, modules in by_mode.items() if modules}
    needed = max(by_mode.values(), key=len, default=[])

    key = hashlib.sha256(f"{python} {full_version} {HOOK.read_text()}".encode()).hexdigest()[:12]
    work = options.work.absolute() / f"{version}-{key}"
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "baseline.json"
    baseline = None if options.fresh else kept_baseline(kept, needed)
    if baseline is None:
        start = time.monotonic()
        venv = make_venv(python, "baseline", options.wheel, work, options.limit)
        baseline = run_all(venv, needed, options.jobs, None)
        check_children(venv)
        if not options.modules:
            kept.write_text(json.dumps({name: asdict(result) for name, result in baseline.items()}))
        print(f"{version} without the swap: {totals(baseline)} in {time.monotonic() - start:.0f} s", flush=True)

    results = []
    report: dict[str, Any] = {"python": version, "executable": str(python), "jobs": options.jobs, "modes": {}}
    for mode, modules in by_mode.items():
        start = time.monotonic()
        venv = make_venv(python, mode, options.wheel, work, options.limit, HUNT if options.leaks else ())
        swap = run_all(venv, modules, options.jobs, baseline)
        processes = check_children(venv)
        on_our_loop = sum(result.on_our_loop for result in swap.values())
        if "loop" in IN_USE[mode] and not on_our_loop and not options.modules:
            raise SwapError(f"mode {mode}: no test ran a loop of ours")
        before = {name: baseline[name] for name in swap}
        leaking = [module for module in modules if swap[module.name].final()[module.name + PROCESS] != "passed"]
        if options.leaks and leaking:
            control = make_venv(python, "baseline", options.wheel, work, options.limit, HUNT)
            before |= run_all(control, leaking, options.jobs, None)
        verdict = judge(before, swap, expectations, version, mode, whole=not options.modules)
        seconds = time.monotonic() - start
        tell(mode, version, before, swap, verdict, seconds)
        print(f"{processes} processes used asyncio, all of them on rasyncio", flush=True)
        if "loop" in IN_USE[mode]:
            print(f"{on_our_loop} tests ran a loop of ours", flush=True)
        results.append((swap, verdict))
        report["modes"][mode] = {
            "seconds": round(seconds),
            "processes_on_rasyncio": processes,
            "on_our_loop": on_our_loop,
            "total": totals(swap),
            "total_without": totals(before),
            "modules": {
                name: {
                    **r.counts(),
                    "without": before[name].counts(),
                    "on_our_loop": r.on_our_loop,
                    "seconds": r.seconds,
                }
                for name, r in swap.items()
            },
            "verdict": asdict(verdict),
            "details": {test: text for r in swap.values() for test, text in r.details.items()},
        }
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{version}.json").write_text(json.dumps(report, indent=1) + "\n")
    return results


def main() -> int:
    """The command line; the last line printed counts the tests with the swap, of all Pythons and modes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", required=True, metavar="PATH", help="the Pythons to test on")
    parser.add_argument(
        "--wheel", type=Path, required=True, help="rasyncio's wheel, or a directory with one for each Python"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES)
    parser.add_argument("--modules", nargs="*", default=[], help="only these, as the table names them")
    parser.add_argument("--leaks", action="store_true", help="hunt for leaks, in the modules that do not take hours")
    parser.add_argument("--jobs", type=int, default=4, help="modules at a time (most of the time they sleep)")
    parser.add_argument("--limit", type=float, default=60, help="seconds that a test may take")
    parser.add_argument("--out", type=Path, help="directory for the results, VERSION.json each")
    parser.add_argument(
        "--work", type=Path, default=HERE.parents[1] / ".cache" / "cpython", help="venvs, kept runs without the swap"
    )
    parser.add_argument("--fresh", action="store_true", help="run without the swap even if such a run is kept")
    parser.add_argument("--expectations", type=Path, default=HERE / "expectations.toml")
    options = parser.parse_args()
    options.modes = options.modes or (LEAK_MODES if options.leaks else MODES)
    if options.leaks:
        options.modules = options.modules or LEAK_MODULES

    # In the background a shell has us ignore Ctrl-C. The tests must not: they interrupt themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    start = time.monotonic()
    passed = failed = 0
    for name in options.python:
        found = shutil.which(name)
        if found is None:
            parser.error(f"no such Python: {name}")
        try:
            # A venv of 3.13 does not find its home by a link to the executable.
            results = run_python(Path(found).resolve(), options)
        except (SwapError, subprocess.CalledProcessError) as error:
            print(f"{name}: {error}")
            failed += 1
            continue
        for swap, verdict in results:
            passed += totals(swap)["passed"]
            failed += len(verdict.failures) + len(verdict.unused)
    print(f"\nCPython's own tests with the swap, all Pythons and modes, {time.monotonic() - start:.0f} s:")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
