//! minbpe's `.model` files, read only: lines of text.
//!
//! The lines are `minbpe v1`, the pattern (an empty line for none), the number of special tokens, each
//! special token as text and id, and each merge as two ids. Merge `i` makes id `256 + i`.

use super::common::{PatternChoice, in_file};
use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::Vocab;
use std::path::Path;

/// The tokens may have at most this many times the bytes of the file; real tokens have fewer bytes than the file.
const MOST_GROWTH: usize = 1_000;

pub(super) fn read(path: &Path, text: &str, pattern: PatternChoice) -> Result<(Vocab, Splitter)> {
    let mut lines = (1..).zip(text.lines());
    let mut next =
        |expected: &str| lines.next().ok_or_else(|| Error::format(path, format!("the file ends before {expected}")));
    let (_, version) = next("the version")?;
    if version != "minbpe v1" {
        return Err(Error::format(path, format!("begins with {version:?}, expected \"minbpe v1\"")));
    }
    let (_, regex) = next("the pattern")?;
    let (line, n_special) = next("the number of special tokens")?;
    let n_special: usize =
        n_special.parse().map_err(|_| wrong(path, line, n_special, "the number of special tokens"))?;
    let mut special_tokens = Vec::new();
    for _ in 0..n_special {
        let (line, entry) = next("a special token")?;
        special_tokens
            .push(special_token(entry).ok_or_else(|| wrong(path, line, entry, "a special token and its id"))?);
    }
    let merges: Result<Vec<_>> =
        lines.map(|(line, entry)| merge(entry).ok_or_else(|| wrong(path, line, entry, "two ids"))).collect();
    let merges = merges?;
    let (most, n_bytes) = (text.len().saturating_mul(MOST_GROWTH), token_bytes(&merges));
    if n_bytes > most {
        let reason = format!("makes tokens of {n_bytes} bytes, expected at most {MOST_GROWTH} times its size, {most}");
        return Err(Error::format(path, reason));
    }
    let vocab = Vocab::from_merges_with(&merges, special_tokens).map_err(|error| {
        let first_merge = 4 + n_special;
        let place = |index: usize| format!("line {}", first_merge + index);
        in_file(path, error, |fault| fault.merge_index().map(place))
    })?;
    Ok((vocab, pattern.splitter(Some(regex).filter(|regex| !regex.is_empty()))?))
}

/// Return the total bytes of all tokens that `merges` make. Each merge may double the longest token, so a few lines can
/// make gigabytes.
fn token_bytes(merges: &[(u32, u32)]) -> usize {
    let mut lengths = vec![1_usize; 256];
    for &(left, right) in merges {
        let length = |id: u32| lengths.get(id as usize).copied().unwrap_or(0); // an unknown part is reported later
        lengths.push(length(left).saturating_add(length(right)));
    }
    lengths.into_iter().fold(0, usize::saturating_add)
}

fn special_token(entry: &str) -> Option<(String, u32)> {
    let (text, id) = entry.rsplit_once(' ')?;
    Some((text.to_owned(), id.parse().ok()?))
}

fn merge(entry: &str) -> Option<(u32, u32)> {
    let (left, right) = entry.split_once(' ')?;
    Some((left.parse().ok()?, right.parse().ok()?))
}

fn wrong(path: &Path, line: usize, got: &str, expected: &str) -> Error {
    Error::format(path, format!("line {line}: {got:?}, expected {expected}"))
}
