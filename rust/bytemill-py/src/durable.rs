//! Writes whole files for Python with the core's atomic writer.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytemill::Error;
use bytemill::durable;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Make the file `path` hold `contents`, or leave it unchanged. A path that is not a regular file is written in place.
#[pyfunction]
pub(crate) fn write_whole(py: Python<'_>, path: PathBuf, contents: &[u8]) -> PyResult<()> {
    Ok(py.detach(|| durable::write(&path, contents)).map_err(CoreError::from)?)
}

/// A file that gets its name at `commit`; if it is discarded before, it is removed. `bytemill.files` documents it.
#[pyclass(frozen, module = "bytemill._core")]
pub(crate) struct DurableFile {
    path: PathBuf,
    open: Mutex<Option<durable::DurableFile>>,
}

#[pymethods]
impl DurableFile {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let file = py.detach(|| durable::DurableFile::create(&path)).map_err(CoreError::from)?;
        Ok(Self { path, open: Mutex::new(Some(file)) })
    }

    /// Return the path of the temporary file, for a library that writes it by name; None for a pipe or a device.
    fn hand_over(&self, py: Python<'_>) -> PyResult<Option<PathBuf>> {
        let handed_over = py.detach(|| {
            self.lock().as_mut().map(|file| file.hand_over().map(|temporary| temporary.map(Path::to_owned)))
        });
        Ok(handed_over.ok_or_else(closed)?.map_err(CoreError::from)?)
    }

    /// Append bytes.
    fn write(&self, py: Python<'_>, contents: &[u8]) -> PyResult<()> {
        let written = py.detach(|| self.lock().as_mut().map(|file| file.write_all(contents)));
        Ok(written.ok_or_else(closed)?.map_err(Error::io(&self.path)).map_err(CoreError::from)?)
    }

    /// Continue with the file that a library has written after `hand_over`.
    fn reopen(&self, py: Python<'_>) -> PyResult<()> {
        let reopened = py.detach(|| self.lock().as_mut().map(durable::DurableFile::reopen));
        Ok(reopened.ok_or_else(closed)?.map_err(CoreError::from)?)
    }

    /// Flush the file to disk and give it its name.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let file = self.lock().take().ok_or_else(closed)?;
        Ok(py.detach(|| file.commit()).map_err(CoreError::from)?)
    }

    /// Remove the written data; does nothing after `commit`.
    fn discard(&self) {
        drop(self.lock().take());
    }
}

impl DurableFile {
    fn lock(&self) -> MutexGuard<'_, Option<durable::DurableFile>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("this file was committed or discarded already")
}
