//! Every way the core can fail, one variant each.
//!
//! A message says what was found, where, and what would have been right. The Python binding maps
//! the variants to exceptions in one place, by [`Error::kind`].

mod vocab_fault;

use std::io;
use std::path::{Path, PathBuf};

pub use vocab_fault::VocabFault;
pub(crate) use vocab_fault::show;

/// The core's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with what is needed to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An argument has a value that can never work.
    #[error("{name} is {got}, expected {expected}")]
    Argument {
        /// The argument's name, as the caller wrote it.
        name: &'static str,
        /// Its value.
        got: String,
        /// What is allowed.
        expected: String,
    },
    /// A split pattern does not compile, or failed on a text.
    #[error("pattern {:?}: {}", shortened(pattern), shortened(reason))]
    Pattern {
        /// The regular expression.
        pattern: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// A file is not what its format demands.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file concerned.
        path: PathBuf,
        /// What was found, where, and what the format asks for.
        reason: String,
    },
    /// Tokens and merges that do not make a vocabulary.
    #[error(transparent)]
    Vocab(#[from] VocabFault),
    /// A token id that the vocabulary does not hold.
    #[error("token id {id} at position {position} is not in this vocabulary of {n_vocab} ids")]
    UnknownId {
        /// The id.
        id: u32,
        /// Its index in the given ids.
        position: usize,
        /// The vocabulary's size.
        n_vocab: usize,
    },
    /// Bytes that are not text, with one that the vocabulary has no token for.
    #[error(
        "byte 0x{byte:02x} at position {position} has no token: this vocabulary encodes UTF-8 text, which never has it"
    )]
    UnknownByte {
        /// The byte.
        byte: u8,
        /// Its index in the given bytes.
        position: usize,
    },
    /// An id that uint16 cannot hold.
    #[error("token id {id} at position {position} does not fit into uint16, which holds 0 to 65535: ask for uint32")]
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
    /// No document was found where text should be.
    #[error("the corpus is empty: no document in {}, {n_bytes} bytes", few(files))]
    EmptyCorpus {
        /// The files that were read.
        files: Vec<String>,
        /// Their size together.
        n_bytes: u64,
    },
    /// The caller's progress callback asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The families of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operating system refused; the `io::Error` tells how.
    Io,
    /// An argument can never work.
    Argument,
    /// Text, ids or a vocabulary cannot be used as asked.
    Data,
    /// A file is damaged or of another format.
    Format,
    /// Bytes are not UTF-8.
    Utf8,
    /// The caller asked to stop.
    Interrupted,
}

impl Error {
    /// The family that this failure belongs to.
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

    /// For `map_err`: the failure of an operation on the file at `path`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// A file at `path` that breaks its format for `reason`, of which at most 1,000 characters are kept.
    pub fn format(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_owned(), reason: shortened(&reason.into()) }
    }
}

/// Beginning and end of a text that may quote a whole hostile file.
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

/// The first few names, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "no file".to_owned(),
        n if n > SHOWN => format!("{shown} and {} more", n - SHOWN),
        _ => shown,
    }
}
