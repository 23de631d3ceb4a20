"""The implementations of `_asyncio` that can be measured, and how a fresh process chooses one."""

import sys

IMPLEMENTATIONS = {
    "c": "CPython's C `_asyncio`",
    "rasyncio": "rasyncio's Rust `_asyncio`",
    "python": "asyncio's pure-Python Future and Task",
}


def select(name: str) -> None:
    """Put an implementation in place. Call it first: nothing may have imported asyncio yet."""
    if "asyncio" in sys.modules:
        raise RuntimeError("asyncio was imported before the implementation was chosen")
    if name == "rasyncio":
        import rasyncio

        rasyncio.install()
    elif name == "python":
        sys.modules["_asyncio"] = None  # type: ignore[assignment]  # makes `import _asyncio` fail
    elif name != "c":
        raise ValueError(f"unknown implementation {name!r}: it is none of {', '.join(IMPLEMENTATIONS)}")
    if (actual := in_use()) != name:
        raise RuntimeError(f"asked for {name!r}, but asyncio runs on {actual!r}")


def in_use() -> str:
    """Tell which implementation `asyncio.Task` and `asyncio.Future` really are."""
    import asyncio

    both = (asyncio.Task, asyncio.Future)
    if both == (asyncio.tasks._PyTask, asyncio.futures._PyFuture):  # type: ignore[attr-defined]
        return "python"
    rust = sys.modules.get("rasyncio._asyncio")
    if rust is not None and both == (rust.Task, rust.Future):
        return "rasyncio"
    return "c"
