//! Batches in a fixed global order: a pure function of (data, seed, position), at any number of ranks.
//!
//! Position p is sample `perm(seed, epoch)(p mod N)` of epoch `p div N`. A micro-batch is
//! `batch_size` consecutive positions; rank r of W takes micro-batches r, r + W, … So W ranks do
//! together what one rank does with W micro-batches, and progress is one integer.

use std::path::Path;
use std::sync::Arc;

use super::batch::Batch;
use super::options::LoaderOptions;
use super::pauses::Pauses;
use super::prefetch::Prefetcher;
use super::samples::{Samples, Scratch};
use super::source::{DataSource, check_alike, common_root};
use super::state::LoaderState;
use crate::error::{Error, Result};
use crate::shard::format::manifest::Manifest;

/// An endless stream of batches.
///
/// ```
/// use bytemill::shard::{Layout, Loader, LoaderOptions, Manifest, Split, SplitWriter};
/// let folder = tempfile::tempdir()?;
/// let layout = Layout { n_vocab: 256, end_of_text: None, shard_tokens: 100 };
/// let mut writer = SplitWriter::new(folder.path(), Split::Train, layout)?;
/// writer.write(&(0..9).collect::<Vec<_>>())?;
/// Manifest::new(256, "fingerprint".to_owned(), None, writer.finish()?).write(folder.path())?;
///
/// let options = LoaderOptions { shuffle: false, ..LoaderOptions::new(2, 4) };
/// let mut loader = Loader::open(&[folder.path()], options)?;
/// let batch = loader.next_batch()?;
/// assert_eq!(batch.inputs(), [0, 1, 2, 3, 4, 5, 6, 7]);
/// assert_eq!(batch.targets(), [1, 2, 3, 4, 5, 6, 7, 8]);
/// assert_eq!(loader.state().position, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Loader {
    samples: Arc<Samples>,
    manifests: Arc<[Manifest]>,
    state: LoaderState,
    prefetcher: Option<Prefetcher<Batch>>,
    scratch: Scratch,
    pauses: Pauses,
    process: u32,
}

impl Loader {
    /// Opens the shards in `folders`; a file among them is one of llm.c, nanoGPT, numpy or Megatron.
    ///
    /// # Errors
    /// When a manifest or a shard's size is wrong, an option cannot work, the folders were made with
    /// different tokenizers, or the split has fewer than `seq_len + 1` tokens.
    pub fn open<P: AsRef<Path>>(folders: &[P], options: LoaderOptions) -> Result<Self> {
        options.check()?;
        let sources: Vec<_> =
            folders.iter().map(|path| DataSource::open(path.as_ref(), &options)).collect::<Result<_>>()?;
        if sources.is_empty() {
            let expected = "at least one".to_owned();
            return Err(Error::Argument { name: "folders", got: "none".to_owned(), expected });
        }
        check_alike(&sources)?;
        let root = common_root(&sources);
        let samples = Samples::open(&sources, options)?;
        let state = LoaderState::new(&samples.options, samples.mixture.slots().to_vec(), root);
        let manifests = sources.iter().filter_map(DataSource::manifest).cloned().collect();
        Ok(Self::fresh(Arc::new(samples), manifests, state))
    }

    /// The next batch of this rank. After an error the same batch is tried again.
    pub fn next_batch(&mut self) -> Result<Batch> {
        self.notice_fork();
        self.pauses.arrive();
        let batch = self.read_next();
        match &batch {
            Ok(_) => self.state.position += self.samples.step(),
            Err(_) => self.prefetcher = None,
        }
        self.pauses.leave();
        batch
    }

    fn read_next(&mut self) -> Result<Batch> {
        let first = self.state.position + self.samples.offset();
        if !self.reads_ahead() {
            self.prefetcher = None;
            return self.samples.batch(first, &mut self.scratch);
        }
        let prefetcher = match &mut self.prefetcher {
            Some(prefetcher) => prefetcher,
            none => none.insert(start_prefetching(&self.samples, first)?),
        };
        prefetcher.take()
    }

    /// One thread reads ahead where that pays; who asks for more gets them in any case.
    fn reads_ahead(&self) -> bool {
        let options = &self.samples.options;
        let is_wanted = options.prefetch_batches > 0 && options.threads > 0;
        is_wanted && (options.threads > 1 || self.pauses.pays(self.prefetcher.is_some()))
    }

    /// A forked child has neither the threads nor trustworthy locks of its parent: it opens its own.
    fn notice_fork(&mut self) {
        if self.process != std::process::id() {
            let fresh = self.reopened();
            std::mem::forget(std::mem::replace(self, fresh));
        }
    }

    /// The same loader at the same position, without threads, and with files still to be opened.
    pub(super) fn reopened(&self) -> Self {
        let samples = Arc::new(Samples::clone(&self.samples));
        Self::fresh(samples, Arc::clone(&self.manifests), self.state.clone())
    }

    fn fresh(samples: Arc<Samples>, manifests: Arc<[Manifest]>, state: LoaderState) -> Self {
        let (prefetcher, scratch, pauses) = (None, Scratch::default(), Pauses::default());
        Self { samples, manifests, state, prefetcher, scratch, pauses, process: std::process::id() }
    }

    /// Where the stream is, the same on every rank that took as many batches.
    pub fn state(&self) -> &LoaderState {
        &self.state
    }

    /// Goes on from `saved`, whatever its world size, batch size or number of threads was.
    ///
    /// # Errors
    /// [`Error::Argument`] naming both values where anything else differs.
    pub fn load_state(&mut self, saved: &LoaderState) -> Result<()> {
        self.state.check(saved)?;
        self.notice_fork();
        self.go_to(saved.position);
        Ok(())
    }

    /// Makes `position` the next that all ranks share.
    pub(super) fn go_to(&mut self, position: u64) {
        self.prefetcher = None;
        self.state.position = position;
    }

    /// Samples in an epoch of each source.
    pub fn n_samples(&self) -> Vec<u64> {
        self.samples.sources.iter().map(|source| source.n_samples).collect()
    }

    /// Tokens of each source.
    pub fn n_tokens(&self) -> Vec<u64> {
        self.samples.sources.iter().map(|source| source.tokens.len()).collect()
    }

    /// Epochs done of each source, with the fraction of the one begun.
    pub fn epochs(&self) -> Vec<f64> {
        self.epochs_at(self.state.position)
    }

    pub(super) fn epochs_at(&self, position: u64) -> Vec<f64> {
        let drawn = self.samples.mixture.drawn(position);
        drawn.iter().zip(self.n_samples()).map(|(&drawn, n)| drawn as f64 / n as f64).collect()
    }

    /// The manifest of each folder of shards.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// The options that the loader was opened with.
    pub fn options(&self) -> &LoaderOptions {
        &self.samples.options
    }
}

fn start_prefetching(samples: &Arc<Samples>, first: u64) -> Result<Prefetcher<Batch>> {
    let options = &samples.options;
    let (n_threads, depth, step) = (options.threads, options.prefetch_batches, samples.step());
    let (samples, mut scratch) = (Arc::clone(samples), Scratch::default());
    Prefetcher::start(n_threads, depth, move |number| samples.batch(first + number * step, &mut scratch))
}
