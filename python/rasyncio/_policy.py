"""`EventLoopPolicy`: asyncio's default policy, whose loops are rasyncio's; for whatever takes a policy (until 3.16)."""

from __future__ import annotations

from asyncio import unix_events
from typing import TYPE_CHECKING

from ._loop import EventLoop

if TYPE_CHECKING:
    from asyncio import DefaultEventLoopPolicy as Default
else:
    Default = unix_events._UnixDefaultEventLoopPolicy  # asyncio's public name for it warns from 3.14 on


class EventLoopPolicy(Default):
    """asyncio's default event loop policy with `rasyncio.EventLoop` as its loop."""

    _loop_factory = EventLoop
