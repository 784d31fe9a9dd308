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
        let base = base.get(merges.len()).copied();
        let Some((left, right)) = base.or_else(|| best_pair(&words, &tokens, options)) else { break };
        let new = tokens.len() as u32;
        tokens.push([&*tokens[left as usize], &*tokens[right as usize]].concat());
        words = words.iter().map(|word| replace(word, (left, right), new)).collect();
        merges.push((left, right));
    }
    merges
}

fn best_pair(words: &[Vec<u32>], tokens: &[Vec<u8>], options: Options) -> Option<Merge> {
    let bytes = |id: u32| &tokens[id as usize];
    let mut pairs: Vec<Merge> = Vec::new(); // in text order
    let mut counts: HashMap<Merge, u64> = HashMap::new();
    for pair in words.iter().flat_map(|word| word.windows(2)).map(|pair| (pair[0], pair[1])) {
        *counts.entry(pair).or_insert_with(|| {
            pairs.push(pair);
            0
        }) += 1;
    }
    let most_bytes = options.max_token_bytes.unwrap_or(usize::MAX);
    pairs.retain(|&(left, right)| bytes(left).len() + bytes(right).len() <= most_bytes);
    if options.utf8_safe {
        pairs.retain(|&(left, right)| {
            let whole = [&**bytes(left), &**bytes(right)].concat();
            [bytes(left), bytes(right), &whole].into_iter().all(|token| cuts_no_character(token))
        });
    }
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

/// Return whether `token` consists of whole characters, or is part of one character that other bytes complete.
fn cuts_no_character(token: &[u8]) -> bool {
    let starts = [&[][..], b"\xC3", b"\xF1", b"\xE4", b"\xE4\xB8", b"\xF0\x9F", b"\xF0\x9F\x98", b"\xF0"];
    let ends = [&[][..], b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\x90\x80\x80"];
    let characters = |bytes: &[u8]| std::str::from_utf8(bytes).map(|text| text.chars().count());
    characters(token).is_ok()
        || starts.iter().any(|start| ends.iter().any(|end| characters(&[start, token, end].concat()) == Ok(1)))
}

/// Return the code point that GPT-2's files use for a byte; later tokens come after all of them.
fn printable(id: u32) -> u32 {
    match id {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => id,
        0..=0x20 => 0x100 + id,
        0x7F..=0xA0 => 0x121 + id - 0x7F,
        0xAD => 0x143,
        _ => 0x1000 + id,
    }
}

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
