"""A plugin for pytest: `pytest -p rasyncio.pytest` runs the whole session on rasyncio.

It swaps before test modules are imported, whatever they use: pytest-asyncio, anyio's asyncio backend,
`unittest.IsolatedAsyncioTestCase`, `asyncio.run`. The report's header says so.
"""

from __future__ import annotations

import rasyncio

rasyncio.install()


def pytest_report_header() -> list[str]:
    """The line of the header that says what the tests run on."""
    status = rasyncio.status()
    return [f"rasyncio: {status.version}, event loop {status.event_loop}", *status.remarks]
