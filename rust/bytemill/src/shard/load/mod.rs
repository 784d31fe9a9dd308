//! Positions to batches: which sample is at a position, its tokens, and threads that prefetch.
//!
//! ```text
//! position ── mixture ──> source, position in it ── order ──> sample
//!     packing "chunk":   the sample is tokens in a row
//!     packing "bestfit": best_fit ──> the sample is pieces of the data
//! sample ── files ──> tokens ── batch ──> a row of inputs, a row of targets
//! ```
//!
//! Read the top of `loader`, then `Samples::batch` and `locate`, and for "bestfit" `plan` and `Waiting::next`.

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
