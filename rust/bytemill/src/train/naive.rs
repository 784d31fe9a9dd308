//! The definition of training, to compare the fast path with: it counts everything again in each step.

#![allow(clippy::unwrap_used)]

use super::options::{Merge, Options, Ties};
use crate::split::Splitter;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Return the merges that [`super::train_onto`] must find for these documents after those of `base`.
pub(super) fn merges(documents: &[Vec<u8>], splitter: &Splitter, base: &[Merge], options: Options) -> Vec<Merge> {
    let mut words: Vec<Vec<u32>> = Vec::new();
    for document in documents {
        splitter.split(document, |word| words.push(word.iter().map(|&byte| byte.into()).collect())).unwrap();
    }
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut merges = Vec::new();
    while merges.len() < options.n_merges {
        let given = base.get(merges.len()).copied();
        let Some((left, right)) = given.or_else(|| best_pair(&words, &tokens, options)) else { break };
        let new = tokens.len() as u32;
        tokens.push([&*tokens[left as usize], &*tokens[right as usize]].concat());
        words = words.iter().map(|word| replace(word, (left, right), new)).collect();
        merges.push((left, right));
    }
    merges
}

/// Return the pair to merge next: of the allowed pairs with the highest count, the one that the tie rule takes.
fn best_pair(words: &[Vec<u32>], tokens: &[Vec<u8>], options: Options) -> Option<Merge> {
    let bytes = |id: u32| &tokens[id as usize];
    let (mut pairs, counts) = counted(words);
    pairs.retain(|&pair| is_allowed(pair, tokens, options));
    let highest = pairs.iter().map(|pair| counts[pair]).max()?;
    if highest < options.min_frequency {
        return None;
    }
    let mut best = pairs.into_iter().filter(|pair| counts[pair] == highest);
    match options.ties {
        Ties::FirstSeen => best.next(),
        Ties::LowestId => best.min(),
        Ties::Huggingface => best.min_by_key(|&(left, right)| (printable(left), printable(right))),
        Ties::LargestBytes => best.min_by_key(|&(left, right)| Reverse((bytes(left), bytes(right)))),
    }
}

/// Return the pairs of neighbours in the order of the text, and how often each occurs.
fn counted(words: &[Vec<u32>]) -> (Vec<Merge>, HashMap<Merge, u64>) {
    let (mut pairs, mut counts) = (Vec::new(), HashMap::new());
    for pair in words.iter().flat_map(|word| word.windows(2)).map(|pair| (pair[0], pair[1])) {
        let count = counts.entry(pair).or_insert(0);
        if *count == 0 {
            pairs.push(pair);
        }
        *count += 1;
    }
    (pairs, counts)
}

/// Return whether `options` allow a token made of `pair`.
fn is_allowed((left, right): Merge, tokens: &[Vec<u8>], options: Options) -> bool {
    let (left, right) = (&*tokens[left as usize], &*tokens[right as usize]);
    let whole = [left, right].concat();
    options.max_token_bytes.is_none_or(|most| whole.len() <= most)
        && (!options.utf8_safe || [left, right, &whole].into_iter().all(cuts_no_character))
}

/// Return whether `token` consists of whole characters, or is part of one character that other bytes complete.
///
/// It tries some beginnings and ends of characters of two to four bytes: if any other bytes complete a part, these do.
fn cuts_no_character(token: &[u8]) -> bool {
    let starts = [&[][..], b"\xC3", b"\xF1", b"\xE4", b"\xE4\xB8", b"\xF0\x9F", b"\xF0\x9F\x98", b"\xF0"];
    let ends = [&[][..], b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\x90\x80\x80"];
    let characters = |bytes: &[u8]| std::str::from_utf8(bytes).map(|text| text.chars().count());
    characters(token).is_ok()
        || starts.iter().any(|start| ends.iter().any(|end| characters(&[start, token, end].concat()) == Ok(1)))
}

/// Return a number that orders ids as Hugging Face's trainer does: for a byte, the code point of its character in
/// GPT-2's files (see `byte_alphabet`); for later tokens, a number above all of these.
fn printable(id: u32) -> u32 {
    match id {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => id,
        0..=0x20 => 0x100 + id,
        0x7F..=0xA0 => 0x121 + id - 0x7F,
        0xAD => 0x143,
        _ => 0x1000 + id,
    }
}

/// Replace `pair` by `new` in a word, from left to right, without overlaps.
fn replace(word: &[u32], pair: Merge, new: u32) -> Vec<u32> {
    let mut merged = Vec::new();
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        if after.first().is_some_and(|&second| (first, second) == pair) {
            merged.push(new);
            rest = &after[1..];
        } else {
            merged.push(first);
            rest = after;
        }
    }
    merged
}
