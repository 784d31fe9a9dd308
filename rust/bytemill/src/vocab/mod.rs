//! What a tokenizer knows: tokens and their ids, merges and their order, special tokens.
//!
//! Two traditions are held exactly by one engine. Hugging Face lists the merges, and a merge's rank
//! is its place in the list. tiktoken lists tokens with ranks; any two neighbours whose bytes
//! together are a token may merge, and the merge's rank is that token's id. The second becomes the
//! first: in whatever text two parts l and r merge to a token t, no merge crossed their outer ends
//! before, so the merges inside went just as they go on t's bytes alone, and those lead to one
//! certain pair. So each token has at most one pair that ever makes it, found by merging its own
//! bytes (see `recover`), and a list of these pairs encodes every text as the ranks do.

mod added;
mod cut_points;
mod finder;
mod index;
mod limits;
mod merge;
mod nfc;
mod pairs;
mod recover;
mod tokens;
mod windows;

#[cfg(test)]
mod tests;

use crate::error::{Result, VocabFault, show};
pub(crate) use added::Added;
pub use added::{AddedToken, Normalizer};
pub(crate) use cut_points::{CutPoints, PIECES};
pub(crate) use finder::Finder;
pub use limits::{MAX_ID, MAX_TOTAL_BYTES};
pub(crate) use limits::{NEVER_IN_TEXT, SLOT_BYTES};
use merge::Merger;
pub(crate) use merge::Scratch;
pub(crate) use nfc::nfc_with_origins;
use pairs::{MOST_MERGES, Merge};
use recover::{A_BYTE, NEVER_MADE, Recovered};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use tokens::Tokens;
use windows::{WINDOW_BYTES, Windows};

/// The tokens, merges and special tokens of a byte-level BPE tokenizer; never changes once made.
///
/// ```
/// use bytemill::vocab::Vocab;
///
/// let vocab = Vocab::from_merges(&[(b'a'.into(), b'b'.into()), (256, 256)], &["<end>"])?;
/// assert_eq!(vocab.token_bytes(257), Some(&b"abab"[..]));
/// assert_eq!(vocab.id_of(b"<end>"), Some(258));
/// assert_eq!(vocab.n_vocab(), 259);
/// # Ok::<(), bytemill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vocab {
    tokens: Tokens,
    engine: Merger,
    cut_points: CutPoints,
    /// For each id, the merge that makes it out of its own bytes, or [`NEVER_MADE`].
    made_by: Vec<u32>,
    added: Arc<Added>,
    /// The ids that only added tokens have, ascending.
    only_added: Vec<u32>,
    /// What `tokenizer.json` says to put around ids, as JSON; kept for those who read it.
    post_processor: Option<String>,
    ignore_merges: bool,
    /// Made when first decoding.
    slots: OnceLock<Vec<[u8; SLOT_BYTES]>>,
}

/// Longer pieces may be a token that no encoder remembers, such as a row of dashes.
const LOOKED_UP_FROM_BYTES: usize = 32;
/// Longer pieces are merged in windows.
const LONG_BYTES: usize = 4096;

impl Vocab {
    /// A vocabulary as training makes it: ids 0-255 are the byte values, merge `i` (a pair of ids)
    /// makes id `256 + i`, then come the special tokens in order.
    pub fn from_merges(merges: &[(u32, u32)], special_tokens: &[&str]) -> Result<Self> {
        let first = 256 + merges.len() as u32;
        Self::from_merges_with(merges, special_tokens.iter().map(|text| (*text).to_owned()).zip(first..).collect())
    }

    /// As [`Vocab::from_merges`], with special tokens at ids of their own.
    pub fn from_merges_with(merges: &[(u32, u32)], special_tokens: Vec<(String, u32)>) -> Result<Self> {
        let mut tokens = Tokens::new(std::iter::empty())?;
        for byte in 0..=255_u8 {
            tokens.add(byte.into(), &[byte], byte.into())?;
        }
        for (index, &(left, right)) in merges.iter().enumerate() {
            let part = |id| tokens.bytes(id).ok_or(VocabFault::UnknownPart { index, part: format!("id {id}") });
            let made = [part(left)?, part(right)?].concat();
            tokens.add(256 + index, &made, (256 + index) as u32)?;
        }
        Self::assemble(tokens, merges, special_tokens, false)
    }

    /// A vocabulary as Hugging Face and GPT-2 write it: tokens as `(bytes, id)`, merges as the bytes
    /// of their two parts, in order.
    ///
    /// With `ignore_merges` a pretoken that is a token is that token, even where merging would not
    /// make it.
    pub fn from_tokens<'a>(
        tokens: &[(Vec<u8>, u32)],
        merges: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        special_tokens: Vec<(String, u32)>,
        ignore_merges: bool,
    ) -> Result<Self> {
        let tokens = Tokens::new(tokens.iter().map(|(bytes, id)| (&bytes[..], *id)))?;
        let part = |index, bytes: &[u8]| tokens.id(bytes).ok_or(VocabFault::UnknownPart { index, part: show(bytes) });
        let merges: Result<_, VocabFault> = merges
            .into_iter()
            .enumerate()
            .map(|(index, (left, right))| Ok((part(index, left)?, part(index, right)?)))
            .collect();
        let merges: Vec<(u32, u32)> = merges?;
        Self::assemble(tokens, &merges, special_tokens, ignore_merges)
    }

    /// As [`Vocab::from_tokens`], with merges as pairs of ids.
    pub fn from_token_ids(
        tokens: &[(Vec<u8>, u32)],
        merges: &[(u32, u32)],
        special_tokens: Vec<(String, u32)>,
        ignore_merges: bool,
    ) -> Result<Self> {
        let tokens = Tokens::new(tokens.iter().map(|(bytes, id)| (&bytes[..], *id)))?;
        Self::assemble(tokens, merges, special_tokens, ignore_merges)
    }

    /// A vocabulary as tiktoken writes it: tokens as `(bytes, rank)`, where the rank is the id and
    /// the order of merging.
    pub fn from_ranks(tokens: &[(Vec<u8>, u32)], special_tokens: Vec<(String, u32)>) -> Result<Self> {
        let tokens = Tokens::new(tokens.iter().map(|(bytes, id)| (&bytes[..], *id)))?;
        let recovered = recover::from_ranks(&tokens)?;
        Self::finish(tokens, recovered, special_tokens, true)
    }

    /// One more than the largest id, as tiktoken counts; ids in between may have no token.
    pub fn n_vocab(&self) -> usize {
        self.tokens.n_ids()
    }

    /// The first byte in `text` that no token stands for; valid UTF-8 has none.
    pub(crate) fn first_unknown_byte(&self, text: &[u8]) -> Option<usize> {
        let lacks = |byte: u8| NEVER_IN_TEXT.contains(&byte) && self.tokens.id(&[byte]).is_none();
        if NEVER_IN_TEXT.into_iter().any(lacks) { text.iter().position(|&byte| lacks(byte)) } else { None }
    }

    /// The bytes of `id`; a special token's are its text.
    #[inline]
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.bytes(id)
    }

    /// For each id its bytes in a form that is quick to copy, as [`Tokens::slots`] tells.
    #[inline]
    pub(crate) fn slots(&self) -> &[[u8; SLOT_BYTES]] {
        if let Some(slots) = self.slots.get() {
            return slots;
        }
        // Made before the cell is entered: a child forked while a thread is in it would wait for ever.
        let slots = self.tokens.slots();
        self.slots.get_or_init(|| slots)
    }

    /// The id of the token with these bytes, the ordinary one where an added token has them too, as in tiktoken.
    pub fn id_of(&self, bytes: &[u8]) -> Option<u32> {
        let added = || Some(self.added.tokens()[self.added.place(str::from_utf8(bytes).ok()?)?].id);
        self.tokens.id(bytes).or_else(added)
    }

    /// The ids that have a token, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|(id, _)| id)
    }

    /// The ordinary tokens by ascending id.
    pub fn ordinary_tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.tokens.iter().filter(|(id, _)| !self.is_only_added(*id))
    }

    /// The bytes of all tokens in one piece, and where in it the ordinary tokens lie, by ascending id.
    pub(crate) fn ordinary_text(&self) -> (&[u8], impl Iterator<Item = (u32, Range<usize>)>) {
        let (text, spans) = self.tokens.text();
        (text, spans.filter(|(id, _)| !self.is_only_added(*id)))
    }

    /// The special tokens by ascending id.
    pub fn special_tokens(&self) -> &[(String, u32)] {
        self.added.special()
    }

    /// The special tokens and those that are found in any text, by ascending id.
    pub fn added_tokens(&self) -> &[AddedToken] {
        self.added.tokens()
    }

    /// What text goes through before it is split.
    pub fn normalizer(&self) -> Normalizer {
        self.added.normalizer()
    }

    /// What finds added tokens and normalizes.
    #[inline]
    pub(crate) fn added(&self) -> &Arc<Added> {
        &self.added
    }

    /// `tokenizer.json`'s `post_processor` as JSON, where it is not the one that is written by default.
    pub fn post_processor(&self) -> Option<&str> {
        self.post_processor.as_deref()
    }

    /// Whether `id` is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        self.added.special().binary_search_by_key(&id, |(_, special)| *special).is_ok()
    }

    /// Whether `id` is a special token's that no text becomes by merging.
    pub(crate) fn is_only_special(&self, id: u32) -> bool {
        self.is_special(id) && self.is_only_added(id)
    }

    /// The added token with this id.
    pub fn added_token(&self, id: u32) -> Option<&AddedToken> {
        let added = self.added.tokens();
        added.binary_search_by_key(&id, |token| token.id).ok().map(|place| &added[place])
    }

    /// Whether no merge makes `id`.
    fn is_only_added(&self, id: u32) -> bool {
        self.only_added.binary_search(&id).is_ok()
    }

    /// The merges in order, as pairs of ids.
    pub fn merge_ids(&self) -> Vec<(u32, u32)> {
        self.engine.pairs().merges().iter().map(|merge| merge.parts).collect()
    }

    /// The merges in order, as the bytes of their parts.
    pub fn merges(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let parts = self.engine.pairs().merges().iter().map(|merge| merge.parts);
        parts.filter_map(|(left, right)| Some((self.token_bytes(left)?, self.token_bytes(right)?)))
    }

    /// Whether a pretoken that is a token is emitted even where merging would not make it. False
    /// where merging makes every token, since then it does not matter.
    pub fn ignore_merges(&self) -> bool {
        self.ignore_merges
    }

    /// Whether merging the token's own bytes makes it.
    #[inline]
    pub fn encodes_to_itself(&self, id: u32) -> bool {
        self.made_by.get(id as usize).is_some_and(|&merge| merge != NEVER_MADE)
    }

    /// The ordinary tokens that merging their own bytes does not make.
    pub fn unreachable_tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.ordinary_tokens().filter(|(id, _)| !self.encodes_to_itself(*id))
    }

    /// Whether both encode every pretoken alike. May be false for vocabularies that do so by accident.
    pub fn encodes_like(&self, other: &Self) -> bool {
        self.ignore_merges == other.ignore_merges
            && self.ordinary_tokens().eq(other.ordinary_tokens())
            && self.merges_in_use().eq(other.merges_in_use())
    }

    /// Where a pretoken may be cut before it is merged.
    #[inline]
    pub(crate) fn cut_points(&self) -> &CutPoints {
        &self.cut_points
    }

    /// The id that a whole pretoken becomes though merging would not make it.
    #[inline]
    pub(crate) fn only_as_a_whole(&self, pretoken: &[u8]) -> Option<u32> {
        if !self.ignore_merges {
            return None;
        }
        self.tokens.id(pretoken).filter(|&id| !self.encodes_to_itself(id))
    }

    /// Appends what `piece` merges to.
    #[inline]
    pub(crate) fn merge(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if piece.len() <= LOOKED_UP_FROM_BYTES {
            return self.engine.merge(piece, scratch, out);
        }
        match self.tokens.id(piece) {
            Some(id) if self.encodes_to_itself(id) => out.push(id),
            _ if piece.len() <= LONG_BYTES => self.engine.merge(piece, scratch, out),
            _ => Windows { tokens: &self.tokens, engine: &self.engine }.merge(WINDOW_BYTES, piece, scratch, out),
        }
    }

    fn assemble(
        tokens: Tokens,
        merges: &[(u32, u32)],
        special_tokens: Vec<(String, u32)>,
        ignore_merges: bool,
    ) -> Result<Self> {
        let engine = engine(&tokens, merges)?;
        let made_by = recover::made_by(&tokens, &engine);
        Self::finish(tokens, Recovered { engine, made_by }, special_tokens, ignore_merges)
    }

    fn finish(
        tokens: Tokens,
        Recovered { engine, made_by }: Recovered,
        special_tokens: Vec<(String, u32)>,
        ignore_merges: bool,
    ) -> Result<Self> {
        let cut_points = CutPoints::of(tokens.iter().map(|(_, bytes)| bytes), tokens.n_bytes());
        let ignore_merges = ignore_merges && tokens.iter().any(|(id, _)| made_by[id as usize] == NEVER_MADE);
        let (added, only_added, post_processor, slots) = Default::default();
        let vocab =
            Self { tokens, engine, cut_points, made_by, added, only_added, post_processor, ignore_merges, slots };
        let special = special_tokens.into_iter().map(|(text, id)| AddedToken::special(text, id));
        vocab.with_added(special.collect(), Normalizer::None)
    }

    /// This vocabulary, which has no added tokens yet, with these.
    ///
    /// One may have the bytes of an ordinary token: then it has an id of its own, as in tiktoken, or the same id, as
    /// in `tokenizers`.
    pub fn with_added(mut self, tokens: Vec<AddedToken>, normalizer: Normalizer) -> Result<Self> {
        let added = Added::new(tokens, normalizer)?;
        for (index, token) in added.tokens().iter().enumerate() {
            let text = added.text_of(token);
            if self.tokens.id(text.as_bytes()) != Some(token.id) {
                self.tokens.add_special(index, &text, token.id)?;
                self.only_added.push(token.id);
            }
        }
        self.only_added.sort_unstable();
        self.added = Arc::new(added);
        Ok(self)
    }

    /// This vocabulary with what its file says to put around ids, as JSON; `None` for nothing.
    #[must_use]
    pub fn with_post_processor(self, post_processor: Option<String>) -> Self {
        Self { post_processor, ..self }
    }

    /// The merges that ever make a token, in order.
    fn merges_in_use(&self) -> impl Iterator<Item = Merge> {
        let mut used: Vec<u32> = self.made_by.iter().copied().filter(|&merge| merge < A_BYTE).collect();
        used.sort_unstable();
        used.into_iter().map(|rank| self.engine.pairs().merges()[rank as usize])
    }
}

/// What merges as told; each merge must make a token and be listed once.
fn engine(tokens: &Tokens, merges: &[(u32, u32)]) -> Result<Merger, VocabFault> {
    if merges.len() > MOST_MERGES {
        return Err(VocabFault::TooManyMerges { limit: MOST_MERGES });
    }
    let mut engine = Merger::with_capacity(&tokens.byte_ids()?, merges.len());
    let mut made = Vec::new();
    for (index, &parts) in merges.iter().enumerate() {
        let part = |id| tokens.bytes(id).ok_or(VocabFault::UnknownPart { index, part: format!("id {id}") });
        let (left, right) = (part(parts.0)?, part(parts.1)?);
        made.clear();
        made.extend_from_slice(left);
        made.extend_from_slice(right);
        let id = tokens.id(&made).ok_or_else(|| VocabFault::UnknownResult { index, token: show(&made) })?;
        if let Err(first) = engine.push(Merge { parts, id }, &made) {
            let first = first as usize;
            return Err(VocabFault::DuplicateMerge { index, left: show(left), right: show(right), first });
        }
    }
    Ok(engine)
}
