"""The process of an engine: runs the programs that it reads."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from . import datagrams, operations, pipes, tls  # noqa: F401  # operations are imported before the first collection
from .connections import Network
from .interpreter import World, run


def serve(new_loop: Callable[[], Any]) -> None:
    """Answer programs with traces until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a stray print is no answer
    gc.disable()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(answer(new_loop, line)), file=answers, flush=True)
        with warnings.catch_warnings(action="ignore"):  # the loop of a program that failed is not closed
            gc.collect()


def answer(new_loop: Callable[[], Any], line: str) -> list[str]:
    try:
        program = json.loads(line)
        for kind in (tls, datagrams, pipes):
            if kind.__name__.rpartition(".")[2] in program["setup"]:
                return kind.run(new_loop, program)
        return run(new_loop, program, Network if program["setup"].get("network") else World)
    except BaseException:
        return ["the interpreter of programs failed:", *traceback.format_exc().splitlines()]
