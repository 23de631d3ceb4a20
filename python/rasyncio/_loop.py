"""`EventLoop`: asyncio's selector event loop on a scheduling core in Rust.

The native base class has what schedules, waits and runs: `call_soon`, `call_later`, `call_at`,
`call_soon_threadsafe`, `create_future`, `create_task`, readers and writers, one iteration, and the attributes that
belong to these; on Linux, servers that accept, the transports of sockets and pipes (`_transports.py`) and of TLS
(`_tls.py`), and `sock_recv` and its kin. All the rest (subprocesses, signals, executors) is asyncio's own.

Importing this module imports asyncio.
"""

from __future__ import annotations

import asyncio
import math
import os
import selectors
import sys
import weakref
from asyncio import base_events, constants, selector_events, trsock
from collections.abc import Callable
from socket import AF_INET, AF_INET6, socket

from . import _tls
from ._addresses import needs_no_thread, others_run
from ._asyncio import EventLoopCore, _adopt_event_loop_class
from ._replaced import SELECTOR, ask_here, is_own_method
from ._selector import NativeSelector
from ._transports import (
    DatagramTransport,
    ReadPipeTransport,
    WritePipeTransport,
    checks_descriptors,
    knows_sockets,
    make,
    takes_datagrams,
    takes_pipe,
)

if sys.platform == "linux":
    from ._asyncio import SocketOperation
TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any

    from ._stats import LoopStats

#: What profiles the loops that are made, if anything does.
profiles: list[object] = []
#: Whether slow steps are to be watched for from the first loop on; a forked child begins anew.
_WATCHES = bool(os.environ.get("RASYNCIO_WATCH"))
#: Whether what each coroutine function takes is to be found from then on.
_PROFILES = bool(os.environ.get("RASYNCIO_PROFILE"))
#: Whether stats are to be served from then on.
_SERVES = bool(os.environ.get("RASYNCIO_STATS"))
#: The loops that there are, by their `id()`: a subclass may have a hash of its own.
loops: weakref.WeakValueDictionary[int, EventLoop] = weakref.WeakValueDictionary()


class _Probe:
    """A loop and its listening socket, whose backlog has nothing but connections that were aborted."""

    _debug = False

    def __init__(self) -> None:
        self.accepted = 0

    def accept(self) -> Any:
        self.accepted += 1
        raise ConnectionAbortedError


#: What `_how_it_accepts` has found, once somebody has asked.
_accepts: tuple[bool, bool] | None = None


def _how_it_accepts() -> tuple[bool, bool]:
    """Whether asyncio accepts one connection more than the backlog's length, and goes on after one that was aborted.

    Both came with patch releases.
    """
    global _accepts
    if _accepts is not None:
        return _accepts
    counts = []
    for backlog in (0, 2):
        probe: Any = _Probe()
        selector_events.BaseSelectorEventLoop._accept_connection(probe, None, probe, backlog=backlog)  # type: ignore[attr-defined]
        counts.append(probe.accepted)
    _accepts = counts[0] > 0, counts[1] > 1
    return _accepts


_CHECKS_DESCRIPTORS_OF_SSL = checks_descriptors("_make_ssl_transport")
_CHECKS_DESCRIPTORS_OF_DATAGRAMS = checks_descriptors("_make_datagram_transport")

#: The namespace in which asyncio looks things up.
_names: Any = base_events

# The attributes that asyncio gives a loop, in all versions, but for those of the native base. As slots they keep the
# instance's dictionary empty, and then the interpreter finds the loop's methods without looking into it.
_ATTRIBUTES = (
    "_asyncgens",
    "_asyncgens_shutdown_called",
    "_coroutine_origin_tracking_enabled",
    "_coroutine_origin_tracking_saved_depth",
    "_csock",
    "_default_executor",
    "_exception_handler",
    "_executor_shutdown_called",
    "_internal_fds",
    "_old_agen_hooks",
    "_selector",
    "_signal_handlers",
    "_ssock",
    "_unix_server_sockets",
    "_watcher",
    "slow_callback_duration",
)


class EventLoop(EventLoopCore, asyncio.SelectorEventLoop):  # type: ignore[misc]  # versions differ in create_task
    """An event loop for asyncio: everything that `asyncio.SelectorEventLoop` does, faster.

    With a `selector` (of Python's `selectors`) it waits by that one, else natively. Each iteration serves the files
    that are ready, then the timers that are due, as asyncio's loops do.
    """

    __slots__ = _ATTRIBUTES

    if TYPE_CHECKING:  # what asyncio's stubs do not tell of the base class
        _selector: Any
        _signal_handlers: Any
        _ssock: Any

        _accept_connection: Any

        def _check_closed(self) -> None: ...
        def _remove_reader(self, fd: int) -> bool: ...
        def _check_running(self) -> None: ...
        def _set_coroutine_origin_tracking(self, enabled: bool) -> None: ...
        def _asyncgen_firstiter_hook(self, agen: Any) -> None: ...
        def _asyncgen_finalizer_hook(self, agen: Any) -> None: ...
        def _process_events(self, event_list: Any) -> None: ...
        def _ensure_fd_no_transport(self, fd: Any) -> None: ...
        async def _ensure_resolved(
            self, address: Any, *, family: int = 0, type: int = ..., proto: int = 0, flags: int = 0, loop: Any
        ) -> list[Any]: ...

        if sys.version_info >= (3, 13):

            def _run_forever_setup(self) -> None: ...
            def _run_forever_cleanup(self) -> None: ...

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        if selector is None:
            selector = self._native_selector()
        super().__init__(selector)
        self._own_wake_up()
        knows_sockets()
        loops[id(self)] = self
        if profiles:
            self._profile(True)
        if _PROFILES:
            from ._profile import profile_if_asked

            profile_if_asked()
        if _WATCHES:
            from ._watch import watch_if_asked

            watch_if_asked()
        if _SERVES:
            from .inside._server import serve_if_asked

            serve_if_asked()

    def _native_selector(self) -> selectors.BaseSelector | None:
        if not SELECTOR.would_be_made():
            return None  # the program has put another in its place
        selector = NativeSelector(self)
        try:
            self._open_poller(selector)
        except OSError:  # not on this platform; asyncio chooses one
            return None
        except Exception:
            self._closed = True  # there is nothing to close
            raise
        return selector

    def stats(self, *, tasks: bool = False) -> LoopStats:
        """Tell what the loop has done since it was made, at no cost but that of asking. From any thread.

        With `tasks`, tell also what each coroutine function took, which `rasyncio.profile()` finds out.
        """
        from ._stats import of_loop

        return of_loop(self, tasks)

    # Files

    def _own_wake_up(self) -> None:
        """Let a busy loop not look for what comes by its own socket: call_soon_threadsafe() fills the queue itself.

        A selector of Python's is asked in each iteration, and may be of somebody whose socket is none (a test's).
        """
        if self._ssock is not None and type(self._selector) is NativeSelector:
            self._own_file(self._ssock.fileno())

    def add_signal_handler(  # type: ignore[override]  # stubtest does not know a TypeVarTuple of a module
        self, sig: int, callback: Callable[..., Any], *args: Any
    ) -> None:
        """Call the callback in the loop when the signal comes; in the main thread, on Unix."""
        super().add_signal_handler(sig, callback, *args)
        self._own_file(-1)  # signals come by that socket

    def remove_signal_handler(self, sig: int) -> bool:
        """Remove the signal's handler; tell whether there was one."""
        removed = super().remove_signal_handler(sig)
        if not self._signal_handlers:
            self._own_wake_up()
        return removed

    # Servers

    if sys.platform == "linux":

        def _start_serving(self, protocol_factory: Any, sock: Any, *arguments: Any, **more: Any) -> None:
            accept = self._accept_connection
            if more or not (
                is_own_method(accept, selector_events.BaseSelectorEventLoop, "_accept_connection")
                and self._try_start_serving(accept, *_how_it_accepts(), protocol_factory, sock, *arguments)
            ):
                super()._start_serving(protocol_factory, sock, *arguments, **more)  # type: ignore[misc]

        def _accept_failed(self, error: OSError, arguments: Any) -> None:
            """Do what asyncio does where the system has no room for a connection."""
            sock = arguments[1]
            self.call_exception_handler(
                {
                    "message": "socket.accept() out of system resource",
                    "exception": error,
                    "socket": trsock.TransportSocket(sock),
                }
            )
            self._remove_reader(sock.fileno())
            start: Callable[..., None] = self._start_serving
            self.call_later(constants.ACCEPT_RETRY_DELAY, start, *arguments)

    # Transports

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: Any = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: Any = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: Any = constants.SSL_SHUTDOWN_TIMEOUT,
        **more: Any,
    ) -> Any:
        timeouts = {"ssl_handshake_timeout": ssl_handshake_timeout, "ssl_shutdown_timeout": ssl_shutdown_timeout}
        if not self._makes_transports():
            sides = {"server_side": server_side, "server_hostname": server_hostname, "extra": extra, "server": server}
            stock = super()._make_ssl_transport  # type: ignore[misc]
            return stock(rawsock, protocol, sslcontext, waiter, **sides, **timeouts, **more)
        if _CHECKS_DESCRIPTORS_OF_SSL:
            self._ensure_fd_no_transport(rawsock)
        ssl_protocol = _tls.make_protocol(self, protocol, sslcontext, waiter, server_side, server_hostname, **timeouts)
        transport = make(self, rawsock, ssl_protocol, None, extra, server, more.get("context"))
        if transport is None:
            selector_events._SelectorSocketTransport(  # type: ignore[attr-defined]
                self, rawsock, ssl_protocol, extra=extra, server=server, **more
            )
        return ssl_protocol._app_transport

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, waiter: Any = None, extra: Any = None, **more: Any
    ) -> Any:
        if not self._makes_transports() or not takes_datagrams(sock):
            stock = super()._make_datagram_transport  # type: ignore[misc]
            return stock(sock, protocol, address, waiter, extra, **more)
        if _CHECKS_DESCRIPTORS_OF_DATAGRAMS:
            self._ensure_fd_no_transport(sock)
        return DatagramTransport(self, sock, protocol, address, waiter, extra, **more)

    def _make_read_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        if self._makes_transports() and takes_pipe(pipe):
            return ReadPipeTransport(self, pipe, protocol, waiter, extra)
        return super()._make_read_pipe_transport(pipe, protocol, waiter, extra)  # type: ignore[misc]

    def _make_write_pipe_transport(self, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None) -> Any:
        if self._makes_transports() and takes_pipe(pipe):
            return WritePipeTransport(self, pipe, protocol, waiter, extra)
        return super()._make_write_pipe_transport(pipe, protocol, waiter, extra)  # type: ignore[misc]

    def _makes_transports(self) -> bool:
        """Whether nothing was replaced that making a transport passes over."""
        return self._runs_natively() and not self._debug and type(self._selector) is NativeSelector

    # Addresses

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        if not (self._runs_natively() and needs_no_thread(self, host, port)):
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        await others_run()
        found: list[Any] = _names.socket.getaddrinfo(host, port, family, type, proto, flags)
        return found

    # Sockets: coroutine functions, which try natively, then await what waits natively. For what is not for native code
    # (`src/net/sock/mod.rs` says what that is) the answer is False, and asyncio's own method does it.

    if sys.platform == "linux":

        async def sock_recv(self, sock: socket, n: int) -> bytes:
            got = self._try_recv(sock, n)
            if type(got) is SocketOperation:
                await got
                return got.result
            return await super().sock_recv(sock, n) if got is False else got

        async def sock_recv_into(self, sock: socket, buf: Any) -> int:
            got = self._try_recv_into(sock, buf)
            if type(got) is SocketOperation:
                await got
                return got.result
            return await super().sock_recv_into(sock, buf) if got is False else got

        async def sock_recvfrom(self, sock: socket, bufsize: int) -> tuple[bytes, Any]:
            got = self._try_recvfrom(sock, bufsize)
            if type(got) is SocketOperation:
                await got
                return got.result
            return await super().sock_recvfrom(sock, bufsize) if got is False else got

        async def sock_recvfrom_into(self, sock: socket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
            got = self._try_recvfrom_into(sock, buf, nbytes)
            if type(got) is SocketOperation:
                await got
                return got.result
            return await super().sock_recvfrom_into(sock, buf, nbytes) if got is False else got

        async def sock_sendall(self, sock: socket, data: Any) -> None:
            got = self._try_sendall(sock, data)
            if got is not None:
                await (super().sock_sendall(sock, data) if got is False else got)

        async def sock_sendto(self, sock: socket, data: Any, address: Any) -> int:
            got = self._try_sendto(sock, data, address)
            if type(got) is SocketOperation:
                await got
                return got.result
            return await super().sock_sendto(sock, data, address) if got is False else got

        async def sock_accept(self, sock: socket) -> tuple[socket, Any]:
            got = self._try_accept(sock)
            if type(got) is SocketOperation:
                await got
                return got.result
            return await super().sock_accept(sock) if got is False else got

        async def sock_connect(self, sock: socket, address: Any) -> None:
            if not self._is_native_socket(sock):
                await super().sock_connect(sock, address)
                return
            family = sock.family
            if family == AF_INET or (_names._HAS_IPv6 and family == AF_INET6):
                resolved = await self._ensure_resolved(
                    address, family=family, type=sock.type, proto=sock.proto, loop=self
                )
                address = resolved[0][4]
            got = self._try_connect(sock, address)
            if got is not None:
                await (super().sock_connect(sock, address) if got is False else got)

    # Running

    def run_forever(self) -> None:
        """Run until `stop()` is called."""
        if not self._runs_natively():
            super().run_forever()
            return
        self._run_forever_setup()
        try:
            self._run_until_stopped()
        finally:
            self._run_forever_cleanup()

    if sys.version_info < (3, 13):
        # By the names that asyncio looks up, whoever may have replaced them.
        def _run_forever_setup(self) -> None:
            self._check_closed()
            self._check_running()
            self._set_coroutine_origin_tracking(self._debug)
            self._old_agen_hooks = _names.sys.get_asyncgen_hooks()
            self._thread_id = _names.threading.get_ident()
            _names.sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook,
                finalizer=self._asyncgen_finalizer_hook,
            )
            _names.events._set_running_loop(self)

        def _run_forever_cleanup(self) -> None:
            self._stopping = False
            self._thread_id = None
            _names.events._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            _names.sys.set_asyncgen_hooks(*self._old_agen_hooks)

    def _run_in_debug_mode(self, handle: Any) -> None:
        """Run a handle, and warn if that took long."""
        self._current_handle = handle
        try:
            start = self.time()
            handle._run()
            seconds = self.time() - start
            if seconds >= self.slow_callback_duration:
                base_events.logger.warning(  # type: ignore[attr-defined]
                    "Executing %s took %.3f seconds",
                    base_events._format_handle(handle),  # type: ignore[attr-defined]
                    seconds,
                )
        finally:
            self._current_handle = None
            handle = None  # a traceback may keep this frame

    def _select(self, timeout: float | None) -> None:
        """Ask a selector of Python's which files are ready; wait for at most `timeout` seconds."""
        self._process_events(self._selector.select(timeout))

    def _process_events_of(self, fd: int, events: int) -> None:
        """Do what asyncio does about events of a file that somebody has registered by `self._selector`."""
        key = self._selector.get_map().get(fd)
        if key is not None:
            self._process_events([(key, events & key.events)])

    def _finish_iteration(self) -> None:
        """Do what asyncio's `_run_once` does after the wait."""
        end_time = self.time() + self._clock_resolution
        if sys.version_info >= (3, 15):
            end_time = max(end_time, math.nextafter(end_time - self._clock_resolution, math.inf))
        while self._scheduled and not self._scheduled[0]._when >= end_time:
            handle = base_events.heapq.heappop(self._scheduled)  # type: ignore[attr-defined]
            handle._scheduled = False
            self._ready.append(handle)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if handle._cancelled:
                continue
            if self._debug:
                self._run_in_debug_mode(handle)
            else:
                handle._run()
        handle = None

    if not TYPE_CHECKING:
        # What a program has put into a loop's namespace hides methods; so whoever asks for it is noted.
        @property
        def __dict__(self) -> dict[str, Any]:
            return self._instance_dict()


# What their coroutines show, in warnings and reprs, is asyncio's.
for _name, _function in list(vars(EventLoop).items()):
    if _name.startswith(("sock_", "getaddrinfo")):
        _original = getattr(asyncio.SelectorEventLoop, _name)
        _function.__qualname__ = _original.__qualname__
        _function.__doc__ = _original.__doc__

_adopt_event_loop_class(EventLoop)
#: What is to be known of classes of loops that derive from ours.
LOOPS = ask_here(EventLoopCore, EventLoop, NativeSelector)
_tls.ask_here()
