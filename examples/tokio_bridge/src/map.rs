//! The other direction: Rust awaits a Python coroutine function.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{future_into_py_with_locals, get_current_locals, scope};
use pyo3_async_runtimes::{TaskLocals, into_future_with_locals};

use crate::fetch::{all, permits};

/// `await callback(item)`, as a task of the loop and in the context that the locals have.
pub(crate) async fn call_back(
    locals: &TaskLocals,
    callback: &Py<PyAny>,
    item: impl for<'py> IntoPyObject<'py>,
) -> PyResult<Py<PyAny>> {
    // Attached only to start it: whoever waits attached keeps Python from running, and deadlocks.
    let result = Python::attach(|py| into_future_with_locals(locals, callback.bind(py).call1((item,))?))?;
    result.await
}

#[pyfunction]
#[pyo3(signature = (callback, items, *, limit = 8))]
pub(crate) fn map(
    py: Python<'_>,
    callback: Py<PyAny>,
    items: Vec<Py<PyAny>>,
    limit: usize,
) -> PyResult<Bound<'_, PyAny>> {
    let permits = permits(limit)?;
    let callback = Arc::new(callback);
    // A task that tokio spawns does not inherit them: they are taken here, where Python calls.
    let locals = get_current_locals(py)?;
    future_into_py_with_locals(py, locals.clone(), async move {
        all(items.into_iter().map(|item| {
            let (callback, permits, locals) = (callback.clone(), permits.clone(), locals.clone());
            // What the callback calls of this extension finds the locals as well.
            scope(locals.clone(), async move {
                let _permit = permits.acquire().await;
                call_back(&locals, &callback, item).await
            })
        }))
        .await
    })
}
