"""Fixtures: the implementation under test (`impl`), and loops on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from impls import IMPLEMENTATIONS, Impl, MockLoop, switched


@pytest.fixture(params=IMPLEMENTATIONS)
def impl(request: pytest.FixtureRequest) -> Iterator[Impl]:
    """asyncio runs on this implementation during the test."""
    with switched(request.param) as implementation:
        yield implementation
        assert asyncio._get_running_loop() is None, "the test left a running loop behind"


@pytest.fixture(params=[name for name in IMPLEMENTATIONS if name != "python"])
def native(request: pytest.FixtureRequest) -> Iterator[Impl]:
    """The same for what only C and ours have: the surface of the module, and uninitialised objects."""
    with switched(request.param) as implementation:
        yield implementation
        assert asyncio._get_running_loop() is None, "the test left a running loop behind"


@pytest.fixture(params=IMPLEMENTATIONS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of an implementation, for tests that run it in an interpreter of its own."""
    value: str = request.param
    return value


@pytest.fixture
def loop(impl: Impl) -> Iterator[asyncio.AbstractEventLoop]:
    """A stock event loop, closed at the end."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def mock() -> MockLoop:
    """A loop of four methods that runs only when it is told to."""
    return MockLoop()
