//! Atomic file writes: a file is written under a random name next to the target, flushed, and renamed.
//!
//! A crash at any moment leaves the old file or the new one, and at worst a temporary file `.NAME.RANDOM.tmp`. A
//! temporary file is created exclusively, so an existing file or link is never followed or overwritten.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const TEMPORARY_SUFFIX: &str = ".tmp";
/// Maximum characters of the final name in the temporary name, which may have 255 bytes. It fits all names of shard
/// files.
const MAX_SHOWN_CHARS: usize = 50;
const RANDOM_DIGITS: usize = 16;

/// A file that gets its name only in [`DurableFile::commit`]; if it is dropped before, it is removed.
#[derive(Debug)]
pub struct DurableFile {
    file: File,
    /// The path as given by the caller, for errors.
    path: PathBuf,
    /// `None` if bytes go directly to the target.
    temporary_file: Option<TemporaryFile>,
}

impl DurableFile {
    /// Create a file with a name given by the user. A link stays a link: the file it points to is replaced or created.
    /// Anything that is not a regular file (a pipe, a device such as `/dev/null`, the open file of `/dev/stdout`) is
    /// written to and never replaced.
    ///
    /// # Errors
    /// If a folder or a socket has that name, or the system refuses.
    pub fn create(path: &Path) -> Result<Self> {
        let (file, temporary_file) = match Target::of(path).map_err(Error::io(path))? {
            Target::File(place) => {
                TemporaryFile::create(place).map(|(file, temporary_file)| (file, Some(temporary_file)))
            }
            // The open file of `>>` has content, which must stay.
            Target::Stream => File::options().append(true).open(path).map(|file| (file, None)),
        }
        .map_err(Error::io(path))?;
        Ok(Self { file, path: path.to_owned(), temporary_file })
    }

    /// Create the file `name` in a `folder` that only this program uses. A link of that name is replaced, not followed.
    ///
    /// # Errors
    /// If that name exists and is neither a file nor a link, or the system refuses.
    pub(crate) fn create_in(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let there = path.symlink_metadata().map(|there| there.file_type());
        let created = match there {
            Ok(there) if !there.is_file() && !there.is_symlink() => Err(no_file()),
            _ => TemporaryFile::create(path.clone()),
        };
        let (file, temporary_file) = created.map_err(Error::io(&path))?;
        Ok(Self { file, path, temporary_file: Some(temporary_file) })
    }

    /// Return the final name of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Write `contents` and return the file.
    pub(crate) fn with(mut self, contents: &[u8]) -> Result<Self> {
        self.write_all(contents).map_err(Error::io(&self.path))?;
        Ok(self)
    }

    /// Return the path of the temporary file, for a library that writes files by name; `None` for a pipe or a device.
    pub fn temporary(&self) -> Option<&Path> {
        self.temporary_file.as_ref().map(|temporary_file| temporary_file.temporary.as_path())
    }

    /// Continue with the file that now has the temporary name, because a library may have replaced it. Give it the
    /// permissions of the first file, which follow the umask.
    ///
    /// # Errors
    /// If a link or something that is not a file has the name, or the system refuses.
    pub fn reopen(&mut self) -> Result<()> {
        let Some(temporary_file) = &self.temporary_file else { return Ok(()) };
        let reopened = || -> io::Result<File> {
            let file = File::options()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&temporary_file.temporary)?;
            if !file.metadata()?.is_file() {
                return Err(no_file());
            }
            file.set_permissions(self.file.metadata()?.permissions())?;
            Ok(file)
        };
        let file = reopened().map_err(Error::io(&self.path))?;
        self.file = file;
        Ok(())
    }

    /// Flush the file to the disk and rename it to its final name.
    ///
    /// # Errors
    /// If the system refuses; the old file stays.
    pub fn commit(self) -> Result<()> {
        commit_all(vec![self])
    }

    fn commit_name(&mut self) -> Result<()> {
        self.temporary_file.as_mut().map_or(Ok(()), TemporaryFile::rename).map_err(Error::io(&self.path))
    }
}

impl Write for DurableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for DurableFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Write `contents` to `path`, a name given by the user, or leave the old file unchanged. A link stays a link. Anything
/// that is not a regular file is written to and never replaced.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("ids.bin");
/// bytemill::durable::write(&path, b"whole")?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    DurableFile::create(path)?.with(contents)?.commit()
}

/// Flush all `files` to the disk, then rename them in this order. Only a crash between two renames can leave some files
/// new and others old.
pub(crate) fn commit_all(mut files: Vec<DurableFile>) -> Result<()> {
    for file in files.iter().filter(|file| file.temporary_file.is_some()) {
        file.file.sync_all().map_err(Error::io(&file.path))?;
    }
    files.iter_mut().try_for_each(DurableFile::commit_name)?;
    let mut folders: Vec<&Path> =
        files.iter().filter_map(|file| Some(file.temporary_file.as_ref()?.folder())).collect();
    folders.dedup();
    folders.into_iter().try_for_each(|folder| sync_folder(folder).map_err(Error::io(folder)))
}

/// Return the final name for a temporary name; `None` if `name` is not temporary. Earlier versions added only the
/// suffix, or the numbers of the process and of the file.
pub(crate) fn name_of_temporary(name: &str) -> Option<&str> {
    let name = name.strip_suffix(TEMPORARY_SUFFIX)?;
    let (whole, numbers) = name.strip_prefix('.').and_then(|hidden| hidden.rsplit_once('.')).unwrap_or((name, ""));
    let is_random = numbers.len() == RANDOM_DIGITS && numbers.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_count = numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    (is_random || is_count).then_some(whole)
}

/// What a path refers to.
enum Target {
    /// A regular file at this path, or nothing yet.
    File(PathBuf),
    /// A target that takes bytes and must not be replaced.
    Stream,
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        match path.metadata().map(|there| there.file_type()) {
            Ok(there) if there.is_dir() || there.is_socket() => return Err(no_file()),
            Ok(there) if !there.is_file() => return Ok(Self::Stream),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error), // such as links in a circle
            _ => {}
        }
        let mut place = path.to_owned();
        while let Ok(next) = fs::read_link(&place) {
            if is_open_file(&place) {
                return Ok(Self::Stream);
            }
            place = folder_of(&place).join(next);
        }
        Ok(Self::File(place))
    }
}

/// Return whether `link` is one of the system's names for an open file of a process, such as the target of
/// `/dev/stdout`.
fn is_open_file(link: &Path) -> bool {
    (link.starts_with("/proc") || link.starts_with("/dev")) && folder_of(link).ends_with("fd")
}

/// The temporary name of a file, and its final place.
#[derive(Debug)]
struct TemporaryFile {
    temporary: PathBuf,
    place: PathBuf,
    is_committed: bool,
}

impl TemporaryFile {
    /// Create the temporary file with a name that does not exist yet.
    fn create(place: PathBuf) -> io::Result<(File, Self)> {
        loop {
            let temporary = temporary_name(&place);
            match File::create_new(&temporary) {
                Ok(file) => return Ok((file, Self { temporary, place, is_committed: false })),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn rename(&mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.place)?;
        self.is_committed = true;
        Ok(())
    }

    fn folder(&self) -> &Path {
        folder_of(&self.place)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_committed {
            let _ = fs::remove_file(&self.temporary); // report the earlier failure, not this one
        }
    }
}

/// Return `.NAME.RANDOM.tmp` in the same folder.
fn temporary_name(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    let shown: String = name.chars().take(MAX_SHOWN_CHARS).collect();
    // Each state has its own keys, from the system's random source.
    let random = RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()));
    folder_of(place).join(format!(".{shown}.{random:0RANDOM_DIGITS$x}{TEMPORARY_SUFFIX}"))
}

fn folder_of(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Flush `folder`, so that its renames survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
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

fn no_file() -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, "exists and is not a file, expected a file or nothing")
}

#[cfg(test)]
mod tests;
