"""A PostgreSQL of the tests' own, behind a Unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.children import PATIENCE


def found(name: str) -> str | None:
    """A program of PostgreSQL's, which Debian keeps off the path."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The directory with the server's socket. It will not run as root: then as its own user."""
    initdb, server = found("initdb"), found("postgres")
    if initdb is None or server is None:
        pytest.skip("needs Debian's postgresql")
    user: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
    made = subprocess.run(["mktemp", "-d", "/tmp/postgres.XXXXXX"], **user, check=True, capture_output=True, text=True)
    place = Path(made.stdout.strip())
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **user}
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", str(place)]
    data = str(place / "data")
    try:
        subprocess.run([initdb, "-D", data, "-A", "trust", "-U", "tester", "--no-sync"], check=True, **quiet)
        with subprocess.Popen([server, "-D", data, *options], **quiet) as running:
            end = time.monotonic() + 30 * PATIENCE
            while not (place / ".s.PGSQL.5432").exists():
                assert time.monotonic() < end and running.poll() is None, "PostgreSQL does not come up"
                time.sleep(0.02)
            yield str(place)
            running.terminate()
    finally:
        shutil.rmtree(place)
