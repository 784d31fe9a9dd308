//! Lists of ids out of int objects that are there already: one more reference takes a fifth of the time of a new object.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList};

/// The int objects 0 to `n_vocab - 1`, made when so many were asked for that it pays.
#[derive(Default)]
pub(crate) struct Ints {
    made: PyOnceLock<Vec<Py<PyInt>>>,
    n_asked: AtomicUsize,
}

impl Ints {
    /// The list of `ids`, each below `n_vocab`.
    pub(crate) fn list<'py>(&self, py: Python<'py>, ids: &[u32], n_vocab: usize) -> PyResult<Bound<'py, PyList>> {
        let Some(ints) = self.ints(py, ids.len(), n_vocab) else { return PyList::new(py, ids) };
        PyList::new(py, ids.iter().map(|&id| &ints[id as usize]))
    }

    fn ints(&self, py: Python<'_>, n_asked: usize, n_vocab: usize) -> Option<&[Py<PyInt>]> {
        if let Some(ints) = self.made.get(py) {
            return Some(ints);
        }
        if self.n_asked.fetch_add(n_asked, Ordering::Relaxed) + n_asked < n_vocab {
            return None;
        }
        let make = || (0..n_vocab).map(|id| PyInt::new(py, id as u32).unbind()).collect();
        Some(self.made.get_or_init(py, make))
    }
}
