"""The tests of connections run on what those of the loop run on, and in debug mode; those of TLS by either route."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.loops import WITH_DEBUG, Engine, engine_for
from support.tls import ROUTES


@pytest.fixture(params=WITH_DEBUG)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The name of a kind of event loop."""
    value: str = request.param
    return value


@pytest.fixture
def engine(engine_name: str) -> Iterator[Engine]:
    """A kind of event loop, the stock one included."""
    with engine_for(engine_name) as engine:
        yield engine


@pytest.fixture(params=ROUTES)
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """TLS goes by each of the native routes, for modules that use this."""
    monkeypatch.setenv("RASYNCIO_TLS", request.param)
    return str(request.param)
