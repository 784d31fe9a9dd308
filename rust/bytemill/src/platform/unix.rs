//! Linux, macOS and other Unix systems.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use memmap2::{Advice, Mmap};

use super::file_kind::FileKind;

/// Read bytes at `offset` into `out` and return their number; 0 at the end.
#[inline]
pub(crate) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(out, offset)
}

/// Fill `out` with the bytes at `offset`.
#[inline]
pub(crate) fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(out, offset)
}

/// Write all of `bytes` at `offset`.
#[inline]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Return the kind of the file at `path`; a link has the kind of its target.
pub(crate) fn kind(path: &Path) -> io::Result<FileKind> {
    path.metadata().map(|data| kind_of(&data))
}

/// Return the kind of an open file.
pub(crate) fn kind_of_open(file: &File) -> io::Result<FileKind> {
    file.metadata().map(|data| kind_of(&data))
}

fn kind_of(data: &Metadata) -> FileKind {
    match data.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Folder,
        kind if kind.is_fifo() => FileKind::Pipe,
        kind if kind.is_socket() => FileKind::Socket,
        _ => FileKind::Device,
    }
}

/// Open a file for reading. A pipe without a writer is opened too, without waiting for one.
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Open an existing file for reading and writing; refuse a link.
pub(crate) fn open_without_links(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Return whether `path` names a file that this process has open: stdin, or the pipe of `<(command)`.
pub(crate) fn is_inherited(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

/// Return whether `link` is one of the system's names for an open file of a process, such as the target of
/// `/dev/stdout`.
pub(crate) fn is_link_to_open_file(link: &Path) -> bool {
    (link.starts_with("/proc") || link.starts_with("/dev"))
        && link.parent().is_some_and(|folder| folder.ends_with("fd"))
}

/// Give the file `from` the name `to`, in place of a file that has it.
pub(crate) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Flush `folder`, so that its renames survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Not every system can flush folders, and a folder that is writable may not be readable.
        Err(error)
            if [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::PermissionDenied]
                .contains(&error.kind()) =>
        {
            Ok(())
        }
        flushed => flushed,
    }
}

/// The lock of a folder, held while this lives; the system releases the lock of a killed process.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl FolderLock {
    /// Lock `folder`. If its file system has no locks, nothing is locked; then users must not start two writers.
    pub(crate) fn take(folder: &Path) -> Result<Self, TryLockError> {
        let open = File::open(folder).map_err(TryLockError::Error)?;
        match open.try_lock() {
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self(open)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child forked in the meantime has it open too.
        let _ = self.0.unlock();
    }
}

/// Say that `map` will be read in random order, so that the system does not read ahead.
pub(crate) fn advise_random(map: &Mmap) -> io::Result<()> {
    map.advise(Advice::Random)
}

/// Request huge pages for `n_bytes` of memory from `start` that are not yet written; only Linux has this request.
#[allow(unsafe_code, reason = "the request exists only as an unsafe call; docs/experiments/encoding.md has its gain")]
pub(crate) fn want_huge_pages(start: *const u8, n_bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        const PAGE_BYTES: usize = 4096;
        let before = start.addr() % PAGE_BYTES;
        // SAFETY: the advice changes no content. A failure (no huge pages, or larger small pages) has no effect.
        unsafe {
            libc::madvise(start.wrapping_byte_sub(before).cast_mut().cast(), before + n_bytes, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, n_bytes);
}

/// Return freed memory that the allocator keeps to the system; only glibc needs this.
#[allow(unsafe_code, reason = "the call exists only as unsafe")]
pub(crate) fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function has no preconditions and is safe while other threads run.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Make `link` a link to `original`.
#[cfg(test)]
pub(crate) fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

/// Return the paths of the files that this process has open; `None` if the system does not tell.
#[cfg(test)]
pub(crate) fn open_files() -> Option<Vec<std::path::PathBuf>> {
    let links = fs::read_dir("/proc/self/fd").ok()?;
    Some(links.filter_map(|link| fs::read_link(link.ok()?.path()).ok()).collect())
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
        let _of_a_child = lock.0.try_clone().unwrap(); // shares the lock, as after a fork
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn names_of_open_files_are_known() {
        let inherited = ["/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"];
        assert!(inherited.iter().all(|path| is_inherited(Path::new(path))));
        assert!(["/dev/zero", "/dev/stdin2", "fd/0"].iter().all(|path| !is_inherited(Path::new(path))));
        assert!(["/proc/7/fd/1", "/dev/fd/1"].iter().all(|path| is_link_to_open_file(Path::new(path))));
        assert!(["/tmp/fd/1", "/dev/stdout", "/proc/fd"].iter().all(|path| !is_link_to_open_file(Path::new(path))));
    }
}
