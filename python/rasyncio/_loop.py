"""`EventLoop`: asyncio's selector event loop on a scheduling core in Rust.

The native base class has what schedules, waits and runs: `call_soon`, `call_later`, `call_at`,
`call_soon_threadsafe`, `create_future`, `create_task`, readers and writers, one iteration, and the attributes that
belong to these. All the rest (transports, `sock_*`, TLS, subprocesses, signals, executors) is asyncio's own.

Importing this module imports asyncio.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from asyncio import base_events, events
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ._asyncio import EventLoopCore, _adopt_event_loop_class

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike


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
    "_transports",
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

        def _check_closed(self) -> None: ...
        def _check_running(self) -> None: ...
        def _set_coroutine_origin_tracking(self, enabled: bool) -> None: ...
        def _asyncgen_firstiter_hook(self, agen: Any) -> None: ...
        def _asyncgen_finalizer_hook(self, agen: Any) -> None: ...
        def _process_events(self, event_list: Any) -> None: ...

        if sys.version_info >= (3, 13):

            def _run_forever_setup(self) -> None: ...
            def _run_forever_cleanup(self) -> None: ...

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        if selector is None:
            selector = self._native_selector()
        super().__init__(selector)
        self._own_wake_up()

    def _native_selector(self) -> selectors.BaseSelector | None:
        try:
            self._open_poller()
        except OSError:  # not on this platform; asyncio chooses one
            return None
        except Exception:
            self._closed = True  # there is nothing to close
            raise
        return _NativeSelector(self)

    # Files

    def _own_wake_up(self) -> None:
        """Let a busy loop not look for what comes by its own socket: call_soon_threadsafe() fills the queue itself."""
        if self._ssock is not None:
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

    # Running

    def run_forever(self) -> None:
        """Run until `stop()` is called."""
        self._run_forever_setup()
        try:
            self._run_until_stopped()
        finally:
            self._run_forever_cleanup()

    if sys.version_info < (3, 13):

        def _run_forever_setup(self) -> None:
            self._check_closed()
            self._check_running()
            self._set_coroutine_origin_tracking(self._debug)
            self._old_agen_hooks = sys.get_asyncgen_hooks()
            self._thread_id = threading.get_ident()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook,
                finalizer=self._asyncgen_finalizer_hook,
            )
            events._set_running_loop(self)

        def _run_forever_cleanup(self) -> None:
            self._stopping = False
            self._thread_id = None
            events._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*self._old_agen_hooks)

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

    # What is queued and scheduled

    @property
    def _ready(self) -> _Ready:
        return _Ready(self)

    @_ready.setter
    def _ready(self, handles: Any) -> None:
        self._ready_clear()
        self._ready.extend(handles)

    @property
    def _scheduled(self) -> _Scheduled:
        return _Scheduled(self)

    @_scheduled.setter
    def _scheduled(self, handles: Any) -> None:
        if handles:
            raise AttributeError("a rasyncio.EventLoop's timers are set by call_later() and call_at() only")
        self._scheduled_clear()


class _Handles(Sequence[Any]):
    """The handles that a loop has in a place, as they are at the time of looking."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop

    def _handles(self) -> list[Any]:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._handles()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._handles())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._handles()!r}>"


class _Ready(_Handles):
    """`loop._ready`: what runs next."""

    def __len__(self) -> int:
        return self._loop._ready_count()

    def _handles(self) -> list[Any]:
        return self._loop._ready_handles()

    def append(self, handle: Any) -> None:
        self._loop._ready_append(handle)

    def extend(self, handles: Iterable[Any]) -> None:
        for handle in handles:
            self.append(handle)

    def popleft(self) -> Any:
        return self._loop._ready_pop()

    def clear(self) -> None:
        self._loop._ready_clear()


class _Scheduled(_Handles):
    """`loop._scheduled`: the timers, in the order of their heap."""

    def __len__(self) -> int:
        return self._loop._scheduled_count()

    def _handles(self) -> list[Any]:
        return self._loop._scheduled_handles()

    def clear(self) -> None:
        self._loop._scheduled_clear()


class _Files(Mapping["FileDescriptorLike", selectors.SelectorKey]):
    """The files that a loop waits for, by descriptor or by anything that has one."""

    def __init__(self, loop: EventLoop) -> None:
        self._keys = {
            fd: selectors.SelectorKey(
                fd if fileobj is None else fileobj,
                fd,
                (selectors.EVENT_READ if reader else 0) | (selectors.EVENT_WRITE if writer else 0),
                (reader, writer),
            )
            for fd, fileobj, reader, writer in loop._registered_files()
        }

    def __getitem__(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._keys[fileobj if isinstance(fileobj, int) else fileobj.fileno()]

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class _NativeSelector(selectors.BaseSelector):
    """`loop._selector` of a loop that waits natively: shows its files, and changes them as the loop does."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop

    def get_map(self) -> _Files:
        return _Files(self._loop)

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's add_reader() and add_writer()")

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's remove_reader() and remove_writer()")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        raise NotImplementedError("the loop waits natively")

    def close(self) -> None:
        self._loop._close_poller()


_adopt_event_loop_class(EventLoop)
