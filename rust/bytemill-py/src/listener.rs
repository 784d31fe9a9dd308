//! How the core's long work hears of Ctrl-C, and where it reports its progress to.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use bytemill::Result;
use bytemill::interrupt::interruptible;
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Work on fewer bytes than this keeps the interpreter: handing it over costs more than it gives.
const RELEASE_ABOVE_BYTES: usize = 32 * 1024;

/// Runs work without the interpreter, and stops it when a signal's handler or the progress callable raises.
#[derive(Clone)]
pub(crate) struct Listener(Arc<State>);

struct State {
    /// Called with `(phase, done, total, …)`.
    progress: Option<Py<PyAny>>,
    /// What was raised; the work is over then.
    failure: Mutex<Option<PyErr>>,
}

impl Listener {
    pub(crate) fn new(progress: Option<Py<PyAny>>) -> Self {
        Self(Arc::new(State { progress, failure: Mutex::default() }))
    }

    /// The work's result; what was raised meanwhile goes before whatever came of the work.
    pub(crate) fn run<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
        let asked = self.clone();
        let done = py.detach(|| interruptible(move || asked.heed(|_| Ok(())), work));
        match self.failure().take() {
            Some(failure) => Err(failure),
            None => Ok(done.map_err(CoreError::from)?),
        }
    }

    /// Reports progress; breaks when the work shall stop.
    pub(crate) fn hear<Told: for<'py> PyCallArgs<'py>>(&self, told: Told) -> ControlFlow<()> {
        self.heed(|py| self.0.progress.as_ref().map_or(Ok(()), |progress| progress.call1(py, told).map(drop)))
    }

    /// Remembers an exception that something outside the core raised: the result of [`Listener::run`].
    pub(crate) fn fail(&self, error: PyErr) {
        self.failure().get_or_insert(error);
    }

    /// Lets signals' handlers run, then calls `report`.
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

/// Runs `work` on about `n_bytes` of text; if it may take long, without the interpreter and until Ctrl-C.
pub(crate) fn released<T: Send>(
    py: Python<'_>,
    n_bytes: usize,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    if n_bytes > RELEASE_ABOVE_BYTES { interruptibly(py, work) } else { Ok(work().map_err(CoreError::from)?) }
}

/// Runs `work` without the interpreter and until Ctrl-C.
pub(crate) fn interruptibly<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    Listener::new(None).run(py, work)
}
