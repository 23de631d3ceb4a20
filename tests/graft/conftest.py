"""Fixtures: rasyncio installed for the test, with asyncio's functions grafted or left to their own bodies."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import rasyncio
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")


@pytest.fixture
def installed() -> Iterator[None]:
    """Our Future, Task and loop are asyncio's; what is grafted, the test says."""
    rasyncio.install(graft=False)
    yield
    rasyncio.uninstall()


@pytest.fixture
def grafted(installed: None) -> None:
    """All that can be grafted is."""
    _graft.attach(True)
    assert _graft.why_not == ""


@pytest.fixture(params=["Python", "grafted"])
def either(request: pytest.FixtureRequest, installed: None) -> bool:
    """Functions run their own bodies, and are grafted: what a test finds must be the same."""
    wanted: bool = request.param == "grafted"
    _graft.attach(wanted)
    return wanted
