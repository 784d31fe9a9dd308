//! Where a piece may be cut before merging: between two characters that are adjacent in no token.
//!
//! A merge joins characters that are adjacent in the token it makes, so no merge crosses such a place.
//! The parts therefore merge separately with the same result. Chinese pretokens are whole clauses;
//! cutting leaves pieces of one to three characters, and most pieces are one token.
//!
//! Adjacent characters are stored as one bit at their hash. If two pairs share a bit, a possible cut is lost:
//! this costs time, but the result stays exact. The key of a place is the last two bytes before it and the first
//! three bytes after it, without bytes of other characters. If a token ends with the first byte of a character,
//! only that byte is used.

/// The places between characters that tokens span. A text may be cut at any other place.
#[derive(Clone, Debug)]
pub(crate) struct CutPoints {
    bits: Vec<u64>,
    /// Shift that leaves the highest bits of a hash as the bit index: 64 minus log2 of the number of bits.
    shift: u32,
}

/// Maximum number of pieces that [`CutPoints::cut`] finds per call.
pub(crate) const PIECES: usize = 16;
const BITS_PER_PLACE: usize = 16;
const CONTINUATION: std::ops::Range<u8> = 0x80..0xC0;

impl CutPoints {
    /// Collect the places that `tokens` span. The tokens have `n_bytes` in total.
    pub(crate) fn of<'t>(tokens: impl Iterator<Item = &'t [u8]>, n_bytes: usize) -> Self {
        // There are fewer places than bytes, and most places occur in several tokens.
        let n_bits = (n_bytes * 4).next_power_of_two().max(1024);
        let mut points = Self { bits: vec![0; n_bits / 64], shift: 64 - n_bits.trailing_zeros() };
        let mut n_places = 0;
        for token in tokens {
            places_inside(token, |place| n_places += usize::from(points.add(place)));
        }
        while points.bits.len() * 32 >= (n_places * BITS_PER_PLACE).max(1024) {
            points.halve();
        }
        points
    }

    /// Set the bit of `place`. Return whether it was not set before.
    fn add(&mut self, place: u64) -> bool {
        let bit = self.bit(place);
        let is_new = !self.has(place);
        self.bits[bit / 64] |= 1 << (bit % 64);
        is_new
    }

    /// Halve the number of bits: each two neighbours become one.
    fn halve(&mut self) {
        let joined = |words: &[u64]| {
            words.iter().rev().fold(0, |joined, &word| {
                (0..32).rev().fold(joined, |joined, i| joined << 1 | u64::from(word >> (2 * i) & 3 != 0))
            })
        };
        self.bits = self.bits.chunks(2).map(joined).collect();
        self.shift += 1;
    }

    /// Write the ends of the pieces of `text[from..to]` until `ends` is full; return the count.
    /// The end of the last piece is `to`.
    #[inline]
    pub(crate) fn cut(&self, text: &str, from: usize, to: usize, ends: &mut [usize; PIECES]) -> usize {
        let text = text.as_bytes();
        let (mut n, mut at) = (0, from);
        let mut before = character_bytes(text[at]);
        while n < PIECES {
            at += before;
            // Always written, and kept only if it is an end: a branch would be mispredicted.
            ends[n] = at;
            if at >= to {
                return n + 1;
            }
            let around = around(text, at);
            let after = bytes_after(around);
            n += usize::from(!self.is_spanned(around & mask(before, after)));
            before = after;
        }
        n
    }

    /// Return whether a token may span `place`.
    #[inline]
    fn is_spanned(&self, place: u64) -> bool {
        (self.look(place) | self.look(coarse(place))) & 1 != 0
    }

    fn has(&self, place: u64) -> bool {
        self.look(place) & 1 != 0
    }

    /// Return a word with the bit of `place` as its lowest bit.
    #[inline]
    fn look(&self, place: u64) -> u64 {
        let bit = self.bit(place);
        self.bits[bit / 64] >> (bit % 64)
    }

    #[inline]
    fn bit(&self, place: u64) -> usize {
        (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

/// Return the two bytes before `at` and the six bytes from `at`, with zeros outside the text.
#[inline]
fn around(text: &[u8], at: usize) -> u64 {
    match text.get(at.wrapping_sub(2)..at.wrapping_add(6)).and_then(|around| around.first_chunk()) {
        Some(around) => u64::from_le_bytes(*around),
        None => around_at_the_edge(text, at),
    }
}

#[cold]
fn around_at_the_edge(text: &[u8], at: usize) -> u64 {
    (at..at + 8).rev().fold(0, |around, i| {
        let byte = i.checked_sub(2).and_then(|i| text.get(i));
        around << 8 | u64::from(byte.copied().unwrap_or(0))
    })
}

/// Return the key of a place, given two bytes before it and six bytes after it; see [`mask`].
fn place(around: u64) -> u64 {
    let before = if around & 0x8000 == 0 { 1 } else { 2 };
    around & mask(before, bytes_after(around))
}

/// Return the mask that selects the key bytes of a place, given the lengths of the characters before and after it.
///
/// It selects the last two bytes of the character before (one for ASCII) and up to three bytes of the one after.
#[inline]
fn mask(before: usize, after: usize) -> u64 {
    const BEFORE: [u64; 5] = [0, 0xFF00, 0xFFFF, 0xFFFF, 0xFFFF];
    const AFTER: [u64; 5] = [0, 0x00FF_0000, 0xFFFF_0000, 0xFF_FFFF_0000, 0xFF_FFFF_0000];
    BEFORE[before] | AFTER[after]
}

/// Return the length in bytes of the character after a place.
#[inline]
fn bytes_after(around: u64) -> usize {
    character_bytes((around >> 16) as u8)
}

/// Return the length in bytes of the character that begins with `lead`.
#[inline]
fn character_bytes(lead: u8) -> usize {
    match lead {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}

/// Return the key of a place if only the first byte after it is known. It never equals a full key.
#[inline]
fn coarse(place: u64) -> u64 {
    place & 0xFF_FFFF | 1 << 63
}

/// Call `each` with the key of every place between two characters inside `token`.
fn places_inside(token: &[u8], mut each: impl FnMut(u64)) {
    for at in (1..token.len()).filter(|&at| !CONTINUATION.contains(&token[at])) {
        let is_left_whole = at > 1 || !CONTINUATION.contains(&token[0]);
        if is_left_whole && token.len() - at >= character_bytes(token[at]).min(3) {
            each(place(around(token, at)));
        } else {
            possible_places(token, at).into_iter().for_each(&mut each);
        }
    }
}

/// Return the possible keys of `at` if the token begins or ends inside a character: one key for each character
/// that the partial bytes may belong to.
fn possible_places(token: &[u8], at: usize) -> Vec<u64> {
    let mut possible = vec![around_at_the_edge(&token[..token.len().min(at + 3)], at)];
    if at == 1 && CONTINUATION.contains(&token[0]) {
        // The byte before is the lead of a two-byte character or continues a longer one.
        possible = (0x80..0xE0).map(|before| possible[0] | before).collect();
    }
    let (known, wanted) = (token.len() - at, character_bytes(token[at]).min(3));
    if known == 1 && wanted > 1 {
        return possible.into_iter().map(|around| coarse(place(around))).collect();
    }
    if known < wanted {
        let last = |byte| u64::from(byte) << (16 + 8 * known);
        possible = possible.iter().flat_map(|around| CONTINUATION.map(move |byte| around | last(byte))).collect();
    }
    possible.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces<'t>(points: &CutPoints, text: &'t str) -> Vec<&'t str> {
        let (mut found, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let mut ends = [0; PIECES];
            let n = points.cut(text, start, text.len(), &mut ends);
            for &end in &ends[..n] {
                found.push(&text[start..end]);
                start = end;
            }
        }
        found
    }

    #[test]
    fn pieces_are_cut_where_no_token_bridges() {
        let points = CutPoints::of(["ab", "bcd", "中文", " é"].into_iter().map(str::as_bytes), 14);
        assert_eq!(pieces(&points, "abcdab"), ["abcd", "ab"]);
        assert_eq!(pieces(&points, "中文文中 é"), ["中文", "文", "中", " é"]);
        assert_eq!(pieces(&points, &"中".repeat(100)), vec!["中"; 100]);
    }

    proptest! {
        #[test]
        fn no_occurrence_of_a_token_is_cut(
            text in "[ab中丮文é\u{10348}\u{10388}\u{48}ж]{1,40}",
            spans in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..9), 0..12),
            // As if there were more: a larger bitmap at first, halved more often.
            n_copies in 1_usize..1000,
        ) {
            let bytes = text.as_bytes();
            let spans: Vec<_> = spans
                .into_iter()
                .map(|(start, n)| (start.index(bytes.len()), n))
                .map(|(start, n)| start..bytes.len().min(start + n))
                .collect();
            let n_bytes = spans.iter().map(ExactSizeIterator::len).sum::<usize>() * n_copies;
            let points = CutPoints::of(spans.iter().map(|span| &bytes[span.clone()]), n_bytes);
            let mut end = 0;
            for piece in pieces(&points, &text) {
                end += piece.len();
                prop_assert!(spans.iter().all(|span| end <= span.start || span.end <= end));
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
