//! Matches patterns on module names with the core's regular expressions: their time is bounded, unlike Python's.

use bytemill::split;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Return for each of `names` whether the pattern matches all of it.
#[pyfunction]
pub(crate) fn matches_whole(pattern: &str, names: Vec<String>) -> PyResult<Vec<bool>> {
    Ok(split::matches_whole(pattern, &names).map_err(CoreError::from)?)
}
