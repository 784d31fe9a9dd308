//! Any regular expression as a splitter, and the oracle of those written by hand.

use crate::error::{Error, Result};
use fancy_regex::Regex;

/// A compiled pattern; fancy-regex, for its look-ahead and possessive quantifiers.
#[derive(Clone, Debug)]
pub(super) struct RegexSplitter(Regex);

impl RegexSplitter {
    pub(super) fn new(pattern: &str) -> Result<Self> {
        Regex::new(pattern).map(Self).map_err(|error| failure(pattern, &error))
    }

    pub(super) fn pattern(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn split<'t>(&self, text: &'t str, mut each: impl FnMut(&'t [u8])) -> Result<()> {
        let mut end = 0;
        for found in self.0.find_iter(text) {
            let found = found.map_err(|error| failure(self.pattern(), &error))?;
            for span in [end..found.start(), found.range()] {
                if !span.is_empty() {
                    each(&text.as_bytes()[span]);
                }
            }
            end = found.end();
        }
        if end < text.len() {
            each(&text.as_bytes()[end..]);
        }
        Ok(())
    }
}

/// Which of `names` a pattern matches as a whole, in time that is bounded: linear without look-around and
/// back-references, and with them up to a million steps back for each name.
///
/// ```
/// let matched = bytemill::split::matches_whole(r".*\.(qkv|expand)", &["blocks.0.qkv", "qkv"])?;
/// assert_eq!(matched, [true, false]);
/// # Ok::<(), bytemill::Error>(())
/// ```
///
/// # Errors
/// [`Error::Pattern`] when the pattern does not compile, or goes back too often.
pub fn matches_whole<T: AsRef<str>>(pattern: &str, names: &[T]) -> Result<Vec<bool>> {
    let compiled = |text: &str| Regex::new(text).map_err(|error| failure(pattern, &error));
    compiled(pattern)?; // `a)|(b` would be one only between the brackets of the next line
    let whole = compiled(&format!(r"\A(?:{pattern})\z"))?;
    let is_match = |name: &T| whole.is_match(name.as_ref()).map_err(|error| failure(pattern, &error));
    names.iter().map(is_match).collect()
}

fn failure(pattern: &str, error: &fancy_regex::Error) -> Error {
    Error::Pattern { pattern: pattern.to_owned(), reason: error.to_string() }
}
