//! Numbers that a call is limited to: threads, and ids of each text.

use bytemill::Error;

use crate::error::CoreError;

/// More are never worth their stacks, and the system may refuse them.
const MAX_THREADS: usize = 256;

/// The caller's number, as far as it makes sense, or every core that this process may use.
pub(crate) fn count(asked: Option<usize>) -> Result<usize, CoreError> {
    match asked {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(0) => {
            Err(Error::Argument { name: "threads", got: "0".into(), expected: "1 or more, or None".into() }.into())
        }
        Some(threads) => Ok(threads.min(MAX_THREADS)),
    }
}

/// `threads`, or tiktoken's name for it.
pub(crate) fn either(threads: Option<usize>, num_threads: Option<usize>) -> Result<Option<usize>, CoreError> {
    match (threads, num_threads) {
        (Some(_), Some(given)) => Err(Error::Argument {
            name: "num_threads",
            got: given.to_string(),
            expected: "nothing next to threads, which means the same".into(),
        }
        .into()),
        _ => Ok(threads.or(num_threads)),
    }
}

/// `max_tokens` as the core takes it.
pub(crate) fn limit(max_tokens: Option<i64>) -> Result<Option<usize>, CoreError> {
    max_tokens.map(|given| from_zero("max_tokens", given)).transpose()
}

/// A number that must not be negative.
pub(crate) fn from_zero(name: &'static str, given: i64) -> Result<usize, CoreError> {
    let refuse = |_| Error::Argument { name, got: given.to_string(), expected: "0 or more".to_owned() }.into();
    usize::try_from(given).map_err(refuse)
}
