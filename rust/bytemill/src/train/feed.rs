//! Brings documents to counters: the caller's thread reads, the others split and count.
//!
//! Documents travel in batches of about a mebibyte through a short queue, so that memory stays
//! bounded however fast the reader is. A batch knows its position in the whole text, which makes
//! the counts the same for any number of threads.

use super::count::Counter;
use super::words::WordCounts;
use super::{Progress, Watch};
use crate::corpus::{self, Place};
use crate::error::{Error, Result};
use crate::split::Splitter;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const BATCH_BYTES: usize = 1 << 20;

/// What counts as one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// A document as the source gives it.
    Documents,
    /// Each line with its newline, as Hugging Face reads files.
    Lines,
}

/// Counts the pretokens of the documents that `documents` hands to its [`Sink`].
///
/// With `threads` above 1 as many threads count while the caller's reads. Fails when `documents`,
/// the split pattern or `watch` does.
///
/// ```
/// use bytemill::{split::Splitter, train::{Feed, count_documents}};
/// use std::ops::ControlFlow;
///
/// let splitter = Splitter::new(Some("gpt2"))?;
/// let counts = count_documents(&splitter, Feed::Documents, 2, &mut |_| ControlFlow::Continue(()), |sink| {
///     ["to be", " or not", "to be"].iter().try_for_each(|text| sink.add(text.as_bytes()))
/// })?;
/// assert_eq!(counts.iter().next(), Some((&b"to"[..], 2)));
/// # Ok::<(), bytemill::Error>(())
/// ```
pub fn count_documents(
    splitter: &Splitter,
    feed: Feed,
    threads: usize,
    watch: &mut Watch,
    documents: impl FnOnce(&mut Sink) -> Result<()>,
) -> Result<WordCounts> {
    if threads <= 1 {
        let mut counter = Counter::new(splitter.clone());
        let mut sink = Sink::new(feed, watch, Target::Here(&mut counter));
        documents(&mut sink)?;
        return Ok(counter.into_counts());
    }
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2 * threads);
        let receiver = Arc::new(Mutex::new(receiver));
        let spawn = |_| {
            let receiver = Arc::clone(&receiver);
            scope.spawn(move || count_batches(&receiver, splitter))
        };
        let workers: Vec<_> = (0..threads).map(spawn).collect();
        drop(receiver); // the queue now breaks when the last worker has failed
        let mut sink = Sink::new(feed, watch, Target::Threads(sender, Batch::default()));
        let outcome = documents(&mut sink).and_then(|()| sink.flush());
        drop(sink); // the workers end when the queue does
        let mut total = Counter::new(splitter.clone());
        for worker in workers {
            total.absorb(&worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        outcome.map(|()| total.into_counts())
    })
}

/// Counts the pretokens of all documents of `paths`: files and folders, read as [`corpus`] tells.
///
/// `text_field` names the field of a jsonl line that holds the text.
pub fn count_files(
    paths: &[PathBuf],
    feed: Feed,
    text_field: &str,
    splitter: &Splitter,
    threads: usize,
    watch: &mut Watch,
) -> Result<WordCounts> {
    let files = corpus::expand(paths)?;
    count_documents(splitter, feed, threads, watch, |sink| {
        for file in &files {
            let add = |_: Place, document: &[u8]| sink.add(document);
            match feed {
                Feed::Lines if matches!(corpus::Kind::of(file)?.content, corpus::Content::Text) => {
                    corpus::for_each_line(file, add)?;
                }
                _ => corpus::for_each_document(file, corpus::Reading { text_field, separator: None }, add)?,
            }
        }
        Ok(())
    })
}

/// Takes documents in, on behalf of [`count_documents`].
pub struct Sink<'a> {
    feed: Feed,
    watch: &'a mut Watch<'a>,
    target: Target<'a>,
    position: u64,
    told: u64,
}

enum Target<'a> {
    Here(&'a mut Counter),
    Threads(SyncSender<Batch>, Batch),
}

#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    ends: Vec<usize>, // of each document in `text`
    position: u64,
}

impl<'a> Sink<'a> {
    fn new(feed: Feed, watch: &'a mut Watch<'a>, target: Target<'a>) -> Self {
        Self { feed, watch, target, position: 0, told: 0 }
    }

    /// Takes one more document. Fails when the pattern has failed or the caller wants to stop.
    pub fn add(&mut self, document: &[u8]) -> Result<()> {
        match self.feed {
            Feed::Documents => self.put(document),
            Feed::Lines => document.split_inclusive(|&byte| byte == b'\n').try_for_each(|line| self.put(line)),
        }
    }

    fn put(&mut self, document: &[u8]) -> Result<()> {
        let position = self.position;
        self.position += document.len() as u64;
        let full = match &mut self.target {
            Target::Here(counter) => {
                counter.add_at(document, position)?;
                false
            }
            Target::Threads(_, batch) => {
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
        self.tell()
    }

    /// Sends off what is gathered. The queue breaks when every worker has failed; their own errors
    /// are what `count_documents` then returns.
    fn flush(&mut self) -> Result<()> {
        match &mut self.target {
            Target::Here(_) => Ok(()),
            Target::Threads(sender, batch) => sender.send(std::mem::take(batch)).map_err(|_| Error::Interrupted),
        }
    }

    fn tell(&mut self) -> Result<()> {
        if self.position - self.told < BATCH_BYTES as u64 {
            return Ok(());
        }
        self.told = self.position;
        match (self.watch)(Progress::Counting { bytes: self.position }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        }
    }
}

/// A worker: counts batches until the queue ends.
fn count_batches(queue: &Mutex<Receiver<Batch>>, splitter: &Splitter) -> Result<Counter> {
    let mut counter = Counter::new(splitter.clone());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(batch) = next() {
        let mut start = 0;
        for end in batch.ends {
            counter.add_at(&batch.text[start..end], batch.position + start as u64)?;
            start = end;
        }
    }
    Ok(counter)
}
