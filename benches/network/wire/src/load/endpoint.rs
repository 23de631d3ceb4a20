//! One client's way to the server and back.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use openssl::ssl::{Ssl, SslContext, SslStream};
use rustix::net::sockopt::set_socket_linger;

/// How long an answer is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Blocking: who waits for several asks epoll first. Messages are small enough that a server which reads always, and
/// answers at once, takes them in.
pub(crate) struct Endpoint {
    requests: File,
    /// Where the answers come from, if not from the same file.
    answers: Option<File>,
    /// What encrypts, on the same socket.
    tls: Option<RefCell<SslStream<TcpStream>>>,
}

/// Where TCP connections go, and how.
pub(crate) struct Way {
    pub(crate) port: u16,
    /// With TLS, whose certificates are not looked at: all bytes are compared.
    pub(crate) tls: Option<SslContext>,
}

impl Way {
    pub(crate) fn connect(&self) -> io::Result<Endpoint> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        socket.set_nodelay(true)?;
        self.endpoint(socket)
    }

    /// A connection that leaves no trace in the kernel when it is closed: ports are scarce.
    pub(crate) fn connect_once(&self) -> io::Result<Endpoint> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        set_socket_linger(&socket, Some(Duration::ZERO))?;
        self.endpoint(socket)
    }

    fn endpoint(&self, socket: TcpStream) -> io::Result<Endpoint> {
        socket.set_read_timeout(Some(PATIENCE))?;
        let requests = File::from(OwnedFd::from(socket.try_clone()?));
        let Some(context) = &self.tls else { return Ok(Endpoint { requests, answers: None, tls: None }) };
        let tls = Ssl::new(context)?.connect(socket).map_err(io::Error::other)?;
        Ok(Endpoint { requests, answers: None, tls: Some(RefCell::new(tls)) })
    }
}

impl Endpoint {
    pub(crate) fn udp(port: u16) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect((Ipv4Addr::LOCALHOST, port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { requests: OwnedFd::from(socket).into(), answers: None, tls: None })
    }

    pub(crate) fn pipes(directory: &Path) -> io::Result<Self> {
        let requests = File::options().write(true).open(directory.join("requests"))?;
        Ok(Self { requests, answers: Some(File::open(directory.join("answers"))?), tls: None })
    }

    pub(crate) fn send(&self, request: &[u8]) -> io::Result<()> {
        match &self.tls {
            Some(tls) => tls.borrow_mut().write_all(request),
            None => (&self.requests).write_all(request),
        }
    }

    /// What there is, at least one byte.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.receive_or_end(buffer) {
            Ok(0) => Err(closed()),
            received => received,
        }
    }

    /// The same; nothing at the end. With TLS the server is told that its end was seen.
    pub(crate) fn receive_or_end(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = match &self.tls {
            Some(tls) => {
                let received = tls.borrow_mut().read(buffer);
                if matches!(received, Ok(0)) {
                    let _ = tls.borrow_mut().shutdown(); // it may have gone already
                }
                received
            }
            None => self.answers().read(buffer),
        };
        match received {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(silent()),
            received => received,
        }
    }

    fn answers(&self) -> &File {
        self.answers.as_ref().unwrap_or(&self.requests)
    }
}

/// What is wrong where an answer should have come.
pub(crate) fn silent() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()))
}

/// What is wrong where no end should be.
pub(crate) fn closed() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answers().as_fd()
    }
}
