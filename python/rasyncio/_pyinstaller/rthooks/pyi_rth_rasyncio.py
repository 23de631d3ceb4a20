"""Runs in a frozen program, before its main script: what `rasyncio.pth` does elsewhere."""

import os

if os.environ.get("RASYNCIO", "0") != "0":
    from rasyncio._startup import start

    start()
