//! Files that are there whole or not at all: written under a random name next to the target, flushed, renamed.
//!
//! A crash at any moment leaves the old file or the new one, and at worst a temporary file `.NAME.RANDOM.tmp`.
//! A temporary file is created exclusively, so nothing that was put there before is followed or overwritten.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const TEMPORARY_SUFFIX: &str = ".tmp";
/// Of the final name in the temporary one, which may have 255 bytes: as much as that of any shard's file.
const MAX_SHOWN_CHARS: usize = 50;
const RANDOM_DIGITS: usize = 16;

/// A file that takes its name only when [`DurableFile::commit`] is called; dropped before, it vanishes.
#[derive(Debug)]
pub struct DurableFile {
    file: File,
    /// As the caller gave it, for errors.
    path: PathBuf,
    /// `None` for what is written to directly.
    aside: Option<Aside>,
}

impl DurableFile {
    /// A file by a name that a user gave. A link stays one: the file it leads to is replaced, or made. What is no
    /// regular file — a pipe, a device such as `/dev/null`, the open file behind `/dev/stdout` — is written to and
    /// never replaced.
    ///
    /// # Errors
    /// When a folder or a socket has that name, or the system refuses.
    pub fn create(path: &Path) -> Result<Self> {
        let (file, aside) = match Target::of(path).map_err(Error::io(path))? {
            Target::File(place) => Aside::create(place).map(|(file, aside)| (file, Some(aside))),
            // The open file of `>>` has content, which stays.
            Target::Stream => File::options().append(true).open(path).map(|file| (file, None)),
        }
        .map_err(Error::io(path))?;
        Ok(Self { file, path: path.to_owned(), aside })
    }

    /// The file `name` of a `folder` that is ours alone: a link of that name is replaced, not followed.
    ///
    /// # Errors
    /// When something has that name that is neither a file nor a link, or the system refuses.
    pub(crate) fn create_in(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let there = path.symlink_metadata().map(|there| there.file_type());
        let created = match there {
            Ok(there) if !there.is_file() && !there.is_symlink() => Err(no_file()),
            _ => Aside::create(path.clone()),
        };
        let (file, aside) = created.map_err(Error::io(&path))?;
        Ok(Self { file, path, aside: Some(aside) })
    }

    /// The name the file will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same with `contents` written to it.
    pub(crate) fn with(mut self, contents: &[u8]) -> Result<Self> {
        self.write_all(contents).map_err(Error::io(&self.path))?;
        Ok(self)
    }

    /// The temporary file, for a library that writes files by name; `None` for a pipe or a device.
    pub fn temporary(&self) -> Option<&Path> {
        self.aside.as_ref().map(|aside| aside.temporary.as_path())
    }

    /// Continues with the file that now has the temporary name, which a library may have replaced by one of its own;
    /// it gets the permissions that the umask gave the first.
    ///
    /// # Errors
    /// When a link or something that is not a file has the name, or the system refuses.
    pub fn reopen(&mut self) -> Result<()> {
        let Some(aside) = &self.aside else { return Ok(()) };
        let reopened = || -> io::Result<File> {
            let file = File::options().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&aside.temporary)?;
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

    /// Flushes to the disk and gives the file its name.
    ///
    /// # Errors
    /// When the system refuses; the file that was there stays.
    pub fn commit(self) -> Result<()> {
        commit_all(vec![self])
    }

    fn commit_name(&mut self) -> Result<()> {
        self.aside.as_mut().map_or(Ok(()), Aside::rename).map_err(Error::io(&self.path))
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

/// Makes `path`, a name that a user gave, hold `contents`, or leaves it as it was. A link stays one, and what is no
/// regular file is written to and never replaced.
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

/// Gives `files` their names in this order, once all of them are on the disk: only what happens between two of the
/// renames can leave some of them new and some old.
pub(crate) fn commit_all(mut files: Vec<DurableFile>) -> Result<()> {
    for file in files.iter().filter(|file| file.aside.is_some()) {
        file.file.sync_all().map_err(Error::io(&file.path))?;
    }
    files.iter_mut().try_for_each(DurableFile::commit_name)?;
    let mut folders: Vec<&Path> = files.iter().filter_map(|file| Some(file.aside.as_ref()?.folder())).collect();
    folders.dedup();
    folders.into_iter().try_for_each(|folder| sync_folder(folder).map_err(Error::io(folder)))
}

/// The name of the file that was to come of a temporary one called `name`; `None` for any other. Earlier versions
/// wrote just the suffix, or the numbers of the process and of the file.
pub(crate) fn name_of_temporary(name: &str) -> Option<&str> {
    let name = name.strip_suffix(TEMPORARY_SUFFIX)?;
    let (whole, numbers) = name.strip_prefix('.').and_then(|hidden| hidden.rsplit_once('.')).unwrap_or((name, ""));
    let is_random = numbers.len() == RANDOM_DIGITS && numbers.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_count = numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    (is_random || is_count).then_some(whole)
}

/// What a name stands for.
enum Target {
    /// A regular file at this place, or nothing yet.
    File(PathBuf),
    /// What takes bytes and keeps its place.
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

/// Whether `link` is one of those by which the system names what a process has open, as `/dev/stdout` does.
fn is_open_file(link: &Path) -> bool {
    (link.starts_with("/proc") || link.starts_with("/dev")) && folder_of(link).ends_with("fd")
}

/// The name of a file until it is whole, and the place that it is for.
#[derive(Debug)]
struct Aside {
    temporary: PathBuf,
    place: PathBuf,
    is_committed: bool,
}

impl Aside {
    /// Makes the temporary file, under a name that nobody else has.
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

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.is_committed {
            let _ = fs::remove_file(&self.temporary); // the failure that led here is the one to tell
        }
    }
}

/// `.NAME.RANDOM.tmp` in the same folder.
fn temporary_name(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    let shown: String = name.chars().take(MAX_SHOWN_CHARS).collect();
    // Each state has keys of its own, from the system's source of random numbers.
    let random = RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()));
    folder_of(place).join(format!(".{shown}.{random:0RANDOM_DIGITS$x}{TEMPORARY_SUFFIX}"))
}

fn folder_of(place: &Path) -> &Path {
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the renames inside `folder` survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Not every system can flush folders, and where one may write one need not be allowed to read.
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
    io::Error::new(ErrorKind::AlreadyExists, "there is something that is no file, expected a file or nothing")
}

#[cfg(test)]
mod tests;
