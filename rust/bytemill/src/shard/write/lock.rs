//! One writer per folder: two writers would delete each other's files as leftovers.

use std::fs::TryLockError;
use std::path::Path;

use crate::error::{Error, Result};
use crate::platform;

/// Keeps other writers out of a folder while it lives; the system releases the lock of a killed process.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _held: platform::FolderLock,
}

impl FolderLock {
    /// Lock the folder. Return an error immediately if another process, or another thread of this one, holds the lock.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        match platform::FolderLock::take(folder) {
            Ok(held) => Ok(Self { _held: held }),
            Err(TryLockError::Error(error)) => Err(Error::io(folder)(error)),
            Err(TryLockError::WouldBlock) => Err(Error::Argument {
                name: "out_dir",
                got: folder.display().to_string(),
                expected: "a folder that no other process is writing shards to".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_has_one_lock_which_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let message = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(message.contains("no other process"), "{message}");
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        let missing = folder.path().join("missing");
        assert!(matches!(FolderLock::take(&missing), Err(Error::Io { path, .. }) if path == missing));
    }
}
