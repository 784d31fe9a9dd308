//! The fast path against its naive twin, and the edges of what may be trained on.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::error::Error;
use crate::split::Splitter;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const ALL_TIES: [Ties; 4] = [Ties::Huggingface, Ties::LowestId, Ties::FirstSeen, Ties::LargestBytes];

fn go(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn options(n_merges: usize, ties: Ties) -> Options {
    Options { n_merges, ties, min_frequency: 0, max_token_bytes: None }
}

fn count(documents: &[Vec<u8>], splitter: &Splitter, threads: usize) -> WordCounts {
    let feed = |sink: &mut Sink| documents.iter().try_for_each(|document| sink.add(document));
    count_documents(splitter, Feed::Documents, threads, &mut go, feed).unwrap()
}

fn learn(documents: &[Vec<u8>], pattern: Option<&str>, options: Options) -> Vec<Merge> {
    train(&count(documents, &Splitter::new(pattern).unwrap(), 1), options, &mut go).unwrap()
}

/// Documents over few letters, so that runs, ties and repeated words abound.
fn documents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let letter = prop_oneof![Just(b'a'), Just(b'b'), Just(b' '), Just(0xE9u8)];
    let scattered = prop::collection::vec(letter, 0..60);
    let runs = prop::collection::vec((prop_oneof![Just(b'a'), Just(b'b'), Just(b'\n')], 1usize..9), 0..12)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, n)| vec![byte; n]).collect());
    let text = prop_oneof![scattered, runs, "[a-c]{0,20}( [a-c]{1,18}){0,5}".prop_map(String::into_bytes)];
    prop::collection::vec(text, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn equals_the_naive_twin(
        documents in documents(),
        ties in prop::sample::select(&ALL_TIES[..]),
        pattern in prop::sample::select(vec![None, Some("gpt2")]),
        threads in 1usize..4,
        min_frequency in 0u64..4,
        max_token_bytes in prop::option::of(1usize..12),
        places in 1usize..200,
    ) {
        let splitter = Splitter::new(pattern).unwrap();
        let options = Options { n_merges: 100, ties, min_frequency, max_token_bytes };
        let counts = count(&documents, &splitter, threads);
        let merges = train_within(&counts, options, places, &mut go).unwrap();
        prop_assert_eq!(merges, naive::merges(&documents, &splitter, options));
    }
}

/// A text large enough for several batches and several rescans.
fn large_text() -> Vec<Vec<u8>> {
    let mut state = 1u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let word =
        |number: u32| -> String { (0..=number % 23).map(|at| char::from(b'a' + ((number >> at) % 7) as u8)).collect() };
    let document = |_| (0..40_000).map(|_| word(random(60_000)) + " ").collect::<String>().into_bytes();
    (0..6).map(document).collect()
}

#[test]
fn threads_count_alike() {
    let documents = large_text();
    let splitter = Splitter::new(Some("gpt2")).unwrap();
    let expected = count(&documents, &splitter, 1);
    assert!(expected.len() > 10_000 && expected.n_bytes() > 100_000);
    for threads in [2, 3, 8] {
        assert_eq!(count(&documents, &splitter, threads), expected, "{threads} threads");
    }
}

#[test]
fn many_scans_find_what_one_finds() {
    let counts = count(&large_text(), &Splitter::new(Some("gpt2")).unwrap(), 1);
    for ties in ALL_TIES {
        let [one, many] =
            [usize::MAX, 20_000].map(|places| train_within(&counts, options(20_000, ties), places, &mut go).unwrap());
        assert!(one.len() > 10_000, "{ties:?}: {}", one.len());
        assert!(one == many, "{ties:?}");
    }
}

#[test]
fn runs_count_overlaps() {
    // (a, a) is there 4 times in "aaaaa"; "bcbcbc" has (b, c) 3 times. Without overlaps it would be 2 to 3.
    let merges = learn(&[b"bcbcbc aaaaa".to_vec()], Some("gpt2"), options(1, Ties::LargestBytes));
    assert_eq!(merges, [(97, 97)]);
}

#[test]
fn nothing_to_learn_is_no_error() {
    for documents in [vec![], vec![vec![]], vec![b"a".to_vec(), b"b".to_vec()]] {
        assert_eq!(learn(&documents, None, options(10, Ties::FirstSeen)), []);
        assert_eq!(learn(&documents, Some("gpt2"), options(10, Ties::Huggingface)), []);
    }
}

#[test]
fn stops_when_the_text_gives_no_more() {
    let merges = learn(&[b"abcd".to_vec()], None, options(1_000_000_000, Ties::LowestId));
    assert_eq!(merges, [(97, 98), (99, 100), (256, 257)]);
}

#[test]
fn a_megabyte_of_one_letter_is_quick() {
    let started = Instant::now();
    for (byte, pattern) in [(b'a', None), (b' ', None), (b'a', Some("gpt2"))] {
        let merges = learn(&[vec![byte; 1 << 20]], pattern, options(1_000, Ties::Huggingface));
        assert_eq!(merges.len(), 20, "{byte} {pattern:?}"); // 2^20 halves 20 times
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn lines_are_documents() {
    let splitter = Splitter::new(None).unwrap();
    let counts = count_documents(&splitter, Feed::Lines, 1, &mut go, |sink| sink.add(b"ab\nab\nc")).unwrap();
    assert_eq!(counts.iter().collect::<Vec<_>>(), [(&b"ab\n"[..], 2), (&b"c"[..], 1)]);
}

#[test]
fn a_merged_counter_comes_later_in_the_text() {
    let splitter = Splitter::new(Some("gpt2")).unwrap();
    let [mut first, mut second] = [(); 2].map(|()| Counter::new(splitter.clone()));
    first.add(b"one two").unwrap();
    second.add(b"two a word of more than fifteen bytes: acknowledgements").unwrap();
    first.merge(&second);
    let mut both = Counter::new(splitter);
    both.add(b"one two").unwrap();
    both.add(b"two a word of more than fifteen bytes: acknowledgements").unwrap();
    assert_eq!(first.into_counts(), both.into_counts());
}

#[test]
fn breaking_stops_counting_and_merging() {
    let mut stop = |_| ControlFlow::Break(());
    let splitter = Splitter::new(None).unwrap();
    for threads in [1, 2] {
        let text = vec![b'a'; 3 << 20];
        let counted = count_documents(&splitter, Feed::Documents, threads, &mut stop, |sink| sink.add(&text));
        assert!(matches!(counted, Err(Error::Interrupted)), "{threads} threads");
    }
    let counts = count(&large_text(), &Splitter::new(None).unwrap(), 1);
    let merged = train(&counts, options(usize::MAX, Ties::FirstSeen), &mut stop);
    assert!(matches!(merged, Err(Error::Interrupted)));
}

#[test]
fn a_failing_pattern_is_told_for_any_number_of_threads() {
    let splitter = Splitter::new(Some(r"(?:a*)*\1?(?<=a)(a|b|ab)*(?=c)")).unwrap();
    let text = vec![b'a'; 100_000];
    for threads in [1, 2] {
        let counted = count_documents(&splitter, Feed::Documents, threads, &mut go, |sink| {
            (0..50).try_for_each(|_| sink.add(&text))
        });
        assert!(matches!(counted, Err(Error::Pattern { .. })), "{threads} threads");
    }
}
