//! Windows.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, Prefix};
use std::thread::sleep;
use std::time::{Duration, Instant};

use memmap2::Mmap;

use super::file_kind::FileKind;

// Of the Windows API.
const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_SHARING_VIOLATION: i32 = 32;
const ERROR_USER_MAPPED_FILE: i32 = 1224;
const DELETE: u32 = 0x0001_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;

/// Names that are devices in every folder, in any case and with any ending.
const DEVICES: [&str; 6] = ["NUL", "CON", "CONIN$", "CONOUT$", "AUX", "PRN"];
/// Virus scanners and search indexes open a new file for a moment; a file is replaced when they are done.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Read bytes at `offset` into `out` and return their number; 0 at the end. This moves the file's cursor.
#[inline]
pub(crate) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(out, offset)
}

/// Fill `out` with the bytes at `offset`. This moves the file's cursor.
pub(crate) fn read_exact_at(file: &File, mut out: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !out.is_empty() {
        match file.seek_read(out, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                out = &mut out[n..];
                offset += n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Write all of `bytes` at `offset`. This moves the file's cursor.
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Return the kind of the file at `path`; a link has the kind of its target.
pub(crate) fn kind(path: &Path) -> io::Result<FileKind> {
    match path.metadata() {
        Ok(data) => Ok(kind_of(&data)),
        // Windows refuses metadata of pipes and devices.
        Err(error) => match stream_named(path) {
            Some(kind) if error.kind() != ErrorKind::NotFound => Ok(kind),
            _ => Err(error),
        },
    }
}

/// Return the kind of an open file.
pub(crate) fn kind_of_open(file: &File) -> io::Result<FileKind> {
    file.metadata().map(|data| kind_of(&data))
}

fn kind_of(data: &Metadata) -> FileKind {
    if data.is_dir() { FileKind::Folder } else { FileKind::File }
}

/// Return the kind of pipe or device that has this name.
fn stream_named(path: &Path) -> Option<FileKind> {
    if let Some(Component::Prefix(prefix)) = path.components().next()
        && let Prefix::DeviceNS(name) = prefix.kind()
    {
        return Some(if name.eq_ignore_ascii_case("pipe") { FileKind::Pipe } else { FileKind::Device });
    }
    let name = path.file_name()?.to_str()?;
    let name = name.split('.').next()?.trim_end().to_ascii_uppercase();
    let is_port = |port: &str| name.strip_prefix(port).is_some_and(|number| number.len() == 1 && number != "0");
    let is_device = DEVICES.contains(&&*name) || is_port("COM") || is_port("LPT");
    is_device.then_some(FileKind::Device)
}

/// Open a file for reading; a folder is refused by that name.
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    if path.is_dir() {
        return Err(ErrorKind::IsADirectory.into()); // the system would only say that access is denied
    }
    File::open(path)
}

/// Open an existing file for reading and writing. A link itself is opened, which is not a file.
pub(crate) fn open_without_links(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)
}

/// Return whether `path` names a file that this process has open: Windows has no such names.
pub(crate) fn is_inherited(_: &Path) -> bool {
    false
}

/// Return whether `link` is a name for an open file of a process: Windows has no such names.
pub(crate) fn is_link_to_open_file(_: &Path) -> bool {
    false
}

/// Give the file `from` the name `to`, in place of a file that has it.
///
/// # Errors
/// [`ErrorKind::ResourceBusy`] if another program has the old file open or mapped: Windows then refuses to replace it.
pub(crate) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match fs::rename(from, to) {
            Err(error) if is_in_use(&error, to) => {
                if started.elapsed() >= PATIENCE {
                    let reason = "a program has this file open or mapped, and Windows does not replace such a file; \
                                  the old file is unchanged";
                    return Err(io::Error::new(ErrorKind::ResourceBusy, reason));
                }
            }
            done => return done,
        }
        sleep(PAUSE);
    }
}

fn is_in_use(error: &io::Error, path: &Path) -> bool {
    match error.raw_os_error() {
        Some(ERROR_SHARING_VIOLATION | ERROR_USER_MAPPED_FILE) => true,
        // Denied for several reasons: only if others have the file open, it cannot be opened for this program alone.
        Some(ERROR_ACCESS_DENIED) => {
            let alone = OpenOptions::new().read(true).share_mode(0).open(path);
            alone.is_err_and(|error| error.raw_os_error() == Some(ERROR_SHARING_VIOLATION))
        }
        _ => false,
    }
}

/// Flush `folder`: Windows lets only administrators do this. NTFS keeps a journal of names, so after a power cut a file
/// has its old or its new name.
#[allow(clippy::unnecessary_wraps, reason = "other systems may refuse")]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The lock of a folder, held while this lives; the system releases the lock of a killed process.
///
/// Windows does not lock folders. The lock is a file that nobody else may open, and that the system deletes when it is
/// closed.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _open: File,
}

impl FolderLock {
    const NAME: &str = ".bytemill.lock";

    /// Lock `folder`.
    pub(crate) fn take(folder: &Path) -> Result<Self, TryLockError> {
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .access_mode(GENERIC_WRITE | DELETE)
            .share_mode(0)
            .custom_flags(FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OPEN_REPARSE_POINT)
            .open(folder.join(Self::NAME));
        match opened {
            Ok(open) => Ok(Self { _open: open }),
            Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Err(TryLockError::WouldBlock),
            Err(error) => Err(TryLockError::Error(error)),
        }
    }
}

/// Say that `map` will be read in random order: Windows needs no advice.
#[allow(clippy::unnecessary_wraps, reason = "other systems may refuse")]
pub(crate) fn advise_random(_: &Mmap) -> io::Result<()> {
    Ok(())
}

/// Request huge pages: Windows gives them only to administrators.
pub(crate) fn want_huge_pages(_: *const u8, _: usize) {}

/// Return freed memory to the system: the allocator of Windows does so by itself.
pub(crate) fn give_back_memory() {}

/// Make `link` a link to the file `original`.
#[cfg(test)]
pub(crate) fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    std::os::windows::fs::symlink_file(original, link)
}

/// Return the paths of the files that this process has open: Windows does not tell.
#[cfg(test)]
pub(crate) fn open_files() -> Option<Vec<std::path::PathBuf>> {
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_are_known_by_name() {
        for name in ["NUL", "nul", r"a\con", "aux.txt", "COM1", "lpt9.bin", "CONOUT$"] {
            assert_eq!(stream_named(Path::new(name)), Some(FileKind::Device), "{name}");
        }
        assert_eq!(stream_named(Path::new(r"\\.\pipe\any")), Some(FileKind::Pipe));
        for name in ["NULL", "console", "COM", "COM0", "COM10", r"nul\a", "a.nul"] {
            assert_eq!(stream_named(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_open_for_one_program_alone_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "new").unwrap();
        let open = OpenOptions::new().read(true).share_mode(0).open(&old).unwrap();
        assert_eq!(replace(&new, &old).unwrap_err().kind(), ErrorKind::ResourceBusy);
        drop(open);
        assert_eq!([fs::read(&old).unwrap(), fs::read(&new).unwrap()], [b"old", b"new"]);
        replace(&new, &old).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"new");
        assert!(!new.exists());
    }

    #[test]
    fn a_folder_is_not_replaced_and_not_called_busy() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        fs::create_dir(&old).unwrap();
        fs::write(&new, "new").unwrap();
        assert_ne!(replace(&new, &old).unwrap_err().kind(), ErrorKind::ResourceBusy);
    }
}
