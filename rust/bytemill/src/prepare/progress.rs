//! How far preparing is, as its caller sees it.

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes of input done in this stage.
    pub bytes: u64,
    /// Bytes of input in all.
    pub total_bytes: u64,
    /// Documents found, or encoded.
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
    /// Comparing what was written with the text.
    Check,
}

/// What a caller's answer to progress means.
pub(super) fn heard(answer: ControlFlow<()>) -> Result<()> {
    if answer.is_break() { Err(Error::Interrupted) } else { Ok(()) }
}
