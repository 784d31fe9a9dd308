//! Join the counts of several threads, on several threads.
//!
//! Every thread distributes its words over tables by their hash. So the first tables of all threads hold the same share
//! of the words, the second tables another share. Each share can be joined and sorted without the others.

use super::tally::Tally;
use super::word_table::WordTable;
use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A word of the joined tables in sort order: the most frequent first, equal counts by their first place.
pub(super) struct Ranked {
    pub(super) tally: Tally,
    /// The key of a short word. For a long word, its share and its index in the share; the length in such a key is 0,
    /// which no short word has.
    pub(super) key: u128,
}

/// A joined and sorted share of the counted words.
pub(super) struct Share {
    pub(super) table: WordTable,
    ranked: Vec<Ranked>,
}

/// Join `counted`, the tables of each thread. Return the shares, and the words of all shares in one order.
pub(super) fn joined(counted: Vec<Vec<WordTable>>) -> (Vec<Share>, Vec<Ranked>) {
    let mut shares = side_by_side(by_share(counted), Share::of);
    let mut ranked = Vec::with_capacity(shares.iter().map(|share| share.ranked.len()).sum());
    for share in &mut shares {
        ranked.append(&mut share.ranked);
    }
    if shares.len() > 1 {
        ranked.sort_by_key(Ranked::order); // a stable sort, which merges lists that are already sorted
    }
    (shares, ranked)
}

/// Return the share and the index within it of the long word with `key`.
pub(super) fn place_of_long(key: u128) -> (usize, usize) {
    ((key >> 64) as usize, key as u64 as usize)
}

fn by_share(counted: Vec<Vec<WordTable>>) -> Vec<Vec<WordTable>> {
    let mut shares: Vec<Vec<WordTable>> = Vec::new();
    for tables in counted {
        shares.resize_with(shares.len().max(tables.len()), Vec::new);
        for (share, table) in shares.iter_mut().zip(tables) {
            share.push(table);
        }
    }
    shares
}

impl Share {
    fn of(number: usize, tables: Vec<WordTable>) -> Self {
        let mut tables = tables.into_iter();
        let mut table = tables.next().map_or_else(|| WordTable::new(usize::MAX), WordTable::without_limit);
        for other in tables {
            table.absorb(&other, 0);
        }
        let first_key = (number as u128) << 64;
        let long = (0..table.long.len()).map(|index| (first_key | index as u128, table.long.get(index).1));
        let mut ranked: Vec<_> = table.short.iter().chain(long).map(|(key, tally)| Ranked { tally, key }).collect();
        ranked.sort_unstable_by_key(Ranked::order);
        Self { table, ranked }
    }
}

impl Ranked {
    fn order(&self) -> (Reverse<u64>, u64) {
        (Reverse(self.tally.count), self.tally.first)
    }
}

/// Apply `each` to every item and its number, with one thread per item. If the system refuses a thread, the others do
/// its work.
fn side_by_side<T: Send, U: Send>(items: Vec<T>, each: impl Fn(usize, T) -> U + Sync) -> Vec<U> {
    let n_items = items.len();
    let waiting = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(n_items));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((number, item)) = next() {
            let result = each(number, item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..n_items {
            let _refused = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|&(number, _)| number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_keeps_its_place() {
        let lengths = side_by_side(vec!["one", "three", "", "four"], |number, text: &str| (number, text.len()));
        assert_eq!(lengths, [(0, 3), (1, 5), (2, 0), (3, 4)]);
        assert!(side_by_side(Vec::<u8>::new(), |_, item| item).is_empty());
    }
}
