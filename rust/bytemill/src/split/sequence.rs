//! Steps that run one after another: each splits the pieces of the previous one.

use super::by_hand::split_by_hand;
use super::characters;
use super::engine::Regex;
use super::known::{self, Rule};
use super::steps::{Behavior, Described, Searched, Step};
use crate::byte_alphabet::to_printable;
use crate::error::Result;
use std::borrow::Cow;

/// Receives pretokens: a text, the start of the first pretoken in it, and the end of each.
type Each<'e> = &'e mut dyn FnMut(&str, usize, &[usize]);

/// A splitter of several steps, one of them `ByteLevel`.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// The steps as JSON.
    description: String,
    steps: Vec<Step>,
    /// The steps before `ByteLevel`.
    before: Vec<Cutter>,
    adds_space: bool,
    /// `ByteLevel`'s own pattern, if it is used.
    own: Vec<Cutter>,
    /// The steps after `ByteLevel`: these see bytes as printable characters.
    after: Vec<Cutter>,
}

/// One step, ready to run.
#[derive(Clone, Debug)]
enum Cutter {
    ByHand(Rule),
    Found { finder: Finder, behavior: Behavior, is_inverted: bool },
    Length(usize),
}

/// What searches for matches.
#[derive(Clone, Debug)]
enum Finder {
    Regex(Regex),
    Text(Box<memchr::memmem::Finder<'static>>),
    Number,
    Punctuation,
}

impl Sequence {
    pub(super) fn new(steps: Vec<Step>) -> Result<Self> {
        let description = serde_json::json!(Described::of(&steps)).to_string();
        let mut sequence =
            Self { description, steps, before: Vec::new(), adds_space: false, own: Vec::new(), after: Vec::new() };
        let mut is_after = false;
        for step in &sequence.steps {
            let cutter = match step {
                Step::ByteLevel { add_prefix_space, use_regex, .. } => {
                    (is_after, sequence.adds_space) = (true, *add_prefix_space);
                    sequence.own = if *use_regex { vec![Cutter::ByHand(Rule::Gpt2)] } else { Vec::new() };
                    continue;
                }
                Step::Split { pattern, behavior, invert } => Cutter::split(pattern, *behavior, *invert)?,
                Step::Digits { individual_digits: true } => Cutter::found(Finder::Number, Behavior::Isolated),
                Step::Digits { individual_digits: false } => Cutter::found(Finder::Number, Behavior::Contiguous),
                Step::Punctuation { behavior } => Cutter::found(Finder::Punctuation, *behavior),
                Step::FixedLength { length } => Cutter::Length(*length),
            };
            if is_after { sequence.after.push(cutter) } else { sequence.before.push(cutter) }
        }
        Ok(sequence)
    }

    /// Return the steps as JSON.
    pub(super) fn description(&self) -> &str {
        &self.description
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Return whether every pretoken consists of whole characters.
    pub(super) fn keeps_characters_whole(&self) -> bool {
        self.after.is_empty()
    }

    /// Return whether a space is put before each piece that has none.
    pub(super) fn adds_text(&self) -> bool {
        self.adds_space
    }

    /// Return the positions in `text` before which a space is inserted.
    pub(super) fn added_spaces(&self, text: &str) -> Result<Vec<usize>> {
        let (mut at, mut places) = (0, Vec::new());
        if self.adds_space && !text.is_empty() {
            cut(&self.before, text, &mut |piece| {
                if !piece.starts_with(' ') {
                    places.push(at);
                }
                at += piece.len();
                Ok(())
            })?;
        }
        Ok(places)
    }

    /// Call `each` with batches of pretokens of `text`.
    pub(super) fn split(&self, text: &str, each: Each) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        cut(&self.before, text, &mut |text| {
            let text = if self.adds_space { with_space(text) } else { Cow::Borrowed(text) };
            self.split_bytes(&text, each)
        })
    }

    /// Run `ByteLevel` and the steps after it.
    fn split_bytes(&self, text: &str, each: Each) -> Result<()> {
        match (&self.own[..], self.after.is_empty()) {
            ([Cutter::ByHand(rule)], true) => {
                split_by_hand(*rule, text, |start, ends| each(text, start, ends));
                Ok(())
            }
            (_, true) => {
                each(text, 0, &[text.len()]);
                Ok(())
            }
            (own, false) => cut(own, text, &mut |piece| {
                let printable = to_printable(piece.as_bytes());
                let mut start = 0;
                cut(&self.after, &printable, &mut |part| {
                    let end = start + part.chars().count();
                    each(piece, start, &[end]);
                    start = end;
                    Ok(())
                })
            }),
        }
    }
}

fn with_space(text: &str) -> Cow<'_, str> {
    if text.starts_with(' ') { text.into() } else { format!(" {text}").into() }
}

/// Call `each` with the pieces that `cutters` make of `text`, in order.
fn cut(cutters: &[Cutter], text: &str, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    match cutters.split_first() {
        None => each(text),
        Some((first, rest)) => first.cut(text, &mut |piece| cut(rest, piece, each)),
    }
}

impl Cutter {
    fn split(pattern: &Searched, behavior: Behavior, is_inverted: bool) -> Result<Self> {
        let by_hand = |regex| known::find(regex).map(|(known, _)| known.rule);
        let finder = match pattern {
            Searched::Regex(regex) => match (by_hand(regex), behavior) {
                (Some(rule), Behavior::Isolated) => return Ok(Self::ByHand(rule)),
                _ => Finder::Regex(Regex::new(regex)?),
            },
            Searched::String(text) => Finder::Text(Box::new(memchr::memmem::Finder::new(text.as_bytes()).into_owned())),
        };
        Ok(Self::Found { finder, behavior, is_inverted })
    }

    fn found(finder: Finder, behavior: Behavior) -> Self {
        Self::Found { finder, behavior, is_inverted: false }
    }

    fn cut(&self, text: &str, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let mut failure = Ok(());
        match self {
            Self::ByHand(rule) => split_by_hand(*rule, text, |mut start, ends| {
                for &end in ends {
                    if failure.is_ok() {
                        failure = each(&text[start..end]);
                    }
                    start = end;
                }
            }),
            Self::Length(length) => {
                let mut rest = text;
                while !rest.is_empty() {
                    let end = rest.char_indices().nth(*length).map_or(rest.len(), |(at, _)| at);
                    each(&rest[..end])?;
                    rest = &rest[end..];
                }
            }
            Self::Found { finder, behavior, is_inverted } => {
                let (behavior, is_inverted) = (*behavior, *is_inverted);
                let mut pieces = Pieces { text, behavior, is_inverted, start: 0, end: 0, is_match: None };
                finder.each_match(text, &mut |start, end| pieces.take_match(start, end, each))?;
                pieces.finish(each)?;
            }
        }
        failure
    }
}

impl Finder {
    fn each_match(&self, text: &str, each: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<()> {
        match self {
            Self::Regex(regex) => regex.each_match(text, each),
            Self::Text(finder) => {
                let length = finder.needle().len();
                finder.find_iter(text.as_bytes()).try_for_each(|at| each(at, at + length))
            }
            Self::Number => each_character(text, characters::is_number, each),
            Self::Punctuation => each_character(text, characters::is_punctuation, each),
        }
    }
}

fn each_character(
    text: &str,
    is_match: impl Fn(char) -> bool,
    each: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<()> {
    let matches = text.char_indices().filter(|(_, character)| is_match(*character));
    matches.map(|(at, character)| (at, at + character.len_utf8())).try_for_each(|(start, end)| each(start, end))
}

/// Combines matches and the text between them according to a behavior.
struct Pieces<'t> {
    text: &'t str,
    behavior: Behavior,
    /// Whether the text between the matches is treated as the matches.
    is_inverted: bool,
    /// The piece that may still grow is `text[start..end]`.
    start: usize,
    end: usize,
    /// Whether its last part is a match; `None` if there is no part yet.
    is_match: Option<bool>,
}

impl Pieces<'_> {
    fn take_match(&mut self, start: usize, end: usize, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        if self.end < start {
            self.take(start, false, each)?;
        }
        self.take(end, true, each)
    }

    fn finish(&mut self, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        if self.end < self.text.len() {
            self.take(self.text.len(), false, each)?;
        }
        self.emit(each)
    }

    /// Add the next part, which ends at `end`.
    fn take(&mut self, end: usize, is_match: bool, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let is_match = is_match != self.is_inverted;
        let joins = self.is_match.is_some_and(|before| match self.behavior {
            Behavior::Isolated | Behavior::Removed => false,
            Behavior::MergedWithPrevious => is_match && !before,
            Behavior::MergedWithNext => before && !is_match,
            Behavior::Contiguous => before == is_match,
        });
        if !joins {
            self.emit(each)?;
        }
        (self.end, self.is_match) = (end, Some(is_match));
        Ok(())
    }

    fn emit(&mut self, each: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let piece = &self.text[self.start..self.end];
        self.start = self.end;
        if piece.is_empty() { Ok(()) } else { each(piece) }
    }
}
