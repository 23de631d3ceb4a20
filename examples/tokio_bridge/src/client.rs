//! One connection: a request is a line, its answer is a line, or several up to an empty one.

use std::io;
use std::sync::Arc;

use pyo3::exceptions::{PyConnectionError, PyStopAsyncIteration};
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

pub(crate) struct Connection {
    /// Loses nothing when the wait for a line is cancelled.
    lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Connection {
    pub(crate) async fn open(host: &str, port: u16) -> io::Result<Self> {
        let (reader, writer) = TcpStream::connect((host, port)).await?.into_split();
        Ok(Connection { lines: BufReader::new(reader).lines(), writer })
    }

    async fn send(&mut self, request: &str) -> io::Result<()> {
        self.writer.write_all(format!("{request}\n").as_bytes()).await
    }

    async fn receive(&mut self) -> io::Result<String> {
        let line = self.lines.next_line().await?;
        line.ok_or_else(|| io::Error::new(io::ErrorKind::ConnectionAborted, "the other side closed the connection"))
    }

    pub(crate) async fn request(&mut self, request: &str) -> io::Result<String> {
        self.send(request).await?;
        self.receive().await
    }
}

/// Where the connection is between two requests. Who uses it takes it out, and puts it back when the answer is
/// complete. A request that is cancelled drops it with the unread answer, which so cannot be taken for the next one's.
enum Slot {
    Idle(Connection),
    Taken,
    Closed,
}

impl Slot {
    fn take(&mut self) -> PyResult<Connection> {
        match std::mem::replace(self, Slot::Taken) {
            Slot::Idle(connection) => Ok(connection),
            Slot::Taken => Err(PyConnectionError::new_err("the last answer was not read to its end")),
            Slot::Closed => {
                *self = Slot::Closed;
                Err(PyConnectionError::new_err("the client is closed"))
            }
        }
    }

    fn put_back(&mut self, connection: Connection) {
        if matches!(self, Slot::Taken) {
            *self = Slot::Idle(connection);
        }
    }
}

#[pyclass(frozen, module = "tokio_bridge")]
pub(crate) struct Client(Arc<Mutex<Slot>>);

#[pyfunction]
pub(crate) fn connect(py: Python<'_>, host: String, port: u16) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        let connection = Connection::open(&host, port).await?;
        Ok(Client(Arc::new(Mutex::new(Slot::Idle(connection)))))
    })
}

#[pymethods]
impl Client {
    fn request<'py>(&self, py: Python<'py>, line: String) -> PyResult<Bound<'py, PyAny>> {
        let slot = self.0.clone();
        future_into_py(py, async move {
            let mut slot = slot.lock().await; // requests are answered one after the other
            let mut connection = slot.take()?;
            let answer = connection.request(&line).await?;
            slot.put_back(connection);
            Ok(answer)
        })
    }

    fn lines(&self, line: String) -> Lines {
        Lines(Arc::new(Mutex::new(Stream::Unsent { slot: self.0.clone(), request: line })))
    }

    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let slot = self.0.clone();
        future_into_py(py, async move {
            if let Slot::Idle(mut connection) = std::mem::replace(&mut *slot.lock().await, Slot::Closed) {
                connection.writer.shutdown().await?;
            }
            Ok(None::<()>) // None in Python; the unit would be an empty tuple
        })
    }
}

enum Stream {
    Unsent { slot: Arc<Mutex<Slot>>, request: String },
    Reading { slot: Arc<Mutex<Slot>>, connection: Connection },
    Ended,
}

impl Stream {
    async fn next(&mut self) -> PyResult<Option<String>> {
        if let Stream::Unsent { slot, request } = self {
            let mut connection = slot.lock().await.take()?;
            connection.send(request).await?;
            *self = Stream::Reading { slot: slot.clone(), connection };
        }
        let Stream::Reading { connection, .. } = self else {
            return Ok(None);
        };
        let line = connection.receive().await?;
        if !line.is_empty() {
            return Ok(Some(line));
        }
        if let Stream::Reading { slot, connection } = std::mem::replace(self, Stream::Ended) {
            slot.lock().await.put_back(connection);
        }
        Ok(None)
    }
}

/// Dropped before its end, it drops the connection.
#[pyclass(frozen, module = "tokio_bridge")]
pub(crate) struct Lines(Arc<Mutex<Stream>>);

#[pymethods]
impl Lines {
    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stream = self.0.clone();
        future_into_py(py, async move {
            let line = stream.lock().await.next().await?;
            line.ok_or_else(|| PyStopAsyncIteration::new_err(()))
        })
    }
}
