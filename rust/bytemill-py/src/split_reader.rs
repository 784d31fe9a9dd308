//! The tokens of a split by position, for inspecting shards: checked, and without a loader's order.

use std::path::PathBuf;

use bytemill::shard::{Buffers, Manifest, TokenWidth, Tokens, Verify};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::listener::interruptibly;
use crate::output::find_numpy;
use crate::shards::split_named;

/// One split of a folder of shards, as the concatenation of its shards.
#[pyclass(frozen, module = "bytemill._core")]
pub(crate) struct SplitReader(Tokens);

#[pymethods]
impl SplitReader {
    #[new]
    fn new(py: Python<'_>, folder: PathBuf, split: &str) -> PyResult<Self> {
        let split = split_named(split)?;
        let open = || {
            let manifest = Manifest::read(&folder)?;
            Tokens::open([(folder.as_path(), &manifest)], split, Verify::FirstTouch)
        };
        interruptibly(py, open).map(Self)
    }

    fn __len__(&self) -> usize {
        self.0.len() as usize
    }

    /// Return the ids of `n` tokens, starting at `first`.
    fn read<'py>(&self, py: Python<'py>, first: u64, n: usize) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let read = || {
            let mut buffers = Buffers::default();
            let bytes = self.0.read(first, n, &mut buffers)?;
            Ok::<Vec<u32>, bytemill::Error>(match self.0.width() {
                TokenWidth::Uint16 => bytes.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id).into()).collect(),
                TokenWidth::Uint32 => bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect(),
            })
        };
        find_numpy(py)?;
        Ok(interruptibly(py, read)?.into_pyarray(py))
    }

    /// Return the tokens at which documents begin, in order.
    fn document_starts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let starts = || {
            let mut starts = Vec::new();
            self.0.for_each_start(0..self.0.len(), |start| starts.push(start))?;
            Ok::<_, bytemill::Error>(starts)
        };
        find_numpy(py)?;
        Ok(interruptibly(py, starts)?.into_pyarray(py))
    }
}
