//! Each splitter written by hand cuts any text as its regex does in fancy-regex.
#![no_main]

use bytemill::split::Splitter;
use fancy_regex::Regex;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static PAIRS: LazyLock<Vec<(Splitter, Regex)>> = LazyLock::new(|| {
    ["gpt2", "cl100k", "o200k"]
        .map(|name| {
            let splitter = Splitter::new(Some(name)).unwrap();
            let regex = Regex::new(splitter.pattern().unwrap()).unwrap();
            (splitter, regex)
        })
        .into()
});

fuzz_target!(|text: &str| {
    for (splitter, regex) in &*PAIRS {
        let mut by_hand = Vec::new();
        splitter.split_str(text, |pretoken| by_hand.push(pretoken.to_vec())).unwrap();
        let by_regex: Vec<_> = regex.find_iter(text).map(|found| found.unwrap().as_str().as_bytes().to_vec()).collect();
        assert_eq!(by_hand, by_regex);
    }
});
