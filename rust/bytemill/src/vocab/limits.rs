//! The limits of a vocabulary; packed tables rely on them.

/// The largest id allowed; a larger id in a file would only reserve memory.
pub const MAX_ID: u32 = (1 << 24) - 1;
/// The maximum total number of bytes of all tokens.
pub const MAX_TOTAL_BYTES: usize = 256 << 20;
/// Most tokens fit into this many bytes, including a length byte.
pub(crate) const SLOT_BYTES: usize = 16;
// The position of a token is stored in 32 bits, and a length in the last byte of a slot.
const _: () = assert!(MAX_TOTAL_BYTES <= u32::MAX as usize && SLOT_BYTES <= u8::MAX as usize);

/// Bytes that never occur in UTF-8. Vocabularies for text may omit them.
pub(crate) const NEVER_IN_TEXT: [u8; 13] =
    [0xC0, 0xC1, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF];
