//! Remembers results for pairs of a state and a position in the text: that they fail, or where they end.

use std::collections::{BTreeMap, VecDeque};

/// The known result of a state at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    /// The rest of the program does not match from there, or it is being tried.
    Fails,
    /// The lookaround or atomic group ends there.
    Ends(usize),
}

/// Off until it is needed; then one bit for each state and position.
#[derive(Debug)]
pub(super) struct Memo {
    words_a_place: usize,
    /// Positions before this one are not recorded.
    first: usize,
    /// Attempts that start after this position need no memo; `None` if the memo is off.
    until: Option<usize>,
    /// The bits of each position from `first` on.
    tried: VecDeque<u64>,
    /// By state and first position: the last position, and the end for all positions in between.
    ends: BTreeMap<(usize, usize), (usize, usize)>,
}

impl Memo {
    pub(super) fn new(n_states: usize) -> Self {
        let words_a_place = n_states.div_ceil(64).max(1);
        Self { words_a_place, first: 0, until: None, tried: VecDeque::new(), ends: BTreeMap::new() }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// Record everything that is tried from now on at or after `first`, until an attempt starts after `until`.
    pub(super) fn keep(&mut self, first: usize, until: usize) {
        if self.until.is_none() {
            self.first = first;
        }
        self.until = self.until.max(Some(until));
    }

    /// Clear the memo if an attempt that starts at `start` does not need it.
    #[inline]
    pub(super) fn start_at(&mut self, start: usize) {
        if self.until.is_some_and(|until| start > until) {
            self.until = None;
            self.tried = VecDeque::new();
            self.ends = BTreeMap::new();
        }
    }

    /// Forget the positions before `place`.
    #[inline]
    pub(super) fn forget_before(&mut self, place: usize) {
        if self.is_on() && place > self.first {
            let n = (place - self.first).saturating_mul(self.words_a_place);
            self.tried.drain(..n.min(self.tried.len()));
            self.first = place;
        }
    }

    #[inline]
    pub(super) fn get(&self, state: usize, place: usize) -> Known {
        if !self.is_on() {
            return Known::Nothing;
        }
        let Some((word, bit)) = self.word(state, place) else { return Known::Nothing };
        if self.tried.get(word).is_none_or(|bits| bits & bit == 0) {
            return Known::Nothing;
        }
        match self.ends.range(..=(state, place)).next_back() {
            Some((&(of, _), &(last, end))) if of == state && place <= last => Known::Ends(end),
            _ => Known::Fails,
        }
    }

    /// Record that `state` is tried at all positions from `low` to `high`.
    pub(super) fn mark(&mut self, state: usize, low: usize, high: usize) {
        let Some((last, _)) = self.word(state, high) else { return };
        if self.tried.len() <= last {
            self.tried.resize(last + 1, 0);
        }
        for place in low.max(self.first)..=high {
            if let Some((word, bit)) = self.word(state, place) {
                self.tried[word] |= bit;
            }
        }
    }

    /// Undo that record.
    pub(super) fn unmark(&mut self, state: usize, low: usize, high: usize) {
        for place in low.max(self.first)..=high {
            if let Some((word, bit)) = self.word(state, place)
                && let Some(bits) = self.tried.get_mut(word)
            {
                *bits &= !bit;
            }
        }
    }

    /// Record where `state` ends from all positions from `low` to `high`.
    pub(super) fn set_end(&mut self, state: usize, low: usize, high: usize, end: usize) {
        self.ends.insert((state, low), (high, end));
    }

    /// Return the location of the bit for a state and position.
    #[inline]
    fn word(&self, state: usize, place: usize) -> Option<(usize, u64)> {
        let row = place.checked_sub(self.first)? * self.words_a_place;
        Some((row + state / 64, 1 << (state % 64)))
    }
}
