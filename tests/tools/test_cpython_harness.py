"""The harness that runs CPython's own tests: what it makes of hangs, crashes and differences."""

import shutil
import sys
import textwrap
from pathlib import Path

import pytest

import rasyncio
import run as harness
from verdict import PROCESS, Expectation, ModuleRun, Verdict, judge, load_expectations, problem

FAKE_TESTS = """
    import asyncio, os, pathlib, time, unittest

    class Tests(unittest.TestCase):
        def test_1_passes(self): pass
        def test_2_fails(self): self.fail("as it should")
        def test_3_hangs(self): time.sleep(1000)
        def test_4_crashes(self): os.abort()
        def test_5_exits(self): os._exit(7)
        def test_6_in_subtest(self):
            with self.subTest(): self.fail()
        @unittest.skip("why not")
        def test_7_is_skipped(self): pass
        @unittest.expectedFailure
        def test_8_passes_unexpectedly(self): pass
        def test_9_runs_others(self):
            Inner("inner").run(unittest.TestResult())

    class Inner(unittest.TestCase):
        def inner(self): self.fail()

    class Second(unittest.TestCase):
        def test_fails_once(self):
            marker = pathlib.Path(__file__).with_name("marker")
            self.addCleanup(marker.touch)
            self.assertTrue(marker.exists())
        def test_crashes_once(self):
            marker = pathlib.Path(__file__).with_name("crashed")
            if not marker.exists():
                marker.touch()
                os.abort()
"""
OUTCOMES = {
    "Tests.test_1_passes": "passed",
    "Tests.test_2_fails": "failed",
    "Tests.test_3_hangs": "hung",
    "Tests.test_4_crashes": "crashed",
    "Tests.test_5_exits": "exit status 7",
    "Tests.test_6_in_subtest": "failed",
    "Tests.test_7_is_skipped": "skipped",
    "Tests.test_8_passes_unexpectedly": "failed",
    "Tests.test_9_runs_others": "passed",
    "Second.test_fails_once": "failed",
    "Second.test_crashes_once": "crashed",
}

LOOP_TESTS = """
    import asyncio, unittest
    from asyncio import events, selector_events

    class Tests(unittest.TestCase):
        def test_1_default(self): asyncio.run(asyncio.sleep(0))
        def test_2_by_name(self):
            loop = asyncio.SelectorEventLoop()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        def test_3_none(self): asyncio.new_event_loop().close()
        def test_4_fails(self):
            self.test_1_default()
            self.fail()
        def test_5_stock(self):
            loop = selector_events.BaseSelectorEventLoop()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
        def test_6_changes_the_default(self):
            class Policy:
                def new_event_loop(self): return selector_events.BaseSelectorEventLoop()
            events._event_loop_policy = Policy()
        def test_7_comes_after_that(self): pass
"""
LOOP_OUTCOMES = {
    "test_1_default": "passed",
    "test_2_by_name": "passed",
    "test_3_none": "passed",
    "test_4_fails": "failed",
    "test_5_stock": "another loop",
    "test_6_changes_the_default": "passed",
    "test_7_comes_after_that": "unswapped",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> harness.Venv:
    """A venv without rasyncio."""
    pytest.importorskip("test.libregrtest", reason="this Python came without its own tests")
    return harness.make_venv(Path(sys.executable), "baseline", Path(), tmp_path_factory.mktemp("venvs"), limit=4)


@pytest.fixture
def module(tmp_path: Path) -> harness.Module:
    """A module of tests as regrtest runs them, of which most end badly."""
    (tmp_path / "test_fake.py").write_text(textwrap.dedent(FAKE_TESTS))
    return harness.Module("test_fake", ("--testdir", str(tmp_path), "test_fake"))


def test_every_test_gets_its_outcome(plain: harness.Venv, module: harness.Module) -> None:
    run = harness.run_module(plain, module)
    assert run.final() == {f"test_fake.{test}": outcome for test, outcome in OUTCOMES.items()} | {
        "test_fake" + PROCESS: "passed"
    }
    assert run.counts() == {"run": 11, "passed": 2, "skipped": 1, "failed": 8}
    assert "as it should" in run.details["test_fake.Tests.test_2_fails"]
    assert "in test_3_hangs" in run.details["test_fake.Tests.test_3_hangs"]


def test_a_failure_is_run_again_and_told_but_a_crash_stays(plain: harness.Venv, module: harness.Module) -> None:
    second = harness.Module(module.name, module.regrtest, "test_fake.Second.*")
    run = harness.run_all(plain, [second], 1, None)["test_fake"]
    assert run.flaky() == {"test_fake.Second.test_fails_once": "failed, then passed"}
    assert run.final()["test_fake.Second.test_crashes_once"] == "crashed"
    assert run.counts() == {"run": 2, "passed": 1, "skipped": 0, "failed": 1}


def test_a_silent_fall_back_is_noticed(plain: harness.Venv, module: harness.Module) -> None:
    pretended = harness.Venv(plain.path, "startup", plain.limit)
    with pytest.raises(harness.SwapError):
        harness.check_swap(pretended)
    with pytest.raises(harness.SwapError):
        harness.check_children(pretended)
    run = harness.run_module(pretended, module, ["test_fake.Tests.test_1_passes"])
    assert run.outcomes["test_fake.Tests.test_1_passes"] == "unswapped"


def test_a_loop_that_is_not_ours_is_noticed(tmp_path: Path) -> None:
    pytest.importorskip("test.libregrtest", reason="this Python came without its own tests")
    plain = harness.make_venv(Path(sys.executable), "baseline", Path(), tmp_path, limit=4)
    venv = harness.Venv(plain.path, "loop", plain.limit)
    assert rasyncio.__file__ is not None
    shutil.copytree(Path(rasyncio.__file__).parent, harness.site_packages(venv) / "rasyncio")
    harness.hook_up(venv)
    (tmp_path / "test_fake.py").write_text(textwrap.dedent(LOOP_TESTS))
    run = harness.run_module(venv, harness.Module("test_fake", ("--testdir", str(tmp_path), "test_fake")))
    assert run.outcomes == {f"test_fake.Tests.{test}": outcome for test, outcome in LOOP_OUTCOMES.items()} | {
        "test_fake" + PROCESS: "passed"
    }
    assert run.on_our_loop == 3


@pytest.mark.parametrize(
    ("without", "with_swap", "held_against_it"),
    [
        ("passed", "passed", False),
        ("skipped", "skipped", False),
        ("skipped", "passed", False),
        ("failed", "passed", False),
        ("failed", "failed", False),
        ("hung", "crashed", False),
        ("missing", "passed", False),
        ("passed", "failed", True),
        ("passed", "hung", True),
        ("passed", "skipped", True),
        ("passed", "missing", True),
        ("skipped", "failed", True),
        ("skipped", "missing", True),
        ("missing", "failed", True),
        ("failed", "skipped", True),
        ("failed", "missing", True),
        ("failed", "unswapped", True),
        ("passed", "unswapped", True),
        ("passed", "another loop", True),
        ("failed", "another loop", True),
    ],
)
def test_problem(without: str, with_swap: str, held_against_it: bool) -> None:
    assert (problem(without, with_swap) is not None) == held_against_it


def verdict_of(outcome: str, *expectations: Expectation, retried: str | None = None, whole: bool = True) -> Verdict:
    """The verdict on one test that passed without the swap, on 3.13.0 in mode startup."""
    baseline = {"m": ModuleRun({"t": "passed"}, 1)}
    swap = {"m": ModuleRun({"t": outcome}, 1, retried={"t": retried} if retried else {})}
    return judge(baseline, swap, list(expectations), "3.13.0", "startup", whole)


def expectation(test: str = "*", version: str = "3.13", mode: str = "startup") -> Expectation:
    return Expectation(test, (version,), (mode,), "a reason")


def test_failures_that_are_expected() -> None:
    assert not verdict_of("failed").good
    assert verdict_of("failed", expectation()).good
    assert verdict_of("failed", expectation()).expected.keys() == {"t"}


@pytest.mark.parametrize("other", [expectation("u"), expectation(version="3.1"), expectation(mode="runtime")])
def test_expectations_about_something_else_do_not_count(other: Expectation) -> None:
    assert verdict_of("failed", other).failures.keys() == {"t"}


def test_an_expectation_that_is_not_needed_is_an_error() -> None:
    assert verdict_of("passed", expectation("t")).unused == ["t"]
    assert verdict_of("passed", expectation("gone")).unused == ["gone"]
    assert verdict_of("passed", expectation("gone"), whole=False).good
    assert verdict_of("passed", expectation(mode="runtime")).good


def test_flaky_tests_are_told_and_not_failures() -> None:
    verdict = verdict_of("failed", retried="passed")
    assert verdict.good
    assert verdict.flaky == {"t": "failed, then passed"}
    assert verdict_of("failed", expectation(), retried="passed").good
    assert not verdict_of("failed", retried="failed").good


def test_expectations_need_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "expectations.toml"
    file.write_text('[[expect]]\ntest = "t"\nversions = ["3.13"]\nmodes = ["startup"]\nreason = "because"\n')
    assert [entry.reason for entry in load_expectations(file)] == ["because"]
    file.write_text('[[expect]]\ntest = "t"\nversions = ["3.13"]\nmodes = ["startup"]\nreason = ""\n')
    with pytest.raises(ValueError, match="reason"):
        load_expectations(file)
