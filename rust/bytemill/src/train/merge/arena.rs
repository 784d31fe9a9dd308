//! All distinct pretokens side by side, as tokens that merges make longer.
//!
//! There is one slot a byte, of 16 bits where all ids fit. A token writes its id into its first and
//! its last slot, so that from either end the neighbour is found without links, and a merge touches
//! three slots, also in a pretoken of a megabyte. Walls stand between pretokens.
//!
//! ```text
//! slot   0     1    2    3    4     5    6    7
//!        wall  256  .    256  111   wall 98   wall      "the" = 256, "o" = 111; "b" = 98
//! ```

use super::pair::Pair;
use crate::error::{Error, Result};
use crate::hints::{on_huge_pages, soon};
use crate::train::base::Base;
use crate::train::count::{Order, WordCounts};
use crate::train::progress::Reporter;
use crate::vocab::{MAX_ID, Scratch};

const BLOCK_SLOTS: usize = 64;
/// Pairs that are handed over at once: enough to fetch ahead for, few enough for the nearest cache.
pub(super) const BATCH_PAIRS: usize = 64;

/// A slot of the arena: an id, or one of two marks.
pub(super) trait Slot: Copy + Eq {
    /// Stands between pretokens: no token's id.
    const WALL: Self;
    /// The first slot of what became a right part: no token's id.
    const INSIDE: Self;
    /// The most ids that there may be.
    const MOST_IDS: usize;
    /// The slot of `id`, which is below [`Self::MOST_IDS`].
    fn of(id: u32) -> Self;
    /// The id in this slot, which is no mark.
    fn id(self) -> u32;
}

/// No id is one of the marks: [`Slot::MOST_IDS`] bounds those of 16 bits, this those of 32.
const _: () = assert!((MAX_ID as usize) < <u32 as Slot>::MOST_IDS);

impl Slot for u16 {
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

impl Slot for u32 {
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

/// Pretokens as tokens, each pretoken with its weight: how often it occurs.
pub(super) struct Arena<S> {
    slots: Vec<S>,
    lengths: Vec<u32>, // bytes of each token
    runs: Vec<Run>,
    first_runs: Vec<u32>, // for each block of slots, the run that its first slot is in
}

/// Neighbouring pretokens of equal weight.
struct Run {
    start: u32,
    weight: u64,
}

/// A pair of neighbours that [`Arena::for_each_batch`] came upon.
pub(super) struct Found {
    /// The two tokens.
    pub(super) pair: Pair,
    /// Where the left one starts.
    pub(super) place: u32,
    /// How often this pretoken occurs.
    pub(super) weight: u64,
}

/// What [`Arena::merge_at`] did: new tokens from `first` to `last`, one after the other.
pub(super) struct Merged {
    /// Where the first new token starts.
    pub(super) first: u32,
    /// Where the last new token starts.
    pub(super) last: u32,
    /// The id left of them, if there is one.
    pub(super) left: Option<u32>,
    /// The id right of them, if there is one.
    pub(super) right: Option<u32>,
    /// How often this pretoken occurs.
    pub(super) weight: u64,
}

/// Memory that neighbours of unequal weight take each.
pub(super) const RUN_BYTES: usize = size_of::<Run>();

/// How many slots the words of `counts` take.
pub(super) fn n_slots(counts: &WordCounts) -> usize {
    1 + counts.n_bytes() + counts.len()
}

impl<S: Slot> Arena<S> {
    /// Lays out the words of `counts` in this order, as the tokens that `base` makes of them; sorting
    /// takes `sort_bytes` of memory. Fails when `reporter` does.
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
                return Ok(()); // it has no pairs
            }
            // No sum of weights is larger, so that none needs to be looked at.
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

    /// How many bytes the token made of `pair` would have.
    pub(super) fn merged_bytes(&self, pair: Pair) -> usize {
        self.lengths[pair.left as usize] as usize + self.lengths[pair.right as usize] as usize
    }

    /// Gives the token made of `pair` its id.
    pub(super) fn add_token(&mut self, pair: Pair) -> u32 {
        self.lengths.push(self.merged_bytes(pair) as u32);
        self.lengths.len() as u32 - 1
    }

    /// Calls `each` with every pair, from left to right, in batches. Fails when `reporter`, called now and then, does.
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

    /// Whether `pair` starts at `place`, which is where a token starts or once did.
    pub(super) fn holds(&self, pair: Pair, place: u32) -> bool {
        // A slot where a token no longer starts holds INSIDE or a longer token's id, never its own.
        self.slots[place as usize] == S::of(pair.left)
            && self.slots[(place + self.lengths[pair.left as usize]) as usize] == S::of(pair.right)
    }

    /// Fetches what [`Self::merge_at`] will look at.
    #[inline]
    pub(super) fn prepare(&self, place: u32) {
        soon(&self.slots, place as usize);
        soon(&self.first_runs, place as usize / BLOCK_SLOTS);
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
        let (left, right) = (self.id_at(place as usize - 1), self.id_at(next as usize));
        Some(Merged { first: place, last, left, right, weight: self.weight(place) })
    }

    /// How many bytes the token `id` has.
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

    /// The id in a slot that is not INSIDE; nothing where there is a wall.
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

/// Writes a token into so many slots: its id stands in the first and in the last.
fn push_token<S: Slot>(slots: &mut Vec<S>, id: S, length: usize) {
    let end = slots.len() + length;
    slots.push(id);
    slots.resize(end, S::INSIDE);
    slots[end - 1] = id;
}

/// Bytes of each token.
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
        got: "2^64 pairs of neighbours or more in all".to_owned(),
        expected: "counts that, each times the bytes of its word, add up to less than 2^64".to_owned(),
    }
}

fn too_large(counts: &WordCounts) -> Error {
    Error::Argument {
        name: "text",
        got: format!("{} bytes in {} distinct pretokens", counts.n_bytes(), counts.len()),
        expected: "less than 4 GiB of distinct pretokens; a split pattern gives short ones".to_owned(),
    }
}
