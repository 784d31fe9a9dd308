//! Small values of a `tokenizer.json` that reading and writing share.

use serde_json::Value;

/// The first unsupported setting in a file; the reader adds the file's name in front.
pub(super) type Refusal<T> = std::result::Result<T, String>;

/// Return the steps of a Sequence, or the one step that is not in a Sequence.
pub(super) fn steps<'v>(value: &'v Value, of_sequence: &str) -> Vec<&'v Value> {
    match value[of_sequence].as_array() {
        Some(steps) if value["type"] == "Sequence" => steps.iter().collect(),
        _ => vec![value],
    }
}

/// Return a `ByteLevel` step. As a post-processor it is our default; it changes no ids.
pub(super) fn byte_level(use_regex: bool) -> Value {
    serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}
