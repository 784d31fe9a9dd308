//! The merging loop: take the best pair from a queue, replace it everywhere, and update its neighbours' counts.
//!
//! Counts only fall after a pair is created, so the queue may contain counts that are too high. The top entry is
//! checked and, if its count has fallen, put back with its present count. If ties go to the first place in the text,
//! the entry also has the pair's first place. A pair that has lost places has a lower count: it is put back, too, with
//! its present first place.

use super::arena::{Arena, TokenSlot};
use super::budget::{Budget, n_ids};
use super::hot_pairs::HotPairs;
use super::neighbours::Neighbours;
use super::pair::Pair;
use super::scan::{Limits, scan};
use super::ties::{FirstPlace, LargestBytes, SmallestIds, TieRule};
use super::utf8_safe::Shapes;
use crate::error::Result;
use crate::train::base::Base;
use crate::train::count::{Order, WordCounts};
use crate::train::options::{Merge, Options, Ties};
use crate::train::progress::{Progress, Reporter, Watch};
use std::collections::BinaryHeap;

/// How many places ahead to prefetch.
const PLACES_AHEAD: usize = 12;

/// Learn merges that follow those of `base`, within `budget`; see [`crate::train::train_onto`].
pub(in crate::train) fn learn(
    base: &Base,
    counts: &WordCounts,
    options: Options,
    budget: Budget,
    watch: &mut Watch,
) -> Result<Vec<Merge>> {
    match options.ties {
        Ties::Huggingface => learn_by(SmallestIds::printable_order(), base, counts, options, budget, watch),
        Ties::LowestId => learn_by(SmallestIds::byte_order(), base, counts, options, budget, watch),
        Ties::FirstSeen => learn_by(FirstPlace, base, counts, options, budget, watch),
        Ties::LargestBytes => learn_by(LargestBytes::new(), base, counts, options, budget, watch),
    }
}

/// Learn merges as [`learn`] does, with `rule` for equal counts, in slots of 16 bits if all ids fit.
fn learn_by<R: TieRule>(
    rule: R,
    base: &Base,
    counts: &WordCounts,
    options: Options,
    budget: Budget,
    watch: &mut Watch,
) -> Result<Vec<Merge>> {
    let progress = Progress::Merging { done: base.merges().len(), wanted: options.n_merges };
    let mut reporter = Reporter::new(watch, progress);
    if n_ids(counts, base.merges().len(), &options) <= u16::MOST_IDS {
        Learner::<R, u16>::new(base, counts, options, budget, rule, &mut reporter)?.learn(base, options, &mut reporter)
    } else {
        Learner::<R, u32>::new(base, counts, options, budget, rule, &mut reporter)?.learn(base, options, &mut reporter)
    }
}

struct Learner<R: TieRule, S> {
    arena: Arena<S>,
    hot: HotPairs,
    queue: BinaryHeap<(u64, R::Key, u32)>, // count, tie, index in `hot`
    rule: R,
    left: Neighbours,
    right: Neighbours,
    limits: Limits,
}

impl<R: TieRule, S: TokenSlot> Learner<R, S> {
    fn new(
        base: &Base,
        counts: &WordCounts,
        options: Options,
        budget: Budget,
        mut rule: R,
        reporter: &mut Reporter,
    ) -> Result<Self> {
        let order = if R::BY_PLACE { Order::Text } else { Order::Frequency };
        let arena = Arena::new(counts, base, order, budget.sort_bytes, reporter)?;
        let n_ids = n_ids(counts, base.merges().len(), &options);
        base.merges().iter().for_each(|&(left, right)| rule.learn(Pair::new(left, right)));
        let limits = Limits {
            count: options.min_frequency.max(1),
            token_bytes: options.max_token_bytes.unwrap_or(usize::MAX),
            shapes: options.utf8_safe.then(|| Shapes::new(base)),
            budget,
        };
        Ok(Self {
            arena,
            hot: HotPairs::none(),
            queue: BinaryHeap::new(),
            rule,
            left: Neighbours::new(n_ids),
            right: Neighbours::new(n_ids),
            limits,
        })
    }

    /// Return the base's merges and then the new ones.
    fn learn(mut self, base: &Base, options: Options, reporter: &mut Reporter) -> Result<Vec<Merge>> {
        let mut merges = base.merges().to_vec();
        while merges.len() < options.n_merges {
            let Some(best) = self.most_frequent(reporter)? else { break };
            let pair = self.merge(best, reporter)?;
            merges.push((pair.left, pair.right));
            reporter.set(Progress::Merging { done: merges.len(), wanted: options.n_merges });
            reporter.long_step()?;
        }
        Ok(merges)
    }

    /// Return the index of the pair to merge next, or `None` if no allowed pair is left.
    fn most_frequent(&mut self, reporter: &mut Reporter) -> Result<Option<u32>> {
        loop {
            let Some((count, _, index)) = self.queue.pop() else {
                if self.rescan(reporter)? {
                    continue;
                }
                return Ok(None);
            };
            if self.hot.count(index) == count {
                return Ok(Some(index));
            }
            let candidate = self.candidate(index);
            self.queue.extend(candidate);
            reporter.step()?;
        }
    }

    /// Replace the pair at `index` by a new token everywhere.
    fn merge(&mut self, index: u32, reporter: &mut Reporter) -> Result<Pair> {
        let pair = self.hot.pair(index);
        let new = self.arena.add_token(pair);
        self.rule.learn(pair);
        if let Some(shapes) = &mut self.limits.shapes {
            shapes.learn(pair);
        }
        let new_bytes = self.arena.length(new);
        let mut twins = Twins::default();
        let places = self.hot.stop_watching(index);
        for (number, &place) in places.iter().enumerate() {
            if let Some(&later) = places.get(number + PLACES_AHEAD) {
                self.arena.prepare(later);
            }
            reporter.step()?;
            let Some(merged) = self.arena.merge_at(place, pair, new) else { continue };
            if let Some(left) = merged.left {
                self.left.note(left, place - self.arena.length(left), merged.weight);
            }
            if let Some(right) = merged.right {
                self.right.note(right, merged.last, merged.weight);
            }
            // New tokens in a row: each but the last one begins a pair (new, new).
            twins.note((merged.first..merged.last).step_by(new_bytes as usize), merged.weight);
        }
        let first_new = self.hot.len();
        self.update_counts(pair, new, &twins);
        for index in first_new..self.hot.len() {
            let candidate = self.candidate(index as u32);
            self.queue.extend(candidate);
        }
        if self.hot.memory() > self.limits.budget.most_watched_bytes {
            self.watch_most_frequent(reporter)?;
        }
        Ok(pair)
    }

    /// Update the counts: (x, left) becomes (x, new), and (right, y) becomes (new, y). Between two new tokens, (right,
    /// left) becomes (new, new): merging (a, b) in `abab` removes a pair (b, a).
    fn update_counts(&mut self, merged: Pair, new: u32, twins: &Twins) {
        let Self { arena, hot, limits, left, right, .. } = self;
        let wanted = |pair| limits.allow(arena, pair);
        left.update_counts(hot, |x| (Pair::new(x, merged.left), Pair::new(x, new)), wanted);
        right.update_counts(hot, |y| (Pair::new(merged.right, y), Pair::new(new, y)), wanted);
        hot.lower(Pair::new(merged.right, merged.left), twins.weight);
        let pair = Pair::new(new, new);
        if twins.weight >= hot.threshold() && wanted(pair) {
            let start = hot.watch(pair, twins.weight, twins.places.len() as u32);
            (start..).zip(&twins.places).for_each(|(at, &place)| hot.put_place(at, place));
        }
    }

    /// Return the queue entry for the pair at `index`, unless its count is below the threshold.
    fn candidate(&mut self, index: u32) -> Option<(u64, R::Key, u32)> {
        let count = self.hot.count(index);
        if count < self.hot.threshold() {
            return None;
        }
        let place =
            if R::BY_PLACE { self.hot.first_place(index, |pair, place| self.arena.holds(pair, place))? } else { 0 };
        Some((count, self.rule.key(self.hot.pair(index), place), index))
    }

    /// Lower the threshold and scan again; return false if there are no more pairs to watch.
    fn rescan(&mut self, reporter: &mut Reporter) -> Result<bool> {
        if self.hot.threshold() <= self.limits.count {
            return Ok(false);
        }
        self.watch_most_frequent(reporter)?;
        Ok(!self.queue.is_empty())
    }

    /// Watch the currently most frequent pairs, and no others.
    fn watch_most_frequent(&mut self, reporter: &mut Reporter) -> Result<()> {
        // Drop the old pairs first, because both may not fit.
        self.hot = HotPairs::none();
        self.queue = BinaryHeap::new();
        self.hot = scan(&self.arena, &self.limits, reporter)?;
        let candidates: Vec<_> = (0..self.hot.len()).filter_map(|index| self.candidate(index as u32)).collect();
        self.queue = candidates.into();
        Ok(())
    }
}

/// The pairs (new, new) of a merge: new tokens that directly follow one another.
#[derive(Default)]
struct Twins {
    weight: u64,
    places: Vec<u32>,
}

impl Twins {
    fn note(&mut self, places: impl ExactSizeIterator<Item = u32>, weight: u64) {
        self.weight += weight * places.len() as u64;
        self.places.extend(places);
    }
}
