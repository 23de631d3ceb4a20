//! Futures that do as good as nothing, for tests and benchmarks of the bridge itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{future_into_py, future_into_py_with_locals, get_current_locals};
use tokio::sync::watch;

use crate::map::call_back;

/// Python's `None`; the unit would be an empty tuple.
const NOTHING: Option<()> = None;

#[pyfunction]
pub(crate) fn short(py: Python<'_>, value: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        tokio::task::yield_now().await;
        Ok(value)
    })
}

#[pyfunction]
pub(crate) fn sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))?;
    future_into_py(py, async move {
        tokio::time::sleep(time).await;
        Ok(NOTHING)
    })
}

#[pyfunction]
pub(crate) fn fail(py: Python<'_>, exception: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let error = PyErr::from_value(exception);
    future_into_py(py, async move { Err::<(), _>(error) }).map(Bound::unbind)
}

#[pyfunction]
pub(crate) fn panic(py: Python<'_>, message: String) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        tokio::task::yield_now().await;
        assert!(message.is_empty(), "{message}");
        Ok(NOTHING)
    })
}

#[pyfunction]
pub(crate) fn call(py: Python<'_>, callback: Py<PyAny>, times: usize) -> PyResult<Bound<'_, PyAny>> {
    let locals = get_current_locals(py)?;
    future_into_py_with_locals(py, locals.clone(), async move {
        for number in 0..times {
            call_back(&locals, &callback, number).await?;
        }
        Ok(NOTHING)
    })
}

/// Counts itself.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[pyclass(frozen, module = "tokio_bridge")]
pub(crate) struct Gate {
    is_open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
}

#[pymethods]
impl Gate {
    #[new]
    fn new() -> Self {
        Gate { is_open: watch::Sender::new(false), waiting: Arc::default() }
    }

    fn wait<'py>(&self, py: Python<'py>, value: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let counted = Counted::new(&self.waiting);
        let mut is_open = self.is_open.subscribe();
        future_into_py(py, async move {
            let _counted = counted;
            let _ = is_open.wait_for(|&is_open| is_open).await; // or the gate is gone
            Ok(value)
        })
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }

    #[getter]
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}
