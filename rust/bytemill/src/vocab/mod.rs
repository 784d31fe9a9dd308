//! The vocabulary of a tokenizer: tokens and their ids, merges and their order, special tokens.
//!
//! One engine supports two conventions exactly. Hugging Face lists the merges; the rank of a merge is
//! its position in the list. tiktoken lists tokens with ranks; any two neighbours whose joined bytes
//! are a token may merge, and the rank of that merge is the id of the token.
//!
//! Ranks are converted to a list of merges. When two parts l and r merge to a token t in some text, no
//! earlier merge crossed the outer ends of l and r. So the merges inside t ran exactly as they run on
//! the bytes of t alone, and those always end in the same pair. Each token therefore has at most one
//! pair that ever makes it. Merging the token's own bytes finds that pair (see `recover`), and the list
//! of these pairs encodes every text as the ranks do.

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

/// The tokens, merges and special tokens of a byte-level BPE tokenizer. Immutable.
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
    /// For each id, the merge that makes it from its own bytes, or [`NEVER_MADE`].
    made_by: Vec<u32>,
    added: Arc<Added>,
    /// The ids that belong only to added tokens, ascending.
    only_added: Vec<u32>,
    /// The `post_processor` of `tokenizer.json`, as JSON; kept for other readers of the file.
    post_processor: Option<String>,
    ignore_merges: bool,
    /// Built by the first decode.
    slots: OnceLock<Vec<[u8; SLOT_BYTES]>>,
}

/// Longer pieces may be a token that the encoder's cache does not hold, such as a row of dashes.
const LOOKED_UP_FROM_BYTES: usize = 32;
/// Longer pieces are merged in windows.
const LONG_BYTES: usize = 4096;

impl Vocab {
    /// Create a vocabulary in the layout of training: ids 0-255 are the byte values, merge `i` (a pair of
    /// ids) makes id `256 + i`, and the special tokens follow in order.
    pub fn from_merges(merges: &[(u32, u32)], special_tokens: &[&str]) -> Result<Self> {
        let first = 256 + merges.len() as u32;
        Self::from_merges_with(merges, special_tokens.iter().map(|text| (*text).to_owned()).zip(first..).collect())
    }

    /// Like [`Vocab::from_merges`], with an explicit id for each special token.
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

    /// Create a vocabulary in the layout of Hugging Face and GPT-2: tokens as `(bytes, id)`, and merges as
    /// the bytes of their two parts, in order.
    ///
    /// With `ignore_merges`, a pretoken that equals a token is encoded as that token, even if merging
    /// would not make it.
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

    /// Like [`Vocab::from_tokens`], with merges as pairs of ids.
    pub fn from_token_ids(
        tokens: &[(Vec<u8>, u32)],
        merges: &[(u32, u32)],
        special_tokens: Vec<(String, u32)>,
        ignore_merges: bool,
    ) -> Result<Self> {
        let tokens = Tokens::new(tokens.iter().map(|(bytes, id)| (&bytes[..], *id)))?;
        Self::assemble(tokens, merges, special_tokens, ignore_merges)
    }

    /// Create a vocabulary in the layout of tiktoken: tokens as `(bytes, rank)`. The rank is both the id
    /// and the merge order.
    pub fn from_ranks(tokens: &[(Vec<u8>, u32)], special_tokens: Vec<(String, u32)>) -> Result<Self> {
        let tokens = Tokens::new(tokens.iter().map(|(bytes, id)| (&bytes[..], *id)))?;
        let recovered = recover::from_ranks(&tokens)?;
        Self::finish(tokens, recovered, special_tokens, true)
    }

    /// Return the largest id plus one, as tiktoken does; some ids below it may have no token.
    pub fn n_vocab(&self) -> usize {
        self.tokens.n_ids()
    }

    /// Return the position of the first byte in `text` that has no token; valid UTF-8 has no such byte.
    pub(crate) fn first_unknown_byte(&self, text: &[u8]) -> Option<usize> {
        let lacks = |byte: u8| NEVER_IN_TEXT.contains(&byte) && self.tokens.id(&[byte]).is_none();
        if NEVER_IN_TEXT.into_iter().any(lacks) { text.iter().position(|&byte| lacks(byte)) } else { None }
    }

    /// Return the bytes of `id`; for a special token these are its text.
    #[inline]
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.bytes(id)
    }

    /// Return the bytes of each id in a form that is quick to copy; see [`Tokens::slots`].
    #[inline]
    pub(crate) fn slots(&self) -> &[[u8; SLOT_BYTES]] {
        if let Some(slots) = self.slots.get() {
            return slots;
        }
        // Build the slots outside the cell: a child forked while a thread initializes the cell would wait forever.
        let slots = self.tokens.slots();
        self.slots.get_or_init(|| slots)
    }

    /// Return the id of the token with these bytes. An ordinary token wins over an added one, as in tiktoken.
    pub fn id_of(&self, bytes: &[u8]) -> Option<u32> {
        let added = || Some(self.added.tokens()[self.added.place(str::from_utf8(bytes).ok()?)?].id);
        self.tokens.id(bytes).or_else(added)
    }

    /// Iterate over the ids that have a token, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|(id, _)| id)
    }

    /// Iterate over the ordinary tokens by ascending id.
    pub fn ordinary_tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.tokens.iter().filter(|(id, _)| !self.is_only_added(*id))
    }

    /// Return the bytes of all tokens in one piece, and the range of each ordinary token in it, by ascending id.
    pub(crate) fn ordinary_text(&self) -> (&[u8], impl Iterator<Item = (u32, Range<usize>)>) {
        let (text, spans) = self.tokens.text();
        (text, spans.filter(|(id, _)| !self.is_only_added(*id)))
    }

    /// Return the special tokens by ascending id.
    pub fn special_tokens(&self) -> &[(String, u32)] {
        self.added.special()
    }

    /// Return all added tokens by ascending id: the special tokens and those that are found in any text.
    pub fn added_tokens(&self) -> &[AddedToken] {
        self.added.tokens()
    }

    /// Return the normalization that is applied to text before it is split.
    pub fn normalizer(&self) -> Normalizer {
        self.added.normalizer()
    }

    /// Return the object that finds added tokens and normalizes text.
    #[inline]
    pub(crate) fn added(&self) -> &Arc<Added> {
        &self.added
    }

    /// Return the `post_processor` of `tokenizer.json` as JSON if it differs from the default.
    pub fn post_processor(&self) -> Option<&str> {
        self.post_processor.as_deref()
    }

    /// Return whether `id` belongs to a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.added.special().binary_search_by_key(&id, |(_, special)| *special).is_ok()
    }

    /// Return whether `id` belongs to a special token that merging never makes.
    pub(crate) fn is_only_special(&self, id: u32) -> bool {
        self.is_special(id) && self.is_only_added(id)
    }

    /// Return the added token with this id.
    pub fn added_token(&self, id: u32) -> Option<&AddedToken> {
        let added = self.added.tokens();
        added.binary_search_by_key(&id, |token| token.id).ok().map(|place| &added[place])
    }

    /// Return whether no merge makes `id`.
    fn is_only_added(&self, id: u32) -> bool {
        self.only_added.binary_search(&id).is_ok()
    }

    /// Return the merges in order, as pairs of ids.
    pub fn merge_ids(&self) -> Vec<(u32, u32)> {
        self.engine.pairs().merges().iter().map(|merge| merge.parts).collect()
    }

    /// Iterate over the merges in order, as the bytes of their parts.
    pub fn merges(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let parts = self.engine.pairs().merges().iter().map(|merge| merge.parts);
        parts.filter_map(|(left, right)| Some((self.token_bytes(left)?, self.token_bytes(right)?)))
    }

    /// Return whether a pretoken that equals a token is encoded as that token even if merging would not
    /// make it. Returns `false` if merging makes every token, because the setting has no effect then.
    pub fn ignore_merges(&self) -> bool {
        self.ignore_merges
    }

    /// Return whether merging the token's own bytes makes it.
    #[inline]
    pub fn encodes_to_itself(&self, id: u32) -> bool {
        self.made_by.get(id as usize).is_some_and(|&merge| merge != NEVER_MADE)
    }

    /// Iterate over the ordinary tokens that merging their own bytes does not make.
    pub fn unreachable_tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.ordinary_tokens().filter(|(id, _)| !self.encodes_to_itself(*id))
    }

    /// Return whether both vocabularies encode every pretoken alike. May return `false` if they do so by accident.
    pub fn encodes_like(&self, other: &Self) -> bool {
        self.ignore_merges == other.ignore_merges
            && self.ordinary_tokens().eq(other.ordinary_tokens())
            && self.merges_in_use().eq(other.merges_in_use())
    }

    /// Return the places at which a pretoken may be cut before it is merged.
    #[inline]
    pub(crate) fn cut_points(&self) -> &CutPoints {
        &self.cut_points
    }

    /// Return the id of a whole pretoken that is a token though merging would not make it.
    #[inline]
    pub(crate) fn only_as_a_whole(&self, pretoken: &[u8]) -> Option<u32> {
        if !self.ignore_merges {
            return None;
        }
        self.tokens.id(pretoken).filter(|&id| !self.encodes_to_itself(id))
    }

    /// Append the ids that `piece` merges to.
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

    /// Add added tokens to this vocabulary, which must not have any yet.
    ///
    /// An added token may have the bytes of an ordinary token. It then has either an id of its own, as in tiktoken, or
    /// the same id, as in `tokenizers`.
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

    /// Set the JSON of the file's `post_processor`; `None` removes it.
    #[must_use]
    pub fn with_post_processor(self, post_processor: Option<String>) -> Self {
        Self { post_processor, ..self }
    }

    /// Iterate over the merges that can make a token, in order.
    fn merges_in_use(&self) -> impl Iterator<Item = Merge> {
        let mut used: Vec<u32> = self.made_by.iter().copied().filter(|&merge| merge < A_BYTE).collect();
        used.sort_unstable();
        used.into_iter().map(|rank| self.engine.pairs().merges()[rank as usize])
    }
}

/// Build the merge engine. Each merge must make a token and must be listed once.
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
