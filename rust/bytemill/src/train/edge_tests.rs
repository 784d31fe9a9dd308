//! Edge cases of counts, files and bases that training once handled wrongly.

#![allow(clippy::unwrap_used)]

use super::tests::{ALL_TIES, count, counting, go};
use super::*;
use crate::split::Splitter;
use crate::vocab::Vocab;

/// A whole token that a base made from tokens that cut characters was treated as one that cuts them too.
#[test]
fn a_whole_token_of_a_base_is_whole_whatever_it_was_made_of() {
    let splitter = Splitter::new(None).unwrap();
    let learned = [(0xE4, 0xB8), (0x80, 256), (256, 257), (257, 0x81), (258, 259)]; // the last is 一一丁
    let base = Base::of(&Vocab::from_merges(&learned, &[]).unwrap()).unwrap();
    let documents = ["一一丁é".as_bytes().to_vec()];
    let options = Options { utf8_safe: true, ..Options::new(7, Ties::Huggingface) };
    let merges = train_onto(&base, &count(&documents, &counting(&splitter, 1)), options, &mut go).unwrap();
    assert_eq!(merges[5..], [(0xC3, 0xA9), (260, 261)]);
    assert_eq!(merges, naive::merges(&documents, &splitter, &learned, options));
}

/// Sums of counts overflowed 2^64 and restarted at 0.
#[test]
fn counts_that_no_sum_can_hold_are_refused() {
    for words in [&[("ab", u64::MAX), ("ab", 1)][..], &[("ab", 1 << 62), ("abc", 1 << 62)], &[("abc", u64::MAX / 2)]] {
        let mut counter = Counter::new(Splitter::new(None).unwrap());
        for (word, count) in words {
            counter.add_word(word.as_bytes(), *count);
        }
        let counts = counter.into_counts().unwrap();
        for ties in ALL_TIES {
            let message = train(&counts, Options::new(5, ties), &mut go).unwrap_err().to_string();
            assert!(message.starts_with("word_counts is 2^64 or more pairs"), "{message}");
        }
    }
    let mut counter = Counter::new(Splitter::new(None).unwrap());
    counter.add_word(b"a", u64::MAX);
    counter.add_word(b"bc", u64::MAX / 2);
    assert_eq!(train(&counter.into_counts().unwrap(), Options::new(5, Ties::LowestId), &mut go).unwrap(), [(98, 99)]);
}
