//! Looks for the texts of special tokens in the text that a vocabulary is trained on.
//!
//! There they are text like any other: a `<|endoftext|>` between documents is counted, and merges of its letters
//! take ids from others. Most people who write it there mean it as a separator.

use aho_corasick::AhoCorasick;
use std::sync::OnceLock;

/// Texts that are watched for, and the first one that was seen.
#[derive(Debug, Default)]
pub struct Watched {
    finder: Option<AhoCorasick>,
    seen: OnceLock<String>,
}

/// To prepare the search takes time in the square of a text's length.
const MAX_TEXT_BYTES: usize = 1 << 10;

impl Watched {
    /// Watches for `texts`, but for those of more than a kibibyte.
    ///
    /// ```
    /// use bytemill::train::Watched;
    ///
    /// let watched = Watched::new(&["<end>"]);
    /// watched.look(b"one<end>two");
    /// assert_eq!(watched.seen(), Some("<end>"));
    /// ```
    pub fn new(texts: &[&str]) -> Self {
        let texts: Vec<&str> =
            texts.iter().copied().filter(|text| (1..=MAX_TEXT_BYTES).contains(&text.len())).collect();
        let finder = if texts.is_empty() { None } else { AhoCorasick::new(texts).ok() };
        Self { finder, seen: OnceLock::new() }
    }

    /// Looks for the texts in `document`, until one was seen.
    pub fn look(&self, document: &[u8]) {
        if self.seen.get().is_none()
            && let Some(found) = self.finder.as_ref().and_then(|finder| finder.find(document))
        {
            self.seen.get_or_init(|| String::from_utf8_lossy(&document[found.range()]).into_owned());
        }
    }

    /// The first text that was seen.
    pub fn seen(&self) -> Option<&str> {
        self.seen.get().map(String::as_str)
    }
}
