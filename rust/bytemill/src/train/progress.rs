//! Reports progress to the caller, a few times a second, and stops when the caller wants to.
//!
//! Long loops call [`Reporter::step`] each time; a step costs a count, and now and then a look at the clock.

use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

const REPORT_EVERY: Duration = Duration::from_millis(50);
/// Steps between looks at the clock; a step takes microseconds.
const STEPS: u32 = 256;

/// How far the work is, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Text is being counted.
    Counting {
        /// Bytes of documents taken in so far.
        bytes: u64,
    },
    /// Merges are being learnt.
    Merging {
        /// Merges learnt so far.
        done: usize,
        /// Merges asked for.
        wanted: usize,
    },
}

/// A callback that receives the progress, a few times a second at most; breaking makes the work return [`crate::Error::Interrupted`].
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Calls a [`Watch`] with the progress, at most every 50 ms.
pub(super) struct Reporter<'a> {
    watch: &'a mut Watch<'a>,
    progress: Progress,
    reported: Instant,
    steps: u32,
}

impl<'a> Reporter<'a> {
    /// Report `progress` to `watch` until [`Self::set`] changes it.
    pub(super) fn new(watch: &'a mut Watch, progress: Progress) -> Self {
        Self { watch, progress, reported: Instant::now(), steps: 0 }
    }

    /// Set the progress that is reported from now on.
    pub(super) fn set(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Count one small step of long work; fail when the caller wants to stop.
    #[inline]
    pub(super) fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps < STEPS { Ok(()) } else { self.long_step() }
    }

    /// As [`Self::step`], where a step may take long.
    pub(super) fn long_step(&mut self) -> Result<()> {
        self.steps = 0;
        if self.reported.elapsed() < REPORT_EVERY {
            return Ok(());
        }
        self.reported = Instant::now();
        match (self.watch)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        }
    }
}
