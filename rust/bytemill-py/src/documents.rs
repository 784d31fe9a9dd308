//! The documents of files, for commands that read text in the same way as the core.

use std::path::PathBuf;

use bytemill::corpus::{Reading, expand, for_each_document};
use bytemill::{Error, Result, interrupt};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::listener::interruptibly;

/// Return the documents of files and folders, in order, until they have `max_bytes`.
#[pyfunction]
#[pyo3(signature = (files, *, text_field = "text", separator = None, max_bytes = usize::MAX))]
pub(crate) fn read_documents<'py>(
    py: Python<'py>,
    files: Vec<PathBuf>,
    text_field: &str,
    separator: Option<&str>,
    max_bytes: usize,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let reading = Reading { text_field, separator: separator.map(str::as_bytes), ..Reading::default() };
    let documents = interruptibly(py, || first_documents(&files, reading, max_bytes))?;
    Ok(documents.iter().map(|document| PyBytes::new(py, document)).collect())
}

fn first_documents(paths: &[PathBuf], reading: Reading, max_bytes: usize) -> Result<Vec<Vec<u8>>> {
    let mut documents: Vec<Vec<u8>> = Vec::new();
    let mut left = max_bytes;
    for path in expand(paths)? {
        let read = for_each_document(&path, reading, |_, document| {
            interrupt::check();
            let taken = &document[..document.len().min(left)];
            left -= taken.len();
            documents.push(taken.to_vec());
            if left == 0 { Err(Error::Interrupted) } else { Ok(()) }
        });
        match read {
            Err(Error::Interrupted) => break,
            read => read?,
        }
    }
    Ok(documents)
}
