//! Call third-party readers that may panic on a damaged file, and turn the panic into an error.
//!
//! Parquet's reader trusts the lengths that it finds inside pages. A panic unwinds to this module, the reader is
//! dropped without being read again, and no other code has seen its state. Therefore it is sound to continue. In a
//! program built with `panic = "abort"`, such a file still ends the program.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Run `work` and return its result, with its error or panic as text. After a panic, values that `work` borrowed
/// mutably may only be dropped.
pub(super) fn caught<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    silence_caught_panics();
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    match outcome {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the content is inconsistent ({})", message(&*panic))),
    }
}

/// Silence panics within [`caught`]; other panics still go to the earlier hook.
fn silence_caught_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default_hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                default_hook(panic);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::panic, reason = "it is what is caught")]
    fn a_panic_becomes_a_reason() {
        let reason = caught(|| -> Result<(), String> { panic!("length {} of {}", 7, 3) });
        assert_eq!(reason, Err("the content is inconsistent (length 7 of 3)".to_owned()));
        assert_eq!(caught(|| Err::<(), _>("cut")), Err("cut".to_owned()));
        assert_eq!(caught(|| Ok::<_, String>(5)), Ok(5));
    }
}
