//! Reserve room for the ids of a long text, estimated from samples. Growing or over-allocating the output costs page
//! faults, which take as long as encoding a tenth of the text.

use super::encoder::{Encoder, MANY};
use crate::error::Result;
use crate::hints;
use crate::vocab::PIECES;

/// Minimum length in bytes of a text worth sampling.
const FROM_BYTES: usize = 1 << 20;
const SAMPLES: usize = 16;
/// Fraction of a text that is sampled.
const SAMPLED: usize = 256;

/// Room for about as many ids as a text of `n_bytes` becomes, where [`Encoder::make_room`] makes none: real text has
/// 3-5 bytes a token.
pub(crate) fn for_short_text(n_bytes: usize) -> Vec<u32> {
    if n_bytes < FROM_BYTES { Vec::with_capacity(n_bytes / 3 + 64) } else { Vec::new() }
}

impl Encoder<'_> {
    /// Makes room in `out` for the ids of `text`, if that is long: as many as its samples have for their part of it, and
    /// a sixteenth more.
    pub(super) fn make_room(&mut self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        if text.len() < FROM_BYTES {
            return Ok(());
        }
        let (mut ids, mut n_bytes) = (Vec::new(), 0);
        let step = text.len() / SAMPLES;
        for number in 0..SAMPLES {
            let sample = sample(text, number * step, step / SAMPLED);
            self.in_chunks::<{ MANY + PIECES }>(sample, &mut ids)?;
            n_bytes += sample.len();
        }
        hints::reserve(out, text.len() * ids.len() / n_bytes * 17 / 16);
        Ok(())
    }
}

/// About `n_bytes` of `text` from about `start` on.
fn sample(text: &str, start: usize, n_bytes: usize) -> &str {
    let boundary = |from: usize| (from..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    &text[boundary(start)..boundary(start + n_bytes)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Memory, Parts};
    use super::*;
    use crate::split::Splitter;
    use crate::vocab::Vocab;

    #[test]
    fn room_is_what_a_text_of_several_kinds_takes() {
        let vocab = Vocab::from_merges(&[(b'a'.into(), b'b'.into()), (256, 256)], &[]).unwrap();
        let (splitter, memory) = (Splitter::new(Some("gpt2")).unwrap(), Memory::default());
        let text = "abab".repeat(FROM_BYTES / 2) + &" é中".repeat(FROM_BYTES / 3);
        let mut ids = for_short_text(text.len());
        Encoder::new(Parts { vocab: &vocab, splitter: &splitter, memory: &memory }).text(&text, &mut ids).unwrap();
        let huge_page = (2 << 20) / size_of::<u32>();
        assert!(
            (ids.len()..ids.len() * 5 / 4 + huge_page).contains(&ids.capacity()),
            "{} {}",
            ids.len(),
            ids.capacity()
        );
    }

    #[test]
    fn samples_are_of_whole_characters() {
        for start in 0..=6 {
            assert_eq!(sample("中文字", start, 3).chars().count(), 1);
        }
        assert_eq!(sample("abc", 1, 9), "bc");
    }
}
