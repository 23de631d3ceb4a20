//! The load: clients of a measured server, the same for all servers, on plain blocking sockets and epoll.
//!
//!     load echo|udp|websocket|connect|tls|handshake PORT CLIENTS SIZE [IDLE]
//!     load http PORT CLIENTS BODY
//!     load pipes DIRECTORY 1 SIZE
//!
//! `tls` is `echo` by TLS, `handshake` is `connect` by TLS. SIZE is that of a message, BODY what a GET must be answered. IDLE more connections are made and tried once. It
//! connects, checks the server, says "ready"; then each line on standard input is the seconds of a burst, which a line
//! of JSON on standard output tells of, or "check". All bytes of all answers are compared with what they must be; a
//! check sends random bytes of its own on each connection. What is wrong ends the process.

mod burst;
mod endpoint;
mod exchange;

use std::env::args;
use std::error::Error;
use std::io::{self, ErrorKind, Write, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use burst::Burst;
use endpoint::{Endpoint, Way};
use exchange::{Exchange, upgrade};
use openssl::ssl::{SslContext, SslMethod};

/// Messages of each client that a check compares.
const CHECKS: usize = 2;

/// How messages are made.
enum Messages {
    Echo(usize),
    Websocket(usize),
    Http(Vec<u8>),
}

impl Messages {
    fn exchange(&self, client: Option<&Endpoint>) -> io::Result<Exchange> {
        match self {
            Self::Echo(size) => Exchange::echo(*size),
            Self::Websocket(size) => Exchange::websocket(*size),
            Self::Http(body) => Exchange::http(client.ok_or(ErrorKind::NotConnected)?, body),
        }
    }

    /// Compare answers, with messages of all clients under way at the same time.
    fn check(&self, clients: &[Endpoint]) -> io::Result<()> {
        let exchanges = clients.iter().map(|client| self.exchange(Some(client))).collect::<io::Result<Vec<_>>>()?;
        for (client, exchange) in clients.iter().zip(&exchanges) {
            client.send(&exchange.request)?;
        }
        for (client, exchange) in clients.iter().zip(&exchanges) {
            exchange.answer.receive(client, &mut vec![0; exchange.answer.len()])?;
        }
        Ok(())
    }
}

/// Who sends them.
enum Clients {
    Connected(Vec<Endpoint>),
    Connecting { way: Way, number: usize },
}

struct Load {
    messages: Messages,
    clients: Clients,
    exchange: Exchange, // of all bursts
    _idle: Vec<Endpoint>,
}

impl Load {
    fn new(arguments: &[String]) -> io::Result<Self> {
        let [kind, address, clients, message, idle @ ..] = arguments else {
            return Err(io::Error::other("KIND ADDRESS CLIENTS MESSAGE [IDLE]"));
        };
        let messages = match kind.as_str() {
            "http" => Messages::Http(message.clone().into_bytes()),
            "websocket" => Messages::Websocket(parse(message)?),
            _ => Messages::Echo(parse(message)?),
        };
        let number = parse(clients)?;
        let way = || -> io::Result<Way> {
            let is_tls = matches!(kind.as_str(), "tls" | "handshake");
            let tls = if is_tls { Some(SslContext::builder(SslMethod::tls_client())?.build()) } else { None };
            Ok(Way { port: parse(address)?, tls })
        };
        if matches!(kind.as_str(), "connect" | "handshake") {
            let clients = Clients::Connecting { way: way()?, number };
            return Ok(Self { exchange: messages.exchange(None)?, messages, clients, _idle: Vec::new() });
        }
        let stream = if matches!(kind.as_str(), "echo" | "websocket" | "http" | "tls") { Some(way()?) } else { None };
        let connect = || match (kind.as_str(), &stream) {
            (_, Some(way)) => way.connect(),
            ("udp", _) => Endpoint::udp(parse(address)?),
            ("pipes", _) => Endpoint::pipes(Path::new(address)),
            _ => Err(io::Error::other(format!("unknown: {kind}"))),
        };
        let clients = (0..number).map(|_| connect()).collect::<io::Result<Vec<_>>>()?;
        if kind == "websocket" {
            clients.iter().try_for_each(upgrade)?;
        }
        let mut idle_clients = Vec::new();
        for _ in 0..idle.first().map_or(Ok(0), |idle| parse(idle))? {
            idle_clients.push(connect()?);
            messages.check(&idle_clients[idle_clients.len() - 1..])?; // so that the server keeps up
        }
        let exchange = messages.exchange(clients.first())?;
        Ok(Self { exchange, messages, clients: Clients::Connected(clients), _idle: idle_clients })
    }

    fn check(&self) -> io::Result<()> {
        match &self.clients {
            Clients::Connected(clients) => (0..CHECKS).try_for_each(|_| self.messages.check(clients)),
            Clients::Connecting { .. } => self.burst(Duration::ZERO).map(drop),
        }
    }

    fn burst(&self, length: Duration) -> io::Result<Burst> {
        match &self.clients {
            Clients::Connected(clients) => match &clients[..] {
                [client] => burst::alone(client, &self.exchange, length),
                clients => burst::together(clients, &self.exchange, length),
            },
            Clients::Connecting { way, number } => burst::connecting(way, *number, &self.exchange, length),
        }
    }
}

fn parse<T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>>(text: &str) -> io::Result<T> {
    text.parse().map_err(io::Error::other)
}

fn say(what: &str) -> io::Result<()> {
    let mut output = stdout().lock();
    writeln!(output, "{what}")?;
    output.flush()
}

fn run() -> io::Result<()> {
    let load = Load::new(&args().skip(1).collect::<Vec<_>>())?;
    load.check()?;
    say("\"ready\"")?;
    for line in stdin().lines() {
        match line?.as_str() {
            "check" => {
                load.check()?;
                say("true")?;
            }
            seconds => {
                let length = Duration::try_from_secs_f64(parse(seconds)?).map_err(io::Error::other)?;
                say(&load.burst(length)?.json())?;
            }
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
