//! Converts Python's strings and ids to the core's types, and back.

use std::borrow::Cow;
use std::ops::Deref;

use numpy::{PyArrayDescrMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::code_points;
use crate::error::raise;
use crate::output::find_numpy;

/// Return the string's UTF-8; lone surrogates become U+FFFD and surrogate pairs one character, as in tiktoken.
pub(crate) fn utf8<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    if let Some(written) = code_points::to_utf8(text)? {
        return Ok(Cow::Owned(written));
    }
    if let Ok(valid) = text.to_str() {
        return Ok(Cow::Borrowed(valid));
    }
    let utf16 = text.call_method1("encode", ("utf-16", "surrogatepass"))?;
    Ok(Cow::Owned(utf16.call_method1("decode", ("utf-16", "replace"))?.extract()?))
}

/// The number of ids between checks for Ctrl-C.
const CHECK_IDS: usize = 1 << 20;

/// Ids passed by Python: contiguous uint32 arrays are read in place, all others are copied.
pub(crate) enum Ids<'py> {
    Lent(PyReadonlyArray1<'py, u32>),
    Copied(Vec<u32>),
}

impl Deref for Ids<'_> {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match self {
            Self::Lent(array) => array.as_slice().unwrap_or_default(),
            Self::Copied(ids) => ids,
        }
    }
}

/// Read ids from a list (or any sequence) of int, a numpy array or a torch tensor, with one dimension.
pub(crate) fn ids<'py>(source: &Bound<'py, PyAny>) -> PyResult<Ids<'py>> {
    find_numpy(source.py())?;
    if let Ok(array) = source.extract::<PyReadonlyArray1<'py, u32>>()
        && array.is_aligned()
        && array.is_c_contiguous()
    {
        return Ok(Ids::Lent(array));
    }
    copied_ids(source).map(Ids::Copied)
}

fn copied_ids(source: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    if let Ok(list) = source.cast::<PyList>() {
        return list.iter().enumerate().map(|(position, id)| one_id(&id, position)).collect();
    }
    if let Ok(array) = source.cast::<PyUntypedArray>() {
        return array_ids(array);
    }
    if source.hasattr("detach")? && source.hasattr("numpy")? {
        let array = source.call_method0("detach")?.call_method0("cpu")?.call_method0("numpy")?;
        return array_ids(array.cast()?);
    }
    source.try_iter()?.enumerate().map(|(position, id)| one_id(&id?, position)).collect()
}

/// Return the one id passed by Python; `None` for an integer that is not a valid id.
pub(crate) fn known_id(id: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
    match id.extract() {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.is_instance_of::<PyOverflowError>(id.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn one_id(id: &Bound<'_, PyAny>, position: usize) -> PyResult<u32> {
    if (position + 1).is_multiple_of(CHECK_IDS) {
        id.py().check_signals()?;
    }
    id.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(id.py()) {
            out_of_range(&id.to_string(), position)
        } else if error.is_instance_of::<PyTypeError>(id.py()) {
            PyTypeError::new_err(format!("ids must be integers, found {id} at position {position}"))
        } else {
            error
        }
    })
}

fn out_of_range(id: &str, position: usize) -> PyErr {
    raise("DataError", format!("token id {id} at position {position} is out of range, ids are 0 to 4294967295"))
}

fn array_ids(array: &Bound<'_, PyUntypedArray>) -> PyResult<Vec<u32>> {
    if array.ndim() != 1 {
        return Err(PyValueError::new_err(format!(
            "ids must have one dimension, this array has shape {:?}",
            array.shape()
        )));
    }
    let widest = match array.dtype().kind() {
        b'i' => "int64",
        b'u' => "uint64",
        _ => return Err(PyTypeError::new_err(format!("ids must be integers, this array holds {}", array.dtype()))),
    };
    let as_they_lie = || widened::<u32>(array).or_else(|| widened::<i64>(array)).or_else(|| widened::<u16>(array));
    // Rust may not read integers that are not aligned, such as fields of a packed record.
    if array.is_aligned()
        && let Some(ids) = as_they_lie()
    {
        return ids;
    }
    let copy = array.call_method1("astype", (widest,))?.cast_into()?;
    let ids = widened::<i64>(&copy).or_else(|| widened::<u64>(&copy));
    ids.unwrap_or_else(|| Err(PyTypeError::new_err(format!("ids of type {} cannot be read", array.dtype()))))
}

/// Return the array's ids if its type is `T`.
fn widened<T>(array: &Bound<'_, PyUntypedArray>) -> Option<PyResult<Vec<u32>>>
where
    T: numpy::Element + Copy + std::fmt::Display,
    u32: TryFrom<T>,
{
    let array: PyReadonlyArray1<'_, T> = array.extract().ok()?;
    let narrow = |(position, id): (usize, &T)| u32::try_from(*id).map_err(|_| out_of_range(&id.to_string(), position));
    Some(array.as_array().iter().enumerate().map(narrow).collect())
}
