//! Files that are there whole or not at all: written under a temporary name, flushed, then renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a file is called until it is whole.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file that takes its name only when [`DurableFile::commit`] is called; dropped before, it vanishes.
#[derive(Debug)]
pub(crate) struct DurableFile {
    file: File,
    path: PathBuf,
    committed: bool,
}

impl DurableFile {
    /// Opens the temporary file that will become `path`; fails where that is a pipe, a device or a folder, whose
    /// place no file may take.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            let reason = "there is something that is no file, expected a file or nothing";
            return Err(Error::io(&path)(io::Error::new(io::ErrorKind::AlreadyExists, reason)));
        }
        let temporary = temporary_name(&path);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(Error::io(&temporary))?;
        Ok(Self { file, path, committed: false })
    }

    /// The open temporary file.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The name the file will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes to the disk and gives the file its name.
    pub(crate) fn commit(mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path))?;
        fs::rename(temporary_name(&self.path), &self.path).map_err(Error::io(&self.path))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for DurableFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing is lost when this fails: the next run truncates a leftover of this name.
            let _ = fs::remove_file(temporary_name(&self.path));
        }
    }
}

/// Writes `bytes` as the whole file `path`.
pub(crate) fn write(path: PathBuf, bytes: &[u8]) -> Result<()> {
    let mut durable = DurableFile::create(path)?;
    durable.file().write_all(bytes).map_err(Error::io(durable.path()))?;
    durable.commit()
}

/// Makes the renames inside `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(Error::io(folder))
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}
