//! Batches in a fixed global order: a pure function of (data, seed, position), at any number of ranks.
//!
//! Position p is sample `perm(seed, epoch)(p mod N)` of epoch `p div N`. A micro-batch is
//! `batch_size` consecutive positions; rank r of W takes micro-batches r, r + W, … So W ranks do
//! together what one rank does with W micro-batches, and progress is one integer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checksum::sha256_of_bytes;
use super::header::{Split, TokenWidth};
use super::manifest::Manifest;
use super::mixture::Mixture;
use super::order::{Permutation, Stream};
use super::prefetch::Prefetcher;
use super::reader::Verify;
use super::state::LoaderState;
use super::tokens::{Buffers, Tokens};
use crate::error::{Error, Result};

/// Most tokens in one batch.
const MAX_BATCH_TOKENS: u64 = 1 << 30;

/// What to read, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Samples in a batch of one rank.
    pub batch_size: usize,
    /// Tokens of a sample's input, T.
    pub seq_len: usize,
    /// Keys the order.
    pub seed: u64,
    /// This process's number among `world_size`.
    pub rank: usize,
    /// Processes that share the order.
    pub world_size: usize,
    /// The split to read.
    pub split: Split,
    /// One weight a folder; without weights the folders' tokens follow each other as one source.
    pub weights: Option<Vec<f64>>,
    /// Whether samples come permuted, anew each epoch, or as they lie.
    pub shuffle: bool,
    /// When checksums are compared.
    pub verify: Verify,
    /// Batches read ahead; 0 reads when asked, on the caller's thread.
    pub prefetch_batches: usize,
    /// Threads that read ahead.
    pub threads: usize,
}

impl LoaderOptions {
    /// Shuffled training batches of `batch_size` samples of `seq_len` tokens, for one process.
    pub fn new(batch_size: usize, seq_len: usize) -> Self {
        Self {
            batch_size,
            seq_len,
            seed: 0,
            rank: 0,
            world_size: 1,
            split: Split::Train,
            weights: None,
            shuffle: true,
            verify: Verify::FirstTouch,
            prefetch_batches: 4,
            threads: 1,
        }
    }

    fn check(&self) -> Result<()> {
        let limit = |name, got: usize, range: std::ops::Range<u64>| {
            let expected = format!("{} to {}", range.start, range.end - 1);
            if range.contains(&(got as u64)) {
                Ok(())
            } else {
                Err(Error::Argument { name, got: got.to_string(), expected })
            }
        };
        limit("batch_size", self.batch_size, 1..MAX_BATCH_TOKENS + 1)?;
        limit("seq_len", self.seq_len, 1..MAX_BATCH_TOKENS / self.batch_size as u64 + 1)?;
        limit("world_size", self.world_size, 1..(1 << 24) + 1)?;
        limit("rank", self.rank, 0..self.world_size as u64)
    }
}

/// `batch_size` samples: row by row inputs, and targets, which are the inputs one token later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, (B, T) row by row.
    pub inputs: Vec<i64>,
    /// Token ids, (B, T) row by row.
    pub targets: Vec<i64>,
    /// Position of the first row in the global order.
    pub position: u64,
}

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
/// assert_eq!(batch.inputs, [0, 1, 2, 3, 4, 5, 6, 7]);
/// assert_eq!(batch.targets, [1, 2, 3, 4, 5, 6, 7, 8]);
/// assert_eq!(loader.state().position, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Loader {
    samples: Arc<Samples>,
    manifests: Vec<Manifest>,
    state: LoaderState,
    prefetcher: Option<Prefetcher<Batch>>,
    process: u32,
}

impl Loader {
    /// Opens the shards in `folders`.
    ///
    /// # Errors
    /// When a manifest or a shard's size is wrong, an option cannot work, the folders were made with
    /// different tokenizers, or the split has fewer than `seq_len + 1` tokens.
    pub fn open<P: AsRef<Path>>(folders: &[P], options: LoaderOptions) -> Result<Self> {
        options.check()?;
        let folders: Vec<PathBuf> = folders.iter().map(|folder| folder.as_ref().to_owned()).collect();
        let manifests = folders.iter().map(|folder| Manifest::read(folder)).collect::<Result<Vec<_>>>()?;
        let Some(first) = manifests.first() else {
            let expected = "at least one".to_owned();
            return Err(Error::Argument { name: "folders", got: "none".to_owned(), expected });
        };
        manifests.iter().try_for_each(|other| other.check_tokenizer(&first.tokenizer_sha256, first.n_vocab))?;
        let root = common_root(&manifests);
        let samples = Samples::open(&folders, &manifests, options)?;
        let o = &samples.options;
        let slots = samples.mixture.slots().to_vec();
        let state = LoaderState::new(o.seed, o.seq_len as u64, o.shuffle, o.split, slots, root);
        Ok(Self { samples: Arc::new(samples), manifests, state, prefetcher: None, process: std::process::id() })
    }

    /// The next batch of this rank. After an error the same batch is tried again.
    pub fn next_batch(&mut self) -> Result<Batch> {
        self.notice_fork();
        let batch = self.read_next();
        match &batch {
            Ok(_) => self.state.position += self.samples.step(),
            Err(_) => self.prefetcher = None,
        }
        batch
    }

    fn read_next(&mut self) -> Result<Batch> {
        let first = self.state.position + self.samples.offset();
        if self.samples.options.prefetch_batches == 0 || self.samples.options.threads == 0 {
            return self.samples.batch(first);
        }
        let prefetcher = match &mut self.prefetcher {
            Some(prefetcher) => prefetcher,
            none => none.insert(start_prefetching(&self.samples, first)?),
        };
        prefetcher.take()
    }

    /// A forked child has neither the threads nor trustworthy locks of its parent: it opens its own.
    fn notice_fork(&mut self) {
        if self.process != std::process::id() {
            self.prefetcher = None;
            let fresh = Arc::new(Samples::clone(&self.samples));
            std::mem::forget(std::mem::replace(&mut self.samples, fresh));
            self.process = std::process::id();
        }
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
        self.prefetcher = None;
        self.state.position = saved.position;
        Ok(())
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
        let drawn = self.samples.mixture.drawn(self.state.position);
        drawn.iter().zip(self.n_samples()).map(|(&drawn, n)| drawn as f64 / n as f64).collect()
    }

    /// The manifest of each folder.
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
    let samples = Arc::clone(samples);
    Prefetcher::start(n_threads, depth, move |number| samples.batch(first + number * step))
}

/// One folder's root hash, or a hash over those of several.
fn common_root(manifests: &[Manifest]) -> String {
    match manifests {
        [only] => only.root_sha256().to_owned(),
        several => sha256_of_bytes(several.iter().map(Manifest::root_sha256).collect::<String>().as_bytes()),
    }
}

/// From a position to its tokens; plain data and files, shared by the threads.
#[derive(Clone, Debug)]
struct Samples {
    sources: Vec<Source>,
    mixture: Mixture,
    options: LoaderOptions,
}

#[derive(Clone, Debug)]
struct Source {
    tokens: Tokens,
    n_samples: u64,
}

impl Samples {
    fn open(folders: &[PathBuf], manifests: &[Manifest], options: LoaderOptions) -> Result<Self> {
        let all: Vec<_> = folders.iter().map(PathBuf::as_path).zip(manifests).collect();
        let (groups, mixture) = match &options.weights {
            None => (vec![&all[..]], Mixture::single()),
            Some(weights) if weights.len() == all.len() => {
                (all.chunks(1).collect(), Mixture::weighted(weights, options.seed)?)
            }
            Some(weights) => {
                let (got, expected) = (format!("{weights:?}"), format!("{}, one for each folder", all.len()));
                return Err(Error::Argument { name: "weights", got, expected });
            }
        };
        let sources = groups.into_iter().map(|group| Source::open(group, &options)).collect::<Result<_>>()?;
        Ok(Self { sources, mixture, options })
    }

    /// Positions from one batch of a rank to its next.
    fn step(&self) -> u64 {
        self.options.batch_size as u64 * self.options.world_size as u64
    }

    /// From the position that all ranks share to this rank's first sample.
    fn offset(&self) -> u64 {
        self.options.batch_size as u64 * self.options.rank as u64
    }

    /// The samples at `batch_size` positions from `first` on.
    fn batch(&self, first: u64) -> Result<Batch> {
        let n_tokens = self.options.batch_size * self.options.seq_len;
        let mut batch =
            Batch { inputs: Vec::with_capacity(n_tokens), targets: Vec::with_capacity(n_tokens), position: first };
        let mut buffers = Buffers::default();
        for position in first..first + self.options.batch_size as u64 {
            let (source, sample) = self.locate(position);
            let tokens = &self.sources[source].tokens;
            let t = self.options.seq_len;
            tokens.read(sample * t as u64, t + 1, &mut buffers)?;
            batch.push(&buffers.tokens, tokens.width());
        }
        Ok(batch)
    }

    /// The source, and the sample in it, that `position` stands for.
    fn locate(&self, position: u64) -> (usize, u64) {
        let (source, position) = self.mixture.locate(position);
        let n = self.sources[source].n_samples;
        let (epoch, within) = (position / n, position % n);
        if !self.options.shuffle {
            return (source, within);
        }
        (source, Permutation::new(n, self.options.seed, Stream::Samples(source as u32), epoch).at(within))
    }
}

impl Source {
    fn open(folders: &[(&Path, &Manifest)], options: &LoaderOptions) -> Result<Self> {
        let tokens = Tokens::open(folders.iter().copied(), options.split, options.verify)?;
        let n_samples = tokens.len().saturating_sub(1) / options.seq_len as u64;
        if n_samples == 0 {
            let (split, at) = (options.split.name(), folders[0].0);
            let (got, needed) = (tokens.len(), options.seq_len + 1);
            let reason =
                format!("split {split} has {got} tokens, one sample of seq_len {} needs {needed}", options.seq_len);
            return Err(Error::format(at, reason));
        }
        Ok(Self { tokens, n_samples })
    }
}

impl Batch {
    /// Appends a row of T inputs and T targets from T + 1 tokens.
    fn push(&mut self, tokens: &[u8], width: TokenWidth) {
        match width {
            TokenWidth::Uint16 => self.extend(tokens.as_chunks().0, |id| u16::from_le_bytes(id).into()),
            TokenWidth::Uint32 => self.extend(tokens.as_chunks().0, |id| u32::from_le_bytes(id).into()),
        }
    }

    fn extend<const BYTES: usize>(&mut self, ids: &[[u8; BYTES]], widen: impl Fn([u8; BYTES]) -> i64) {
        self.inputs.extend(ids[..ids.len() - 1].iter().map(|&id| widen(id)));
        self.targets.extend(ids[1..].iter().map(|&id| widen(id)));
    }
}
