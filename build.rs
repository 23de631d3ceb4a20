//! Makes PyO3's interpreter facts (`Py_3_12`, `Py_3_14`, `Py_GIL_DISABLED`, …) visible to `src/sys/compat.rs`.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
