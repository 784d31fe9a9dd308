//! Remove only the files that a killed writer left in a folder without a manifest.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::durable::name_of_temporary;
use crate::error::{Error, Result};
use crate::shard::format::checksum::BlockChecksums;
use crate::shard::format::entries::ShardEntry;
use crate::shard::format::header::{HEADER_BYTES, Header, Split};
use crate::shard::format::index::Index;
use crate::shard::format::manifest::{JOURNAL_NAME, MANIFEST_NAME};

/// Delete temporary files and unlisted shards that bytemill wrote into `folder`. Keep the shards in `kept`, and the
/// journal that lists them: without it, a kill before the next finished shard would lose them.
///
/// # Errors
/// [`Error::Format`], with nothing deleted, if a file has a shard's name but was not written by bytemill.
pub fn remove_leftovers(folder: &Path, kept: &[ShardEntry]) -> Result<()> {
    let mut leftovers = Vec::new();
    for item in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = item.map_err(Error::io(folder))?.path();
        let is_kept = kept.iter().any(|shard| shard.owns(&path) || path.ends_with(JOURNAL_NAME));
        if !is_kept && is_leftover(&path)? {
            leftovers.push(path);
        }
    }
    leftovers.iter().try_for_each(|path: &PathBuf| fs::remove_file(path).map_err(Error::io(path)))
}

fn is_leftover(path: &Path) -> Result<bool> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(false) };
    if let Some(whole) = name_of_temporary(name) {
        return Ok([MANIFEST_NAME, JOURNAL_NAME].contains(&whole) || shard_ending(whole).is_some());
    }
    if name == JOURNAL_NAME {
        return Ok(true);
    }
    match shard_ending(name) {
        Some(ending) => refuse_foreign(path, ending).map(|()| true),
        None => Ok(false),
    }
}

/// Return the ending of a name such as `train_000000.bin`.
fn shard_ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.split_once('.')?;
    let (split, number) = stem.split_once('_')?;
    let known = [Split::Train, Split::Val].map(Split::name).contains(&split) && ["bin", "idx", "crc"].contains(&ending);
    (known && number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit())).then_some(ending)
}

fn refuse_foreign(path: &Path, ending: &str) -> Result<()> {
    let most = if ending == "bin" { HEADER_BYTES as u64 } else { u64::MAX };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(Error::io(path))?;
    let ours = match ending {
        "idx" => Index::decode(path, &bytes).is_ok(),
        "crc" => BlockChecksums::decode(path, &bytes).is_ok(),
        _ => Header::decode(path, &bytes).is_ok(),
    };
    if ours {
        return Ok(());
    }
    Err(Error::format(
        path,
        "has the name of a shard's file, but was not written by bytemill; move it, or use another folder",
    ))
}
