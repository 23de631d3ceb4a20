"""`python -m rasyncio --kernelspec`: a kernel for Jupyter whose notebooks run on rasyncio.

A notebook cannot swap by itself, as its kernel's loop runs already. The kernel that is written here is ipykernel's,
started by `python -m rasyncio`. It lies where this environment's Jupyter looks for kernels, or, without a virtual
environment, in the user's own directory.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

NAME = "rasyncio"


def main(arguments: list[str]) -> int:
    """Write it and say where, and how to use it; returns the exit status."""
    if arguments:
        print(f"--kernelspec takes no program, and got {' '.join(arguments)}", file=sys.stderr)
        return 2
    if importlib.util.find_spec("ipykernel_launcher") is None:
        print(f"ipykernel is not here: type {sys.executable} -m pip install ipykernel", file=sys.stderr)
        return 1
    folder = _data_folder() / "kernels" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "argv": [sys.executable, "-m", "rasyncio", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python {sys.version_info[0]} (rasyncio)",
        "language": "python",
        "metadata": {"debugger": True},
    }
    (folder / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n")
    print(
        f'{folder}\nIn Jupyter, choose the kernel "{spec["display_name"]}"; or type: jupyter run --kernel {NAME} app.py'
    )
    return 0


def _data_folder() -> Path:
    """Where Jupyter has what belongs to this environment, or to the user."""
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "share" / "jupyter"
    if own := os.environ.get("JUPYTER_DATA_DIR"):
        return Path(own)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "jupyter"
