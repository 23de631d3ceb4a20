"""Grafting: puts native code behind functions that asyncio has in Python, and takes it out again.

The functions stay the objects that they are. What may be grafted is a table of the extension module's; whether a
function is, at each call, is decided there, with what `_graft_look` finds when it is called first.

From Python 3.12 on; 3.11's interpreter does not ask.

What native code asks later, it asks wherever a program's code runs, which may be where `import` and `sys.modules` are
replaced by others (Temporal's sandbox of workflows). So all of that is imported when it is attached.
"""

from __future__ import annotations

import os
import sys
from types import FunctionType

from . import _asyncio
from ._variables import complain

#: The interpreter's table of modules.
modules = sys.modules
#: Set to 0, all functions keep to their own bodies.
VARIABLE = "RASYNCIO_GRAFT"

#: Why nothing is grafted; empty if something is.
why_not = "install() was not called"
#: Whether it was decided what is grafted.
attached = False
#: Why a single function could not be attached.
failures: dict[str, str] = {}


def attach(wanted: bool) -> None:
    """Graft what can be, unless the program or the environment does not want it. Imports asyncio."""
    global why_not, attached
    detach()
    attached = True
    why_not = _reason(wanted)
    if why_not or sys.version_info < (3, 12):
        return
    import asyncio  # noqa: F401

    from ._graft_look import look, places

    _asyncio._graft_ask(look, places)
    for place, (module, path) in enumerate(_asyncio._grafts()):
        name = f"{module}.{path}"
        function = find(module, path)
        if function is None or not _asyncio._graft_attach(place, function):
            failures[name] = "it is not the Python function that it was, or has other native code in it"


def detach() -> None:
    """Have all functions run their own bodies."""
    global why_not, attached
    attached = False
    why_not = "install() was not called, or was undone"
    failures.clear()
    if sys.version_info >= (3, 12):
        _asyncio._graft_detach()


def _reason(wanted: bool) -> str:
    value = "" if sys.flags.ignore_environment else os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        complain(VARIABLE, "0 or 1", value)
    if sys.version_info < (3, 12):
        return "Python 3.11 calls its functions without asking: 3.12 is the first that can be grafted"
    if not wanted:
        return "install(graft=False) was called"
    if value == "0":
        return f"{VARIABLE} is 0 in the environment"
    all_events = getattr(sys.monitoring, "_all_events", None)
    get_tool, restart_events = sys.monitoring.get_tool, sys.monitoring.restart_events
    depth, set_depth = sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth
    if all_events is None or not _asyncio._graft_tools(all_events, get_tool, restart_events, depth, set_depth):
        return "this interpreter does not tell whether anybody traces"
    return ""


def find(module: str, path: str) -> FunctionType | None:
    """The function as it is now, or None."""
    found: object = modules.get(module)
    for name in path.split("."):
        try:
            found = vars(found).get(name)
        except TypeError:
            return None
    return found if type(found) is FunctionType else None
