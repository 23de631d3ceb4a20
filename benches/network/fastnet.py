"""aiofastnet as an event loop: its transports on a loop of somebody else's, which is how it is used."""

import asyncio
from typing import Any

import aiofastnet


def on(base: Any) -> Any:
    """The class of a loop with these transports."""

    class Fastnet(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            aiofastnet.patch_loop(self)

    return Fastnet


def __getattr__(name: str) -> Any:
    """Only what is asked for is imported, and made once."""
    if name == "Stock":
        made = on(asyncio.SelectorEventLoop)
    elif name == "Uvloop":
        import uvloop

        made = on(uvloop.Loop)
    else:
        raise AttributeError(name)
    globals()[name] = made
    return made
