//! Any text of literals and repeats becomes the ids of plain merging, on tables that noise has filled.
//!
//! The tokenizers, and so their tables, are kept from one input to the next.
#![no_main]

use arbitrary::Arbitrary;
use bytemill::Tokenizer;
use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A part of a text.
#[derive(Arbitrary, Debug)]
enum Part {
    Literal(String),
    /// A short head on a line, then a piece that begins like it.
    Repeat { unit: String, head: u8, length: u16 },
    /// Random words, by seed and number.
    Noise { seed: u32, words: u8 },
}

struct Kept {
    tokenizer: Tokenizer,
    ranks: HashMap<(u32, u32), u32>,
}

static KEPT: LazyLock<Vec<Kept>> = LazyLock::new(|| {
    let alphabet: Vec<u32> = "acghnst04!-\0\u{1}\u{2}".bytes().map(u32::from).collect();
    let pairs: Vec<_> = alphabet.iter().flat_map(|&left| alphabet.iter().map(move |&right| (left, right))).collect();
    let n = pairs.len() as u32;
    let longer: Vec<_> = pairs.iter().copied().chain((0..n).map(|i| (256 + i, 256 + i * 7 % n))).collect();
    let mut kept = Vec::new();
    for merges in [vec![], pairs, longer] {
        for pattern in [Some("gpt2"), Some("cl100k"), Some("o200k"), None] {
            let tokenizer = Tokenizer::from_merges(&merges, pattern, &[]).unwrap();
            tokenizer.encode_ordinary(&noise(1, 100_000)).unwrap();
            kept.push(Kept { tokenizer, ranks: merges.iter().copied().zip(0..).collect() });
        }
    }
    kept
});

fn noise(seed: u32, n_words: usize) -> String {
    let mut state = u64::from(seed) + 1;
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

/// The pair of lowest rank is merged wherever it is, from left to right, until none is left.
fn merged_plainly(ranks: &HashMap<(u32, u32), u32>, pretoken: &[u8]) -> Vec<u32> {
    let mut ids: Vec<u32> = pretoken.iter().map(|&byte| byte.into()).collect();
    let rank = |pair: &[u32]| ranks.get(&(pair[0], pair[1])).copied();
    while let Some(lowest) = ids.windows(2).filter_map(rank).min() {
        let (mut merged, mut at) = (Vec::with_capacity(ids.len()), 0);
        while at < ids.len() {
            let joins = at + 1 < ids.len() && rank(&ids[at..at + 2]) == Some(lowest);
            merged.push(if joins { 256 + lowest } else { ids[at] });
            at += if joins { 2 } else { 1 };
        }
        ids = merged;
    }
    ids
}

fuzz_target!(|parts: Vec<Part>| {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(&literal),
            Part::Repeat { unit, head, length } => {
                for n in [usize::from(head) % 18, usize::from(length) % 5_000] {
                    text.extend(unit.chars().cycle().take(n));
                    text.push('\n');
                }
            }
            Part::Noise { seed, words } => text.push_str(&noise(seed, words.into())),
        }
    }
    for kept in &*KEPT {
        let mut plain = Vec::new();
        let split = kept.tokenizer.splitter();
        split.split_str(&text, |pretoken| plain.extend(merged_plainly(&kept.ranks, pretoken))).unwrap();
        let ids = kept.tokenizer.encode_ordinary(&text).unwrap();
        assert_eq!(ids, plain, "{:?}", split.pattern());
        assert_eq!(kept.tokenizer.decode_bytes(&ids).unwrap(), text.as_bytes());
    }
});
