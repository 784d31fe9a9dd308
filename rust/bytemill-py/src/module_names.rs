//! Patterns over the names of modules, by the core's regular expressions: their time is bounded, Python's is not.

use bytemill::split;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Which of `names` the pattern matches as a whole.
#[pyfunction]
pub(crate) fn matches_whole(pattern: &str, names: Vec<String>) -> PyResult<Vec<bool>> {
    Ok(split::matches_whole(pattern, &names).map_err(CoreError::from)?)
}
