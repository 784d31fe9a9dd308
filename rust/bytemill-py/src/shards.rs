//! Shards and their loader for Python: arrays without a copy, state and manifest as JSON text.

use std::ops::ControlFlow;
use std::path::PathBuf;

use bytemill::Error;

use bytemill::prepare::{PrepareOptions, Progress, Stage, prepare, verify_against};
use bytemill::shard::{
    self, Boundaries, IdType, LoaderOptions, LoaderState, Packing, SharedLoader, Split, TokenWidth, Validation, Verify,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::batches::to_arrays;
use crate::error::CoreError;
use crate::listener::{Listener, interruptibly};
use crate::output::find_numpy;
use crate::threads;
use crate::tokenizer::Tokenizer;

/// The loader for `bytemill.data.TokenLoader`, which documents it; threads may share it.
#[pyclass(frozen, module = "bytemill._core")]
pub(crate) struct Loader(SharedLoader);

#[pymethods]
impl Loader {
    #[new]
    #[pyo3(signature = (folders, *, batch_size, seq_len, seed, rank, world_size, split, weights, packing, shuffle, verify, prefetch_batches, id_type, mmap, stored_dtype, boundaries))]
    #[expect(clippy::too_many_arguments, reason = "each is one keyword of TokenLoader")]
    fn new(
        py: Python<'_>,
        folders: Vec<PathBuf>,
        batch_size: usize,
        seq_len: usize,
        seed: u64,
        rank: usize,
        world_size: usize,
        split: &str,
        weights: Option<Vec<f64>>,
        packing: &str,
        shuffle: bool,
        verify: &str,
        prefetch_batches: usize,
        id_type: &str,
        mmap: bool,
        stored_dtype: Option<&str>,
        boundaries: Option<&str>,
    ) -> PyResult<Self> {
        let options = LoaderOptions {
            batch_size,
            seq_len,
            seed,
            rank,
            world_size,
            split: split_named(split)?,
            weights,
            packing: packing_named(packing)?,
            shuffle,
            verify: verify_named(verify)?,
            mmap,
            stored: stored_dtype.map(stored_named).transpose()?,
            boundaries: boundaries.map(boundaries_named).transpose()?,
            id_type: id_type_named(id_type)?,
            prefetch_batches,
            threads: 1,
        };
        find_numpy(py)?;
        interruptibly(py, || SharedLoader::open(&folders, options)).map(Self)
    }

    /// Return the next batch: inputs and targets, each (B, T), and the documents if requested.
    fn next_batch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let batch = py.detach(|| self.0.next_batch()).map_err(CoreError::from)?;
        let options = self.0.options();
        let by_row = options.boundaries == Some(Boundaries::DocumentIds);
        to_arrays(py, batch, (options.batch_size, options.seq_len), by_row)
    }

    /// Return the loader's state as JSON.
    fn state(&self) -> PyResult<String> {
        serde_json::to_string(&self.0.state()).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Restore a saved state.
    fn load_state(&self, py: Python<'_>, state: &str) -> PyResult<()> {
        let saved: LoaderState = serde_json::from_str(state)
            .map_err(|error| PyValueError::new_err(format!("this is not a TokenLoader state: {error}")))?;
        Ok(py.detach(|| self.0.load_state(&saved)).map_err(CoreError::from)?)
    }

    /// Return the number of samples in an epoch of each folder.
    fn n_samples<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.n_samples())
    }

    /// Return the number of epochs completed for each folder, with the fraction of the current one.
    fn epochs(&self) -> Vec<f64> {
        self.0.epochs()
    }
}

/// Check every byte of the shards in `folder`.
#[pyfunction]
pub(crate) fn verify_shards(py: Python<'_>, folder: PathBuf) -> PyResult<()> {
    let listener = Listener::new(None);
    listener.run(py, || shard::verify(&folder, &mut |n_bytes| listener.report(n_bytes, 0, (n_bytes,)))).map(drop)
}

/// Compare the shards in `folder` with their source text; see `bytemill.data.verify`.
#[pyfunction]
#[pyo3(signature = (folder, sources, *, tokenizer, progress))]
pub(crate) fn compare_shards(
    py: Python<'_>,
    folder: PathBuf,
    sources: Vec<PathBuf>,
    tokenizer: &Bound<'_, Tokenizer>,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let core = tokenizer.get().core();
    let listener = Listener::new(progress);
    listener.run(py, || verify_against(&folder, &sources, core, |at: &Progress| report(&listener, at))).map(drop)
}

/// Merge folders of shards into one; see `bytemill.data.merge`.
#[pyfunction]
pub(crate) fn merge_shards(py: Python<'_>, folders: Vec<PathBuf>, out_dir: PathBuf) -> PyResult<()> {
    let listener = Listener::new(None);
    listener
        .run(py, || shard::merge(&folders, &out_dir, &mut |n_bytes| listener.report(n_bytes, 0, (n_bytes,))))
        .map(drop)
}

/// Convert documents to shards; see `bytemill.data.prepare`.
#[pyfunction]
#[pyo3(signature = (sources, out_dir, *, tokenizer, shard_tokens, val, seed, threads, text_field, max_memory, check, progress))]
#[expect(clippy::too_many_arguments, reason = "each is one keyword of prepare")]
pub(crate) fn prepare_shards(
    py: Python<'_>,
    sources: Vec<PathBuf>,
    out_dir: PathBuf,
    tokenizer: &Bound<'_, Tokenizer>,
    shard_tokens: u64,
    val: Option<f64>,
    seed: u64,
    threads: Option<&Bound<'_, PyAny>>,
    text_field: String,
    max_memory: Option<u64>,
    check: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let options = PrepareOptions {
        shard_tokens,
        val: val.map_or(Validation::FirstShard, Validation::Share),
        seed,
        threads: threads::count(threads)?,
        text_field,
        max_memory,
        check,
    };
    let core = tokenizer.get().core();
    let listener = Listener::new(progress);
    let work = || prepare(&sources, &out_dir, core, &options, |at: &Progress| report(&listener, at));
    listener.run(py, work).map(drop)
}

/// Report progress to Python as `(phase, bytes, total bytes, tokens)`.
fn report(listener: &Listener, at: &Progress) -> ControlFlow<()> {
    let phase = match at.stage {
        Stage::Scan => "scanning",
        Stage::Encode => "encoding",
        Stage::Check => "checking",
    };
    listener.report(at.bytes, at.total_bytes, (phase, at.bytes, at.total_bytes, at.tokens))
}

pub(crate) fn split_named(name: &str) -> Result<Split, CoreError> {
    match name {
        "train" => Ok(Split::Train),
        "val" => Ok(Split::Val),
        other => Err(argument("split", other, "train or val")),
    }
}

fn packing_named(name: &str) -> Result<Packing, CoreError> {
    match name {
        "chunk" => Ok(Packing::Chunk),
        "bestfit" => Ok(Packing::BestFit),
        other => Err(argument("packing", other, "chunk or bestfit")),
    }
}

fn verify_named(name: &str) -> Result<Verify, CoreError> {
    match name {
        "first_touch" => Ok(Verify::FirstTouch),
        "always" => Ok(Verify::Always),
        "never" => Ok(Verify::Never),
        other => Err(argument("verify", other, "first_touch, always or never")),
    }
}

fn id_type_named(name: &str) -> Result<IdType, CoreError> {
    match name {
        "int64" => Ok(IdType::Int64),
        "int32" => Ok(IdType::Int32),
        other => Err(argument("dtype", other, "int64 or int32")),
    }
}

fn stored_named(name: &str) -> Result<TokenWidth, CoreError> {
    match name {
        "uint16" => Ok(TokenWidth::Uint16),
        "uint32" => Ok(TokenWidth::Uint32),
        other => Err(argument("stored_dtype", other, "uint16 or uint32")),
    }
}

fn boundaries_named(name: &str) -> Result<Boundaries, CoreError> {
    match name {
        "ids" => Ok(Boundaries::DocumentIds),
        "cu_seqlens" => Ok(Boundaries::CuSeqlens),
        other => Err(argument("documents", other, "ids, cu_seqlens or None")),
    }
}

fn argument(name: &'static str, got: &str, expected: &str) -> CoreError {
    Error::Argument { name, got: format!("{got:?}"), expected: expected.to_owned() }.into()
}
