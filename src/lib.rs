use pyo3::prelude::*;

#[pymodule]
fn _asyncio(_m: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
