"""What can be measured: an implementation of `_asyncio` together with an event loop, chosen by a fresh process.

Nothing here imports asyncio or a loop before `select` is called.
"""

import importlib
import sys
from dataclasses import dataclass
from typing import Any

OWN_LOOPS = {
    "stock": ("asyncio", "SelectorEventLoop"),
    "ours": ("rasyncio", "EventLoop"),
}
# Other people's loops: measured with CPython's C `_asyncio`, for which they were made.
PEER_LOOPS = {
    "uvloop": ("uvloop", "Loop"),
    "rloop": ("rloop", "RLoop"),
    "zuvloop": ("zuvloop", "EventLoop"),
    "blazio": ("blazio", "EventLoop"),
}
# More of them, for `benches.network` only: what they are about is moving bytes.
NETWORK_LOOPS = {
    "rsloop": ("rsloop", "Loop"),
    "veloxloop": ("veloxloop", "VeloxLoop"),
    "aiofastnet": ("benches.network.fastnet", "Stock"),
    "aiofastnet-uvloop": ("benches.network.fastnet", "Uvloop"),
}
# Not a loop for programs: it does nothing but drive the coroutines of a few workloads (see floor/).
FLOOR_LOOP = {"floor": ("benches.floor", "Loop")}
LOOPS = OWN_LOOPS | PEER_LOOPS | NETWORK_LOOPS | FLOOR_LOOP


@dataclass(frozen=True)
class Implementation:
    """An implementation of Future and Task on an event loop."""

    module: str  # c: CPython's; rasyncio: ours; python: asyncio's own, in Python
    loop: str

    @property
    def peer(self) -> bool:
        """Whether the loop is neither asyncio's nor ours."""
        return self.loop in PEER_LOOPS or self.loop in NETWORK_LOOPS

    @property
    def may_fail(self) -> bool:
        """Whether it may be absent or unable to run a workload."""
        return self.peer or self.loop in FLOOR_LOOP

    def __str__(self) -> str:
        if self.may_fail:
            return self.loop
        if self.module == "rasyncio":
            return "rasyncio" if self.loop == "ours" else "swap only"
        return self.module


BASELINE = Implementation("c", "stock")
SWAP_ONLY = Implementation("rasyncio", "stock")
OURS = Implementation("rasyncio", "ours")
FLOOR = Implementation("c", "floor")
# The names for command lines.
IMPLEMENTATIONS = {
    "c": BASELINE,
    "swap": SWAP_ONLY,
    "ours": OURS,
    "python": Implementation("python", "stock"),
    **{loop: Implementation("c", loop) for loop in PEER_LOOPS | NETWORK_LOOPS},
    "floor": FLOOR,
}
# Those that all benchmarks know.
COMMON = [name for name, implementation in IMPLEMENTATIONS.items() if implementation.loop not in NETWORK_LOOPS]


def select(name: str) -> Any:
    """Put an implementation in place and return the class of its loop, for `asyncio.Runner(loop_factory=...)`.

    Call it first: nothing may have imported asyncio yet.
    """
    implementation = IMPLEMENTATIONS[name]
    if "asyncio" in sys.modules:
        raise RuntimeError("asyncio was imported before the implementation was chosen")
    if implementation.module == "rasyncio":
        import rasyncio

        # With our loop as asyncio's, the functions of asyncio's are grafted that native code stands in for.
        rasyncio.install(loop=implementation.loop == "ours")
    elif implementation.module == "python":
        sys.modules["_asyncio"] = None  # type: ignore[assignment]  # makes `import _asyncio` fail
    import asyncio

    module_name, loop_class = LOOPS[implementation.loop]
    loop_module = importlib.import_module(module_name)
    factory = getattr(loop_module, loop_class)
    task_class = loop_module.Task if implementation == FLOOR else asyncio.Task

    async def verify() -> None:
        found = module_in_use(), type(asyncio.current_task()), type(asyncio.get_running_loop())
        if found != (implementation.module, task_class, factory):
            raise RuntimeError(f"asked for {implementation.module!r} on {factory}, but asyncio runs on {found}")

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(verify())
    return factory


def module_in_use() -> str:
    """Tell which implementation `asyncio.Task` and `asyncio.Future` really are."""
    import asyncio

    both = (asyncio.Task, asyncio.Future)
    if both == (asyncio.tasks._PyTask, asyncio.futures._PyFuture):  # type: ignore[attr-defined]
        return "python"
    rust = sys.modules.get("rasyncio._asyncio")
    if rust is not None and both == (rust.Task, rust.Future):
        return "rasyncio"
    return "c"
