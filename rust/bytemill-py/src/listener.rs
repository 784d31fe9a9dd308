//! Stops long work of the core on Ctrl-C, and reports its progress.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytemill::Result;
use bytemill::interrupt::interruptible;
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Work on fewer bytes than this keeps the interpreter: releasing it costs more than it gains.
const RELEASE_ABOVE_BYTES: usize = 32 * 1024;

/// Time between two progress reports.
const REPORT_EVERY: Duration = Duration::from_millis(20);
/// The minimum number of reports, however fast the work is: one for each of this number of parts of the total.
const SHARE: u64 = 128;

/// Runs work without the interpreter, and stops it if a signal handler or the progress callable raises.
#[derive(Clone)]
pub(crate) struct Listener(Arc<State>);

struct State {
    /// Called with `(phase, done, total, …)`.
    progress: Option<Py<PyAny>>,
    /// The last report and its time.
    last: Mutex<Option<(u64, Instant)>>,
    /// The exception that was raised; the work then stops.
    failure: Mutex<Option<PyErr>>,
}

impl Listener {
    pub(crate) fn new(progress: Option<Py<PyAny>>) -> Self {
        Self(Arc::new(State { progress, last: Mutex::default(), failure: Mutex::default() }))
    }

    /// Return the result of the work; an exception raised meanwhile takes precedence.
    pub(crate) fn run<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
        let asked = self.clone();
        let done = py.detach(|| interruptible(move || asked.heed(|_| Ok(())), work));
        match self.failure().take() {
            Some(failure) => Err(failure),
            None => Ok(done.map_err(CoreError::from)?),
        }
    }

    /// Report progress, `done` of `total` (0 if unknown); break if the work must stop.
    ///
    /// A call into Python for each row of a file would take ten times as long as reading it, so only some calls are
    /// made: one every [`REPORT_EVERY`], one per [`SHARE`]th of the total, one at the end, and one when `done`
    /// restarts.
    pub(crate) fn report<Arguments: for<'py> PyCallArgs<'py>>(
        &self,
        done: u64,
        total: u64,
        arguments: Arguments,
    ) -> ControlFlow<()> {
        {
            let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = last.is_none_or(|(before, at): (u64, Instant)| {
                let is_new = done > before && total > 0 && (done >= total || done - before >= total.div_ceil(SHARE));
                let is_far = done < before || is_new;
                is_far || at.elapsed() >= REPORT_EVERY
            });
            if !is_due {
                return ControlFlow::Continue(());
            }
            *last = Some((done, Instant::now()));
        }
        self.heed(|py| self.0.progress.as_ref().map_or(Ok(()), |progress| progress.call1(py, arguments).map(drop)))
    }

    /// Store an exception that was raised outside the core: the result of [`Listener::run`].
    pub(crate) fn fail(&self, error: PyErr) {
        self.failure().get_or_insert(error);
    }

    /// Run signal handlers, then call `report`.
    fn heed(&self, report: impl FnOnce(Python<'_>) -> PyResult<()>) -> ControlFlow<()> {
        if self.failure().is_none()
            && let Err(error) = Python::attach(|py| py.check_signals().and_then(|()| report(py)))
        {
            self.fail(error);
        }
        if self.failure().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<PyErr>> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Run `work` on about `n_bytes` of text. If it may take long, run it without the interpreter and stop on Ctrl-C.
pub(crate) fn released<T: Send>(
    py: Python<'_>,
    n_bytes: usize,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    if n_bytes > RELEASE_ABOVE_BYTES { interruptibly(py, work) } else { Ok(work().map_err(CoreError::from)?) }
}

/// Run `work` without the interpreter and stop on Ctrl-C.
pub(crate) fn interruptibly<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    Listener::new(None).run(py, work)
}
