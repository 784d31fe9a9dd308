//! Limits of a call: threads, and ids per text.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::error::raise;

/// More threads never repay the cost of their stacks, and the system may refuse them.
const MAX_THREADS: usize = 256;

/// Return the caller's number, within sensible limits, or the number of cores that this process may use.
pub(crate) fn count(asked: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    match asked {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(threads) => Ok(at_least("threads", 1, threads)?.min(MAX_THREADS)),
    }
}

/// Return `threads`, or `num_threads`, tiktoken's name for it.
pub(crate) fn either<'a, 'py>(
    threads: Option<&'a Bound<'py, PyAny>>,
    num_threads: Option<&'a Bound<'py, PyAny>>,
) -> PyResult<Option<&'a Bound<'py, PyAny>>> {
    if threads.is_some() && num_threads.is_some() {
        let message = "threads and num_threads are both given, expected only one of them: both set the same limit";
        return Err(raise("ArgumentError", message.to_owned()));
    }
    Ok(threads.or(num_threads))
}

/// Convert `max_tokens` for the core.
pub(crate) fn limit(max_tokens: Option<&Bound<'_, PyAny>>) -> PyResult<Option<usize>> {
    max_tokens.map(|given| at_least("max_tokens", 0, given)).transpose()
}

/// Read the argument `name`, an integer of at least `least`; numbers beyond any memory size act as no limit.
pub(crate) fn at_least(name: &str, least: usize, given: &Bound<'_, PyAny>) -> PyResult<usize> {
    let number = match given.extract::<usize>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) && given.gt(0)? => Ok(usize::MAX),
        extracted => extracted,
    };
    number.ok().filter(|number| *number >= least).ok_or_else(|| {
        let shown = given.repr().map_or_else(|_| "something else".to_owned(), |shown| shown.to_string());
        raise("ArgumentError", format!("{name} is {shown}, expected a whole number of at least {least}"))
    })
}
