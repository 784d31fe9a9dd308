//! The core beside its rivals that are Rust crates, in one process, on this repository's own text.
//!
//! `cargo bench --package bytemill-bench` takes a minute or two. Before anything is timed, ids are
//! compared: a rival that gives other ids is no rival. Rates are bytes of text, or tokens, a second.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

use bytemill::Tokenizer;
use bytemill::shard::{Layout, Loader, LoaderOptions, Manifest, Split, SplitWriter, Verify};
use bytemill::split::Splitter;
use bytemill::train::{Counter, Options, Ties, train};
use bytemill_bench::{code, prose};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, r50k_base_singleton};

/// A vocabulary, tiktoken-rs's tokenizer of it, and the name of its pattern here.
type Vocabulary = (&'static str, fn() -> &'static CoreBPE, &'static str);
const VOCABULARIES: [Vocabulary; 2] =
    [("r50k", r50k_base_singleton, "gpt2"), ("cl100k", cl100k_base_singleton, "cl100k")];

/// bytemill's tokenizer with the rival's tokens and ranks.
fn tokenizer(rival: &CoreBPE, pattern: &str) -> Tokenizer {
    let special: Vec<u32> =
        rival.special_tokens().iter().map(|text| rival.encode_with_special_tokens(text)[0]).collect();
    let first_special = special.into_iter().min().unwrap();
    let ranks: Vec<_> = (0..first_special).filter_map(|id| Some((rival.decode_bytes(&[id]).ok()?, id))).collect();
    Tokenizer::from_ranks(&ranks, Some(pattern), Vec::new()).unwrap()
}

fn group(criterion: &mut Criterion, name: String, rate: Throughput) -> BenchmarkGroup<'_, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .throughput(rate)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    group
}

fn encoding(criterion: &mut Criterion) {
    for (vocabulary, rival, pattern) in VOCABULARIES {
        let (rival, ours) = (rival(), tokenizer(rival(), pattern));
        for (kind, text) in [("prose", prose()), ("code", code())] {
            assert_eq!(ours.encode_ordinary(&text).unwrap(), rival.encode_ordinary(&text), "{vocabulary} {kind}");
            let rate = Throughput::Bytes(text.len() as u64);
            let mut group = group(criterion, format!("encode {kind}, {vocabulary}"), rate);
            group.bench_function("bytemill", |bench| bench.iter(|| ours.encode_ordinary(black_box(&text)).unwrap()));
            group.bench_function("tiktoken-rs", |bench| bench.iter(|| rival.encode_ordinary(black_box(&text))));
            group.finish();
        }
    }
}

fn decoding(criterion: &mut Criterion) {
    let (rival, ours) = (cl100k_base_singleton(), tokenizer(cl100k_base_singleton(), "cl100k"));
    let ids = ours.encode_ordinary(&code()).unwrap();
    assert_eq!(ours.decode_bytes(&ids).unwrap(), rival.decode_bytes(&ids).unwrap());
    let mut group = group(criterion, "decode code, cl100k".to_owned(), Throughput::Bytes(code().len() as u64));
    group.bench_function("bytemill", |bench| bench.iter(|| ours.decode_bytes(black_box(&ids)).unwrap()));
    group.bench_function("tiktoken-rs", |bench| bench.iter(|| rival.decode_bytes(black_box(&ids)).unwrap()));
    group.finish();
}

/// No rival here: trainers that are Rust crates are timed from Python, where they are used.
fn training(criterion: &mut Criterion) {
    let text = code();
    let options = Options {
        n_merges: 4_096 - 256,
        ties: Ties::Huggingface,
        min_frequency: 0,
        max_token_bytes: None,
        utf8_safe: false,
        max_memory: None,
    };
    let mut group = group(criterion, "train 4,096 ids on code".to_owned(), Throughput::Bytes(text.len() as u64));
    group.bench_function("bytemill", |bench| {
        bench.iter(|| {
            let mut counter = Counter::new(Splitter::new(Some("gpt2")).unwrap());
            counter.add(black_box(text.as_bytes())).unwrap();
            train(&counter.into_counts().unwrap(), options, &mut |_| ControlFlow::Continue(())).unwrap()
        });
    });
    group.finish();
}

/// Shuffled batches of 16 x 1,024 tokens out of 20 million, with and without a thread that reads ahead.
fn loading(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { n_vocab: 50_257, end_of_text: None, shard_tokens: 4_000_000 };
    let mut writer = SplitWriter::new(folder.path(), Split::Train, layout).unwrap();
    writer.write(&(0..20_000_000).map(|i: u32| i.wrapping_mul(2_654_435_761) % 50_257).collect::<Vec<_>>()).unwrap();
    Manifest::new(50_257, "none".to_owned(), None, writer.finish().unwrap()).write(folder.path()).unwrap();
    let mut group = group(criterion, "load 16 x 1,024 tokens".to_owned(), Throughput::Elements(16 * 1_024));
    for (name, verify, prefetch_batches) in [
        ("checked at first touch, read ahead", Verify::FirstTouch, 4),
        ("checked at first touch", Verify::FirstTouch, 0),
        ("checked always", Verify::Always, 0),
    ] {
        let options = LoaderOptions { verify, prefetch_batches, ..LoaderOptions::new(16, 1_024) };
        let mut loader = Loader::open(&[folder.path()], options).unwrap();
        group.bench_function(name, |bench| bench.iter(|| loader.next_batch().unwrap()));
    }
    group.finish();
}

criterion_group!(benches, encoding, decoding, training, loading);
criterion_main!(benches);
