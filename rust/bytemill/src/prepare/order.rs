//! Which text each document of the result is: the corpus shuffled, or its only document in two parts.

use super::last_tenth;
use super::scan::{Corpus, Span};
use crate::error::Result;
use crate::shard::order::{Permutation, Stream};
use crate::shard::{Plan, Validation};

/// The documents of the result, in the order in which they are written.
#[derive(Debug)]
pub(super) enum Order {
    Shuffled(Permutation),
    /// The last tenth for validation, then what is before it.
    LastTenth([Span; 2]),
}

impl Order {
    /// The order that `plan` gives the documents of `corpus`.
    pub(super) fn new(corpus: &Corpus, plan: &Plan) -> Result<Self> {
        let n_documents = corpus.n_documents();
        if n_documents == 1 && matches!(plan.val, Validation::Share(share) if share > 0.0) {
            return Ok(Self::LastTenth(last_tenth::cut(corpus, plan.val)?));
        }
        Ok(Self::Shuffled(Permutation::new(n_documents, plan.seed, Stream::Documents, 0)))
    }

    /// How many documents the result has.
    pub(super) fn n_items(&self, corpus: &Corpus) -> u64 {
        match self {
            Self::Shuffled(_) => corpus.n_documents(),
            Self::LastTenth(parts) => parts.len() as u64,
        }
    }

    /// The text of the document at `position`.
    pub(super) fn span(&self, corpus: &Corpus, position: u64) -> Span {
        match self {
            Self::Shuffled(permutation) => corpus.span(permutation.at(position)),
            Self::LastTenth(parts) => parts[position as usize].clone(),
        }
    }
}
