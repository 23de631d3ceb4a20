//! A burst: every client sends its next request when it has the whole answer to the last one, for some time.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wire::poll::{Poll, number, number_of};

use crate::endpoint::{Endpoint, PATIENCE, Way, closed, silent};
use crate::exchange::Exchange;

/// What is told of a burst.
pub(crate) struct Burst {
    latencies: Vec<Duration>,
    elapsed: Duration,
    cpu: Duration, // of this process
}

impl Burst {
    pub(crate) fn json(mut self) -> String {
        self.latencies.sort_unstable();
        let last = self.latencies.len() - 1;
        let microseconds = |per_cent: usize| self.latencies[last * per_cent / 100].as_secs_f64() * 1e6;
        format!(
            r#"{{"requests": {}, "seconds": {:.9}, "p50": {:.3}, "p99": {:.3}, "other_cpu": {:.9}}}"#,
            self.latencies.len(),
            self.elapsed.as_secs_f64(),
            microseconds(50),
            microseconds(99),
            self.cpu.as_secs_f64(),
        )
    }
}

/// Time what yields latencies.
fn timed(requests: impl FnOnce(Instant) -> io::Result<Vec<Duration>>) -> io::Result<Burst> {
    let (cpu, start) = (cpu(), Instant::now());
    let latencies = requests(start)?;
    let elapsed = start.elapsed();
    Ok(Burst { latencies, elapsed, cpu: self::cpu().saturating_sub(cpu) })
}

fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// One client, which waits in its read.
pub(crate) fn alone(client: &Endpoint, exchange: &Exchange, length: Duration) -> io::Result<Burst> {
    let mut buffer = vec![0; exchange.answer.len()];
    timed(|start| {
        let (mut latencies, mut now) = (Vec::new(), start);
        while latencies.is_empty() || now < start + length {
            let sent = now;
            client.send(&exchange.request)?;
            exchange.answer.receive(client, &mut buffer)?;
            now = Instant::now();
            latencies.push(now - sent);
        }
        Ok(latencies)
    })
}

/// Several clients.
pub(crate) fn together(clients: &[Endpoint], exchange: &Exchange, length: Duration) -> io::Result<Burst> {
    struct Waiting {
        sent: Instant,
        received: usize,
    }
    let (poll, mut events) = (Poll::new(Some(PATIENCE))?, Vec::new());
    let mut buffer = vec![0; exchange.answer.len()];
    let places = places(clients);
    for client in clients {
        poll.add(client)?;
    }
    timed(|start| {
        let mut latencies = Vec::new();
        let mut waiting = Vec::with_capacity(clients.len());
        for client in clients {
            waiting.push(Waiting { sent: Instant::now(), received: 0 });
            client.send(&exchange.request)?;
        }
        let mut under_way = clients.len();
        while under_way > 0 {
            poll.wait(&mut events)?;
            if events.is_empty() {
                return Err(silent());
            }
            for event in &events {
                let place = places[number_of(event)];
                let (client, waiting) = (&clients[place], &mut waiting[place]);
                let received = client.receive(&mut buffer[..exchange.answer.len() - waiting.received])?;
                exchange.answer.check(waiting.received, &buffer[..received])?;
                waiting.received += received;
                if waiting.received < exchange.answer.len() {
                    continue;
                }
                let now = Instant::now();
                latencies.push(now - waiting.sent);
                if now < start + length {
                    *waiting = Waiting { sent: now, received: 0 };
                    client.send(&exchange.request)?;
                } else {
                    under_way -= 1;
                }
            }
        }
        Ok(latencies)
    })
}

/// Several clients that connect anew for each request. The server ends the connection after its answer.
pub(crate) fn connecting(way: &Way, clients: usize, exchange: &Exchange, length: Duration) -> io::Result<Burst> {
    struct Waiting {
        client: Endpoint,
        sent: Instant,
        received: usize,
    }
    let (poll, mut events) = (Poll::new(Some(PATIENCE))?, Vec::new());
    let mut buffer = vec![0; exchange.answer.len() + 1];
    let begin = || {
        let sent = Instant::now();
        let client = way.connect_once()?;
        client.send(&exchange.request)?;
        poll.add(&client)?;
        io::Result::Ok(Waiting { client, sent, received: 0 })
    };
    timed(|start| {
        let mut latencies = Vec::new();
        let mut waiting: Vec<Option<Waiting>> = Vec::new(); // by descriptor
        let put = |waiting: &mut Vec<Option<Waiting>>, new: Waiting| {
            let descriptor = number(&new.client);
            if waiting.len() <= descriptor {
                waiting.resize_with(descriptor + 1, || None);
            }
            waiting[descriptor] = Some(new);
        };
        for _ in 0..clients {
            put(&mut waiting, begin()?);
        }
        let mut under_way = clients;
        while under_way > 0 {
            poll.wait(&mut events)?;
            if events.is_empty() {
                return Err(silent());
            }
            for event in &events {
                let place = &mut waiting[number_of(event)];
                let found = place.as_mut().expect("events come from open connections only");
                let received = found.client.receive_or_end(&mut buffer)?;
                if received > 0 {
                    exchange.answer.check(found.received, &buffer[..received])?;
                    found.received += received;
                    continue;
                }
                if found.received < exchange.answer.len() {
                    return Err(closed());
                }
                let now = Instant::now();
                latencies.push(now - found.sent);
                *place = None;
                if now < start + length {
                    put(&mut waiting, begin()?);
                } else {
                    under_way -= 1;
                }
            }
        }
        Ok(latencies)
    })
}

/// Where the clients stand, by their descriptors.
fn places(clients: &[Endpoint]) -> Vec<usize> {
    let mut places = vec![0; clients.iter().map(|client| number(client) + 1).max().unwrap_or(0)];
    for (place, client) in clients.iter().enumerate() {
        places[number(client)] = place;
    }
    places
}
