//! Rules for equal counts, each as a key: the greatest key is merged first.

use super::pair::Pair;
use std::cmp::Reverse;
use std::sync::Arc;

/// Turns a pair into a key. Among pairs with equal counts, the greatest key is merged first.
pub(super) trait TieRule {
    /// Orders the pairs.
    type Key: Ord;
    /// Whether `key` reads `place`, which costs a search.
    const BY_PLACE: bool = false;
    /// Return the key of `pair`; its first occurrence starts at `place` in the arena.
    fn key(&self, pair: Pair, place: u32) -> Self::Key;
    /// Take each merge, in the order of new ids.
    fn learn(&mut self, _merged: Pair) {}
}

/// The smallest pair of ids wins; the order of byte ids is configurable.
pub(super) struct SmallestIds {
    byte_ranks: [u32; 256],
}

impl SmallestIds {
    /// Order bytes by value.
    pub(super) fn byte_order() -> Self {
        Self { byte_ranks: std::array::from_fn(|byte| byte as u32) }
    }

    /// Order bytes by the character that GPT-2's vocabulary files use for them: printable Latin-1 first, at their own
    /// code points, then the others from U+0100 on.
    pub(super) fn printable_order() -> Self {
        let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let others = (0..=255).filter(|byte| !printable(byte));
        let mut byte_ranks = [0; 256];
        for (rank, byte) in (0..=255).filter(printable).chain(others).enumerate() {
            byte_ranks[usize::from(byte)] = rank as u32;
        }
        Self { byte_ranks }
    }

    fn rank(&self, id: u32) -> u32 {
        self.byte_ranks.get(id as usize).copied().unwrap_or(id)
    }
}

impl TieRule for SmallestIds {
    type Key = Reverse<(u32, u32)>;

    fn key(&self, pair: Pair, _place: u32) -> Self::Key {
        Reverse((self.rank(pair.left), self.rank(pair.right)))
    }
}

/// The pair that comes first in the text wins.
pub(super) struct FirstPlace;

impl TieRule for FirstPlace {
    type Key = Reverse<u32>;
    const BY_PLACE: bool = true;

    fn key(&self, _pair: Pair, place: u32) -> Self::Key {
        Reverse(place)
    }
}

/// The pair with the lexicographically greatest bytes wins; the left part is compared first.
pub(super) struct LargestBytes {
    tokens: Vec<Arc<[u8]>>,
}

impl LargestBytes {
    pub(super) fn new() -> Self {
        Self { tokens: (0..=255).map(|byte| Arc::from([byte])).collect() }
    }
}

impl TieRule for LargestBytes {
    type Key = (Arc<[u8]>, Arc<[u8]>);

    fn key(&self, pair: Pair, _place: u32) -> Self::Key {
        (self.tokens[pair.left as usize].clone(), self.tokens[pair.right as usize].clone())
    }

    fn learn(&mut self, merged: Pair) {
        let parts = [&*self.tokens[merged.left as usize], &*self.tokens[merged.right as usize]];
        self.tokens.push(parts.concat().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_order_is_gpt2s() {
        let rule = SmallestIds::printable_order();
        // "!" has id 0 in GPT-2's encoder.json, "~" 93, "¡" 94, "ÿ" 187, NUL 188, the space 220, the soft hyphen 255.
        for (byte, id) in [(b'!', 0), (b'~', 93), (0xA1, 94), (0xFF, 187), (0, 188), (b' ', 220), (0xAD, 255)] {
            assert_eq!(rule.rank(byte.into()), id, "byte {byte}");
        }
        assert_eq!(rule.rank(256), 256);
    }
}
