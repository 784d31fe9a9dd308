//! Decide whether prefetching pays: only if the caller works between one batch and the next.
//!
//! Passing a batch between threads takes as long as reading it from memory. A caller that requests the next batch
//! immediately, such as a loop that only counts tokens, is faster without a second thread: see
//! docs/experiments/loader.md for measurements. The batches do not depend on this decision.

use std::time::{Duration, Instant};

/// Shorter pauses do not count as work: a batch takes about as long.
const WORTH_USING: Duration = Duration::from_micros(100);
/// Number of consecutive pauses to start prefetching; a single pause may be caused by the system.
const PAUSES_TO_BEGIN: u32 = 2;
/// Number of consecutive calls without a pause to stop prefetching.
const CALLS_TO_STOP: u32 = 32;

/// The caller's pauses between batches.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    left: Option<Instant>,
    in_a_row: u32,
    calls_without_pause: u32,
}

impl Pauses {
    /// Record that the caller requests a batch.
    pub(super) fn arrive(&mut self) {
        if let Some(left) = self.left.take() {
            self.count(left.elapsed());
        }
    }

    /// Record that the caller got its batch.
    pub(super) fn leave(&mut self) {
        self.left = Some(Instant::now());
    }

    fn count(&mut self, pause: Duration) {
        if pause < WORTH_USING {
            (self.in_a_row, self.calls_without_pause) = (0, self.calls_without_pause.saturating_add(1));
        } else {
            (self.in_a_row, self.calls_without_pause) = (self.in_a_row.saturating_add(1), 0);
        }
    }

    /// Return whether to prefetch; `is_done` says whether prefetching is active.
    pub(super) fn pays(&self, is_done: bool) -> bool {
        if is_done { self.calls_without_pause < CALLS_TO_STOP } else { self.in_a_row >= PAUSES_TO_BEGIN }
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
