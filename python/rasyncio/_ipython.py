"""`%load_ext rasyncio`: IPython's cells run on rasyncio from then on.

In a terminal no loop runs between two cells, and the loop that IPython keeps for `await` in cells is made anew. In a
notebook the kernel's loop runs all the time, and is what cells are run by: `install()` says that it comes too late, and
what to type instead (`_kernelspec`).
"""

from __future__ import annotations

import sys
from typing import Any

from ._swap import install


def load_ipython_extension(shell: object) -> None:
    """What IPython calls for `%load_ext rasyncio`, or for `--ext rasyncio` on its command line.

    RuntimeError in a notebook, whose kernel runs an event loop already.
    """
    helpers: Any = sys.modules.get("IPython.core.async_helpers")
    kept: Any = getattr(helpers, "_asyncio_event_loop", None)
    is_idle = kept is not None and not _has_work(kept)  # asked before the swap: its tasks are CPython's
    install()
    if is_idle:
        helpers._asyncio_event_loop = None
        kept.close()


def _has_work(loop: Any) -> bool:
    import asyncio

    return bool(loop.is_closed() or asyncio.all_tasks(loop))
