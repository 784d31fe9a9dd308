//! Compares each hand-written splitter with fancy-regex on every spelling of its pattern.
#![allow(clippy::unwrap_used)]

use super::backend::Backend;
use super::known::KNOWN;
use super::oracle::RegexSplitter;
use super::*;
use proptest::prelude::*;

/// Fragments of text that exercise the corner cases of a pattern.
const PIECES: [&[&str]; 6] = [
    &["'s", "'S", "'ſ", "'t", "'ll", "'lL", "'LL", "'ve", "'Re", "'d", "'M", "'l", "'v", "'ſt", "''s"],
    &[
        " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{1680}",
        "\u{2003}", "\u{2028}", "\u{2029}", "\u{202f}", "\u{205f}", "\u{3000}", "\u{180e}", "\u{200b}", "\u{feff}",
    ],
    &[
        "a", "B", "don", "HTTP", "é", "É", "ß", "ǅ", "ʰ", "中", "文字", "ж", "Я", "ไ", "あ", "\u{212a}", "ſ", "ﬀ", "𝐀",
        "𝐚", "𐐀", "𐐨", "ª", "𠀀", "アA", "iPhone",
    ],
    &["0", "12", "123", "1234", "٣", "१२३", "Ⅷ", "²", "½", "𝟘", "〇"],
    &["!", "...", "/", "//", "'", "’", "\"", "-", "_", "😀", "€", "\0", "\u{7f}", "\u{e000}", "\u{10ffff}", "\u{d7ff}"],
    &["\u{301}", "\u{300}\u{301}", "\u{20dd}", "\u{903}", "\u{fe0f}", "\u{200d}", "\u{e0100}"],
];

fn nasty_piece() -> impl Strategy<Value = String> {
    let listed = prop::sample::select(&PIECES[..]).prop_flat_map(prop::sample::select).prop_map(str::to_owned);
    prop_oneof![9 => listed, 1 => any::<char>().prop_map(String::from)]
}

fn nasty_text() -> impl Strategy<Value = String> {
    prop::collection::vec(nasty_piece(), 0..24).prop_map(|pieces| pieces.concat())
}

fn pretokens(splitter: &Splitter, text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    splitter.split(text, |pretoken| found.push(pretoken.to_vec())).unwrap();
    found
}

/// Return the pretokens that blocks find, in every backend that this processor supports.
fn assert_ways_agree(text: &str) {
    for known in &KNOWN {
        let ends = |backend| {
            let (mut all, mut ends, mut start) = (Vec::new(), [0; BATCH], 0);
            while start < text.len() {
                let n = by_hand::fill_by(backend, known.rule, text, start, &mut ends);
                all.extend_from_slice(&ends[..n]);
                start = ends[n - 1];
            }
            all
        };
        let expected = ends(Backend::Scalar);
        for backend in Backend::all() {
            assert_eq!(ends(backend), expected, "{backend:?} with {:?} on {text:?}", known.rule);
        }
    }
}

fn assert_equals_oracles(text: &str) {
    for known in &KNOWN {
        let by_hand = Splitter::new(Some(known.spellings[0])).unwrap();
        assert!(matches!(by_hand.0, Kind::Known { .. }));
        let expected = pretokens(&by_hand, text.as_bytes());
        for spelling in known.spellings {
            let oracle = RegexSplitter::new(spelling).unwrap();
            assert_eq!(expected, oracle.pretokens(text), "{spelling} on {text:?}");
            let engine = Splitter(Kind::Regex(Regex::new(spelling).unwrap()));
            assert_eq!(expected, pretokens(&engine, text.as_bytes()), "{spelling} on {text:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn by_hand_equals_the_regex_on_nasty_text(text in nasty_text()) {
        assert_equals_oracles(&text);
    }

    #[test]
    fn blocks_find_what_single_characters_do(
        letters in 0_usize..66,
        pieces in prop::collection::vec((nasty_piece(), 1_usize..4), 0..80),
    ) {
        // Letters before shift the following text across the edges of blocks.
        let mut text = "x".repeat(letters);
        for (piece, n) in pieces {
            text += &piece.repeat(n);
        }
        assert_ways_agree(&text);
    }

    #[test]
    fn blocks_find_what_single_characters_do_in_ascii(text in "([a-zA-Z'/. \r\n\t0-9]|'s|'LL| the){0,300}") {
        assert_ways_agree(&text);
    }

    #[test]
    fn invalid_bytes_between_are_pretokens_of_their_own(
        pieces in prop::collection::vec((nasty_text(), prop::collection::vec(0x80_u8..=0xFF, 1..6)), 1..4)
    ) {
        let text: Vec<u8> = pieces.iter().flat_map(|(valid, rest)| [valid.as_bytes(), rest].concat()).collect();
        for name in ["gpt2", "cl100k", "o200k"] {
            let splitter = Splitter::new(Some(name)).unwrap();
            prop_assert_eq!(pretokens(&splitter, &text), pretokens_by_definition(&splitter, &text));
        }
    }
}

#[test]
#[ignore = "a million texts: minutes"]
fn by_hand_equals_the_regex_on_a_million_nasty_texts() {
    let config = ProptestConfig { cases: 1_000_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&nasty_text(), |text| {
            assert_equals_oracles(&text);
            Ok(())
        })
        .unwrap();
}

/// Mark each byte as valid or not, then split the valid runs and keep the others whole.
fn pretokens_by_definition(splitter: &Splitter, text: &[u8]) -> Vec<Vec<u8>> {
    let valid: Vec<bool> = text
        .utf8_chunks()
        .flat_map(|chunk| [vec![true; chunk.valid().len()], vec![false; chunk.invalid().len()]].concat())
        .collect();
    let mut start = 0;
    let mut found = Vec::new();
    for run in valid.chunk_by(|a, b| a == b) {
        let bytes = &text[start..start + run.len()];
        start += run.len();
        if run[0] {
            splitter.split_str(std::str::from_utf8(bytes).unwrap(), |pretoken| found.push(pretoken.to_vec())).unwrap();
        } else {
            found.push(bytes.to_vec());
        }
    }
    found
}

#[test]
fn blocks_know_the_class_of_every_character() {
    for character in ('\0'..=char::MAX).step_by(if cfg!(debug_assertions) { 7 } else { 1 }) {
        let text = format!("a{character}A {character}{character}1\t{character}'{character} {character}z{character}中");
        assert_ways_agree(&(text.repeat(2) + &"z".repeat(64)));
    }
}

#[test]
fn every_single_character_splits_as_the_regex_says_between_neighbours_of_each_class() {
    let oracles = KNOWN.each_ref().map(|known| RegexSplitter::new(known.spellings[0]).unwrap());
    // A stride coprime to every block size visits all planes within seconds.
    for character in (0..=0x10_FFFF).step_by(23).filter_map(char::from_u32) {
        let text = format!("a{character}A {character}{character}1\t{character}'{character} {character}");
        for (known, oracle) in KNOWN.iter().zip(&oracles) {
            let by_hand = Splitter::new(Some(known.spellings[0])).unwrap();
            assert_eq!(pretokens(&by_hand, text.as_bytes()), oracle.pretokens(&text), "{character:?}");
        }
    }
}

#[test]
fn names_and_spellings_select_the_splitter_by_hand() {
    let names = [GPT2, CL100K, O200K].map(|pattern| Splitter::new(Some(pattern)).unwrap().name());
    assert_eq!(names, [Some("gpt2"), Some("cl100k"), Some("o200k")]);
    let hugging_face = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    let splitter = Splitter::new(Some(hugging_face)).unwrap();
    assert_eq!((splitter.name(), splitter.pattern()), (Some("gpt2"), Some(hugging_face)));
    assert_eq!(Splitter::new(Some(r"\w+")).unwrap().name(), None);
}

#[test]
fn without_a_pattern_the_text_is_one_pretoken() {
    let splitter = Splitter::new(None).unwrap();
    assert_eq!(pretokens(&splitter, b"a b\xff"), [b"a b\xff"]);
    assert!(pretokens(&splitter, b"").is_empty());
}

#[test]
fn what_a_regex_leaves_out_is_kept() {
    let splitter = Splitter::new(Some("[a-z]+")).unwrap();
    assert_eq!(pretokens(&splitter, b"1ab 2"), [&b"1"[..], b"ab", b" 2"]);
}

#[test]
fn a_pattern_that_does_not_compile_is_named() {
    let message = Splitter::new(Some("(")).unwrap_err().to_string();
    assert!(message.starts_with("pattern \"(\": "), "{message}");
}

/// Text that only looks like flags, named classes, and classes with characters removed.
const SAME: &str = r"(?i:s)|(?<ms>x)|(?<=m)|(?!s:)|[:;]:]|--|~~|[\--x]|\[--\]";

#[test]
fn what_both_engines_read_alike_is_kept() {
    let known = KNOWN.iter().map(|known| known.oniguruma);
    for same in known.chain([r"\$+", r"[^a]+", r"\p{L}+", r"a{2}", r"a{1,2}?b*+", r"[]a]", r"\x{e9}\u00e9", SAME]) {
        for direction in [Direction::Read, Direction::Write] {
            assert_eq!(translate(same, direction).as_deref(), Ok(same), "{same}");
        }
    }
}

#[test]
fn what_has_an_equal_in_oniguruma_is_rewritten() {
    for (ours, theirs) in [
        (r"\pL+", r"\p{L}+"),
        (r"\p{Script=Han}+|\p{IsHan}", r"\p{Han}+|\p{Han}"),
        (r"(?u)\d", r"\d"),
        (r"^a$", r"\Aa\z"),
        (r"(?P<n>a)", r"(?<n>a)"),
        (r"\xe9\u{e9}", r"\x{e9}\x{e9}"),
        (r"\p{^L}\P{^L}", r"\P{L}\p{L}"),
    ] {
        assert_eq!(translate(ours, Direction::Write).as_deref(), Ok(theirs), "{ours}");
    }
}

#[test]
fn word_characters_come_back_as_they_were() {
    for pattern in [r"\w+|\W", r"[\w'-]+|[^\w\s]+", r"\b\d+\b|\B", r"[^\W_]+"] {
        for [there, back] in [[Direction::Write, Direction::Read], [Direction::Read, Direction::Write]] {
            let translated = translate(pattern, there).unwrap();
            assert_ne!(translated, pattern);
            assert_eq!(translate(&translated, back).as_deref(), Ok(pattern));
            assert!(Splitter::new(Some(&translated)).is_ok(), "{translated}");
        }
    }
}

#[test]
fn patterns_that_oniguruma_would_read_otherwise_are_refused() {
    let flags = [r"(?m)a", r"(?im)x.y", r"(?i:x(?m-i:.)y)", r"(?i-s).", r"(?x: (?s:.))", r"a(?i)b|c"];
    let classes = [r"[[:alpha:]]+", r"[^[:^digit:]]", r"[a-c~~b]", r"\[[a-z--b]"];
    let folded = [r"(?i:straße)", r"(?i:ss)", r"(?i:e[^a-z])", r"(?i:\w)", r"(?i:off)", r"(?i:\p{Lu})"];
    let repeats = [CL100K, r"\p{N}{1,3}+", r"a{2}?", r"a+?+", r"a**", r"{", r"\Z", r"\X", r"\0"];
    for other in flags.into_iter().chain(classes).chain(folded).chain(repeats) {
        for direction in [Direction::Read, Direction::Write] {
            assert!(translate(other, direction).is_err(), "{other}");
        }
    }
    for theirs in [r"^a", r"a$", r"\pL", r"\p{Word}", r"\xe9", r"(?u)a", r"(?P<n>a)", r"\u{e9}"] {
        assert!(translate(theirs, Direction::Read).is_err(), "{theirs}");
    }
}

#[test]
fn names_of_tiktoken_are_known_and_other_words_refused() {
    for (name, known) in [
        ("cl100k_base", "cl100k"),
        ("GPT2", "gpt2"),
        ("r50k_base", "gpt2"),
        ("gpt4", "cl100k"),
        ("o200k_harmony", "o200k"),
    ] {
        assert_eq!(Splitter::new(Some(name)).unwrap().name(), Some(known));
    }
    for word in ["nonsense", "cl100k_bas", "a", "x-1", "42"] {
        let message = Splitter::new(Some(word)).unwrap_err().to_string();
        assert!(message.contains("p50k_edit") && message.contains(word), "{message}");
    }
    assert_eq!(Splitter::from_regex("ab").unwrap().pattern(), Some("(?:ab)"));
}
