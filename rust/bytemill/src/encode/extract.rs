//! Added tokens taken out of text, and what lies between them normalized.
//!
//! The order is that of Hugging Face's `tokenizers`: tokens that are not `normalized` are found in the raw text, each
//! stretch between them is normalized, and the `normalized` tokens are found in that.

use super::special::SpecialPolicy;
use crate::error::Result;
use crate::vocab::{Added, Finder};
use std::ops::{ControlFlow, Range};

/// Text that goes to the splitter, or the id of an added token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'p> {
    Text(&'p str),
    Token(u32),
}

/// Whether the caller has had enough.
pub(super) type Flow = Result<ControlFlow<()>>;

/// Calls `each` with the stretches of `text` between the tokens that are found in any text, normalized.
pub(crate) fn text_between(added: &Added, text: &str, each: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
    let extraction = Extraction { added, policy: None };
    let all = extraction.pieces(text, &mut |piece| {
        if let Piece::Text(text) = piece {
            each(text)?;
        }
        Ok(ControlFlow::Continue(()))
    });
    all.map(|_| ())
}

/// What is found in text; without a policy only tokens that are not special.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extraction<'a> {
    pub(super) added: &'a Added,
    pub(super) policy: Option<&'a SpecialPolicy>,
}

impl Extraction<'_> {
    /// Whether text goes to the splitter as it is.
    pub(super) fn is_nothing(self) -> bool {
        self.added.leaves_text() && !self.policy.is_some_and(SpecialPolicy::finds_any)
    }

    /// Calls `each` with the pieces of `text` in order.
    pub(super) fn pieces(self, text: &str, each: &mut impl FnMut(Piece) -> Flow) -> Flow {
        self.stretches(text, self.added.in_raw(), &mut |span, id| {
            if let Some(id) = id {
                return each(Piece::Token(id));
            }
            let normalized = self.added.normalizer().normalize(&text[span]);
            self.stretches(&normalized, self.added.in_normalized(), &mut |span, id| {
                each(id.map_or(Piece::Text(&normalized[span]), Piece::Token))
            })
        })
    }

    /// Calls `each` with the stretches of `text` in order, those that `finder` finds with their ids.
    ///
    /// Where white space belongs to a match, the next one may begin inside it, as in `tokenizers`: it is found too,
    /// unless it has `lstrip`, so that it would begin after that white space.
    pub(super) fn stretches(
        self,
        text: &str,
        finder: &Finder,
        each: &mut impl FnMut(Range<usize>, Option<u32>) -> Flow,
    ) -> Flow {
        let (mut searched, mut done) = (0, 0);
        while let Some((found, place)) = finder.find(text, searched, |place| self.finds(place)) {
            searched = found.end;
            let token = &self.added.tokens()[place];
            if token.single_word && touches_word(text, &found) {
                continue;
            }
            let (before, after) = (&text[..found.start], &text[found.end..]);
            let start = if token.lstrip { before.trim_end().len().max(done) } else { found.start };
            let end = if token.rstrip { text.len() - after.trim_start().len() } else { found.end };
            if end <= start {
                continue;
            }
            if done < start && each(done..start, None)?.is_break() || each(start..end, Some(token.id))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            done = end;
        }
        if done < text.len() { each(done..text.len(), None) } else { Ok(ControlFlow::Continue(())) }
    }

    fn finds(self, place: usize) -> bool {
        self.policy.map_or_else(|| !self.added.tokens()[place].special, |policy| policy.finds(place))
    }
}

/// Whether a word character is next to `span`.
fn touches_word(text: &str, span: &Range<usize>) -> bool {
    let neighbours = [text[..span.start].chars().next_back(), text[span.end..].chars().next()];
    neighbours.into_iter().flatten().any(regex_syntax::is_word_character)
}
