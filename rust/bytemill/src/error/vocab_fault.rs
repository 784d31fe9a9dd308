//! What can be wrong with a vocabulary: one variant a cause, naming the offender and its place.

/// Why tokens and merges do not make a vocabulary. Indices count from 0 in the order given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabFault {
    /// One byte string has two ids.
    #[error("token {index}, {token}, has id {id}, but the same bytes already have id {first}")]
    DuplicateToken {
        /// Where the second of the two stands.
        index: usize,
        /// The bytes, escaped.
        token: String,
        /// The second id.
        id: u32,
        /// The first id.
        first: u32,
    },
    /// One id stands for two tokens.
    #[error("token {index}, {token}, has id {id}, which {first} already has")]
    DuplicateId {
        /// Where the second of the two stands.
        index: usize,
        /// The second token, escaped.
        token: String,
        /// The id of both.
        id: u32,
        /// The first token, escaped.
        first: String,
    },
    /// A token without bytes can never be found in a text.
    #[error("token {index} with id {id} is empty, expected at least one byte")]
    EmptyToken {
        /// Where it stands.
        index: usize,
        /// Its id.
        id: u32,
    },
    /// An id beyond what any vocabulary needs.
    #[error("token {index}, {token}, has id {id}, expected at most {limit}")]
    IdTooLarge {
        /// Where it stands.
        index: usize,
        /// The token, escaped.
        token: String,
        /// Its id.
        id: u32,
        /// The largest id allowed.
        limit: u32,
    },
    /// All tokens together are longer than a vocabulary may be.
    #[error("tokens up to {index} have more than {limit} bytes together")]
    TooLong {
        /// The token that goes over the limit.
        index: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A token too long to be looked for in all its parts.
    #[error("token {index} has {length} bytes, expected at most {limit} where ranks stand for merges")]
    TokenTooLong {
        /// Where it stands.
        index: usize,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A special token so long that preparing to look for it would take for ever.
    #[error("special token {index} has {length} bytes, expected at most {limit}")]
    SpecialTooLong {
        /// Where it stands.
        index: usize,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More special tokens than one search can look for.
    #[error("{n} special tokens are more than one search can look for: {reason}")]
    TooManySpecial {
        /// How many there are.
        n: usize,
        /// What the search says.
        reason: String,
    },
    /// Byte-level BPE needs a token for each byte that text or another token has.
    #[error("no token stands for the single byte 0x{byte:02x}, expected one for each byte of UTF-8 text and of tokens")]
    MissingByte {
        /// The byte.
        byte: u8,
    },
    /// A merge names a part that is no token.
    #[error("merge {index} joins {part}, which is no token before it")]
    UnknownPart {
        /// The merge's index.
        index: usize,
        /// The part, escaped or by its id.
        part: String,
    },
    /// A merge makes something that is no token.
    #[error("merge {index} makes {token}, which is no token")]
    UnknownResult {
        /// The merge's index.
        index: usize,
        /// Its result, escaped.
        token: String,
    },
    /// More merges than any vocabulary needs.
    #[error("there are more than {limit} merges")]
    TooManyMerges {
        /// The most merges allowed.
        limit: usize,
    },
    /// The same merge is listed twice.
    #[error("merge {index} of {left} and {right} is already merge {first}")]
    DuplicateMerge {
        /// The second one's index.
        index: usize,
        /// The left part, escaped.
        left: String,
        /// The right part, escaped.
        right: String,
        /// The first one's index.
        first: usize,
    },
}

impl VocabFault {
    /// Which of the given tokens is at fault, where it is one of them.
    pub fn token_index(&self) -> Option<usize> {
        match self {
            Self::DuplicateToken { index, .. }
            | Self::DuplicateId { index, .. }
            | Self::EmptyToken { index, .. }
            | Self::IdTooLarge { index, .. }
            | Self::TooLong { index, .. }
            | Self::TokenTooLong { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// Which of the given merges is at fault, where it is one of them.
    pub fn merge_index(&self) -> Option<usize> {
        match self {
            Self::UnknownPart { index, .. }
            | Self::UnknownResult { index, .. }
            | Self::DuplicateMerge { index, .. } => Some(*index),
            _ => None,
        }
    }
}

/// Bytes as a message shows them: quoted, escaped, at most 64 of them.
pub(crate) fn show(bytes: &[u8]) -> String {
    match bytes.get(..64) {
        Some(head) if bytes.len() > 64 => format!("\"{}…\" ({} bytes)", head.escape_ascii(), bytes.len()),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}
