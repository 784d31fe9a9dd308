//! The core of bytemill: what touches every byte or every token, and knows nothing of Python.
//!
//! A tour, in the order that text takes:
//!
//! * [`corpus`] reads documents from files;
//! * [`split`] cuts a text into pretokens;
//! * [`train`] learns merges from pretokens;
//! * [`vocab`] holds what was learnt, [`formats`] reads and writes it;
//! * [`encode`] turns text into ids, [`decode`] ids into text;
//! * [`tokenizer`] is these three in one, the type that callers hold;
//! * [`token_file`] writes the ids of whole files into one;
//! * [`shard`] stores ids in checked files and serves them as batches;
//! * [`prepare`] runs documents through the tokenizer into shards;
//! * [`durable`] writes files, for all of these, that are there whole or not at all;
//! * [`interrupt`] stops long work of any of these when its caller wants to.
//!
//! Imports run one way: `error <- vocab <- split, formats, decode <- train, encode <- tokenizer <- prepare`;
//! `corpus` and `durable` stand on `error` alone, `shard` on these two.

mod byte_alphabet;
pub mod corpus;
pub mod decode;
pub mod durable;
pub mod encode;
pub mod error;
pub mod formats;
pub mod hints;
pub mod interrupt;
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
