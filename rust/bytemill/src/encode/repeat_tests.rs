//! Encoding on tables that are full and have pushed entries out, compared with plain merging.
//!
//! The texts are what such tables could take for something else: long pieces that repeat a few letters, after short
//! pieces that begin alike.
#![allow(clippy::unwrap_used)]

use crate::Tokenizer;
use crate::encode::table::Lookup;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::LazyLock;

const PATTERNS: [&str; 3] = ["gpt2", "cl100k", "o200k"];

/// Vocabularies without merges, with all pairs of [`JOINED`], and with some longer tokens of these.
///
/// A piece is not cut between characters that some token joins, and a string of nine such bytes has more ids than a
/// table of short strings has room for.
fn merge_lists() -> [Vec<(u32, u32)>; 3] {
    let pairs = JOINED.iter().flat_map(|&left| JOINED.iter().map(move |&right| (left.into(), right.into())));
    let pairs: Vec<(u32, u32)> = pairs.collect();
    let n_pairs = pairs.len() as u32;
    let mut longer = pairs.clone();
    longer.extend((0..n_pairs).map(|i| (256 + i, 256 + i * 7 % n_pairs)));
    longer.extend((0..n_pairs).map(|i| (256 + n_pairs + i, 256 + n_pairs + i * 5 % n_pairs)));
    [Vec::new(), pairs, longer]
}

const JOINED: &[u8] = b"acghnst04!-\0\x01\x02\x03\x04\x05";

/// A tokenizer whose tables hold more words than they have room for.
struct Full {
    tokenizer: Tokenizer,
    ranks: HashMap<(u32, u32), usize>,
}

impl Full {
    fn new(merges: &[(u32, u32)], pattern: &str) -> Self {
        let tokenizer = Tokenizer::from_merges(merges, Some(pattern), &[]).unwrap();
        let full = Self { tokenizer, ranks: merges.iter().copied().zip(0..).collect() };
        let noise = noise(70_000);
        assert_eq!(full.encode(&noise), full.plainly(&noise));
        full
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode_ordinary(text).unwrap()
    }

    /// The ids of `text` by the definition: in each pretoken, merge the pair of lowest rank until none is left.
    fn plainly(&self, text: &str) -> Vec<u32> {
        let mut all = Vec::new();
        let split = self.tokenizer.splitter().split_str(text, |pretoken| {
            let mut ids: Vec<u32> = pretoken.iter().map(|&byte| byte.into()).collect();
            let rank = |pair: &[u32]| self.ranks.get(&(pair[0], pair[1])).copied();
            while let Some(lowest) = ids.windows(2).filter_map(rank).min() {
                let mut merged = Vec::with_capacity(ids.len());
                let mut rest = &ids[..];
                while let Some((&first, after)) = rest.split_first() {
                    let joins = rest.len() > 1 && rank(&rest[..2]) == Some(lowest);
                    merged.push(if joins { 256 + lowest as u32 } else { first });
                    rest = if joins { &after[1..] } else { after };
                }
                ids = merged;
            }
            all.extend(ids);
        });
        split.unwrap();
        all
    }
}

/// Random words of 5 to 16 consonants, in which hardly anything merges.
fn noise(n_words: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut text = String::new();
    for _ in 0..n_words {
        let n_letters = 5 + random(12);
        text.extend((0..n_letters).map(|_| char::from(b"bcdfghjklmnpqrstvwxz"[random(20)])));
        text.push(' ');
    }
    text
}

static FULL: LazyLock<Vec<Full>> = LazyLock::new(|| {
    let lists = merge_lists();
    lists.iter().flat_map(|merges| PATTERNS.map(|pattern| Full::new(merges, pattern))).collect()
});

/// The first `n` characters of `unit`, repeated.
fn repeated(unit: &str, n: usize) -> String {
    unit.chars().cycle().take(n).collect()
}

/// Lengths of a short head and of what repeats after it: up to 700, around powers of two, a power of two longer than
/// the head, and around the lengths at which merging changes its form.
fn lengths() -> impl Strategy<Value = (usize, usize)> {
    let length = prop_oneof![
        2 => (1_usize..700).prop_map(|n| (0, n)),
        2 => (4_u32..14, 0_usize..7).prop_map(|(power, more)| (0, (1 << power) + more - 3)),
        4 => (6_u32..14).prop_map(|power| (1, 1 << power)),
        1 => (1_usize..5, 0_usize..40).prop_map(|(windows, more)| (0, windows * 2048 + more - 20)),
    ];
    (prop_oneof![1_usize..18, Just(16)], length).prop_map(|(head, (is_longer, n))| (head, is_longer * head + n))
}

fn units() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,16}",
        "[acgt]{1,16}",
        "[acghnst]{1,16}",
        "[hat]{1,4}",
        "[0-9]{1,5}",
        "[!-/]{1,8}",
        "[\u{1}-\u{5}]{1,5}\u{0}{0,3}",
        "\u{0}{1,3}",
        "[北京大学模型]{1,6}",
        "[a-c北é]{1,5}",
    ]
}

proptest! {
    #[test]
    fn repeats_after_their_heads_are_merged_plainly(
        repeats in prop::collection::vec((units(), lengths()), 1..6)
    ) {
        let mut text = String::new();
        for (unit, (head, n)) in &repeats {
            for line in [repeated(unit, *head), repeated(unit, *n)] {
                text.push_str(&line);
                text.push('\n');
            }
        }
        for full in &*FULL {
            prop_assert_eq!(full.encode(&text), full.plainly(&text));
        }
    }

    #[test]
    fn what_follows_a_stored_string_is_not_taken_for_it(
        head in "[acghnst]{5,16}|[acghnst]{16}|[\u{1}-\u{5}]{5,16}",
        tail in "[acg]|\u{0}|[!-/]",
        power in 4_u32..14,
        more in 0_usize..3,
    ) {
        let text = format!("{head}\n{head}{}\n{head}", repeated(&tail, (1 << power) + more - 1));
        for full in &*FULL {
            prop_assert_eq!(full.encode(&text), full.plainly(&text));
        }
    }
}

#[test]
fn a_string_of_144_bytes_is_not_its_first_16() {
    for full in &*FULL {
        for n in 120..=160 {
            let text = format!("{0}\n{0}{1}\n", "hatscanghantsnac", repeated("ha", n - 16));
            assert_eq!(full.encode(&text), full.plainly(&text), "{n} letters");
        }
    }
}

#[test]
fn nuls_after_a_stored_string_are_not_passed_over() {
    for full in &*FULL {
        for n in 5..=15 {
            let head: String = ('\u{1}'..='\u{5}').cycle().take(n).collect();
            for n_nuls in (1..12).chain(120..140) {
                let text = format!("{head}\n{head}{}\n", "\0".repeat(n_nuls));
                assert_eq!(full.encode(&text), full.plainly(&text), "{n} bytes and {n_nuls} NULs");
            }
        }
    }
}

#[test]
fn a_text_of_several_mib_is_merged_plainly() {
    for full in &*FULL {
        let mut text = noise(400_000);
        for n in 1..=600 {
            text.push_str(&repeated("acgt", n.min(16)));
            text.push('\n');
            text.push_str(&repeated("acgt", n));
            text.push('\n');
        }
        assert!(text.len() > 4 << 20);
        assert_eq!(full.encode(&text), full.plainly(&text));
    }
}

/// A key cannot tell a string from what is longer; lengths are compared whole.
#[test]
fn a_length_is_compared_whole() {
    let text = vec![b'a'; 70_000];
    for n in [1, 16, 17, 144, 255, 256, 257, 272, 400, 65_535, 65_536, 65_552] {
        assert_eq!(Lookup::<2>::new(&text, 0, n).span(), 0..n);
    }
}
