//! Stops long work: its loops call [`check`], which now and then asks the caller whether to go on.
//!
//! Splitting, merging and decoding are too deep and too hot to return a result at every step. So a stop unwinds,
//! without a panic's message, to [`interruptible`], which returns [`Error::Interrupted`]: nothing after the check
//! runs, and no half-made result is kept. Other threads of the
//! work only read a flag; the caller's thread asks.

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

/// Bytes of text after which [`Pace`] checks, and other steps as long: a millisecond of work or less.
pub(crate) const CHECK_BYTES: usize = 64 << 10;
const ASK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// Runs `work`, whose loops call `ask` about ten times a second, always on this thread. If that breaks, the work stops
/// and the result is [`Error::Interrupted`].
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

/// Called in long loops, at most some milliseconds apart; does not return if the work shall stop.
#[inline(never)]
pub fn check() {
    if is_stopped() {
        resume_unwind(Box::new(Stopped));
    }
}

/// Calls [`check`] now and then, in a loop that gets through many bytes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    n_unchecked: usize,
}

impl Pace {
    /// `n_bytes` more are done.
    #[inline]
    pub(crate) fn advance(&mut self, n_bytes: usize) {
        self.n_unchecked += n_bytes;
        if self.n_unchecked >= CHECK_BYTES {
            self.n_unchecked = 0;
            check();
        }
    }
}

/// Makes all threads that share this thread's work stop at their next [`check`].
pub(crate) fn stop() {
    WORK.with_borrow(|work| work.as_ref().map(|work| work.stopped.store(true, Ordering::Relaxed)));
}

/// The result of `work`, where a stop is [`Error::Interrupted`] like any other failure.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What the work leaves half-made is never looked at again: its caller sees an error.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| if panic.is::<Stopped>() { Err(Error::Interrupted) } else { resume_unwind(panic) })
}

/// Threads of one call that do the same work; they stop with the caller, and when this is dropped before they ended.
pub(crate) struct Workers<'scope, T> {
    threads: Vec<ScopedJoinHandle<'scope, T>>,
    /// Disconnected when the last thread has ended.
    running: Receiver<()>,
}

impl<'scope, T: Send + 'scope> Workers<'scope, T> {
    /// Starts up to `n` threads; fewer where the system refuses more.
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

    /// Whether the system gave no thread at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// What the threads return, in no certain order; asks meanwhile whether to go on.
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

/// Hands the wish to stop from the caller's thread to another.
#[derive(Clone)]
pub(crate) struct Stop(Option<Arc<AtomicBool>>);

impl Stop {
    pub(crate) fn of_this_thread() -> Self {
        Self(WORK.with_borrow(|work| work.as_ref().map(|work| Arc::clone(&work.stopped))))
    }

    /// Runs `work`, whose [`check`]s stop when the caller's do.
    pub(crate) fn during<T>(self, work: impl FnOnce() -> T) -> T {
        let _entered = self.0.map(|stopped| Entered::new(Work { stopped, asking: None }));
        work()
    }
}

thread_local! {
    static WORK: RefCell<Option<Rc<Work>>> = const { RefCell::new(None) };
}

/// What a thread works on, and can be stopped.
struct Work {
    stopped: Arc<AtomicBool>,
    /// `None` where another thread asks.
    asking: Option<Asking>,
}

struct Asking {
    ask: Box<dyn Fn() -> ControlFlow<()>>,
    asked: Cell<Instant>,
}

/// What a stop unwinds with.
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

/// Asks, if it is time to.
fn is_stopped() -> bool {
    // Not borrowed while the caller is asked, who may do other work meanwhile.
    WORK.with_borrow(Clone::clone).is_some_and(|work| work.is_stopped())
}

/// While this lives the thread's work is another.
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

    fn stop_at_once() -> ControlFlow<()> {
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
        assert!(matches!(interruptible(stop_at_once, never_ends), Err(Error::Interrupted)));
        check();
    }

    #[test]
    fn the_inner_of_two_works_stops_alone() {
        let outer = interruptible(
            || ControlFlow::Continue(()),
            || {
                assert!(matches!(interruptible(stop_at_once, never_ends), Err(Error::Interrupted)));
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
        matches!(interruptible(stop_at_once, work), Err(Error::Interrupted))
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
        // The longest token has half a million letters: windows of the piece grow until they hold it.
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
        let panic = catch_unwind(|| interruptible(stop_at_once, || -> Result<()> { panic!("a bug") })).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a bug"));
        let panic = catch_unwind(|| {
            interruptible(stop_at_once, || {
                thread::scope(|scope| Workers::<()>::start(scope, 1, || panic!("a bug")).join());
                Ok(())
            })
        });
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"a bug"));
    }
}
