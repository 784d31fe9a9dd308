//! Progress of the core's long work to a Python callable, and Ctrl-C back.

use std::ops::ControlFlow;

use bytemill::Result;
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use crate::error::CoreError;

/// Tells a callable `(phase, done, total, …)` and remembers the exception that made it stop.
pub(crate) struct Listener {
    callback: Option<Py<PyAny>>,
    failure: Option<PyErr>,
}

impl Listener {
    pub(crate) fn new(callback: Option<Py<PyAny>>) -> Self {
        Self { callback, failure: None }
    }

    /// Breaks when the callable raises or a signal is waiting, as after Ctrl-C.
    pub(crate) fn hear<Told: for<'py> PyCallArgs<'py>>(&mut self, told: Told) -> ControlFlow<()> {
        let heard = Python::attach(|py| {
            py.check_signals()?;
            self.callback.as_ref().map_or(Ok(()), |callback| callback.call1(py, told).map(drop))
        });
        match heard {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// The work's result; what the callable raised goes before whatever came of it.
    pub(crate) fn result<T>(self, work: Result<T>) -> PyResult<T> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(work.map_err(CoreError::from)?),
        }
    }
}
