"""`loop.getaddrinfo` of addresses that are numbers: there is nothing to look up, and so nothing to start a thread for.

asyncio asks the system in a thread of the default executor, whatever is asked; only where it makes connections itself
does it know most addresses without asking. Here `socket.getaddrinfo` is called right away if it cannot wait for
anybody, so that the answer, or the error, is the system's own. As with a thread, others run before it comes.
"""

from __future__ import annotations

import _socket
import socket
from asyncio import base_events, events
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from types import coroutine

from ._replaced import is_builtin, is_own_function, is_own_method

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any

#: They run no code but the C library's, and ask nobody.
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
#: How asyncio names the threads of the executor that it makes itself.
_PREFIX = "asyncio"

_parse = _socket.inet_pton


def _is_number(host: Any) -> bool:
    """Is it an address in numbers, or none? One with a zone (`fe80::1%eth0`) does not count, as with asyncio."""
    if host is None:
        return True
    if type(host) is bytes and host.isascii():
        host = host.decode()
    if type(host) is not str or "%" in host:
        return False
    for family in _FAMILIES:
        try:
            _parse(family, host)
        except (OSError, ValueError):
            continue
        return True
    return False


def _is_port(port: Any) -> bool:
    """Is it a number, in digits, or none? All else may be the name of a service."""
    return port is None or type(port) is int or (type(port) in (str, bytes) and port.isascii() and port.isdigit())


def needs_no_thread(loop: Any, host: Any, port: Any) -> bool:
    """Whether asking for the address is only a call, and nobody could tell that no thread has made it.

    Somebody could who has replaced what asyncio would call, or has given the loop an executor of his own.
    """
    if not (_is_port(port) and _is_number(host)) or loop.is_closed() or loop.get_debug():
        return False
    executor = loop._default_executor
    return (
        (executor is None or (type(executor) is ThreadPoolExecutor and executor._thread_name_prefix == _PREFIX))
        and not loop._executor_shutdown_called
        and bool(events._get_running_loop() is loop)
        and is_own_method(loop.run_in_executor, base_events.BaseEventLoop, "run_in_executor")
        and vars(base_events).get("socket") is socket
        and is_own_function(socket, "getaddrinfo")
        and is_builtin(_socket.getaddrinfo, "getaddrinfo")
    )


@coroutine
def others_run() -> Generator[None]:
    """Let the loop do one iteration."""
    yield
