//! `bytemill._core`: the Python interface of the core. The only crate that depends on pyo3; it converts and delegates.
//!
//! Nothing here relies on the interpreter's lock: shared data is immutable or protected by its own locks.

// pyo3 passes arguments by value.
#![allow(clippy::needless_pass_by_value)]

mod batches;
mod code_points;
mod documents;
mod durable;
mod error;
mod interpreter;
mod listener;
mod lists;
mod module_names;
mod output;
mod shards;
mod special;
mod split_reader;
mod stream;
mod text;
mod threads;
mod tokenizer;
mod trainer;

/// The Rust core of bytemill.
#[pyo3::pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::documents::read_documents;
    #[pymodule_export]
    use super::durable::{DurableFile, write_whole};
    #[pymodule_export]
    use super::module_names::matches_whole;
    #[pymodule_export]
    use super::shards::{Loader, compare_shards, merge_shards, prepare_shards, verify_shards};
    #[pymodule_export]
    use super::split_reader::SplitReader;
    #[pymodule_export]
    use super::stream::DecodeStream;
    #[pymodule_export]
    use super::tokenizer::{
        Tokenizer, load_tokenizer, splitting_backend, tokenizer_from_ranks, tokenizer_from_readable,
    };
    #[pymodule_export]
    use super::trainer::train_tokenizer;

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
