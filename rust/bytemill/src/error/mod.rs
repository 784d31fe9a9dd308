//! All errors of the core, one variant for each kind.
//!
//! A message says what was found, where, and what would be right. The Python binding maps variants to exceptions in one
//! place, by [`Error::kind`].

mod vocab_fault;

use std::io;
use std::path::{Path, PathBuf};

pub use vocab_fault::VocabFault;
pub(crate) use vocab_fault::show;

/// Result of the core's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, with the data needed to fix its cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// An argument has an invalid value.
    #[error("{name} is {got}, expected {expected}")]
    Argument {
        /// The argument's name, as the caller writes it.
        name: &'static str,
        /// Its value.
        got: String,
        /// What is allowed.
        expected: String,
    },
    /// A split pattern does not compile, or fails on a text.
    #[error("pattern {:?}: {}", shortened(pattern), shortened(reason))]
    Pattern {
        /// The regular expression.
        pattern: String,
        /// Why the pattern cannot be used.
        reason: String,
    },
    /// A file does not follow its format.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file concerned.
        path: PathBuf,
        /// What was found, where, and what the format requires.
        reason: String,
    },
    /// Tokens and merges that do not form a valid vocabulary.
    #[error(transparent)]
    Vocab(#[from] VocabFault),
    /// A token id that is not in the vocabulary.
    #[error("token id {id} at position {position} is not in this vocabulary of {n_vocab} ids")]
    UnknownId {
        /// The id.
        id: u32,
        /// Its index in the given ids.
        position: usize,
        /// The vocabulary's size.
        n_vocab: usize,
    },
    /// Bytes that are not text and include a byte without a token.
    #[error(
        "byte 0x{byte:02x} at position {position} has no token: this vocabulary encodes UTF-8 text, which never contains it"
    )]
    UnknownByte {
        /// The byte.
        byte: u8,
        /// Its index in the given bytes.
        position: usize,
    },
    /// An id that does not fit into uint16.
    #[error("token id {id} at position {position} does not fit into uint16, which holds 0 to 65535; use uint32")]
    WideId {
        /// The id.
        id: u32,
        /// Its index in the ids.
        position: u64,
    },
    /// Text contains a special token that the caller did not allow.
    #[error("text contains the special token {token:?}, which is disallowed here")]
    DisallowedSpecial {
        /// The special token's text.
        token: String,
    },
    /// Bytes that should be UTF-8 are not.
    #[error("invalid UTF-8 at byte {position}")]
    Utf8 {
        /// Offset of the first byte that cannot be decoded.
        position: usize,
    },
    /// The input contains no document.
    #[error("the corpus is empty: no document in {}, {n_bytes} bytes", few(files))]
    EmptyCorpus {
        /// The files that were read.
        files: Vec<String>,
        /// Their total size in bytes.
        n_bytes: u64,
    },
    /// The caller's progress callback asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The kinds of error that callers distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operating system refused; the `io::Error` has the cause.
    Io,
    /// An argument is invalid.
    Argument,
    /// Text, ids or a vocabulary cannot be used for this operation.
    Data,
    /// A file is damaged or has another format.
    Format,
    /// Bytes are not UTF-8.
    Utf8,
    /// The caller stopped the work.
    Interrupted,
}

impl Error {
    /// Return the kind of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Io,
            Self::Format { .. } => Kind::Format,
            Self::Utf8 { .. } => Kind::Utf8,
            Self::Interrupted => Kind::Interrupted,
            Self::Argument { .. } | Self::Pattern { .. } => Kind::Argument,
            Self::Vocab(_)
            | Self::UnknownId { .. }
            | Self::UnknownByte { .. }
            | Self::WideId { .. }
            | Self::DisallowedSpecial { .. }
            | Self::EmptyCorpus { .. } => Kind::Data,
        }
    }

    /// Return a function for `map_err` that adds `path` to an I/O error.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// Return the error for a file at `path` that breaks its format. Keep at most 1,000 characters of `reason`.
    pub fn format(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_owned(), reason: shortened(&reason.into()) }
    }
}

/// Shorten a text that may quote a whole hostile file to its beginning and its end.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 500;
    let end = text.char_indices().nth(SHOWN).map(|(at, _)| at);
    let start = text.char_indices().nth_back(SHOWN - 1).map(|(at, _)| at);
    match (end, start) {
        (Some(end), Some(start)) if end < start => {
            format!("{} … {} more bytes … {}", &text[..end], start - end, &text[start..])
        }
        _ => text.to_owned(),
    }
}

/// List the first five names and the number of the others.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "no file".to_owned(),
        n if n > SHOWN => format!("{shown} and {} more", n - SHOWN),
        _ => shown,
    }
}
