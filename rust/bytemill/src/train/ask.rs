//! Asks the caller, a few times a second, whether to go on.
//!
//! Long loops ask at every step; a step costs a count, and now and then a look at the clock.

use super::{Progress, Watch};
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

const TELL_EVERY: Duration = Duration::from_millis(50);
/// Steps between looks at the clock; a step takes microseconds.
const STEPS: u32 = 256;

/// Tells a [`Watch`] how far the work is, and hears whether it shall stop.
pub(super) struct Ask<'a> {
    watch: &'a mut Watch<'a>,
    progress: Progress,
    told: Instant,
    steps: u32,
}

impl<'a> Ask<'a> {
    /// Tells `watch` of `progress` until [`Self::at`] knows better.
    pub(super) fn new(watch: &'a mut Watch, progress: Progress) -> Self {
        Self { watch, progress, told: Instant::now(), steps: 0 }
    }

    /// Tells how far the work is from now on.
    pub(super) fn at(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Called at every small step of long work; fails when the caller wants to stop.
    #[inline]
    pub(super) fn now_and_then(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps < STEPS { Ok(()) } else { self.soon() }
    }

    /// As [`Self::now_and_then`], where a step may take long.
    pub(super) fn soon(&mut self) -> Result<()> {
        self.steps = 0;
        if self.told.elapsed() < TELL_EVERY {
            return Ok(());
        }
        self.told = Instant::now();
        match (self.watch)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        }
    }
}
