//! How documents are laid out in shards, and what the work may take.

use super::encode_document::EncodeDocument;
use crate::error::{Error, Result};
use crate::shard::{Layout, MAX_SHARD_TOKENS, Plan, Validation};

/// How to lay out documents, and what the work may take.
#[derive(Clone, Debug, PartialEq)]
pub struct PrepareOptions {
    /// Tokens of each shard but a split's last.
    pub shard_tokens: u64,
    /// What is kept apart for validation.
    pub val: Validation,
    /// Keys the shuffle of the documents, and so the choice of those for validation.
    pub seed: u64,
    /// Threads that encode; 0 for as many as the machine has.
    pub threads: usize,
    /// The field of a JSON row that holds its text.
    pub text_field: String,
    /// Bytes of memory that places of documents, and text and tokens on their way, may take.
    pub max_memory: Option<u64>,
    /// Whether what was written is compared with the text.
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
                let expected = "a share of at least 0 and below 1".to_owned();
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
