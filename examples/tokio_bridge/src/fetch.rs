//! Many requests, a bounded number at a time, and not too many in a second.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::Connection;

/// The results of all futures, in their order. The first error drops those that are not done, and so does being dropped.
pub(crate) async fn all<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = PyResult<T>> + Send + 'static>,
) -> PyResult<Vec<T>> {
    let mut tasks = JoinSet::new();
    for (index, future) in futures.into_iter().enumerate() {
        tasks.spawn(async move { future.await.map(|value| (index, value)) });
    }
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(result) => results.push(result?),
            Err(failure) => resume_unwind(failure.into_panic()), // nobody aborts a task of the set
        }
    }
    results.sort_unstable_by_key(|&(index, _)| index);
    Ok(results.into_iter().map(|(_, value)| value).collect())
}

/// As many permits as were asked for, which must be some.
pub(crate) fn permits(limit: usize) -> PyResult<Arc<Semaphore>> {
    if (1..=Semaphore::MAX_PERMITS).contains(&limit) {
        return Ok(Arc::new(Semaphore::new(limit)));
    }
    Err(PyValueError::new_err("limit must be at least 1"))
}

/// The time between two requests.
fn pause(per_second: f64) -> PyResult<Duration> {
    match Duration::try_from_secs_f64(1.0 / per_second) {
        Ok(pause) if !pause.is_zero() => Ok(pause),
        _ => Err(PyValueError::new_err("per_second must be a positive number")),
    }
}

#[pyfunction]
#[pyo3(signature = (host, port, requests, *, limit = 8, per_second = None))]
pub(crate) fn fetch_all(
    py: Python<'_>,
    host: String,
    port: u16,
    requests: Vec<String>,
    limit: usize,
    per_second: Option<f64>,
) -> PyResult<Bound<'_, PyAny>> {
    let permits = permits(limit)?;
    let pause = per_second.map(pause).transpose()?;
    future_into_py(py, async move {
        let pace = pause.map(|pause| {
            let mut pace = interval(pause);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Arc::new(Mutex::new(pace))
        });
        all(requests.into_iter().map(|request| {
            let (host, permits, pace) = (host.clone(), permits.clone(), pace.clone());
            async move {
                let _permit = permits.acquire().await;
                if let Some(pace) = pace {
                    pace.lock().await.tick().await;
                }
                Ok(Connection::open(&host, port).await?.request(&request).await?)
            }
        }))
        .await
    })
}
