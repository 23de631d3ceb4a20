"""TLS natively: asyncio's `_SSLProtocolTransport` on a native half, over asyncio's own `SSLProtocol`.

The program's `SSLContext` makes a real `ssl.SSLObject`, as it does for asyncio. By which route its data goes, the
transport tells: `get_extra_info("rasyncio_tls")` is "openssl" (by the library that `_ssl` has mapped), "memorybio" (by
`_ssl`'s methods), or None where all is asyncio's own Python code. RASYNCIO_TLS=openssl, =memorybio or =python in the
environment chooses; without it the first that fits is taken.
"""

from __future__ import annotations

import os
import sys
from asyncio import protocols, sslproto, transports
from collections.abc import Iterator
from types import CodeType

from . import _asyncio
from ._replaced import Names, are_own
from ._variables import complain

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any

#: What chooses the route.
VARIABLE = "RASYNCIO_TLS"
ROUTES = ("openssl", "memorybio", "python")
#: The name under which a transport tells its route.
EXTRA = "rasyncio_tls"

#: asyncio's classes, and their names for things, as they were when this module was imported.
_PROTOCOL: Any = sslproto.SSLProtocol
_STOCK: Any = sslproto._SSLProtocolTransport
_NAMES_OF = {cls: frozenset(vars(cls)) for cls in (_PROTOCOL, _STOCK)}
_INIT: Any = sslproto.SSLProtocol.__init__
_MAX_SIZE = 256 * 1024

_Core: Any = _asyncio._tls_transport_core(transports._FlowControlMixin)


class TlsTransport(_Core, _STOCK):  # type: ignore[misc]
    """What a program with TLS gets as its transport."""

    if TYPE_CHECKING:  # the native ones

        def write(self, data: Any) -> None: ...
        def writelines(self, list_of_data: Any) -> None: ...
        def pause_reading(self) -> None: ...
        def resume_reading(self) -> None: ...
        def close(self) -> None: ...

    _route: str

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Get optional transport information."""
        return self._route if name == EXTRA else super().get_extra_info(name, default)


# What its repr begins with, as on asyncio's own; the module tells them apart.
TlsTransport.__name__ = TlsTransport.__qualname__ = _STOCK.__name__
_asyncio._adopt_tls_transport_class(TlsTransport)
_OURS = dict(vars(TlsTransport))


#: What `os.environ` keeps its variables in, where it is the system's: it makes an exception of each that is not set.
_DATA: Any = getattr(os.environ, "_data", None)
_KEY = os.fsencode(VARIABLE)


def _variable() -> str:
    data = getattr(os.environ, "_data", None)
    if data is _DATA and type(data) is dict and _KEY not in data:
        return ""
    return os.environ.get(VARIABLE, "")


def _wanted() -> str:
    wanted = _variable()
    if wanted and wanted not in ROUTES:
        complain(VARIABLE, f"one of {', '.join(ROUTES)}", wanted)
    return wanted if wanted in ROUTES else ROUTES[0]


def _probe(ssl: Any) -> bool:
    """Whether native code can call the library that `_ssl` has mapped, on what is inside of its objects."""
    import _ssl

    # What native code counts on of the library is OpenSSL's, from 3.0 on.
    if not ssl.OPENSSL_VERSION.startswith("OpenSSL ") or ssl.OPENSSL_VERSION_INFO < (3,):
        return False
    # Of _ssl's own classes: truststore and gevent put others in the place of the module ssl's.
    made: Any = _ssl
    context = made._SSLContext(made.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = made.MemoryBIO(), made.MemoryBIO()
    connection = context._wrap_bio(incoming, outgoing, False, "localhost")
    path = getattr(_ssl, "__file__", None)
    return type(path) is str and _asyncio._know_openssl(path, connection, context, incoming, outgoing)


#: Whether the library can be called; None if that was not tried yet.
_openssl_is_known: bool | None = None


def _knows_openssl(ssl: Any) -> bool:
    global _openssl_is_known
    if _openssl_is_known is None:
        _openssl_is_known = False  # trying runs Python code, which may come here
        _openssl_is_known = sys.platform == "linux" and _probe(ssl)
    return _openssl_is_known


def route() -> str:
    """Which of the routes the usual TLS connection takes in this process."""
    wanted = "python" if _SSL is None or sys.platform != "linux" else _wanted()
    return "memorybio" if wanted == "openssl" and not _knows_openssl(_SSL) else wanted


def make_protocol(*arguments: Any, **timeouts: Any) -> Any:
    """An `SSLProtocol` as asyncio makes it, but for the 256 KiB of its own that it reads into: for those it makes room
    itself once its own code reads, and native code never does."""
    made: Any = sslproto.SSLProtocol
    if made is not _PROTOCOL or made.__init__ is not _INIT or made.max_size != _MAX_SIZE:
        return made(*arguments, **timeouts)
    protocol = made.__new__(made)
    protocol.max_size = 0
    _INIT(protocol, *arguments, **timeouts)
    del protocol.max_size
    return protocol


def link(protocol: Any) -> Any:
    """Give an `SSLProtocol`, whose transport nobody has seen yet, a native one; return it, or None.

    It is for a plain `ssl.SSLObject` on its `MemoryBIO`s, whose context reports no messages to Python code.
    """
    ssl: Any = _SSL
    route = _wanted()
    if ssl is None or route == "python":
        return None
    connection, incoming, outgoing = protocol._sslobj, protocol._incoming, protocol._outgoing
    is_usual = (
        type(connection) is ssl.SSLObject
        and vars(connection).keys() == {"_sslobj"}
        and type(incoming) is type(outgoing) is ssl.MemoryBIO
        and type(protocol._app_transport) is _STOCK
    )
    if not is_usual:
        return None
    inner = connection._sslobj
    context = inner.context
    if type(inner).__module__ != "_ssl":
        return None
    # What callbacks raise is kept for the method of _ssl's that has called the library.
    reports = context._msg_callback is not None or context.keylog_filename is not None
    transport = TlsTransport(protocol._loop, protocol)
    may_call = route == "openssl" and not reports and _knows_openssl(ssl)
    is_direct = transport._link(connection, inner, context, incoming, outgoing, may_call)
    transport._route = "openssl" if is_direct else "memorybio"
    protocol._app_transport._closed = True  # it was never used
    protocol._app_transport = transport
    # asyncio makes another one where its own code reads.
    protocol._ssl_buffer = bytearray()
    protocol._ssl_buffer_view = memoryview(protocol._ssl_buffer)
    return transport


#: The module, as asyncio has it: None in a Python without.
_SSL: Any = vars(sslproto)["ssl"]
_NAMES = Names(
    (sslproto, "SSLProtocol", _PROTOCOL),
    (sslproto, "_SSLProtocolTransport", _STOCK),
    (sslproto, "SSLProtocolState", sslproto.SSLProtocolState),
    (sslproto, "AppProtocolState", sslproto.AppProtocolState),
    (sslproto, "ssl", _SSL),
    (sslproto, "protocols", protocols),
    (protocols, "BufferedProtocol", protocols.BufferedProtocol),
)


def _again() -> tuple[type[Exception], ...]:
    return (_SSL.SSLWantReadError, _SSL.SSLSyscallError)


def replaced() -> Iterator[str]:
    """What TLS natively depends on and is not as it was made: the name of each."""
    if _SSL is None:
        return
    yield from _NAMES.replaced()
    if sslproto.SSLAgainErrors != _again():
        yield "asyncio.sslproto.SSLAgainErrors"
    for cls, names in _NAMES_OF.items():
        if vars(cls).keys() != names or not are_own(cls):
            yield f"{cls.__module__}.{cls.__qualname__}"
    if not are_own(_SSL.SSLObject):
        yield "ssl.SSLObject"
    if _PROTOCOL.max_size != _MAX_SIZE:
        yield "max_size of asyncio's SSLProtocol"
    if len(vars(TlsTransport)) != len(_OURS) or any(vars(TlsTransport).get(name) is not _OURS[name] for name in _OURS):
        yield f"rasyncio's {TlsTransport.__qualname__}"


def _as_made() -> bool:
    """Would asyncio's own code do for an `SSLProtocol` what native code does?"""
    return next(replaced(), None) is None


def ask_here() -> None:
    """Have native code ask this module."""
    if _SSL is not None:
        states, app_states = sslproto.SSLProtocolState, sslproto.AppProtocolState
        _asyncio._ask_about_tls(
            _as_made,
            link,
            _PROTOCOL,
            (
                *(states.DO_HANDSHAKE, states.WRAPPED, states.FLUSHING, states.SHUTDOWN),
                *(app_states.STATE_INIT, app_states.STATE_CON_MADE),
            ),
            not any(isinstance(each, CodeType) for each in _PROTOCOL._start_shutdown.__code__.co_consts),
            (_again(), _SSL.SSLError),
            *(TlsTransport, _PROTOCOL, _STOCK, _SSL.SSLObject, vars(sslproto)),
        )
