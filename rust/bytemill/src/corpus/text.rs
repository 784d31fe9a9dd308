//! Plain text: the whole file, its lines, or the parts between separators.

use super::open::{BLOCK_BYTES, fault, open};
use super::reading::{Place, Reading};
use crate::error::{Error, Result};
use memchr::memmem::Finder;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Bytes to read before the first split.
const PIECE_BYTES: usize = 1 << 20;

/// Call `each` once with the whole file, unless the file is empty.
pub(super) fn for_whole(path: &Path, mut each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text).map_err(fault(path))?;
    hand_out(&text, Place { offset: 0, line: 1 }, &mut each)
}

/// A part of a document.
pub(crate) struct Piece<'t> {
    /// Offset of the part in the unpacked file.
    pub(crate) offset: u64,
    pub(crate) text: &'t [u8],
    /// Whether this part is the last of its document.
    pub(crate) ends: bool,
}

/// Call `each` with all documents of the file, in pieces. `cut` gets the text read so far and returns the length of the
/// next piece.
///
/// Memory grows with the longest stretch that `cut` does not split; a stretch longer than `reading` allows is an error.
/// `cut` is called again each time the stretch has doubled.
pub(crate) fn for_each_piece(
    path: &Path,
    reading: Reading,
    mut cut: impl FnMut(&[u8]) -> Result<Option<usize>>,
    mut each: impl FnMut(Piece) -> Result<()>,
) -> Result<()> {
    let (mut reader, separator) = (open(path)?, reading.separator.unwrap_or_default());
    let finder = reading.separator.map(|separator| checked(separator).map(Finder::new)).transpose()?;
    let most = reading.most_at_once().try_into().unwrap_or(usize::MAX);
    let (mut text, mut offset, mut has_begun) = (Vec::new(), 0, false);
    let (mut wanted, mut searched) = (PIECE_BYTES.min(most).max(1), 0);
    loop {
        let missing = wanted - text.len();
        text.reserve_exact(missing);
        let read = reader.by_ref().take(missing as u64).read_to_end(&mut text).map_err(fault(path))?;
        let mut start = 0;
        while let Some(found) = finder.as_ref().and_then(|finder| finder.find(&text[start.max(searched)..])) {
            let end = start.max(searched) + found;
            if end > start || has_begun {
                each(Piece { offset: offset + start as u64, text: &text[start..end], ends: true })?;
            }
            (start, has_begun) = (end + separator.len(), false);
        }
        if read < missing {
            let rest = Piece { offset: offset + start as u64, text: &text[start..], ends: true };
            return if rest.text.is_empty() && !has_begun { Ok(()) } else { each(rest) };
        }
        if start == 0 {
            // The text may end in the first bytes of a separator.
            let whole = &text[..text.len() - separator.len().saturating_sub(1).min(text.len())];
            if let Some(end) = cut(whole)? {
                each(Piece { offset, text: &text[..end], ends: false })?;
                (start, has_begun) = (end, true);
            } else if text.len() >= most {
                let what = format!("a stretch without a place to split the text (from byte {offset})");
                return Err(reading.too_large(path, &what, text.len() as u64 + 1));
            }
        }
        text.drain(..start);
        offset += start as u64;
        searched = text.len().saturating_sub(separator.len().saturating_sub(1));
        let least = if start == 0 { 2 * text.len() } else { PIECE_BYTES.max(text.len() + BLOCK_BYTES) };
        wanted = least.min(most).max(text.len() + 1);
    }
}

fn checked(separator: &[u8]) -> Result<&[u8]> {
    if separator.is_empty() {
        let expected = "at least one byte".to_owned();
        return Err(Error::Argument { name: "separator", got: "empty".to_owned(), expected });
    }
    Ok(separator)
}

/// Call `each` with every line of the file at `path`, including its newline.
pub fn for_each_line(path: &Path, each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    for_each_line_within(path, Reading::default(), u64::MAX, each)
}

/// Call `each` with every line, as [`for_each_line`] does. Return an error for a line of more than `most` bytes before
/// it is read completely.
pub(super) fn for_each_line_within(
    path: &Path,
    reading: Reading,
    most: u64,
    mut each: impl FnMut(Place, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = BufReader::with_capacity(BLOCK_BYTES, open(path)?);
    let mut place = Place { offset: 0, line: 1 };
    let mut line = Vec::new();
    let within = most.saturating_add(1);
    while reader.by_ref().take(within).read_until(b'\n', &mut line).map_err(fault(path))? > 0 {
        if line.len() as u64 > most {
            return Err(reading.too_large(path, &format!("a row in line {}", place.line), line.len() as u64));
        }
        each(place, &line)?;
        place = Place { offset: place.offset + line.len() as u64, line: place.line + 1 };
        line.clear();
    }
    Ok(())
}

/// Call `each` with every part of the file at `path` between separators, unless the part is empty.
///
/// The separator, such as `<|endoftext|>`, belongs to no document. Memory grows with the longest document. Return an
/// error if `separator` is empty.
pub fn for_each_separated(
    path: &Path,
    separator: &[u8],
    mut each: impl FnMut(Place, &[u8]) -> Result<()>,
) -> Result<()> {
    let finder = Finder::new(checked(separator)?);
    let mut reader = open(path)?;
    let mut place = Place { offset: 0, line: 1 };
    let mut text = Vec::new(); // read and not yet passed to `each`
    let mut searched = 0; // bytes of `text` known to contain no separator
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
