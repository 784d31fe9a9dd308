//! Merge several folders of shards into one, for example those of job arrays or cluster nodes.
//!
//! Tokens and indices are copied unchanged; only the headers change, because they contain the shard's number. So the
//! result depends only on the folders and their order.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::leftovers::remove_leftovers;
use super::lock::FolderLock;
use crate::durable::{DurableFile, commit_all};
use crate::error::{Error, Result};
use crate::shard::format::checksum::{BLOCK_BYTES, hex};
use crate::shard::format::entries::ShardEntry;
use crate::shard::format::header::{HEADER_BYTES, Header, Split};
use crate::shard::format::manifest::{MANIFEST_NAME, Manifest};
use crate::shard::read::verify::{Watch, report, verify_shard};

/// Copy the shards of `folders`, in this order, into the new folder `out_dir`.
///
/// `watch` is called at least once per MiB with the number of bytes checked or copied since the last call, and breaks
/// to stop. After a stop or an error, the files written so far are removed.
///
/// # Errors
/// If `out_dir` contains shards already or another process is writing there, the folders were made with different
/// tokenizers, or a shard is damaged.
pub fn merge<P: AsRef<Path>>(folders: &[P], out_dir: &Path, watch: &mut Watch) -> Result<Manifest> {
    let parts = folders.iter().map(|folder| Manifest::read(folder.as_ref())).collect::<Result<Vec<_>>>()?;
    let Some(first) = parts.first() else {
        let expected = "at least one".to_owned();
        return Err(Error::Argument { name: "folders", got: "none".to_owned(), expected });
    };
    parts.iter().try_for_each(|part| part.check_tokenizer(&first.tokenizer_sha256, first.n_vocab))?;
    fs::create_dir_all(out_dir).map_err(Error::io(out_dir))?;
    let _lock = FolderLock::take(out_dir)?;
    if out_dir.join(MANIFEST_NAME).exists() {
        return Err(Error::format(out_dir, "contains shards already; merge into another folder"));
    }
    remove_leftovers(out_dir, &[])?;
    let mut merged = Manifest::new(first.n_vocab, first.tokenizer_sha256.clone(), first.end_of_text, Vec::new());
    merged.plan.clone_from(&first.plan);
    if parts.iter().any(|part| part.plan != first.plan) {
        merged.plan = None;
    }
    merged.inputs = parts.iter().flat_map(|part| part.inputs.iter().cloned()).collect();
    let written = copy_all(folders, &parts, out_dir, watch).and_then(|shards| {
        merged.shards = shards;
        merged.write(out_dir)
    });
    if written.is_err() && !out_dir.join(MANIFEST_NAME).exists() {
        let _ = remove_leftovers(out_dir, &[]); // report the earlier failure, not this one
    }
    written.map(|()| merged)
}

/// Check and copy the shards of all `parts`; return their entries for the manifest.
fn copy_all<P: AsRef<Path>>(
    folders: &[P],
    parts: &[Manifest],
    out_dir: &Path,
    watch: &mut Watch,
) -> Result<Vec<ShardEntry>> {
    let mut copied = Vec::new();
    for split in [Split::Train, Split::Val] {
        let all = folders
            .iter()
            .zip(parts)
            .flat_map(|(folder, part)| part.split(split).map(move |entry| (folder.as_ref(), part, entry)));
        for (number, (folder, part, entry)) in (0..).zip(all) {
            verify_shard(folder, part, entry, watch)?;
            copied.push(copy(folder, entry, out_dir, number, watch)?);
        }
    }
    Ok(copied)
}

/// Copy one shard with its new number.
fn copy(folder: &Path, entry: &ShardEntry, out_dir: &Path, number: u32, watch: &mut Watch) -> Result<ShardEntry> {
    let mut copied = ShardEntry { number, name: ShardEntry::bin_name(entry.split, number), ..entry.clone() };
    let mut files = Vec::new();
    for ending in ["idx", "crc"] {
        let side = folder.join(entry.side_name(ending));
        let bytes = fs::read(&side).map_err(Error::io(&side))?;
        files.push(DurableFile::create_in(out_dir, &copied.side_name(ending))?.with(&bytes)?);
    }
    let from = folder.join(&entry.name);
    let mut source = File::open(&from).map_err(Error::io(&from))?;
    let mut header = [0; HEADER_BYTES];
    source.read_exact(&mut header).map_err(Error::io(&from))?;
    let header = Header { shard_number: number, ..Header::decode(&from, &header)? }.encode();
    let mut target = DurableFile::create_in(out_dir, &copied.name)?.with(&header)?;
    let mut hash = Sha256::new_with_prefix(header);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let n = source.read(&mut block).map_err(Error::io(&from))?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        target.write_all(&block[..n]).map_err(Error::io(target.path()))?;
        report(watch, n)?;
    }
    files.push(target);
    commit_all(files)?;
    copied.sha256 = hex(&hash.finalize());
    Ok(copied)
}
