//! Lets the code know for which interpreter it is built: `cfg(Py_GIL_DISABLED)`, as pyo3 sets it for itself.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
