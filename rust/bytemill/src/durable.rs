//! Atomic file writes: a file is written under a random name next to the target, flushed, and renamed.
//!
//! A crash at any moment leaves the old file or the new one, and at worst a temporary file `.NAME.RANDOM.tmp`. A
//! temporary file is created exclusively, so an existing file or link is never followed or overwritten.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::platform::{self, FileKind};

const TEMPORARY_SUFFIX: &str = ".tmp";
/// Maximum characters of the final name in the temporary name, which may have 255 bytes. It fits all names of shard
/// files.
const MAX_SHOWN_CHARS: usize = 50;
const RANDOM_DIGITS: usize = 16;

/// A file that gets its name only in [`DurableFile::commit`]; if it is dropped before, it is removed.
#[derive(Debug)]
pub struct DurableFile {
    content: Content,
    /// The path as given by the caller, for errors.
    path: PathBuf,
    /// `None` if bytes go directly to the target.
    temporary_file: Option<TemporaryFile>,
}

/// Who writes the temporary file.
#[derive(Debug)]
enum Content {
    /// This program, through the open file.
    Open(File),
    /// A library, by name; the file will get these permissions back.
    HandedOver(Permissions),
}

impl Content {
    fn open(&self) -> io::Result<&File> {
        match self {
            Self::Open(file) => Ok(file),
            Self::HandedOver(_) => Err(io::Error::other("is written by a library, expected `reopen` first")),
        }
    }
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
        Ok(Self { content: Content::Open(file), path: path.to_owned(), temporary_file })
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
        Ok(Self { content: Content::Open(file), path, temporary_file: Some(temporary_file) })
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

    /// Close the temporary file and return its path, for a library that writes files by name and may replace them. Call
    /// [`Self::reopen`] afterwards. `None` for a pipe or a device, which stays open.
    ///
    /// # Errors
    /// If the system refuses to read the file's permissions.
    pub fn hand_over(&mut self) -> Result<Option<&Path>> {
        let Some(temporary_file) = &self.temporary_file else { return Ok(None) };
        if let Content::Open(file) = &self.content {
            let permissions = file.metadata().map_err(Error::io(&self.path))?.permissions();
            self.content = Content::HandedOver(permissions);
        }
        Ok(Some(&temporary_file.temporary))
    }

    /// Continue with the file that now has the temporary name, because a library may have replaced it. Give it the
    /// permissions of the first file, which follow the umask.
    ///
    /// # Errors
    /// If a link or something that is not a file has the name, or the system refuses.
    pub fn reopen(&mut self) -> Result<()> {
        let (Some(temporary_file), Content::HandedOver(permissions)) = (&self.temporary_file, &self.content) else {
            return Ok(());
        };
        let reopened = || -> io::Result<File> {
            let file = platform::open_without_links(&temporary_file.temporary)?;
            if !file.metadata()?.is_file() {
                return Err(no_file());
            }
            file.set_permissions(permissions.clone())?;
            Ok(file)
        };
        let file = reopened().map_err(Error::io(&self.path))?;
        self.content = Content::Open(file);
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
        self.content.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.open()?.flush()
    }
}

impl Seek for DurableFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.open()?.seek(to)
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
        file.content.open().and_then(File::sync_all).map_err(Error::io(&file.path))?;
    }
    files.iter_mut().try_for_each(DurableFile::commit_name)?;
    let mut folders: Vec<&Path> =
        files.iter().filter_map(|file| Some(file.temporary_file.as_ref()?.folder())).collect();
    folders.dedup();
    folders.into_iter().try_for_each(|folder| platform::sync_folder(folder).map_err(Error::io(folder)))
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
        match platform::kind(path) {
            Ok(FileKind::Folder | FileKind::Socket) => return Err(no_file()),
            Ok(FileKind::Pipe | FileKind::Device) => return Ok(Self::Stream),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error), // such as links in a circle
            Ok(FileKind::File) | Err(_) => {}
        }
        let mut place = path.to_owned();
        while let Ok(next) = fs::read_link(&place) {
            if platform::is_link_to_open_file(&place) {
                return Ok(Self::Stream);
            }
            place = folder_of(&place).join(next);
        }
        Ok(Self::File(place))
    }
}

/// The temporary name of a file, and its final place.
#[derive(Debug)]
struct TemporaryFile {
    temporary: PathBuf,
    place: PathBuf,
    /// Whether the file outlives this: it has its final name, or is all that there is of the new content.
    is_kept: bool,
}

impl TemporaryFile {
    /// Create the temporary file with a name that does not exist yet.
    fn create(place: PathBuf) -> io::Result<(File, Self)> {
        loop {
            let temporary = temporary_name(&place);
            match File::create_new(&temporary) {
                Ok(file) => return Ok((file, Self { temporary, place, is_kept: false })),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Give the file its final name. If something uses the old file, which is no fault of the new content, keep both.
    fn rename(&mut self) -> io::Result<()> {
        let renamed = platform::replace(&self.temporary, &self.place);
        let is_busy = renamed.as_ref().is_err_and(|error| error.kind() == ErrorKind::ResourceBusy);
        self.is_kept = renamed.is_ok() || is_busy;
        if !is_busy {
            return renamed;
        }
        renamed.map_err(|error| {
            let place = self.temporary.display();
            io::Error::new(error.kind(), format!("{error}; the new content is in {place}: rename that file"))
        })
    }

    fn folder(&self) -> &Path {
        folder_of(&self.place)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_kept {
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

fn no_file() -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, "exists and is not a file, expected a file or nothing")
}

#[cfg(test)]
mod tests;
