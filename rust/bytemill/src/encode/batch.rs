//! Encode a batch of texts on several threads, with the same result as one text at a time.
//!
//! Texts are grouped into blocks of similar size. Each thread takes the next block when it is free,
//! so a long text delays only its own thread. Blocks are joined in order.

use super::encoder::{Encoder, Parts};
use super::request::Request;
use crate::error::Result;
use crate::interrupt::Workers;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Smaller blocks cost more to join than better balance saves.
const MIN_BLOCK_BYTES: usize = 16 << 10;
const BLOCKS_PER_THREAD: usize = 16;

/// Return the ids of all texts in one vector, and their offsets: the ids of text `i` are
/// `ids[offsets[i]..offsets[i + 1]]`.
pub(crate) fn encode_batch(
    parts: Parts,
    texts: &[&str],
    request: Request,
    threads: usize,
) -> Result<(Vec<u32>, Vec<usize>)> {
    let blocks = blocks(texts, threads);
    let encode = |block: Range<usize>| encode_block(parts, &texts[block], request);
    let encoded = in_order(blocks, threads, encode);
    let mut ids = Vec::with_capacity(encoded.iter().flatten().map(|block| block.ids.len()).sum());
    let mut offsets = Vec::with_capacity(texts.len() + 1);
    offsets.push(0);
    for block in encoded {
        let block = block?;
        offsets.extend(block.ends.iter().map(|end| ids.len() + end));
        ids.extend_from_slice(&block.ids);
    }
    Ok((ids, offsets))
}

struct TextGroup {
    ids: Vec<u32>,
    /// The end of each text's ids.
    ends: Vec<usize>,
}

fn encode_block(parts: Parts, texts: &[&str], request: Request) -> Result<TextGroup> {
    let mut encoder = Encoder::new(parts);
    let mut block = TextGroup { ids: Vec::new(), ends: Vec::with_capacity(texts.len()) };
    for text in texts {
        encoder.encode(text, request, &mut block.ids)?;
        block.ends.push(block.ids.len());
    }
    Ok(block)
}

/// Group consecutive texts into blocks of about the same number of bytes.
fn blocks(texts: &[&str], threads: usize) -> Vec<Range<usize>> {
    let total: usize = texts.iter().map(|text| text.len()).sum();
    let target = (total / (threads.max(1).saturating_mul(BLOCKS_PER_THREAD))).max(MIN_BLOCK_BYTES);
    let (mut blocks, mut start, mut n_bytes) = (Vec::new(), 0, 0);
    for (index, text) in texts.iter().enumerate() {
        n_bytes += text.len();
        if n_bytes >= target {
            blocks.push(start..index + 1);
            (start, n_bytes) = (index + 1, 0);
        }
    }
    if start < texts.len() {
        blocks.push(start..texts.len());
    }
    blocks
}

/// Call `work` on every item, on at most `threads` threads including the calling one.
///
/// Return the results in the order of the items.
fn in_order<I: Clone + Sync, O: Send>(items: Vec<I>, threads: usize, work: impl Fn(I) -> O + Sync) -> Vec<O> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?)))
        {
            done.push((index, work(item.clone())));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        // If the system cannot start more threads, the running ones do the work.
        let others = Workers::start(scope, threads - 1, worker);
        let mut done = worker();
        done.extend(others.join().into_iter().flatten());
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, output)| output).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Memory, SpecialPolicy};
    use super::*;
    use crate::split::Splitter;
    use crate::vocab::Vocab;

    #[test]
    fn any_number_of_threads_gives_the_ids_of_one_by_one() {
        let vocab = Vocab::from_merges(&[(b'a'.into(), b'b'.into())], &[]).unwrap();
        let splitter = Splitter::new(Some("gpt2")).unwrap();
        let parts = Parts { vocab: &vocab, splitter: &splitter, memory: &Memory::default() };
        let long = "ab cab ".repeat(4000);
        let texts = ["", "ab", &long, "cab", &long, "", &long[..20_000], ""];
        let expected = encode_batch(parts, &texts, Request::default(), 1).unwrap();
        assert_eq!(expected.1.len(), texts.len() + 1);
        for (text, span) in texts.iter().zip(expected.1.windows(2)) {
            let mut ids = Vec::new();
            Encoder::new(parts).text(text, &mut ids).unwrap();
            assert_eq!(expected.0[span[0]..span[1]], ids);
        }
        for threads in [0, 2, 3, 16] {
            assert_eq!(encode_batch(parts, &texts, Request::default(), threads).unwrap(), expected);
        }
        assert_eq!(encode_batch(parts, &[], Request::default(), 4).unwrap(), (vec![], vec![0]));
    }

    #[test]
    fn the_first_fault_in_order_is_reported() {
        let vocab = Vocab::from_merges(&[], &["<a>", "<b>"]).unwrap();
        let splitter = Splitter::new(Some("gpt2")).unwrap();
        let parts = Parts { vocab: &vocab, splitter: &splitter, memory: &Memory::default() };
        let policy = SpecialPolicy::new(&vocab, crate::encode::Specials::NONE, crate::encode::Specials::All).unwrap();
        let long = "x".repeat(MIN_BLOCK_BYTES);
        let error =
            encode_batch(parts, &[&long, "<b>", &long, "<a>"], Request { policy: Some(&policy), max_tokens: None }, 2)
                .unwrap_err();
        assert!(error.to_string().contains("<b>"));
    }
}
