"""What is said of a variable in the environment that has a value which nobody knows: a line on stderr, once.

The process goes on as if it were not set. `RASYNCIO` itself is `_startup`'s.
"""

import os
import sys

DOORBELL = "RASYNCIO_DOORBELL"

_told: set[tuple[str, str]] = set()


def complain(variable: str, expected: str, value: str) -> None:
    """Say it, unless it was said before."""
    if (variable, value) not in _told:
        _told.add((variable, value))
        print(f"rasyncio: {variable} must be {expected}, not {value!r}", file=sys.stderr)


def complain_of_doorbell() -> None:
    """What native code, which reads that one, calls."""
    complain(DOORBELL, "0 or 1", os.environ.get(DOORBELL, ""))
