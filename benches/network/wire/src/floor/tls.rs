//! Echo over TLS: OpenSSL's own loop. Ciphertext lies in memory between it and the socket, so that an answer is one read
//! and one write of the socket, however many records are in it.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::swap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use openssl::ssl::{ErrorCode, Ssl, SslContext, SslFiletype, SslMethod, SslMode, SslStream};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, listen, recv, send};
use wire::poll::{Poll, number, number_of};

use crate::{BACKLOG, READ, ready};

/// The longest plaintext of a record.
const RECORD: usize = 16 * 1024;

/// Ciphertext on its way. Its memory is the server's while a connection has work, so that it is in the CPU's caches.
#[derive(Default)]
struct Ciphertext {
    incoming: Vec<u8>,
    taken: usize,  // of these
    filled: usize, // of these
    outgoing: Vec<u8>,
}

impl Read for Ciphertext {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.filled {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = (&self.incoming[self.taken..self.filled]).read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

impl Write for Ciphertext {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Connection {
    socket: OwnedFd,
    tls: SslStream<Ciphertext>,
    begun: Vec<u8>, // a record of which more is to come
    is_open: bool,  // after its handshake
    is_over: bool,  // as soon as all is sent
    waits: bool,    // for the socket to take more
}

struct Server {
    poll: Poll,
    context: SslContext,
    connections: Vec<Option<Connection>>, // by descriptor
    once: bool,                           // a connection is closed after its first answer
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    plaintext: Vec<u8>,
}

/// The directory has `certificate.pem` and `key.pem`.
pub(crate) fn serve(directory: &Path, once: bool) -> io::Result<()> {
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    context.set_mode(SslMode::RELEASE_BUFFERS); // as Python's have it
    context.set_certificate_file(directory.join("certificate.pem"), SslFiletype::PEM)?;
    context.set_private_key_file(directory.join("key.pem"), SslFiletype::PEM)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    set_tcp_nodelay(&listener, true)?; // what is accepted inherits it
    let mut server = Server {
        poll: Poll::new(None)?,
        context: context.build(),
        connections: Vec::new(),
        once,
        incoming: vec![0; READ],
        outgoing: Vec::new(),
        plaintext: vec![0; RECORD],
    };
    server.poll.add(&listener)?;
    ready(listener.local_addr()?.port())?;
    let mut events = Vec::new();
    loop {
        server.poll.wait(&mut events)?;
        for event in &events {
            let descriptor = number_of(event);
            if descriptor == number(&listener) {
                server.accept(&listener)?;
            } else if !server.handle(descriptor, event.flags)? {
                server.connections[descriptor] = None;
            }
        }
    }
}

impl Server {
    /// Take all connections that are there, as asyncio does.
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Err(Errno::AGAIN) => return Ok(()),
                accepted => accepted?,
            };
            self.poll.add(&socket)?;
            let descriptor = number(&socket);
            if self.connections.len() <= descriptor {
                self.connections.resize_with(descriptor + 1, || None);
            }
            let tls = SslStream::new(Ssl::new(&self.context)?, Ciphertext::default())?;
            self.connections[descriptor] =
                Some(Connection { socket, tls, begun: Vec::new(), is_open: false, is_over: false, waits: false });
        }
    }

    /// What an event is about. Returns whether the connection goes on.
    fn handle(&mut self, descriptor: usize, flags: EventFlags) -> io::Result<bool> {
        let connection = self.connections[descriptor].as_mut().expect("events come from open connections only");
        if connection.tls.get_ref().outgoing.is_empty() {
            swap(&mut connection.tls.get_mut().outgoing, &mut self.outgoing);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let begun = connection.begun.len();
            self.incoming[..begun].copy_from_slice(&connection.begun);
            connection.begun.clear();
            let received = match recv(&connection.socket, &mut self.incoming[begun..], RecvFlags::empty()) {
                Err(Errno::AGAIN) => 0,
                Ok((0, _)) | Err(_) => return Ok(false),
                Ok((received, _)) => received,
            };
            let ciphertext = connection.tls.get_mut();
            (ciphertext.taken, ciphertext.filled) = (0, begun + received);
            swap(&mut ciphertext.incoming, &mut self.incoming);
            let goes_on = connection.answer(&mut self.plaintext, self.once);
            let ciphertext = connection.tls.get_mut();
            swap(&mut ciphertext.incoming, &mut self.incoming);
            if !goes_on {
                return Ok(false);
            }
            connection.begun.extend_from_slice(&self.incoming[ciphertext.taken..ciphertext.filled]);
        }
        let goes_on = connection.send(&self.poll)?;
        if connection.tls.get_ref().outgoing.is_empty() {
            swap(&mut connection.tls.get_mut().outgoing, &mut self.outgoing);
        }
        Ok(goes_on)
    }
}

impl Connection {
    /// Shake hands, or encrypt what was decrypted. False if the connection is broken.
    fn answer(&mut self, plaintext: &mut [u8], once: bool) -> bool {
        if !self.is_open {
            match self.tls.accept() {
                Ok(()) => self.is_open = true,
                Err(error) => return error.code() == ErrorCode::WANT_READ,
            }
        }
        loop {
            match self.tls.ssl_read(plaintext) {
                Ok(count) => {
                    if self.tls.ssl_write(&plaintext[..count]).is_err() {
                        return false;
                    }
                    self.is_over = once;
                }
                Err(error) => match error.code() {
                    ErrorCode::WANT_READ => break,
                    ErrorCode::ZERO_RETURN => {
                        self.is_over = true;
                        break;
                    }
                    _ => return false,
                },
            }
        }
        !self.is_over || self.tls.shutdown().is_ok()
    }

    /// One write of all that there is. Returns whether the connection goes on.
    fn send(&mut self, poll: &Poll) -> io::Result<bool> {
        let outgoing = &mut self.tls.get_mut().outgoing;
        if !outgoing.is_empty() {
            match send(&self.socket, outgoing, SendFlags::NOSIGNAL) {
                Ok(sent) if sent == outgoing.len() => outgoing.clear(),
                Ok(sent) => drop(outgoing.drain(..sent)),
                Err(Errno::AGAIN) => (),
                Err(_) => return Ok(false),
            }
        }
        let waits = !outgoing.is_empty();
        if waits != self.waits {
            self.waits = waits;
            let flags = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            poll.modify(&self.socket, flags)?;
        }
        Ok(waits || !self.is_over)
    }
}
