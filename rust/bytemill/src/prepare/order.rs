//! The text of each document of the result: the shuffled corpus, or its only document in two parts.

use super::last_tenth;
use super::scan::{Corpus, Span};
use crate::error::Result;
use crate::shard::order::{Permutation, Stream};
use crate::shard::{Plan, Validation};

/// The documents of the result, in the order in which they are written.
#[derive(Debug)]
pub(super) enum Order {
    Shuffled(Permutation),
    /// The last tenth for validation, then the part before it.
    LastTenth([Span; 2]),
}

impl Order {
    /// Return the order of the documents of `corpus` under `plan`.
    pub(super) fn new(corpus: &Corpus, plan: &Plan) -> Result<Self> {
        let n_documents = corpus.n_documents();
        if n_documents == 1 && matches!(plan.val, Validation::Share(share) if share > 0.0) {
            return Ok(Self::LastTenth(last_tenth::cut(corpus, plan.val)?));
        }
        Ok(Self::Shuffled(Permutation::new(n_documents, plan.seed, Stream::Documents, 0)))
    }

    /// Return the number of documents of the result.
    pub(super) fn n_items(&self, corpus: &Corpus) -> u64 {
        match self {
            Self::Shuffled(_) => corpus.n_documents(),
            Self::LastTenth(parts) => parts.len() as u64,
        }
    }

    /// Return the text of the document at `position`.
    pub(super) fn span(&self, corpus: &Corpus, position: u64) -> Span {
        match self {
            Self::Shuffled(permutation) => corpus.span(permutation.at(position)),
            Self::LastTenth(parts) => parts[position as usize].clone(),
        }
    }
}
