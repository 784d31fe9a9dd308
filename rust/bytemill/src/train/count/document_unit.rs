//! What is one document: a pretoken never crosses its end.

/// What is one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentUnit {
    /// A document as the source provides it.
    Documents,
    /// Each line with its newline, as Hugging Face reads files.
    Lines,
}
