//! The `pre_tokenizer` of a `tokenizer.json`, read and written.
//!
//! Its regular expressions are Oniguruma's; ours mean the same or are refused.

use crate::error::Result;
use crate::formats::cannot_write;
use crate::split::{Described, Searched, Splitter, Step, oniguruma_reads_alike, read_steps};
use serde_json::{Value, json};

/// The splitter that `pre_tokenizer` describes, or why there is none like it.
pub(super) fn read(pre_tokenizer: &Value) -> std::result::Result<Result<Splitter>, String> {
    let steps = read_steps(pre_tokenizer)?;
    let patterns = steps.iter().filter_map(|step| match step {
        Step::Split { pattern: Searched::Regex(regex), .. } => Some(regex),
        _ => None,
    });
    for regex in patterns {
        oniguruma_reads_alike(regex).map_err(|reason| format!("pattern {regex:?}: {reason}"))?;
    }
    Ok(Splitter::from_steps(steps))
}

/// The `pre_tokenizer` for `splitter`, or the refusal to write it for `format`.
pub(super) fn write(splitter: &Splitter, format: &'static str) -> Result<Value> {
    if let Some(steps) = splitter.steps() {
        return Ok(json!(Described::of(steps)));
    }
    let pattern = splitter.oniguruma_pattern().map_err(|reason| cannot_write(format, reason))?;
    Ok(match pattern {
        None => super::byte_level(false),
        Some(_) if splitter.name() == Some("gpt2") => super::byte_level(true),
        Some(pattern) => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            super::byte_level(false),
        ]}),
    })
}
