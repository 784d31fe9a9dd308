//! Options for the layout of documents in shards, and for threads and memory.

use super::encode_document::EncodeDocument;
use crate::error::{Error, Result};
use crate::shard::{Layout, MAX_SHARD_TOKENS, Plan, Validation};

/// Options for the layout of documents, and for threads and memory.
#[derive(Clone, Debug, PartialEq)]
pub struct PrepareOptions {
    /// Tokens of each shard except a split's last.
    pub shard_tokens: u64,
    /// The validation split.
    pub val: Validation,
    /// Random seed for shuffling the documents, and so for choosing those for validation.
    pub seed: u64,
    /// Number of encoding threads; 0 for one per processor core.
    pub threads: usize,
    /// The field of a JSON row that contains its text.
    pub text_field: String,
    /// Maximum memory in bytes for places of documents, and for text and tokens in progress.
    pub max_memory: Option<u64>,
    /// Whether to compare the tokens written with the text.
    pub check: bool,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            shard_tokens: MAX_SHARD_TOKENS,
            val: Validation::Share(0.01),
            seed: 0,
            threads: 0,
            text_field: "text".to_owned(),
            max_memory: None,
            check: false,
        }
    }
}

impl PrepareOptions {
    pub(super) fn check(&self) -> Result<()> {
        match self.val {
            Validation::Share(share) if !(0.0..1.0).contains(&share) => {
                let expected = "at least 0 and less than 1".to_owned();
                Err(Error::Argument { name: "val", got: share.to_string(), expected })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn layout(&self, tokenizer: &impl EncodeDocument) -> Result<Layout> {
        let (n_vocab, end_of_text) = (tokenizer.n_vocab(), tokenizer.end_of_text());
        Layout { n_vocab, end_of_text, shard_tokens: self.shard_tokens }.check()
    }

    pub(super) fn plan(&self) -> Plan {
        let (shard_tokens, val, seed) = (self.shard_tokens, self.val, self.seed);
        Plan { shard_tokens, val, seed, text_field: self.text_field.clone() }
    }
}
