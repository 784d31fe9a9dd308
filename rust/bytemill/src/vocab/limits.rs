//! Limits of a vocabulary, on which packed tables rely.

/// The largest id allowed; a file that names a larger one would only make us reserve memory.
pub const MAX_ID: u32 = (1 << 24) - 1;
/// The most bytes that all tokens together may have.
pub const MAX_TOTAL_BYTES: usize = 256 << 20;
/// What most tokens fit into, with their length.
pub(crate) const SLOT_BYTES: usize = 16;
// Where a token lies is kept in 32 bits, a length in a slot's last byte.
const _: () = assert!(MAX_TOTAL_BYTES <= u32::MAX as usize && SLOT_BYTES <= u8::MAX as usize);

/// Bytes that UTF-8 never has. Vocabularies of text may do without them.
pub(crate) const NEVER_IN_TEXT: [u8; 13] =
    [0xC0, 0xC1, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF];
