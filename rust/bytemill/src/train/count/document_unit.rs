//! What counts as one document: pretokens never cross its end.

/// What counts as one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentUnit {
    /// A document as the source gives it.
    Documents,
    /// Each line with its newline, as Hugging Face reads files.
    Lines,
}
