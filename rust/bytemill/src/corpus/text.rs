//! Plain text: the whole file, its lines, or what stands between separators.

use super::Place;
use super::open::{BLOCK_BYTES, fault, open};
use crate::error::{Error, Result};
use memchr::memmem::Finder;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// What is read before it is cut.
const PIECE_BYTES: usize = 1 << 20;

/// Calls `each` once, with all of the file, unless it is empty.
pub(super) fn for_whole(path: &Path, mut each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text).map_err(fault(path))?;
    hand_out(&text, Place { offset: 0, line: 1 }, &mut each)
}

/// Calls `each` with all of the file in pieces: `cut` is shown what was read and tells how much of it may go.
///
/// Memory follows the longest stretch that `cut` does not cut; it is asked again each time that it has
/// doubled. What is left at the end is the last piece.
pub(crate) fn for_each_piece(
    path: &Path,
    mut cut: impl FnMut(&[u8]) -> Result<Option<usize>>,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = open(path)?;
    let mut text = Vec::new();
    let mut wanted = PIECE_BYTES;
    loop {
        let missing = wanted - text.len();
        let read = reader.by_ref().take(missing as u64).read_to_end(&mut text).map_err(fault(path))?;
        if read < missing {
            return if text.is_empty() { Ok(()) } else { each(&text) };
        }
        if let Some(end) = cut(&text)? {
            each(&text[..end])?;
            text.drain(..end);
            wanted = PIECE_BYTES.max(text.len() + BLOCK_BYTES);
        } else {
            wanted *= 2;
        }
    }
}

/// Calls `each` with every line of the file at `path`, the newline with it.
pub fn for_each_line(path: &Path, mut each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    let mut reader = BufReader::with_capacity(BLOCK_BYTES, open(path)?);
    let mut place = Place { offset: 0, line: 1 };
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(fault(path))? > 0 {
        each(place, &line)?;
        place = Place { offset: place.offset + line.len() as u64, line: place.line + 1 };
        line.clear();
    }
    Ok(())
}

/// Calls `each` with every stretch of the file at `path` between separators, unless it is empty.
///
/// The separator, such as `<|endoftext|>`, belongs to no document. Memory follows the longest one.
/// Fails when `separator` is empty.
pub fn for_each_separated(
    path: &Path,
    separator: &[u8],
    mut each: impl FnMut(Place, &[u8]) -> Result<()>,
) -> Result<()> {
    if separator.is_empty() {
        let expected = "at least one byte".to_owned();
        return Err(Error::Argument { name: "separator", got: "empty".to_owned(), expected });
    }
    let finder = Finder::new(separator);
    let mut reader = open(path)?;
    let mut place = Place { offset: 0, line: 1 };
    let mut text = Vec::new(); // read and not yet handed out
    let mut searched = 0; // of `text`, without a separator
    loop {
        let read = reader.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut text).map_err(fault(path))?;
        let mut start = 0;
        while let Some(found) = finder.find(&text[start.max(searched)..]) {
            let end = start.max(searched) + found;
            hand_out(&text[start..end], place, &mut each)?;
            place = place.after(&text[start..end + separator.len()]);
            start = end + separator.len();
        }
        text.drain(..start);
        searched = text.len().saturating_sub(separator.len() - 1);
        if read == 0 {
            return hand_out(&text, place, &mut each);
        }
    }
}

fn hand_out(document: &[u8], place: Place, each: &mut impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    if document.is_empty() { Ok(()) } else { each(place, document) }
}

impl Place {
    fn after(self, text: &[u8]) -> Self {
        let lines = memchr::memchr_iter(b'\n', text).count();
        Self { offset: self.offset + text.len() as u64, line: self.line + lines as u64 }
    }
}
