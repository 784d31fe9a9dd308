//! Positions to batches: which sample is at a position, its tokens, and threads that prefetch.

pub(super) mod batch;
mod best_fit;
pub(super) mod boundaries;
pub mod loader;
pub mod mixture;
pub(super) mod options;
pub mod order;
mod pauses;
mod prefetch;
mod samples;
pub(super) mod shared_loader;
mod source;
pub(super) mod state;
