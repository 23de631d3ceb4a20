"""Looking into a running program from outside: what its event loops do, its tasks, what blocks.

`rasyncio.serve_stats()` opens the process to `python -m rasyncio top` and to Prometheus; `snapshot()` and
`prometheus()` are what it answers. All of it is for reading: nothing that comes in changes the program.
"""

from ._prometheus import prometheus
from ._server import StatsServer, serve_stats
from ._snapshot import snapshot

__all__ = ["StatsServer", "prometheus", "serve_stats", "snapshot"]
