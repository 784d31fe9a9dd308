//! Removes what a killed writer left in a folder that has no manifest, and nothing else.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::durable::TEMPORARY_SUFFIX;
use super::header::{HEADER_BYTES, Header, Split};
use super::manifest::MANIFEST_NAME;
use crate::error::{Error, Result};

/// Deletes temporary files and unlisted shards that bytemill wrote into `folder`.
///
/// # Errors
/// [`Error::Format`] when a file has a shard's name but is not one of ours: it is not ours to delete.
pub fn remove_leftovers(folder: &Path) -> Result<()> {
    for item in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = item.map_err(Error::io(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let whole = name.strip_suffix(TEMPORARY_SUFFIX);
        let ours = match whole {
            Some(whole) => whole == MANIFEST_NAME || shard_ending(whole).is_some(),
            None => shard_ending(name).is_some(),
        };
        if ours {
            if whole.is_none() && shard_ending(name) == Some("bin") {
                refuse_foreign(&path)?;
            }
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// The ending of a name such as `train_000000.bin`.
fn shard_ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.split_once('.')?;
    let (split, number) = stem.split_once('_')?;
    let known = [Split::Train, Split::Val].map(Split::name).contains(&split) && ["bin", "idx", "crc"].contains(&ending);
    (known && number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit())).then_some(ending)
}

fn refuse_foreign(path: &Path) -> Result<()> {
    let mut header = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(Error::io(path))?;
    match Header::decode(path, &header) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::format(path, "in the way: it has a shard's name, but bytemill did not write it")),
    }
}
