//! A batch as numpy arrays over the loader's own memory, which returns to the loader when the last array is freed.
//!
//! numpy keeps the owner of borrowed memory alive, and torch keeps the array. So a batch is not overwritten while
//! anything that shares its memory exists; after that the memory is reused.
#![allow(unsafe_code, reason = "numpy borrows memory by pointer; benches/loader.py shows what the saved copy buys")]

use bytemill::shard::{Batch, Ids};
use numpy::ndarray::{ArrayView2, ShapeBuilder};
use numpy::{Element, IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Holds a batch for as long as Python holds one of its arrays.
#[pyclass(frozen)]
struct BatchMemory(Batch);

/// Return (inputs, targets), and the documents as (B, T) or (n,) if requested.
pub(crate) fn to_arrays(
    py: Python<'_>,
    mut batch: Batch,
    shape: (usize, usize),
    documents_by_row: bool,
) -> PyResult<Bound<'_, PyTuple>> {
    let documents = batch.documents.take();
    let (n_rows, t) = shape;
    let owner = Bound::new(py, BatchMemory(batch))?;
    let pair = match owner.get().0.ids() {
        Ids::Int64(ids) => {
            let (inputs, targets) = ids.split_at(n_rows * t);
            [inputs, targets].map(|ids| borrowed(&owner, ids, shape, t).map(Bound::into_any))
        }
        Ids::Int32(ids) => {
            let (inputs, targets) = ids.split_at(n_rows * t);
            [inputs, targets].map(|ids| borrowed(&owner, ids, shape, t).map(Bound::into_any))
        }
        Ids::Overlapping(ids) => [0, 1].map(|from| borrowed(&owner, &ids[from..], shape, t + 1).map(Bound::into_any)),
    };
    let [inputs, targets] = pair;
    let mut arrays = vec![inputs?, targets?];
    if let Some(documents) = documents {
        let documents = documents.into_pyarray(py);
        arrays.push(if documents_by_row { documents.reshape(shape)?.into_any() } else { documents.into_any() });
    }
    PyTuple::new(py, arrays)
}

/// Return an array over rows of `ids` that are `stride` apart.
fn borrowed<'py, Id: Element>(
    owner: &Bound<'py, BatchMemory>,
    ids: &[Id],
    shape: (usize, usize),
    stride: usize,
) -> PyResult<Bound<'py, PyArray2<Id>>> {
    let view = ArrayView2::from_shape(shape.strides((stride, 1)), ids)
        .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
    // SAFETY: `ids` is in the batch that `owner` holds, which neither moves nor frees it until it is dropped, and the
    // array keeps `owner` alive. No Rust code reads or writes it meanwhile: the batch belongs only to the caller.
    Ok(unsafe { PyArray2::borrow_from_array(&view, owner.clone().into_any()) })
}
