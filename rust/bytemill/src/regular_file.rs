//! Opens files for reading: regular files, and pipes that a shell opened for this process. Nothing here can hang.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};
use crate::platform::{self, FileKind};

/// Open the file at `path` to read it once from start to end.
///
/// Refuse named pipes, which hang without a writer, and devices, which have no end.
pub(crate) fn open(path: &Path) -> Result<File> {
    if platform::is_inherited(path) {
        return File::open(path).map_err(Error::io(path));
    }
    open_seekable(path)
}

/// Open the file at `path`, as [`open`] does, to read any part of it.
pub(crate) fn open_seekable(path: &Path) -> Result<File> {
    check(path)?;
    // If a pipe has replaced the file in the meantime, opening it must not wait for a writer.
    let file = platform::open_without_waiting(path).map_err(Error::io(path))?;
    refuse_streams(path, platform::kind_of_open(&file).map_err(Error::io(path))?)?;
    Ok(file)
}

/// Return an error if `path` names neither a file nor a folder.
pub(crate) fn check(path: &Path) -> Result<()> {
    refuse_streams(path, platform::kind(path).map_err(Error::io(path))?)
}

fn refuse_streams(path: &Path, kind: FileKind) -> Result<()> {
    let reason = match kind {
        FileKind::File | FileKind::Folder => return Ok(()),
        FileKind::Pipe => {
            "is a pipe, expected a regular file: send its text to stdin and give -, or write it to a file first"
        }
        FileKind::Socket => "is a socket, expected a regular file",
        FileKind::Device => "is a device, expected a regular file",
    };
    Err(Error::format(path, reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        for opened in [open(&missing), open_seekable(&missing)] {
            let Err(Error::Io { path, source }) = opened else { panic!("{opened:?}") };
            assert_eq!((path, source.kind()), (missing.clone(), std::io::ErrorKind::NotFound));
        }
    }
}
