"""Fixtures: the implementation under test (`impl`) with loops on it, and the event loop under test (`engine`)."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from support.fakes import MockLoop
from support.impls import IMPLEMENTATIONS, Impl, switched
from support.loops import ENGINES, Engine, engine_for

# A shell's background job ignores Ctrl-C, and so would the processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What pytest has made by now stays: collections, and install()'s look for running loops, need not walk over it."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Only reference counts free things, and collections that the test asks for."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The name of a kind of event loop."""
    value: str = request.param
    return value


@pytest.fixture
def engine(engine_name: str) -> Iterator[Engine]:
    """A kind of event loop, the stock one included; asyncio runs on the Future and Task that go with it."""
    with engine_for(engine_name) as engine:
        yield engine


@pytest.fixture
def eventloop(engine: Engine) -> Any:
    """An event loop of the engine, closed at the end."""
    return engine.new()
