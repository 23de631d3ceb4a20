//! Echo over TCP. What a socket does not take at once is kept, and written when it takes more.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, listen, recv, send};
use wire::poll::{Poll, number, number_of};

use crate::{BACKLOG, READ, ready};

struct Connection {
    socket: OwnedFd,
    unsent: Vec<u8>,
}

struct Server {
    poll: Poll,
    connections: Vec<Option<Connection>>, // by descriptor
    once: bool,                           // a connection is closed after its first answer
    buffer: Vec<u8>,
}

pub(crate) fn serve(once: bool) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    set_tcp_nodelay(&listener, true)?; // what is accepted inherits it
    let mut server = Server { poll: Poll::new(None)?, connections: Vec::new(), once, buffer: vec![0; READ] };
    server.poll.add(&listener)?;
    ready(listener.local_addr()?.port())?;
    let mut events = Vec::new();
    loop {
        server.poll.wait(&mut events)?;
        for event in &events {
            let descriptor = number_of(event);
            if descriptor == number(&listener) {
                server.accept(&listener)?;
                continue;
            }
            let flags = event.flags;
            let goes_on = (!flags.contains(EventFlags::OUT) || server.send_rest(descriptor)?)
                && (!flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
                    || server.answer(descriptor)?);
            if !goes_on {
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
            self.connections[descriptor] = Some(Connection { socket, unsent: Vec::new() });
        }
    }

    /// One read and, unless earlier bytes wait, one write. Returns whether the connection goes on.
    fn answer(&mut self, descriptor: usize) -> io::Result<bool> {
        let connection = self.connections[descriptor].as_mut().expect("events come from open connections only");
        let received = match recv(&connection.socket, &mut self.buffer[..], RecvFlags::empty()) {
            Err(Errno::AGAIN) => return Ok(true),
            Ok((0, _)) | Err(_) => return Ok(false),
            Ok((received, _)) => received,
        };
        let data = &self.buffer[..received];
        if !connection.unsent.is_empty() {
            connection.unsent.extend_from_slice(data);
            return Ok(true);
        }
        let sent = match send(&connection.socket, data, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(_) => return Ok(false),
        };
        if sent < received {
            connection.unsent.extend_from_slice(&data[sent..]);
            self.poll.modify(&connection.socket, EventFlags::IN | EventFlags::OUT)?;
            return Ok(true);
        }
        Ok(!self.once)
    }

    /// One write of what an earlier one left. Returns whether the connection goes on.
    fn send_rest(&mut self, descriptor: usize) -> io::Result<bool> {
        let connection = self.connections[descriptor].as_mut().expect("events come from open connections only");
        match send(&connection.socket, &connection.unsent, SendFlags::NOSIGNAL) {
            Ok(sent) => drop(connection.unsent.drain(..sent)),
            Err(Errno::AGAIN) => (),
            Err(_) => return Ok(false),
        }
        if connection.unsent.is_empty() {
            self.poll.modify(&connection.socket, EventFlags::IN)?;
            return Ok(!self.once);
        }
        Ok(true)
    }
}
