"""What the environment variable `RASYNCIO` makes of a Python process, before its program begins.

`rasyncio.pth` lies beside the package, and Python's `site` runs its one line at start-up. Without the variable that is
all that happens. With it, an import hook waits for what it is about:

* `asyncio`: Future and Task are put in the place of CPython's just before it is imported, the event loop just after.
  A process that never imports asyncio does not import it for us either.
* `uvloop`, with `RASYNCIO=uvloop`: a module of rasyncio's takes that name (`_as_uvloop`).

`install()` and `uninstall()` of the program have the last word: they take the hook for asyncio away.

The line asks only whether the variable is there: most of its cost is that it is read and compiled. Up to 3.17 Python
runs such lines as it always did; from 3.18 on it passes them over, and a `.start` file (PEP 829) beside the `.pth` file
has to do it. That is not there earlier, for Python would run it in the line's place, and it costs each process 150
times as much: it names a function, and `site` imports `pkgutil` to find one (35 million instructions on 3.15).
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from types import ModuleType

VARIABLE = "RASYNCIO"
#: What the variable may say, and what it means.
MEANINGS = {
    "0": "nothing",
    "1": "Future, Task and event loop",
    "tasks": "Future and Task alone",
    "uvloop": "Future, Task and event loop, and `import uvloop` is an alias of rasyncio",
}

# In a virtual environment, up to 3.14, site goes through the .pth files twice.
_started = False


def start() -> None:
    """Do what the variable says; whatever is wrong with it costs a line on stderr, and the process runs as it would."""
    global _started
    value = os.environ.get(VARIABLE, "0")
    # The flag is -E, or -I; a frozen program (PyInstaller) has it too, without anybody's asking for it.
    if _started or value in ("", "0") or (sys.flags.ignore_environment and not hasattr(sys, "frozen")):
        return
    _started = True
    if value not in MEANINGS:
        known = ", ".join(repr(one) for one in MEANINGS)
        print(f"rasyncio: {VARIABLE}={value!r} is none of {known}; this process runs without", file=sys.stderr)
        return
    if _is_checked():
        from . import _reports

        _reports.tell_of_process()
    arm(loop=value != "tasks", as_uvloop=value == "uvloop")


def arm(*, loop: bool, as_uvloop: bool) -> None:
    """Arrange for the swap when asyncio is imported, and for the alias when uvloop is."""
    disarm()
    sys.meta_path.insert(0, _Hook(loop=loop, as_uvloop=as_uvloop))


def disarm() -> None:
    """Let asyncio be imported as it is; the alias of uvloop stays."""
    for hook in _hooks():
        hook.waits_for_asyncio = False


def listen(*, loop: bool) -> None:
    """Look at the loops that run from now on: ours are the default, or (not `loop`) Future and Task alone are ours."""
    if _is_checked():
        from . import _check

        _check.listen()
    elif loop:
        from . import _other_loop

        _other_loop.listen()


def options_that_hide() -> str:
    """The options that Python was started with for which it passes the variable over: "-E", "-I", "-S", or none."""
    flags = sys.flags
    return ", ".join(
        option
        for option, is_set in {
            "-I": flags.isolated,
            "-E": flags.ignore_environment and not flags.isolated and not hasattr(sys, "frozen"),
            "-S": flags.no_site,
        }.items()
        if is_set
    )


def _is_checked() -> bool:
    """Whether this process belongs to a program that `python -m rasyncio --check` looks at (`_reports`)."""
    return "RASYNCIO_CHECK" in os.environ


def expect_other_loops() -> None:
    """The program wants no loop of ours: others are none to warn of."""
    other_loop = sys.modules.get(f"{__package__}._other_loop")
    if other_loop is not None:
        other_loop.listen_no_more()


def waits_for_asyncio() -> bool:
    """Whether Future and Task will be swapped when asyncio is imported."""
    return any(hook.waits_for_asyncio for hook in _hooks())


def _hooks() -> list[_Hook]:
    return [finder for finder in sys.meta_path if isinstance(finder, _Hook)]


def pass_on(value: str | None) -> None:
    """Set the variable for the processes that this one starts, or (None) take it away."""
    if value is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = value


class _Hook:
    """A finder for the two modules, each once."""

    def __init__(self, *, loop: bool, as_uvloop: bool) -> None:
        self.waits_for_asyncio = "asyncio" not in sys.modules
        self.waits_for_uvloop = as_uvloop
        self._loop = loop
        if not self.waits_for_asyncio:
            _swap(loop)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "asyncio" and self.waits_for_asyncio:
            self.waits_for_asyncio = False
            return self._spec_of_asyncio(name, path, target)
        if name == "uvloop" and self.waits_for_uvloop:
            from ._as_uvloop import AliasLoader

            return ModuleSpec(name, AliasLoader(), is_package=True)  # type: ignore[arg-type]  # importlib.abc costs its import
        if self.waits_for_uvloop and name.startswith("uvloop."):
            from ._as_uvloop import refuse

            refuse(name.removeprefix("uvloop."))
        return None

    def _spec_of_asyncio(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        _swap(loop=False)
        if not self._loop:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                if spec.loader is not None:
                    spec.loader = _ThenTheLoop(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _ThenTheLoop:
    """A loader that does what the real one does, and makes our event loop the default when asyncio is complete."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _swap(loop=True)


def _swap(loop: bool) -> None:
    from ._swap import install

    try:
        install(loop=loop)
        listen(loop=loop)
    except Exception as error:  # a program that asked for nothing must not fail for it
        print(f"rasyncio: {VARIABLE}={os.environ.get(VARIABLE)!r} has no effect here: {error}", file=sys.stderr)
