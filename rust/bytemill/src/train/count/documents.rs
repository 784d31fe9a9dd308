//! Brings documents to counters: the caller's thread reads, the others split and count.
//!
//! Documents travel in batches of about a mebibyte through a short queue, so that memory stays
//! bounded however fast the reader is. A batch knows its position in the whole text, which makes
//! the counts the same for any number of threads.

use super::counter::Counter;
use super::document_unit::DocumentUnit;
use super::pieces::{first_lines, first_piece};
use super::watched::Watched;
use super::word_counts::WordCounts;
use super::word_table::WordTable;
use crate::corpus::{Content, Kind, Reading, expand, for_each_document, for_each_piece};
use crate::error::{Error, Result};
use crate::interrupt::{self, Stop, caught};
use crate::split::Splitter;
use crate::train::progress::{Progress, Watch};
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const BATCH_BYTES: usize = 1 << 20;
/// Between looks at whether a worker is ready.
const WAIT: Duration = Duration::from_millis(2);
/// Memory for which a thread is worth having: its table, and its batches on their way.
const THREAD_BYTES: u64 = 32 << 20;

/// Tables of each thread at most, a power of two: an empty one takes 130 KiB, on machines of many cores in each of many
/// threads.
const MOST_SHARES: usize = 8;

/// How documents are counted.
#[derive(Clone, Copy, Debug)]
pub struct Counting<'a> {
    /// Cuts documents into pretokens.
    pub splitter: &'a Splitter,
    /// What counts as one document.
    pub feed: DocumentUnit,
    /// How many threads count, besides the caller's, which then reads; 1 counts on the caller's own, unless
    /// memory is limited.
    pub threads: usize,
    /// Bytes of memory that counting may take; more words than fit go to a temporary file.
    pub max_memory: Option<u64>,
    /// Texts that are looked for in the documents.
    pub watched: Option<&'a Watched>,
}

impl Counting<'_> {
    fn n_threads(&self) -> usize {
        let worth_having = self.max_memory.map_or(usize::MAX, |limit| (limit / THREAD_BYTES) as usize);
        self.threads.min(worth_having).max(1)
    }

    /// With a limit of memory a table goes to disk now and then, for seconds, in which the caller's thread must
    /// stay free to hear of Ctrl-C.
    fn n_workers(&self) -> usize {
        if self.n_threads() == 1 && self.max_memory.is_none() { 0 } else { self.n_threads() }
    }

    /// Half of the memory is for tables; the rest for documents on their way, and for joining the tables.
    fn table_bytes(&self) -> usize {
        self.max_memory.map_or(usize::MAX, |limit| (limit / 2) as usize)
    }

    fn counter(&self) -> Counter {
        let tables = if self.max_memory.is_none() {
            let n_shares = self.n_threads().next_power_of_two().min(MOST_SHARES);
            (0..n_shares).map(|_| WordTable::new(usize::MAX)).collect()
        } else {
            vec![WordTable::new(self.table_bytes() / self.n_threads())] // joined on disk, where nothing is gained by shares
        };
        Counter::sharing_out(self.splitter.clone(), self.feed, tables)
    }

    /// Joins what was counted; `bytes` is told to `watch` meanwhile.
    fn join(&self, counters: Vec<Counter>, bytes: u64, watch: &mut Watch) -> Result<WordCounts> {
        let tables = counters.into_iter().map(Counter::into_tables).collect();
        WordCounts::of(tables, self.table_bytes(), &mut || tell(watch, bytes))
    }
}

/// Counts the pretokens of the documents that `documents` hands to its [`Sink`].
///
/// Fails when `documents`, the split pattern or `watch` does.
///
/// ```
/// use bytemill::{split::Splitter, train::{Counting, DocumentUnit, count_documents}};
/// use std::ops::ControlFlow;
///
/// let splitter = Splitter::new(Some("gpt2"))?;
/// let counting = Counting { splitter: &splitter, feed: DocumentUnit::Documents, threads: 2, max_memory: None, watched: None };
/// let counts = count_documents(&counting, &mut |_| ControlFlow::Continue(()), |sink| {
///     ["to be", " or not", "to be"].iter().try_for_each(|text| sink.add(text.as_bytes()))
/// })?;
/// let mut words = Vec::new();
/// counts.for_each(|word, count| words.push((word.to_vec(), count)))?;
/// assert_eq!(words[0], (b"to".to_vec(), 2));
/// # Ok::<(), bytemill::Error>(())
/// ```
pub fn count_documents(
    counting: &Counting,
    watch: &mut Watch,
    documents: impl FnOnce(&mut Sink) -> Result<()>,
) -> Result<WordCounts> {
    let stop = AtomicBool::new(false);
    let (counters, bytes) = thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2 * counting.n_threads());
        let receiver = Arc::new(Mutex::new(receiver));
        // Where the system refuses a thread, those that there are do the work; without any, this one does.
        let workers: Vec<_> = (0..counting.n_workers())
            .map_while(|_| {
                let (receiver, stop, asked) = (Arc::clone(&receiver), &stop, Stop::of_this_thread());
                thread::Builder::new()
                    .spawn_scoped(scope, move || asked.during(|| work(&receiver, counting, stop)))
                    .ok()
            })
            .collect();
        drop(receiver); // the queue now breaks when the last worker has failed
        let mut own = workers.is_empty().then(|| counting.counter());
        let target = match &mut own {
            Some(counter) => Target::Here(counter),
            None => Target::Threads(sender, Batch::default(), &stop),
        };
        let mut sink = Sink::new(counting, &mut *watch, target);
        let outcome = documents(&mut sink).and_then(|()| sink.flush());
        let bytes = sink.position;
        drop(sink); // the workers end when the queue does
        let outcome = outcome.and_then(|()| wait(&workers, watch, bytes));
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
            interrupt::stop(); // a worker may be in the middle of a long document
        }
        let join = |worker: thread::ScopedJoinHandle<_>| match worker.join() {
            Ok(counted) => counted,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // What made a worker fail goes before what came of it here.
        let counted: Result<Vec<_>> = workers.into_iter().map(join).collect();
        match (counted, outcome) {
            (Err(error), _) if !matches!(error, Error::Interrupted) => Err(error),
            (counted, outcome) => outcome.and_then(|()| Ok((counted?.into_iter().chain(own).collect(), bytes))),
        }
    })?;
    counting.join(counters, bytes, watch)
}

/// Counts the pretokens of all documents of `paths`: files and folders, read as [`crate::corpus`] tells.
pub fn count_files(paths: &[PathBuf], reading: Reading, counting: &Counting, watch: &mut Watch) -> Result<WordCounts> {
    let files = expand(paths)?;
    count_documents(counting, watch, |sink| files.iter().try_for_each(|file| add_file(sink, file, reading, counting)))
}

fn add_file(sink: &mut Sink, path: &Path, reading: Reading, counting: &Counting) -> Result<()> {
    if Kind::of(path)?.content != Content::Text {
        return for_each_document(path, reading, |_, document| sink.add(document));
    }
    let sink = RefCell::new(sink);
    let cut = |text: &[u8]| {
        sink.borrow_mut().tell()?;
        Ok(match counting.feed {
            // Within a line there is no line end, whose white space would be cut from what is before it.
            DocumentUnit::Lines => {
                memchr::memrchr(b'\n', text).map_or_else(|| counting.splitter.last_cut(text), |at| Some(at + 1))
            }
            DocumentUnit::Documents => counting.splitter.last_cut(text),
        })
    };
    for_each_piece(path, reading, cut, |piece| sink.borrow_mut().add(piece.text))
}

/// Takes documents in, on behalf of [`count_documents`].
pub struct Sink<'a> {
    splitter: &'a Splitter,
    feed: DocumentUnit,
    watched: Option<&'a Watched>,
    watch: &'a mut Watch<'a>,
    target: Target<'a>,
    position: u64,
    told: u64,
}

enum Target<'a> {
    Here(&'a mut Counter),
    Threads(SyncSender<Batch>, Batch, &'a AtomicBool),
}

#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    ends: Vec<usize>, // of each document in `text`
    position: u64,
}

impl<'a> Sink<'a> {
    fn new(counting: &'a Counting, watch: &'a mut Watch<'a>, target: Target<'a>) -> Self {
        let Counting { splitter, feed, watched, .. } = *counting;
        Self { splitter, feed, watched, watch, target, position: 0, told: 0 }
    }

    /// Takes one more document. Fails when the pattern has failed or the caller wants to stop.
    pub fn add(&mut self, document: &[u8]) -> Result<()> {
        if let Some(watched) = self.watched {
            watched.look(document);
        }
        let mut rest = document;
        while !rest.is_empty() {
            let (piece, later) = match self.feed {
                DocumentUnit::Documents => first_piece(self.splitter, rest),
                DocumentUnit::Lines => first_lines(self.splitter, rest),
            };
            self.put(piece)?;
            rest = later;
        }
        Ok(())
    }

    fn put(&mut self, document: &[u8]) -> Result<()> {
        let position = self.position;
        self.position += document.len() as u64;
        let full = match &mut self.target {
            Target::Here(counter) => {
                counter.add_at(document, position)?;
                false
            }
            Target::Threads(_, batch, _) => {
                if batch.ends.is_empty() {
                    batch.position = position;
                }
                batch.text.extend_from_slice(document);
                batch.ends.push(batch.text.len());
                batch.text.len() >= BATCH_BYTES
            }
        };
        if full {
            self.flush()?;
        }
        if self.position - self.told < BATCH_BYTES as u64 { Ok(()) } else { self.tell() }
    }

    /// Sends off what is gathered. Where a worker has failed, its error is what `count_documents` returns.
    fn flush(&mut self) -> Result<()> {
        let mut full = match &mut self.target {
            Target::Here(_) => return Ok(()),
            Target::Threads(_, batch, _) => std::mem::take(batch),
        };
        while let Target::Threads(sender, _, stop) = &mut self.target {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            match sender.try_send(full) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Err(Error::Interrupted),
                Err(TrySendError::Full(batch)) => full = batch,
            }
            thread::sleep(WAIT);
            self.tell()?;
        }
        Ok(())
    }

    fn tell(&mut self) -> Result<()> {
        self.told = self.position;
        tell(self.watch, self.position)
    }
}

fn tell(watch: &mut Watch, bytes: u64) -> Result<()> {
    match watch(Progress::Counting { bytes }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}

/// Waits for `workers` to finish; `bytes` is told to `watch` meanwhile.
fn wait<T>(workers: &[thread::ScopedJoinHandle<T>], watch: &mut Watch, bytes: u64) -> Result<()> {
    while workers.iter().any(|worker| !worker.is_finished()) {
        thread::sleep(WAIT);
        tell(watch, bytes)?;
    }
    Ok(())
}

/// A worker: counts batches until the queue ends or `stop` is set, which its own failure does too.
fn work(queue: &Mutex<Receiver<Batch>>, counting: &Counting, stop: &AtomicBool) -> Result<Counter> {
    let counted = caught(|| count_batches(queue, counting.counter(), stop));
    stop.fetch_or(counted.is_err(), Ordering::Relaxed);
    counted
}

fn count_batches(queue: &Mutex<Receiver<Batch>>, mut counter: Counter, stop: &AtomicBool) -> Result<Counter> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(batch) = next() {
        let mut start = 0;
        for end in batch.ends {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            counter.add_at(&batch.text[start..end], batch.position + start as u64)?;
            start = end;
        }
    }
    Ok(counter)
}
