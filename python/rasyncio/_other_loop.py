"""Says that a process which was started to run on our event loop runs another one, who chose that, and what to type.

`listen()` is for `RASYNCIO` in the environment and for `python -m rasyncio`: there nobody named a loop, and a program
that does it after all (uvicorn, which takes uvloop if it finds it) passes ours over in silence. The first such loop of
a process is named in a RuntimeWarning. A program that asked for nothing must not fail for it: where a filter makes an
error of the warning, it is a line on stderr.

A loop that a library has made for itself, beside ours, is none that the program runs *instead*: Temporal's workflows
run on one each. Nothing is said of it.

`status()` says the same about the loop that runs.
"""

from __future__ import annotations

import os
import sys

from ._native import ours

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from ._loop import EventLoop

_FACTORY = "give it loop_factory=rasyncio.new_event_loop"
#: Programs that choose a loop by themselves: whose code is on the stack then, their name, their own way to name a loop,
#: and whether they look for uvloop first, so that its name is a way whichever loop they found.
_CHOOSERS: tuple[tuple[set[str], str, str | None, bool], ...] = (
    ({"gunicorn", "uvicorn"}, "gunicorn", "use -k rasyncio.gunicorn.UvicornWorker", True),
    ({"gunicorn", "uvicorn_worker"}, "gunicorn", "use -k rasyncio.gunicorn.UvicornWorker", True),
    ({"fastapi_cli", "uvicorn"}, "fastapi", None, True),
    ({"uvicorn"}, "uvicorn", "add --loop rasyncio:new_event_loop", True),
    ({"granian"}, "granian", "add --loop asyncio", False),
)

#: The base of asyncio's loops, and the loops of ours that there are.
_of_asyncio: tuple[type, ...] = ()
_loops: Mapping[int, EventLoop] = {}

# Who chose loops of the class, what is typed there, and whether uvloop's name would do.
_choices: dict[type, tuple[str, str | None, bool]] = {}


def listen() -> None:
    """Warn of the first loop that runs in this process and is not ours.

    Where that is, a library may have replaced `import`: what is needed then is imported now.
    """
    global _of_asyncio, _loops
    if ours is not None:
        from asyncio import BaseEventLoop

        from ._loop import loops

        _of_asyncio, _loops = (BaseEventLoop,), loops
        ours._tell_of_loops(_warn, False)


def listen_no_more() -> None:
    """The program has chosen for itself."""
    if ours is not None:
        ours._tell_of_loops(None, False)


def remedy(kind: type) -> str:
    """Who chose loops of this class, which is not ours, and what to do about it."""
    who, way, looks_for_uvloop = _choices.get(kind, ("the program", _FACTORY, False))
    package = kind.__module__.partition(".")[0]
    name = f"{kind.__module__}.{kind.__qualname__}"
    ways = [way] if way else []
    if package == "uvloop" or looks_for_uvloop:
        ways.append("start it with --as-uvloop (RASYNCIO=uvloop)")
    chosen = {"uvloop": "uvloop", "asyncio": "asyncio's own loop"}.get(package, name)
    what_to_do = ", or ".join(ways)
    return f"{who} chose {chosen}, so that {name} runs, and not rasyncio's event loop; {what_to_do}"


def note(kind: type) -> None:
    """Find out who chose loops of this class, one of which begins to run just now."""
    packages = [_package_of(frame) for frame in _frames_outside(kind)]
    who = packages[0] if packages else "the program"
    _choices[kind] = next(
        ((name, way, by_uvloop) for there, name, way, by_uvloop in _CHOOSERS if there.issubset(packages)),
        (who, _FACTORY, False),
    )


def _warn(loop: object) -> None:
    kind = type(loop)
    if _is_a_librarys(kind):
        return
    listen_no_more()
    note(kind)
    text = f"rasyncio: {remedy(kind)}"
    frame = next(_frames_outside(kind), sys._getframe())
    import warnings

    try:
        warnings.warn_explicit(text, RuntimeWarning, frame.f_code.co_filename, frame.f_lineno)
    except RuntimeWarning:
        print(text, file=sys.stderr)


def _is_a_librarys(kind: type) -> bool:
    """Whether one of ours runs, and this is neither asyncio's nor uvloop's nor made of asyncio's."""
    for_programs = kind.__module__.startswith("uvloop") or issubclass(kind, _of_asyncio)
    return not for_programs and any(loop.is_running() for loop in list(_loops.values()))


def _frames_outside(kind: type) -> Iterator[FrameType]:
    """The frames, from here outwards, of neither asyncio's code nor ours nor the loop's."""
    inside = {"asyncio", "rasyncio", kind.__module__.partition(".")[0]} - {"__main__"}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _module_of(frame).partition(".")[0] not in inside:
            yield frame
        frame = frame.f_back


def _module_of(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else "?"


def _package_of(frame: FrameType) -> str:
    """What people know the code by: the package, or the script's name."""
    package = _module_of(frame).partition(".")[0]
    return os.path.basename(frame.f_code.co_filename) if package == "__main__" else package
