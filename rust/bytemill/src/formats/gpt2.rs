//! GPT-2's two files in a folder: `vocab.json` + `merges.txt`, or under their original names
//! `encoder.json` + `vocab.bpe`.
//!
//! The JSON maps tokens, in the printable alphabet, to ids. The text has a line `#version` and then one
//! merge per line, as its two parts. Neither file marks special tokens: entries of more than one byte
//! that no merge makes are read as special (in GPT-2's own files that is `<|endoftext|>`).
//!
//! Two files cannot be renamed in one step. Both are completely written to disk before the first rename, so only a
//! crash between the two renames leaves a new `merges.txt` with an old `vocab.json`. Reading refuses such a pair,
//! unless the old vocabulary has every token of the new merges.

use super::common::{GivenSpecials, PatternChoice, cannot_write, in_file, parse, refuse_added};
use super::entries::Entries;
use super::file;
use super::tiktoken::with_ids;
use crate::byte_alphabet::{from_printable, to_printable};
use crate::durable::{DurableFile, commit_all};
use crate::error::{Error, Result, VocabFault};
use crate::split::Splitter;
use crate::vocab::Vocab;
use std::collections::HashSet;
use std::path::Path;

const NAMES: [(&str, &str); 2] = [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")];

pub(super) fn read(folder: &Path, pattern: PatternChoice, special_tokens: GivenSpecials) -> Result<(Vocab, Splitter)> {
    let found = NAMES.iter().find(|(vocab, merges)| folder.join(vocab).is_file() && folder.join(merges).is_file());
    let Some((vocab_name, merges_name)) = found else { return Err(incomplete(folder)) };
    let (vocab_path, merges_path) = (folder.join(vocab_name), folder.join(merges_name));
    let entries: Entries<u32> = parse(&vocab_path, &file::read_text(&vocab_path)?)?;
    let (first_line, merges) = read_merges(&merges_path)?;
    let special = |text: &String| match special_tokens {
        Some(given) => given.iter().any(|(name, _)| name == text),
        None => false,
    };
    let made: HashSet<Vec<u8>> = merges.iter().map(|(left, right)| [&left[..], right].concat()).collect();
    let (mut tokens, mut specials) = (Vec::with_capacity(entries.0.len()), Vec::new());
    for (text, id) in entries.0 {
        match from_printable(&text) {
            Ok(bytes) if !special(&text) && (special_tokens.is_some() || bytes.len() <= 1 || made.contains(&bytes)) => {
                tokens.push((bytes, id));
            }
            _ => specials.push((text, id)),
        }
    }
    let specials = agree(folder, specials, special_tokens, &tokens)?;
    let merges = merges.iter().map(|(left, right)| (&left[..], &right[..]));
    let vocab = Vocab::from_tokens(&tokens, merges, specials, false).map_err(|error| {
        let Error::Vocab(fault) = &error else { return error };
        let Some(index) = fault.merge_index() else { return in_file(&vocab_path, error, |_| None) };
        let line = first_line + index;
        let reason = match fault {
            VocabFault::DuplicateMerge { .. } => format!("line {line}: {fault}"),
            _ => format!(
                "line {line}: {fault} in {}: do both files belong to the same vocabulary?",
                vocab_path.display()
            ),
        };
        Error::format(&merges_path, reason)
    })?;
    Ok((vocab, pattern.splitter(Some("gpt2"))?))
}

pub(super) fn write(folder: &Path, vocab: &Vocab, splitter: &Splitter) -> Result<()> {
    if splitter.name() != Some("gpt2") {
        let reason = "its readers split by GPT-2's pattern, and this tokenizer has another";
        return Err(cannot_write("gpt2", reason));
    }
    if vocab.ignore_merges() {
        return Err(cannot_write("gpt2", "it cannot store ignore_merges"));
    }
    refuse_added("gpt2", vocab)?;
    let mut entries: Vec<(String, u32)> =
        vocab.ordinary_tokens().map(|(id, bytes)| (to_printable(bytes), id)).collect();
    let ordinary: HashSet<&str> = entries.iter().map(|(text, _)| text.as_str()).collect();
    if let Some((text, id)) = vocab.special_tokens().iter().find(|(text, _)| ordinary.contains(text.as_str())) {
        let reason = format!("special token {id}, {text:?}, would be written like an ordinary token");
        return Err(cannot_write("gpt2", reason));
    }
    entries.extend(vocab.special_tokens().iter().cloned());
    let json = serde_json::to_string(&Entries(entries)).map_err(|error| cannot_write("gpt2", error.to_string()))?;
    let mut merges = "#version: 0.2\n".to_owned();
    for (left, right) in vocab.merges() {
        merges.extend([&to_printable(left), " ", &to_printable(right), "\n"]);
    }
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    // In this order the files of a vocabulary that has grown can be recognized as not matching.
    let [merges, vocab] = [("merges.txt", merges), ("vocab.json", json)]
        .map(|(name, content)| DurableFile::create(&folder.join(name))?.with(content.as_bytes()));
    commit_all(vec![merges?, vocab?])
}

/// Return whether a file is the merges file, by its name or its first line.
pub(super) fn is_merges(path: &Path, content: &[u8]) -> bool {
    content.starts_with(b"#version") || NAMES.iter().any(|(_, merges)| path.ends_with(merges))
}

/// Return the error for a merges file without its folder.
pub(super) fn merges_alone(path: &Path) -> Error {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let reason = match NAMES.iter().find(|(vocab, _)| folder.join(vocab).is_file()) {
        Some((vocab, _)) => format!("holds merges without their ids, which {vocab} has: give the folder of both"),
        None => "holds merges without their ids: give a folder with this file and its vocab.json".to_owned(),
    };
    Error::format(path, reason)
}

/// Return the error for a folder that does not hold a vocabulary.
fn incomplete(folder: &Path) -> Error {
    let lone = NAMES.iter().flat_map(|(vocab, merges)| [(vocab, merges), (merges, vocab)]);
    let reason = match lone.into_iter().find(|(there, _)| folder.join(there).is_file()) {
        Some((there, missing)) => format!("holds {there} without {missing}"),
        None => "holds neither vocab.json with merges.txt nor encoder.json with vocab.bpe".to_owned(),
    };
    Error::format(folder, reason)
}

/// The line of the first merge, and the merges.
type Merges = (usize, Vec<(Vec<u8>, Vec<u8>)>);

fn read_merges(path: &Path) -> Result<Merges> {
    let text = file::read_text(path)?;
    let n_head = usize::from(text.starts_with("#version"));
    let merges = (1..).zip(text.lines()).skip(n_head).map(|(line, entry)| {
        parse_merge(entry).ok_or_else(|| {
            Error::format(path, format!("line {line}: {entry:?}, expected two tokens with one space between"))
        })
    });
    Ok((n_head + 1, merges.collect::<Result<_>>()?))
}

/// Parse two tokens in the printable alphabet, separated by one space.
pub(super) fn parse_merge(entry: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (left, right) = entry.split_once(' ')?;
    Some((from_printable(left).ok()?, from_printable(right).ok()?))
}

/// Combine the special tokens found in the file and those given by the caller; the ids of the same token must agree.
fn agree(
    folder: &Path,
    found: Vec<(String, u32)>,
    given: GivenSpecials,
    tokens: &[(Vec<u8>, u32)],
) -> Result<Vec<(String, u32)>> {
    let Some(given) = given else { return Ok(found) };
    let mut wanted = Vec::with_capacity(given.len());
    for (text, id) in given {
        let in_file = found.iter().find(|(name, _)| name == text).map(|(_, id)| *id);
        if let (Some(id), Some(in_file)) = (*id, in_file)
            && id != in_file
        {
            return Err(Error::format(folder, format!("has id {in_file} for {text:?}, not {id} as given")));
        }
        wanted.push((*text, in_file.or(*id)));
    }
    Ok(with_ids(&wanted, tokens))
}
