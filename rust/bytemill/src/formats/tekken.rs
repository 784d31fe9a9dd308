//! Mistral's `tekken.json`, read only: ranks as in tiktoken, after the special tokens.
//!
//! ```json
//! {"config": {"pattern": "…", "default_vocab_size": 131072, "default_num_special_tokens": 1000, "version": "v3"},
//!  "vocab": [{"rank": 0, "token_bytes": "AA==", "token_str": "\u0000"}],
//!  "special_tokens": [{"rank": 0, "token_str": "<unk>", "is_control": true}]}
//! ```
//! Special tokens have the first `default_num_special_tokens` ids. Those that the file does not list are named
//! `<SPECIAL_20>` and so on. The token of rank `i` has the id `default_num_special_tokens + i`. Only the first ranks
//! are used, up to `default_vocab_size` ids in all.

use super::common::{PatternChoice, in_file, parse};
use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::{MAX_ID, Vocab};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::path::Path;

/// The special tokens of files that list none, which are older than version 11 of the format.
const UNNAMED: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

#[derive(Deserialize)]
struct Contents {
    config: Config,
    vocab: Vec<Token>,
    special_tokens: Option<Vec<Special>>,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: u32,
    default_num_special_tokens: u32,
}

#[derive(Deserialize)]
struct Token {
    rank: u32,
    token_bytes: String,
}

#[derive(Deserialize)]
struct Special {
    rank: u32,
    token_str: String,
}

pub(super) fn read(path: &Path, text: &str, pattern: PatternChoice) -> Result<(Vocab, Splitter)> {
    let Contents { config, vocab, special_tokens } = parse(path, text)?;
    let Config { default_vocab_size: n_ids, default_num_special_tokens: n_special, .. } = config;
    let refused = |reason: String| Error::format(path, reason);
    let n_ranks = n_ids.checked_sub(n_special).filter(|n| *n as usize <= vocab.len() && n_ids <= MAX_ID);
    let n_ranks = n_ranks.ok_or_else(|| {
        let (n, most) = (vocab.len(), vocab.len() as u64 + u64::from(n_special));
        refused(format!(
            "default_vocab_size is {n_ids}, expected {n_special} to {most} for {n} tokens and {n_special} special ones"
        ))
    })?;
    let ranks = vocab.iter().zip(0..n_ranks).map(|(token, rank)| {
        let bytes = STANDARD.decode(&token.token_bytes).ok().filter(|_| token.rank == rank);
        let (got, base64) = (token.rank, &token.token_bytes);
        let wrong =
            || refused(format!("token {rank} has rank {got} and bytes {base64:?}, expected rank {rank} and base64"));
        Ok((bytes.ok_or_else(wrong)?, n_special + rank))
    });
    let ranks = ranks.collect::<Result<Vec<_>>>()?;
    let specials = specials(special_tokens, n_special).map_err(refused)?;
    let vocab = Vocab::from_ranks(&ranks, specials)
        .map_err(|error| in_file(path, error, |fault| fault.token_index().map(|index| format!("token {index}"))))?;
    Ok((vocab, pattern.splitter(Some(&config.pattern))?))
}

/// Return the `n` special tokens: first the named ones, then the others by number.
fn specials(named: Option<Vec<Special>>, n: u32) -> std::result::Result<Vec<(String, u32)>, String> {
    let texts = match named {
        None => UNNAMED.map(str::to_owned).to_vec(),
        Some(named) => {
            if let Some((index, special)) = (0..).zip(&named).find(|(index, special)| *index != special.rank) {
                let (text, rank) = (&special.token_str, special.rank);
                return Err(format!("special token {index}, {text:?}, has rank {rank}, expected {index}"));
            }
            named.into_iter().map(|special| special.token_str).collect()
        }
    };
    if texts.len() > n as usize {
        return Err(format!(
            "there are {} special tokens, expected at most default_num_special_tokens, {n}",
            texts.len()
        ));
    }
    let others = (texts.len() as u32..n).map(|id| format!("<SPECIAL_{id}>"));
    Ok(texts.iter().cloned().chain(others).zip(0..).collect())
}
