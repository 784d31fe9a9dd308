//! Pass documents to counters: the caller's thread reads, other threads split and count.
//!
//! Documents travel in batches of about 1 MiB through a short queue, so memory stays bounded for any speed of the
//! reader. A batch contains its position in the whole text, so the counts are the same for any number of threads.

use super::counter::Counter;
use super::document_unit::DocumentUnit;
use super::pieces::{first_lines, first_piece};
use super::special_text_finder::SpecialTextFinder;
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
/// Time between two checks whether a worker is ready.
const WAIT: Duration = Duration::from_millis(2);
/// Memory that one thread needs to be useful: its table, and its batches in the queue.
const THREAD_BYTES: u64 = 32 << 20;

/// Maximum number of tables per thread, a power of two. An empty table takes 130 KiB, which adds up on machines with
/// many cores.
const MOST_SHARES: usize = 8;

/// Options for counting documents.
#[derive(Clone, Copy, Debug)]
pub struct Counting<'a> {
    /// Splits documents into pretokens.
    pub splitter: &'a Splitter,
    /// What is one document.
    pub feed: DocumentUnit,
    /// Number of threads that count, in addition to the caller's thread, which then reads. With 1 thread and no memory
    /// limit, the caller's thread counts too.
    pub threads: usize,
    /// Maximum memory for counting in bytes; words that do not fit go to a temporary file.
    pub max_memory: Option<u64>,
    /// Texts of special tokens to search for in the documents.
    pub special_texts: Option<&'a SpecialTextFinder>,
}

impl Counting<'_> {
    fn n_threads(&self) -> usize {
        let worth_having = self.max_memory.map_or(usize::MAX, |limit| (limit / THREAD_BYTES) as usize);
        self.threads.min(worth_having).max(1)
    }

    /// Return the number of worker threads. With a memory limit, writing a table to disk takes seconds, and the
    /// caller's thread must stay free to react to Ctrl-C.
    fn n_workers(&self) -> usize {
        if self.n_threads() == 1 && self.max_memory.is_none() { 0 } else { self.n_threads() }
    }

    /// Return the memory for tables: half of the limit. The rest is for documents in the queue and for joining the
    /// tables.
    fn table_bytes(&self) -> usize {
        self.max_memory.map_or(usize::MAX, |limit| (limit / 2) as usize)
    }

    fn counter(&self) -> Counter {
        let tables = if self.max_memory.is_none() {
            let n_shares = self.n_threads().next_power_of_two().min(MOST_SHARES);
            (0..n_shares).map(|_| WordTable::new(usize::MAX)).collect()
        } else {
            vec![WordTable::new(self.table_bytes() / self.n_threads())] // joined on disk: more tables do not help
        };
        Counter::sharing_out(self.splitter.clone(), self.feed, tables)
    }

    /// Join the counts; report `bytes` to `watch` during the work.
    fn join(&self, counters: Vec<Counter>, bytes: u64, watch: &mut Watch) -> Result<WordCounts> {
        let tables = counters.into_iter().map(Counter::into_tables).collect();
        WordCounts::of(tables, self.table_bytes(), &mut || report(watch, bytes))
    }
}

/// Count the pretokens of the documents that `documents` passes to its [`Sink`].
///
/// Return an error if `documents`, the split pattern or `watch` fails.
///
/// ```
/// use bytemill::{split::Splitter, train::{Counting, DocumentUnit, count_documents}};
/// use std::ops::ControlFlow;
///
/// let splitter = Splitter::new(Some("gpt2"))?;
/// let counting = Counting { splitter: &splitter, feed: DocumentUnit::Documents, threads: 2, max_memory: None, special_texts: None };
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
        // If the system refuses a thread, the existing threads do the work; without any, this thread does it.
        let workers: Vec<_> = (0..counting.n_workers())
            .map_while(|_| {
                let (receiver, stop, asked) = (Arc::clone(&receiver), &stop, Stop::of_this_thread());
                thread::Builder::new()
                    .spawn_scoped(scope, move || asked.during(|| work(&receiver, counting, stop)))
                    .ok()
            })
            .collect();
        drop(receiver); // now the queue closes when the last worker has failed
        let mut own = workers.is_empty().then(|| counting.counter());
        let target = match &mut own {
            Some(counter) => Target::Here(counter),
            None => Target::Threads(sender, Batch::default(), &stop),
        };
        let mut sink = Sink::new(counting, &mut *watch, target);
        let outcome = documents(&mut sink).and_then(|()| sink.flush());
        let bytes = sink.position;
        drop(sink); // the workers end when the queue closes
        let outcome = outcome.and_then(|()| wait(&workers, watch, bytes));
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
            interrupt::stop(); // a worker may be in the middle of a long document
        }
        let join = |worker: thread::ScopedJoinHandle<_>| match worker.join() {
            Ok(counted) => counted,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // Report a worker's own error rather than the error that it caused here.
        let counted: Result<Vec<_>> = workers.into_iter().map(join).collect();
        match (counted, outcome) {
            (Err(error), _) if !matches!(error, Error::Interrupted) => Err(error),
            (counted, outcome) => outcome.and_then(|()| Ok((counted?.into_iter().chain(own).collect(), bytes))),
        }
    })?;
    counting.join(counters, bytes, watch)
}

/// Count the pretokens of all documents of `paths`: files and folders, read as described in [`crate::corpus`].
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
        sink.borrow_mut().report()?;
        Ok(match counting.feed {
            // Within a line there is no line end that could split white space from the text before it.
            DocumentUnit::Lines => {
                memchr::memrchr(b'\n', text).map_or_else(|| counting.splitter.last_cut(text), |at| Some(at + 1))
            }
            DocumentUnit::Documents => counting.splitter.last_cut(text),
        })
    };
    for_each_piece(path, reading, cut, |piece| sink.borrow_mut().add(piece.text))
}

/// Takes documents for [`count_documents`].
pub struct Sink<'a> {
    splitter: &'a Splitter,
    feed: DocumentUnit,
    special_texts: Option<&'a SpecialTextFinder>,
    watch: &'a mut Watch<'a>,
    target: Target<'a>,
    position: u64,
    reported: u64,
}

enum Target<'a> {
    Here(&'a mut Counter),
    Threads(SyncSender<Batch>, Batch, &'a AtomicBool),
}

#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    ends: Vec<usize>, // end of each document in `text`
    position: u64,
}

impl<'a> Sink<'a> {
    fn new(counting: &'a Counting, watch: &'a mut Watch<'a>, target: Target<'a>) -> Self {
        let Counting { splitter, feed, special_texts, .. } = *counting;
        Self { splitter, feed, special_texts, watch, target, position: 0, reported: 0 }
    }

    /// Add one more document. Return an error if the pattern fails or the caller wants to stop.
    pub fn add(&mut self, document: &[u8]) -> Result<()> {
        if let Some(special_texts) = self.special_texts {
            special_texts.search(document);
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
        if self.position - self.reported < BATCH_BYTES as u64 { Ok(()) } else { self.report() }
    }

    /// Send the collected batch. If a worker has failed, `count_documents` returns the worker's error.
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
            self.report()?;
        }
        Ok(())
    }

    fn report(&mut self) -> Result<()> {
        self.reported = self.position;
        report(self.watch, self.position)
    }
}

fn report(watch: &mut Watch, bytes: u64) -> Result<()> {
    match watch(Progress::Counting { bytes }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}

/// Wait for `workers` to finish; report `bytes` to `watch` during the wait.
fn wait<T>(workers: &[thread::ScopedJoinHandle<T>], watch: &mut Watch, bytes: u64) -> Result<()> {
    while workers.iter().any(|worker| !worker.is_finished()) {
        thread::sleep(WAIT);
        report(watch, bytes)?;
    }
    Ok(())
}

/// Run a worker: count batches until the queue closes or `stop` is set. An error of this worker sets `stop` too.
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
