//! Opens files for reading: regular files, and pipes that a shell opened for this process. Nothing here can hang.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Open the file at `path` to read it once from start to end.
///
/// Refuse named pipes, which hang without a writer, and devices, which have no end.
pub(crate) fn open(path: &Path) -> Result<File> {
    if is_inherited(path) {
        return File::open(path).map_err(Error::io(path));
    }
    open_seekable(path)
}

/// Open the file at `path`, as [`open`] does, to read any part of it.
pub(crate) fn open_seekable(path: &Path) -> Result<File> {
    check(path, &path.metadata().map_err(Error::io(path))?)?;
    // If a pipe has replaced the file in the meantime, opening it must not wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(Error::io(path))?;
    check(path, &file.metadata().map_err(Error::io(path))?)?;
    Ok(file)
}

/// Return an error if `data`, the metadata of the file at `path`, is neither a file's nor a folder's.
pub(crate) fn check(path: &Path, data: &Metadata) -> Result<()> {
    let kind = data.file_type();
    if kind.is_file() || kind.is_dir() {
        Ok(())
    } else if kind.is_fifo() {
        let reason =
            "is a pipe, expected a regular file: send its text to stdin and give -, or write it to a file first";
        Err(Error::format(path, reason))
    } else {
        let name = if kind.is_socket() { "socket" } else { "device" };
        Err(Error::format(path, format!("is a {name}, expected a regular file")))
    }
}

/// Return whether `path` names a file that this process has open: stdin, or the pipe of `<(command)`.
fn is_inherited(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::corpus::{Reading, for_each_document};
    use crate::formats::{PatternChoice, load};
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    fn fifo(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: `name` is a string that ends in NUL and lives until the call returns.
        #[allow(unsafe_code)]
        let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
        assert_eq!(made, 0);
        path
    }

    /// A pipe without a writer used to hang, and /dev/zero filled the memory.
    #[test]
    fn pipes_and_devices_are_refused_immediately() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = fifo(folder.path());
        for (path, reason) in [(&*pipe, "is a pipe, expected"), (Path::new("/dev/zero"), "is a device, expected")] {
            let documents = for_each_document(path, Reading::default(), |_, _| Ok(())).unwrap_err();
            let vocabulary = load(path, PatternChoice::Auto, None).unwrap_err();
            for error in [documents, vocabulary] {
                assert!(error.to_string().contains(reason), "{error}");
            }
        }
        assert!(open(&folder.path().join("missing")).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn what_the_shell_opened_is_read_once() {
        let inherited = ["/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"];
        assert!(inherited.iter().all(|path| is_inherited(Path::new(path))));
        assert!(["/dev/zero", "/dev/stdin2", "fd/0"].iter().all(|path| !is_inherited(Path::new(path))));
    }
}
