//! Compare the fast path with the naive implementation, and test edge cases of training texts.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::corpus::Reading;
use crate::error::Error;
use crate::split::Splitter;
use crate::vocab::Vocab;
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

pub(super) const ALL_TIES: [Ties; 4] = [Ties::Huggingface, Ties::LowestId, Ties::FirstSeen, Ties::LargestBytes];

pub(super) fn go(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(super) fn counting(splitter: &Splitter, threads: usize) -> Counting<'_> {
    Counting { splitter, feed: DocumentUnit::Documents, threads, max_memory: None, special_texts: None }
}

pub(super) fn count(documents: &[Vec<u8>], counting: &Counting) -> WordCounts {
    let feed = |sink: &mut Sink| documents.iter().try_for_each(|document| sink.add(document));
    count_documents(counting, &mut go, feed).unwrap()
}

fn listed(counts: &WordCounts) -> Vec<(Vec<u8>, u64)> {
    let mut words = Vec::new();
    counts.for_each(|word, count| words.push((word.to_vec(), count))).unwrap();
    words
}

fn learn(documents: &[Vec<u8>], pattern: Option<&str>, options: Options) -> Vec<Merge> {
    train(&count(documents, &counting(&Splitter::new(pattern).unwrap(), 1)), options, &mut go).unwrap()
}

/// Documents with few letters, so that runs, ties and repeated words are frequent.
fn documents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let letter = prop_oneof![Just(b'a'), Just(b'b'), Just(b' '), Just(0xE4u8), Just(0xB8u8), Just(0x80u8)];
    let scattered = prop::collection::vec(letter, 0..60);
    let runs = prop::collection::vec((prop_oneof![Just(b'a'), Just(b'b'), Just(b'\n')], 1usize..9), 0..12)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, n)| vec![byte; n]).collect());
    let characters = "[a\u{e9}\u{4e00}\u{4e01}\u{1f600}]{0,30}".prop_map(String::into_bytes);
    let text = prop_oneof![scattered, runs, characters, "[a-c]{0,20}( [a-c]{1,18}){0,5}".prop_map(String::into_bytes)];
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
        utf8_safe in any::<bool>(),
        counting_memory in prop::option::weighted(0.3, Just(0)),
        (watched_bytes, most_watched_bytes, counted_pairs) in (0usize..4_000, 0usize..8_000, 1usize..20),
    ) {
        let splitter = Splitter::new(pattern).unwrap();
        let options = Options { min_frequency, max_token_bytes, utf8_safe, ..Options::new(100, ties) };
        let counts = count(&documents, &Counting { max_memory: counting_memory, ..counting(&splitter, threads) });
        let budget = Budget { watched_bytes, most_watched_bytes, counted_pairs, sort_bytes: 0 };
        let merges = merge::learn(&Base::default(), &counts, options, budget, &mut go).unwrap();
        prop_assert_eq!(merges, naive::merges(&documents, &splitter, &[], options));
    }

    #[test]
    fn going_on_equals_the_naive_twin(
        (earlier, documents) in (documents(), documents()),
        ties in prop::sample::select(&ALL_TIES[..]),
        pattern in prop::sample::select(vec![None, Some("gpt2")]),
        (n_base, n_merges) in (0usize..30, 0usize..60),
        min_frequency in 0u64..4,
        max_token_bytes in prop::option::of(1usize..12),
        utf8_safe in any::<bool>(),
    ) {
        let splitter = Splitter::new(pattern).unwrap();
        let options = Options { min_frequency, max_token_bytes, utf8_safe, ..Options::new(n_merges, ties) };
        let learned = naive::merges(&earlier, &splitter, &[], Options::new(n_base, ties));
        let base = Base::of(&Vocab::from_merges(&learned, &[]).unwrap()).unwrap();
        let merges = train_onto(&base, &count(&documents, &counting(&splitter, 1)), options, &mut go).unwrap();
        prop_assert!(merges.starts_with(&learned));
        if learned.len() <= n_merges {
            prop_assert_eq!(merges, naive::merges(&documents, &splitter, &learned, options));
        }
    }

    #[test]
    fn continuing_with_the_same_text_equals_training_in_one_run(
        documents in documents(),
        ties in prop::sample::select(&ALL_TIES[..]),
        pattern in prop::sample::select(vec![None, Some("gpt2")]),
        n_base in 0usize..40,
        min_frequency in 0u64..4,
        max_token_bytes in prop::option::of(1usize..12),
        utf8_safe in any::<bool>(),
    ) {
        let counts = count(&documents, &counting(&Splitter::new(pattern).unwrap(), 1));
        let options = Options { min_frequency, max_token_bytes, utf8_safe, ..Options::new(60, ties) };
        let first = train(&counts, Options { n_merges: n_base, ..options }, &mut go).unwrap();
        let base = Base::of(&Vocab::from_merges(&first, &["<end>"]).unwrap()).unwrap();
        let then = train_onto(&base, &counts, options, &mut go).unwrap();
        prop_assert_eq!(&then, &train(&counts, options, &mut go).unwrap());
        let vocab = base.continued(&then, &["<end>", "<new>"]).unwrap();
        prop_assert_eq!(vocab.id_of(b"<end>"), Some(256 + first.len() as u32));
        prop_assert_eq!(vocab.id_of(b"<new>"), Some(257 + then.len() as u32));
        prop_assert_eq!(vocab.n_vocab(), 258 + then.len());
        let straight = Vocab::from_merges(&then, &[]).unwrap();
        prop_assert!(vocab.merges().eq(straight.merges()));
    }

    #[test]
    fn counts_come_back_from_a_file(
        documents in documents(),
        pattern in prop::sample::select(vec![None, Some("gpt2")]),
        limit in prop::sample::select(vec![None, Some(0), Some(1 << 30)]),
    ) {
        let splitter = Splitter::new(pattern).unwrap();
        let counts = count(&documents, &counting(&splitter, 1));
        let folder = tempfile::tempdir().unwrap();
        let (path, provenance) = (folder.path().join("counts"), Provenance::new(pattern, DocumentUnit::Lines));
        counts.save(&path, &provenance).unwrap();
        let loaded = WordCounts::load(&path, &provenance, limit).unwrap();
        prop_assert_eq!(listed(&loaded), listed(&counts));
        for ties in ALL_TIES {
            let [one, two] = [&counts, &loaded].map(|counts| train(counts, Options::new(50, ties), &mut go).unwrap());
            prop_assert_eq!(one, two);
        }
    }
}

#[test]
fn going_on_from_foreign_ids_keeps_them() {
    // As in GPT-2's vocabulary, byte ids differ from byte values, and there is a special token between the ids.
    let mut tokens: Vec<_> = (0..=255u8).map(|byte| (vec![byte], u32::from(byte ^ 0x55))).collect();
    tokens.push((b"lo".to_vec(), 300));
    let id = |byte: u8| u32::from(byte ^ 0x55);
    let given = Vocab::from_token_ids(&tokens, &[(id(b'l'), id(b'o'))], vec![("<end>".to_owned(), 400)], false);
    let base = Base::of(&given.unwrap()).unwrap();
    let counts = count(&[b"low low lower".to_vec()], &counting(&Splitter::new(Some("gpt2")).unwrap(), 1));
    let merges = train_onto(&base, &counts, Options::new(3, Ties::Huggingface), &mut go).unwrap();
    let vocab = base.continued(&merges, &["<new>"]).unwrap();
    let ids = [&b"lo"[..], b"l", b"<end>", b"low", b" low", b"<new>"].map(|token| vocab.id_of(token).unwrap());
    assert_eq!(ids, [300, id(b'l'), 400, 401, 402, 403]);
    let two = Vocab::from_token_ids(&tokens, &[], vec![], true).unwrap();
    let message = Base::of(&two).unwrap_err().to_string();
    assert!(
        message.contains("expected one merge for each token except the 256 bytes; token 300 has none"),
        "{message}"
    );
}

#[test]
fn damaged_and_foreign_counts_are_refused() {
    let splitter = Splitter::new(Some("gpt2")).unwrap();
    let counts = count(
        &[b"one two two \xC3\xA9\xC3\xA9 and a word of more than fifteen bytes".to_vec()],
        &counting(&splitter, 1),
    );
    let folder = tempfile::tempdir().unwrap();
    let (path, provenance) = (folder.path().join("counts"), Provenance::new(Some("gpt2"), DocumentUnit::Documents));
    counts.save(&path, &provenance).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&path, damaged).unwrap();
            let refused = WordCounts::load(&path, &provenance, None).unwrap_err();
            assert!(matches!(refused, Error::Format { .. }), "byte {at}, bit {bit}: {refused}");
        }
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(matches!(WordCounts::load(&path, &provenance, None), Err(Error::Format { .. })), "{at} bytes");
    }
    std::fs::write(&path, &whole).unwrap();
    let other = Provenance::new(None, DocumentUnit::Lines);
    let message = WordCounts::load(&path, &other, None).unwrap_err().to_string();
    let expected = "holds counts of pattern \"gpt2\" and feed \"documents\", expected no pattern and feed \"lines\"";
    assert!(message.ends_with(expected), "{message}");
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
    let expected = count(&documents, &counting(&splitter, 1));
    assert!(expected.len() > 10_000 && expected.n_bytes() > 100_000);
    for threads in [2, 3, 8] {
        assert_eq!(listed(&count(&documents, &counting(&splitter, threads))), listed(&expected), "{threads} threads");
    }
}

#[test]
fn counts_and_merges_do_not_depend_on_the_memory_allowed() {
    let documents = large_text();
    let splitter = Splitter::new(Some("gpt2")).unwrap();
    let expected = count(&documents, &counting(&splitter, 1));
    for (threads, limit) in [(1, 3 << 20), (2, 70 << 20), (1, 0)] {
        let limited = Counting { max_memory: Some(limit), ..counting(&splitter, threads) };
        let counts = count(&documents, &limited);
        assert_eq!((counts.len(), counts.n_bytes()), (expected.len(), expected.n_bytes()));
        assert_eq!(listed(&counts), listed(&expected), "{limit} bytes, {threads} threads");
        for ties in ALL_TIES {
            let options = Options::new(3_000, ties);
            let limited = Options { max_memory: Some(14 << 20), ..options };
            let merges = [(&expected, options), (&counts, limited)].map(|(c, o)| train(c, o, &mut go).unwrap());
            assert!(merges[0].len() == 3_000 && merges[0] == merges[1], "{limit} bytes, {ties:?}");
        }
    }
}

#[test]
fn too_little_memory_says_how_much_would_do() {
    let counts = count(&large_text(), &counting(&Splitter::new(Some("gpt2")).unwrap(), 1));
    let options = Options { max_memory: Some(1 << 20), ..Options::new(100, Ties::LowestId) };
    let message = train(&counts, options, &mut go).unwrap_err().to_string();
    let expected = message.strip_prefix("max_memory is 1048576, expected at least ").unwrap();
    let least = expected.split_once(' ').unwrap().0.parse().unwrap();
    train(&counts, Options { max_memory: Some(least), ..options }, &mut go).unwrap();
    train(&counts, Options { max_memory: Some(least - 1), ..options }, &mut go).unwrap_err();
}

#[test]
fn a_huge_text_counts_the_same_in_pieces_and_can_be_stopped() {
    let text = large_text().concat().repeat(2);
    let splitter = Splitter::new(Some("cl100k")).unwrap();
    let text = text.split(|&byte| byte == b' ').collect::<Vec<_>>().join(&b'\n');
    let mut whole = Counter::new(splitter.clone());
    whole.add(&text).unwrap();
    let expected = listed(&whole.into_counts().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.txt");
    std::fs::write(&path, &text).unwrap();
    for threads in [1, 2] {
        let counting = counting(&splitter, threads);
        let mut reports = 0;
        let mut watch = |_| {
            reports += 1;
            ControlFlow::Continue(())
        };
        let counts = count_documents(&counting, &mut watch, |sink| sink.add(&text)).unwrap();
        assert!(reports >= text.len() >> 21 && listed(&counts) == expected, "{threads} threads, {reports}");
        let counts = count_files(std::slice::from_ref(&path), Reading::default(), &counting, &mut go).unwrap();
        assert!(listed(&counts) == expected, "{threads} threads");
        let stopped = count_documents(&counting, &mut |_| ControlFlow::Break(()), |sink| sink.add(&text));
        assert!(matches!(stopped, Err(Error::Interrupted)));
    }
}

#[test]
fn no_token_cuts_a_character_where_none_may() {
    let text = "\u{4e2d}\u{6587} \u{4e2d}\u{56fd}, \u{4e2d}\u{95f4}; na\u{ef}ve \u{1f600}\u{1f601}".repeat(50);
    let options = Options { utf8_safe: true, ..Options::new(200, Ties::FirstSeen) };
    let merges = learn(&[text.into_bytes()], None, options);
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    for (left, right) in merges {
        tokens.push([&*tokens[left as usize], &*tokens[right as usize]].concat());
    }
    let new = &tokens[256..];
    assert!(new.iter().all(|token| std::str::from_utf8(token).is_ok() || token.len() < 4), "{new:?}");
    assert!(new.iter().any(|token| token.len() > 20));
}

#[test]
fn many_scans_find_what_one_finds() {
    let counts = count(&large_text(), &counting(&Splitter::new(Some("gpt2")).unwrap(), 1));
    for ties in ALL_TIES {
        let all = usize::MAX;
        let [one, many] = [(all, all, all), (400_000, 1 << 20, 5_000)].map(|(watched, most, counted_pairs)| {
            let (watched_bytes, most_watched_bytes, sort_bytes) = (watched, most, 1 << 20);
            let budget = Budget { watched_bytes, most_watched_bytes, counted_pairs, sort_bytes };
            merge::learn(&Base::default(), &counts, Options::new(20_000, ties), budget, &mut go).unwrap()
        });
        assert!(one.len() > 10_000, "{ties:?}: {}", one.len());
        assert!(one == many, "{ties:?}");
    }
}

#[test]
fn runs_count_overlaps() {
    // (a, a) occurs 4 times in "aaaaa", and (b, c) 3 times in "bcbcbc". Without overlaps the counts would be 2 and 3.
    let merges = learn(&[b"bcbcbc aaaaa".to_vec()], Some("gpt2"), Options::new(1, Ties::LargestBytes));
    assert_eq!(merges, [(97, 97)]);
}

#[test]
fn nothing_to_learn_is_no_error() {
    for documents in [vec![], vec![vec![]], vec![b"a".to_vec(), b"b".to_vec()]] {
        assert_eq!(learn(&documents, None, Options::new(10, Ties::FirstSeen)), []);
        assert_eq!(learn(&documents, Some("gpt2"), Options::new(10, Ties::Huggingface)), []);
    }
}

#[test]
fn stops_when_the_text_gives_no_more() {
    let merges = learn(&[b"abcd".to_vec()], None, Options::new(1_000_000_000, Ties::LowestId));
    assert_eq!(merges, [(97, 98), (99, 100), (256, 257)]);
}

#[test]
fn a_megabyte_of_one_letter_is_quick() {
    let started = Instant::now();
    for (byte, pattern) in [(b'a', None), (b' ', None), (b'a', Some("gpt2"))] {
        let merges = learn(&[vec![byte; 1 << 20]], pattern, Options::new(1_000, Ties::Huggingface));
        assert_eq!(merges.len(), 20, "{byte} {pattern:?}"); // 2^20 halves 20 times
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn lines_are_documents() {
    let splitter = Splitter::new(None).unwrap();
    let counting = Counting { feed: DocumentUnit::Lines, ..counting(&splitter, 1) };
    let counts = count_documents(&counting, &mut go, |sink| sink.add(b"ab\nab\nc")).unwrap();
    assert_eq!(listed(&counts), [(b"ab\n".to_vec(), 2), (b"c".to_vec(), 1)]);
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
    let [merged, both] = [first, both].map(|counter| listed(&counter.into_counts().unwrap()));
    assert_eq!(merged, both);
}

#[test]
fn breaking_stops_counting_and_merging() {
    let mut stop = |_| ControlFlow::Break(());
    let splitter = Splitter::new(None).unwrap();
    for threads in [1, 2] {
        let text = vec![b'a'; 3 << 20];
        let counted = count_documents(&counting(&splitter, threads), &mut stop, |sink| sink.add(&text));
        assert!(matches!(counted, Err(Error::Interrupted)), "{threads} threads");
    }
    let counts = count(&large_text(), &counting(&Splitter::new(None).unwrap(), 1));
    let merged = train(&counts, Options::new(usize::MAX, Ties::FirstSeen), &mut stop);
    assert!(matches!(merged, Err(Error::Interrupted)));
}
