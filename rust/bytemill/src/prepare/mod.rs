//! Documents to shards: scan, shuffle, encode on threads, write in order.
//!
//! The first pass over the inputs hashes them and records where each document is (20 bytes per document). A permutation
//! keyed by the seed orders the documents. The second pass reads them in that order, encodes on several threads and
//! writes on one. The result depends only on inputs, tokenizer and plan. So any number of threads gives identical
//! bytes, and so does a run after a killed one, which continues after the finished shards.

mod budget;
mod check;
mod encode;
mod encode_document;
mod finder;
mod journal;
mod last_tenth;
mod options;
mod order;
mod output;
mod progress;
mod scan;
mod source;
mod spool;
mod unchanged;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::shard::leftovers::remove_leftovers;
use crate::shard::lock::FolderLock;
use crate::shard::{self, JOURNAL_NAME, Layout, MANIFEST_NAME, Manifest, Split, Tokens, Verify};
use budget::{Budget, Share};
use check::Check;
use encode::EncodeJob;
pub use encode_document::EncodeDocument;
use journal::Kept;
pub use options::PrepareOptions;
use order::Order;
use output::Output;
use progress::to_result;
pub use progress::{Progress, Stage};
use scan::Corpus;
use unchanged::Unchanged;

/// Prepare the text in `sources` (files, or folders of files) into shards in `out_dir`.
///
/// `progress` is called regularly on the caller's thread; on [`ControlFlow::Break`] the work stops. If the folder
/// already contains the result of the same inputs, tokenizer and options, it stays unchanged.
///
/// # Errors
/// If there is no text, an input cannot be read or changes during the work, an id is not in the vocabulary, the tokens
/// written do not match the text, or `out_dir` contains something else. Then no new manifest is written to `out_dir`.
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
    let budget = Budget::new(tokenizer, options);
    let inputs = source::find(sources, out_dir)?;
    let corpus = Corpus::scan(inputs, &options.text_field, out_dir, budget, &mut progress)?;
    let mut manifest = Manifest::new(tokenizer.n_vocab(), tokenizer.fingerprint(), tokenizer.end_of_text(), Vec::new());
    manifest.plan = Some(options.plan());
    manifest.inputs = corpus.entries();
    let order = Order::new(&corpus, &options.plan())?;
    let share = budget.share(corpus.found())?;
    let compare = |manifest: &Manifest, progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>| {
        let check = Check { corpus: &corpus, order: &order, tokenizer, folder: out_dir, manifest, share };
        if options.check { check.run(&mut |now| to_result(progress(now))) } else { Ok(()) }
    };
    if out_dir.join(MANIFEST_NAME).exists() {
        let found = already_there(out_dir, &manifest)?;
        return compare(&found, &mut progress).map(|()| found);
    }
    let _lock = FolderLock::take(out_dir)?;
    if out_dir.join(MANIFEST_NAME).exists() {
        // The process that held the lock has just finished.
        let found = already_there(out_dir, &manifest)?;
        return compare(&found, &mut progress).map(|()| found);
    }
    let writing = Writing { corpus: &corpus, order: &order, out_dir, tokenizer, layout, share, options };
    let (bytes, documents) = (corpus.total_bytes(), corpus.n_documents());
    let scanned = Progress { stage: Stage::Scan, bytes, total_bytes: bytes, documents, tokens: 0 };
    let kept = Kept::find(out_dir, &manifest, &mut |_| progress(&scanned))?;
    remove_leftovers(out_dir, &kept.shards())?;
    let written = writing.run(kept, &mut manifest, &mut progress).and_then(|output| {
        corpus.check_unchanged()?;
        manifest.shards = output.finish()?;
        compare(&manifest, &mut progress)?;
        manifest.write(out_dir)
    });
    clean_up(out_dir, &written);
    written.map(|()| manifest)
}

/// Remove files that are not needed after the work.
fn clean_up(out_dir: &Path, written: &Result<()>) {
    match written {
        // Completed shards are kept for the next run.
        Err(Error::Interrupted | Error::Io { .. }) => {}
        // Report the first error, not one of this cleanup; the next run removes leftovers again. If the manifest has
        // its name, nothing is a leftover, even if flushing the folder failed after that.
        Err(_) if !out_dir.join(MANIFEST_NAME).exists() => drop(remove_leftovers(out_dir, &[])),
        _ => drop(fs::remove_file(out_dir.join(JOURNAL_NAME))),
    }
}

/// Return the manifest in `out_dir`, if it was made with the same inputs and settings as `wanted`.
fn already_there(out_dir: &Path, wanted: &Manifest) -> Result<Manifest> {
    let found = Manifest::read(out_dir)?;
    if let Some((name, found, wanted)) = found.first_difference(wanted) {
        let at = out_dir.display();
        let expected = format!("{found}, the value of the shards in {at}, or another folder");
        return Err(Error::Argument { name, got: wanted, expected });
    }
    for split in [Split::Train, Split::Val] {
        Tokens::open([(out_dir, &found)], split, Verify::FirstTouch)?;
    }
    Ok(found)
}

/// Check the shards in `folder` as [`crate::shard::verify`] does, and compare them with the text in `sources`.
///
/// `sources` are the files that the shards were prepared from, in the same order; names may differ. Memory grows with
/// the number of documents and the longest row, not with the size of shards or text.
///
/// # Errors
/// [`Error::Format`] for the first token that does not match the text, with shard, document and place.
/// [`Error::Argument`] for a tokenizer or sources that are not those of the shards.
pub fn verify_against<P: AsRef<Path>>(
    folder: &Path,
    sources: &[P],
    tokenizer: &impl EncodeDocument,
    mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Manifest> {
    let nothing_yet = Progress { stage: Stage::Scan, bytes: 0, total_bytes: 0, documents: 0, tokens: 0 };
    let manifest = shard::verify(folder, &mut |_| progress(&nothing_yet))?;
    manifest.check_tokenizer(&tokenizer.fingerprint(), tokenizer.n_vocab())?;
    let plan = manifest.own_plan().map_err(|reason| Error::format(folder, reason))?;
    let spool_folder = std::env::temp_dir();
    let inputs = source::find(sources, folder)?;
    let budget = Budget::without_limit();
    let corpus = Corpus::scan(inputs, &plan.text_field, &spool_folder, budget, &mut progress)?;
    manifest.check_inputs(&corpus.entries())?;
    let order = Order::new(&corpus, plan)?;
    let share = budget.share(corpus.found())?;
    let check = Check { corpus: &corpus, order: &order, tokenizer, folder, manifest: &manifest, share };
    check.run(&mut |now| to_result(progress(now)))?;
    corpus.check_unchanged()?;
    Ok(manifest)
}

/// The inputs of the second pass.
struct Writing<'a, T> {
    corpus: &'a Corpus,
    order: &'a Order,
    out_dir: &'a Path,
    tokenizer: &'a T,
    layout: Layout,
    share: Share,
    options: &'a PrepareOptions,
}

impl<T: EncodeDocument> Writing<'_, T> {
    /// Encode all documents after those of `kept` shards. `manifest` lists the finished shards, in the journal.
    fn run(
        &self,
        kept: Kept,
        manifest: &mut Manifest,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Output> {
        let Self { corpus, order, out_dir, tokenizer, layout, share, options } = *self;
        let n_items = order.n_items(corpus);
        let first = kept.next_document();
        let mut bytes =
            (0..first).map(|item| order.span(corpus, item).bytes).map(|bytes| bytes.end - bytes.start).sum();
        let mut documents = first;
        let job = EncodeJob::new(corpus, tokenizer, order, share);
        let mut output = Output::new(out_dir, layout, options.val, n_items, kept)?;
        let mut n_finished = output.n_finished();
        let mut unchanged = Unchanged::default();
        job.run(first, |encoded| {
            for (span, crc32c) in &encoded.parts {
                unchanged.add(corpus, span.clone(), *crc32c)?;
            }
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
            to_result(progress(&now))
        })?;
        Ok(output)
    }
}

#[cfg(test)]
mod tests;
