//! Search for the texts of special tokens in the training text.
//!
//! Training treats them as ordinary text: a `<|endoftext|>` between documents is counted, and merges of its letters use
//! up ids. Most users mean such a text as a separator.

use aho_corasick::AhoCorasick;
use std::sync::OnceLock;

/// Special tokens' texts to search for, and the first one found.
#[derive(Debug, Default)]
pub struct SpecialTextFinder {
    finder: Option<AhoCorasick>,
    found: OnceLock<String>,
}

/// Building the search takes time proportional to the square of a text's length.
const MAX_TEXT_BYTES: usize = 1 << 10;

impl SpecialTextFinder {
    /// Search for `texts`, except those of more than 1 KiB.
    ///
    /// ```
    /// use bytemill::train::SpecialTextFinder;
    ///
    /// let special_texts = SpecialTextFinder::new(&["<end>"]);
    /// special_texts.search(b"one<end>two");
    /// assert_eq!(special_texts.found(), Some("<end>"));
    /// ```
    pub fn new(texts: &[&str]) -> Self {
        let texts: Vec<&str> =
            texts.iter().copied().filter(|text| (1..=MAX_TEXT_BYTES).contains(&text.len())).collect();
        let finder = if texts.is_empty() { None } else { AhoCorasick::new(texts).ok() };
        Self { finder, found: OnceLock::new() }
    }

    /// Search `document` for the texts, unless one was found already.
    pub fn search(&self, document: &[u8]) {
        if self.found.get().is_none()
            && let Some(found) = self.finder.as_ref().and_then(|finder| finder.find(document))
        {
            self.found.get_or_init(|| String::from_utf8_lossy(&document[found.range()]).into_owned());
        }
    }

    /// Return the first text found.
    pub fn found(&self) -> Option<&str> {
        self.found.get().map(String::as_str)
    }
}
