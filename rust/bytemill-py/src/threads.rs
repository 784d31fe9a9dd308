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

/// `max_tokens` as the core takes it.
pub(crate) fn limit(max_tokens: Option<i64>) -> Result<Option<usize>, CoreError> {
    let refuse = |given: i64| {
        let expected = "0 or more, or None".to_owned();
        CoreError::from(Error::Argument { name: "max_tokens", got: given.to_string(), expected })
    };
    max_tokens.map(|given| usize::try_from(given).map_err(|_| refuse(given))).transpose()
}
