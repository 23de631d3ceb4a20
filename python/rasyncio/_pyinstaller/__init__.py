"""What PyInstaller is to know of rasyncio; it finds this by the entry point `pyinstaller40` of the wheel.

A frozen program has no `site`, so that nothing reads `rasyncio.pth` there. The run-time hook stands in for it: a
program that was frozen with rasyncio in it (`--hidden-import rasyncio`, if it does not import it) heeds `RASYNCIO`.
"""

from __future__ import annotations

from pathlib import Path


def hook_directories() -> list[str]:
    """Where `rthooks.dat` is, which names the hook."""
    return [str(Path(__file__).parent)]
