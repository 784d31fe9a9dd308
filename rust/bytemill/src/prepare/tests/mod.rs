//! Preparation: identical bytes for any number of threads, each document once, clear errors.
#![allow(clippy::unwrap_used)]

mod checked;
mod layout;
mod refused;
mod same_bytes;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::slice::from_ref;

use tempfile::TempDir;

use super::*;
use crate::shard::{Index, Loader, LoaderOptions, Validation, merge, verify};

/// A tokenizer with bytes as ids and end-of-text 256. Zero bytes are refused.
struct Bytes {
    end_of_text: Option<u32>,
}

const BYTES: Bytes = Bytes { end_of_text: Some(256) };

impl EncodeDocument for Bytes {
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
        |text, ids| {
            if let Some(position) = memchr::memchr(0, text) {
                return Err(Error::Utf8 { position });
            }
            ids.extend(text.iter().map(|&byte| u32::from(byte)));
            Ok(())
        }
    }

    fn cuts(&self) -> bool {
        true
    }

    fn first_cut(&self, text: &[u8]) -> Option<usize> {
        memchr::memchr(b' ', text).map(|at| at + 1)
    }

    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        const ALL: [u8; 256] = {
            let mut all = [0; 256];
            let mut byte = 0;
            while byte < 256 {
                all[byte] = byte as u8;
                byte += 1;
            }
            all
        };
        ALL.get(id as usize).map(std::slice::from_ref)
    }

    fn n_vocab(&self) -> u32 {
        257
    }

    fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    fn fingerprint(&self) -> String {
        "b".repeat(64)
    }
}

fn go(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn small(val: Validation) -> PrepareOptions {
    PrepareOptions { shard_tokens: 5_000, val, threads: 2, check: true, ..PrepareOptions::default() }
}

fn run(sources: &[PathBuf], out_dir: &Path, options: &PrepareOptions) -> Result<Manifest> {
    prepare(sources, out_dir, &BYTES, options, |_| ControlFlow::Continue(()))
}

/// Create a folder with a text and 400 JSON lines.
fn corpus() -> (TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut texts: Vec<String> = (0..400).map(|i| format!("row {i} \u{e9}\n").repeat(i % 13)).collect();
    let lines: Vec<_> = texts.iter().map(|text| serde_json::json!({"id": [1], "text": text}).to_string()).collect();
    fs::write(folder.path().join("rows.jsonl"), lines.join("\n\n \n")).unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    texts.push("a whole file\n\nis one document".to_owned());
    fs::write(folder.path().join("a/whole.txt"), &texts[400]).unwrap();
    fs::write(folder.path().join("a/empty.txt"), "").unwrap();
    (folder, texts)
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

fn tokens(folder: &Path, split: Split) -> Vec<u32> {
    let manifest = Manifest::read(folder).unwrap();
    let tokens = Tokens::open([(folder, &manifest)], split, Verify::Always).unwrap();
    let mut buffers = crate::shard::Buffers::default();
    let bytes = tokens.read(0, tokens.len() as usize, &mut buffers).unwrap();
    bytes.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id).into()).collect()
}

fn documents(folder: &Path, split: Split) -> Vec<String> {
    let tokens = tokens(folder, split);
    let documents = tokens.split(|&id| id == 256).skip(1);
    documents.map(|ids| String::from_utf8(ids.iter().map(|&id| id as u8).collect()).unwrap()).collect()
}
