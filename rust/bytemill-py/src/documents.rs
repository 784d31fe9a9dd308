//! The documents of one file, for commands that read text as the core does.

use std::path::PathBuf;

use bytemill::corpus::{Reading, for_each_document};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::CoreError;

/// The documents of a file of text or .jsonl, either as .gz or .zst, as bytes; all of them at once.
#[pyfunction]
pub(crate) fn read_documents<'py>(
    py: Python<'py>,
    path: PathBuf,
    text_field: &str,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let mut documents = Vec::new();
    let reading = Reading { text_field, separator: None };
    let read = py.detach(|| {
        for_each_document(&path, reading, |_, document| {
            documents.push(document.to_vec());
            Ok(())
        })
    });
    read.map_err(CoreError::from)?;
    Ok(documents.iter().map(|document| PyBytes::new(py, document)).collect())
}
