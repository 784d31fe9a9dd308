//! Whether reading ahead pays: only where the caller does something between one batch and the next.
//!
//! Handing a batch from thread to thread takes as long as reading it from memory does. Whoever asks for the next
//! one at once, as a loop that only counts tokens does, is better served on its own thread: measured in
//! docs/experiments/loader.md. What is delivered does not depend on it.

use std::time::{Duration, Instant};

/// Shorter pauses are no work: a batch takes about as long.
const WORTH_USING: Duration = Duration::from_micros(100);
/// A pause may be the system's doing: so many in a row are the caller's.
const PAUSES_TO_BEGIN: u32 = 2;
/// And so many calls without any are needed to stop.
const CALLS_TO_STOP: u32 = 32;

/// The caller's pauses between batches.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    left: Option<Instant>,
    pauses: u32,
    calls_at_once: u32,
}

impl Pauses {
    /// The caller is back for a batch.
    pub(super) fn arrive(&mut self) {
        if let Some(left) = self.left.take() {
            self.count(left.elapsed());
        }
    }

    /// The caller leaves with a batch.
    pub(super) fn leave(&mut self) {
        self.left = Some(Instant::now());
    }

    fn count(&mut self, pause: Duration) {
        if pause < WORTH_USING {
            (self.pauses, self.calls_at_once) = (0, self.calls_at_once.saturating_add(1));
        } else {
            (self.pauses, self.calls_at_once) = (self.pauses.saturating_add(1), 0);
        }
    }

    /// Whether to read ahead, where that `is_done` already or not.
    pub(super) fn pays(&self, is_done: bool) -> bool {
        if is_done { self.calls_at_once < CALLS_TO_STOP } else { self.pauses >= PAUSES_TO_BEGIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_two_pauses_to_begin_and_many_calls_without_any_to_stop() {
        let mut pauses_seen = Pauses::default();
        let (short, long) = (WORTH_USING / 2, WORTH_USING * 2);
        for (pause, pays) in [(long, false), (short, false), (long, false), (long, true), (long, true)] {
            pauses_seen.count(pause);
            assert_eq!(pauses_seen.pays(false), pays);
        }
        for _ in 1..CALLS_TO_STOP {
            pauses_seen.count(short);
            assert!(pauses_seen.pays(true) && !pauses_seen.pays(false));
        }
        pauses_seen.count(short);
        assert!(!pauses_seen.pays(true));
    }

    #[test]
    fn time_with_the_loader_is_no_pause() {
        let mut pauses_seen = Pauses::default();
        for _ in 0..3 {
            pauses_seen.arrive();
            std::thread::sleep(WORTH_USING * 2);
        }
        assert!(!pauses_seen.pays(false));
        for _ in 0..2 {
            pauses_seen.leave();
            std::thread::sleep(WORTH_USING * 2);
            pauses_seen.arrive();
        }
        assert!(pauses_seen.pays(false));
    }
}
