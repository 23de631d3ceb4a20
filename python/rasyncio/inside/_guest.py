"""In a process that is made to serve though it did not ask for it: what the script of `_inject.py` calls."""

from __future__ import annotations

import os
import shutil

from .._watch import watch, watched
from ._server import StatsServer

#: What is in the folder: a folder that this process writes to, with the socket in it, or why there is none.
ANSWERS = "answers"
SOCKET = os.path.join(ANSWERS, "stats")
ERROR = os.path.join(ANSWERS, "error")
#: It ends when nobody has looked for so many seconds.
_ALONE_MAX = 10.0


def serve_in(folder: str, threshold: float | None) -> None:
    """Serve there, until nobody looks any more."""
    its_watch = watch(threshold) if threshold is not None and watched() is None else None

    def end() -> None:
        if its_watch is not None:
            its_watch.stop()
        shutil.rmtree(folder, ignore_errors=True)

    StatsServer(os.path.join(folder, SOCKET), alone_for=_ALONE_MAX, at_end=end)
