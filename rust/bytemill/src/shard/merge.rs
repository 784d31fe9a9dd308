//! Several folders of shards to one: what job arrays and clusters prepared apart, put together.
//!
//! Tokens and indices are copied as they are; only the headers change, for a shard's number stands there.
//! So the result follows from the folders and their order alone, whoever made them and when.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::checksum::sha256_of_file;
use super::durable::{self, DurableFile};
use super::entries::ShardEntry;
use super::header::{HEADER_BYTES, Header, Split};
use super::leftovers::remove_leftovers;
use super::lock::FolderLock;
use super::manifest::{MANIFEST_NAME, Manifest};
use super::verify::verify_shard;
use crate::error::{Error, Result};

/// Puts the shards of `folders`, in this order, into the new folder `out_dir`.
///
/// # Errors
/// When `out_dir` holds shards already or another process is writing there, the folders were made with different
/// tokenizers, or a shard is damaged.
pub fn merge<P: AsRef<Path>>(folders: &[P], out_dir: &Path) -> Result<Manifest> {
    let parts = folders.iter().map(|folder| Manifest::read(folder.as_ref())).collect::<Result<Vec<_>>>()?;
    let Some(first) = parts.first() else {
        let expected = "at least one".to_owned();
        return Err(Error::Argument { name: "folders", got: "none".to_owned(), expected });
    };
    parts.iter().try_for_each(|part| part.check_tokenizer(&first.tokenizer_sha256, first.n_vocab))?;
    fs::create_dir_all(out_dir).map_err(Error::io(out_dir))?;
    let _lock = FolderLock::take(out_dir)?;
    if out_dir.join(MANIFEST_NAME).exists() {
        return Err(Error::format(out_dir, "holds shards already; merge into another folder"));
    }
    remove_leftovers(out_dir, &[])?;
    let mut merged = Manifest::new(first.n_vocab, first.tokenizer_sha256.clone(), first.end_of_text, Vec::new());
    merged.plan.clone_from(&first.plan);
    if parts.iter().any(|part| part.plan != first.plan) {
        merged.plan = None;
    }
    merged.inputs = parts.iter().flat_map(|part| part.inputs.iter().cloned()).collect();
    for split in [Split::Train, Split::Val] {
        let all = folders
            .iter()
            .zip(&parts)
            .flat_map(|(folder, part)| part.split(split).map(move |entry| (folder.as_ref(), part, entry)));
        for (number, (folder, part, entry)) in (0..).zip(all) {
            verify_shard(folder, part, entry)?;
            merged.shards.push(copy(folder, entry, out_dir, number)?);
        }
    }
    merged.write(out_dir)?;
    Ok(merged)
}

/// Copies one shard under its new number.
fn copy(folder: &Path, entry: &ShardEntry, out_dir: &Path, number: u32) -> Result<ShardEntry> {
    let from: PathBuf = folder.join(&entry.name);
    let mut copied = ShardEntry { number, name: ShardEntry::bin_name(entry.split, number), ..entry.clone() };
    for ending in ["idx", "crc"] {
        let side = folder.join(entry.side_name(ending));
        durable::write(out_dir.join(copied.side_name(ending)), &fs::read(&side).map_err(Error::io(&side))?)?;
    }
    let mut source = File::open(&from).map_err(Error::io(&from))?;
    let mut header = [0; HEADER_BYTES];
    source.read_exact(&mut header).map_err(Error::io(&from))?;
    let header = Header { shard_number: number, ..Header::decode(&from, &header)? };
    let path = out_dir.join(&copied.name);
    let mut target = DurableFile::create(path.clone())?;
    let file = target.file();
    let written = file.write_all(&header.encode()).and_then(|()| file.seek(SeekFrom::Start(HEADER_BYTES as u64)));
    written.and_then(|_| std::io::copy(&mut source, file)).map_err(Error::io(&path))?;
    target.commit()?;
    copied.sha256 = sha256_of_file(&path)?;
    Ok(copied)
}
