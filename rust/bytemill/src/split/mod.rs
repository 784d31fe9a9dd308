//! Splits text into pretokens: the spans that merges never cross.
//!
//! The common patterns (GPT-2, cl100k and its relatives, o200k) are hand-written, each in two forms.
//! One is a function from the start of a pretoken to its end that reads every character a bounded
//! number of times. The other is bit algebra on 64 bytes at once, for processors that can compare that
//! many (see `by_hand`). Any other regular expression runs in an engine with linear running time
//! (see `engine`). A split in several steps runs in a `sequence`. Tests compare all of them with fancy-regex.

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
pub(crate) use parts::CUT_CONTEXT;
use sequence::Sequence;
use std::sync::Arc;
pub(crate) use steps::{Described, Step, read as read_steps};
use steps::{Plan, plan};

/// Return the backend that splits text by the known patterns: `avx512`, `avx2`, `neon` or `scalar`.
///
/// `BYTEMILL_SIMD` in the environment forces a backend if this processor supports it. By default the best one is used.
///
/// # Errors
/// If `BYTEMILL_SIMD` is not the name of a backend.
pub fn backend() -> Result<&'static str> {
    backend::check_environment()?;
    Ok(backend::BACKEND.name())
}

/// Splits text into pretokens by one pattern.
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
    /// Create a splitter for `pattern`: `None` (no split), a name (`gpt2`, `cl100k`, `o200k`, or tiktoken's names for
    /// these), any regex, or steps as JSON in the form of the `pre_tokenizer` of a `tokenizer.json`.
    ///
    /// A regex that is a known spelling of a known pattern runs in the hand-written code.
    ///
    /// # Errors
    /// If the pattern is a bare word that is not a known name, if the regex does not compile or cannot run in linear
    /// time, if the steps lose text, or if `BYTEMILL_SIMD` is not the name of a backend.
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

    /// Create a splitter for a regex, which may look like a name.
    pub(crate) fn from_regex(regex: &str) -> Result<Self> {
        match known::find(regex) {
            Some((known, pattern)) => Self::of(Kind::Known { known, pattern }),
            // A bare word alone would be read as a name when the pattern is loaded again.
            None if known::is_bare_word(regex) => Self::of(Kind::Regex(Regex::new(&format!("(?:{regex})"))?)),
            None => Self::of(Kind::Regex(Regex::new(regex)?)),
        }
    }

    /// Create a splitter that runs `steps`, which include `ByteLevel`.
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

    /// Return the argument of [`Splitter::new`] that makes this splitter: a regular expression, or steps as JSON.
    /// Return `None` if it does not split.
    pub fn pattern(&self) -> Option<&str> {
        match &self.0 {
            Kind::Whole => None,
            Kind::Known { pattern, .. } => Some(pattern),
            Kind::Regex(regex) => Some(regex.pattern()),
            Kind::Sequence(sequence) => Some(sequence.description()),
        }
    }

    /// Return whether every pretoken of valid text consists of whole characters.
    pub(crate) fn keeps_characters_whole(&self) -> bool {
        match &self.0 {
            Kind::Sequence(sequence) => sequence.keeps_characters_whole(),
            _ => true,
        }
    }

    /// Return whether pretokens may contain spaces that are not in the text.
    pub(crate) fn adds_text(&self) -> bool {
        matches!(&self.0, Kind::Sequence(sequence) if sequence.adds_text())
    }

    /// Return the positions in `text`, ascending, before which the pretokens have a space that is not in the text.
    pub(crate) fn added_spaces(&self, text: &str) -> Result<Vec<usize>> {
        match &self.0 {
            Kind::Sequence(sequence) => sequence.added_spaces(text),
            _ => Ok(Vec::new()),
        }
    }

    /// Return the short name of the pattern if it has one: `gpt2`, `cl100k` or `o200k`.
    pub fn name(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Known { known, .. } => known.name,
            _ => None,
        }
    }

    /// Return whether the pattern is a hand-written one; these leave no text unmatched.
    pub fn is_by_hand(&self) -> bool {
        matches!(self.0, Kind::Known { .. })
    }

    /// Return the same pattern in a spelling with the same meaning in Oniguruma (Hugging Face's regex
    /// engine), or the reason why there is none. Return `None` if this splitter does not split or has steps.
    pub fn oniguruma_pattern(&self) -> Result<Option<String>, String> {
        match &self.0 {
            Kind::Whole | Kind::Sequence(_) => Ok(None),
            Kind::Known { known, .. } => Ok(Some(known.oniguruma.to_owned())),
            Kind::Regex(regex) => translate(regex.pattern(), Direction::Write).map(Some),
        }
    }

    /// Return the steps of a splitter that has several, with regular expressions of the same meaning in Oniguruma.
    pub(crate) fn oniguruma_steps(&self) -> Option<Result<Vec<Step>, String>> {
        let Kind::Sequence(sequence) = &self.0 else { return None };
        let written = |regex: &str| match known::in_oniguruma(regex) {
            Some(spelling) => Ok(spelling.to_owned()),
            None => translate(regex, Direction::Write),
        };
        Some(sequence.steps().iter().map(|step| step.with_regex(written)).collect())
    }

    /// Split `text` into about `n_parts` parts that have the same pretokens as the whole. Return one part if the
    /// pattern has no place at which a cut is certain to be safe.
    pub fn parts<'t>(&self, text: &'t str, n_parts: usize) -> Vec<&'t str> {
        if self.is_by_hand() { parts::cut(text, n_parts) } else { vec![text] }
    }

    /// Return the first place at or after `start`, and before the end, at which `text` may be cut without changing its
    /// pretokens, or `None` if the pattern has no such place.
    pub(crate) fn next_cut(&self, text: &str, start: usize) -> Option<usize> {
        if self.is_by_hand() { parts::next_cut_anywhere(text, start) } else { None }
    }

    /// Return the first place at which `text` may be cut without changing its pretokens, if that is certain; see
    /// [`Splitter::is_by_hand`]. `text` may be a part of a longer text.
    pub fn first_cut(&self, text: &[u8]) -> Option<usize> {
        self.rule().and_then(|rule| cuts::first(rule, text))
    }

    /// Like [`Splitter::first_cut`], for the last place.
    pub fn last_cut(&self, text: &[u8]) -> Option<usize> {
        self.rule().and_then(|rule| cuts::last(rule, text))
    }

    fn rule(&self) -> Option<Rule> {
        match &self.0 {
            Kind::Known { known, .. } => Some(known.rule),
            Kind::Whole | Kind::Regex(_) | Kind::Sequence(_) => None,
        }
    }

    /// Call `each` with every pretoken of `text` in order. Joined, the pretokens are `text`, except for the spaces that
    /// `add_prefix_space` inserts.
    ///
    /// Text that the pattern does not match becomes pretokens too. If `text` is not valid UTF-8, each valid stretch is
    /// split on its own, and each run of invalid bytes is one pretoken.
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

    /// Like [`Splitter::split`], for text that is known to be UTF-8.
    pub fn split_str(&self, text: &str, mut each: impl FnMut(&[u8])) -> Result<()> {
        self.split_batches(text, |text, mut start, ends| {
            for &end in ends {
                each(&text.as_bytes()[start..end]);
                start = end;
            }
        })
    }

    /// Call `each` with batches of neighbouring pretokens: the text that contains them, the start of the first, and the
    /// end of each. The text is `text`, or the output of a step for a piece of it.
    ///
    /// Checks for interruption from time to time.
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

/// Return for each name whether the pattern matches all of it, in time that is linear in the lengths of the names.
///
/// ```
/// let matched = bytemill::split::matches_whole(r".*\.(qkv|expand)", &["blocks.0.qkv", "qkv"])?;
/// assert_eq!(matched, [true, false]);
/// # Ok::<(), bytemill::Error>(())
/// ```
///
/// # Errors
/// [`Error::Pattern`] if the pattern does not compile.
pub fn matches_whole<T: AsRef<str>>(pattern: &str, names: &[T]) -> Result<Vec<bool>> {
    Regex::new(pattern)?; // `a)|(b` is valid only inside the brackets of the next line
    let whole = Regex::new(&format!(r"\A(?:{pattern})\z"))?;
    Ok(names.iter().map(|name| whole.is_match(name.as_ref())).collect())
}

fn whole(text: &[u8], mut each: impl FnMut(&[u8])) {
    if !text.is_empty() {
        each(text);
    }
}

/// Pretoken ends that are found one by one.
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
