"""No test is left out: each room of tests/ is run by `make test`, or is the tools'."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def test_each_room_is_run(pytestconfig: pytest.Config) -> None:
    rooms = {f"tests/{path.parent.relative_to(TESTS)}" for path in TESTS.rglob("test_*.py")}
    assert rooms == {*pytestconfig.getini("testpaths"), "tests/tools"}
