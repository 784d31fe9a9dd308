//! Faults of a vocabulary: one variant per cause, with the faulty token or merge and its index.

/// Why tokens and merges do not form a vocabulary. Indices start at 0 and follow the given order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabFault {
    /// One byte string has two ids.
    #[error("token {index}, {token}, has id {id}, but the same bytes already have id {first}")]
    DuplicateToken {
        /// Index of the second of the two.
        index: usize,
        /// The bytes, escaped.
        token: String,
        /// The second id.
        id: u32,
        /// The first id.
        first: u32,
    },
    /// Two tokens have the same id.
    #[error("token {index}, {token}, has id {id}, which {first} already has")]
    DuplicateId {
        /// Index of the second of the two.
        index: usize,
        /// The second token, escaped.
        token: String,
        /// The id of both.
        id: u32,
        /// The first token, escaped.
        first: String,
    },
    /// A token without bytes, which never occurs in a text.
    #[error("token {index} with id {id} is empty, expected at least one byte")]
    EmptyToken {
        /// Its index.
        index: usize,
        /// Its id.
        id: u32,
    },
    /// An id above the maximum.
    #[error("token {index}, {token}, has id {id}, expected at most {limit}")]
    IdTooLarge {
        /// Its index.
        index: usize,
        /// The token, escaped.
        token: String,
        /// Its id.
        id: u32,
        /// The largest id allowed.
        limit: u32,
    },
    /// The tokens have too many bytes in total.
    #[error("tokens 0 to {index} have more than {limit} bytes in total")]
    TooLong {
        /// Index of the token that exceeds the limit.
        index: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A token that is too long to search all its parts.
    #[error("token {index} has {length} bytes, expected at most {limit} because its ranks define the merges")]
    TokenTooLong {
        /// Its index.
        index: usize,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A special token that is too long: building its search table would take too long.
    #[error("special token {index} has {length} bytes, expected at most {limit}")]
    SpecialTooLong {
        /// Its index.
        index: usize,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More special tokens than one search supports.
    #[error("{n} special tokens are too many for one search: {reason}")]
    TooManySpecial {
        /// Number of special tokens.
        n: usize,
        /// The error of the search library.
        reason: String,
    },
    /// A byte without a token. Byte-level BPE needs a token for each byte of UTF-8 text and of other tokens.
    #[error("no token for the single byte 0x{byte:02x}, expected one for each byte of UTF-8 text and of tokens")]
    MissingByte {
        /// The byte.
        byte: u8,
    },
    /// A merge uses a part that is not a token.
    #[error("merge {index} uses {part}, which is not defined before it")]
    UnknownPart {
        /// The merge's index.
        index: usize,
        /// The part, escaped or by its id.
        part: String,
    },
    /// A merge produces bytes that are not a token.
    #[error("merge {index} produces {token}, which is not a token")]
    UnknownResult {
        /// The merge's index.
        index: usize,
        /// Its result, escaped.
        token: String,
    },
    /// More merges than the maximum.
    #[error("there are more than {limit} merges")]
    TooManyMerges {
        /// The maximum number of merges.
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
    /// Return the index of the faulty token, if the fault is in a token.
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

    /// Return the index of the faulty merge, if the fault is in a merge.
    pub fn merge_index(&self) -> Option<usize> {
        match self {
            Self::UnknownPart { index, .. }
            | Self::UnknownResult { index, .. }
            | Self::DuplicateMerge { index, .. } => Some(*index),
            _ => None,
        }
    }
}

/// Format bytes for a message: quoted, escaped, at most 64 bytes.
pub(crate) fn show(bytes: &[u8]) -> String {
    match bytes.get(..64) {
        Some(head) if bytes.len() > 64 => format!("\"{}…\" ({} bytes)", head.escape_ascii(), bytes.len()),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}
