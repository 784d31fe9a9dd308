//! Writes ids to `NumPy` arrays: new ones or the caller's, as uint32 or uint16.

use std::panic::catch_unwind;

use bytemill::token_file::{Width, narrowed};
use numpy::{
    Element, PyArray1, PyArrayDescr, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PySlice;

use crate::error::{CoreError, raise};

const MOST_COPIED_IDS: usize = 1024;

/// The destination of ids; created before the work, so that an unusable array is refused immediately.
pub(crate) struct Output<'py> {
    width: Width,
    out: Option<Bound<'py, PyUntypedArray>>,
}

impl<'py> Output<'py> {
    /// Create the destination. If `out` is given, it decides the width; if `dtype` is given too, it must be the same.
    pub(crate) fn new(
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        find_numpy(py)?;
        let asked = dtype.map(width_of).transpose()?;
        let Some(out) = out else { return Ok(Self { width: asked.unwrap_or(Width::Four), out: None }) };
        let array = out
            .cast::<PyUntypedArray>()
            .map_err(|_| PyTypeError::new_err(format!("out must be a numpy array, found {}", type_name(out))))?;
        let width = width_of(array.dtype().as_any())?;
        if asked.is_some_and(|asked| asked != width) {
            return Err(argument(format!("out holds {}, but dtype asks for another type", array.dtype())));
        }
        if array.ndim() != 1 || !array.is_c_contiguous() {
            let shape = array.shape();
            return Err(argument(format!("out must be contiguous and of one dimension, this one has shape {shape:?}")));
        }
        if !array.getattr("flags")?.getattr("writeable")?.extract::<bool>()? {
            return Err(argument("out is read-only, expected an array to write to".to_owned()));
        }
        Ok(Self { width, out: Some(array.clone()) })
    }

    /// Return the ids in a new array, or write them to the start of the caller's array and return that part.
    pub(crate) fn filled(self, py: Python<'py>, ids: Vec<u32>) -> PyResult<Bound<'py, PyAny>> {
        match self.width {
            Width::Four => self.placed(py, ids),
            Width::Two => self.placed(py, narrowed(&ids, 0).map_err(CoreError::from)?),
        }
    }

    fn placed<T: Element + Copy>(self, py: Python<'py>, ids: Vec<T>) -> PyResult<Bound<'py, PyAny>> {
        let Some(out) = self.out else {
            // Copying a few ids is quicker than creating an object that owns them.
            let is_short = ids.len() <= MOST_COPIED_IDS;
            let array = if is_short { PyArray1::from_slice(py, &ids) } else { PyArray1::from_vec(py, ids) };
            return Ok(array.into_any());
        };
        if out.len() < ids.len() {
            return Err(argument(format!("out has room for {} ids, the text has {}", out.len(), ids.len())));
        }
        let array = out.cast::<PyArray1<T>>()?;
        let mut writable = array.try_readwrite().map_err(|error| {
            argument(format!("out cannot be written to ({error}), expected an array that is not in use"))
        })?;
        let slice = writable.as_slice_mut().map_err(|_| argument("out is not aligned".to_owned()))?;
        slice[..ids.len()].copy_from_slice(&ids);
        array.as_any().get_item(PySlice::new(py, 0, isize::try_from(ids.len())?, 1))
    }
}

/// Import `NumPy` before long work: numpy's crate panics if it cannot import it later, as after
/// Ctrl-C.
pub(crate) fn find_numpy(py: Python<'_>) -> PyResult<()> {
    static FOUND: PyOnceLock<()> = PyOnceLock::new();
    let find = || {
        py.import("numpy")?;
        py.check_signals()?;
        // A signal between the two is also Ctrl-C, and the next call imports the rest.
        catch_unwind(|| Python::attach(|py| drop(numpy::dtype::<u32>(py))))
            .map_err(|_| PyKeyboardInterrupt::new_err(()))
    };
    FOUND.get_or_try_init(py, find).copied()
}

/// Return the width that a dtype requests: anything that `NumPy` accepts as uint16 or uint32.
pub(crate) fn width_of(dtype: &Bound<'_, PyAny>) -> PyResult<Width> {
    let py = dtype.py();
    let described = PyArrayDescr::new(py, dtype)?;
    if described.is_equiv_to(&numpy::dtype::<u32>(py)) {
        Ok(Width::Four)
    } else if described.is_equiv_to(&numpy::dtype::<u16>(py)) {
        Ok(Width::Two)
    } else {
        Err(argument(format!("dtype is {described}, expected uint16 or uint32")))
    }
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}

fn argument(message: String) -> PyErr {
    raise("ArgumentError", message)
}
