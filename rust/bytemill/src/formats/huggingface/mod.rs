//! Hugging Face's `tokenizer.json`, for byte-level BPE.
//!
//! What we read encodes to the ids that `tokenizers` gives with `add_special_tokens=False`; a file for
//! which that cannot be promised is refused with the reason. `post_processor` is kept for those who read what we
//! write; `truncation` and `padding` are not: they shape rows out of ids that are already decided.

mod added;
mod pre_tokenizer;
mod read;
mod values;
mod write;

pub(super) use read::read;
pub(super) use write::to_string;
