//! Makes the facts that `pyo3` knows of the interpreter (`Py_3_12`, `Py_GIL_DISABLED`, …) visible to `src/sys/compat.rs`.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
