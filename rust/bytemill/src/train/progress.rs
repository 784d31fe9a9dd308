//! Report progress to the caller a few times a second, and stop when the caller wants to.
//!
//! Long loops call [`Reporter::step`] in each round. A step increments a counter; only every 256th step reads the
//! clock.

use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

const REPORT_EVERY: Duration = Duration::from_millis(50);
/// Steps between two reads of the clock; a step takes microseconds.
const STEPS: u32 = 256;

/// Progress of the work, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Text is being counted.
    Counting {
        /// Bytes of documents read so far.
        bytes: u64,
    },
    /// Merges are being learned.
    Merging {
        /// Merges learned so far.
        done: usize,
        /// Merges requested.
        wanted: usize,
    },
}

/// A callback that receives the progress, at most a few times a second. If it breaks, the work returns
/// [`crate::Error::Interrupted`].
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

    /// Set the progress to report.
    pub(super) fn set(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Count one small step of long work; return an error if the caller wants to stop.
    #[inline]
    pub(super) fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps < STEPS { Ok(()) } else { self.long_step() }
    }

    /// Count one step that may take long; see [`Self::step`].
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
