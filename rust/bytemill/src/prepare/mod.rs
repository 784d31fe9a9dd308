//! Documents to shards: scan, shuffle, encode on threads, write in order.
//!
//! A first pass over the inputs hashes them and notes where each document lies (16 bytes each). A
//! permutation keyed by the seed orders the documents; a second pass reads them in that order,
//! encodes on threads and writes on one. What goes where follows from inputs, tokenizer and plan
//! alone, so any number of threads, and a run after a killed one, give identical bytes; the latter
//! goes on behind the shards that are finished.

mod encode;
mod finder;
mod journal;
mod last_tenth;
mod output;
mod scan;
mod source;
mod spool;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::shard::leftovers::remove_leftovers;
use crate::shard::lock::FolderLock;
use crate::shard::order::{Permutation, Stream};
use crate::shard::{JOURNAL_NAME, Layout, MANIFEST_NAME, Manifest, Plan, Split, Tokens, Validation, Verify};
use crate::tokenizer::Tokenizer;
use encode::{EncodeJob, Share};
use journal::Kept;
use output::Output;
use scan::{Corpus, Span};

/// The special token that begins each document, where the vocabulary has it.
const END_OF_TEXT: &str = "<|endoftext|>";

/// What preparing asks of a tokenizer.
pub trait EncodeDocument: Sync {
    /// What appends the ids of a text to a vector; special tokens in the text are text. Each thread asks for its own.
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()>;
    /// Whether [`EncodeDocument::first_cut`] finds places in ordinary text.
    fn cuts(&self) -> bool;
    /// The first place, after the beginning, at which a text may be cut so that its parts encode alone as together.
    fn first_cut(&self, text: &[u8]) -> Option<usize>;
    /// Every id is below this.
    fn n_vocab(&self) -> u32;
    /// The id to put at each document's start, if the vocabulary has one for this.
    fn end_of_text(&self) -> Option<u32>;
    /// SHA-256, in hexadecimal, over all that decides how text is encoded.
    fn fingerprint(&self) -> String;
}

impl EncodeDocument for Tokenizer {
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
        let mut encoder = self.encoder();
        move |text, ids| encoder.bytes(text, ids)
    }

    fn cuts(&self) -> bool {
        Self::cuts(self)
    }

    fn first_cut(&self, text: &[u8]) -> Option<usize> {
        self.splitter().first_cut(text)
    }

    fn n_vocab(&self) -> u32 {
        self.vocab().n_vocab() as u32
    }

    fn end_of_text(&self) -> Option<u32> {
        self.encode_single_token(END_OF_TEXT.as_bytes()).filter(|&id| self.vocab().is_special(id))
    }

    fn fingerprint(&self) -> String {
        Self::fingerprint(self)
    }
}

/// How to lay out documents, and what the work may take.
#[derive(Clone, Debug, PartialEq)]
pub struct PrepareOptions {
    /// Tokens of each shard but a split's last.
    pub shard_tokens: u64,
    /// What is kept apart for validation.
    pub val: Validation,
    /// Keys the shuffle of the documents, and so the choice of those for validation.
    pub seed: u64,
    /// Threads that encode; 0 for as many as the machine has.
    pub threads: usize,
    /// The field of a JSON row that holds its text.
    pub text_field: String,
    /// Bytes of memory that documents on their way may take at most.
    pub max_memory: Option<u64>,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            shard_tokens: crate::shard::MAX_SHARD_TOKENS,
            val: Validation::Share(0.01),
            seed: 0,
            threads: 0,
            text_field: "text".to_owned(),
            max_memory: None,
        }
    }
}

impl PrepareOptions {
    fn check(&self) -> Result<()> {
        match self.val {
            Validation::Share(share) if !(0.0..1.0).contains(&share) => {
                let expected = "a share of at least 0 and below 1".to_owned();
                Err(Error::Argument { name: "val", got: share.to_string(), expected })
            }
            _ => Ok(()),
        }
    }

    fn layout(&self, tokenizer: &impl EncodeDocument) -> Result<Layout> {
        let (n_vocab, end_of_text) = (tokenizer.n_vocab(), tokenizer.end_of_text());
        Layout { n_vocab, end_of_text, shard_tokens: self.shard_tokens }.check()
    }

    fn plan(&self) -> Plan {
        let (shard_tokens, val, seed) = (self.shard_tokens, self.val, self.seed);
        Plan { shard_tokens, val, seed, text_field: self.text_field.clone() }
    }
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes of input done in this stage.
    pub bytes: u64,
    /// Bytes of input in all.
    pub total_bytes: u64,
    /// Documents found, or encoded.
    pub documents: u64,
    /// Tokens written.
    pub tokens: u64,
}

/// The two passes over the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Hashing inputs and finding documents.
    Scan,
    /// Encoding and writing.
    Encode,
}

/// Prepares the text in `sources` (files, or folders of files) into shards in `out_dir`.
///
/// `progress` is called now and then on the caller's thread; on [`ControlFlow::Break`] the work stops.
/// A folder that already holds the result of the same inputs, tokenizer and options is left as it is.
///
/// # Errors
/// When there is no text, an input cannot be read or changes meanwhile, an id is not in the
/// vocabulary, or `out_dir` holds something else. `out_dir` then has no manifest that it had not before.
pub fn prepare<P: AsRef<Path>>(
    sources: &[P],
    out_dir: &Path,
    tokenizer: &impl EncodeDocument,
    options: &PrepareOptions,
    mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Manifest> {
    options.check()?;
    let layout = options.layout(tokenizer)?;
    fs::create_dir_all(out_dir).map_err(Error::io(out_dir))?;
    let inputs = source::find(sources, out_dir)?;
    let corpus = Corpus::scan(inputs, &options.text_field, out_dir, &mut progress)?;
    let mut manifest = Manifest::new(tokenizer.n_vocab(), tokenizer.fingerprint(), tokenizer.end_of_text(), Vec::new());
    manifest.plan = Some(options.plan());
    manifest.inputs = corpus.entries();
    if out_dir.join(MANIFEST_NAME).exists() {
        return already_there(out_dir, &manifest);
    }
    let _lock = FolderLock::take(out_dir)?;
    if out_dir.join(MANIFEST_NAME).exists() {
        // Whoever held the lock before us has just finished.
        return already_there(out_dir, &manifest);
    }
    let writing = Writing {
        corpus: &corpus,
        out_dir,
        tokenizer,
        layout,
        share: Share::new(&corpus, tokenizer, options)?,
        options,
    };
    let (bytes, documents) = (corpus.total_bytes(), corpus.n_documents());
    let scanned = Progress { stage: Stage::Scan, bytes, total_bytes: bytes, documents, tokens: 0 };
    let kept = Kept::find(out_dir, &manifest, &mut |_| progress(&scanned))?;
    remove_leftovers(out_dir, &kept.shards())?;
    let written = writing.run(kept, &mut manifest, &mut progress).and_then(|output| {
        corpus.check_unchanged()?;
        manifest.shards = output.finish()?;
        manifest.write(out_dir)
    });
    match &written {
        // What is finished stays for the next run.
        Err(Error::Interrupted | Error::Io { .. }) => {}
        // The first failure is the one to tell; leftovers are removed again by the next run. Once the
        // manifest has its name nothing is a leftover, even if the folder could not be flushed after.
        Err(_) if !out_dir.join(MANIFEST_NAME).exists() => drop(remove_leftovers(out_dir, &[])),
        _ => drop(fs::remove_file(out_dir.join(JOURNAL_NAME))),
    }
    written.map(|()| manifest)
}

/// The manifest in `out_dir`, if it was made from what `wanted` names.
fn already_there(out_dir: &Path, wanted: &Manifest) -> Result<Manifest> {
    let found = Manifest::read(out_dir)?;
    if let Some((name, found, wanted)) = found.first_difference(wanted) {
        let at = out_dir.display();
        let expected = format!("{found}, with which the shards in {at} were made, or another folder");
        return Err(Error::Argument { name, got: wanted, expected });
    }
    for split in [Split::Train, Split::Val] {
        Tokens::open([(out_dir, &found)], split, Verify::FirstTouch)?;
    }
    Ok(found)
}

/// What the second pass needs.
struct Writing<'a, T> {
    corpus: &'a Corpus,
    out_dir: &'a Path,
    tokenizer: &'a T,
    layout: Layout,
    share: Share,
    options: &'a PrepareOptions,
}

impl<T: EncodeDocument> Writing<'_, T> {
    /// Encodes all documents behind those of `kept` shards; `manifest` lists, in the journal, what is finished.
    fn run(
        &self,
        kept: Kept,
        manifest: &mut Manifest,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Output> {
        let Self { corpus, options, .. } = *self;
        let n_documents = corpus.n_documents();
        if n_documents == 1 && matches!(options.val, Validation::Share(share) if share > 0.0) {
            let [val, train] = last_tenth::cut(corpus, options.val)?;
            return self.encode(
                |part| if part == 0 { val.clone() } else { train.clone() },
                2,
                kept,
                manifest,
                progress,
            );
        }
        let order = Permutation::new(n_documents, options.seed, Stream::Documents, 0);
        self.encode(|position| corpus.span(order.at(position)), n_documents, kept, manifest, progress)
    }

    fn encode(
        &self,
        order: impl Fn(u64) -> Span + Sync,
        n_items: u64,
        kept: Kept,
        manifest: &mut Manifest,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Output> {
        let Self { corpus, out_dir, tokenizer, layout, share, options } = *self;
        let first = kept.next_document();
        let mut bytes = (0..first).map(|item| order(item).bytes).map(|bytes| bytes.end - bytes.start).sum();
        let mut documents = first;
        let job = EncodeJob::new(corpus, tokenizer, order, n_items, share);
        let mut output = Output::new(out_dir, layout, options.val, n_items, kept)?;
        let mut n_finished = output.n_finished();
        job.run(first, |encoded| {
            for (begins, ids) in encoded.documents() {
                documents += u64::from(begins);
                if begins { output.begin(ids)? } else { output.go_on(ids)? }
            }
            if output.n_finished() > n_finished {
                n_finished = output.n_finished();
                manifest.shards = output.finished();
                manifest.write_as(out_dir, JOURNAL_NAME)?;
            }
            bytes += encoded.input_bytes;
            let (stage, total_bytes, tokens) = (Stage::Encode, corpus.total_bytes(), output.n_tokens());
            let now = Progress { stage, bytes, total_bytes, documents, tokens };
            if progress(&now).is_break() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
        Ok(output)
    }
}

#[cfg(test)]
mod tests;
