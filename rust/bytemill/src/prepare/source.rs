//! The files to read, and their names in the manifest.

use std::path::{Path, PathBuf};

use crate::corpus::{Kind, expand};
use crate::error::{Error, Result};
use crate::regular_file;

/// A file to read.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    /// Its name, or its path relative to the given folder; it is the same on every machine.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Return the files of `sources`: files as given, folders recursively, sorted by path.
pub(super) fn find<P: AsRef<Path>>(sources: &[P], out_dir: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let out_dir = out_dir.canonicalize().map_err(Error::io(out_dir))?;
    for source in sources.iter().map(AsRef::as_ref) {
        for path in expand(&[source])? {
            regular_file::check(&path)?;
            if path.canonicalize().map_err(Error::io(&path))?.starts_with(&out_dir) {
                let expected = format!("a source outside the output folder {}", out_dir.display());
                return Err(Error::Argument { name: "sources", got: path.display().to_string(), expected });
            }
            let inside = path.strip_prefix(source).ok().filter(|inside| inside.components().next().is_some());
            let name = inside.or_else(|| path.file_name().map(Path::new)).unwrap_or(&path);
            files.push(SourceFile { kind: Kind::of(&path)?, name: with_slashes(name), path });
        }
    }
    Ok(files)
}

/// Return a relative path with `/` between its parts on every system.
fn with_slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
