//! Valid and invalid vocabularies, and ranks compared with their definition.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::error::Error;
use crate::split::Splitter;
use crate::tokenizer::Tokenizer;
use proptest::prelude::*;

fn bytes_and(more: &[&str]) -> Vec<(Vec<u8>, u32)> {
    let singles = (0..=255).map(|byte| vec![byte]);
    singles.chain(more.iter().map(|text| text.as_bytes().to_vec())).zip(0..).collect()
}

fn fault<T>(result: Result<T>) -> VocabFault {
    match result {
        Err(crate::Error::Vocab(fault)) => fault,
        Err(other) => panic!("expected a VocabFault, got {other}"),
        Ok(_) => panic!("expected a VocabFault"),
    }
}

fn encode(vocab: &Vocab, pretoken: &[u8]) -> Vec<u32> {
    let mut out = Vec::new();
    match vocab.only_as_a_whole(pretoken) {
        Some(id) => out.push(id),
        None => vocab.merge(pretoken, &mut Scratch::default(), &mut out),
    }
    out
}

/// Apply tiktoken's rule literally: join the neighbours whose joined bytes have the lowest rank.
fn encode_by_ranks(tokens: &[(Vec<u8>, u32)], pretoken: &[u8]) -> Vec<u32> {
    let rank = |bytes: &[u8]| tokens.iter().find(|(token, _)| token == bytes).map(|(_, rank)| *rank);
    if let Some(id) = rank(pretoken) {
        return vec![id];
    }
    let mut parts: Vec<Vec<u8>> = pretoken.iter().map(|&byte| vec![byte]).collect();
    while let Some((_, at)) = (1..parts.len()).filter_map(|i| Some((rank(&parts[i - 1..=i].concat())?, i - 1))).min() {
        let joined = parts[at..at + 2].concat();
        parts.splice(at..at + 2, [joined]);
    }
    parts.iter().map(|part| rank(part).unwrap()).collect()
}

proptest! {
    #[test]
    fn ranks_encode_as_their_definition_says(
        more in prop::collection::hash_set("[abc]{2,6}", 0..30),
        texts in prop::collection::vec("[abcd]{1,70}", 1..8),
    ) {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let tokens = bytes_and(&more);
        let vocab = Vocab::from_ranks(&tokens, vec![]).unwrap();
        prop_assert_eq!(&vocab.made_by, &recover::made_by(&vocab.tokens, &vocab.engine));
        for text in texts.iter().map(String::as_str).chain(more) {
            prop_assert_eq!(encode(&vocab, text.as_bytes()), encode_by_ranks(&tokens, text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn merges_and_back_are_the_same_vocabulary(picks in prop::collection::vec((97_u32..102, 97_u32..102), 0..9)) {
        let distinct: std::collections::BTreeSet<_> = picks.into_iter().collect();
        let merges: Vec<(u32, u32)> = distinct.into_iter().collect();
        let trained = Vocab::from_merges(&merges, &[]).unwrap();
        let tokens: Vec<_> = trained.ordinary_tokens().map(|(id, bytes)| (bytes.to_vec(), id)).collect();
        prop_assert!(trained.encodes_like(&Vocab::from_ranks(&tokens, vec![]).unwrap()));
        let listed = Vocab::from_tokens(&tokens, trained.merges(), vec![], false).unwrap();
        prop_assert!(trained.encodes_like(&listed));
        prop_assert_eq!(&trained.made_by, &listed.made_by);
        prop_assert_eq!(listed.merge_ids(), &merges[..]);
    }
}

#[test]
fn a_token_that_merges_never_make_is_found_only_where_merges_are_ignored() {
    let tokens = bytes_and(&["ab", "abc", "xyz"]);
    let merges = [(&b"a"[..], &b"b"[..]), (b"ab", b"c")];
    for (ignore_merges, expected) in [(true, vec![258]), (false, vec![120, 121, 122])] {
        let vocab = Vocab::from_tokens(&tokens, merges, vec![], ignore_merges).unwrap();
        assert_eq!(encode(&vocab, b"xyz"), expected);
        assert_eq!(encode(&vocab, b"abc"), [257]);
        assert_eq!(encode(&vocab, b"abcxyz"), [257, 120, 121, 122]);
        assert_eq!(vocab.unreachable_tokens().collect::<Vec<_>>(), [(258, &b"xyz"[..])]);
    }
}

#[test]
fn ranks_recover_the_merge_even_when_a_part_has_a_higher_rank() {
    let tokens = bytes_and(&["abc", "ab"]);
    let vocab = Vocab::from_ranks(&tokens, vec![]).unwrap();
    assert_eq!(encode(&vocab, b"dabcab"), encode_by_ranks(&tokens, b"dabcab"));
    assert!(vocab.encodes_to_itself(256));
}

#[test]
fn special_tokens_have_ids_but_are_never_made() {
    let vocab = Vocab::from_merges(&[(97, 98)], &["<end>", "<pad>"]).unwrap();
    assert_eq!(vocab.special_tokens(), [("<end>".to_owned(), 257), ("<pad>".to_owned(), 258)]);
    assert_eq!((vocab.id_of(b"<pad>"), vocab.is_special(258), vocab.is_special(256)), (Some(258), true, false));
    assert_eq!(encode(&vocab, b"<end>"), b"<end>".map(u32::from));
    assert_eq!(vocab.ordinary_tokens().count(), 257);
}

#[test]
fn tokens_that_do_not_fit_are_named() {
    let mut twice = bytes_and(&["ab", "cd"]);
    twice[257].0 = b"ab".to_vec();
    assert!(matches!(
        fault(Vocab::from_ranks(&twice, vec![])),
        VocabFault::DuplicateToken { index: 257, id: 257, first: 256, .. }
    ));
    let mut same_id = bytes_and(&["ab", "cd"]);
    same_id[257].1 = 256;
    assert!(matches!(fault(Vocab::from_ranks(&same_id, vec![])), VocabFault::DuplicateId { index: 257, id: 256, .. }));
    let mut missing = bytes_and(&[]);
    missing.remove(7);
    assert_eq!(fault(Vocab::from_ranks(&missing, vec![])), VocabFault::MissingByte { byte: 7 });
    assert!(matches!(
        fault(Vocab::from_ranks(&bytes_and(&[""]), vec![])),
        VocabFault::EmptyToken { index: 256, id: 256 }
    ));
    let far = [bytes_and(&[]), vec![(b"ab".to_vec(), u32::MAX)]].concat();
    assert!(matches!(fault(Vocab::from_ranks(&far, vec![])), VocabFault::IdTooLarge { index: 256, .. }));
    let long = bytes_and(&[&"a".repeat(5000)]);
    assert!(matches!(fault(Vocab::from_ranks(&long, vec![])), VocabFault::TokenTooLong { length: 5000, .. }));
    let special = vec![("<a>".to_owned(), 256), ("<a>".to_owned(), 257)];
    assert!(matches!(
        fault(Vocab::from_ranks(&bytes_and(&[]), special)),
        VocabFault::DuplicateToken { id: 257, first: 256, .. }
    ));
}

#[test]
fn merges_that_do_not_fit_are_named() {
    let tokens = bytes_and(&["ab"]);
    let from = |merges: &[(&'static str, &'static str)]| {
        let merges = merges.iter().map(|(left, right)| (left.as_bytes(), right.as_bytes()));
        fault(Vocab::from_tokens(&tokens, merges, vec![], false))
    };
    assert!(matches!(from(&[("a", "b"), ("zz", "b")]), VocabFault::UnknownPart { index: 1, .. }));
    assert!(matches!(from(&[("b", "c")]), VocabFault::UnknownResult { index: 0, .. }));
    assert!(matches!(from(&[("a", "b"), ("a", "b")]), VocabFault::DuplicateMerge { index: 1, first: 0, .. }));
    assert!(matches!(fault(Vocab::from_merges(&[(97, 300)], &[])), VocabFault::UnknownPart { index: 0, .. }));
    let doubling: Vec<(u32, u32)> = std::iter::once((97, 97)).chain((256..300).map(|id| (id, id))).collect();
    assert!(matches!(fault(Vocab::from_merges(&doubling, &[])), VocabFault::TooLong { .. }));
}

#[test]
fn a_vocabulary_may_lack_bytes_that_no_text_has() {
    let never = [0xC0, 0xC1, 0xF5, 0xFF];
    let bytes = || (0..=255_u8).filter(|byte| !never.contains(byte)).map(|byte| vec![byte]);
    let tokens: Vec<(Vec<u8>, u32)> = bytes().chain([b"ab".to_vec()]).zip(0..).collect();
    let merge = [(&b"a"[..], &b"b"[..])];
    for vocab in
        [Vocab::from_tokens(&tokens, merge, vec![], false).unwrap(), Vocab::from_ranks(&tokens, vec![]).unwrap()]
    {
        assert_eq!(vocab.n_vocab(), 253);
        let tokenizer = Tokenizer::new(vocab, Splitter::new(Some("gpt2")).unwrap());
        assert_eq!(tokenizer.encode_ordinary("abé").unwrap(), [252, 0xC3 - 2, 0xA9]);
        assert_eq!(tokenizer.encode_bytes(b"ab\xfe").unwrap(), [252, 0xFE - 3]);
        for (text, position) in [(&b"ab\xff"[..], 2), (b"\xc0\x80", 0)] {
            let error = tokenizer.encode_bytes(text).unwrap_err();
            assert!(matches!(error, Error::UnknownByte { position: at, .. } if at == position), "{error}");
        }
    }
    let with_missing_inside: Vec<_> = bytes().chain([b"a\xff".to_vec()]).zip(0..).collect();
    assert_eq!(fault(Vocab::from_ranks(&with_missing_inside, vec![])), VocabFault::MissingByte { byte: 0xFF });
}
