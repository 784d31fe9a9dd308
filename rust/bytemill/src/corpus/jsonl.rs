//! JSON lines: each line is an object with the document in one of its fields.
//!
//! Only that field is decoded. Half of a surrogate pair, which a JSON string can hold and text cannot, becomes U+FFFD.
//! Python does the same when it encodes such a string with `errors="replace"`.

use super::kind::Kind;
use super::reading::{Place, Reading};
use super::text;
use crate::error::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// Maximum bytes of a line in a compressed file, because the file may be much smaller than the line.
const MOST_PACKED_BYTES: u64 = 256 << 20;

/// Call `each` with the text of every line that is not blank.
pub(super) fn for_each(path: &Path, reading: Reading, mut each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    let text_field = reading.text_field;
    let most = if reading.max_memory.is_none() && Kind::of(path)?.packing.is_some() {
        MOST_PACKED_BYTES
    } else {
        reading.most_at_once()
    };
    text::for_each_line_within(path, reading, most, |place, line| {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let text = text_of_line(line, text_field)
            .map_err(|reason| Error::format(path, format!("line {}: {reason}", place.line)))?;
        each(place, &text)
    })
}

/// Return the string in `text_field` of the JSON object `line`, or what is wrong with it.
pub(crate) fn text_of_line<'l>(line: &'l [u8], text_field: &str) -> Result<Cow<'l, [u8]>, String> {
    // Without its newline: otherwise the error for an unterminated string would name the next line.
    parse(line.trim_ascii_end(), text_field).map_err(|error| without_line(&error))
}

fn parse<'l>(line: &'l [u8], text_field: &str) -> serde_json::Result<Cow<'l, [u8]>> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let text = json.deserialize_map(Object { text_field })?;
    json.end()?;
    Ok(replace_surrogates(text))
}

/// Remove the line number from `serde_json`'s error: each line is parsed alone, so it is always 1.
fn without_line(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.split_once(" at line ") {
        Some((reason, _)) => format!("{reason} (column {})", error.column()),
        None => message,
    }
}

/// Visitor that keeps one field of an object.
struct Object<'f> {
    text_field: &'f str,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an object with the text in field {:?}", self.text_field)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut text = None;
        let mut others = Vec::new();
        while let Some(field) = map.next_key::<Cow<str>>()? {
            if field == self.text_field {
                text = Some(map.next_value_seed(Text(self.text_field))?);
            } else {
                map.next_value::<IgnoredAny>()?;
                if text.is_none() {
                    others.push(field);
                }
            }
        }
        text.ok_or_else(|| M::Error::custom(format!("no field {:?}; the fields are {others:?}", self.text_field)))
    }
}

/// A JSON string as bytes, borrowed if it has no escapes.
struct Text<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = Cow<'de, [u8]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a string in field {:?}", self.0)
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(bytes))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(bytes.to_vec()))
    }
}

/// Replace half surrogate pairs, which `serde_json` writes as the three bytes ED A0..BF 80..BF.
fn replace_surrogates(mut text: Cow<[u8]>) -> Cow<[u8]> {
    let mut from = 0;
    while let Some(found) = memchr::memchr(0xED, &text[from..]) {
        let at = from + found;
        // Any other ED may start valid text, so continue with the next byte.
        if let Some([0xA0..=0xBF, 0x80..=0xBF]) = text.get(at + 1..at + 3) {
            text.to_mut()[at..at + 3].copy_from_slice("\u{FFFD}".as_bytes());
        }
        from = at + 1;
    }
    text
}
