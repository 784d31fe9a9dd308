//! How many threads a call may use.

use bytemill::Error;

use crate::error::CoreError;

/// The caller's number, or every core that this process may use.
pub(crate) fn count(asked: Option<usize>) -> Result<usize, CoreError> {
    match asked {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(0) => {
            Err(Error::Argument { name: "threads", got: "0".into(), expected: "1 or more, or None".into() }.into())
        }
        Some(threads) => Ok(threads),
    }
}
