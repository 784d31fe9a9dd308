//! Vocabulary files as a whole: read within a limit, written aside and renamed.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// The largest vocabularies in use take half of this; more is a mistake, or an attack, since parsing
/// multiplies it.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;

/// The bytes of the file, at most [`MAX_FILE_BYTES`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::format(path, format!("has more than {MAX_FILE_BYTES} bytes, too many for a vocabulary")));
    }
    Ok(bytes)
}

/// The text of the file.
pub(super) fn read_text(path: &Path) -> Result<String> {
    text(path, read(path)?)
}

/// `bytes`, read from `path`, as text.
pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        Error::format(path, format!("is not UTF-8 at byte {}, expected a vocabulary", error.utf8_error().valid_up_to()))
    })
}

/// Makes `path` hold `contents`, or leaves it as it was: a new file beside it, flushed to the disk,
/// takes its name. A pipe or a device such as `/dev/stdout` is written to, never replaced; a link stays one.
pub(super) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let target = path.canonicalize();
    let path = target.as_deref().unwrap_or(path);
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        let device = File::options().write(true).open(path);
        return device.and_then(|mut device| device.write_all(contents)).map_err(Error::io(path));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The temporary name would tell the caller nothing, so only the kind of the failure is passed on.
    let mut aside = new_file(folder).map_err(|error| Error::io(path)(error.kind().into()))?;
    aside.write_all(contents).map_err(Error::io(path))?;
    aside.as_file().sync_all().map_err(Error::io(path))?;
    aside.persist(path).map_err(|error| Error::io(path)(error.error))?;
    // The rename itself is on the disk once the folder is; not every system can flush folders.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn new_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bytemill-");
    #[cfg(unix)]
    {
        // As any new file: readable for all that the umask allows, not for the owner alone.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
