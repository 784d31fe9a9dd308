//! Where in the text each id begins, when the bytes of the ids are not the text: where text is normalized, white space
//! belongs to an added token, or spaces are put in.

use super::encoder::Encoder;
use super::extract::Extraction;
use super::special::SpecialPolicy;
use crate::decode::character_offsets;
use crate::error::Result;
use crate::vocab::{Normalizer, nfc_with_origins};
use std::ops::ControlFlow;

impl Encoder<'_> {
    /// The ids of `text`, and for each the index of the character of `text` in which it begins.
    ///
    /// What begins inside a sequence of characters that normalization changes has the place of its first one.
    pub(crate) fn with_offsets(
        &mut self,
        text: &str,
        policy: Option<&SpecialPolicy>,
    ) -> Result<(Vec<u32>, Vec<usize>)> {
        policy.map_or(Ok(()), |policy| policy.check(text))?;
        let vocab = self.parts.vocab;
        let extraction = Extraction { added: vocab.added(), policy };
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        let _ = extraction.stretches(text, vocab.added().in_raw(), &mut |raw, id| {
            if let Some(id) = id {
                ids.push(id);
                places.push(raw.start);
                return Ok(ControlFlow::Continue(()));
            }
            let (normalized, origins) = normalized(vocab.normalizer(), &text[raw.clone()]);
            extraction.stretches(&normalized, vocab.added().in_normalized(), &mut |span, id| {
                if let Some(id) = id {
                    ids.push(id);
                    places.push(raw.start + origins[span.start]);
                    return Ok(ControlFlow::Continue(()));
                }
                let (first, text) = (ids.len(), &normalized[span.clone()]);
                self.text(text, &mut ids)?;
                let starts = starts(text, &self.parts.splitter.added_spaces(text)?);
                let characters = character_offsets(vocab, &ids[first..])?;
                places.extend(characters.iter().map(|&character| raw.start + origins[span.start + starts[character]]));
                Ok(ControlFlow::Continue(()))
            })
        })?;
        Ok((ids, to_characters(text, &places)))
    }
}

/// Where in `text` each of its characters begins, with a space more before each of `spaces`.
fn starts(text: &str, spaces: &[usize]) -> Vec<usize> {
    let mut spaces = spaces.iter().peekable();
    let both = text.char_indices().flat_map(|(at, _)| {
        let n = 1 + usize::from(spaces.next_if_eq(&&at).is_some());
        std::iter::repeat_n(at, n)
    });
    both.collect()
}

fn normalized(normalizer: Normalizer, text: &str) -> (String, Vec<usize>) {
    match normalizer {
        Normalizer::None => (text.to_owned(), (0..text.len()).collect()),
        Normalizer::Nfc => nfc_with_origins(text),
    }
}

/// For each place in `text` the index of the character there.
fn to_characters(text: &str, places: &[usize]) -> Vec<usize> {
    let mut index_at = vec![0; text.len() + 1];
    for (index, (at, _)) in text.char_indices().enumerate() {
        index_at[at] = index;
    }
    index_at[text.len()] = text.chars().count();
    places.iter().map(|&place| index_at[place]).collect()
}
