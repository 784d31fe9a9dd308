//! Where in the text each id begins, when ids do not stand for exactly its bytes: where text is normalized, white space
//! belongs to an added token, or the splitter puts spaces in.

use super::extract::Extraction;
use super::{Encoder, SpecialPolicy};
use crate::decode::token;
use crate::error::Result;
use crate::interrupt::Pace;
use crate::vocab::{Normalizer, Vocab, nfc_with_origins};
use std::ops::ControlFlow;

impl Encoder<'_> {
    /// The ids of `text`, and for each the index of the character of `text` in which it begins.
    ///
    /// What begins inside a sequence of characters that normalization changes has the place of its first one, and a
    /// space that the splitter puts in has the place of the character after it.
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
                let first = ids.len();
                self.text(&normalized[span.clone()], &mut ids)?;
                let starts = starts(vocab, &normalized[span.clone()], &ids[first..])?;
                places.extend(starts.iter().map(|&start| raw.start + origins[span.start + start]));
                Ok(ControlFlow::Continue(()))
            })
        })?;
        Ok((ids, to_characters(text, &places)))
    }
}

fn normalized(normalizer: Normalizer, text: &str) -> (String, Vec<usize>) {
    match normalizer {
        Normalizer::None => (text.to_owned(), (0..text.len()).collect()),
        Normalizer::Nfc => nfc_with_origins(text),
    }
}

/// Where in `text` the bytes of each of `ids` begin; together they are `text`, but for the spaces put in.
fn starts(vocab: &Vocab, text: &str, ids: &[u32]) -> Result<Vec<usize>> {
    let (mut at, mut pace) = (0, Pace::default());
    let start_of = |(position, &id)| {
        let start = (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let bytes = token(vocab, id, position)?;
        for &byte in bytes {
            // No space is put in front of another.
            let is_put_in = byte == b' ' && text.as_bytes().get(at) != Some(&b' ');
            at += usize::from(!is_put_in);
        }
        pace.advance(bytes.len());
        Ok(start)
    };
    ids.iter().enumerate().map(start_of).collect()
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
