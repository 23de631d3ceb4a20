"""Puts rasyncio's extension module in the place of CPython's `_asyncio`, and takes it out again.

If asyncio was not imported yet, `sys.modules["_asyncio"]` is all there is to it: asyncio takes what it finds there.
Otherwise every place that holds an object of the old module (in asyncio's own modules as well as in those that did
`from asyncio import Future`) gets its counterpart in the new one, and the few things that asyncio derives from
Future and Task at import are made again. `_places` says what is reached and what is not; futures and tasks that exist
already stay the old ones. So the earlier install() is called, the better. `_unreached` warns about early subclasses,
and about uvloop, which keeps all it needs in C variables: where the two modules have no state in common
(`shares_state`), install() must be called before it is imported.

The event loop that goes with it needs no swap: `_loop_policy` makes it the default, or a program names it.
"""

from __future__ import annotations

import gc
import importlib
import sys
from _operator import is_
from _thread import RLock
from types import CellType, FunctionType, ModuleType

from . import _loop_policy, _startup
from ._native import can_share_state, ours
from ._places import holds, places

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Set
    from typing import Any, TypeVar

    from ._loop import EventLoop

    _T = TypeVar("_T")
    _Target = tuple[Callable[[Any, Any, Any], None], object, str]
    _Pairs = dict[int, tuple[object, object]]  # id of an old object: that object and its counterpart

_lock = RLock()
# Modules of asyncio that derive classes from Future (the second one on Windows only).
_DERIVING = ("asyncio.tasks", "asyncio.windows_events")
# What asyncio derived from Future and Task, and tuples with these in them, with their counterparts: made once, so that
# a round trip ends where it began.
_twins: list[tuple[object, object]] = []
# CPython's module, once it was met.
_theirs: ModuleType | None = None
# Places that held an object of ours before install(), taken from rasyncio: uninstall() leaves these alone.
_kept: frozenset[tuple[str, ...]] = frozenset()


# Whether the program wants asyncio's functions grafted; only install() can say no.
_wants_grafts = True


def install(loop: bool = True, graft: bool = True) -> None:
    """Put rasyncio's Future and Task in the place of CPython's, and its event loop too, for the whole process.

    With `loop`, asyncio.run(), asyncio.Runner() and asyncio.new_event_loop() make a rasyncio.EventLoop from now on,
    unless the program chooses for itself by a loop factory or an event loop policy; asyncio is imported for that.
    `install(loop=False)` swaps Future and Task alone, and takes the loop out again if an earlier call put it in.

    With `loop` and `graft`, native code runs for functions that asyncio has in Python, such as gather() and
    Event.wait(), where nobody can tell (3.12 on); grafted() says which. `graft=False` or RASYNCIO_GRAFT=0 in the
    environment leaves them all to their Python bodies.

    Before or after `import asyncio`; a second call does nothing. RuntimeError while an event loop runs in any thread,
    if Future and Task are not swapped yet.
    In a sub-interpreter it does nothing: the extension module cannot be loaded there, CPython's stays in place.
    """
    global _wants_grafts
    with _lock:
        if ours is None:
            return
        from . import _graft

        _startup.disarm()
        if not _swapped():
            _refuse_while_a_loop_runs("install")
            _swap_in()
        _loop_policy.make_default(ours=loop)
        if not loop:
            _startup.expect_other_loops()
        _wants_grafts = graft
        if loop:
            _graft.attach(graft)
        else:
            _graft.detach()


def uninstall() -> None:
    """Put CPython's own Future and Task back, and asyncio's event loop; without an install() it does nothing.

    RuntimeError while an event loop runs in any thread.
    """
    global _wants_grafts
    with _lock:
        if ours is None:
            return
        from . import _graft

        _startup.disarm()
        if _swapped():
            _refuse_while_a_loop_runs("uninstall")
        _graft.detach()
        _wants_grafts = True
        if _swapped():
            _swap_out()
        _loop_policy.make_default(ours=False)
        _startup.expect_other_loops()


def installed() -> bool:
    """Whether asyncio uses, or will use when it is imported, rasyncio's Future and Task."""
    return _swapped() or (ours is not None and _startup.waits_for_asyncio())


def _swapped() -> bool:
    return ours is not None and sys.modules.get("_asyncio") is ours


def new_event_loop(case: object = None, /) -> EventLoop:
    """A new rasyncio.EventLoop, for whatever takes a loop factory: `asyncio.Runner(loop_factory=new_event_loop)`.

    As the attribute `loop_factory` of an IsolatedAsyncioTestCase it is a method, and gets the test case; nothing else
    may be given.

    Swaps Future and Task in, as `install(loop=False)` does, if that can be done without harm. While an event loop runs
    it leaves them: the loop drives CPython's tasks as well, only less fast.
    In a sub-interpreter this is asyncio.new_event_loop().
    """
    if case is not None and not any(cls.__module__ == "unittest.async_case" for cls in type(case).__mro__):
        raise TypeError(
            f"new_event_loop() takes no argument, and was given a {type(case).__qualname__}; a selector is for"
            " rasyncio.EventLoop()"
        )
    if ours is None:
        import asyncio

        return asyncio.new_event_loop()  # type: ignore[return-value]
    with _lock:
        if not _swapped() and _running_loop() is None:
            if "uvloop.loop" in sys.modules and not can_share_state():
                from ._unreached import warn_that_uvloop_was_first

                warn_that_uvloop_was_first()
            else:
                _swap_in()
    import asyncio  # before _loop, which it may import itself

    from ._loop import EventLoop

    _graft_for_our_loop()
    return EventLoop()


def run(
    main: Coroutine[Any, Any, _T],
    *,
    loop_factory: Callable[[], AbstractEventLoop] | None = new_event_loop,
    debug: bool | None = None,
) -> _T:
    """Run `main` as `asyncio.run` does, on rasyncio's Future, Task and event loop.

    Future and Task stay swapped afterwards. `loop_factory` makes another loop; None is what asyncio.run() would make.
    RuntimeError while an event loop runs in another thread, if Future and Task are not swapped yet.
    """
    events = sys.modules.get("asyncio.events")
    # With a loop running in this thread it is asyncio.run's own error that the caller should see.
    nested = events is not None and events._get_running_loop() is not None
    with _lock:
        if ours is not None and not _swapped() and not nested:
            _refuse_while_a_loop_runs("run")
            _swap_in()
    import asyncio

    if nested or loop_factory is None:
        return asyncio.run(main, debug=debug)
    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:  # asyncio.run has no loop_factory in 3.11
        return runner.run(main)


def _graft_for_our_loop() -> None:
    """A program that has not called install() gets grafts with the first loop of ours."""
    from . import _graft

    with _lock:
        if _swapped() and not _graft.attached:
            _graft.attach(_wants_grafts)


def _swap_in() -> None:
    global _kept, _theirs
    assert ours is not None
    own = {id(ours), *(id(value) for name, value in vars(ours).items() if not name.startswith("__"))}
    if "asyncio" in sys.modules:
        from asyncio import futures

        theirs: ModuleType | None = getattr(futures, "_asyncio", None)
        if theirs is None:
            raise RuntimeError("rasyncio.install(): asyncio was imported without its C module _asyncio")
        kept = _exchange(theirs, ours, own)
        _theirs = theirs
    else:
        kept = frozenset(place for place, _, _ in places(own, ours))
        sys.modules["_asyncio"] = ours
    _kept = kept


def _swap_out() -> None:
    global _kept, _theirs
    assert ours is not None
    if "asyncio" in sys.modules:
        theirs = _theirs or _load_theirs()
        _exchange(ours, theirs)
        _theirs = theirs
    else:
        # CPython's own is not loaded now: up to 3.13 it must not be imported before asyncio is.
        del sys.modules["_asyncio"]
    _kept = frozenset()


def _refuse_while_a_loop_runs(action: str) -> None:
    running = _running_loop()
    if running is None:
        return
    if action == "uninstall":
        remedy = "call it before the loop starts or after it has stopped"
    elif "ipykernel.kernelapp" in sys.modules:
        remedy = (
            "a notebook's kernel always runs one. Type `python -m rasyncio --kernelspec` in a shell, once, and choose"
            " the kernel that it writes; or start Jupyter with RASYNCIO=1"
        )
    elif action == "run":
        remedy = (
            "call rasyncio.install() before that loop starts, or start the process with RASYNCIO=1; without that,"
            " asyncio.Runner(loop_factory=rasyncio.new_event_loop) runs CPython's tasks on rasyncio's event loop"
        )
    else:
        remedy = "call it before the loop starts, or start the process with RASYNCIO=1 or `python -m rasyncio`"
    kind = type(running).__qualname__
    raise RuntimeError(f"rasyncio.{action}() cannot be called while an event loop is running (a {kind}): {remedy}")


def _running_loop() -> AbstractEventLoop | None:
    """A loop that runs, in whatever thread."""
    if "asyncio" not in sys.modules:
        return None
    from asyncio import events  # waits if another thread is importing it just now

    running = events._get_running_loop()
    if running is not None:
        return running
    kinds: list[type] = [events.AbstractEventLoop]
    for kind in kinds:  # grows as it goes
        kinds += type.__subclasses__(kind)
    loop_types = frozenset(kinds)
    return next(filter(_is_running, [thing for thing in gc.get_objects() if type(thing) in loop_types]), None)


def _is_running(loop: AbstractEventLoop) -> bool:
    try:
        # A forked child has copies of loops whose threads it has not.
        return loop.is_running() is True and getattr(loop, "_thread_id", None) in (None, *sys._current_frames())
    except Exception:  # somebody else's loop, or one half made: not running as far as anyone can tell
        return False


def _load_theirs() -> ModuleType:
    """CPython's module, which asyncio was imported without; sys.modules stays as it is."""
    installed_module = sys.modules.pop("_asyncio")
    try:
        return importlib.import_module("_asyncio")
    finally:
        sys.modules["_asyncio"] = installed_module


def _exchange(old: ModuleType, new: ModuleType, own: Set[int] = frozenset()) -> frozenset[tuple[str, ...]]:
    """Put the counterpart in `new` wherever an object of `old` is found; on an error, change nothing.

    Returns the places where an object was whose id is one of `own`.
    """
    from ._link import link
    from ._unreached import early_subclasses, warn_about, warn_about_uvloop

    assert ours is not None
    exchanged = link(old if new is ours else new)
    pairs = _counterparts(old, new)
    pairs.update((id(before), (before, common)) for before, common in exchanged)
    strangers = early_subclasses(old.Future, pairs)
    changes: list[tuple[_Target, object, object]] = []
    kept = set()
    for place, value, target in places(pairs.keys() | own, old, new):
        if holds(own, value):
            kept.add(place)
        # A tuple may have had one of each.
        if holds(pairs.keys(), value) and (place not in _kept or _known_twin(value) is not None):
            changes.append((target, value, _counterpart(value, pairs)))
    changes.append(((dict.__setitem__, sys.modules, "_asyncio"), sys.modules["_asyncio"], new))
    try:
        for (put, where, name), _, after in changes:
            put(where, name, after)
        warn_about(strangers, old.Task, "install" if new is ours else "uninstall")
        warn_about_uvloop()
    except BaseException:
        for (put, where, name), before, _ in changes:
            put(where, name, before)
        raise
    return frozenset(kept)


def _counterpart(thing: Any, pairs: _Pairs) -> object:
    """Of an object that has one, or of a tuple with such objects in it."""
    if id(thing) in pairs:
        return pairs[id(thing)][1]
    return _known_twin(thing) or _new_twin(thing, tuple(pairs.get(id(item), (item, item))[1] for item in thing))


def _counterparts(old: ModuleType, new: ModuleType) -> _Pairs:
    interface = vars(old if new is ours else new)  # CPython's module says which names there are
    names = [name for name in interface if not name.startswith("__")]
    missing = [name for name in names if not (hasattr(old, name) and hasattr(new, name))]
    if missing:
        raise RuntimeError(f"rasyncio does not know this Python's _asyncio: {', '.join(missing)} missing")
    pairs: _Pairs = {id(old): (old, new)}
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        pairs[id(before)] = before, after

    for deriving in filter(None, map(sys.modules.get, _DERIVING)):
        for thing in list(vars(deriving).values()):  # in the order of definition: bases come first
            if isinstance(thing, type) and thing.__module__ == deriving.__name__ and old.Future in thing.__mro__:
                pairs[id(thing)] = thing, _known_twin(thing) or _new_twin(thing, _rebuilt(thing, pairs))

    tasks = sys.modules["asyncio.tasks"]
    factory = getattr(tasks, "eager_task_factory", None)  # 3.12+
    if any(cell.cell_contents is old.Task for cell in getattr(factory, "__closure__", None) or ()):
        pairs[id(factory)] = (
            factory,
            _known_twin(factory) or _new_twin(factory, tasks.create_eager_task_factory(new.Task)),
        )
    return pairs


def _known_twin(thing: object) -> object:
    return next((other for pair in _twins for one, other in (pair, pair[::-1]) if one is thing), None)


def _new_twin(thing: object, twin: object) -> object:
    _twins.append((thing, twin))
    return twin


def _rebuilt(cls: type, pairs: _Pairs) -> type:
    """A copy of `cls` on the counterparts of its bases (`__bases__` cannot be assigned, the layouts differ)."""
    cell = CellType()
    namespace = {name: _with_class_cell(value, cell) for name, value in vars(cls).items()}
    for name in ("__dict__", "__weakref__"):  # these belong to the old class
        namespace.pop(name, None)
    namespace.update(__qualname__=cls.__qualname__, __classcell__=cell)  # type() puts the new class into the cell
    bases: tuple[Any, ...] = tuple(pairs.get(id(base), (base, base))[1] for base in cls.__bases__)
    rebuilt: type = type(cls)(cls.__name__, bases, namespace)
    return rebuilt


def _with_class_cell(value: object, cell: CellType, seen: tuple[object, ...] = ()) -> Any:
    """`value`, or a copy whose `super()` starts from the class in `cell` if it is a function that uses that.

    Or one that leads to such a function: a wrapper has the wrapped in its closure, or, where a tool has rewritten the
    code of the function itself, among the constants of that.
    """
    if not isinstance(value, FunctionType) or any(value is one for one in seen):
        return value

    def copied(inner: object) -> Any:
        return _with_class_cell(inner, cell, (*seen, value))

    code = value.__code__
    closure = list(value.__closure__ or ())
    for index, name in enumerate(code.co_freevars):
        try:
            inner = closure[index].cell_contents
        except ValueError:  # not set yet
            continue
        if name == "__class__":
            closure[index] = cell
        elif copied(inner) is not inner:
            closure[index] = CellType(copied(inner))
    constants = tuple(map(copied, code.co_consts))
    if all(map(is_, closure, value.__closure__ or ())) and all(map(is_, constants, code.co_consts)):
        return value
    code = code.replace(co_consts=constants)
    copy = FunctionType(code, value.__globals__, value.__name__, value.__defaults__, tuple(closure))
    copy.__kwdefaults__ = value.__kwdefaults__
    copy.__dict__.update(value.__dict__)
    return copy
