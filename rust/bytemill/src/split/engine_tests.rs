//! Compares the engine with fancy-regex on random patterns, and checks its time on patterns that are slow elsewhere.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::split::oracle::RegexSplitter;
use proptest::prelude::*;

/// Random patterns with all constructs that the engine supports.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a", "b", "é", "[ab]", "[^a]", ".", r"\s", "(?i:A)", "ab", "^", "$", r"\z", "(?m:^)", "(?m:$)", r"\R", r"\w",
        r"\p{L}", "[b中]",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let quantifier = prop::sample::select(vec!["*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}"]);
        let kind = prop::sample::select(vec!["", "", "?", "+"]);
        let group = prop::sample::select(vec!["(?:", "(", "(?=", "(?!", "(?>", "(?<=", "(?<!"]);
        prop_oneof![
            (inner.clone(), quantifier, kind).prop_map(|(inner, quantifier, kind)| {
                // A count before `+` repeats; it is not possessive everywhere.
                let kind = if quantifier.starts_with('{') && kind == "+" { "" } else { kind };
                format!("(?:{inner}){quantifier}{kind}")
            }),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner, group).prop_map(|(inner, group)| format!("{group}{inner})")),
        ]
    })
}

fn pretokens(regex: &Regex, text: &str) -> Vec<Vec<u8>> {
    let (mut found, mut start) = (Vec::new(), 0);
    regex
        .each_end(text, &mut |end| {
            found.push(text.as_bytes()[start..end].to_vec());
            start = end;
        })
        .unwrap();
    found
}

/// Check that both find the same, with a memo from the first step on and without one.
fn assert_equals_oracle(pattern: &str, text: &str) {
    let (Ok(mut regex), Some(oracle)) = (Regex::new(pattern), RegexSplitter::new(pattern)) else { return };
    let Some(expected) = oracle.try_pretokens(text) else { return };
    for few_steps in [usize::MAX / 2, 3, 0] {
        regex.few_steps = few_steps;
        assert_eq!(pretokens(&regex, text), expected, "{pattern} on {text:?} after {few_steps} steps");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn random_patterns_find_what_the_oracle_finds(pattern in pattern(), text in "[aAb \né中\r]{0,14}") {
        assert_equals_oracle(&pattern, &text);
    }
}

#[test]
#[ignore = "a million patterns: minutes"]
fn a_million_random_patterns_find_what_the_oracle_finds() {
    let config = ProptestConfig { cases: 1_000_000, failure_persistence: None, ..ProptestConfig::default() };
    let texts = "[aAb \né中\r]{0,24}";
    proptest::test_runner::TestRunner::new(config)
        .run(&(pattern(), texts), |(pattern, text)| {
            assert_equals_oracle(&pattern, &text);
            Ok(())
        })
        .unwrap();
}

/// Return the number of steps that a pattern takes on `unit` repeated to about `n` bytes.
fn steps(pattern: &str, unit: &str, n: usize) -> usize {
    let regex = Regex::new(pattern).unwrap();
    let text = unit.repeat(n / unit.len());
    let mut search = Search::new(&regex, &text);
    let (mut at, mut n_steps) = (0, 0);
    // Like `find`, counting the steps of each attempt.
    while at <= text.len() {
        let Some(start) = search.next_start(at) else { break };
        let found = search.attempt(start);
        n_steps += search.n_steps;
        at = match found {
            Some(end) if end > start => {
                search.memo.forget_before(search.looked_back_from(end));
                end
            }
            _ => start + 1,
        };
    }
    n_steps
}

#[test]
fn steps_grow_with_the_text_and_no_faster() {
    let patterns = [
        r"foo(?!bar)",
        r"\R",
        r"(?<=\n)#+ ",
        r"\s+(?!\S)|\s+",
        r"\s+(?=x)",
        r"a++b|(a+)+c",
        r"(?>a+)+b",
        r"(a+)+(?=c)",
        r"(a|a)+(?!a)b",
        r"a(?=a*)",
        r"a(?=a*b)",
        r"a(?!a*b)",
        r"(?<=(a|a){20})b",
        r"(a*b)*c|a",
        r"a.*b|a",
        r"(?:a|aa)+$x",
        r"[\s\S]+",
        r"\s++x",
        r"(?:(?:a{1,9}){1,9}){1,9}b",
        r"(?=(?:a|b)+c)a",
        r"a+?c|a",
    ];
    for pattern in patterns {
        for unit in ["a", " ", "\n", "ab", "foobar"] {
            let [short, long] = [20_000, 80_000].map(|n| steps(pattern, unit, n));
            assert!(long <= short * 9 / 2 + 100_000, "{pattern} on {unit:?}: {short} steps, then {long}");
            let most = 80_000 * (FEW_STEPS + 4 * Regex::new(pattern).unwrap().program.instructions.len());
            assert!(long < most, "{pattern} on {unit:?}: {long} steps");
        }
    }
}

#[test]
fn what_cannot_be_a_pattern_is_refused_by_name() {
    for (pattern, name) in [
        (r"(?=(a+))\1b", "backreference"),
        (r"(?<x>a)\k<x>", "backreference"),
        (r"(?<x>a)\g<x>", "call of a group"),
        (r"a\Kb", r"\K"),
        (r"\Ga", r"\G"),
        (r"(a)?(?(1)b|c)", "conditional group"),
        (r"(?:a*)*b", "repeats a part that may be empty"),
        (r"(?<=a+)b", "look-behind"),
        (r"((a{100}){100}){100}", "shorter pattern"),
        (r"a{2,1}", "{2,1}, expected the smaller number first"),
        (r"a|[z-a]", "[z-a]: invalid character class range"),
        (r"\p{Nothing}", "Unicode property not found"),
    ] {
        let message = Regex::new(pattern).unwrap_err().to_string();
        assert!(message.contains(name) && !message.contains('\n'), "{pattern}: {message}");
    }
}

#[test]
fn a_flag_ends_with_its_group() {
    for group in ["(?=(?i)x)", "(?!(?i)x)", "(?<=(?i)x)", "(?<!(?i)x)", "(?>(?i)x)", "((?i)x)", "(?:(?i)x)"] {
        let regex = Regex::new(&format!("{group}|a")).unwrap();
        assert!(regex.is_match("a"), "{group}");
        let only = Regex::new(&format!("(?:{group}y)?+a")).unwrap();
        assert!(!only.is_match("A"), "{group}");
    }
}

#[test]
fn word_boundaries_hold_in_look_behind_too() {
    assert_eq!(pretokens(&Regex::new(r"(?<=(?:a|\b\w))x|\b\w+\b").unwrap(), "éx ab"), [&b"\xc3\xa9x"[..], b" ", b"ab"]);
    assert_eq!(pretokens(&Regex::new(r"(?<=é\b)").unwrap(), "é "), [&b"\xc3\xa9"[..], b" "]);
}
