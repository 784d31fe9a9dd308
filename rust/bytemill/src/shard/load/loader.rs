//! Batches in a fixed global order: a pure function of (data, seed, position), for any number of ranks.
//!
//! Position p is sample `perm(seed, epoch)(p mod N)` of epoch `p div N`. A micro-batch is `batch_size` consecutive
//! positions; rank r of W takes micro-batches r, r + W, … So W ranks together process the same samples as one rank with
//! W micro-batches, and progress is one integer.

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
    /// Open the shards in `folders`; a path to a file opens a token file of llm.c, nanoGPT, `NumPy` or Megatron.
    ///
    /// # Errors
    /// If a manifest or a shard's size is wrong, an option is invalid, the folders were made with different tokenizers,
    /// or the split has fewer than `seq_len + 1` tokens.
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

    /// Return the next batch of this rank. After an error, the next call tries the same batch again.
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

    /// Return whether to prefetch. One thread prefetches only if that pays; more threads always do.
    fn reads_ahead(&self) -> bool {
        let options = &self.samples.options;
        let is_wanted = options.prefetch_batches > 0 && options.threads > 0;
        is_wanted && (options.threads > 1 || self.pauses.pays(self.prefetcher.is_some()))
    }

    /// Reopen the loader in a forked child, which has neither the threads nor reliable locks of its parent.
    fn notice_fork(&mut self) {
        if self.process != std::process::id() {
            let fresh = self.reopened();
            std::mem::forget(std::mem::replace(self, fresh));
        }
    }

    /// Return the same loader at the same position, without threads, and with files not opened yet.
    pub(super) fn reopened(&self) -> Self {
        let samples = Arc::new(Samples::clone(&self.samples));
        Self::fresh(samples, Arc::clone(&self.manifests), self.state.clone())
    }

    fn fresh(samples: Arc<Samples>, manifests: Arc<[Manifest]>, state: LoaderState) -> Self {
        let (prefetcher, scratch, pauses) = (None, Scratch::default(), Pauses::default());
        Self { samples, manifests, state, prefetcher, scratch, pauses, process: std::process::id() }
    }

    /// Return the position of the stream; it is equal on all ranks that took the same number of batches.
    pub fn state(&self) -> &LoaderState {
        &self.state
    }

    /// Continue from `saved`; world size, batch size and number of threads may differ.
    ///
    /// # Errors
    /// [`Error::Argument`] with both values if anything else differs.
    pub fn load_state(&mut self, saved: &LoaderState) -> Result<()> {
        self.state.check(saved)?;
        self.notice_fork();
        self.go_to(saved.position);
        Ok(())
    }

    /// Set the next position, which all ranks share.
    pub(super) fn go_to(&mut self, position: u64) {
        self.prefetcher = None;
        self.state.position = position;
    }

    /// Return the number of samples per epoch of each source.
    pub fn n_samples(&self) -> Vec<u64> {
        self.samples.sources.iter().map(|source| source.n_samples).collect()
    }

    /// Return the number of tokens of each source.
    pub fn n_tokens(&self) -> Vec<u64> {
        self.samples.sources.iter().map(|source| source.tokens.len()).collect()
    }

    /// Return the number of epochs done of each source, including the fraction of the current epoch.
    pub fn epochs(&self) -> Vec<f64> {
        self.epochs_at(self.state.position)
    }

    pub(super) fn epochs_at(&self, position: u64) -> Vec<f64> {
        let drawn = self.samples.mixture.drawn(position);
        drawn.iter().zip(self.n_samples()).map(|(&drawn, n)| drawn as f64 / n as f64).collect()
    }

    /// Return the manifest of each folder of shards.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// Return the options that the loader was opened with.
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
