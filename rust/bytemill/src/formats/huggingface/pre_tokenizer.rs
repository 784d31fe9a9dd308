//! The `pre_tokenizer` of a `tokenizer.json`, read and written.
//!
//! Its regular expressions are Oniguruma's; they are translated, or refused where that cannot be done.

use super::values::byte_level;
use crate::error::Result;
use crate::formats::common::cannot_write;
use crate::split::{Described, Direction, Splitter, Step, read_steps, translate};
use serde_json::{Value, json};

/// The splitter that `pre_tokenizer` describes, or why there is none like it.
pub(super) fn read(pre_tokenizer: &Value) -> std::result::Result<Result<Splitter>, String> {
    let steps = read_steps(pre_tokenizer)?;
    let ours = |step: &Step| step.with_regex(|regex| translate(regex, Direction::Read));
    Ok(Splitter::from_steps(steps.iter().map(ours).collect::<std::result::Result<_, String>>()?))
}

/// The `pre_tokenizer` for `splitter`, or the refusal to write it for `format`.
pub(super) fn write(splitter: &Splitter, format: &'static str) -> Result<Value> {
    let refused = |reason| cannot_write(format, reason);
    if let Some(steps) = splitter.oniguruma_steps() {
        return Ok(json!(Described::of(&steps.map_err(refused)?)));
    }
    Ok(match splitter.oniguruma_pattern().map_err(refused)? {
        None => byte_level(false),
        Some(_) if splitter.name() == Some("gpt2") => byte_level(true),
        Some(pattern) => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            byte_level(false),
        ]}),
    })
}
