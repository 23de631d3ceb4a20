"""`python -m rasyncio`: runs a program as `python` itself would, with rasyncio installed first."""

from __future__ import annotations

import builtins
import io
import os
import runpy
import sys
from functools import partial
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER
from types import ModuleType

from . import __version__, _startup
from ._swap import install

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn

USAGE = """\
usage: python -m rasyncio [option] ... [-c cmd | -m mod | file] [arg] ...
       python -m rasyncio top ...

Runs a Python program with rasyncio's Future, Task and event loop in the place of asyncio's own, and the Python
processes that it starts (by RASYNCIO in their environment).

--no-loop      leave asyncio its own event loop: Future and Task alone
--as-uvloop    and whoever imports uvloop gets rasyncio under that name
--no-children  leave the processes that the program starts as they are
--check        say what a program would run on, in this process and in one that it starts, and exit; with a program: say
               what it does run on, in each of its processes, as soon as their event loops run, and end it
--kernelspec   write a kernel for Jupyter that runs on rasyncio, and exit
-c cmd         program passed in as string
-m mod         run a library module (or a package's __main__) as a script
file           program read from a script file, a directory or a zip file with __main__.py
top            show what the event loops of a running program do; see: python -m rasyncio top --help
-h, --help     print this help and exit
-V, --version  print the version and exit

Python's own options come before: python -X dev -m rasyncio app.py"""


def main(arguments: list[str]) -> None:
    """Do what the command line asks for; a program's exceptions, SystemExit too, come through to Python."""
    options, arguments = _own_options(arguments)
    if options >= {"--no-loop", "--as-uvloop"}:
        _fail(f"--as-uvloop needs the loop that --no-loop leaves out\n{USAGE}")
    if "--kernelspec" in options and options > {"--kernelspec"}:
        _fail(f"--kernelspec takes no {', '.join(sorted(options - {'--kernelspec'}))}\n{USAGE}")
    loop = "--no-loop" not in options
    value = "uvloop" if "--as-uvloop" in options else "1" if loop else "tasks"
    first, *rest = arguments or [""]
    if first in ("-h", "--help"):
        print(USAGE)
        return
    if first in ("-V", "--version"):
        print(f"rasyncio {__version__} (Python {sys.version.split()[0]})")
        return
    if first == "top":
        if options:
            _fail(f"top takes no {', '.join(sorted(options))}; a file of that name is ./top\n{USAGE}")
        from .inside._top import main as top

        sys.exit(top(rest))
    if "--check" in options:
        sys.exit(_check(arguments, options - {"--check"}, value))
    if "--kernelspec" in options:
        from . import _kernelspec

        sys.exit(_kernelspec.main(arguments))

    prepare: Callable[[str], Callable[[], object]] = _prepare_file
    program = first
    if first[:2] in ("-c", "-m"):
        prepare = _prepare_command if first[:2] == "-c" else _prepare_module
        if first[2:]:  # as in -mpackage
            rest.insert(0, first[2:])
        if not rest:
            _fail(f"Argument expected for the {first} option\n{USAGE}")
        program, *rest = rest
        first = first[:2]
    elif not first or first.startswith("-"):
        _fail(f"Unknown option: {first}\n{USAGE}" if first else USAGE)

    sys.argv[:] = [first, *rest]
    try:
        run = prepare(program)
        # With the program's sys.path: it may import asyncio, which must not find what lies in the current directory.
        install(loop=loop)
        if value == "uvloop":
            _startup.arm(loop=True, as_uvloop=True)
        _startup.pass_on(None if "--no-children" in options else value)
        _startup.listen(loop=loop)
        run()
    except SystemExit:
        raise
    except BaseException as error:
        _leave_runner_out_of_traceback(error)
        raise


def _check(arguments: list[str], options: set[str], value: str) -> int:
    from . import _check as checks

    if arguments:
        return checks.check_program(sorted(options), arguments)
    install(loop=value != "tasks")
    return checks.check(value, children="--no-children" not in options)


def _own_options(arguments: list[str]) -> tuple[set[str], list[str]]:
    """Our own options, which come before the program, and the rest."""
    options: set[str] = set()
    for argument in arguments:
        if argument not in {"--no-loop", "--as-uvloop", "--no-children", "--check", "--kernelspec"} - options:
            break
        options.add(argument)
    return options, arguments[len(options) :]


def _prepare_command(source: str) -> Callable[[], object]:
    if sys.version_info >= (3, 14):
        from textwrap import dedent

        source = dedent(source)
    code = compile(f"{source}\n", "<string>", "exec", dont_inherit=True)
    if sys.version_info >= (3, 13):  # tracebacks show its lines
        import linecache

        if hasattr(linecache, "_interactive_cache"):
            linecache._register_code(code, source, "<string>")  # type: ignore[attr-defined]
        else:  # 3.13.0
            linecache.cache["<string>"] = len(source), None, source.splitlines(keepends=True), "<string>"
    _set_path0("")
    return partial(exec, code, _new_main())


def _prepare_module(name: str) -> Callable[[], object]:
    _new_main()
    return partial(_run_as_main, name)


def _prepare_file(file: str) -> Callable[[], object]:
    from pkgutil import get_importer

    path = file if os.path.isabs(file) else os.path.join(os.getcwd(), file)
    if get_importer(path) is not None:  # a directory or a zip file
        _set_path0(path)
        if sys.flags.safe_path:  # keeps the script's directory out, but not what was asked for
            sys.path.insert(0, path)
        _new_main()
        return partial(_run_as_main, "__main__", alter_argv=False)
    try:
        with io.open_code(path) as stream:
            content = stream.read()
    except OSError as error:
        _fail(f"{sys.orig_argv[0]}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}")
    _set_path0(os.path.dirname(os.path.realpath(path)))
    namespace = _new_main()
    namespace["__file__"] = path
    if sys.version_info < (3, 15):
        namespace["__cached__"] = None
    loader: SourceFileLoader | SourcelessFileLoader
    if content.startswith(MAGIC_NUMBER):
        loader = SourcelessFileLoader("__main__", path)
        code = loader.get_code("__main__")
        assert code is not None
    else:
        loader = SourceFileLoader("__main__", path)
        code = compile(content, path, "exec", dont_inherit=True)
    namespace["__loader__"] = loader
    return partial(exec, code, namespace)


# What the interpreter itself calls for `python -m`.
_run_as_main: Callable[..., Any] = runpy._run_module_as_main  # type: ignore[attr-defined]


def _new_main() -> dict[str, Any]:
    """A `__main__` as the interpreter makes it, for the program alone; returns its namespace."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    namespace = vars(module)
    namespace["__loader__"] = BuiltinImporter
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    return namespace


def _set_path0(entry: str) -> None:
    """Python put the current directory there for `-m rasyncio`; under -P, nothing."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def _leave_runner_out_of_traceback(error: BaseException) -> None:
    """Let Python report `error` as it always does, but with a traceback that begins in the program."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == main.__code__.co_filename:
        trace = trace.tb_next
    hook = sys.excepthook

    def report(kind: type[BaseException], value: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = hook
        hook(kind, value.with_traceback(trace), trace)

    sys.excepthook = report


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)
