//! Whole files for Python, by the one way of the core to write them.

use std::path::PathBuf;

use bytemill::durable;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Makes the file `path` hold `contents`, or leaves it as it was; what is no file is written to, never replaced.
#[pyfunction]
pub(crate) fn write_whole(py: Python<'_>, path: PathBuf, contents: &[u8]) -> PyResult<()> {
    Ok(py.detach(|| durable::write(&path, contents)).map_err(CoreError::from)?)
}
