//! Hugging Face's `tokenizer.json`, for byte-level BPE.
//!
//! What we read encodes to the ids that `tokenizers` gives with `add_special_tokens=False`; a file for
//! which that cannot be promised is refused with the reason. `post_processor` is kept for those who read what we
//! write; `truncation` and `padding` are not: they shape rows out of ids that are already decided.

mod added;
mod pre_tokenizer;
mod read;
mod write;

pub(super) use read::read;
use serde_json::Value;
pub(super) use write::to_string;

/// The first thing in a file that we do not do; the reader puts the file's name before it.
type Refusal<T> = std::result::Result<T, String>;

/// The steps of a Sequence, or the one step that is alone.
fn steps<'v>(value: &'v Value, of_sequence: &str) -> Vec<&'v Value> {
    match value[of_sequence].as_array() {
        Some(steps) if value["type"] == "Sequence" => steps.iter().collect(),
        _ => vec![value],
    }
}

/// A `ByteLevel` step. As a post-processor it is what we write by default; it changes no ids.
fn byte_level(use_regex: bool) -> Value {
    serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}
