"""asyncio's Future and Task in Rust, in the place of CPython's C module `_asyncio`.

`install()` makes the swap and `uninstall()` undoes it, before or after asyncio was imported; `run(main())` is
`asyncio.run(main())` on the swap; `python -m rasyncio app.py` runs an unchanged program on it.
"""

from ._native import ours
from ._swap import install, installed, run, uninstall

TYPE_CHECKING = False  # typing's own would cost its import

__all__ = ["Future", "Task", "__version__", "install", "installed", "run", "uninstall"]

if TYPE_CHECKING or ours is not None:
    from ._asyncio import Future, Task
    from ._asyncio import __rasyncio_version__ as __version__
else:

    def __getattr__(name: str) -> object:
        # In a sub-interpreter the extension stays out, and these are CPython's. Not before they are asked for:
        # `import rasyncio` does not import asyncio.
        if name == "__version__":
            from importlib.metadata import version

            return version("rasyncio")
        if name in ("Future", "Task"):
            import asyncio

            return getattr(asyncio, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
