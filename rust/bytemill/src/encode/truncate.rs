//! The first ids of a text, found without encoding the rest of it.

use super::{Encoder, SpecialPolicy};
use crate::error::Result;

/// What is wanted of each text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'p> {
    /// What to do about special tokens; `None` takes them for ordinary text.
    pub policy: Option<&'p SpecialPolicy>,
    /// So many ids at most, the first ones; `None` for all.
    pub max_tokens: Option<usize>,
}

/// Real text has 3-5 bytes a token; what is looked at first is cut after so many for each id that is missing.
const BYTES_A_TOKEN: usize = 4;

impl Encoder<'_> {
    /// Appends those ids of `text` that are wanted.
    pub(crate) fn wanted(&mut self, text: &str, wanted: Request, out: &mut Vec<u32>) -> Result<()> {
        match (wanted.max_tokens, wanted.policy) {
            (None, None) => self.text(text, out),
            (None, Some(policy)) => self.with_special(text, policy, out),
            (Some(most), policy) => self.first(text, policy, most, out),
        }
    }

    /// Appends the first `most` ids. Disallowed text is looked for in all of `text`, as without a limit.
    fn first(&mut self, text: &str, policy: Option<&SpecialPolicy>, most: usize, out: &mut Vec<u32>) -> Result<()> {
        let full = out.len().saturating_add(most);
        policy.map_or(Ok(()), |policy| policy.check(text))?;
        let mut start = 0;
        while out.len() < full {
            let special = policy.and_then(|policy| policy.next_special(text, start));
            let stop = special.as_ref().map_or(text.len(), |(span, _)| span.start);
            self.first_ordinary(&text[start..stop], full, out)?;
            let Some((span, id)) = special else { break };
            out.push(id);
            start = span.end;
        }
        out.truncate(full);
        Ok(())
    }

    /// Appends ids of `text` until `out` holds `full` of them or a few more.
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
    use crate::encode::{Memory, Parts, Specials};
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
                Encoder::new(parts).wanted(&text, Request { policy, max_tokens: None }, &mut all).unwrap();
                Encoder::new(parts).wanted(&text, Request { policy, max_tokens: Some(most) }, &mut first).unwrap();
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
        assert!(Encoder::new(parts).wanted("a b c <end>", wanted, &mut Vec::new()).is_err());
    }
}
