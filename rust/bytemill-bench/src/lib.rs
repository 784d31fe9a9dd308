//! Text to measure with, made of this repository's own files: no data need be fetched or kept.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust and Python source, one after the other.
///
/// ```
/// assert!(bytemill_bench::code().contains("fn code"));
/// ```
pub fn code() -> String {
    text_of(&["rust", "python", "tests"], &["rs", "py"])
}

/// Every page of documentation.
pub fn prose() -> String {
    text_of(&["docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"], &["md"])
}

/// The files below `places` with one of the `endings`, in order of path.
fn text_of(places: &[&str], endings: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for place in places {
        walk(&root.join(place), &mut files);
    }
    files.retain(|path| path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)));
    files.sort();
    files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| walk(&entry.path(), files)),
        Err(_) => files.push(path.to_owned()),
    }
}
