//! Pieces of any length in linear time and little memory: merged window by window, the joints mended.
//!
//! A row of tokens is what a text merges to exactly if each two neighbours are what their own bytes
//! merge to: the first merge that crossed a place between them would have crossed it, at the same
//! state, in the two alone as well, and merges never come undone. So the ids of two windows hold
//! together if the two at the joint do; if not, more of the tokens before it are merged again.

use super::Vocab;
use super::merge::Scratch;

const WINDOW_BYTES: usize = 2048;
/// The tokens before a joint that are merged again at first: its window's end came too early for them.
const AGAIN: usize = 8;

impl Vocab {
    /// Appends the ids of `bytes`, merging until no neighbours merge.
    pub(super) fn merge_in_windows(&self, bytes: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let first = out.len();
        let mut window = Vec::new();
        let mut done = 0;
        while done < bytes.len() {
            let end = bytes.len().min(done + WINDOW_BYTES);
            let (mut start, mut again) = (done, AGAIN);
            loop {
                start -= self.take_back(first, again, out);
                window.clear();
                self.engine.merge(&bytes[start..end], scratch, &mut window);
                if out.len() == first || self.stay_apart(bytes, start, out[out.len() - 1], window[0], scratch) {
                    break;
                }
                again *= 2;
            }
            out.extend_from_slice(&window);
            done = end;
        }
    }

    /// Removes the last `n` of the ids behind `first`; how many bytes they stand for.
    fn take_back(&self, first: usize, n: usize, ids: &mut Vec<u32>) -> usize {
        let kept = first.max(ids.len().saturating_sub(n));
        ids.drain(kept..).map(|id| self.token_len(id)).sum()
    }

    fn token_len(&self, id: u32) -> usize {
        self.tokens.bytes(id).map_or(0, <[u8]>::len)
    }

    /// Whether the tokens `left` and `right`, which meet at `joint`, are what their bytes merge to.
    fn stay_apart(&self, bytes: &[u8], joint: usize, left: u32, right: u32, scratch: &mut Scratch) -> bool {
        let both = &bytes[joint - self.token_len(left)..joint + self.token_len(right)];
        let mut ids = Vec::new();
        self.engine.merge(both, scratch, &mut ids);
        ids == [left, right]
    }
}
