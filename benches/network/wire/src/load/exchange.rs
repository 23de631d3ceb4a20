//! A request, and what must come back.

use std::fs::File;
use std::io::{self, Read};

use crate::endpoint::Endpoint;

/// What stands in front of an HTTP answer that is right.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";
const NOT_THE_ANSWER: &str = "the server's answer is not what it was sent";
const BINARY: u8 = 0x82; // a message of one frame
const MASKED: u8 = 0x80; // beside a length

pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Answer,
}

/// The bytes that must come. Those in the middle may be others: an HTTP answer has a date.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    head: usize,
    tail: usize,
}

impl Exchange {
    /// A line of random bytes, which must come back: a newline is at its end only, for a server may read lines.
    pub(crate) fn echo(size: usize) -> io::Result<Self> {
        let line = line(size)?;
        Ok(Self { request: line.clone(), answer: Answer::exactly(line) })
    }

    /// The same as a WebSocket's message, masked on the way to the server.
    pub(crate) fn websocket(size: usize) -> io::Result<Self> {
        let payload = line(size)?;
        let mask = random(4)?;
        let mut request = frame_head(size, MASKED);
        request.extend_from_slice(&mask);
        request.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let mut answer = frame_head(size, 0);
        answer.extend_from_slice(&payload);
        Ok(Self { request, answer: Answer::exactly(answer) })
    }

    /// A GET, asked once to learn how long the answer is, which must end with `body`.
    pub(crate) fn http(endpoint: &Endpoint, body: &[u8]) -> io::Result<Self> {
        endpoint.send(GET)?;
        let mut bytes = head(endpoint)?;
        let length = bytes.len();
        bytes.resize(length + body.len(), 0);
        fill(endpoint, &mut bytes[length..])?;
        if !bytes.starts_with(OK) || !bytes.ends_with(body) {
            return Err(wrong(&format!("the server answers {:?}", String::from_utf8_lossy(&bytes))));
        }
        Ok(Self { request: GET.to_vec(), answer: Answer { bytes, head: OK.len(), tail: body.len() } })
    }
}

impl Answer {
    fn exactly(bytes: Vec<u8>) -> Self {
        Self { head: bytes.len(), tail: 0, bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Refuse what has come at this place of the answer, if it is wrong.
    pub(crate) fn check(&self, at: usize, received: &[u8]) -> io::Result<()> {
        let end = at + received.len();
        if end > self.len() {
            return Err(wrong(NOT_THE_ANSWER));
        }
        let head = at..end.min(self.head).max(at);
        let tail = at.max(self.len() - self.tail).min(end)..end;
        for part in [head, tail] {
            if received[part.start - at..part.end - at] != self.bytes[part] {
                return Err(wrong(NOT_THE_ANSWER));
            }
        }
        Ok(())
    }

    /// Wait for all of it.
    pub(crate) fn receive(&self, endpoint: &Endpoint, buffer: &mut [u8]) -> io::Result<()> {
        let mut length = 0;
        while length < self.len() {
            let received = endpoint.receive(&mut buffer[..self.len() - length])?;
            self.check(length, &buffer[..received])?;
            length += received;
        }
        Ok(())
    }
}

/// The handshake of a WebSocket, without extensions.
pub(crate) fn upgrade(endpoint: &Endpoint) -> io::Result<()> {
    endpoint.send(UPGRADE)?;
    let answer = head(endpoint)?;
    if answer.starts_with(SWITCHING) {
        Ok(())
    } else {
        Err(wrong(&format!("no WebSocket: {:?}", String::from_utf8_lossy(&answer))))
    }
}

/// An HTTP answer up to the empty line.
fn head(endpoint: &Endpoint) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        fill(endpoint, &mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

fn fill(endpoint: &Endpoint, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let received = endpoint.receive(buffer)?;
        buffer = &mut buffer[received..];
    }
    Ok(())
}

fn frame_head(size: usize, masked: u8) -> Vec<u8> {
    let mut head = vec![BINARY];
    if let Ok(size @ ..126) = u8::try_from(size) {
        head.push(masked + size);
    } else if let Ok(size) = u16::try_from(size) {
        head.push(masked + 126);
        head.extend(size.to_be_bytes());
    } else {
        head.push(masked + 127);
        head.extend((size as u64).to_be_bytes());
    }
    head
}

fn line(size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = random(size)?;
    for byte in &mut bytes {
        if *byte == b'\n' {
            *byte = 0;
        }
    }
    *bytes.last_mut().expect("a message has a byte") = b'\n';
    Ok(bytes)
}

fn random(size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
