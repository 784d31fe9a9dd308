//! Progress of preparation, as reported to its caller.

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// Progress of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current stage.
    pub stage: Stage,
    /// Bytes of input done in this stage.
    pub bytes: u64,
    /// Total bytes of input.
    pub total_bytes: u64,
    /// Documents found or encoded.
    pub documents: u64,
    /// Tokens written.
    pub tokens: u64,
}

/// The passes over the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Hashing inputs and finding documents.
    Scan,
    /// Encoding and writing.
    Encode,
    /// Comparing the tokens written with the text.
    Check,
}

/// Return an error if the caller's callback breaks.
pub(super) fn to_result(answer: ControlFlow<()>) -> Result<()> {
    if answer.is_break() { Err(Error::Interrupted) } else { Ok(()) }
}
