//! `.tiktoken`: one token per line, as its bytes in base64, a space, and its rank.
//!
//! The rank is both the id and the merge order. The file contains no pattern and no special tokens;
//! those of `OpenAI`'s own files are recognized by the SHA-256 of the file.

use super::common::{GivenSpecials, PatternChoice, cannot_write, in_file, refuse_added};
use super::fingerprint::hexadecimal;
use crate::error::{Error, Result, show};
use crate::interrupt::Pace;
use crate::split::Splitter;
use crate::vocab::Vocab;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

/// A file whose pattern and special tokens are known.
struct KnownFile {
    sha256: &'static str,
    pattern: &'static str,
    special_tokens: &'static [(&'static str, Option<u32>)],
}

const KNOWN_FILES: [KnownFile; 4] = [
    KnownFile {
        // r50k_base, GPT-2's own
        sha256: "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        pattern: "gpt2",
        special_tokens: &[("<|endoftext|>", Some(50256))],
    },
    KnownFile {
        // p50k_base
        sha256: "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        pattern: "gpt2",
        special_tokens: &[("<|endoftext|>", Some(50256))],
    },
    KnownFile {
        // cl100k_base
        sha256: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern: "cl100k",
        special_tokens: &[
            ("<|endoftext|>", Some(100_257)),
            ("<|fim_prefix|>", Some(100_258)),
            ("<|fim_middle|>", Some(100_259)),
            ("<|fim_suffix|>", Some(100_260)),
            ("<|endofprompt|>", Some(100_276)),
        ],
    },
    KnownFile {
        // o200k_base
        sha256: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern: "o200k",
        special_tokens: &[("<|endoftext|>", Some(199_999)), ("<|endofprompt|>", Some(200_018))],
    },
];

pub(super) fn read(
    path: &Path,
    content: &[u8],
    pattern: PatternChoice,
    special_tokens: GivenSpecials,
) -> Result<(Vocab, Splitter)> {
    let tokens = parse(path, content)?;
    let digest = hexadecimal(&Sha256::digest(content));
    let known = KNOWN_FILES.iter().find(|known| known.sha256 == digest);
    let splitter = match (pattern, known) {
        (PatternChoice::Auto, None) => return Err(no_pattern(path)),
        (PatternChoice::Auto, Some(known)) => Splitter::new(Some(known.pattern))?,
        (PatternChoice::Given(pattern), _) => Splitter::new(pattern)?,
    };
    let special_tokens = special_tokens.or(known.map(|known| known.special_tokens)).unwrap_or_default();
    let special_tokens = with_ids(special_tokens, &tokens);
    check_gaps(path, &tokens, &special_tokens)?;
    let vocab = Vocab::from_ranks(&tokens, special_tokens)
        .map_err(|error| in_file(path, error, |fault| fault.token_index().map(|index| line(content, index))))?;
    Ok((vocab, splitter))
}

/// Return the text of the file.
pub(super) fn to_string(vocab: &Vocab) -> Result<String> {
    let ranks = ranks(vocab)?;
    if let Some(missing) = first_gap(&ranks, vocab.special_tokens()) {
        let reason = format!("no token has id {missing}, and its readers expect one for each id below the highest");
        return Err(cannot_write("tiktoken", reason));
    }
    let mut text = String::new();
    for (bytes, id) in ranks {
        let _ = writeln!(text, "{} {id}", STANDARD.encode(bytes));
    }
    Ok(text)
}

/// Return the tokens and ranks for tiktoken, or an error if it would encode differently with them.
pub fn ranks(vocab: &Vocab) -> Result<Vec<(Vec<u8>, u32)>> {
    refuse_added("tiktoken", vocab)?;
    let tokens: Vec<_> = vocab.ordinary_tokens().map(|(id, bytes)| (bytes.to_vec(), id)).collect();
    if let Some((id, bytes)) = vocab.unreachable_tokens().next()
        && !vocab.ignore_merges()
    {
        let token = show(bytes);
        let reason =
            format!("tiktoken would emit token {id}, {token}, for a pretoken of these bytes, and merging never does");
        return Err(cannot_write("tiktoken", reason));
    }
    let by_ranks = Vocab::from_ranks(&tokens, Vec::new());
    if !by_ranks.as_ref().is_ok_and(|by_ranks| vocab.encodes_like(by_ranks)) {
        let reason = "tiktoken merges in the order of ids, which is not the order of these merges";
        return Err(cannot_write("tiktoken", reason));
    }
    Ok(tokens)
}

fn parse(path: &Path, content: &[u8]) -> Result<Vec<(Vec<u8>, u32)>> {
    let lines = content
        .strip_suffix(b"\n")
        .unwrap_or(content)
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut pace = Pace::default();
    let tokens = lines.enumerate().map(|(index, entry)| {
        pace.advance(entry.len());
        parse_line(entry).ok_or_else(|| {
            let found = format!("{}: {}", line(content, index), show(entry));
            Error::format(path, format!("{found}, expected a token in base64, a space and its rank"))
        })
    });
    tokens.collect()
}

/// Name a line by its number, and note that the file may be truncated there.
fn line(content: &[u8], index: usize) -> String {
    let is_cut = !content.ends_with(b"\n") && content.split(|&byte| byte == b'\n').count() == index + 1;
    let note = if is_cut && index > 0 { ", the last, without its end: the file may be cut off" } else { "" };
    format!("line {}{note}", index + 1)
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let (token, rank) = line.split_at(line.iter().position(|&byte| byte == b' ')?);
    let rank = std::str::from_utf8(&rank[1..]).ok()?;
    let all_digits = rank.bytes().all(|byte| byte.is_ascii_digit());
    Some((STANDARD.decode(token).ok()?, rank.parse().ok().filter(|_| all_digits)?))
}

/// Give special tokens without an id the next ids after all others.
pub(super) fn with_ids(special_tokens: &[(&str, Option<u32>)], tokens: &[(Vec<u8>, u32)]) -> Vec<(String, u32)> {
    let ids = tokens.iter().map(|(_, id)| *id).chain(special_tokens.iter().filter_map(|(_, id)| *id));
    let mut next = ids.max().map_or(0, |id| id.saturating_add(1));
    let mut with_ids = Vec::with_capacity(special_tokens.len());
    for (text, id) in special_tokens {
        let id = id.unwrap_or(next);
        next = next.max(id.saturating_add(1));
        with_ids.push(((*text).to_owned(), id));
    }
    with_ids
}

fn check_gaps(path: &Path, tokens: &[(Vec<u8>, u32)], special_tokens: &[(String, u32)]) -> Result<()> {
    let Some(missing) = first_gap(tokens, special_tokens) else { return Ok(()) };
    let highest = tokens.iter().map(|(_, id)| *id).max().unwrap_or(0);
    Err(Error::format(
        path,
        format!("no token has rank {missing}, though ranks go up to {highest}; give the special token that has it"),
    ))
}

/// Return the first id below the highest rank that is not a rank and not a special token.
fn first_gap(tokens: &[(Vec<u8>, u32)], special_tokens: &[(String, u32)]) -> Option<u32> {
    let ids = tokens.iter().map(|(_, id)| *id).chain(special_tokens.iter().map(|(_, id)| *id));
    let highest = tokens.iter().map(|(_, id)| *id).max().unwrap_or(0);
    // Without a gap there are at least as many tokens as ids, so the first gap is below their number.
    let mut taken = vec![false; tokens.len() + special_tokens.len() + 1];
    for id in ids {
        if let Some(taken) = taken.get_mut(id as usize) {
            *taken = true;
        }
    }
    (0..highest).zip(taken).find_map(|(id, taken)| (!taken).then_some(id))
}

fn no_pattern(path: &Path) -> Error {
    let name = path.display();
    let reason = format!(
        "is a .tiktoken file, which holds neither pattern nor special tokens, and is not known by its SHA-256: give \
         them in Python (pattern=\"gpt2\", \"cl100k\", \"o200k\", a regex, or None), or write a file that holds them: \
         bytemill tokenizer convert {name} tokenizer.json --pattern PATTERN --special-token TEXT=ID"
    );
    Error::format(path, reason)
}
