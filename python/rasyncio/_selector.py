"""`loop._selector` of a loop that waits natively.

It is one of Python's own epoll selectors, whose code runs on the loop's files and on its poller: what a program
registers by it is watched by the loop, what the loop watches is seen by it, and `select()` waits as the loop does. The
loop itself does without it, unless something of it was replaced.
"""

from __future__ import annotations

import select
import selectors
from collections.abc import Iterator, MutableMapping

from ._replaced import SELECTOR

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any

    from ._loop import EventLoop

    _Base = selectors.EpollSelector
else:
    # Where there is none, no loop waits natively.
    _Base = SELECTOR.usual or selectors.BaseSelector


class _Keys(MutableMapping[int, selectors.SelectorKey]):
    """What a selector knows of its files: the loop's table of them."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        #: Keys of files that the poller does not watch yet.
        self.new: dict[int, selectors.SelectorKey] = {}

    def __getitem__(self, fd: int) -> selectors.SelectorKey:
        known = self._loop._poller_get(fd)
        if known is None:
            return self.new[fd]
        fileobj, events, data = known
        return selectors.SelectorKey(fd if fileobj is None else fileobj, fd, events, data)

    def __setitem__(self, fd: int, key: selectors.SelectorKey) -> None:
        if self._loop._poller_get(fd) is None:
            self.new[fd] = key
        else:
            self._loop._poller_note(fd, key.fileobj, key.events, key.data)

    def __delitem__(self, fd: int) -> None:
        if not self._loop._poller_forget(fd):
            del self.new[fd]

    def __iter__(self) -> Iterator[int]:
        return iter([*self._loop._poller_files(), *self.new])

    def __len__(self) -> int:
        return len(self._loop._poller_files()) + len(self.new)


class _Poller:
    """The loop's poller, in the manner of a `select.epoll`."""

    def __init__(self, loop: EventLoop, keys: _Keys) -> None:
        self._loop = loop
        self._keys = keys

    def register(self, fd: int, _events: int) -> None:
        key = self._keys.new[fd]
        self._loop._poller_add(fd, key.fileobj, key.events, key.data)
        self._keys.new.pop(fd, None)

    def modify(self, fd: int, events: int) -> None:
        readable = selectors.EVENT_READ if events & select.EPOLLIN else 0
        writable = selectors.EVENT_WRITE if events & select.EPOLLOUT else 0
        self._loop._poller_modify(fd, readable | writable)

    def unregister(self, fd: int) -> None:
        self._loop._poller_remove(fd)

    def poll(self, timeout: float | None = None, _maxevents: int = -1) -> list[tuple[int, int]]:
        return [
            (
                fd,
                (select.EPOLLIN if events & selectors.EVENT_READ else 0)
                | (select.EPOLLOUT if events & selectors.EVENT_WRITE else 0),
            )
            for fd, events in self._loop._poller_wait(-1 if timeout is None else timeout)
        ]

    def fileno(self) -> int:
        return self._loop._poller_fileno()

    def close(self) -> None:
        self._loop._close_poller()


class NativeSelector(_Base):
    """The files of a loop that waits natively."""

    #: None until it is made.
    _loop: EventLoop | None = None

    def __init__(self, loop: EventLoop) -> None:
        keys = _Keys(loop)
        poller = _Poller(loop, keys)
        # Its dict is not looked at before the end: where memory runs out with it, 3.14 and 3.15 lose the exception.
        put = super().__setattr__
        put("_fd_to_key", keys)
        put("_selector_cls", lambda: poller)
        super().__init__()
        super().__delattr__("_selector_cls")
        put("_loop", loop)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "_fd_to_key":
            super().__setattr__(name, value)
            self._look()
        elif self._loop is not None:
            raise AttributeError("the files of a loop that waits natively are in its own table")

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._look()

    def _look(self) -> None:
        """Tell the loop whether anything of this selector was replaced."""
        if self._loop is None:
            return
        own = vars(self)
        replaced = not SELECTOR.names.isdisjoint(own) or type(own.get("_selector")) not in (_Poller, type(None))
        self._loop._selector_changed(replaced)
