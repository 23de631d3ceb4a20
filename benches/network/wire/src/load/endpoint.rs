//! One client's way to the server and back.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// How long an answer is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Blocking: who waits for several asks epoll first. Messages are small enough that a server which reads always, and
/// answers at once, takes them in.
pub(crate) struct Endpoint {
    requests: File,
    /// Where the answers come from, if not from the same file.
    answers: Option<File>,
}

impl Endpoint {
    pub(crate) fn tcp(port: u16) -> io::Result<Self> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { requests: OwnedFd::from(socket).into(), answers: None })
    }

    /// A connection that leaves no trace in the kernel when it is closed: ports are scarce.
    pub(crate) fn tcp_once(port: u16) -> io::Result<Self> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        set_socket_linger(&socket, Some(Duration::ZERO))?;
        Ok(Self { requests: OwnedFd::from(socket).into(), answers: None })
    }

    pub(crate) fn udp(port: u16) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect((Ipv4Addr::LOCALHOST, port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { requests: OwnedFd::from(socket).into(), answers: None })
    }

    pub(crate) fn pipes(directory: &Path) -> io::Result<Self> {
        let requests = File::options().write(true).open(directory.join("requests"))?;
        Ok(Self { requests, answers: Some(File::open(directory.join("answers"))?) })
    }

    pub(crate) fn send(&self, request: &[u8]) -> io::Result<()> {
        (&self.requests).write_all(request)
    }

    /// What there is, at least one byte.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.receive_or_end(buffer) {
            Ok(0) => Err(closed()),
            received => received,
        }
    }

    /// The same; nothing at the end.
    pub(crate) fn receive_or_end(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.answers().read(buffer) {
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
