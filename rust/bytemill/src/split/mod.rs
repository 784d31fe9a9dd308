//! Text to pretokens: the spans that merges never cross.
//!
//! The patterns that matter (GPT-2, cl100k and its relations, o200k) are written out by hand, each
//! twice: as a function from the start of a pretoken to its end that looks at every character a
//! bounded number of times, and as bit algebra on 64 bytes at once where the processor can compare
//! so many (see `by_hand`). Any other regular expression runs in an engine whose time is linear in the
//! text (see `engine`), and what needs several steps in a `sequence`. fancy-regex is the oracle of all.

mod backend;
mod block;
mod by_hand;
mod characters;
mod cl100k;
mod cuts;
mod engine;
mod gpt2;
mod known;
mod lanes;
mod memo;
mod o200k;
mod oniguruma;
mod parts;
mod pattern;
mod program;
mod sequence;
mod steps;
mod unicode;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::interrupt::Pace;
use by_hand::{BATCH, split_by_hand};
use engine::Regex;
pub use known::{CL100K, GPT2, O200K};
use known::{Known, Rule};
pub(crate) use oniguruma::{Direction, translate};
pub(crate) use parts::CUT_BESIDE;
use sequence::Sequence;
use std::sync::Arc;
pub(crate) use steps::{Described, Step, read as read_steps};
use steps::{Plan, plan};

/// The backend that splits text by the known patterns here: `avx512`, `avx2`, `neon` or `scalar`.
///
/// It is the one that the environment's `BYTEMILL_SIMD` forces, if this processor has it, or else the best.
///
/// # Errors
/// When `BYTEMILL_SIMD` names no backend.
pub fn backend() -> Result<&'static str> {
    backend::check_environment()?;
    Ok(backend::BACKEND.name())
}

/// Cuts text into pretokens by one rule.
///
/// ```
/// use bytemill::split::{GPT2, Splitter};
///
/// let splitter = Splitter::new(Some("gpt2"))?;
/// let mut pretokens = Vec::new();
/// splitter.split(b"I'll pay 50", |pretoken| pretokens.push(pretoken.to_vec()))?;
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
    Regex(Regex),
    Sequence(Arc<Sequence>),
}

impl Splitter {
    /// A splitter for `pattern`: `None` (no split), a name (`gpt2`, `cl100k`, `o200k`, or tiktoken's names of these), any
    /// regex, or steps as JSON, written as the `pre_tokenizer` of a `tokenizer.json`.
    ///
    /// A regex that is a known spelling of a known pattern runs by hand.
    ///
    /// # Errors
    /// When the pattern is a bare word that is no known name, when the regex does not compile or needs more time than
    /// is linear in the text, when the steps lose text, or the environment's `BYTEMILL_SIMD` names no way to split.
    pub fn new(pattern: Option<&str>) -> Result<Self> {
        match pattern {
            None => Self::of(Kind::Whole),
            Some(steps) if steps.starts_with('{') => {
                let fault = |reason| Error::Pattern { pattern: steps.to_owned(), reason };
                let value = serde_json::from_str(steps).map_err(|error| fault(error.to_string()))?;
                Self::from_steps(read_steps(&value).map_err(fault)?)
            }
            Some(word) if known::is_bare_word(word) => match known::named(word) {
                Some(pattern) => Self::from_regex(pattern),
                None => Err(Error::Argument {
                    name: "pattern",
                    got: format!("{word:?}"),
                    expected: format!("a regular expression or one of the names {}", known::all_names()),
                }),
            },
            Some(regex) => Self::from_regex(regex),
        }
    }

    /// A splitter for a regex, which may look like a name.
    pub(crate) fn from_regex(regex: &str) -> Result<Self> {
        match known::find(regex) {
            Some((known, pattern)) => Self::of(Kind::Known { known, pattern }),
            // A bare word alone would be read as a name when it comes back.
            None if known::is_bare_word(regex) => Self::of(Kind::Regex(Regex::new(&format!("(?:{regex})"))?)),
            None => Self::of(Kind::Regex(Regex::new(regex)?)),
        }
    }

    /// The splitter that does what `steps` do, one of which is `ByteLevel`.
    pub(crate) fn from_steps(steps: Vec<Step>) -> Result<Self> {
        match plan(&steps) {
            Plan::Whole => Self::of(Kind::Whole),
            Plan::Pattern(regex) => Self::from_regex(regex),
            Plan::Sequence => Self::of(Kind::Sequence(Arc::new(Sequence::new(steps)?))),
        }
    }

    fn of(kind: Kind) -> Result<Self> {
        backend::check_environment()?;
        Ok(Self(kind))
    }

    /// What [`Splitter::new`] makes this splitter of: a regular expression, or steps as JSON; `None` when it does not
    /// split.
    pub fn pattern(&self) -> Option<&str> {
        match &self.0 {
            Kind::Whole => None,
            Kind::Known { pattern, .. } => Some(pattern),
            Kind::Regex(regex) => Some(regex.pattern()),
            Kind::Sequence(sequence) => Some(sequence.description()),
        }
    }

    /// Whether every pretoken of valid text is whole characters.
    pub(crate) fn keeps_characters_whole(&self) -> bool {
        match &self.0 {
            Kind::Sequence(sequence) => sequence.keeps_characters_whole(),
            _ => true,
        }
    }

    /// Whether pretokens hold spaces that the text does not have.
    pub(crate) fn adds_text(&self) -> bool {
        matches!(&self.0, Kind::Sequence(sequence) if sequence.adds_text())
    }

    /// The places in `text`, ascending, before which pretokens have a space that the text does not have.
    pub(crate) fn added_spaces(&self, text: &str) -> Result<Vec<usize>> {
        match &self.0 {
            Kind::Sequence(sequence) => sequence.added_spaces(text),
            _ => Ok(Vec::new()),
        }
    }

    /// The short name of the pattern, where it has one: `gpt2`, `cl100k` or `o200k`.
    pub fn name(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Known { known, .. } => known.name,
            _ => None,
        }
    }

    /// Whether the pattern is one of those written out by hand; they leave no text unmatched.
    pub fn is_by_hand(&self) -> bool {
        matches!(self.0, Kind::Known { .. })
    }

    /// The same pattern in a spelling that Oniguruma (Hugging Face's regex engine) reads alike,
    /// or why there is none. `None` when this splitter does not split, or splits in steps.
    pub fn oniguruma_pattern(&self) -> Result<Option<String>, String> {
        match &self.0 {
            Kind::Whole | Kind::Sequence(_) => Ok(None),
            Kind::Known { known, .. } => Ok(Some(known.oniguruma.to_owned())),
            Kind::Regex(regex) => translate(regex.pattern(), Direction::Write).map(Some),
        }
    }

    /// The steps of a splitter that has several, with regular expressions that Oniguruma reads alike.
    pub(crate) fn oniguruma_steps(&self) -> Option<Result<Vec<Step>, String>> {
        let Kind::Sequence(sequence) = &self.0 else { return None };
        let written = |regex: &str| match known::in_oniguruma(regex) {
            Some(spelling) => Ok(spelling.to_owned()),
            None => translate(regex, Direction::Write),
        };
        Some(sequence.steps().iter().map(|step| step.with_regex(written)).collect())
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
    /// that is certain; see [`Splitter::is_by_hand`]. `text` may be a part of a longer one.
    pub fn first_cut(&self, text: &[u8]) -> Option<usize> {
        self.rule().and_then(|rule| cuts::first(rule, text))
    }

    /// As [`Splitter::first_cut`], the last place.
    pub fn last_cut(&self, text: &[u8]) -> Option<usize> {
        self.rule().and_then(|rule| cuts::last(rule, text))
    }

    fn rule(&self) -> Option<Rule> {
        match &self.0 {
            Kind::Known { known, .. } => Some(known.rule),
            Kind::Whole | Kind::Regex(_) | Kind::Sequence(_) => None,
        }
    }

    /// Calls `each` with every pretoken of `text` in order; put together they are `text`, but for the spaces that
    /// `add_prefix_space` puts in.
    ///
    /// What the pattern leaves unmatched becomes pretokens too. Where `text` is not UTF-8 the
    /// pattern sees each valid stretch by itself, and each run of invalid bytes is one pretoken.
    pub fn split(&self, text: &[u8], mut each: impl FnMut(&[u8])) -> Result<()> {
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
    pub fn split_str(&self, text: &str, mut each: impl FnMut(&[u8])) -> Result<()> {
        self.split_batches(text, |text, mut start, ends| {
            for &end in ends {
                each(&text.as_bytes()[start..end]);
                start = end;
            }
        })
    }

    /// Calls `each` with batches of neighbouring pretokens: the text that holds them, where the first begins and where
    /// each ends. The text is `text`, or what a step made of a piece of it.
    ///
    /// Now and then checks whether to go on.
    pub(crate) fn split_batches(&self, text: &str, mut each: impl FnMut(&str, usize, &[usize])) -> Result<()> {
        let mut pace = Pace::default();
        let mut each = |text: &str, start: usize, ends: &[usize]| {
            each(text, start, ends);
            pace.advance(ends.last().map_or(0, |end| end - start));
        };
        match &self.0 {
            Kind::Regex(regex) => {
                let mut batch = Batch::default();
                regex.each_end(text, &mut |end| batch.add(end, |start, ends| each(text, start, ends)))?;
                batch.flush(|start, ends| each(text, start, ends));
                Ok(())
            }
            Kind::Whole => {
                whole(text.as_bytes(), |bytes| each(text, 0, &[bytes.len()]));
                Ok(())
            }
            Kind::Known { known, .. } => {
                split_by_hand(known.rule, text, |start, ends| each(text, start, ends));
                Ok(())
            }
            Kind::Sequence(sequence) => sequence.split(text, &mut each),
        }
    }

    fn split_damaged(&self, text: &[u8], each: &mut impl FnMut(&[u8])) -> Result<()> {
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

/// Which of `names` a pattern matches as a whole, in time that is linear in their lengths.
///
/// ```
/// let matched = bytemill::split::matches_whole(r".*\.(qkv|expand)", &["blocks.0.qkv", "qkv"])?;
/// assert_eq!(matched, [true, false]);
/// # Ok::<(), bytemill::Error>(())
/// ```
///
/// # Errors
/// [`Error::Pattern`] when the pattern does not compile.
pub fn matches_whole<T: AsRef<str>>(pattern: &str, names: &[T]) -> Result<Vec<bool>> {
    Regex::new(pattern)?; // `a)|(b` would be one only between the brackets of the next line
    let whole = Regex::new(&format!(r"\A(?:{pattern})\z"))?;
    Ok(names.iter().map(|name| whole.is_match(name.as_ref())).collect())
}

fn whole(text: &[u8], mut each: impl FnMut(&[u8])) {
    if !text.is_empty() {
        each(text);
    }
}

/// Ends of pretokens that are found one by one.
struct Batch {
    start: usize,
    ends: [usize; BATCH],
    n: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { start: 0, ends: [0; BATCH], n: 0 }
    }
}

impl Batch {
    fn add(&mut self, end: usize, each: impl FnMut(usize, &[usize])) {
        if self.n == BATCH {
            self.flush(each);
        }
        self.ends[self.n] = end;
        self.n += 1;
    }

    fn flush(&mut self, mut each: impl FnMut(usize, &[usize])) {
        if let Some(&last) = self.ends[..self.n].last() {
            each(self.start, &self.ends[..self.n]);
            (self.start, self.n) = (last, 0);
        }
    }
}
