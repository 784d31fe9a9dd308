//! Reads and writes the `pre_tokenizer` of a `tokenizer.json`.
//!
//! Its regular expressions use Oniguruma's syntax. They are translated, or refused if that is not possible.

use super::values::byte_level;
use crate::error::Result;
use crate::formats::common::cannot_write;
use crate::split::{Described, Direction, Splitter, Step, read_steps, translate};
use serde_json::{Value, json};

/// Return the splitter that `pre_tokenizer` describes, or the reason why it is not supported.
pub(super) fn read(pre_tokenizer: &Value) -> std::result::Result<Result<Splitter>, String> {
    let steps = read_steps(pre_tokenizer)?;
    let ours = |step: &Step| step.with_regex(|regex| translate(regex, Direction::Read));
    Ok(Splitter::from_steps(steps.iter().map(ours).collect::<std::result::Result<_, String>>()?))
}

/// Return the `pre_tokenizer` for `splitter`, or an error if `format` cannot hold it.
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
