//! Text to ids: split the text, look up each pretoken, merge those that are not in a table.
//!
//! The definition: start each pretoken as its bytes; while any two neighbours have a merge, apply the merge of lowest
//! rank:
//!
//! ```text
//! for pretoken in split(text):
//!     ids = the id of each byte of pretoken
//!     while some neighbours of ids are a merge:
//!         (left, right) = those whose merge has the lowest rank, the leftmost if there are several
//!         replace them by the id that the merge makes
//!     append ids
//! ```
//!
//! (Some vocabularies, such as Llama 3's, first check whether the whole pretoken is a token.)
//!
//! The ids depend on the pretoken alone, and most pretokens of a text have occurred before. So this module first looks
//! in tables of known pretokens:
//!
//! ```text
//! "the cat sat"
//!    │ split/            pretoken ends, a batch at a time
//!    ▼
//! "the" " cat" " sat"
//!    │ chunk             hash a batch of them and prefetch their table entries
//!    ▼
//! the tables ──── found ──────────────────────────────────────► ids
//!    │ missing                                                   ▲
//!    ▼                                                           │
//! vocab::merge           the loop above, made fast ── remember ──┘
//! ```
//!
//! In `encoder` read `Merging::pretokens` (fills a chunk), `chunk` (looks it up) and `missed` (merges, and writes the
//! result into a table). `table` is one table; `memory` has the set of tables that an encoder uses.
//!
//! `special` finds special tokens before the split, `batch` uses several threads, `room` sizes the output, `truncate`
//! and `offsets` answer for the first ids only and for positions in the text.

mod batch;
mod chunk;
mod encoder;
mod extract;
mod memory;
mod offsets;
mod overflow;
#[cfg(test)]
mod repeat_tests;
mod request;
mod room;
mod special;
mod table;
mod truncate;

pub(crate) use batch::encode_batch;
pub(crate) use encoder::{Encoder, Parts};
pub(crate) use extract::text_between;
pub(crate) use memory::Memory;
pub use request::Request;
pub(crate) use room::for_short_text as room_for_short_text;
pub use special::{SpecialPolicy, Specials};
