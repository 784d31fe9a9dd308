//! A base vocabulary to continue from: its merges come first and its ids stay; new merges follow.
//!
//! Training uses its own ids: 0-255 are the byte values, merge `i` makes 256 + `i`. A vocabulary may have other ids, as
//! GPT-2's has, with special tokens between them.

use super::options::Merge;
use crate::error::{Error, Result};
use crate::vocab::{AddedToken, Normalizer, Scratch, Vocab};
use std::collections::HashMap;

/// The merges that training starts with.
///
/// ```
/// use bytemill::{split::Splitter, train::{Base, Counter, Options, Ties, train, train_onto}, vocab::Vocab};
/// use std::ops::ControlFlow;
///
/// let mut counter = Counter::new(Splitter::new(None)?);
/// counter.add(b"aaabdaaabac")?;
/// let counts = counter.into_counts()?;
/// let go = &mut |_| ControlFlow::Continue(());
/// let two = train(&counts, Options::new(2, Ties::FirstSeen), go)?;
/// let base = Base::of(&Vocab::from_merges(&two, &["<end>"])?)?;
/// let three = train_onto(&base, &counts, Options::new(3, Ties::FirstSeen), go)?;
/// assert_eq!(three, [(97, 97), (256, 97), (257, 98)]); // the same as training to three in one run
/// let vocab = base.continued(&three, &[])?;
/// assert_eq!((vocab.id_of(b"<end>"), vocab.id_of(b"aaab")), (Some(258), Some(259))); // old ids stay
/// # Ok::<(), bytemill::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Base {
    merges: Vec<Merge>,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    given: Vocab,
    merging: Vocab, // the same tokens with training's ids
}

impl Base {
    /// Take the merges of `vocab` as the base.
    ///
    /// Return an error if a token is not made by a merge, because then no text shows where it occurs, or if the
    /// vocabulary normalizes text.
    pub fn of(vocab: &Vocab) -> Result<Self> {
        if vocab.normalizer() != Normalizer::None {
            return Err(Error::Argument {
                name: "base",
                got: "a vocabulary that normalizes text".to_owned(),
                expected: "one without a normalizer, because training does not normalize".to_owned(),
            });
        }
        let n_tokens = vocab.ordinary_tokens().count();
        let unmade = vocab.unreachable_tokens().next();
        if unmade.is_some() || n_tokens != 256 + vocab.merge_ids().len() {
            let (n_merges, example) = (vocab.merge_ids().len(), unmade.map(|(id, _)| format!("; token {id} has none")));
            return Err(Error::Argument {
                name: "base",
                got: format!("a vocabulary of {n_tokens} tokens and {n_merges} merges"),
                expected: format!("one merge for each token except the 256 bytes{}", example.unwrap_or_default()),
            });
        }
        let made = vocab.merges().map(|(left, right)| [left, right].concat());
        let bytes = (0..=255u8).map(|byte| vec![byte]);
        let ids: HashMap<Option<u32>, u32> = bytes.chain(made).map(|token| vocab.id_of(&token)).zip(0..).collect();
        let id = |given: u32| ids.get(&Some(given)).copied().unwrap_or(u32::MAX);
        let merges: Vec<_> = vocab.merge_ids().iter().map(|&(left, right)| (id(left), id(right))).collect();
        let merging = Vocab::from_merges(&merges, &[])?;
        Ok(Self { merges, known: Some(Known { given: vocab.clone(), merging }) })
    }

    /// Return the vocabulary with `merges`, which must start with this base's merges. Old ids stay, including special
    /// tokens'. New tokens get the next ids, then the new `special_tokens`.
    pub fn continued(&self, merges: &[Merge], special_tokens: &[&str]) -> Result<Vocab> {
        let Some(Known { given, .. }) = &self.known else { return Vocab::from_merges(merges, special_tokens) };
        let trained = Vocab::from_merges(merges, &[])?;
        let new = &merges[self.merges.len()..];
        let first = given.n_vocab() as u32;
        let id = |id: u32| match id.checked_sub(256 + self.merges.len() as u32) {
            Some(later) => first + later,
            None => trained.token_bytes(id).and_then(|bytes| given.id_of(bytes)).unwrap_or(u32::MAX),
        };
        let mut tokens: Vec<_> = given.ordinary_tokens().map(|(id, bytes)| (bytes.to_vec(), id)).collect();
        let made = (256 + self.merges.len() as u32..).filter_map(|id| trained.token_bytes(id));
        tokens.extend(made.take(new.len()).map(<[u8]>::to_vec).zip(first..));
        let mut added = given.added_tokens().to_vec();
        let unknown = special_tokens.iter().filter(|text| added.iter().all(|known| known.content != **text));
        let unknown = unknown.zip(first + new.len() as u32..).map(|(text, id)| AddedToken::special(*text, id));
        added.extend(unknown.collect::<Vec<_>>());
        let pairs = given.merge_ids().into_iter().chain(new.iter().map(|&(left, right)| (id(left), id(right))));
        let vocab = Vocab::from_token_ids(&tokens, &pairs.collect::<Vec<_>>(), vec![], given.ignore_merges())?;
        let vocab = vocab.with_added(added, given.normalizer())?;
        Ok(vocab.with_post_processor(given.post_processor().map(str::to_owned)))
    }

    /// Return the merges, in training's ids.
    pub(super) fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// Return the bytes of every token, in the order of training's ids.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Vec<u8>> {
        let bytes = |id| self.known.as_ref().and_then(|known| known.merging.token_bytes(id));
        (0..=255).map(|byte: u8| vec![byte]).chain((256..).map_while(move |id| bytes(id).map(<[u8]>::to_vec)))
    }

    /// Encode `word` with the base's merges and append the ids.
    pub(super) fn encode(&self, word: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) {
        match &self.known {
            Some(known) => known.merging.merge(word, scratch, ids),
            None => ids.extend(word.iter().map(|&byte| u32::from(byte))),
        }
    }
}
