//! The core of bytemill: all work per byte and per token, without any Python.
//!
//! The modules, in the order in which text passes through them:
//!
//! * [`corpus`] reads documents from files;
//! * [`split`] splits a text into pretokens;
//! * [`train`] learns merges from pretokens;
//! * [`vocab`] holds the tokens and merges, [`formats`] reads and writes them;
//! * [`encode`] turns text into ids, [`decode`] ids into text;
//! * [`tokenizer`] combines vocabulary, encoding and decoding in [`Tokenizer`], the type that callers use;
//! * [`token_file`] writes the ids of whole files into one file;
//! * [`shard`] stores ids in checked files and serves them as batches;
//! * [`prepare`] tokenizes documents into shards;
//! * [`durable`] writes files atomically for all other modules;
//! * `platform` asks the operating system for what differs between systems;
//! * [`interrupt`] stops long work when its caller asks for it.
//!
//! Imports go in one direction: `error <- vocab <- split, formats, decode <- train, encode <- tokenizer <- prepare`;
//! `corpus` and `durable` import `error` only, `shard` imports these two.

mod byte_alphabet;
pub mod corpus;
pub mod decode;
pub mod durable;
pub mod encode;
pub mod error;
pub mod formats;
pub mod hints;
pub mod interrupt;
pub(crate) mod platform;
pub mod prepare;
pub(crate) mod regular_file;
pub mod shard;
pub mod split;
pub mod token_file;
pub mod tokenizer;
pub mod train;
pub mod utf8;
pub mod vocab;

pub use error::{Error, Result};
pub use tokenizer::Tokenizer;
