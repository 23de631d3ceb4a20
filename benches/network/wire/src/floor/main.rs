//! The floor: servers that do the least that an answer takes, a wait, a read and a write, in one thread on epoll. What
//! Python's servers are compared with.
//!
//! The arguments are what it serves and how many clients there are; for pipes, the directory that they are in; for TLS,
//! that of the certificate. A line of JSON on standard output says the port. The process ends with its standard input.

mod datagrams;
mod pipes;
mod streams;
mod tls;

use std::env::args;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::exit;
use std::thread;

/// Bytes that a read asks for: more than a message has.
const READ: usize = 256 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo"] => streams::serve(false),
        ["connect"] => streams::serve(true),
        ["tls", directory] => tls::serve(Path::new(directory), false),
        ["handshake", directory] => tls::serve(Path::new(directory), true),
        ["udp", clients] => datagrams::serve(clients.parse().map_err(io::Error::other)?),
        ["pipes", directory] => pipes::serve(Path::new(directory)),
        _ => Err(io::Error::other(format!("unknown: {arguments:?}"))),
    }
}

/// Say where the server is; from now on, end the process with its standard input.
fn ready(port: u16) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "{port}")?;
    output.flush()?;
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        exit(0);
    });
    Ok(())
}
