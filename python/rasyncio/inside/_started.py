"""`top --self PROGRAM`: starts a Python program on rasyncio, has it shown, and ends as it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .._profile import VARIABLE as PROFILE
from .._watch import VARIABLE as WATCH
from ._address import VARIABLE
from ._client import Client, Unreachable
from ._wishes import Wishes

#: In seconds: after which it is said that the program has made no loop yet; for it to end when it serves no longer, or
#: when it is told to.
_SAID_AFTER = 10.0
_ENDS = 5.0


def run(program: list[str], wishes: Wishes, shows_output: bool, show: Callable[[Client], object]) -> int:
    """Start the program, and show it until one of the two ends; its output is kept until the end, if not shown.

    Returns its exit status, 0 if it was ended because nobody looks any more. Raises Unreachable.
    """
    with tempfile.TemporaryDirectory(prefix="rasyncio-top-") as folder, tempfile.TemporaryFile() as output:
        address = os.path.join(folder, "{pid}")
        environment = {**os.environ, VARIABLE: address, WATCH: str(wishes.threshold or 0.1)}
        if wishes.profile:
            environment[PROFILE] = "1"
        process = subprocess.Popen(
            [sys.executable, "-m", "rasyncio", *program],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=None if shows_output else output,
            stderr=None if shows_output else subprocess.STDOUT,
        )
        try:
            with _when_it_serves(process, address.replace("{pid}", str(process.pid))) as client:
                show(client)
        except Unreachable as error:
            if not _has_ended(process):
                raise
            is_seen = not isinstance(error, _TooShort)
            text = f"the program has ended, with status {process.returncode}" if is_seen else str(error)
            print(f"rasyncio: {text}", file=sys.stderr)
            return _status(process) if is_seen else _status(process) or 1
        finally:
            _end(process)
            output.seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(output.read())
        return 0


class _TooShort(Unreachable):
    """It has ended before anything could be seen."""


def _when_it_serves(process: subprocess.Popen[bytes], address: str) -> Client:
    said_at = time.monotonic() + _SAID_AFTER
    while not Path(address).exists():
        if process.poll() is not None:
            raise _TooShort(f"the program has ended, with status {process.returncode}, before an event loop was made")
        if time.monotonic() > said_at:
            said_at = float("inf")
            print("rasyncio: the program has made no event loop of rasyncio's yet: it is waited for", file=sys.stderr)
        time.sleep(0.02)
    try:
        return Client(address)
    except Unreachable:
        if not _has_ended(process):
            raise
        raise _TooShort(f"the program has ended, with status {process.returncode}, before it could be seen") from None


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has, or does within some seconds."""
    try:
        process.wait(_ENDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _status(process: subprocess.Popen[bytes]) -> int:
    """Of one that has ended, as a shell has it."""
    status = process.returncode
    return status if status >= 0 else 128 - status


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_ENDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
