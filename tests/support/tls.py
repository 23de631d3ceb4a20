"""TLS in tests: certificates, and peers that the test drives record by record."""

from __future__ import annotations

import functools
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .loops import same_as_stock
from .net import Recorder, socket_pair, until

#: The two native routes, by the values of RASYNCIO_TLS.
ROUTES = ("openssl", "memorybio")
HOST = "localhost"
OTHER_HOST = "other.test"


def same(scenario: Callable[..., object], *args: object) -> None:
    """The scenario comes out as on the stock loop; by the route that was asked for."""
    same_as_stock("ours", scenario, *args)


def reported(loop: Any) -> list[str]:
    """What the loop's exception handler is told, from now on."""
    told: list[str] = []
    loop.set_exception_handler(lambda loop, context: told.append(f"{context['message']}: {context['exception']!r}"))
    return told


@functools.cache
def certificates() -> Path:
    """A folder with NAME.pem and NAME.key of `ca`, `server`, `other`, `client`, and of `expired` and `stranger`.

    Made anew for each process, by the openssl command: the one means for it that needs no library in this Python.
    """
    folder = Path(tempfile.mkdtemp(prefix="rasyncio-tls-"))

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def authority(name: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
        # As strict verification wants it.
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", "-x509", *key, *usage, "-subj", f"/CN={name}", "-days", "2", "-out", f"{name}.pem")

    def signed(name: str, host: str, days: int = 2) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
        openssl("req", "-new", *key, "-subj", f"/CN={host}", "-out", f"{name}.csr")
        extensions = f"subjectAltName=DNS:{host}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        (folder / f"{name}.ext").write_text(extensions)
        by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", *by, "-days", str(days), "-out", f"{name}.pem")

    authority("ca")
    authority("stranger")
    signed("server", HOST)
    signed("other", OTHER_HOST)
    signed("client", "client")
    signed("expired", HOST, -1)
    return folder


def server_context(name: str = "server", version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates() / f"{name}.pem", certificates() / f"{name}.key")
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def client_context(version: ssl.TLSVersion | None = None, certificate: str = "") -> ssl.SSLContext:
    """A client's context that trusts the authority, and has a certificate if one is named."""
    context = ssl.create_default_context(cafile=str(certificates() / "ca.pem"))
    if certificate:
        context.load_cert_chain(certificates() / f"{certificate}.pem", certificates() / f"{certificate}.key")
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Peer:
    """The other end: an `ssl.SSLObject`, whose records go to a socket when, and as, the test wants."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_side: bool) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        host = None if server_side else HOST
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=host)
        self.ended = False

    def flush(self) -> None:
        """Send all records that are there."""
        data = self.outgoing.read()
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self.outgoing.write(data)
                return

    def pump(self) -> None:
        """Take what has come."""
        while True:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self.ended = True
                return
            self.incoming.write(data)

    def tried(self, action: Callable[[], Any]) -> Any:
        """What the action returns, or None if it wants more of the other end."""
        self.pump()
        try:
            return action()
        except ssl.SSLWantReadError:
            return None
        finally:
            self.flush()

    def shake_hands(self, loop: Any, also: Callable[[], bool] = lambda: True) -> None:
        """The handshake, while the loop runs."""

        def is_done() -> bool:
            if not self.tls.version():
                self.tried(self.tls.do_handshake)
            return bool(self.tls.version()) and also()

        until(loop, is_done)

    def records(self, *pieces: bytes) -> bytes:
        """The pieces as ciphertext, not sent."""
        for piece in pieces:
            self.tls.write(piece)
        return self.outgoing.read()

    def send(self, *pieces: bytes) -> None:
        """Send each as records of its own."""
        for piece in pieces:
            self.tls.write(piece)
        self.flush()

    def send_raw(self, loop: Any, data: bytes) -> None:
        """Send bytes as they are, while the loop runs."""
        rest = memoryview(data)

        def is_sent() -> bool:
            nonlocal rest
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                pass
            return not rest

        until(loop, is_sent)

    def receive(self, loop: Any, size: int) -> bytes:
        """So many bytes of plaintext, while the loop runs."""
        data = bytearray()

        def is_there() -> bool:
            while len(data) < size:
                piece = self.tried(lambda: self.tls.read(size - len(data)))
                if piece is None:
                    return self.ended
                data.extend(piece)
            return True

        until(loop, is_there)
        return bytes(data)

    def close_notify(self) -> None:
        """Say that nothing will come any more."""
        self.tried(self.tls.unwrap)

    def close(self) -> None:
        self.sock.close()


class TlsEnds(NamedTuple):
    transport: Any
    protocol: Any
    peer: Peer


def tls_connected(
    loop: Any,
    protocol: Any = None,
    *,
    server_side: bool = False,
    context: ssl.SSLContext | None = None,
    peer_context: ssl.SSLContext | None = None,
    which: str = "unix",
    **options: Any,
) -> TlsEnds:
    """A transport with TLS in the loop, and its peer."""
    mine, theirs = socket_pair(which)
    protocol = protocol or Recorder()
    context = context or (server_context() if server_side else client_context())
    peer = Peer(theirs, peer_context or (client_context() if server_side else server_context()), not server_side)
    if server_side:
        connecting = loop.connect_accepted_socket(lambda: protocol, mine, ssl=context, **options)
    else:
        options.setdefault("server_hostname", HOST)
        connecting = loop.create_connection(lambda: protocol, sock=mine, ssl=context, **options)
    task = loop.create_task(connecting)
    peer.shake_hands(loop, task.done)
    return TlsEnds(task.result()[0], protocol, peer)


def close_all(loop: Any, *ends: TlsEnds) -> None:
    """Abort what is left, and let the loop say so."""
    for end in ends:
        end.transport.abort()
        until(loop, lambda end=end: getattr(end.protocol, "lost", True))
        end.peer.close()
