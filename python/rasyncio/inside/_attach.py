"""Looking into a process by its id.

One that was started with RASYNCIO_STATS serves already. Else, on 3.14 and later, it is made to serve for as long as
somebody looks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ._client import Client, Unreachable
from ._inject import CAN_INJECT, made_to_serve, not_served
from ._process import Process, process_of
from ._wishes import Wishes


@contextlib.contextmanager
def attached(pid: int, wishes: Wishes) -> Iterator[Client]:
    """Connect to the process, with what is wished for turned on in it, where that can be. Raises Unreachable."""
    process = process_of(pid)
    client = _already_serving(process, wishes)
    if client is not None:
        with client:
            yield client
        return
    if not CAN_INJECT:
        raise Unreachable(not_served(process, "only Python 3.14 or later can look into it all the same"))
    with made_to_serve(process, wishes) as path, Client(path, process.uid) as client:
        yield client


def _already_serving(process: Process, wishes: Wishes) -> Client | None:
    """A connection to where the process was told to serve; None if it does not, or not what can be had otherwise."""
    address = process.serves_at
    if address is None:
        return None
    with contextlib.suppress(Unreachable), contextlib.ExitStack() as on_failure:
        client = on_failure.enter_context(Client(address, process.uid))
        snapshot = client.snapshot()
        if snapshot["pid"] == process.pid and (wishes.are_granted(snapshot) or not CAN_INJECT):
            on_failure.pop_all()
            return client
    return None
