//! One loader for many threads: each batch goes to exactly one thread.
//!
//! One lock is enough: threads hold it only while they take a batch, and prefetching continues in the meantime. If a
//! process forks while another thread holds the lock, the child would wait forever, because that thread does not exist
//! there. So a child creates its own loader with its own lock at its first call.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::batch::Batch;
use super::loader::Loader;
use super::options::LoaderOptions;
use super::state::LoaderState;
use crate::error::Result;

/// A [`Loader`] with methods that take `&self`.
///
/// ```
/// # use bytemill::shard::{Layout, LoaderOptions, Manifest, SharedLoader, Split, SplitWriter};
/// # let folder = tempfile::tempdir()?;
/// # let layout = Layout { n_vocab: 256, end_of_text: None, shard_tokens: 100 };
/// # let mut writer = SplitWriter::new(folder.path(), Split::Train, layout)?;
/// # writer.write(&(0..9).collect::<Vec<_>>())?;
/// # Manifest::new(256, "fingerprint".to_owned(), None, writer.finish()?).write(folder.path())?;
/// let loader = SharedLoader::open(&[folder.path()], LoaderOptions::new(2, 4))?;
/// std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(|| loader.next_batch()))));
/// assert_eq!(loader.state().position, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SharedLoader {
    loader: Mutex<Loader>,
    /// The loader as it was opened: data that is the same at every position can be read without the lock.
    opened: Loader,
    position: AtomicU64,
    process: u32,
    in_child: OnceLock<Box<Self>>,
}

impl SharedLoader {
    /// Open the shards in `folders`, as [`Loader::open`] does.
    pub fn open<P: AsRef<Path>>(folders: &[P], options: LoaderOptions) -> Result<Self> {
        Loader::open(folders, options).map(Self::new)
    }

    fn new(loader: Loader) -> Self {
        let opened = loader.reopened();
        let (position, process) = (AtomicU64::new(loader.state().position), std::process::id());
        Self { loader: Mutex::new(loader), opened, position, process, in_child: OnceLock::new() }
    }

    /// Return the next batch, as [`Loader::next_batch`] does; wait while another thread takes a batch.
    pub fn next_batch(&self) -> Result<Batch> {
        self.with_lock(Loader::next_batch)
    }

    /// Continue from `saved`, as [`Loader::load_state`] does, for all threads.
    pub fn load_state(&self, saved: &LoaderState) -> Result<()> {
        self.with_lock(|loader| loader.load_state(saved))
    }

    /// Return the position of the stream after all batches taken so far.
    pub fn state(&self) -> LoaderState {
        LoaderState { position: self.here().position.load(Ordering::Acquire), ..self.opened.state().clone() }
    }

    /// Return the number of epochs done, as [`Loader::epochs`] does.
    pub fn epochs(&self) -> Vec<f64> {
        self.opened.epochs_at(self.state().position)
    }

    /// Return the number of samples, as [`Loader::n_samples`] does.
    pub fn n_samples(&self) -> Vec<u64> {
        self.opened.n_samples()
    }

    /// Return the options that the loader was opened with.
    pub fn options(&self) -> &LoaderOptions {
        self.opened.options()
    }

    fn with_lock<T>(&self, work: impl FnOnce(&mut Loader) -> T) -> T {
        let here = self.here();
        let mut loader: MutexGuard<_> = here.loader.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut loader);
        here.position.store(loader.state().position, Ordering::Release);
        result
    }

    /// Return this process's loader: a forked child continues from the position at the fork.
    fn here(&self) -> &Self {
        if self.process == std::process::id() {
            return self;
        }
        let forked = || {
            let mut loader = self.opened.reopened();
            loader.go_to(self.position.load(Ordering::Acquire));
            Box::new(Self::new(loader))
        };
        self.in_child.get_or_init(forked).here()
    }
}
