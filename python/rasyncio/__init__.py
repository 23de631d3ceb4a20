"""asyncio's Future, Task and event loop in Rust.

`install()` puts them in the place of asyncio's own and `uninstall()` undoes it, before or after asyncio was imported;
`install(loop=False)` swaps Future and Task alone. `run(main())` is `asyncio.run(main())` on all three, `new_event_loop`
a loop factory for whatever takes one, and `python -m rasyncio app.py` runs an unchanged program on them, and the
processes that it starts. So does `RASYNCIO=1` in the environment of any Python process.
"""

from ._native import ours
from ._swap import install, installed, new_event_loop, run, uninstall

TYPE_CHECKING = False  # typing's own would cost its import

__all__ = [
    "EventLoop",
    "EventLoopPolicy",
    "Future",
    "Loop",
    "Task",
    "__version__",
    "grafted",
    "install",
    "installed",
    "new_event_loop",
    "profile",
    "run",
    "serve_stats",
    "stats",
    "status",
    "uninstall",
    "watch",
]

if TYPE_CHECKING:
    # Once they are swapped in, these are the same classes.
    from asyncio import Future, Task

    from ._asyncio import __rasyncio_version__ as __version__
    from ._grafted import grafted
    from ._loop import EventLoop
    from ._policy import EventLoopPolicy
    from ._profile import profile
    from ._stats import stats
    from ._status import status
    from ._watch import watch
    from .inside import serve_stats

    Loop = EventLoop
else:
    if ours is not None:
        from ._asyncio import Future, Task
        from ._asyncio import __rasyncio_version__ as __version__

    # Under these names asyncio has what ours derive from; in a sub-interpreter, where the extension stays out, ours are
    # asyncio's own.
    _BASES = {
        "EventLoop": "SelectorEventLoop",
        "EventLoopPolicy": "DefaultEventLoopPolicy",
        "Future": "Future",
        "Loop": "SelectorEventLoop",
        "Task": "Task",
    }

    # And where what is imported late is.
    _LATE = {"load_ipython_extension": "._ipython", "status": "._status"}
    if ours is not None:
        _LATE |= {
            "grafted": "._grafted",
            "profile": "._profile",
            "serve_stats": ".inside",
            "stats": "._stats",
            "watch": "._watch",
        }

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("rasyncio")
        if name in _LATE:
            from importlib import import_module

            return getattr(import_module(_LATE[name], __name__), name)
        if name not in _BASES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Not before they are asked for: `import rasyncio` does not import asyncio. And before our own modules do: with
        # RASYNCIO=1 importing it makes our event loop the default.
        import asyncio

        if ours is None:
            return getattr(asyncio, _BASES[name])
        if name == "EventLoopPolicy":
            from ._policy import EventLoopPolicy

            return EventLoopPolicy
        from ._loop import EventLoop

        return EventLoop
