"""A PostgreSQL of the tests' own, behind a Unix socket, or with TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.children import PATIENCE
from support.serving import free_port
from support.tls import HOST, certificates


def found(name: str) -> str | None:
    """A program of PostgreSQL's, which Debian keeps off the path."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


@contextlib.contextmanager
def started(port: int, options: Sequence[str], files: Sequence[Path] = ()) -> Iterator[Path]:
    """A server with these options, and copies of these files: in which directory it is, with its socket and `data`.

    It will not run as root: then as its own user. {place} in an option is that directory.
    """
    initdb, server, is_ready = found("initdb"), found("postgres"), found("pg_isready")
    if initdb is None or server is None or is_ready is None:
        pytest.skip("needs Debian's postgresql")
    user: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
    made = subprocess.run(["mktemp", "-d", "/tmp/postgres.XXXXXX"], **user, check=True, capture_output=True, text=True)
    place = Path(made.stdout.strip())
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **user}
    for file in files:
        copy = place / file.name
        shutil.copy(file, copy)
        if user:
            shutil.chown(copy, "postgres")
        copy.chmod(0o600)  # it refuses keys that others can read
    named = [part for option in [*options, f"port={port}", "fsync=off"] for part in ("-c", option.format(place=place))]
    data, ask = str(place / "data"), [is_ready, "-q", "-h", str(place), "-p", str(port)]
    try:
        subprocess.run([initdb, "-D", data, "-A", "trust", "-U", "tester", "--no-sync"], check=True, **quiet)
        with subprocess.Popen([server, "-D", data, "-k", str(place), *named], **quiet) as running:
            end = time.monotonic() + 30 * PATIENCE
            while subprocess.run(ask, **quiet).returncode:
                assert time.monotonic() < end and running.poll() is None, "PostgreSQL does not come up"
                time.sleep(0.02)
            yield place
            running.terminate()
    finally:
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The directory with the server's socket."""
    with started(5432, ["listen_addresses="]) as place:
        yield str(place)


@pytest.fixture(scope="module")
def postgres_with_tls() -> Iterator[tuple[str, int]]:
    """A host's name, for which the server has a certificate of `tls.certificates()`, and the port."""
    port = free_port()
    keys = [certificates() / "server.pem", certificates() / "server.key"]
    options = [f"listen_addresses={HOST}", "ssl=on"]
    options += ["ssl_cert_file={place}/server.pem", "ssl_key_file={place}/server.key"]
    with started(port, options, keys):
        yield HOST, port
