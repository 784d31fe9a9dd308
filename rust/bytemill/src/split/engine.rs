//! Splits by any regular expression, using backtracking that never repeats work.
//!
//! Backtracking finds the same match as the engines of tiktoken and Hugging Face: the first in the order of the
//! pattern. Whether the rest of a program matches depends only on the instruction and the position, because nothing
//! refers to earlier matches. So if an attempt takes long, each failed pair of an instruction and a position is
//! remembered, and so are the ends of lookarounds and atomic groups. Each pair is then tried once in the whole text,
//! and the time is linear in the text for any pattern. Ordinary patterns never take long and remember nothing.

use super::characters;
use super::memo::{Known, Memo};
use super::pattern::Place;
use super::program::{Instruction, Program};
use crate::error::Result;
use crate::interrupt::{self, Pace};
use std::sync::Arc;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Regex {
    pattern: Arc<str>,
    program: Arc<Program>,
    /// [`FEW_STEPS`]; tests use less.
    few_steps: usize,
}

impl Regex {
    pub(super) fn new(pattern: &str) -> Result<Self> {
        Ok(Self { pattern: pattern.into(), program: Arc::new(Program::new(pattern)?), few_steps: FEW_STEPS })
    }

    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Return whether there is a match anywhere in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        Search::new(self, text).find(0).is_some()
    }

    /// Call `each` with the start and the end of every match, in order; stop at the first error.
    ///
    /// An empty match directly after another match is skipped.
    pub(super) fn each_match(&self, text: &str, each: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<()> {
        let mut search = Search::new(self, text);
        let (mut at, mut last_end) = (0, None);
        while let Some((start, end)) = search.find(at) {
            at = end;
            if start == end {
                at += text[end..].chars().next().map_or(1, char::len_utf8);
                if last_end == Some(end) {
                    continue;
                }
            }
            last_end = Some(end);
            each(start, end)?;
        }
        Ok(())
    }

    /// Call `each` with the end of every match, and of the text before each match and after the last.
    pub(super) fn each_end(&self, text: &str, each: &mut dyn FnMut(usize)) -> Result<()> {
        let mut end = 0;
        self.each_match(text, &mut |match_start, match_end| {
            for next in [match_start, match_end] {
                if next > end {
                    each(next);
                    end = next;
                }
            }
            Ok(())
        })?;
        if end < text.len() {
            each(text.len());
        }
        Ok(())
    }
}

/// An attempt uses a memo if it takes more steps than this, plus the steps for each byte of its match.
const FEW_STEPS: usize = 512;
const STEPS_A_BYTE: usize = 16;
/// A millisecond or less.
const STEPS_A_CHECK: usize = 1 << 16;

/// The alternative to try if the current path fails: at `instruction`, from `high` down to `low`.
#[derive(Clone, Copy)]
struct Alternative {
    instruction: usize,
    low: usize,
    high: usize,
    /// The length of the trail at this point.
    trail: usize,
    is_on_trail: bool,
}

/// A state that the current path has passed, at one position or at several in a row.
#[derive(Clone, Copy)]
struct Passed {
    state: usize,
    low: usize,
    high: usize,
}

/// The search through one text.
struct Search<'p, 't> {
    program: &'p Program,
    text: &'t str,
    few_steps: usize,
    /// The position where the line feeds at the end of the text begin.
    last_newlines: usize,
    alternatives: Vec<Alternative>,
    trail: Vec<Passed>,
    memo: Memo,
    /// The current attempt: its start, its steps, and the last position that it reached.
    start: usize,
    n_steps: usize,
    farthest: usize,
    pace: Pace,
}

impl<'p, 't> Search<'p, 't> {
    fn new(regex: &'p Regex, text: &'t str) -> Self {
        let program = &*regex.program;
        Self {
            program,
            text,
            few_steps: regex.few_steps,
            last_newlines: text.trim_end_matches('\n').len(),
            alternatives: Vec::new(),
            trail: Vec::new(),
            memo: Memo::new(program.n_states),
            start: 0,
            n_steps: 0,
            farthest: 0,
            pace: Pace::default(),
        }
    }

    /// Return the first match that starts at or after `from`.
    fn find(&mut self, from: usize) -> Option<(usize, usize)> {
        let mut start = from;
        loop {
            start = self.next_start(start)?;
            self.pace.advance(1);
            if let Some(end) = self.attempt(start) {
                self.memo.forget_before(self.looked_back_from(end));
                return Some((start, end));
            }
            start += self.text[start..].chars().next().map_or(1, char::len_utf8);
        }
    }

    /// Return the first position from `start` on at which a match may start.
    fn next_start(&self, start: usize) -> Option<usize> {
        let rest = self.text.as_bytes().get(start..)?;
        match &self.program.first_bytes {
            Some(first) => rest.iter().position(|&byte| first[usize::from(byte)]).map(|offset| start + offset),
            None => Some(start),
        }
    }

    /// Return the end of the match that starts at `start`.
    fn attempt(&mut self, start: usize) -> Option<usize> {
        self.memo.start_at(start);
        (self.start, self.n_steps, self.farthest) = (start, 0, start);
        let found = self.run(0, start, false);
        if self.n_steps > self.few_steps + STEPS_A_BYTE * found.map_or(0, |end| end - start) {
            self.memo.keep(self.looked_back_from(start), self.farthest);
        }
        found
    }

    /// Return the first position that a look-behind at `at` can reach, or one before it.
    fn looked_back_from(&self, at: usize) -> usize {
        at.saturating_sub(self.program.most_back.saturating_mul(4))
    }

    /// Run the program from `instruction` at `at` to its end, or to the end of a lookaround or an atomic group. Return
    /// the position in the text that it reaches.
    fn run(&mut self, mut instruction: usize, mut at: usize, is_inner: bool) -> Option<usize> {
        let (first_alternative, first_passed) = (self.alternatives.len(), self.trail.len());
        loop {
            self.n_steps += 1;
            if self.n_steps.is_multiple_of(STEPS_A_CHECK) {
                interrupt::check();
            }
            let next = match self.program.instructions[instruction] {
                Instruction::Match => Next::End(at),
                Instruction::One(class) => self.one(class, at).map_or(Next::Fail, |end| Next::Go(instruction + 1, end)),
                Instruction::Jump(next) => Next::Go(next, at),
                Instruction::Assert(place) if self.holds(place, at) => Next::Go(instruction + 1, at),
                Instruction::Assert(_) => Next::Fail,
                Instruction::Split { first, second, state } => match self.enter(state, at) {
                    Known::Nothing => {
                        self.add_alternative(second, at, at);
                        Next::Go(first, at)
                    }
                    known => known.into(),
                },
                Instruction::Run { class, state } => match self.enter(state, at) {
                    Known::Nothing => self.take_run(class, state, instruction + 1, at),
                    known => known.into(),
                },
                Instruction::Look { next, back, is_negative } => {
                    if self.looks(instruction + 1, at, back) == is_negative { Next::Fail } else { Next::Go(next, at) }
                }
                Instruction::Atomic { next } => {
                    self.run(instruction + 1, at, true).map_or(Next::Fail, |end| Next::Go(next, end))
                }
            };
            (instruction, at) = match next {
                Next::Go(instruction, at) => (instruction, at),
                Next::End(end) => {
                    self.succeed(end, first_passed, is_inner);
                    self.alternatives.truncate(first_alternative);
                    return Some(end);
                }
                Next::Fail => {
                    self.farthest = self.farthest.max(at);
                    if self.n_steps > self.few_steps + STEPS_A_BYTE * (self.farthest - self.start) {
                        self.memo.keep(self.looked_back_from(self.start), self.farthest);
                    }
                    if self.alternatives.len() == first_alternative {
                        self.trail.truncate(first_passed);
                        return None;
                    }
                    self.next_alternative()?
                }
            };
        }
    }

    /// Record that `state` is passed at `at`, unless its result is known.
    #[inline]
    fn enter(&mut self, state: usize, at: usize) -> Known {
        if !self.memo.is_on() {
            return Known::Nothing;
        }
        let known = self.memo.get(state, at);
        if let Known::Nothing = known {
            self.memo.mark(state, at, at);
            self.trail.push(Passed { state, low: at, high: at });
        }
        known
    }

    fn add_alternative(&mut self, instruction: usize, low: usize, high: usize) {
        let (trail, is_on_trail) = (self.trail.len(), self.memo.is_on());
        self.alternatives.push(Alternative { instruction, low, high, trail, is_on_trail });
    }

    /// Take as many characters of `class` from `low` on as possible; the position after each is an alternative.
    fn take_run(&mut self, class: usize, state: usize, next: usize, low: usize) -> Next {
        let (mut at, mut before, mut known) = (low, low, Known::Nothing);
        while let Some(end) = self.one(class, at) {
            self.n_steps += 1;
            known = self.memo.get(state, end);
            if !matches!(known, Known::Nothing) {
                break;
            }
            (before, at) = (at, end);
        }
        if self.memo.is_on()
            && let Some(passed) = self.trail.last_mut()
        {
            passed.high = at;
            self.memo.mark(state, low, at);
        }
        if let Known::Ends(end) = known {
            return Next::End(end);
        }
        if at > low {
            self.add_alternative(next, low, before);
        }
        Next::Go(next, at)
    }

    /// Return the place to continue after a failure.
    fn next_alternative(&mut self) -> Option<(usize, usize)> {
        let top = self.alternatives.last_mut()?;
        let (instruction, at) = (top.instruction, top.high);
        self.trail.truncate(top.trail);
        if top.is_on_trail
            && let Some(passed) = self.trail.last_mut()
        {
            passed.high = at;
        }
        if top.low < at {
            top.high = (0..at).rev().find(|&place| self.text.is_char_boundary(place))?;
        } else {
            self.alternatives.pop();
        }
        Some((instruction, at))
    }

    /// Record the result of the states on the path to the end.
    fn succeed(&mut self, end: usize, first_passed: usize, is_inner: bool) {
        self.farthest = self.farthest.max(end);
        for passed in self.trail.drain(first_passed..) {
            if is_inner {
                self.memo.set_end(passed.state, passed.low, passed.high, end);
            } else {
                self.memo.unmark(passed.state, passed.low, passed.high);
            }
        }
    }

    /// Return the end of the character at `at` if it is in `class`.
    #[inline]
    fn one(&self, class: usize, at: usize) -> Option<usize> {
        let class = &self.program.classes[class];
        match *self.text.as_bytes().get(at)? {
            byte if byte < 0x80 => class.has_ascii(byte).then_some(at + 1),
            _ => self.text[at..].chars().next().filter(|&character| class.has(character)).map(|c| at + c.len_utf8()),
        }
    }

    /// Return whether a lookaround matches at `at`, or ends there after that number of characters.
    fn looks(&mut self, instruction: usize, at: usize, back: Option<usize>) -> bool {
        let start = match back {
            None | Some(0) => Some(at),
            Some(n) => self.text[..at].char_indices().rev().nth(n - 1).map(|(start, _)| start),
        };
        start.is_some_and(|start| self.run(instruction, start, true).is_some())
    }

    fn holds(&self, place: Place, at: usize) -> bool {
        let bytes = self.text.as_bytes();
        let is_word = |character: Option<char>| character.is_some_and(characters::is_word);
        let before = || is_word(self.text[..at].chars().next_back());
        let after = || is_word(self.text[at..].chars().next());
        match place {
            Place::TextStart => at == 0,
            Place::TextEnd => at == bytes.len(),
            Place::TextEndOrNewlines => at >= self.last_newlines,
            Place::LineStart => at == 0 || bytes[at - 1] == b'\n',
            Place::LineEnd => at == bytes.len() || bytes[at] == b'\n',
            Place::Word { before: wanted_before, after: wanted_after } => {
                wanted_before.is_none_or(|wanted| wanted == before())
                    && wanted_after.is_none_or(|wanted| wanted == after())
            }
            Place::WordBoundary => before() != after(),
            Place::NotWordBoundary => before() == after(),
        }
    }
}

/// The action after an instruction.
enum Next {
    Go(usize, usize),
    Fail,
    End(usize),
}

impl From<Known> for Next {
    fn from(known: Known) -> Self {
        match known {
            Known::Ends(end) => Self::End(end),
            Known::Nothing | Known::Fails => Self::Fail,
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
