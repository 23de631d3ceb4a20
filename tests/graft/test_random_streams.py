"""Random programs of a reader do natively what they do in Python (`random_streams.py`)."""

from __future__ import annotations

import sys

import pytest

from graft.random_streams import both, program

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

BATCH = 100


@pytest.mark.parametrize("batch", range(10))
def test_random_programs(installed: None, batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        in_python, grafted = both(seed)
        assert grafted == in_python, f"seed {seed}: {program(seed)}"
