"""A line-protocol client on tokio.

Whatever returns a future must be called while an event loop runs. It starts at once; cancelled, it is dropped.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, final

_T = TypeVar("_T")
_Result = TypeVar("_Result")

class RustPanic(Exception):
    """The Rust code behind an awaitable panicked."""

def connect(host: str, port: int) -> Future[Client]: ...

@final
class Client:
    """A connection. Requests are sent one after the other, however many wait."""

    def request(self, line: str) -> Future[str]:
        """Send a line; the result is the line that comes back. Cancelled, it gives the connection up."""
    def lines(self, line: str) -> Lines:
        """Send a line when the iteration begins; iterate over the lines that come back, until an empty one."""
    def close(self) -> Future[None]: ...

@final
class Lines:
    """An asynchronous iterator. A step that is cancelled loses no line."""

    def __aiter__(self) -> Lines: ...
    def __anext__(self) -> Future[str]: ...

def fetch_all(
    host: str, port: int, requests: Sequence[str], *, limit: int = 8, per_second: float | None = None
) -> Future[list[str]]:
    """Send each request on a connection of its own, `limit` at a time; the answers are in the order of the requests.

    The first error ends it all.
    """

def map(callback: Callable[[_T], Awaitable[_Result]], items: Sequence[_T], *, limit: int = 8) -> Future[list[_Result]]:
    """Await `callback(item)` for each item from Rust, `limit` at a time; the results are in the items' order.

    The callback sees the context of the caller. The first error ends the waiting; calls that run go on.
    """

# Of use only for tests and benchmarks of the bridge itself.

def short(value: _T) -> Future[_T]:
    """Done with the value after tokio has scheduled it twice."""

def sleep(seconds: float) -> Future[None]: ...
def fail(exception: BaseException) -> Future[None]: ...
def panic(message: str) -> Future[None]:
    """Panics, unless there is no message."""

def call(callback: Callable[[int], Awaitable[object]], times: int) -> Future[None]:
    """Await `callback(0)`, `callback(1)`… from Rust, one after the other."""

@final
class Gate:
    """Many awaitables that are done at the same moment."""

    def __new__(cls) -> Gate: ...
    def wait(self, value: _T) -> Future[_T]: ...
    def open(self) -> None: ...
    @property
    def waiting(self) -> int:
        """How many of them Rust has not dropped yet."""
