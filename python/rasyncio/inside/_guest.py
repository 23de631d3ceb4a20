"""In a process that is made to serve though it did not ask for it: what the script of `_inject.py` calls."""

from __future__ import annotations

import os
import shutil

from ._lent import give_back, lend
from ._server import StatsServer
from ._wishes import Wishes

#: What is in the folder: a folder that this process writes to, with the socket in it, or why there is none.
ANSWERS = "answers"
SOCKET = os.path.join(ANSWERS, "stats")
ERROR = os.path.join(ANSWERS, "error")
#: It ends when nobody has looked for so many seconds.
_ALONE_MAX = 10.0


def serve_in(folder: str, threshold: float | None, profile: bool = False) -> None:
    """Serve there, until nobody looks any more, with what the viewer wishes for turned on meanwhile."""
    wishes = Wishes(threshold, profile)
    lend(wishes)

    def end() -> None:
        give_back(wishes)
        shutil.rmtree(folder, ignore_errors=True)

    try:
        StatsServer(os.path.join(folder, SOCKET), alone_for=_ALONE_MAX, at_end=end)
    except BaseException:
        give_back(wishes)
        raise
