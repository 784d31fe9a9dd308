//! One writer a folder: two would truncate each other's files under the same temporary names.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// Keeps other writers out of `folder` while it lives; of a killed process the system takes it back.
#[derive(Debug)]
pub(super) struct FolderLock {
    /// None where the file system has no locks: there one writer at a time is the user's care.
    _open: Option<File>,
}

impl FolderLock {
    /// Fails at once when another process, or another thread of this one, is writing there.
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let open = File::open(folder).map_err(Error::io(folder))?;
        match open.try_lock() {
            Ok(()) => Ok(Self { _open: Some(open) }),
            Err(TryLockError::Error(_)) => Ok(Self { _open: None }),
            Err(TryLockError::WouldBlock) => Err(Error::Argument {
                name: "out_dir",
                got: folder.display().to_string(),
                expected: "a folder that nobody else is preparing into at this moment".to_owned(),
            }),
        }
    }
}
