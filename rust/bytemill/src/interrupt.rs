//! Stop long work: its loops call [`check`], which regularly asks the caller whether to continue.
//!
//! Splitting, merging and decoding have deep and hot loops that cannot return a result at every step. Therefore a stop
//! unwinds the stack to [`interruptible`], without printing a panic message, and [`interruptible`] returns
//! [`Error::Interrupted`]. No code after the check runs, and no partial result is kept. Other threads of the work only
//! read a flag; only the caller's thread calls the callback.

use crate::error::{Error, Result};
use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Bytes of text between two checks of [`Pace`]: a millisecond of work or less. Other loops use steps of similar
/// length.
pub(crate) const CHECK_BYTES: usize = 64 << 10;
const ASK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// Run `work`, whose loops call `ask` about ten times a second, always on this thread. If `ask` breaks, stop the work
/// and return [`Error::Interrupted`].
///
/// ```
/// use bytemill::{Error, Tokenizer, interrupt::interruptible};
/// use std::ops::ControlFlow;
///
/// let tokenizer = Tokenizer::from_merges(&[], Some("gpt2"), &[])?;
/// let ids = interruptible(|| ControlFlow::Continue(()), || tokenizer.encode_ordinary("hi"))?;
/// assert_eq!(ids, [104, 105]);
/// # Ok::<(), Error>(())
/// ```
pub fn interruptible<T>(ask: impl Fn() -> ControlFlow<()> + 'static, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let asking = Asking { ask: Box::new(ask), asked: Cell::new(Instant::now()) };
    let _entered = Entered::new(Work { stopped: Arc::default(), asking: Some(asking) });
    caught(work)
}

/// Check whether to stop. Long loops call this every few milliseconds; it does not return if the work must stop.
#[inline(never)]
pub fn check() {
    if is_stopped() {
        resume_unwind(Box::new(Stopped));
    }
}

/// Calls [`check`] at intervals in a loop over many bytes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    n_unchecked: usize,
}

impl Pace {
    /// Count `n_bytes` as done.
    #[inline]
    pub(crate) fn advance(&mut self, n_bytes: usize) {
        self.n_unchecked += n_bytes;
        if self.n_unchecked >= CHECK_BYTES {
            self.n_unchecked = 0;
            check();
        }
    }
}

/// Stop all threads that share this thread's work at their next [`check`].
pub(crate) fn stop() {
    WORK.with_borrow(|work| work.as_ref().map(|work| work.stopped.store(true, Ordering::Relaxed)));
}

/// Run `work` and return its result; return a stop as [`Error::Interrupted`].
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing reads what the work leaves incomplete: the caller gets an error.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| if panic.is::<Stopped>() { Err(Error::Interrupted) } else { resume_unwind(panic) })
}

/// Threads of one call that do the same work. They stop when the caller stops, and when this is dropped before they
/// end.
pub(crate) struct Workers<'scope, T> {
    threads: Vec<ScopedJoinHandle<'scope, T>>,
    /// Disconnected when the last thread ends.
    running: Receiver<()>,
}

impl<'scope, T: Send + 'scope> Workers<'scope, T> {
    /// Start up to `n` threads, or fewer if the system refuses more.
    pub(crate) fn start(
        scope: &'scope Scope<'scope, '_>,
        n: usize,
        work: impl Fn() -> T + Copy + Send + 'scope,
    ) -> Self {
        let (sender, running) = sync_channel(0);
        let start = |_| {
            let (stop, sender) = (Stop::of_this_thread(), SyncSender::clone(&sender));
            let work = move || {
                let _running: SyncSender<()> = sender;
                stop.during(work)
            };
            Builder::new().spawn_scoped(scope, work).ok()
        };
        Self { threads: (0..n).map_while(start).collect(), running }
    }

    /// Return whether the system started no thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Wait for the threads and return their results, in no particular order. While waiting, ask the caller whether to
    /// continue.
    pub(crate) fn join(mut self) -> Vec<T> {
        while let Err(RecvTimeoutError::Timeout) = self.running.recv_timeout(ASK_EVERY) {
            is_stopped();
        }
        let join = |thread: ScopedJoinHandle<'_, T>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        std::mem::take(&mut self.threads).into_iter().map(join).collect()
    }
}

impl<T> Drop for Workers<'_, T> {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            stop();
        }
    }
}

/// Passes a stop request from the caller's thread to another thread.
#[derive(Clone)]
pub(crate) struct Stop(Option<Arc<AtomicBool>>);

impl Stop {
    pub(crate) fn of_this_thread() -> Self {
        Self(WORK.with_borrow(|work| work.as_ref().map(|work| Arc::clone(&work.stopped))))
    }

    /// Run `work`; its [`check`]s stop when the caller's do.
    pub(crate) fn during<T>(self, work: impl FnOnce() -> T) -> T {
        let _entered = self.0.map(|stopped| Entered::new(Work { stopped, asking: None }));
        work()
    }
}

thread_local! {
    static WORK: RefCell<Option<Rc<Work>>> = const { RefCell::new(None) };
}

/// The stoppable work of a thread.
struct Work {
    stopped: Arc<AtomicBool>,
    /// `None` if another thread asks.
    asking: Option<Asking>,
}

struct Asking {
    ask: Box<dyn Fn() -> ControlFlow<()>>,
    asked: Cell<Instant>,
}

/// The payload that a stop unwinds with.
struct Stopped;

impl Work {
    fn is_stopped(&self) -> bool {
        if let Some(Asking { ask, asked }) = &self.asking
            && asked.get().elapsed() >= ASK_EVERY
        {
            asked.set(Instant::now());
            if ask().is_break() {
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Ask the caller if it is time to, and return whether to stop.
fn is_stopped() -> bool {
    // Do not hold the borrow during the callback: it may start other work.
    WORK.with_borrow(Clone::clone).is_some_and(|work| work.is_stopped())
}

/// Replaces the thread's work until this is dropped.
struct Entered {
    before: Option<Rc<Work>>,
}

impl Entered {
    fn new(work: Work) -> Self {
        Self { before: WORK.replace(Some(Rc::new(work))) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        WORK.set(self.before.take());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::Tokenizer;
    use crate::encode::{Request, Specials};
    use crate::vocab::Vocab;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    fn stop_immediately() -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn never_ends() -> Result<()> {
        loop {
            check();
        }
    }

    #[test]
    fn work_that_nobody_made_interruptible_goes_on() {
        check();
        assert_eq!(interruptible(|| ControlFlow::Continue(()), || Ok(7)).unwrap(), 7);
        check();
    }

    #[test]
    fn a_stop_is_an_error_and_does_not_outlive_the_work() {
        assert!(matches!(interruptible(stop_immediately, never_ends), Err(Error::Interrupted)));
        check();
    }

    #[test]
    fn the_inner_of_two_works_stops_alone() {
        let outer = interruptible(
            || ControlFlow::Continue(()),
            || {
                assert!(matches!(interruptible(stop_immediately, never_ends), Err(Error::Interrupted)));
                check();
                Ok(())
            },
        );
        assert!(outer.is_ok());
    }

    #[test]
    fn threads_stop_while_the_caller_waits_for_them() {
        let asked_here = Arc::new(AtomicUsize::new(0));
        let (counted, caller) = (Arc::clone(&asked_here), thread::current().id());
        let ask = move || {
            assert_eq!(thread::current().id(), caller);
            counted.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Break(())
        };
        let stopped: Result<Vec<()>> = interruptible(ask, || {
            thread::scope(|scope| Workers::start(scope, 3, never_ends).join().into_iter().collect())
        });
        assert!(matches!(stopped, Err(Error::Interrupted)));
        assert!(asked_here.load(Ordering::Relaxed) > 0);
    }

    fn stops<T>(work: impl FnOnce() -> Result<T>) -> bool {
        matches!(interruptible(stop_immediately, work), Err(Error::Interrupted))
    }

    #[test]
    fn every_long_call_of_a_tokenizer_stops() {
        let text = "some words and more 中 ".repeat(200_000);
        for pattern in [Some("gpt2"), Some(r"\w+|\W+"), None] {
            let tokenizer = Tokenizer::from_merges(&[(b'o'.into(), b'm'.into())], pattern, &["<end>"]).unwrap();
            assert!(stops(|| tokenizer.encode_ordinary(&text)));
            assert!(stops(|| tokenizer.encode(&text, Specials::All, Specials::NONE)));
            assert!(stops(|| tokenizer.encode_wanted(&text, Request { policy: None, max_tokens: Some(3_000_000) })));
            assert!(stops(|| tokenizer.encode_bytes(text.as_bytes())));
            assert!(stops(|| tokenizer.encode_with_offsets(&text, None)));
            assert!(stops(|| tokenizer.count(&text)));
            assert!(stops(|| tokenizer.encode_batch(&[&text, &text], Request::default(), 2)));
            assert!(stops(|| tokenizer.encode_batch(&vec!["some words"; 400_000], Request::default(), 1)));
            let damaged = [&text.as_bytes()[..20_000], b"\xff"].concat().repeat(200);
            assert!(stops(|| tokenizer.encode_bytes(&damaged)));
            let special = [&text[..20_000], "<end>"].concat().repeat(200);
            assert!(stops(|| tokenizer.encode(&special, Specials::All, Specials::NONE)));
            let ids = vec![b'a'.into(); 20_000_000];
            assert!(stops(|| tokenizer.decode_bytes(&ids)));
            assert!(stops(|| tokenizer.decode_with_offsets(&ids)));
        }
    }

    #[test]
    fn merging_one_long_piece_stops() {
        // The longest token has half a million letters: the windows of the piece grow until they contain it.
        let merges: Vec<(u32, u32)> = (0..20).map(|i| if i == 0 { (97, 97) } else { (255 + i, 255 + i) }).collect();
        let tokenizer = Tokenizer::from_merges(&merges, None, &[]).unwrap();
        let text = "a".repeat(3 << 20);
        assert!(stops(|| tokenizer.encode_ordinary(&text)));
    }

    #[test]
    fn making_a_vocabulary_stops() {
        let merges: Vec<(u32, u32)> = (0..4_000).map(|i| (97, if i == 0 { 97 } else { 255 + i })).collect();
        assert!(stops(|| Vocab::from_merges(&merges, &[])));
    }

    #[test]
    fn a_panic_goes_on_as_the_panic_it_is() {
        let panic = catch_unwind(|| interruptible(stop_immediately, || -> Result<()> { panic!("a bug") })).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a bug"));
        let panic = catch_unwind(|| {
            interruptible(stop_immediately, || {
                thread::scope(|scope| Workers::<()>::start(scope, 1, || panic!("a bug")).join());
                Ok(())
            })
        });
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"a bug"));
    }
}
