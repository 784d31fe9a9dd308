//! The hand-written patterns, their names, and every spelling of them in use.

use super::cl100k::Rules;

/// GPT-2's pattern, as first written in tiktoken.
pub const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// The pattern of `cl100k_base` (GPT-4), as tiktoken writes it.
pub const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
/// The pattern of `o200k_base` (GPT-4o), as tiktoken writes it.
pub const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const GPT2_ORIGINAL: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The function that splits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Gpt2,
    Cl100k(Rules),
    O200k,
}

/// A hand-written pattern.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) rule: Rule,
    pub(super) name: Option<&'static str>,
    /// Regular expressions that all split every text alike; a name refers to the first.
    pub(super) spellings: &'static [&'static str],
    /// A spelling with the same meaning in Oniguruma, where `{1,3}+` is a repeated repeat and `$` the end of any line.
    pub(super) oniguruma: &'static str,
}

pub(super) static KNOWN: [Known; 5] = [
    Known {
        rule: Rule::Gpt2,
        name: Some("gpt2"),
        spellings: &[
            GPT2,
            GPT2_ORIGINAL,
            r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        ],
        oniguruma: GPT2_ORIGINAL,
    },
    Known {
        rule: Rule::Cl100k(Rules { max_digits: 3, end_is_whole: true }),
        name: Some("cl100k"),
        spellings: &[
            CL100K,
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]|\s+(?!\S)|\s",
        ],
        oniguruma: r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]|\s+(?!\S)|\s",
    },
    Known {
        rule: Rule::Cl100k(Rules { max_digits: 3, end_is_whole: false }),
        name: None,
        spellings: &[
            LLAMA3,
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        ],
        oniguruma: LLAMA3,
    },
    Known {
        rule: Rule::Cl100k(Rules { max_digits: 1, end_is_whole: false }),
        name: None,
        spellings: &[QWEN2],
        oniguruma: QWEN2,
    },
    Known { rule: Rule::O200k, name: Some("o200k"), spellings: &[O200K], oniguruma: O200K },
];

/// Names of patterns and the pattern of each; case is ignored.
const NAMES: [(&str, &str); 14] = [
    ("gpt2", GPT2),
    ("gpt-2", GPT2),
    ("r50k_base", GPT2),
    ("p50k_base", GPT2),
    ("p50k_edit", GPT2),
    ("cl100k", CL100K),
    ("cl100k_base", CL100K),
    ("gpt4", CL100K),
    ("gpt-4", CL100K),
    ("o200k", O200K),
    ("o200k_base", O200K),
    ("o200k_harmony", O200K),
    ("gpt4o", O200K),
    ("gpt-4o", O200K),
];

/// Return the pattern with this `name`.
pub(super) fn named(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, pattern)| *pattern)
}

/// Return whether `text` can only be meant as a name: as a regular expression it would match only itself.
pub(super) fn is_bare_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Return the names that [`named`] accepts, for messages.
pub(super) fn all_names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

/// Return the known pattern that `regex` spells, and the spelling.
pub(super) fn find(regex: &str) -> Option<(&'static Known, &'static str)> {
    KNOWN.iter().find_map(|known| {
        let spelling = known.spellings.iter().find(|spelling| **spelling == regex);
        spelling.map(|spelling| (known, *spelling))
    })
}

/// Return a known pattern in a spelling with the same meaning in Oniguruma.
pub(super) fn in_oniguruma(regex: &str) -> Option<&'static str> {
    find(regex).map(|(known, _)| known.oniguruma)
}
