//! Builds lists of ids from existing int objects: another reference takes a fifth of the time of a new object.
//!
//! The stable ABI sets list items only by one call per item, which takes longer than finding the item. So if the memory
//! layout of lists is the one `CPython` has used since 3.0, which is checked once, items are written directly.

// Writing a list's items takes a third of the time of the calls (docs/experiments/encoding.md).
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use bytemill::hints;
use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyInt, PyList};

use crate::interpreter::objects_are_known;

/// The int objects 0 to `n_vocab - 1`, created once enough ids were requested to repay the cost.
#[derive(Default)]
pub(crate) struct Ints {
    made: PyOnceLock<Made>,
    n_asked: AtomicUsize,
}

#[derive(Default)]
struct Made {
    ints: Vec<Py<PyInt>>,
    /// Whether lists have the layout of [`List`].
    lists_are_known: bool,
}

/// The number of items between checks for Ctrl-C.
const CHECK_ITEMS: usize = 1 << 20;

/// The memory layout of a list in `CPython`.
#[repr(C)]
struct List {
    head: ffi::PyVarObject,
    items: *mut *mut ffi::PyObject,
    n_allocated: ffi::Py_ssize_t,
}

impl Ints {
    /// Return the list of `ids`, each below `n_vocab`.
    pub(crate) fn list<'py>(&self, py: Python<'py>, ids: &[u32], n_vocab: usize) -> PyResult<Bound<'py, PyList>> {
        match self.made(py, ids.len(), n_vocab) {
            None => PyList::new(py, ids),
            Some(Made { ints, lists_are_known: true }) => written(py, ids, ints),
            Some(Made { ints, .. }) => PyList::new(py, ids.iter().map(|&id| &ints[id as usize])),
        }
    }

    fn made(&self, py: Python<'_>, n_asked: usize, n_vocab: usize) -> Option<&Made> {
        if let Some(made) = self.made.get(py) {
            return Some(made);
        }
        if self.n_asked.fetch_add(n_asked, Ordering::Relaxed) + n_asked < n_vocab {
            return None;
        }
        let make = || {
            let ints: Vec<_> = (0..n_vocab).map(|id| PyInt::new(py, id as u32).unbind()).collect();
            Made { lists_are_known: objects_are_known(py) && lists_are_known(py, &ints), ints }
        };
        Some(self.made.get_or_init(py, make))
    }
}

/// Return the list of `numbers`, which may be long.
pub(crate) fn of_numbers<'py>(py: Python<'py>, numbers: &[usize]) -> PyResult<Bound<'py, PyList>> {
    of(py, numbers.iter())
}

/// Return the list of `strings`, which may be long.
pub(crate) fn of_bytes<'py>(py: Python<'py>, strings: &[Vec<u8>]) -> PyResult<Bound<'py, PyList>> {
    of(py, strings.iter().map(|bytes| PyBytes::new(py, bytes)))
}

fn of<'py>(py: Python<'py>, items: impl Iterator<Item: IntoPyObject<'py>>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (i, item) in items.enumerate() {
        if (i + 1).is_multiple_of(CHECK_ITEMS) {
            py.check_signals()?;
        }
        list.append(item)?;
    }
    Ok(list)
}

/// Return whether a list of the first two `ints` has the memory layout of [`List`].
fn lists_are_known(py: Python<'_>, ints: &[Py<PyInt>]) -> bool {
    let Some(two) = ints.first_chunk::<2>() else { return false };
    let Ok(list) = PyList::new(py, two) else { return false };
    let list = list.as_ptr().cast::<List>();
    // SAFETY: a list object has at least five words in any CPython. Its items are only read if the third and the fifth
    // word equal the number of items and the capacity.
    unsafe {
        (*list).head.ob_size == 2
            && (*list).n_allocated >= 2
            && (*list).items.is_aligned()
            && !(*list).items.is_null()
            && *(*list).items == two[0].as_ptr()
            && *(*list).items.add(1) == two[1].as_ptr()
    }
}

/// Return the list of `ids`, each an index in `ints`.
fn written<'py>(py: Python<'py>, ids: &[u32], ints: &[Py<PyInt>]) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: the call returns a new list, or none and an error. Its layout is that of `List`, which `lists_are_known`
    // has checked. It has as many places as were requested, and they are valid until the list is freed. Each item that
    // counts takes a reference that is counted. When a signal handler runs, exactly the written items count.
    unsafe {
        let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(0))?;
        let n_bytes = hints::whole_huge_pages(size_of_val(ids) / size_of::<u32>() * size_of::<*mut ffi::PyObject>());
        let places = ffi::PyMem_Malloc(n_bytes).cast::<*mut ffi::PyObject>();
        if places.is_null() {
            return Err(PyMemoryError::new_err(()));
        }
        let n_allocated = n_bytes / size_of::<*mut ffi::PyObject>();
        hints::want_huge_pages(places, n_allocated);
        let content = list.as_ptr().cast::<List>();
        (*content).items = places;
        (*content).n_allocated = n_allocated.cast_signed();
        for (i, &id) in ids.iter().enumerate() {
            ahead(ids, i, ints);
            places.add(i).write(ints[id as usize].clone_ref(py).into_ptr());
            if (i + 1).is_multiple_of(CHECK_ITEMS) {
                (*content).head.ob_size = i.cast_signed() + 1; // a valid list even if the loop ends here
                py.check_signals()?;
            }
        }
        (*content).head.ob_size = ids.len().cast_signed();
        Ok(list.cast_into_unchecked())
    }
}

/// Prefetch memory that is read soon: the pointer to the object of the id `FAR` places ahead, and the object of
/// the id `NEAR` places ahead.
#[inline]
fn ahead(ids: &[u32], i: usize, ints: &[Py<PyInt>]) {
    const FAR: usize = 64;
    const NEAR: usize = 24;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect visible to the program, so any address is allowed.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        if let Some(&id) = ids.get(i + FAR) {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(&ints[id as usize]).cast());
        }
        if let Some(&id) = ids.get(i + NEAR) {
            _mm_prefetch::<_MM_HINT_T0>(ints[id as usize].as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (ids, i, ints, FAR, NEAR);
}
