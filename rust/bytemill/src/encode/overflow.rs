//! The ids of short strings that have more of them than a table of short strings has room for.
//!
//! GPT-2 has no tokens for rows of spaces, so an indentation of 16 becomes 16 ids. What was kept longest makes
//! room for what is new; a place holds its string too, so that a number from before finds nothing.

use crate::vocab::MAX_ID;

/// A string of up to 16 bytes, filled up with zeros.
type Key = [u64; 2];

/// No string of 16 bytes becomes more.
const MOST_IDS: usize = 16;
const PLACES: usize = 1 << 13;
/// A table keeps the number of a place where it keeps ids.
const _: () = assert!(PLACES <= MAX_ID as usize + 1);

#[derive(Clone, Copy, Debug)]
struct Place {
    key: Key,
    length: u32,
    n: u32,
    ids: [u32; MOST_IDS],
}

/// A ring of places.
#[derive(Debug)]
pub(super) struct Overflow {
    places: Vec<Place>,
    next: usize,
}

impl Overflow {
    pub(super) fn new() -> Self {
        Self { places: vec![Place { key: [0; 2], length: 0, n: 0, ids: [0; MOST_IDS] }; PLACES], next: 0 }
    }

    /// Keeps the ids of the string `key` of `length` bytes, at most one a byte; the number of where they are.
    pub(super) fn keep(&mut self, key: Key, length: usize, ids: &[u32]) -> usize {
        let number = self.next;
        let place = &mut self.places[number];
        (place.key, place.length, place.n) = (key, length as u32, ids.len() as u32);
        place.ids[..ids.len()].copy_from_slice(ids);
        self.next = (number + 1) % PLACES;
        number
    }

    /// Appends the ids of the string `key` of `length` bytes, if they are still at `number`.
    pub(super) fn recall(&self, number: usize, key: Key, length: usize, out: &mut Vec<u32>) -> bool {
        let place = &self.places[number];
        let is_there = place.key == key && place.length as usize == length;
        if is_there {
            out.extend_from_slice(&place.ids[..place.n as usize]);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_before_find_nothing() {
        let mut overflow = Overflow::new();
        let numbers: Vec<usize> = (0..=PLACES as u64).map(|i| overflow.keep([i, 0], 9, &[i as u32; 7])).collect();
        let mut out = Vec::new();
        assert!(!overflow.recall(numbers[0], [0, 0], 9, &mut out));
        assert!(!overflow.recall(numbers[1], [1, 0], 10, &mut out));
        assert!(overflow.recall(numbers[PLACES], [PLACES as u64, 0], 9, &mut out));
        assert_eq!(out, [PLACES as u32; 7]);
    }
}
