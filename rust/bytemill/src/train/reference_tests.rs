//! Merges that other programs learned from texts in the shared data folder next to the repository.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::corpus::Reading;
use crate::split::Splitter;
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Return a file of the shared data; if it is missing, print why the test is skipped and return `None`.
fn shared(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("BYTEMILL_SHARED_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        #[expect(clippy::print_stderr, reason = "a skipped test says why")]
        {
            eprintln!("skipped: {} is missing; set BYTEMILL_SHARED_DATA", path.display());
        }
        return None;
    }
    Some(path)
}

fn learn(path: PathBuf, pattern: Option<&str>, n_merges: usize, ties: Ties) -> Vec<Merge> {
    let mut go = |_| ControlFlow::Continue(());
    let splitter = Splitter::new(pattern).unwrap();
    let counting = Counting {
        splitter: &splitter,
        feed: DocumentUnit::Documents,
        threads: 1,
        max_memory: None,
        special_texts: None,
    };
    let counts = count_files(&[path], Reading::default(), &counting, &mut go).unwrap();
    train(&counts, Options::new(n_merges, ties), &mut go).unwrap()
}

/// Return the merges in the format of Stanford's file: GPT-2's printable characters, separated by a space.
fn printable(merges: &[Merge]) -> Vec<String> {
    let is_printable = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = 0x100..;
    let mut tokens: Vec<String> = (0..256)
        .map(|byte| if is_printable(byte) { byte } else { others.next().unwrap() })
        .map(|code| char::from_u32(code).unwrap().to_string())
        .collect();
    for &(left, right) in merges {
        tokens.push(tokens[left as usize].clone() + &tokens[right as usize]);
    }
    merges.iter().map(|&(left, right)| format!("{} {}", tokens[left as usize], tokens[right as usize])).collect()
}

#[test]
fn largest_bytes_equals_stanfords_reference() {
    let Some(text) = shared("cs336_bpe/corpus.en") else { return };
    let reference = std::fs::read_to_string(shared("cs336_bpe/train-bpe-reference-merges.txt").unwrap()).unwrap();
    let merges = learn(text, Some("gpt2"), 243, Ties::LargestBytes);
    assert_eq!(printable(&merges), reference.lines().collect::<Vec<_>>());
}

#[test]
fn first_seen_equals_the_plain_definition_on_the_manual() {
    let Some(text) = shared("pku_manual/manual.txt") else { return };
    let merges = learn(text, None, 1024 - 256, Ties::FirstSeen);
    let lines: Vec<_> = merges.iter().map(|(left, right)| format!("{left} {right}\n")).collect();
    // Hash of the lines that 12 lines of Python write in half a minute: count zip(ids, ids[1:]) into a dict, take
    // max(counts, key=counts.get), replace, repeat.
    let expected = "a5f3cc3c7095172f42cce963e1e5768d10c7bf186a626ceaeab40c34b205950c";
    let found: Vec<_> = Sha256::digest(lines.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found.concat(), expected);
}
