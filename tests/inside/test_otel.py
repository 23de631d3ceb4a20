"""`rasyncio.inside.otel.export()`: what OpenTelemetry's own SDK collects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk import metrics

from rasyncio.inside import otel
from support.loops import engine_for


@pytest.fixture
def loop() -> Iterator[Any]:
    with engine_for("ours") as engine:
        yield engine.new()


def collected(reader: Any) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "rasyncio"
    return {metric.name: [metric.unit, *metric.data.data_points] for metric in scope.metrics}


def mine(points: list[Any], **attributes: str) -> Any:
    """The value of the loop that runs in this thread."""
    wanted = {"thread.name": "MainThread", **{name.replace("__", "."): value for name, value in attributes.items()}}
    (point,) = (each for each in points[1:] if dict(each.attributes) == wanted)
    return point.value


def test_what_is_collected(loop: Any) -> None:
    reader = metrics.export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader])
    otel.export(provider)

    async def fails() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        await asyncio.gather(fails(), return_exceptions=True)
        time.sleep(0.05)
        await asyncio.sleep(0.001)
        first = collected(reader)
        assert first["rasyncio.eventloop.delay.max"][0] == "s"
        assert mine(first["rasyncio.eventloop.delay.max"]) >= 0.05
        assert 0 < mine(first["rasyncio.eventloop.utilization"]) <= 1
        assert mine(first["rasyncio.eventloop.tasks.made"]) == 2
        assert mine(first["rasyncio.eventloop.tasks.alive"]) == 1
        end = "rasyncio__eventloop__task__end"
        assert mine(first["rasyncio.eventloop.tasks.ended"], **{end: "failed"}) == 1
        assert mine(first["rasyncio.eventloop.tasks.ended"], **{end: "cancelled"}) == 0
        active = mine(first["rasyncio.eventloop.time"], rasyncio__eventloop__state="active")
        assert active >= 0.05
        # What is told of the time between two collections is not told twice.
        await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)
        second = collected(reader)
        assert mine(second["rasyncio.eventloop.utilization"]) < 0.9
        assert set(second) == set(first)

    loop.run_until_complete(main())
    provider.shutdown()


def test_a_sum_never_falls() -> None:
    """Loops end, and others are made, as by asyncio.run() again and again."""
    reader = metrics.export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader])
    otel.export(provider)
    seen: list[float] = []

    async def main(number: int) -> None:
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(number)))
        seen.append(mine(collected(reader)["rasyncio.eventloop.tasks.made"]))

    for number in (30, 1, 2):
        with engine_for("ours") as engine:
            engine.new().run_until_complete(main(number))
    assert seen == [31, 31 + 2, 31 + 2 + 3], "and the last may be where the one before was"
    provider.shutdown()


def test_without_a_loop_that_runs(loop: Any) -> None:
    reader = metrics.export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader])
    otel.export(provider)
    found = collected(reader)
    points = found["rasyncio.eventloop.callbacks"][1:]
    assert {dict(each.attributes)["thread.name"] for each in points} == {""}
    provider.shutdown()
