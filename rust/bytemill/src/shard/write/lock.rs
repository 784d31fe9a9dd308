//! One writer a folder: two would take each other's files for leftovers.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// Keeps other writers out of `folder` while it lives; of a killed process the system takes it back.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// None where the file system has no locks: there one writer at a time is the user's care.
    open: Option<File>,
}

impl FolderLock {
    /// Fails at once when another process, or another thread of this one, is writing there.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let open = File::open(folder).map_err(Error::io(folder))?;
        match open.try_lock() {
            Ok(()) => Ok(Self { open: Some(open) }),
            Err(TryLockError::Error(_)) => Ok(Self { open: None }),
            Err(TryLockError::WouldBlock) => Err(Error::Argument {
                name: "out_dir",
                got: folder.display().to_string(),
                expected: "a folder that nobody else is preparing into at this moment".to_owned(),
            }),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // To close the file is not enough: a child that was forked meanwhile has it open too.
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
