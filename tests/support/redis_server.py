"""A redis-server of our own, for a module of tests."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .children import PATIENCE


@pytest.fixture(scope="module")
def redis_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Unix socket of a redis-server of our own."""
    command = shutil.which("redis-server")
    if command is None:
        pytest.skip("needs Debian's redis-server")
    path = tmp_path_factory.mktemp("redis") / "socket"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)]
    with subprocess.Popen([command, *options], stdout=subprocess.DEVNULL) as server:
        end = time.monotonic() + 20 * PATIENCE
        while not path.exists():
            assert time.monotonic() < end and server.poll() is None, "redis-server does not come up"
            time.sleep(0.01)
        yield path
        server.terminate()
