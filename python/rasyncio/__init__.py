"""asyncio's Future, Task and event loop in Rust.

`install()` puts them in the place of asyncio's own and `uninstall()` undoes it, before or after asyncio was imported;
`install(loop=False)` swaps Future and Task alone. `run(main())` is `asyncio.run(main())` on all three, `new_event_loop`
a loop factory for whatever takes one, and `python -m rasyncio app.py` runs an unchanged program on them.
"""

from ._native import ours
from ._swap import install, installed, new_event_loop, run, uninstall

TYPE_CHECKING = False  # typing's own would cost its import

__all__ = [
    "EventLoop",
    "Future",
    "Task",
    "__version__",
    "install",
    "installed",
    "new_event_loop",
    "run",
    "uninstall",
]

if TYPE_CHECKING:
    from ._asyncio import Future, Task
    from ._asyncio import __rasyncio_version__ as __version__
    from ._loop import EventLoop
else:
    if ours is not None:
        from ._asyncio import Future, Task
        from ._asyncio import __rasyncio_version__ as __version__

    def __getattr__(name: str) -> object:
        # Not before they are asked for: `import rasyncio` does not import asyncio.
        if name == "EventLoop" and ours is not None:
            from ._loop import EventLoop

            return EventLoop
        # In a sub-interpreter the extension stays out, and these are asyncio's own.
        if name in ("EventLoop", "Future", "Task"):
            import asyncio

            return asyncio.SelectorEventLoop if name == "EventLoop" else getattr(asyncio, name)
        if name == "__version__":
            from importlib.metadata import version

            return version("rasyncio")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
