//! Shapes of tokens, for vocabularies in which no token cuts a UTF-8 character.
//!
//! A token of such a vocabulary consists of whole characters or is part of one character. Only characters too rare to
//! be tokens are split over several tokens.

use super::pair::Pair;
use crate::train::base::Base;

/// The shape of each token, by id.
pub(super) struct Shapes(Vec<Shape>);

#[derive(Clone, Copy)]
enum Shape {
    /// Whole characters.
    Whole,
    /// The first `length` of `bytes` are part of one character, but not all of it.
    Part { bytes: [u8; 4], length: usize },
}

impl Shapes {
    /// Compute the shapes of the 256 bytes and of the tokens of `base`. Tokens that cut characters can combine to whole
    /// characters.
    pub(super) fn new(base: &Base) -> Self {
        Self(base.tokens().map(|token| shape(&token).unwrap_or(Shape::NOWHERE)).collect())
    }

    /// Return whether the token made of `pair` cuts no character.
    pub(super) fn allow(&self, pair: Pair) -> bool {
        self.join(pair).is_some()
    }

    /// Add the shape of each new merge, in the order of ids.
    pub(super) fn learn(&mut self, merged: Pair) {
        self.0.push(self.join(merged).unwrap_or(Shape::NOWHERE));
    }

    fn join(&self, pair: Pair) -> Option<Shape> {
        match (self.0[pair.left as usize], self.0[pair.right as usize]) {
            (Shape::Whole, Shape::Whole) => Some(Shape::Whole),
            (Shape::Part { bytes: left, length: n_left }, Shape::Part { bytes: right, length: n_right }) => {
                shape(&[&left[..n_left], &right[..n_right]].concat())
            }
            _ => None,
        }
    }
}

impl Shape {
    /// Shape of a byte that occurs in no character, or of a base token that cuts a character; it combines with nothing.
    const NOWHERE: Self = Self::Part { bytes: [0xFF; 4], length: 1 };
}

/// Return the shape of a short token, if it cuts no character.
fn shape(token: &[u8]) -> Option<Shape> {
    let is_within_one = match std::str::from_utf8(token) {
        Ok(_) => return Some(Shape::Whole),
        Err(error) if token[0] < 0xC0 => {
            error.valid_up_to() == 0 && token.len() < 4 && token.iter().all(|&byte| is_inner(byte))
        }
        Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
    };
    let mut bytes = [0; 4];
    is_within_one.then(|| {
        bytes[..token.len()].copy_from_slice(token);
        Shape::Part { bytes, length: token.len() }
    })
}

/// Return whether `byte` is part of a character, but not its first byte.
fn is_inner(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}
