//! Which files are read, in which order, and what a document is in each kind.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a file's documents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole file is one document.
    Text,
    /// Each line is a JSON object with the document in a field.
    JsonLines,
}

/// A file to read.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    /// Its name, or its path in the folder that was given: the same on every machine.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// The files of `sources`: files as given, folders walked and sorted by path.
pub(super) fn find<P: AsRef<Path>>(sources: &[P], out_dir: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let out_dir = out_dir.canonicalize().map_err(Error::io(out_dir))?;
    for source in sources.iter().map(AsRef::as_ref) {
        for path in expand(source)? {
            if path.canonicalize().map_err(Error::io(&path))?.starts_with(&out_dir) {
                let expected = format!("a source outside of the output folder {}", out_dir.display());
                return Err(Error::Argument { name: "sources", got: path.display().to_string(), expected });
            }
            let inside = path.strip_prefix(source).ok().filter(|inside| inside.components().next().is_some());
            let name =
                inside.or_else(|| path.file_name().map(Path::new)).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(SourceFile { kind: kind_of(&path)?, name, path });
        }
    }
    Ok(files)
}

/// A folder's files, or the file itself.
fn expand(source: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if fs::metadata(source).map_err(Error::io(source))?.is_dir() {
        walk(source, &mut files).map_err(Error::io(source))?;
    } else {
        files.push(source.to_owned());
    }
    Ok(files)
}

/// Names that begin with a dot are passed over; links to folders are not followed, so that no walk is endless.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&path, files)?;
        } else if fs::metadata(&path)?.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn kind_of(path: &Path) -> Result<Kind> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("jsonl" | "ndjson") => Ok(Kind::JsonLines),
        Some(ending @ ("gz" | "zst" | "bz2" | "xz" | "zip" | "tar" | "parquet" | "arrow" | "bin" | "npy")) => {
            Err(Error::format(path, format!("cannot read .{ending} files; text (.txt) and .jsonl are read")))
        }
        _ => Ok(Kind::Text),
    }
}

/// The string in `field` of the JSON object `line`.
pub(super) fn text_of_line<'a>(line: &[u8], field: &str) -> Result<Cow<'a, [u8]>, String> {
    let value: serde_json::Value = serde_json::from_slice(line).map_err(|error| without_line(&error))?;
    match value.get(field) {
        Some(serde_json::Value::String(text)) => Ok(Cow::Owned(text.clone().into_bytes())),
        Some(_) => Err(format!("field {field:?} is not a string")),
        None => Err(format!("no field {field:?}")),
    }
}

/// Each line is parsed by itself, so that "at line 1" would mislead.
fn without_line(error: &serde_json::Error) -> String {
    let message = error.to_string();
    format!("not JSON: {}", message.split(" at line ").next().unwrap_or_default())
}
