//! Where a piece may be cut before merging: between two characters that no token holds side by side.
//!
//! A merge joins what is side by side in the token that it makes, so none ever crosses such a place,
//! and the parts merge by themselves just as they would together. In Chinese, where pretokens are
//! whole clauses, this leaves pieces of one to three characters, most of them one token.
//!
//! What stands side by side is kept as bits at hashes: two pairs of characters that share a bit
//! lose a possible cut, which costs time but is as exact. A place is described by the last two bytes
//! before it and the first three behind it, less what belongs to other characters.

/// The places inside tokens where a character ends and another begins.
#[derive(Clone, Debug)]
pub(crate) struct Bridges {
    bits: Vec<u64>,
    /// A hash's highest bits are its place: 64 less the logarithm of the number of bits.
    shift: u32,
}

const BITS_PER_PLACE: usize = 16;
const CONTINUATION: std::ops::Range<u8> = 0x80..0xC0;

impl Bridges {
    /// The bridges of all `tokens`.
    pub(crate) fn of<'t>(tokens: impl Iterator<Item = &'t [u8]>) -> Self {
        let mut places: Vec<u64> = tokens.flat_map(places_inside).collect();
        places.sort_unstable();
        places.dedup();
        let n_bits = (places.len() * BITS_PER_PLACE).next_power_of_two().max(1024);
        let mut bridges = Self { bits: vec![0; n_bits / 64], shift: 64 - n_bits.trailing_zeros() };
        for place in places {
            let bit = bridges.bit(place);
            bridges.bits[bit / 64] |= 1 << (bit % 64);
        }
        bridges
    }

    /// Writes to `ends` where the pieces of `text` behind `from` end, as many as there is room for,
    /// and tells how many these are. The last of all is the end of the text.
    #[inline]
    pub(crate) fn cut(&self, text: &str, from: usize, ends: &mut [usize; 64]) -> usize {
        let text = text.as_bytes();
        let (mut n, mut at) = (0, from);
        while n < ends.len() {
            at += character_bytes(text[at]);
            // Written in any case and kept only if it is an end: there is no telling, so no branch.
            ends[n] = at;
            if at >= text.len() {
                return n + 1;
            }
            n += usize::from(!self.is_bridged(text, at));
        }
        n
    }

    /// Whether some token may hold the characters before and behind `at` side by side.
    #[inline]
    fn is_bridged(&self, text: &[u8], at: usize) -> bool {
        let bit = self.bit(place(left(text, at), right(text, at)));
        self.bits[bit / 64] >> (bit % 64) & 1 != 0
    }

    #[inline]
    fn bit(&self, place: u64) -> usize {
        (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

#[inline]
fn place(left: u16, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// The last two bytes of the character that ends at `at`; an ASCII character counts as one.
#[inline]
fn left(text: &[u8], at: usize) -> u16 {
    let last = text[at - 1];
    if last < 0x80 { last.into() } else { u16::from_le_bytes([last, text[at - 2]]) }
}

/// The first three bytes of the character that begins at `at`, or all that it has.
#[inline]
fn right(text: &[u8], at: usize) -> u32 {
    let byte = |offset: usize| u32::from(text[at + offset]);
    match character_bytes(text[at]) {
        1 => byte(0),
        2 => byte(0) | byte(1) << 8,
        _ => byte(0) | byte(1) << 8 | byte(2) << 16,
    }
}

/// How many bytes the character has that begins with `lead`.
#[inline]
fn character_bytes(lead: u8) -> usize {
    match lead {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}

/// Every place, as the text around it would describe it, at which characters meet inside `token`.
///
/// Where the token begins or ends inside a character, all characters are meant that it may be a part of.
fn places_inside(token: &[u8]) -> Vec<u64> {
    let mut places = Vec::new();
    for at in (1..token.len()).filter(|&at| !CONTINUATION.contains(&token[at])) {
        let rights = possible_rights(token, at);
        for left in possible_lefts(token, at) {
            places.extend(rights.iter().map(|&right| place(left, right)));
        }
    }
    places
}

fn possible_lefts(token: &[u8], at: usize) -> Vec<u16> {
    if at == 1 && CONTINUATION.contains(&token[0]) {
        // The byte before is the lead of a two-byte character or continues a longer one.
        let before = (0x80..0xE0).filter(|before| !(0xC0..0xC2).contains(before));
        return before.map(|before| u16::from_le_bytes([token[0], before])).collect();
    }
    // A token that begins with a damaged character cannot lie in a text.
    if token[at - 1] < 0x80 || at >= 2 { vec![left(token, at)] } else { Vec::new() }
}

fn possible_rights(token: &[u8], at: usize) -> Vec<u32> {
    let counted = character_bytes(token[at]).min(3);
    let present = &token[at..token.len().min(at + counted)];
    let mut rights = vec![present.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte))];
    for missing in present.len()..counted {
        rights = rights
            .iter()
            .flat_map(|right| CONTINUATION.map(move |byte| right | u32::from(byte) << (8 * missing)))
            .collect();
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces<'t>(bridges: &Bridges, text: &'t str) -> Vec<&'t str> {
        let (mut found, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let mut ends = [0; 64];
            let n = bridges.cut(text, start, &mut ends);
            for &end in &ends[..n] {
                found.push(&text[start..end]);
                start = end;
            }
        }
        found
    }

    #[test]
    fn pieces_are_cut_where_no_token_bridges() {
        let bridges = Bridges::of(["ab", "bcd", "中文", " é"].into_iter().map(str::as_bytes));
        assert_eq!(pieces(&bridges, "abcdab"), ["abcd", "ab"]);
        assert_eq!(pieces(&bridges, "中文文中 é"), ["中文", "文", "中", " é"]);
        assert_eq!(pieces(&bridges, &"中".repeat(100)), vec!["中"; 100]);
    }

    proptest! {
        #[test]
        fn no_occurrence_of_a_token_is_cut(
            text in "[ab中丮文é\u{10348}\u{10388}\u{48}ж]{1,40}",
            spans in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..9), 0..12),
        ) {
            let bytes = text.as_bytes();
            let spans: Vec<_> = spans
                .into_iter()
                .map(|(start, n)| (start.index(bytes.len()), n))
                .map(|(start, n)| start..bytes.len().min(start + n))
                .collect();
            let bridges = Bridges::of(spans.iter().map(|span| &bytes[span.clone()]));
            let mut end = 0;
            for piece in pieces(&bridges, &text) {
                end += piece.len();
                prop_assert!(spans.iter().all(|span| end <= span.start || span.end <= end));
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
