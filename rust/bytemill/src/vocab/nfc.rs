//! Unicode's canonical composition (NFC), with the same result as Hugging Face's `tokenizers`.
//!
//! `tokenizers` normalizes by Unicode 9.0 (2016). Marks and composed characters of later versions stay where they are,
//! and nothing moves across them. All later versions agree with 9.0 on the characters of 9.0. So each stretch between
//! two newer characters is normalized on its own. Text that is already composed is not copied.

use std::borrow::Cow;
use unicode_normalization::char::{canonical_combining_class, decompose_canonical};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Characters that a version after 9.0 reorders, composes or decomposes, as ranges in ascending order.
#[rustfmt::skip]
const NEWCOMERS: [(u32, u32); 67] = [
    (0x5C8, 0x5C9), (0x7FD, 0x7FD), (0x897, 0x89F), (0x8CA, 0x8D3), (0x9FE, 0x9FE), (0xC3C, 0xC3C), (0xD3B, 0xD3C),
    (0xEBA, 0xEBA), (0x1715, 0x1715), (0x1ABF, 0x1AF0), (0x1DF6, 0x1DFA), (0xA82C, 0xA82C), (0x1_05C9, 0x1_05C9),
    (0x1_05E4, 0x1_05E4), (0x1_0D24, 0x1_0D27), (0x1_0D69, 0x1_0D6D), (0x1_0EAB, 0x1_0EAC), (0x1_0ECB, 0x1_0ECF),
    (0x1_0EF0, 0x1_0EFB), (0x1_0EFD, 0x1_0EFF), (0x1_0F46, 0x1_0F50), (0x1_0F82, 0x1_0F85), (0x1_1070, 0x1_1070),
    (0x1_133B, 0x1_133B), (0x1_1383, 0x1_1383), (0x1_1385, 0x1_1385), (0x1_138E, 0x1_138E), (0x1_1391, 0x1_1391),
    (0x1_13B8, 0x1_13B8), (0x1_13BB, 0x1_13BB), (0x1_13C2, 0x1_13C2), (0x1_13C5, 0x1_13C5), (0x1_13C7, 0x1_13C9),
    (0x1_13CE, 0x1_13D0), (0x1_145E, 0x1_145E), (0x1_1839, 0x1_183A), (0x1_1930, 0x1_1930), (0x1_1938, 0x1_1938),
    (0x1_193D, 0x1_193E), (0x1_1943, 0x1_1943), (0x1_19E0, 0x1_19E0), (0x1_1A34, 0x1_1A34), (0x1_1A47, 0x1_1A47),
    (0x1_1A99, 0x1_1A99), (0x1_1D42, 0x1_1D42), (0x1_1D44, 0x1_1D45), (0x1_1D97, 0x1_1D97), (0x1_1F41, 0x1_1F42),
    (0x1_611E, 0x1_6129), (0x1_612F, 0x1_612F), (0x1_6D67, 0x1_6D6A), (0x1_6FF0, 0x1_6FF1), (0x1_D127, 0x1_D128),
    (0x1_D250, 0x1_D252), (0x1_D25B, 0x1_D25C), (0x1_D25F, 0x1_D25F), (0x1_D280, 0x1_D281), (0x1_E08F, 0x1_E08F),
    (0x1_E130, 0x1_E136), (0x1_E2AE, 0x1_E2AE), (0x1_E2EC, 0x1_E2EF), (0x1_E4EC, 0x1_E4EF), (0x1_E5EE, 0x1_E5EF),
    (0x1_E6E3, 0x1_E6E3), (0x1_E6E6, 0x1_E6E6), (0x1_E6EE, 0x1_E6EF), (0x1_E6F5, 0x1_E6F5),
];

/// Return `text` composed.
pub(crate) fn nfc(text: &str) -> Cow<'_, str> {
    if is_composed(text) {
        return Cow::Borrowed(text);
    }
    let mut composed = String::with_capacity(text.len());
    for stretch in text.split_inclusive(is_newcomer) {
        let newcomer = stretch.chars().next_back().filter(|&last| is_newcomer(last));
        composed.extend(stretch[..stretch.len() - newcomer.map_or(0, char::len_utf8)].nfc());
        composed.extend(newcomer);
    }
    Cow::Owned(composed)
}

/// Return `text` composed, and for each byte of it the start in `text` of the character that it comes from.
///
/// In a sequence of a base and its marks, the base and the marks before the first change map to themselves. The others
/// map to the last marks of the original sequence, counted from the end.
pub(crate) fn nfc_with_origins(text: &str) -> (String, Vec<usize>) {
    let (mut composed, mut origins) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    let mut start = 0;
    while start < text.len() {
        let after = text[start..].char_indices().skip(1).find(|(_, character)| begins_sequence(*character));
        let end = after.map_or(text.len(), |(at, _)| start + at);
        let (sequence, new) = (&text[start..end], nfc(&text[start..end]));
        let places: Vec<usize> = sequence.char_indices().map(|(at, _)| start + at).collect();
        let (n_old, n_new) = (places.len(), new.chars().count());
        let n_same = sequence.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
        for (index, character) in new.chars().enumerate() {
            let from_end = (index + n_old).saturating_sub(n_new).max(n_same);
            let from = if index < n_same.max(1) { index } else { from_end.min(n_old - 1) };
            origins.extend(std::iter::repeat_n(places[from], character.len_utf8()));
        }
        composed.push_str(&new);
        start = end;
    }
    (composed, origins)
}

/// Return whether `text` is composed already; may return `false` for composed text.
fn is_composed(text: &str) -> bool {
    // All characters below U+0300 are composed and begin a sequence.
    text.bytes().all(|byte| byte < 0xCC) || is_nfc_quick(text.chars()) == IsNormalized::Yes
}

/// Return whether the result for `character` is independent of the text before it.
fn begins_sequence(character: char) -> bool {
    let mut first = None;
    decompose_canonical(character, |part| first = first.or(Some(part)));
    let stays =
        |first| canonical_combining_class(first) == 0 && is_nfc_quick(std::iter::once(first)) == IsNormalized::Yes;
    first.is_some_and(stays)
}

fn is_newcomer(character: char) -> bool {
    let code = u32::from(character);
    let at = NEWCOMERS.partition_point(|(_, last)| *last < code);
    NEWCOMERS.get(at).is_some_and(|(first, _)| *first <= code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization_alignments::UnicodeNormalization as Oracle;

    fn by_oracle(text: &str) -> String {
        Oracle::nfc(text).map(|(character, _)| character).collect()
    }

    #[test]
    fn every_character_becomes_what_unicode_9_makes_of_it() {
        for character in '\0'..=char::MAX {
            // Alone, after a base, before and after marks of other classes.
            for text in [format!("{character}"), format!("a{character}\u{301}"), format!("e\u{327}{character}\u{323}b")]
            {
                assert_eq!(nfc(&text), by_oracle(&text), "{:?}", text.escape_unicode().to_string());
            }
        }
    }

    /// Characters that normalization moves or changes, with some of every kind around them.
    fn character() -> impl Strategy<Value = char> {
        prop_oneof![
            prop::sample::select("aeoAK \n.é가각힣中Ω\u{212b}\u{1e9b}\u{fb1d}".chars().collect::<Vec<_>>()),
            proptest::char::range('\u{300}', '\u{345}'),
            proptest::char::range('\u{1100}', '\u{11ff}'),
            prop::sample::select(NEWCOMERS.to_vec()).prop_filter_map("surrogate", |(first, _)| char::from_u32(first)),
            prop::sample::select(
                "\u{93c}\u{915}\u{958}\u{9c7}\u{9be}\u{9d7}\u{11099}\u{110ba}\u{1d15f}\u{1d165}\u{f73}\u{f71}\u{344}"
                    .chars()
                    .collect::<Vec<_>>()
            ),
            any::<char>(),
        ]
    }

    proptest! {
        #[test]
        fn short_sequences_become_what_unicode_9_makes_of_them(text in prop::collection::vec(character(), 0..9)) {
            let text: String = text.into_iter().collect();
            prop_assert_eq!(&nfc(&text), &by_oracle(&text));
            let (composed, origins) = nfc_with_origins(&text);
            prop_assert_eq!(&composed, &by_oracle(&text));
            prop_assert!(origins.len() == composed.len() && origins.is_sorted());
        }
    }

    #[test]
    fn composed_text_is_not_copied() {
        for text in ["", "plain", "caf\u{e9} \u{ff}", "가 中 \u{1e69}"] {
            assert!(matches!(nfc(text), Cow::Borrowed(_)), "{text}");
        }
        assert_eq!(nfc("cafe\u{301}"), "caf\u{e9}");
    }
}
