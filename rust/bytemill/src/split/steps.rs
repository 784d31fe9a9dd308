//! Splits in steps, as the `pre_tokenizer` of a `tokenizer.json` describes them.
//!
//! The description is JSON in the vocabulary of that file, so it means the same in both places. [`plan`] returns the
//! single pattern that equals the steps, if there is one; otherwise the steps run one after another (see `sequence`).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One step. The order of fields is the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type")]
pub(crate) enum Step {
    /// Cuts at the matches of a pattern.
    Split {
        pattern: Searched,
        behavior: Behavior,
        #[serde(default)]
        invert: bool,
    },
    /// Cuts at numeric characters: at each, or around each run.
    Digits {
        #[serde(default)]
        individual_digits: bool,
    },
    /// Cuts at punctuation, in the sense of ASCII and of Unicode.
    Punctuation {
        #[serde(default = "isolated")]
        behavior: Behavior,
    },
    /// Cuts after this number of characters.
    FixedLength { length: usize },
    /// Maps bytes to the printable alphabet, which later steps see; may add a space and split by GPT-2's pattern.
    ByteLevel {
        add_prefix_space: bool,
        #[serde(default = "yes")]
        trim_offsets: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
}

impl Step {
    /// Return the same step with its regular expression, if it has one, translated.
    pub(crate) fn with_regex(&self, translate: impl Fn(&str) -> Result<String, String>) -> Result<Self, String> {
        Ok(match self {
            Self::Split { pattern: Searched::Regex(regex), behavior, invert } => Self::Split {
                pattern: Searched::Regex(translate(regex).map_err(|reason| format!("pattern {regex:?}: {reason}"))?),
                behavior: *behavior,
                invert: *invert,
            },
            step => step.clone(),
        })
    }
}

/// What [`Step::Split`] searches for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Searched {
    String(String),
    Regex(String),
}

/// How matches and the text between them become pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Behavior {
    /// Each is a piece.
    Isolated,
    /// Matches are dropped.
    Removed,
    /// A match ends the piece before it.
    MergedWithPrevious,
    /// A match begins the piece after it.
    MergedWithNext,
    /// Neighbouring matches are one piece.
    Contiguous,
}

fn isolated() -> Behavior {
    Behavior::Isolated
}

fn yes() -> bool {
    true
}

/// Steps that lose text or are not byte-level, with the reason.
const REFUSED: [(&str, &str); 8] = [
    ("Whitespace", "drops white space"),
    ("WhitespaceSplit", "drops white space"),
    ("BertPreTokenizer", "drops white space"),
    ("CharDelimiterSplit", "drops the delimiter"),
    ("Delimiter", "drops the delimiter"),
    ("Metaspace", "replaces spaces, which is not byte-level BPE"),
    ("UnicodeScripts", "splits by a table of scripts, which is not supported"),
    ("null", "does not turn text into bytes"),
];

/// Parse the steps that `pre_tokenizer` describes, or return the reason why they are not supported.
pub(crate) fn read(pre_tokenizer: &Value) -> Result<Vec<Step>, String> {
    let mut values = Vec::new();
    flatten(pre_tokenizer, &mut values);
    let steps = values.iter().zip(1..).map(|(value, number)| {
        let step = read_step(value).map_err(|reason| format!("pre_tokenizer step {number}, {reason}"))?;
        refuse_lossy(&step).map_err(|reason| format!("pre_tokenizer step {number}, {}: {reason}", value["type"]))?;
        Ok(normal(step))
    });
    let steps: Vec<Step> = steps.collect::<Result<_, String>>()?;
    match steps.iter().filter(|step| matches!(step, Step::ByteLevel { .. })).count() {
        1 => Ok(steps),
        n => Err(format!("pre_tokenizer has {n} ByteLevel steps, expected one")),
    }
}

/// Return the steps of a Sequence, including nested ones, or the one step that is not in a Sequence.
fn flatten<'v>(value: &'v Value, steps: &mut Vec<&'v Value>) {
    match value["pretokenizers"].as_array() {
        Some(inner) if value["type"] == "Sequence" => inner.iter().for_each(|step| flatten(step, steps)),
        _ => steps.push(value),
    }
}

fn read_step(value: &Value) -> Result<Step, String> {
    let kind = value["type"].as_str().unwrap_or("null");
    match REFUSED.iter().find(|(name, _)| *name == kind) {
        Some((_, reason)) => Err(format!(
            "{kind}, {reason}, expected ByteLevel, with or without Split, Digits, Punctuation or FixedLength"
        )),
        None => Step::deserialize(value).map_err(|error| format!("{kind:?}: {error}")),
    }
}

/// Return an error if the step would lose text or is not supported.
fn refuse_lossy(step: &Step) -> Result<(), String> {
    match step {
        // Dropping the text between the matches loses nothing if the pattern matches all text.
        Step::Split { pattern: Searched::Regex(regex), behavior: Behavior::Removed, invert: true }
            if super::known::find(regex).is_some() =>
        {
            Ok(())
        }
        Step::Split { behavior: Behavior::Removed, .. } | Step::Punctuation { behavior: Behavior::Removed } => {
            Err("behavior \"Removed\" loses text, expected another".to_owned())
        }
        Step::Split { pattern: Searched::String(text), .. } if text.is_empty() => {
            Err("the pattern is empty, expected a text to search for".to_owned())
        }
        Step::FixedLength { length: 0 } => Err("length is 0, expected at least 1".to_owned()),
        _ => Ok(()),
    }
}

/// Return the canonical form of the step.
fn normal(step: Step) -> Step {
    match step {
        Step::Split { pattern, behavior: Behavior::Isolated | Behavior::Removed, .. } => {
            Step::Split { pattern, behavior: Behavior::Isolated, invert: false }
        }
        // Offsets in a text do not affect ids.
        Step::ByteLevel { add_prefix_space, use_regex, .. } => {
            Step::ByteLevel { add_prefix_space, trim_offsets: true, use_regex }
        }
        step => step,
    }
}

/// The plan for a list of steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan<'s> {
    /// No split at all.
    Whole,
    /// One regular expression whose matches are the pretokens.
    Pattern(&'s str),
    /// A sequence.
    Sequence,
}

/// Return the simplest splitter with the same result as the steps.
pub(super) fn plan(steps: &[Step]) -> Plan<'_> {
    match steps {
        [Step::ByteLevel { add_prefix_space: false, use_regex: false, .. }] => Plan::Whole,
        [Step::ByteLevel { add_prefix_space: false, use_regex: true, .. }] => Plan::Pattern(super::known::GPT2),
        [
            Step::Split { pattern: Searched::Regex(regex), behavior: Behavior::Isolated, .. },
            Step::ByteLevel { add_prefix_space: false, use_regex: false, .. },
        ] => Plan::Pattern(regex),
        _ => Plan::Sequence,
    }
}

/// Steps in the form of a `tokenizer.json`.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Described<'s> {
    One(&'s Step),
    Sequence {
        #[serde(rename = "type")]
        kind: &'static str,
        pretokenizers: &'s [Step],
    },
}

impl<'s> Described<'s> {
    pub(crate) fn of(steps: &'s [Step]) -> Self {
        match steps {
            [one] => Self::One(one),
            pretokenizers => Self::Sequence { kind: "Sequence", pretokenizers },
        }
    }
}
