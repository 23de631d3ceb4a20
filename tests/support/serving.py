"""Servers in processes of their own, and browsers that look at them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.children import PATIENCE


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Start it, wait until somebody listens, end it. Yields its address; what it says is in the file `log`."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RASYNCIO", "PYTHONWARNINGS")}
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment | variables, stdout=output, stderr=output, start_new_session=True
        )
    try:
        give_up = time.monotonic() + 40 * PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
                break
            if server.poll() is not None or time.monotonic() > give_up:
                pytest.fail(f"it does not listen; exit status {server.poll()}\n{log.read_text()}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium or its kin, headless, as playwright's browser. Errors on a page are the test's to look for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not here")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs Debian's chromium")
    with playwright.sync_playwright() as manager:
        browser = manager.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
