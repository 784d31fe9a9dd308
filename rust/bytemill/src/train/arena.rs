//! All distinct pretokens side by side, as tokens that merges make longer.
//!
//! There is one slot a byte. A token writes its id into its first and its last slot, so that from
//! either end the neighbour is found without links, and a merge touches three slots, also in a
//! pretoken of a megabyte. Walls stand between pretokens.
//!
//! ```text
//! slot   0     1    2    3    4     5    6    7
//!        wall  256  .    256  111   wall 98   wall      "the" = 256, "o" = 111; "b" = 98
//! ```

use super::pairs::Pair;
use super::runs::Order;
use super::word_counts::WordCounts;
use crate::error::{Error, Result};

/// Stands where a neighbour is missing: no token's id.
pub(super) const WALL: u32 = u32::MAX;
const INSIDE: u32 = u32::MAX - 1; // the first slot of what became a right part

const BLOCK_SLOTS: usize = 64;

/// Pretokens as tokens, each pretoken with its weight: how often it occurs.
pub(super) struct Arena {
    slots: Vec<u32>,
    lengths: Vec<u32>, // bytes of each token
    runs: Vec<Run>,
    first_runs: Vec<u32>, // for each block of slots, the run that its first slot is in
}

/// Neighbouring pretokens of equal weight.
struct Run {
    start: u32,
    weight: u64,
}

/// What [`Arena::merge_at`] did: new tokens from `first` to `last`, one after the other.
pub(super) struct Merged {
    /// Where the first new token starts.
    pub(super) first: u32,
    /// Where the last new token starts.
    pub(super) last: u32,
    /// The id left of them, or [`WALL`].
    pub(super) left: u32,
    /// The id right of them, or [`WALL`].
    pub(super) right: u32,
    /// How often this pretoken occurs.
    pub(super) weight: u64,
}

impl Arena {
    /// Memory that neighbours of unequal weight take each.
    pub(super) const RUN_BYTES: usize = size_of::<Run>();

    /// Lays out the words of `counts` in this order, each byte a token; sorting takes `sort_bytes` of memory.
    pub(super) fn new(counts: &WordCounts, order: Order, sort_bytes: usize) -> Result<Self> {
        let n_slots = n_slots(counts);
        if n_slots >= INSIDE as usize {
            return Err(too_large(counts));
        }
        let mut slots = Vec::with_capacity(n_slots);
        let mut runs: Vec<Run> = Vec::new();
        slots.push(WALL);
        counts.for_each_by(order, sort_bytes, |word, tally| {
            if word.len() < 2 {
                return; // it has no pairs
            }
            if runs.last().is_none_or(|run| run.weight != tally.count) {
                runs.push(Run { start: slots.len() as u32, weight: tally.count });
            }
            slots.extend(word.iter().map(|&byte| u32::from(byte)));
            slots.push(WALL);
        })?;
        let first_runs = first_runs(&runs, slots.len());
        Ok(Self { slots, lengths: vec![1; 256], runs, first_runs })
    }

    /// The least bytes of memory that the words of `counts` take.
    pub(super) fn least_memory(counts: &WordCounts) -> usize {
        n_slots(counts) * size_of::<u32>()
    }

    /// How many slots there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many bytes the token made of `pair` would have.
    pub(super) fn merged_bytes(&self, pair: Pair) -> usize {
        self.lengths[pair.left as usize] as usize + self.lengths[pair.right as usize] as usize
    }

    /// Gives the token made of `pair` its id.
    pub(super) fn add_token(&mut self, pair: Pair) -> u32 {
        self.lengths.push(self.merged_bytes(pair) as u32);
        self.lengths.len() as u32 - 1
    }

    /// Calls `each` with every pair, its place and its weight, from left to right.
    pub(super) fn for_each_pair(&self, mut each: impl FnMut(Pair, u32, u64)) {
        for (number, run) in self.runs.iter().enumerate() {
            let end = self.runs.get(number + 1).map_or(self.slots.len(), |next| next.start as usize);
            let mut place = run.start as usize;
            while place < end {
                let left = self.slots[place];
                let next = place + if left == WALL { 1 } else { self.lengths[left as usize] as usize };
                if left != WALL && self.slots[next] != WALL {
                    each(Pair::new(left, self.slots[next]), place as u32, run.weight);
                }
                place = next;
            }
        }
    }

    /// Whether `pair` starts at `place`, which is where a token starts or once did.
    pub(super) fn holds(&self, pair: Pair, place: u32) -> bool {
        // A slot where a token no longer starts holds INSIDE or a longer token's id, never its own.
        self.slots[place as usize] == pair.left
            && self.slots[(place + self.lengths[pair.left as usize]) as usize] == pair.right
    }

    /// Replaces `pair` by `new` at `place`, and again while it follows at once. Nothing happens
    /// where the pair is gone.
    pub(super) fn merge_at(&mut self, place: u32, pair: Pair, new: u32) -> Option<Merged> {
        if !self.holds(pair, place) {
            return None;
        }
        let mut last = place;
        let mut next = self.merge_one(last, pair, new);
        while self.holds(pair, next) {
            last = next;
            next = self.merge_one(last, pair, new);
        }
        let (left, right) = (self.slots[place as usize - 1], self.slots[next as usize]);
        Some(Merged { first: place, last, left, right, weight: self.weight(place) })
    }

    /// How many bytes the token `id` has.
    pub(super) fn length(&self, id: u32) -> u32 {
        self.lengths[id as usize]
    }

    fn merge_one(&mut self, place: u32, pair: Pair, new: u32) -> u32 {
        let right = place + self.lengths[pair.left as usize];
        let next = right + self.lengths[pair.right as usize];
        self.slots[right as usize] = INSIDE;
        self.slots[place as usize] = new;
        self.slots[next as usize - 1] = new;
        next
    }

    fn weight(&self, place: u32) -> u64 {
        let first = self.first_runs[place as usize / BLOCK_SLOTS] as usize;
        let later = self.runs[first + 1..].iter().take_while(|run| run.start <= place).count();
        self.runs[first + later].weight
    }
}

fn n_slots(counts: &WordCounts) -> usize {
    1 + counts.n_bytes() + counts.len()
}

fn first_runs(runs: &[Run], n_slots: usize) -> Vec<u32> {
    let mut run = 0;
    let run_at = |slot: usize| {
        while runs.get(run + 1).is_some_and(|next| next.start as usize <= slot) {
            run += 1;
        }
        run as u32
    };
    (0..n_slots).step_by(BLOCK_SLOTS).map(run_at).collect()
}

fn too_large(counts: &WordCounts) -> Error {
    Error::Argument {
        name: "text",
        got: format!("{} bytes in {} distinct pretokens", counts.n_bytes(), counts.len()),
        expected: "less than 4 GiB of distinct pretokens; a split pattern gives short ones".to_owned(),
    }
}
