//! Text to pretokens: the spans that merges never cross.
//!
//! The patterns that matter (GPT-2, cl100k and its relations, o200k) are written out by hand, each
//! twice: as a function from the start of a pretoken to its end that looks at every character a
//! bounded number of times, and as bit algebra on 64 bytes at once where the processor can compare
//! so many (see `blocks`). Any other regular expression runs in fancy-regex, which is also the
//! oracle of those by hand.

mod blocks;
mod cl100k;
mod gpt2;
mod known;
mod lanes;
mod o200k;
mod parts;
mod regex;
mod unicode;

#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::interrupt::Pace;
pub(crate) use known::oniguruma_reads_alike;
pub use known::{CL100K, GPT2, O200K};
use known::{Known, Rule};
pub(crate) use parts::CUT_BESIDE;
use regex::RegexSplitter;
pub use regex::matches_whole;

/// Cuts text into pretokens by one rule.
///
/// ```
/// use bytemill::split::{GPT2, Splitter};
///
/// let splitter = Splitter::new(Some("gpt2"))?;
/// let mut pretokens = Vec::new();
/// splitter.split(b"I'll pay 50", |pretoken| pretokens.push(pretoken))?;
/// assert_eq!(pretokens, [&b"I"[..], b"'ll", b" pay", b" 50"]);
/// assert_eq!(splitter.pattern(), Some(GPT2));
/// # Ok::<(), bytemill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Splitter(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Whole,
    Known { known: &'static Known, pattern: &'static str },
    Regex(RegexSplitter),
}

impl Splitter {
    /// A splitter for `pattern`: `None` (no split), a name (`gpt2`, `cl100k`, `o200k`) or any regex.
    ///
    /// A regex that is a known spelling of a known pattern runs by hand.
    ///
    /// # Errors
    /// When the regex does not compile, or the environment's `BYTEMILL_SIMD` names no way to split.
    pub fn new(pattern: Option<&str>) -> Result<Self> {
        lanes::check_environment()?;
        Ok(Self(match pattern {
            None => Kind::Whole,
            Some(text) => match known::find(text) {
                Some((known, pattern)) => Kind::Known { known, pattern },
                None => Kind::Regex(RegexSplitter::new(text)?),
            },
        }))
    }

    /// The regular expression that this splitter equals, or `None` when it does not split.
    pub fn pattern(&self) -> Option<&str> {
        match &self.0 {
            Kind::Whole => None,
            Kind::Known { pattern, .. } => Some(pattern),
            Kind::Regex(regex) => Some(regex.pattern()),
        }
    }

    /// The short name of the pattern, where it has one: `gpt2`, `cl100k` or `o200k`.
    pub fn name(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Known { known, .. } => known.name,
            Kind::Whole | Kind::Regex(_) => None,
        }
    }

    /// Whether the pattern is one of those written out by hand; they leave no text unmatched.
    pub fn is_by_hand(&self) -> bool {
        matches!(self.0, Kind::Known { .. })
    }

    /// The same pattern in a spelling that Oniguruma (Hugging Face's regex engine) reads alike,
    /// or why there is none. `None` when this splitter does not split.
    pub fn oniguruma_pattern(&self) -> Result<Option<&str>, &'static str> {
        match &self.0 {
            Kind::Whole => Ok(None),
            Kind::Known { known, .. } => Ok(Some(known.oniguruma)),
            Kind::Regex(regex) => known::oniguruma_reads_alike(regex.pattern()).map(|()| Some(regex.pattern())),
        }
    }

    /// Cuts `text` into about `n_parts` parts whose pretokens are those of the whole; into one where the
    /// pattern gives no place at which that is certain.
    pub fn parts<'t>(&self, text: &'t str, n_parts: usize) -> Vec<&'t str> {
        if self.is_by_hand() { parts::cut(text, n_parts) } else { vec![text] }
    }

    /// The first place at or after `start`, and before the end, where `text` may be cut so that both parts split
    /// as in the whole; `None` where the pattern gives none.
    pub(crate) fn next_cut(&self, text: &str, start: usize) -> Option<usize> {
        if self.is_by_hand() { parts::next_cut_anywhere(text, start) } else { None }
    }

    /// The first place at which `text` may be cut so that its two parts have the pretokens of the whole, where
    /// that is certain; see [`Splitter::is_by_hand`].
    pub fn first_cut(&self, text: &[u8]) -> Option<usize> {
        if self.is_by_hand() { parts::first_cut(text) } else { None }
    }

    /// Calls `each` with every pretoken of `text` in order; put together they are `text`.
    ///
    /// What the pattern leaves unmatched becomes pretokens too. Where `text` is not UTF-8 the
    /// pattern sees each valid stretch by itself, and each run of invalid bytes is one pretoken.
    pub fn split<'t>(&self, text: &'t [u8], mut each: impl FnMut(&'t [u8])) -> Result<()> {
        match (&self.0, std::str::from_utf8(text)) {
            (Kind::Whole, _) => {
                whole(text, each);
                Ok(())
            }
            (_, Ok(text)) => self.split_str(text, each),
            (_, Err(_)) => self.split_damaged(text, &mut each),
        }
    }

    /// As [`Splitter::split`], for text that is known to be UTF-8.
    pub fn split_str<'t>(&self, text: &'t str, mut each: impl FnMut(&'t [u8])) -> Result<()> {
        self.split_batches(text, |mut start, ends| {
            for &end in ends {
                each(&text.as_bytes()[start..end]);
                start = end;
            }
        })
    }

    /// Calls `each` with batches of neighbouring pretokens: where the first begins and where each ends.
    ///
    /// Now and then checks whether to go on.
    pub(crate) fn split_batches(&self, text: &str, mut each: impl FnMut(usize, &[usize])) -> Result<()> {
        let mut pace = Pace::default();
        let mut each = |start: usize, ends: &[usize]| {
            each(start, ends);
            pace.advance(ends.last().map_or(0, |end| end - start));
        };
        match &self.0 {
            Kind::Regex(regex) => {
                let mut start = 0;
                regex.split(text, |pretoken| {
                    each(start, &[start + pretoken.len()]);
                    start += pretoken.len();
                })
            }
            Kind::Whole => {
                whole(text.as_bytes(), |text| each(0, &[text.len()]));
                Ok(())
            }
            Kind::Known { known, .. } => {
                split_by_hand(known.rule, text, each);
                Ok(())
            }
        }
    }

    fn split_damaged<'t>(&self, text: &'t [u8], each: &mut impl FnMut(&'t [u8])) -> Result<()> {
        let (mut at, mut invalid_from, mut pace) = (0, 0, Pace::default());
        for chunk in text.utf8_chunks() {
            pace.advance(chunk.valid().len() + chunk.invalid().len());
            if !chunk.valid().is_empty() {
                if invalid_from < at {
                    each(&text[invalid_from..at]);
                }
                self.split_str(chunk.valid(), &mut *each)?;
                at += chunk.valid().len();
                invalid_from = at;
            }
            at += chunk.invalid().len();
        }
        if invalid_from < at {
            each(&text[invalid_from..at]);
        }
        Ok(())
    }
}

fn whole<'t>(text: &'t [u8], mut each: impl FnMut(&'t [u8])) {
    if !text.is_empty() {
        each(text);
    }
}

/// Pretokens in a batch: their ends and their text stay in the processor's first cache.
const BATCH: usize = 256;

fn split_by_hand(rule: Rule, text: &str, mut each: impl FnMut(usize, &[usize])) {
    let mut ends = [0; BATCH];
    let mut start = 0;
    while start < text.len() {
        let n = blocks::fill(rule, text, start, &mut ends);
        each(start, &ends[..n]);
        start = ends[n - 1];
    }
}
