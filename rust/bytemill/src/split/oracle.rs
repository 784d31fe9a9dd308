//! Regular expressions in fancy-regex: the oracle for the hand-written splitters and for the engine.
#![allow(clippy::unwrap_used)]

use fancy_regex::Regex;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct RegexSplitter(Regex);

impl RegexSplitter {
    pub(super) fn new(pattern: &str) -> Option<Self> {
        Regex::new(pattern).ok().map(Self)
    }

    /// Return the matches in `text` and the text between them.
    pub(super) fn pretokens(&self, text: &str) -> Vec<Vec<u8>> {
        self.try_pretokens(text).unwrap()
    }

    /// Like [`RegexSplitter::pretokens`]; `None` if fancy-regex gives up.
    pub(super) fn try_pretokens(&self, text: &str) -> Option<Vec<Vec<u8>>> {
        let mut end = 0;
        let mut found = Vec::new();
        for span in self.0.find_iter(text) {
            let span = span.ok()?;
            found.extend([&text[end..span.start()], span.as_str()]);
            end = span.end();
        }
        found.push(&text[end..]);
        Some(found.into_iter().filter(|span| !span.is_empty()).map(|span| span.as_bytes().to_vec()).collect())
    }
}
