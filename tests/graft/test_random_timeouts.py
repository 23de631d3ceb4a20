"""Random programs of timeouts do natively what they do in Python (`random_timeouts.py`).

In processes of their own: the interpreter tells of a thousand changes of a class and of no more, and programs that
patch `Timeout` make many.
"""

from __future__ import annotations

import sys

import pytest

from support.children import TESTS, run_python

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

BATCH = 50
PROGRAMS = """
import sys
import rasyncio
from graft.random_timeouts import both, program
first, last = map(int, sys.argv[1:])
rasyncio.install()
for seed in range(first, last):
    in_python, grafted = both(seed)
    assert grafted == in_python, f"seed {seed}: {program(seed)}"
assert not rasyncio.grafted().off, rasyncio.grafted()
"""


@pytest.mark.parametrize("batch", range(20))
def test_random_programs(batch: int) -> None:
    done = run_python(PROGRAMS, str(batch * BATCH), str((batch + 1) * BATCH), path=[TESTS])
    assert (done.returncode, done.stderr) == (0, "")
