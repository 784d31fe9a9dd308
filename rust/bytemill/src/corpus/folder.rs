//! List the files of folders, in an order that does not depend on the file system.

use crate::error::{Error, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Return the files of `paths` in order: files unchanged, folders recursively, sorted by path.
///
/// In folders, names that start with a dot are skipped. Links are followed to files only, so the walk always ends.
/// Return an error if a path is missing, or if a folder contains no file.
pub fn expand<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        if !fs::metadata(path).map_err(Error::io(path))?.is_dir() {
            files.push(path.to_owned());
            continue;
        }
        let found = files.len();
        walk(path, &mut files)?;
        if files.len() == found {
            return Err(Error::format(path, "the folder contains no files"));
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(Error::io(folder))?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        if entry.file_type().map_err(Error::io(&path))?.is_dir() {
            walk(&path, files)?;
        } else if fs::metadata(&path).map_err(Error::io(&path))?.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
