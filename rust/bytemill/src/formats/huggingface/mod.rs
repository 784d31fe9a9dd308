//! Hugging Face's `tokenizer.json`, for byte-level BPE.
//!
//! A file that is read encodes to the ids that `tokenizers` gives with `add_special_tokens=False`. If
//! this cannot be guaranteed, the file is refused with the reason. `post_processor` is kept for the readers of the
//! files that we write. `truncation` and `padding` are not kept: they shape rows after the ids are decided.

mod added;
mod pre_tokenizer;
mod read;
mod values;
mod write;

pub(super) use read::read;
pub(super) use write::to_string;
