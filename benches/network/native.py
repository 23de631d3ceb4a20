"""The two programs of `wire/`: `load`, the clients of the measured servers, and `floor`, servers to compare with."""

import subprocess
from functools import cache
from pathlib import Path

from benches.interpreter import ROOT

CRATE = Path(__file__).with_name("wire")
TARGET = ROOT / ".cache" / "wire"


@cache
def program(name: str) -> str:
    """Its path. Cargo builds it if the sources are newer."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", f"--target-dir={TARGET}"]
    try:
        subprocess.run(command, check=True, cwd=CRATE, capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit("the load's program is built by cargo, which is not there: https://rustup.rs") from None
    except subprocess.CalledProcessError as failure:
        raise SystemExit(f"the load's program cannot be built:\n{failure.stderr}") from None
    return str(TARGET / "release" / name)
