//! One writer per folder: two writers would delete each other's files as leftovers.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// Keeps other writers out of `folder` while it lives; the system releases the lock of a killed process.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// `None` if the file system has no locks; then users must not start two writers.
    open: Option<File>,
}

impl FolderLock {
    /// Lock the folder. Return an error immediately if another process, or another thread of this one, holds the lock.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let open = File::open(folder).map_err(Error::io(folder))?;
        match open.try_lock() {
            Ok(()) => Ok(Self { open: Some(open) }),
            Err(TryLockError::Error(_)) => Ok(Self { open: None }),
            Err(TryLockError::WouldBlock) => Err(Error::Argument {
                name: "out_dir",
                got: folder.display().to_string(),
                expected: "a folder that no other process is writing shards to".to_owned(),
            }),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child forked in the meantime has it open too.
        let _ = self.open.as_ref().map(File::unlock);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_fork_has_open_keeps_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        FolderLock::take(folder.path()).unwrap_err();
        let _of_a_child = lock.open.as_ref().unwrap().try_clone().unwrap(); // shares the lock, as after a fork
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
    }
}
