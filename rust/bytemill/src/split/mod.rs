//! Text to pretokens: the spans that merges never cross.

mod regex;

use crate::error::Result;
use regex::RegexSplitter;

/// GPT-2's pattern, as tiktoken writes it.
pub const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// The pattern of `cl100k_base` (GPT-4), as tiktoken writes it.
pub const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";

/// Cuts text into pretokens by one rule.
#[derive(Clone, Debug)]
pub struct Splitter(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Whole,
    Regex(RegexSplitter),
}

impl Splitter {
    /// A splitter for `pattern`: `None` (no split), a name (`gpt2`, `cl100k`, `o200k`) or any regex.
    pub fn new(pattern: Option<&str>) -> Result<Self> {
        Ok(Self(match pattern {
            None => Kind::Whole,
            Some("gpt2") => Kind::Regex(RegexSplitter::new(GPT2)?),
            Some("cl100k") => Kind::Regex(RegexSplitter::new(CL100K)?),
            Some(any) => Kind::Regex(RegexSplitter::new(any)?),
        }))
    }

    /// The regular expression that this splitter equals, or `None` when it does not split.
    pub fn pattern(&self) -> Option<&str> {
        match &self.0 {
            Kind::Whole => None,
            Kind::Regex(regex) => Some(regex.pattern()),
        }
    }

    /// Calls `each` with every pretoken of `text` in order; put together they are `text`.
    ///
    /// What the pattern leaves unmatched becomes pretokens too. Where `text` is not UTF-8 the
    /// pattern sees each valid stretch by itself, and each run of invalid bytes is one pretoken.
    pub fn split<'t>(&self, text: &'t [u8], mut each: impl FnMut(&'t [u8])) -> Result<()> {
        match &self.0 {
            Kind::Whole if text.is_empty() => Ok(()),
            Kind::Whole => {
                each(text);
                Ok(())
            }
            Kind::Regex(regex) => regex.split(text, each),
        }
    }
}
