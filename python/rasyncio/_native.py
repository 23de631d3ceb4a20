"""Loads the extension module, or says why it cannot be loaded here, which other Pythons have to understand."""

from __future__ import annotations

import _thread
import importlib
import sys
from types import ModuleType

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any

    # Native code imports it by name. Tools that look for the modules of a program (PyInstaller, Nuitka) see it here.
    from . import _scheduled_tasks as _scheduled_tasks


def check_build() -> None:
    """Raise ImportError on a Python that the extension module is not made for."""
    if sys.implementation.name != "cpython":
        raise ImportError(
            f"rasyncio needs CPython, this is {sys.implementation.name}; asyncio itself works here without it",
            name=__package__,
        )
    # Whether the GIL happens to be on does not matter: the types' layout differs in this build.
    if "free-threading build" in sys.version:
        python = "python{}.{}".format(*sys.version_info)
        raise ImportError(
            "rasyncio does not support the free-threaded build of CPython yet: run the program on the build with the"
            f" GIL ({python}, not {python}t), or leave rasyncio out and keep CPython's own asyncio",
            name=__package__,
        )


def in_main_interpreter() -> bool:
    """Whether this is not a sub-interpreter."""
    is_main = getattr(_thread, "_is_main_interpreter", None)
    if is_main is not None:
        return bool(is_main())
    try:  # 3.11
        interpreters = importlib.import_module("_xxsubinterpreters")
    except ImportError:  # built without them, so there are none
        return True
    return bool(interpreters.get_current() == interpreters.get_main())


def load() -> ModuleType | None:
    """The extension module, or None in a sub-interpreter.

    It refuses to load in a second interpreter, and belongs to whichever asks first: so a sub-interpreter never asks.
    """
    check_build()
    if not in_main_interpreter():
        return None
    try:
        from . import _asyncio
    except ImportError as error:
        if "another interpreter" in str(error):  # this one was made after that one was finalized
            raise
        raise ImportError(
            f"rasyncio's extension module cannot be loaded by this {_python()} ({error}); {_remedy()}",
            name=f"{__package__}._asyncio",
        ) from error
    return _asyncio


def _python() -> str:
    return "Python {}.{}".format(*sys.version_info)


def _remedy() -> str:
    """What to type where the extension module is missing, or is that of another Python."""
    loader: Any = globals().get("__loader__")
    if type(loader).__name__ == "zipimporter":
        return (
            f"Python loads none from a zip file, and {loader.archive} is one: pack the program by shiv, which unpacks"
            " it where it runs, or leave rasyncio out of the file and install it for the Python that runs it"
        )
    if hasattr(sys, "frozen"):
        return "the program was frozen without it: freeze it again, with --hidden-import rasyncio._asyncio"
    return f"install the wheel made for it: {sys.executable} -m pip install --force-reinstall rasyncio"


ours = load()


def shares_state() -> bool:
    """Whether running loop, current task and list of tasks are where CPython's own module has them, too.

    Then its tasks and ours are of one world, whoever made them. `__rasyncio_own_state__` says why not, if not. Up to
    3.13 it is so once the swap has met CPython's module (`_link`); from 3.14 on always, or never.
    """
    return ours is not None and ours.__rasyncio_own_state__ is None


def can_share_state() -> bool:
    """Whether it is so, or will be when both modules are there."""
    return shares_state() or sys.version_info < (3, 14)
