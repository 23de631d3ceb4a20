"""The process of an engine: runs the programs that it reads."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from . import operations  # noqa: F401  # imported before the first collection
from .interpreter import run


def serve(new_loop: Callable[[], Any]) -> None:
    """Answer programs with traces until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a stray print is no answer
    gc.disable()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        try:
            trace = run(new_loop, json.loads(line))
        except BaseException:
            trace = ["the interpreter of programs failed:", *traceback.format_exc().splitlines()]
        print(json.dumps(trace), file=answers, flush=True)
