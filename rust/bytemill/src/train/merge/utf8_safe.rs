//! What tokens are made of, for vocabularies in which no token cuts a UTF-8 character.
//!
//! A token of such a vocabulary is whole characters or lies within one character, so that only
//! characters too rare to be tokens are ever spread over several.

use super::pair::Pair;
use crate::train::base::Base;

/// The shape of each token, by id.
pub(super) struct Shapes(Vec<Shape>);

#[derive(Clone, Copy)]
enum Shape {
    /// Characters, none of them cut.
    Whole,
    /// So many bytes of one character, but not all.
    Part { bytes: [u8; 4], length: usize },
}

impl Shapes {
    /// Those of the 256 bytes, and of the tokens of `base`: made of tokens that cut characters, one may be whole again.
    pub(super) fn new(base: &Base) -> Self {
        Self(base.tokens().map(|token| shape(&token).unwrap_or(Shape::NOWHERE)).collect())
    }

    /// Whether the token made of `pair` cuts no character.
    pub(super) fn allow(&self, pair: Pair) -> bool {
        self.join(pair).is_some()
    }

    /// Hears of each new merge, in the order of ids.
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
    /// A byte that no character holds, or a token of a base that cuts one; it joins nothing.
    const NOWHERE: Self = Self::Part { bytes: [0xFF; 4], length: 1 };
}

/// The shape of a token of few bytes, if it cuts no character.
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

/// Whether `byte` stands in a character, but not at its start.
fn is_inner(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}
