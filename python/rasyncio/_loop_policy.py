"""Which class asyncio makes a loop of when nobody names one: its own, or ours.

asyncio.run(), asyncio.Runner(), asyncio.new_event_loop() and, up to 3.13, asyncio.get_event_loop() all ask the policy,
and the default policy makes what its class has as `_loop_factory`. Only that attribute is exchanged: the policy itself
and its child watchers stay, and no function is called that 3.14 deprecates. What a program chose for itself goes first:
a `loop_factory`, a policy of its own, a subclass of the default policy with its own `_loop_factory`, or somebody
else's value in the same attribute.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any


def make_default(*, ours: bool) -> None:
    """Make rasyncio.EventLoop the default, which imports asyncio, or asyncio's own loop again."""
    if not ours and f"{__package__}._loop" not in sys.modules:
        return  # asyncio's own it is, and always was
    import asyncio  # noqa: F401

    unix_events: Any = sys.modules.get("asyncio.unix_events")
    if unix_events is None:
        return  # Windows: the default there is another kind of loop than ours is
    from ._loop import EventLoop

    loops = unix_events.SelectorEventLoop, EventLoop
    old, new = loops if ours else loops[::-1]
    policy = unix_events._UnixDefaultEventLoopPolicy
    if policy._loop_factory is old:
        policy._loop_factory = new
