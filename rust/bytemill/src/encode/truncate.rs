//! The first ids of a text, found without encoding the rest of it.

use super::encoder::Encoder;
use super::extract::{Extraction, Piece};
use super::request::Request;
use crate::error::Result;
use std::ops::ControlFlow;

/// Real text has 3-5 bytes per token. The text is cut after this number of bytes per missing id.
const BYTES_A_TOKEN: usize = 4;

impl Encoder<'_> {
    /// Append the requested ids of `text`. All of `text` is searched for disallowed text, even with a limit.
    pub(crate) fn encode(&mut self, text: &str, request: Request, out: &mut Vec<u32>) -> Result<()> {
        let Request { policy, max_tokens } = request;
        policy.map_or(Ok(()), |policy| policy.check(text))?;
        let full = max_tokens.map(|most| out.len().saturating_add(most));
        let extraction = Extraction { added: self.parts.vocab.added(), policy };
        if extraction.is_nothing() {
            self.piece(text, full, out)?;
        } else {
            let _ = extraction.pieces(text, &mut |piece| {
                match piece {
                    Piece::Text(text) => self.piece(text, full, out)?,
                    Piece::Token(id) => out.push(id),
                }
                let is_full = full.is_some_and(|full| out.len() >= full);
                Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        if let Some(full) = full {
            out.truncate(full);
        }
        Ok(())
    }

    fn piece(&mut self, text: &str, full: Option<usize>, out: &mut Vec<u32>) -> Result<()> {
        match full {
            None => self.text(text, out),
            Some(full) => self.first_ordinary(text, full, out),
        }
    }

    /// Append ids of `text` until `out` holds `full` of them or a few more.
    fn first_ordinary(&mut self, mut text: &str, full: usize, out: &mut Vec<u32>) -> Result<()> {
        while out.len() < full && !text.is_empty() {
            let about = (full - out.len()).saturating_mul(BYTES_A_TOKEN);
            let end = self.parts.splitter.next_cut(text, about).unwrap_or(text.len());
            self.text(&text[..end], out)?;
            text = &text[end..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::encode::{Memory, Parts, SpecialPolicy, Specials};
    use crate::split::Splitter;
    use crate::vocab::Vocab;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_ids_are_those_of_the_whole(text in "([ab ,\n'é中]|<end>|ab ab){0,60}", most in 0..70_usize, special in any::<bool>()) {
            let vocab = Vocab::from_merges(&[(b'a'.into(), b'b'.into()), (b' '.into(), 256)], &["<end>"]).unwrap();
            for pattern in [Some("gpt2"), Some("cl100k"), Some("o200k"), Some(r"\w+|\W+"), None] {
                let splitter = Splitter::new(pattern).unwrap();
                let parts = Parts { vocab: &vocab, splitter: &splitter, memory: &Memory::default() };
                let policy = SpecialPolicy::new(&vocab, Specials::All, Specials::NONE).unwrap();
                let policy = special.then_some(&policy);
                let (mut all, mut first) = (vec![7], vec![7]);
                Encoder::new(parts).encode(&text, Request { policy, max_tokens: None }, &mut all).unwrap();
                Encoder::new(parts).encode(&text, Request { policy, max_tokens: Some(most) }, &mut first).unwrap();
                prop_assert_eq!(&first, &all[..all.len().min(most + 1)]);
            }
        }
    }

    #[test]
    fn text_that_is_not_wanted_is_still_searched_for_what_is_disallowed() {
        let vocab = Vocab::from_merges(&[], &["<end>"]).unwrap();
        let splitter = Splitter::new(Some("gpt2")).unwrap();
        let parts = Parts { vocab: &vocab, splitter: &splitter, memory: &Memory::default() };
        let policy = SpecialPolicy::new(&vocab, Specials::NONE, Specials::All).unwrap();
        let wanted = Request { policy: Some(&policy), max_tokens: Some(1) };
        assert!(Encoder::new(parts).encode("a b c <end>", wanted, &mut Vec::new()).is_err());
    }
}
