//! If a corpus has only one document, its last tenth is for validation.

use super::scan::{Corpus, Span};
use crate::error::{Error, Result};
use crate::shard::Validation;

const WINDOW_BYTES: u64 = 1 << 20;

/// Return the last tenth of the only document, and the part before it. Read only near the boundary.
pub(super) fn cut(corpus: &Corpus, val: Validation) -> Result<[Span; 2]> {
    let mut whole = corpus.span(0);
    if !corpus.is_text(0) {
        // A row is longer than its text.
        whole.bytes.end = corpus.read(&whole, &mut Vec::new())?.len() as u64;
    }
    let n_bytes = whole.bytes.end;
    if let Some(at) = nine_tenths(corpus, n_bytes)? {
        return Ok([at..n_bytes, 0..at].map(|bytes| Span { document: 0, bytes }));
    }
    let expected = "0: the only document is too short to be split".to_owned();
    Err(Error::Argument { name: "val", got: format!("{val} of {n_bytes} bytes"), expected })
}

/// Return the start of the last tenth: after a newline if one is near, otherwise between two characters.
fn nine_tenths(corpus: &Corpus, n_bytes: u64) -> Result<Option<u64>> {
    let Some(target) = n_bytes.checked_sub((n_bytes / 10).max(1)) else { return Ok(None) };
    let (near, mut end, mut buffer) = (target - target / 10, target, Vec::new());
    while end > near {
        let start = end.saturating_sub(WINDOW_BYTES).max(near);
        let text = corpus.read(&Span { document: 0, bytes: start..end }, &mut buffer)?;
        if let Some(newline) = memchr::memrchr(b'\n', &text) {
            return Ok(Some(start + newline as u64 + 1).filter(|&at| at > 0));
        }
        end = start;
    }
    let start = target.saturating_sub(3);
    let text = corpus.read(&Span { document: 0, bytes: start..target + 1 }, &mut buffer)?;
    let begins_character = text.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000);
    Ok(begins_character.map(|at| start + at as u64).filter(|&at| at > 0))
}
