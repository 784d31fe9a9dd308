//! Decodes ids to text one by one.

use std::sync::{Arc, Mutex, PoisonError};

use bytemill::decode::DecodeStream as Core;
use bytemill::tokenizer::Tokenizer;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Decodes ids one by one; see `bytemill.Tokenizer.decode_stream`.
#[pyclass(frozen, module = "bytemill._core")]
pub(crate) struct DecodeStream {
    tokenizer: Arc<Tokenizer>,
    /// Held only while a few bytes are copied, never while Python runs.
    state: Mutex<Core>,
}

impl DecodeStream {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, state: Mutex::default() }
    }
}

#[pymethods]
impl DecodeStream {
    fn push(&self, token: u32) -> PyResult<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.push(self.tokenizer.vocab(), token).map_err(CoreError::from)?)
    }

    fn finish(&self) -> String {
        std::mem::take(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner)).finish()
    }
}
