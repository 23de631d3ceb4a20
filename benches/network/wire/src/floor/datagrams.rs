//! Echo over UDP. One socket has everybody's datagrams, so it is read until it has none left; but not after a single
//! one, for with one client there is never a second.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};

use wire::poll::Poll;

use crate::{READ, ready};

pub(crate) fn serve(clients: usize) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let poll = Poll::new(None)?;
    poll.add(&socket)?;
    ready(socket.local_addr()?.port())?;
    let (mut events, mut buffer) = (Vec::new(), vec![0; READ]);
    loop {
        poll.wait(&mut events)?;
        for _ in 0..clients {
            match socket.recv_from(&mut buffer) {
                Ok((received, sender)) => {
                    socket.send_to(&buffer[..received], sender)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}
