//! The public tokenizer: a vocabulary and a splitter, and the operations that need both.

use crate::decode;
use crate::encode::{self, Encoder, Memory, Parts, Request, SpecialPolicy, Specials};
use crate::error::{Error, Result};
use crate::formats::{self, Format, PatternChoice};
use crate::interrupt;
use crate::split::Splitter;
use crate::vocab::{AddedToken, Normalizer, Vocab};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A byte-level BPE tokenizer; immutable, so threads may share it.
///
/// ```
/// use bytemill::Tokenizer;
///
/// let merges = [(b'h'.into(), b'i'.into())];
/// let tokenizer = Tokenizer::from_merges(&merges, Some("gpt2"), &["<end>"])?;
/// let ids = tokenizer.encode_ordinary("hi you")?;
/// assert_eq!(ids, [256, 32, 121, 111, 117]);
/// assert_eq!(tokenizer.decode(&ids)?, "hi you");
/// # Ok::<(), bytemill::Error>(())
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    vocab: Vocab,
    splitter: Splitter,
    memory: Memory,
}

impl Clone for Tokenizer {
    fn clone(&self) -> Self {
        Self::new(self.vocab.clone(), self.splitter.clone())
    }
}

impl Tokenizer {
    /// Make a tokenizer from a vocabulary and a splitter.
    pub fn new(vocab: Vocab, splitter: Splitter) -> Self {
        Self { vocab, splitter, memory: Memory::default() }
    }

    /// Make the tokenizer from trained merges; see [`Vocab::from_merges`] and [`Splitter::new`].
    pub fn from_merges(merges: &[(u32, u32)], pattern: Option<&str>, special_tokens: &[&str]) -> Result<Self> {
        Ok(Self::new(Vocab::from_merges(merges, special_tokens)?, Splitter::new(pattern)?))
    }

    /// Make the tokenizer from tiktoken ranks; see [`Vocab::from_ranks`] and [`Splitter::new`].
    pub fn from_ranks(
        ranks: &[(Vec<u8>, u32)],
        pattern: Option<&str>,
        special_tokens: Vec<(String, u32)>,
    ) -> Result<Self> {
        Ok(Self::new(Vocab::from_ranks(ranks, special_tokens)?, Splitter::new(pattern)?))
    }

    /// Return the tokenizer of the same training with a smaller `n_vocab`: the first merges, all special tokens.
    ///
    /// Return an error if ids are not in the order bytes, merges, special tokens, or if `n_vocab` is too small.
    pub fn truncated(&self, n_vocab: usize) -> Result<Self> {
        let special: Vec<&str> = self.vocab.added_tokens().iter().map(|token| token.content.as_str()).collect();
        let (smallest, merges) = (256 + special.len(), self.vocab.merge_ids());
        let is_same = |same: Vocab| same.encodes_like(&self.vocab) && same.n_vocab() == self.vocab.n_vocab();
        let in_order =
            self.vocab.post_processor().is_none() && Vocab::from_merges(&merges, &special).is_ok_and(is_same);
        if !in_order || !(smallest..=self.vocab.n_vocab()).contains(&n_vocab) {
            let expected = if in_order {
                format!("{smallest} to {}", self.vocab.n_vocab())
            } else {
                "a vocabulary whose ids are the bytes, then the merges, then the special tokens, without a post_processor"
                    .to_owned()
            };
            return Err(Error::Argument { name: "vocab_size", got: n_vocab.to_string(), expected });
        }
        let fewer = (n_vocab - special.len()) as u32..;
        let added = self.vocab.added_tokens().iter().zip(fewer).map(|(token, id)| AddedToken { id, ..token.clone() });
        let vocab = Vocab::from_merges(&merges[..n_vocab - smallest], &[])?;
        Ok(Self::new(vocab.with_added(added.collect(), self.vocab.normalizer())?, self.splitter.clone()))
    }

    /// Read any format of [`crate::formats`]; the content determines which.
    pub fn load(path: &Path, pattern: PatternChoice, special_tokens: Option<&[(&str, Option<u32>)]>) -> Result<Self> {
        let (vocab, splitter) = formats::load(path, pattern, special_tokens)?;
        Ok(Self::new(vocab, splitter))
    }

    /// Write `path` (a folder for [`Format::Gpt2`]). Return an error if the format cannot hold this tokenizer.
    pub fn save(&self, path: &Path, format: Format) -> Result<()> {
        formats::save(&self.vocab, &self.splitter, path, format)
    }

    /// Return the tokens, merges and special tokens.
    pub fn vocab(&self) -> &Vocab {
        &self.vocab
    }

    /// Whether [`Tokenizer::first_cut`] finds places in ordinary text.
    pub(crate) fn cuts(&self) -> bool {
        let added = self.vocab.added();
        let is_normalized = |token: &AddedToken| token.normalized && added.normalizer() != Normalizer::None;
        let hides_cuts = |token: &AddedToken| !token.special && (token.looks_around() || is_normalized(token));
        self.splitter.is_by_hand() && !added.tokens().iter().any(hides_cuts)
    }

    /// The first place where `text`, a part of a longer one, may be cut: pretokens and the tokens that are found in any
    /// text are those of the whole.
    pub(crate) fn first_cut(&self, text: &[u8]) -> Option<usize> {
        let added = self.vocab.added();
        if !added.finds_in_any_text() {
            return self.splitter.first_cut(text);
        }
        // A token may have begun before `text`.
        let in_any_text = added.tokens().iter().filter(|token| !token.special);
        let mut at = in_any_text.map(|token| token.content.len()).max()?;
        let policy = self.special_policy(Specials::NONE, Specials::NONE).ok()?;
        loop {
            at += self.splitter.first_cut(text.get(at..)?)?;
            if !policy.may_lie_across(text, at) {
                return Some(at);
            }
        }
    }

    /// Whether decoding the ids of a text, in which special tokens are text, gives the text back.
    pub(crate) fn keeps_ordinary_text(&self) -> bool {
        !self.splitter.adds_text() && self.vocab.added().keeps_every_byte(|token| !token.special)
    }

    /// What is merged when `text` is encoded: normalized, and without the tokens that are found in any text.
    pub fn pretokens(&self, text: &str) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        encode::text_between(self.vocab.added(), text, &mut |stretch| {
            self.splitter.split_str(stretch, |pretoken| found.push(pretoken.to_vec()))
        })?;
        Ok(found)
    }

    /// Return the splitter, which cuts text into pretokens.
    pub fn splitter(&self) -> &Splitter {
        &self.splitter
    }

    /// Return a hash (64 hexadecimal digits) of everything that determines the ids of a text.
    pub fn fingerprint(&self) -> String {
        formats::fingerprint(&self.vocab, &self.splitter)
    }

    /// Encode `text`; special tokens in it are ordinary text.
    pub fn encode_ordinary(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = encode::room_for_short_text(text.len());
        self.encoder().encode(text, Request::default(), &mut ids)?;
        Ok(ids)
    }

    /// The ids of `text` with tiktoken's rules for special tokens: those in `allowed` become their
    /// ids, text in `disallowed` is an error. For many texts make a [`SpecialPolicy`] once.
    pub fn encode(&self, text: &str, allowed: Specials, disallowed: Specials) -> Result<Vec<u32>> {
        self.encode_with(text, &self.special_policy(allowed, disallowed)?)
    }

    /// What [`Tokenizer::encode_with`] and [`Tokenizer::encode_batch`] do about special tokens.
    pub fn special_policy(&self, allowed: Specials, disallowed: Specials) -> Result<SpecialPolicy> {
        SpecialPolicy::new(&self.vocab, allowed, disallowed)
    }

    /// Like [`Tokenizer::encode`], with an existing policy.
    pub fn encode_with(&self, text: &str, policy: &SpecialPolicy) -> Result<Vec<u32>> {
        let mut ids = encode::room_for_short_text(text.len());
        self.encoder().encode(text, Request { policy: Some(policy), max_tokens: None }, &mut ids)?;
        Ok(ids)
    }

    /// Encode `text` as requested. With a limit, the rest of a long text is not encoded if the pattern has safe
    /// places to stop, as the hand-written patterns do.
    ///
    /// ```
    /// # use bytemill::{Tokenizer, encode::Request};
    /// let tokenizer = Tokenizer::from_merges(&[], Some("gpt2"), &[])?;
    /// let three = Request { max_tokens: Some(3), ..Request::default() };
    /// assert_eq!(tokenizer.encode_wanted("abcdef", three)?, [97, 98, 99]);
    /// # Ok::<(), bytemill::Error>(())
    /// ```
    pub fn encode_wanted(&self, text: &str, wanted: Request) -> Result<Vec<u32>> {
        let mut ids = match wanted.max_tokens {
            None => encode::room_for_short_text(text.len()),
            Some(most) => Vec::with_capacity(most.min(text.len())),
        };
        self.encoder().encode(text, wanted, &mut ids)?;
        Ok(ids)
    }

    /// Encode any bytes; bytes that are not UTF-8 are separate pretokens.
    pub fn encode_bytes(&self, text: &[u8]) -> Result<Vec<u32>> {
        let mut ids = encode::room_for_short_text(text.len());
        self.encode_ordinary_into(text, &mut ids)?;
        Ok(ids)
    }

    /// Append what [`Tokenizer::encode_bytes`] returns.
    pub fn encode_ordinary_into(&self, text: &[u8], ids: &mut Vec<u32>) -> Result<()> {
        self.encoder().bytes(text, ids)
    }

    /// Encode all texts on at most `threads` threads. Return the ids in one vector, and the offset of each text's ids
    /// (`offsets.len() == texts.len() + 1`).
    pub fn encode_batch(&self, texts: &[&str], wanted: Request, threads: usize) -> Result<(Vec<u32>, Vec<usize>)> {
        encode::encode_batch(self.parts(), texts, wanted, threads)
    }

    /// Encode a file of UTF-8 text on at most `threads` threads.
    pub fn encode_file(&self, path: &Path, policy: &SpecialPolicy, threads: usize) -> Result<Vec<u32>> {
        let bytes = read_whole(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            Error::format(path, format!("is not UTF-8 at byte {}, expected text", error.valid_up_to()))
        })?;
        policy.check(text)?;
        let parts = if policy.may_be_cut() {
            vec![text]
        } else {
            self.splitter.parts(text, PARTS_PER_THREAD.saturating_mul(threads))
        };
        Ok(self.encode_batch(&parts, Request { policy: Some(policy), max_tokens: None }, threads)?.0)
    }

    /// Return the number of ids that [`Tokenizer::encode_ordinary`] returns.
    pub fn count(&self, text: &str) -> Result<usize> {
        self.encode_ordinary(text).map(|ids| ids.len())
    }

    /// Return the number of ids that [`Tokenizer::encode_ordinary`] returns, if it is at most `limit`. Like
    /// [`Tokenizer::encode_wanted`], this encodes no more text than necessary.
    pub fn count_until(&self, text: &str, limit: usize) -> Result<Option<usize>> {
        let wanted = Request { policy: None, max_tokens: Some(limit.saturating_add(1)) };
        let n_ids = self.encode_wanted(text, wanted)?.len();
        Ok((n_ids <= limit).then_some(n_ids))
    }

    /// The id of the one token, ordinary or added, with these bytes: of two the one that is found in any text.
    pub fn encode_single_token(&self, bytes: &[u8]) -> Option<u32> {
        let added = self.vocab.added();
        let found = str::from_utf8(bytes).ok().and_then(|text| added.place(text)).map(|place| &added.tokens()[place]);
        found.filter(|token| !token.special).map(|token| token.id).or_else(|| self.vocab.id_of(bytes))
    }

    /// Return the ids, and for each id the index of the character in which it begins.
    pub fn encode_with_offsets(&self, text: &str, policy: Option<&SpecialPolicy>) -> Result<(Vec<u32>, Vec<usize>)> {
        if self.splitter.adds_text() || !self.vocab.added().keeps_every_byte(|_| true) {
            return self.encoder().with_offsets(text, policy);
        }
        let ids = match policy {
            Some(policy) => self.encode_with(text, policy)?,
            None => self.encode_ordinary(text)?,
        };
        let offsets = decode::character_offsets(&self.vocab, &ids)?;
        Ok((ids, offsets))
    }

    /// Decode `ids` to text; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        decode::decode_lossy(&self.vocab, ids)
    }

    /// Decode `ids` to text, which must be UTF-8.
    pub fn decode_strict(&self, ids: &[u32]) -> Result<String> {
        decode::decode_strict(&self.vocab, ids)
    }

    /// Decode `ids` to bytes.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>> {
        decode::decode_bytes(&self.vocab, ids)
    }

    /// Decode `ids` to text, and return for each id the index of the character in which it begins.
    pub fn decode_with_offsets(&self, ids: &[u32]) -> Result<(String, Vec<usize>)> {
        decode::decode_with_offsets(&self.vocab, ids)
    }

    pub(crate) fn encoder(&self) -> Encoder<'_> {
        Encoder::new(self.parts())
    }

    fn parts(&self) -> Parts<'_> {
        Parts { vocab: &self.vocab, splitter: &self.splitter, memory: &self.memory }
    }
}

/// The bytes of a file.
fn read_whole(path: &Path) -> Result<Vec<u8>> {
    const AT_ONCE: u64 = 32 << 20;
    let mut file = File::open(path).map_err(Error::io(path))?;
    // A device or pipe reports a size of zero.
    let n_bytes = file.metadata().map_err(Error::io(path))?.len();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(n_bytes as usize).map_err(|error| Error::io(path)(error.into()))?;
    while file.by_ref().take(AT_ONCE).read_to_end(&mut bytes).map_err(Error::io(path))? > 0 {
        interrupt::check();
    }
    Ok(bytes)
}

/// Parts of a file per thread, so that one slow part does not delay the others.
const PARTS_PER_THREAD: usize = 8;
