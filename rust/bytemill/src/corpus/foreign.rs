//! Calls readers that others wrote and that may panic on a damaged file: the panic becomes a reason.
//!
//! Parquet's reader trusts lengths that it finds inside pages. A panic unwinds to here, the reader is
//! dropped unread, and nothing else has seen its state: that is what makes going on sound. Where a
//! program is built with `panic = "abort"` such a file still ends it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns; its error, or its panic, as a reason. After a panic nothing that `work`
/// borrowed mutably may be used again but to be dropped.
pub(super) fn caught<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    hush();
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    match outcome {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the content contradicts itself ({})", message(&*panic))),
    }
}

/// From now on panics within [`caught`] print nothing; all others are told as before.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                told(panic);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::panic, reason = "it is what is caught")]
    fn a_panic_becomes_a_reason() {
        let reason = caught(|| -> Result<(), String> { panic!("length {} of {}", 7, 3) });
        assert_eq!(reason, Err("the content contradicts itself (length 7 of 3)".to_owned()));
        assert_eq!(caught(|| Err::<(), _>("cut")), Err("cut".to_owned()));
        assert_eq!(caught(|| Ok::<_, String>(5)), Ok(5));
    }
}
