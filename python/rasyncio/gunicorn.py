"""A worker class for gunicorn: `gunicorn -k rasyncio.gunicorn.UvicornWorker app:app`. Needs `uvicorn-worker`."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker as _UvicornWorker  # type: ignore[import-untyped, import-not-found, unused-ignore]


class UvicornWorker(_UvicornWorker):  # type: ignore[misc]
    """uvicorn's worker on rasyncio's event loop, Future and Task."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {**_UvicornWorker.CONFIG_KWARGS, "loop": "rasyncio:new_event_loop"}
