//! All distinct pretokens in one array, as tokens that grow with each merge.
//!
//! There is one slot per byte, of 16 bits if all ids fit. A token writes its id into its first and its last slot. So
//! the neighbour is found from either end without links, and a merge writes three slots, even in a pretoken of a
//! megabyte. Wall slots separate pretokens.
//!
//! ```text
//! slot   0     1    2    3    4     5    6    7
//!        wall  256  .    256  111   wall 98   wall      "the" = 256, "o" = 111; "b" = 98
//! ```

use super::pair::Pair;
use crate::error::{Error, Result};
use crate::hints::{on_huge_pages, prefetch};
use crate::train::base::Base;
use crate::train::count::{Order, WordCounts};
use crate::train::progress::Reporter;
use crate::vocab::{MAX_ID, Scratch};

const BLOCK_SLOTS: usize = 64;
/// Pairs per batch: enough to prefetch, and few enough for the nearest cache.
pub(super) const BATCH_PAIRS: usize = 64;

/// A slot of the arena: an id, or one of two marks.
pub(super) trait TokenSlot: Copy + Eq {
    /// Mark between pretokens; no token has this id.
    const WALL: Self;
    /// Mark for the first slot of a part that was merged into the token on its left; no token has this id.
    const INSIDE: Self;
    /// Maximum number of ids.
    const MOST_IDS: usize;
    /// Return the slot of `id`, which must be below [`Self::MOST_IDS`].
    fn of(id: u32) -> Self;
    /// Return the id in this slot, which must not be a mark.
    fn id(self) -> u32;
}

/// No id equals a mark: [`TokenSlot::MOST_IDS`] limits ids of 16 bits, this assertion ids of 32.
const _: () = assert!((MAX_ID as usize) < <u32 as TokenSlot>::MOST_IDS);

impl TokenSlot for u16 {
    const WALL: Self = Self::MAX;
    const INSIDE: Self = Self::MAX - 1;
    const MOST_IDS: usize = Self::INSIDE as usize;

    fn of(id: u32) -> Self {
        id as Self
    }

    fn id(self) -> u32 {
        self.into()
    }
}

impl TokenSlot for u32 {
    const WALL: Self = Self::MAX;
    const INSIDE: Self = Self::MAX - 1;
    const MOST_IDS: usize = Self::INSIDE as usize;

    fn of(id: u32) -> Self {
        id
    }

    fn id(self) -> u32 {
        self
    }
}

/// Pretokens as tokens. The weight of a pretoken is its number of occurrences.
pub(super) struct Arena<S> {
    slots: Vec<S>,
    lengths: Vec<u32>, // bytes of each token
    runs: Vec<Run>,
    first_runs: Vec<u32>, // for each block of slots, the run of its first slot
}

/// Neighbouring pretokens with equal weight.
struct Run {
    start: u32,
    weight: u64,
}

/// A pair of neighbours found by [`Arena::for_each_batch`].
pub(super) struct Found {
    /// The two tokens.
    pub(super) pair: Pair,
    /// Start of the left token.
    pub(super) place: u32,
    /// Occurrences of this pretoken.
    pub(super) weight: u64,
}

/// The result of [`Arena::merge_at`]: new tokens from `first` to `last`, without gaps.
pub(super) struct Merged {
    /// Start of the first new token.
    pub(super) first: u32,
    /// Start of the last new token.
    pub(super) last: u32,
    /// The id to the left of them, if there is one.
    pub(super) left: Option<u32>,
    /// The id to the right of them, if there is one.
    pub(super) right: Option<u32>,
    /// Occurrences of this pretoken.
    pub(super) weight: u64,
}

/// Memory per run; in the worst case each pretoken is its own run.
pub(super) const RUN_BYTES: usize = size_of::<Run>();

/// Return the number of slots for the words of `counts`.
pub(super) fn n_slots(counts: &WordCounts) -> usize {
    1 + counts.n_bytes() + counts.len()
}

impl<S: TokenSlot> Arena<S> {
    /// Write the words of `counts` in this order, as the tokens that `base` makes of them. Sorting takes `sort_bytes`
    /// of memory. Return an error if `reporter` fails.
    pub(super) fn new(
        counts: &WordCounts,
        base: &Base,
        order: Order,
        sort_bytes: usize,
        reporter: &mut Reporter,
    ) -> Result<Self> {
        let n_slots = n_slots(counts);
        if n_slots >= u32::MAX as usize {
            return Err(too_large(counts));
        }
        let lengths = lengths(base);
        let (mut ids, mut scratch) = (Vec::new(), Scratch::default());
        let mut slots = on_huge_pages(n_slots);
        let mut runs: Vec<Run> = Vec::new();
        let mut n_pairs = 0_u64;
        slots.push(S::WALL);
        counts.for_each_by(order, sort_bytes, |word, tally| {
            reporter.step()?;
            if word.len() < 2 {
                return Ok(()); // without pairs
            }
            // No sum of weights is larger than this total, so later sums need no overflow check.
            let more = tally.count.checked_mul(word.len() as u64).and_then(|more| n_pairs.checked_add(more));
            n_pairs = more.ok_or_else(too_many)?;
            if runs.last().is_none_or(|run| run.weight != tally.count) {
                runs.push(Run { start: slots.len() as u32, weight: tally.count });
            }
            if base.merges().is_empty() {
                slots.extend(word.iter().map(|&byte| S::of(byte.into())));
            } else {
                ids.clear();
                base.encode(word, &mut scratch, &mut ids);
                for &id in &ids {
                    push_token(&mut slots, S::of(id), lengths[id as usize] as usize);
                }
            }
            slots.push(S::WALL);
            Ok(())
        })?;
        let first_runs = first_runs(&runs, slots.len());
        Ok(Self { slots, lengths, runs, first_runs })
    }

    /// Return the length in bytes of the token that `pair` would make.
    pub(super) fn merged_bytes(&self, pair: Pair) -> usize {
        self.lengths[pair.left as usize] as usize + self.lengths[pair.right as usize] as usize
    }

    /// Add the token made of `pair` and return its id.
    pub(super) fn add_token(&mut self, pair: Pair) -> u32 {
        self.lengths.push(self.merged_bytes(pair) as u32);
        self.lengths.len() as u32 - 1
    }

    /// Call `each` with every pair from left to right, in batches. Call `reporter` regularly, and return an error if it
    /// fails.
    pub(super) fn for_each_batch(&self, reporter: &mut Reporter, mut each: impl FnMut(&[Found])) -> Result<()> {
        let mut batch = Vec::with_capacity(BATCH_PAIRS);
        for (number, run) in self.runs.iter().enumerate() {
            let end = self.runs.get(number + 1).map_or(self.slots.len(), |next| next.start as usize);
            let mut place = run.start as usize;
            while place < end {
                let Some(left) = self.id_at(place) else {
                    place += 1;
                    continue;
                };
                let next = place + self.lengths[left as usize] as usize;
                if let Some(right) = self.id_at(next) {
                    batch.push(Found { pair: Pair::new(left, right), place: place as u32, weight: run.weight });
                    if batch.len() == BATCH_PAIRS {
                        reporter.step()?;
                        each(&batch);
                        batch.clear();
                    }
                }
                place = next;
            }
        }
        each(&batch);
        Ok(())
    }

    /// Return whether `pair` starts at `place`, which must be a current or former start of a token.
    pub(super) fn holds(&self, pair: Pair, place: u32) -> bool {
        // A slot where a token no longer starts holds INSIDE or a longer token's id, never the token's own id.
        self.slots[place as usize] == S::of(pair.left)
            && self.slots[(place + self.lengths[pair.left as usize]) as usize] == S::of(pair.right)
    }

    /// Prefetch the data that [`Self::merge_at`] reads.
    #[inline]
    pub(super) fn prepare(&self, place: u32) {
        prefetch(&self.slots, place as usize);
        prefetch(&self.first_runs, place as usize / BLOCK_SLOTS);
    }

    /// Replace `pair` by `new` at `place`, and repeat while the pair follows directly. Return `None` if the pair is no
    /// longer there.
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
        let (left, right) = (self.id_at(place as usize - 1), self.id_at(next as usize));
        Some(Merged { first: place, last, left, right, weight: self.weight(place) })
    }

    /// Return the length in bytes of the token `id`.
    pub(super) fn length(&self, id: u32) -> u32 {
        self.lengths[id as usize]
    }

    fn merge_one(&mut self, place: u32, pair: Pair, new: u32) -> u32 {
        let right = place + self.lengths[pair.left as usize];
        let next = right + self.lengths[pair.right as usize];
        self.slots[right as usize] = S::INSIDE;
        self.slots[place as usize] = S::of(new);
        self.slots[next as usize - 1] = S::of(new);
        next
    }

    /// Return the id in a slot that is not INSIDE; `None` for a wall.
    fn id_at(&self, place: usize) -> Option<u32> {
        let slot = self.slots[place];
        (slot != S::WALL).then(|| slot.id())
    }

    fn weight(&self, place: u32) -> u64 {
        let first = self.first_runs[place as usize / BLOCK_SLOTS] as usize;
        let later = self.runs[first + 1..].iter().take_while(|run| run.start <= place).count();
        self.runs[first + later].weight
    }
}

/// Write a token of `length` slots: its id goes into the first and the last slot.
fn push_token<S: TokenSlot>(slots: &mut Vec<S>, id: S, length: usize) {
    let end = slots.len() + length;
    slots.push(id);
    slots.resize(end, S::INSIDE);
    slots[end - 1] = id;
}

/// Return the length in bytes of each token.
fn lengths(base: &Base) -> Vec<u32> {
    let mut lengths = vec![1; 256];
    for &(left, right) in base.merges() {
        lengths.push(lengths[left as usize] + lengths[right as usize]);
    }
    lengths
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

fn too_many() -> Error {
    Error::Argument {
        name: "word_counts",
        got: "2^64 or more pairs of neighbours in total".to_owned(),
        expected: "counts whose products with their words' lengths in bytes add up to less than 2^64".to_owned(),
    }
}

fn too_large(counts: &WordCounts) -> Error {
    Error::Argument {
        name: "text",
        got: format!("{} bytes in {} distinct pretokens", counts.n_bytes(), counts.len()),
        expected: "less than 4 GiB of distinct pretokens; set a split pattern to get shorter ones".to_owned(),
    }
}
