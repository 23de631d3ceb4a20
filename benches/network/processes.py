"""The processes of a measurement: their lines in and out, and that none of them outlives it."""

import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from benches.interpreter import Failed, last_words

START_TIMEOUT = 30.0
END_TIMEOUT = 0.5  # for a process that seems to have failed


class CaseFailed(Failed):
    """A case could not be measured."""


class Child:
    """A process in a process group of its own, which is killed at the end of the `with` block.

    It writes a line of JSON to standard output when it is asked to, and what it has to complain about to standard
    error.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def answer(self, timeout: float = START_TIMEOUT) -> Any:
        """The next line of its output."""
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise self._failure(f"does not answer within {timeout:.0f} s")
        return self._decoded(self._process.stdout.readline())

    def ask(self, line: object, timeout: float) -> Any:
        """Send it a line and return what it answers."""
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{line}\n".encode())
        except BrokenPipeError:
            raise self._failure("has ended") from None
        return self.answer(timeout)

    def condition(self) -> str:
        """Its exit status, if it ends now or has ended, and its last words on standard error."""
        try:
            status = f"exit status {self._process.wait(END_TIMEOUT)}"
        except subprocess.TimeoutExpired:
            status = ""
        self._errors.seek(0)
        said = last_words(self._errors.read().decode(errors="replace"))
        return ", ".join(filter(None, (status, said)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all of them have ended
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            assert file
            file.close()

    def _decoded(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise self._failure(f"says {text[:100]!r}" if text else "ends") from None

    def _failure(self, what: str) -> CaseFailed:
        return CaseFailed(", ".join(filter(None, (f"{self.name} {what}", self.condition()))))
