"""`python -m rasyncio top`: what a running program's event loops do, in a terminal or on a page."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from types import ModuleType

from ._address import KINDS, VARIABLE, parsed
from ._attach import attached
from ._client import PATIENCE, Client, Unreachable
from ._started import run
from ._view import View
from ._wishes import Wishes

_EPILOG = f"""\
TARGET is a process id (Python 3.14 or later on both sides, or a program that was started with {VARIABLE}), or where a
program serves its stats: a path, or a port as :PORT. Its loops must be rasyncio's: start it with RASYNCIO=1.

  python -m rasyncio top 4711
  python -m rasyncio top 4711 --watch 0.1 --profile --web 8080
  python -m rasyncio top /run/app.stats
  python -m rasyncio top --self app.py ARGS...
"""
#: In seconds: for a loop that is made to begin to run; for an answer, before the view says that there is none.
_BEGINS = 1.0
_LOOK_PATIENCE = 1.0


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit status."""
    options = _parser().parse_args(arguments)
    if bool(options.self) == (options.target is not None):
        print("rasyncio: top needs a process id, a path or :PORT, or --self and a program", file=sys.stderr)
        return 2
    try:
        if options.web is None:
            _screen()
        if options.self:
            return run(options.self, _wishes(options), options.web is not None, lambda client: _show(client, options))
        with _client(options) as client:
            _show(client, options)
    except Unreachable as error:
        print(f"rasyncio: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rasyncio top",
        description="Show what the event loops of a running program do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help="which program, see below")
    parser.add_argument("--every", type=_seconds, default=1.0, metavar="SECONDS", help="look so often (1)")
    parser.add_argument(
        "--watch",
        type=_seconds,
        metavar="SECONDS",
        help="have steps that block a loop for longer told; with a process id, for as long as this looks",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="show which coroutine functions take the time; with a process id, found for as long as this looks",
    )
    parser.add_argument("--once", action="store_true", help="look for a moment, print, and end")
    parser.add_argument("--web", type=int, metavar="PORT", help="show it as a page at http://127.0.0.1:PORT/")
    parser.add_argument(
        "--self",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM",
        help="start a Python program on rasyncio, and show that one",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


def _wishes(options: argparse.Namespace) -> Wishes:
    return Wishes(options.watch, options.profile)


@contextlib.contextmanager
def _client(options: argparse.Namespace) -> Iterator[Client]:
    if options.target.isascii() and options.target.isdigit():
        with attached(int(options.target), _wishes(options)) as client:
            yield client
    else:
        target = options.target
        target = target.rpartition(":")[2] if target.startswith((":", "127.0.0.1:", "localhost:")) else target
        try:
            address = parsed(target)
        except ValueError:
            raise Unreachable(f"{options.target!r} is no process id, and no {KINDS.removeprefix('a ')}") from None
        if address == 0:
            raise Unreachable(
                f"{options.target!r} is no port that a program serves at: one that asked for any that is free knows"
                " which it got, by rasyncio.serve_stats(0).address"
            )
        with Client(address) as client:
            yield client


def _show(client: Client, options: argparse.Namespace) -> None:
    view = View(client)
    deadline = time.monotonic() + _BEGINS
    while options.self and not any(loop["thread"] for loop in view.snapshot["loops"]) and time.monotonic() < deadline:
        time.sleep(0.02)
        view = View(client)
    refusal = _wishes(options).refusal(view.snapshot)
    if refusal is not None:
        raise Unreachable(refusal)
    client.patience = _LOOK_PATIENCE
    if options.web is not None:
        from ._web import serve_page

        serve_page(view, options.web, options.every)
        return
    screen = _screen()
    if not options.once and sys.stdout.isatty():
        screen.follow(view, options.every)
        return
    time.sleep(options.every)
    client.patience = PATIENCE
    try:
        view.look()
    except Unreachable:
        if options.self:  # it was shorter than that: what there was by then is shown
            screen.show(view)
        raise
    if view.silence is not None:
        raise Unreachable(f"the program does not answer: {view.silence}")
    screen.show(view)


def _screen() -> ModuleType:
    """The terminal view. Raises Unreachable without rich."""
    try:
        from . import _screen
    except ImportError:
        raise Unreachable(
            "the terminal view needs rich: pip install 'rasyncio[top]'; or have a page, which needs nothing: --web 8080"
        ) from None
    return _screen
