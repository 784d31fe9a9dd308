//! GPT-2's printable alphabet: one visible character for each byte, so that tokens can be written to
//! JSON and to text files separated by spaces.
//!
//! Bytes that are printable in Latin-1 map to themselves. The other 68 map to U+0100, U+0101, … in
//! order, so the space is `Ġ` and the newline is `Ċ`.

/// The character of each byte.
const CHARACTERS: [char; 256] = characters();

/// Return `bytes` in GPT-2's printable characters, as Hugging Face writes tokens.
///
/// ```
/// assert_eq!(bytemill::formats::to_printable(b" the\n"), "ĠtheĊ");
/// ```
pub fn to_printable(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| CHARACTERS[usize::from(byte)]).collect()
}

/// Return the bytes of GPT-2's printable characters, or the first character that is not one of them.
///
/// ```
/// assert_eq!(bytemill::formats::from_printable("Ġthe"), Ok(b" the".to_vec()));
/// assert_eq!(bytemill::formats::from_printable(" the"), Err(' '));
/// ```
///
/// # Errors
/// Returns the first character that is not in the alphabet.
pub fn from_printable(text: &str) -> Result<Vec<u8>, char> {
    text.chars().map(|character| byte(character).ok_or(character)).collect()
}

fn byte(character: char) -> Option<u8> {
    match character as u32 {
        code @ 0x100..=0x143 => Some(moved_bytes()[code as usize - 0x100]),
        code @ 0..=0xFF if stands_for_itself(code as u8) => Some(code as u8),
        _ => None,
    }
}

const fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

const fn characters() -> [char; 256] {
    let mut characters = ['\0'; 256];
    let (mut byte, mut next) = (0_usize, 0x100);
    while byte < 256 {
        let moved = !stands_for_itself(byte as u8);
        let code = if moved { next } else { byte as u32 };
        next += moved as u32;
        characters[byte] = match char::from_u32(code) {
            Some(character) => character,
            None => '\0',
        };
        byte += 1;
    }
    characters
}

/// Return the bytes that do not map to themselves, in order.
const fn moved_bytes() -> [u8; 68] {
    let mut moved = [0; 68];
    let (mut byte, mut n) = (0_usize, 0);
    while byte < 256 {
        if !stands_for_itself(byte as u8) {
            moved[n] = byte as u8;
            n += 1;
        }
        byte += 1;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_visible_character_of_its_own() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = to_printable(&bytes);
        assert!(text.chars().all(|character| !character.is_whitespace() && !character.is_control()));
        assert_eq!(from_printable(&text), Ok(bytes));
        assert_eq!(to_printable(b" the\n"), "ĠtheĊ");
    }

    #[test]
    fn other_characters_stand_for_nothing() {
        assert_eq!(from_printable("a b"), Err(' '));
        assert_eq!(from_printable("a中"), Err('中'));
        assert_eq!(from_printable("\u{144}"), Err('\u{144}'));
    }
}
