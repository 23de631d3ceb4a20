"""What viewers have turned on in this process, for as long as one of them looks: one watch and one profile for all.

What the program itself has turned on is left alone, and what it turns on takes the place of ours.
"""

from __future__ import annotations

import os
import threading

from .._loop import profiles
from .._profile import Profile
from .._watch import Watch, watch, watched
from ._wishes import Wishes

# One who looks may come while another one's wishes are settled, in the same thread.
_lock = threading.RLock()
_held: list[Wishes] = []
_watch: Watch | None = None
_profile: Profile | None = None


def lend(wishes: Wishes) -> None:
    """Turn on what is wished for. RuntimeError where it cannot be."""
    with _lock:
        _held.append(wishes)
        try:
            _settle()
        except BaseException:
            _held.remove(wishes)
            raise


def give_back(wishes: Wishes) -> None:
    """Turn off what nobody else wishes for."""
    with _lock:
        _held.remove(wishes)
        _settle()


def _settle() -> None:
    _settle_watch()
    _settle_profile()


def _settle_watch() -> None:
    global _watch
    threshold = min((each.threshold for each in _held if each.threshold is not None), default=None)
    if _watch is not None and not _watch.is_on:
        _watch = None
    if _watch is None and watched() is not None:
        return  # the program's
    if threshold is None:
        if _watch is not None:
            _watch.stop()
            _watch = None
    elif _watch is None or _watch.threshold != threshold:
        _watch = watch(threshold)


def _settle_profile() -> None:
    global _profile
    if any(each.profile for each in _held):
        if _profile is None:
            _profile = Profile(gives_way=True)
        if not profiles:
            _profile.start()
    elif _profile is not None:
        _profile.stop()
        _profile = None


def _in_child() -> None:
    """After a fork: whoever looks, looks at the parent."""
    global _lock
    _lock = threading.RLock()
    _held.clear()
    _settle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
