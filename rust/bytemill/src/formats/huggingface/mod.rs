//! Hugging Face's `tokenizer.json`, for byte-level BPE.
//!
//! What we read encodes to the ids that `tokenizers` gives with `add_special_tokens=False`; a file for
//! which that cannot be promised is refused with the reason. `post_processor`, `truncation` and
//! `padding` are not read: they shape rows out of ids that are already decided. Added tokens, special
//! or not, become special tokens: `tokenizers` finds them in any text, as we do with all allowed.

mod pre_tokenizer;
mod read;
mod write;

pub(super) use read::read;
use serde_json::{Value, json};
pub(super) use write::to_string;

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}
