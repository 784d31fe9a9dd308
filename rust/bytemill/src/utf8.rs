//! Converts arrays of code points, as Python stores text, to UTF-8.
//!
//! Most text is ASCII with a few other characters. Groups that are all ASCII are narrowed in one step; in other
//! groups characters are written one by one.

use crate::{hints, interrupt};

/// Number of code points written at a time, before space for them is added to the text.
const BLOCK: usize = 1024;
/// The number of blocks between checks for interruption.
const CHECK_BLOCKS: usize = 1024;
/// Number of code points checked together.
const GROUP: usize = 32;

/// Return the text of `code_points`, on huge pages if it is long and the system supports them. Return `None` if one of
/// them is not a character: a surrogate, or beyond U+10FFFF.
///
/// ```
/// use bytemill::utf8;
///
/// assert_eq!(utf8::from_code_points(&[0x48_u32, 0x69, 0x1F30D]).as_deref(), Some("Hi\u{1F30D}"));
/// assert_eq!(utf8::from_code_points(&[0x48_u16, 0xD800]), None);
/// ```
pub fn from_code_points<T: Copy + Into<u32>>(code_points: &[T]) -> Option<String> {
    let mut text = Vec::new();
    let mut bytes = [0; 4 * BLOCK];
    let mut n_read = 0;
    for (number, block) in code_points.chunks(BLOCK).enumerate() {
        if number.is_multiple_of(CHECK_BLOCKS) {
            interrupt::check();
        }
        let n_bytes = write(block, &mut bytes)?;
        n_read += block.len();
        // When out of room, assume that the rest is slightly longer than the part read so far: text then seldom moves.
        let sixteenths = 16 * (text.len() + n_bytes) / n_read + 1;
        hints::reserve_with(&mut text, n_bytes, (code_points.len() - n_read) * sixteenths / 16);
        text.extend_from_slice(&bytes[..n_bytes]);
    }
    // SAFETY: the text is a sequence of whole `char`s; checking all of them again takes as long as writing them.
    #[allow(unsafe_code)]
    Some(unsafe { String::from_utf8_unchecked(text) })
}

/// Write the UTF-8 of `block` to `bytes`, which has room for it; return the number of bytes written.
fn write<T: Copy + Into<u32>>(block: &[T], bytes: &mut [u8]) -> Option<usize> {
    let (groups, rest) = block.as_chunks::<GROUP>();
    let mut n = 0;
    for group in groups {
        let group = group.map(Into::into);
        if group.iter().fold(0, |all, one| all | one) < 0x80 {
            bytes[n..n + GROUP].copy_from_slice(&group.map(|ascii| ascii as u8));
            n += GROUP;
        } else {
            n += write_singly(&group, &mut bytes[n..])?;
        }
    }
    Some(n + write_singly(rest, &mut bytes[n..])?)
}

fn write_singly<T: Copy + Into<u32>>(code_points: &[T], bytes: &mut [u8]) -> Option<usize> {
    let mut n = 0;
    for &code_point in code_points {
        n += char::from_u32(code_point.into())?.encode_utf8(&mut bytes[n..]).len();
    }
    Some(n)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_comes_back(text in "(\\PC{0,40}|[a-z ]{0,300}|[\u{e9}\u{4e2d}\u{1f30d}\n]{0,2000}){0,8}") {
            let wide: Vec<u32> = text.chars().map(u32::from).collect();
            prop_assert_eq!(from_code_points(&wide), Some(text.clone()));
            let narrow: Option<Vec<u16>> = wide.iter().map(|&one| one.try_into().ok()).collect();
            if let Some(narrow) = narrow {
                prop_assert_eq!(from_code_points(&narrow), Some(text));
            }
        }
    }

    #[test]
    fn each_byte_is_a_code_point_of_latin_1() {
        let latin: Vec<u8> = (0..=255).cycle().take(3 * BLOCK + 5).collect();
        assert_eq!(from_code_points(&latin).unwrap(), latin.iter().map(|&byte| char::from(byte)).collect::<String>());
    }

    #[test]
    fn what_is_no_character_is_found_anywhere() {
        for wrong in [0xD800, 0xDFFF, 0x11_0000, u32::MAX] {
            for place in [0, 31, 32, BLOCK - 1, BLOCK, 2 * BLOCK + 6] {
                let mut code_points = vec![0x61; 2 * BLOCK + 7];
                assert!(from_code_points(&code_points).is_some());
                code_points[place] = wrong;
                assert_eq!(from_code_points(&code_points), None);
            }
        }
    }

    #[test]
    fn text_that_becomes_longer_than_it_began_has_room() {
        let mut code_points = vec![0x61_u32; BLOCK];
        code_points.resize(9 * BLOCK, 0x1F30D);
        assert_eq!(from_code_points(&code_points).unwrap().len(), BLOCK + 4 * 8 * BLOCK);
    }
}
