//! Preparing: identical bytes for any number of threads, each document once, clear refusals.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::slice::from_ref;

use tempfile::TempDir;

use super::*;
use crate::shard::{Index, Loader, LoaderOptions, verify};

/// Bytes are ids; end-of-text is 256. Zero bytes are refused.
struct Bytes {
    end_of_text: Option<u32>,
}

const BYTES: Bytes = Bytes { end_of_text: Some(256) };

impl EncodeDocument for Bytes {
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
        |text, ids| {
            if let Some(position) = memchr::memchr(0, text) {
                return Err(Error::Utf8 { position });
            }
            ids.extend(text.iter().map(|&byte| u32::from(byte)));
            Ok(())
        }
    }

    fn cuts(&self) -> bool {
        true
    }

    fn first_cut(&self, text: &[u8]) -> Option<usize> {
        memchr::memchr(b' ', text).map(|at| at + 1)
    }

    fn n_vocab(&self) -> u32 {
        257
    }

    fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    fn fingerprint(&self) -> String {
        "b".repeat(64)
    }
}

fn small(val: Validation) -> PrepareOptions {
    PrepareOptions { shard_tokens: 5_000, val, threads: 2, ..PrepareOptions::default() }
}

fn run(sources: &[PathBuf], out_dir: &Path, options: &PrepareOptions) -> Result<Manifest> {
    prepare(sources, out_dir, &BYTES, options, |_| ControlFlow::Continue(()))
}

/// A folder of a text and 400 JSON lines.
fn corpus() -> (TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut texts: Vec<String> = (0..400).map(|i| format!("row {i} \u{e9}\n").repeat(i % 13)).collect();
    let lines: Vec<_> = texts.iter().map(|text| serde_json::json!({"id": [1], "text": text}).to_string()).collect();
    fs::write(folder.path().join("rows.jsonl"), lines.join("\n\n \n")).unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    texts.push("a whole file\n\nis one document".to_owned());
    fs::write(folder.path().join("a/whole.txt"), &texts[400]).unwrap();
    fs::write(folder.path().join("a/empty.txt"), "").unwrap();
    (folder, texts)
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

fn tokens(folder: &Path, split: Split) -> Vec<u32> {
    let manifest = Manifest::read(folder).unwrap();
    let tokens = Tokens::open([(folder, &manifest)], split, Verify::Always).unwrap();
    let mut buffers = crate::shard::Buffers::default();
    let bytes = tokens.read(0, tokens.len() as usize, &mut buffers).unwrap();
    bytes.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id).into()).collect()
}

fn documents(folder: &Path, split: Split) -> Vec<String> {
    let tokens = tokens(folder, split);
    let documents = tokens.split(|&id| id == 256).skip(1);
    documents.map(|ids| String::from_utf8(ids.iter().map(|&id| id as u8).collect()).unwrap()).collect()
}

#[test]
fn each_document_is_there_once_shuffled_and_split() {
    let (corpus, mut texts) = corpus();
    let out = tempfile::tempdir().unwrap();
    let manifest = run(&[corpus.path().to_owned()], out.path(), &small(Validation::Share(0.1))).unwrap();
    assert_eq!(verify(out.path()).unwrap(), manifest);
    let names: Vec<_> = manifest.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["a/empty.txt", "a/whole.txt", "rows.jsonl"]);
    let val = documents(out.path(), Split::Val);
    let train = documents(out.path(), Split::Train);
    assert_eq!((val.len() as u64, train.len() as u64), (40, 361));
    assert_eq!(manifest.n_documents(Split::Val), 40);
    assert_ne!(train[..300], texts[1..301], "shuffled");
    let mut found = [val, train].concat();
    found.sort();
    texts.sort();
    assert_eq!(found, texts);
}

#[test]
fn threads_and_memory_change_no_byte_and_neither_does_a_killed_run() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let expected = tempfile::tempdir().unwrap();
    run(&sources, expected.path(), &small(Validation::Share(0.1))).unwrap();
    for (threads, max_memory) in [(1, None), (8, None), (1, Some(310_000))] {
        let out = tempfile::tempdir().unwrap();
        // What a killed run leaves: shards of another plan, a temporary file, no manifest.
        run(&sources, out.path(), &PrepareOptions { shard_tokens: 4_000, ..small(Validation::Share(0.5)) }).unwrap();
        fs::remove_file(out.path().join(MANIFEST_NAME)).unwrap();
        fs::write(out.path().join("train_000000.bin.tmp"), "half").unwrap();
        let options = PrepareOptions { threads, max_memory, ..small(Validation::Share(0.1)) };
        run(&sources, out.path(), &options).unwrap();
        assert!(contents(out.path()) == contents(expected.path()), "{threads} threads, {max_memory:?}");
    }
}

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let (corpus, _) = corpus();
    let out = tempfile::tempdir().unwrap();
    let options = PrepareOptions { max_memory: Some(1_000), ..small(Validation::Share(0.1)) };
    let message = run(&[corpus.path().to_owned()], out.path(), &options).unwrap_err().to_string();
    assert!(message.starts_with("max_memory is 1000, expected at least"), "{message}");
}

#[test]
fn the_first_shard_is_cut_where_it_is_full_and_nothing_is_lost() {
    let (corpus, _) = corpus();
    let [all, parted] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    run(&[corpus.path().to_owned()], all.path(), &small(Validation::Share(0.0))).unwrap();
    let manifest = run(&[corpus.path().to_owned()], parted.path(), &small(Validation::FirstShard)).unwrap();
    verify(parted.path()).unwrap();
    let val = tokens(parted.path(), Split::Val);
    assert_eq!(val.len(), 5_000);
    assert_eq!([val, tokens(parted.path(), Split::Train)].concat(), tokens(all.path(), Split::Train));
    // The document that was cut is a piece in training's first shard, and begins in none of its shards.
    let path = parted.path().join("train_000000.idx");
    let pieces = Index::decode(&path, &fs::read(&path).unwrap()).unwrap().lengths.len() as u64;
    assert_eq!(manifest.split(Split::Train).next().unwrap().documents + 1, pieces);
}

#[test]
fn a_single_document_gives_its_last_tenth() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("one.txt");
    let lines = "a line of text\n".repeat(100);
    for (text, expected) in [(lines.as_str(), 1_350), (&"\u{e9}".repeat(105), 188), ("ab", 1)] {
        fs::write(&source, text).unwrap();
        let out = tempfile::tempdir().unwrap();
        run(from_ref(&source), out.path(), &small(Validation::Share(0.01))).unwrap();
        assert_eq!(documents(out.path(), Split::Train), [&text[..expected]]);
        assert_eq!(documents(out.path(), Split::Val), [&text[expected..]]);
    }
    for text in ["a", "\u{1f600}"] {
        fs::write(&source, text).unwrap();
        let out = tempfile::tempdir().unwrap();
        let message = run(from_ref(&source), out.path(), &small(Validation::Share(0.01))).unwrap_err().to_string();
        assert!(message.contains("too short"), "{message}");
    }
}

#[test]
fn a_share_that_rounds_to_nothing_still_takes_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("two.jsonl");
    fs::write(&source, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n").unwrap();
    for share in [0.0001, 0.9999] {
        let out = tempfile::tempdir().unwrap();
        let manifest = run(from_ref(&source), out.path(), &small(Validation::Share(share))).unwrap();
        assert_eq!((manifest.n_documents(Split::Val), manifest.n_documents(Split::Train)), (1, 1));
    }
}

#[test]
fn a_vocabulary_without_end_of_text_joins_documents() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("two.jsonl");
    fs::write(&source, "{\"text\": \"one\"}\n{\"text\": \"\"}\n{\"text\": \"two\"}\n").unwrap();
    let out = tempfile::tempdir().unwrap();
    let tokenizer = Bytes { end_of_text: None };
    let options = small(Validation::Share(0.0));
    let manifest = prepare(&[source], out.path(), &tokenizer, &options, |_| ControlFlow::Continue(())).unwrap();
    verify(out.path()).unwrap();
    assert_eq!((manifest.n_tokens(Split::Train), manifest.n_documents(Split::Train)), (6, 2));
}

#[test]
fn a_finished_folder_is_left_alone_and_a_different_plan_is_told() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let out = tempfile::tempdir().unwrap();
    let options = small(Validation::Share(0.1));
    let first = run(&sources, out.path(), &options).unwrap();
    let before = contents(out.path());
    assert_eq!(run(&sources, out.path(), &PrepareOptions { threads: 1, ..options.clone() }).unwrap(), first);
    for (other, name) in [
        (PrepareOptions { shard_tokens: 4_999, ..options.clone() }, "shard_tokens is 4999, expected 5000"),
        (PrepareOptions { seed: 1, ..options.clone() }, "seed is 1, expected 0"),
        (small(Validation::FirstShard), "val is first_shard, expected 0.1"),
    ] {
        let message = run(&sources, out.path(), &other).unwrap_err().to_string();
        assert!(message.starts_with(name), "{message}");
    }
    fs::write(corpus.path().join("a/whole.txt"), "changed").unwrap();
    let message = run(&sources, out.path(), &options).unwrap_err().to_string();
    assert!(message.starts_with("sources is a/whole.txt with 7 bytes"), "{message}");
    assert!(contents(out.path()) == before);
}

#[test]
fn faults_name_file_and_line_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("rows.jsonl");
    for (line, reason) in [
        ("{\"body\": \"x\"}", "no field \"text\""),
        ("{\"text\": 5}", "text"),
        ("{\"text\": \"x", "EOF while parsing a string (column 11)"),
        ("{\"text\": \"\\u0000\"}", "invalid UTF-8 at byte 0"),
    ] {
        fs::write(&source, format!("{{\"text\": \"one\"}}\n\n{line}\n")).unwrap();
        let out = tempfile::tempdir().unwrap();
        let message = run(from_ref(&source), out.path(), &small(Validation::Share(0.5))).unwrap_err().to_string();
        assert!(message.contains("rows.jsonl: line 3, byte 17: ") && message.contains(reason), "{message}");
        assert!(contents(out.path()).is_empty());
    }
}

#[test]
fn no_text_and_wrong_options_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let source = folder.path().join("empty.jsonl");
    fs::write(&source, "\n \n").unwrap();
    let message = |options| run(from_ref(&source), out.path(), &options).unwrap_err().to_string();
    assert!(message(small(Validation::Share(0.1))).contains("empty.jsonl"));
    assert!(message(small(Validation::Share(1.0))).starts_with("val is 1"));
    assert!(message(small(Validation::Share(f64::NAN))).starts_with("val is NaN"));
    fs::write(&source, "{\"text\": \"one\"}\n{\"text\": \"two\"}").unwrap();
    assert!(message(small(Validation::FirstShard)).contains("all of them for validation"));
    assert!(
        message(PrepareOptions { shard_tokens: 0, ..small(Validation::FirstShard) }).starts_with("shard_tokens is 0")
    );
    let missing = run(&[folder.path().join("missing")], out.path(), &small(Validation::FirstShard)).unwrap_err();
    assert!(missing.to_string().contains("missing: No such file"), "{missing}");
    let inside = run(&[out.path().to_owned()], out.path(), &small(Validation::FirstShard));
    inside.unwrap_err();
    assert!(contents(out.path()).is_empty());
}

#[test]
fn progress_counts_up_and_can_stop_the_work() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let out = tempfile::tempdir().unwrap();
    let options = small(Validation::Share(0.1));
    let stopped = prepare(&sources, out.path(), &BYTES, &options, |now| match now.stage {
        Stage::Scan => ControlFlow::Continue(()),
        Stage::Encode => ControlFlow::Break(()),
    });
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert!(contents(out.path()).keys().all(|name| !name.contains(".tmp") && name != MANIFEST_NAME));
    let mut last = None;
    prepare(&sources, out.path(), &BYTES, &options, |now| {
        assert!(now.bytes <= now.total_bytes);
        last = Some(*now);
        ControlFlow::Continue(())
    })
    .unwrap();
    let last = last.unwrap();
    assert_eq!((last.stage, last.documents), (Stage::Encode, 401));
}

#[test]
fn prepared_shards_load() {
    let (corpus, _) = corpus();
    let out = tempfile::tempdir().unwrap();
    run(&[corpus.path().to_owned()], out.path(), &small(Validation::Share(0.1))).unwrap();
    for split in [Split::Train, Split::Val] {
        let mut loader = Loader::open(&[out.path()], LoaderOptions { split, ..LoaderOptions::new(4, 16) }).unwrap();
        assert_eq!(loader.next_batch().unwrap().inputs().len(), 64);
    }
}

#[test]
fn compressed_inputs_give_the_same_shards() {
    let (corpus, _) = corpus();
    let packed = tempfile::tempdir().unwrap();
    fs::create_dir(packed.path().join("a")).unwrap();
    for name in ["a/empty.txt", "a/whole.txt", "rows.jsonl"] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &fs::read(corpus.path().join(name)).unwrap()).unwrap();
        fs::write(packed.path().join(format!("{name}.gz")), encoder.finish().unwrap()).unwrap();
    }
    let outs = [corpus.path(), packed.path()].map(|source| {
        let out = tempfile::tempdir().unwrap();
        let options = small(Validation::Share(0.1));
        prepare(&[source], out.path(), &BYTES, &options, |now| {
            assert!(now.bytes <= now.total_bytes);
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut files = contents(out.path());
        files.remove(MANIFEST_NAME);
        (files, Manifest::read(out.path()).unwrap())
    });
    let [(plain_files, plain), (packed_files, packed)] = outs;
    assert!(plain_files == packed_files && !packed_files.is_empty());
    let names: Vec<_> = packed.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["a/empty.txt.gz", "a/whole.txt.gz", "rows.jsonl.gz"]);
    assert_eq!((&packed.shards, &packed.plan), (&plain.shards, &plain.plan));
}

#[test]
fn faults_in_compressed_inputs_name_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("rows.jsonl.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, b"{\"text\": \"one\"}\n\n{\"text\": \"\\u0000\"}\n").unwrap();
    let packed = encoder.finish().unwrap();
    fs::write(&source, &packed).unwrap();
    let out = tempfile::tempdir().unwrap();
    let message = || run(from_ref(&source), out.path(), &small(Validation::Share(0.5))).unwrap_err().to_string();
    assert!(message().ends_with("rows.jsonl.gz: document 2: invalid UTF-8 at byte 0"), "{}", message());
    fs::write(&source, &packed[..packed.len() - 9]).unwrap();
    assert!(message().contains(&format!("rows.jsonl.gz: ends at byte {}", packed.len() - 9)), "{}", message());
    assert!(contents(out.path()).is_empty());
}

/// Two writers used to truncate each other's files, and to delete them as leftovers.
#[test]
fn a_second_writer_of_a_folder_is_refused_while_the_first_is_at_work() {
    let (corpus, _) = corpus();
    let (sources, out) = ([corpus.path().to_owned()], tempfile::tempdir().unwrap());
    let options = small(Validation::Share(0.1));
    let mut refused = 0;
    let first = prepare(&sources, out.path(), &BYTES, &options, |at| {
        if at.stage == Stage::Encode {
            let message = run(&sources, out.path(), &options).unwrap_err().to_string();
            assert!(message.contains("nobody else is preparing into"), "{message}");
            refused += 1;
        }
        ControlFlow::Continue(())
    });
    assert!(refused > 0);
    assert_eq!(verify(out.path()).unwrap(), first.unwrap());
    run(&sources, out.path(), &options).unwrap();
}

/// JSON numbers were read a bit off, so that the same share was taken for another.
#[test]
fn a_share_that_is_no_short_decimal_is_read_back_as_it_was() {
    let (corpus, _) = corpus();
    for share in [0.126_315_789_473_684_2, 0.1 + 1.0 / 38.0, 1.0 / 3.0] {
        let out = tempfile::tempdir().unwrap();
        let made = run(&[corpus.path().to_owned()], out.path(), &small(Validation::Share(share))).unwrap();
        assert_eq!(Manifest::read(out.path()).unwrap(), made);
    }
}

#[test]
fn absurd_numbers_of_threads_are_as_good_as_many() {
    let (corpus, _) = corpus();
    let [few, many] = [1, usize::MAX].map(|threads| {
        let out = tempfile::tempdir().unwrap();
        let options = PrepareOptions { threads, ..small(Validation::Share(0.1)) };
        run(&[corpus.path().to_owned()], out.path(), &options).unwrap();
        contents(out.path())
    });
    assert!(few == many);
}

/// Stops after some progress as a kill does, and runs again: what was finished stays, and the bytes are the same.
#[test]
fn a_run_goes_on_behind_the_shards_that_are_finished() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    fs::write(corpus.path().join("long.txt"), "a few words of a long text ".repeat(3_000)).unwrap();
    for val in [Validation::Share(0.1), Validation::Share(0.9), Validation::FirstShard] {
        let options = PrepareOptions { shard_tokens: 3_000, max_memory: Some(800_000), ..small(val) };
        let expected = tempfile::tempdir().unwrap();
        run(&sources, expected.path(), &options).unwrap();
        let mut resumed = 0;
        for stop_at in 1..12 {
            let out = tempfile::tempdir().unwrap();
            let mut calls = 0;
            let stopped = prepare(&sources, out.path(), &BYTES, &options, |now| {
                calls += usize::from(now.stage == Stage::Encode);
                if calls == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let finished = contents(out.path()).keys().filter(|name| name.contains(".bin")).count();
            let mut first_bytes = None;
            prepare(&sources, out.path(), &BYTES, &options, |now| {
                if now.stage == Stage::Encode {
                    first_bytes.get_or_insert(now.bytes);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
            assert!(contents(out.path()) == contents(expected.path()), "{val:?}, stopped at {stop_at}");
            resumed += usize::from(stopped.is_err() && finished > 1 && first_bytes > Some(20_000));
        }
        assert!(resumed > 0, "{val:?}: no run went on behind finished shards");
    }
}

#[test]
fn a_finished_shard_that_was_damaged_meanwhile_is_made_again() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let [out, expected] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let options = PrepareOptions { shard_tokens: 500, max_memory: Some(700_000), ..small(Validation::Share(0.1)) };
    run(&sources, expected.path(), &options).unwrap();
    let mut calls = 0;
    let stopped = prepare(&sources, out.path(), &BYTES, &options, |now| {
        calls += usize::from(now.stage == Stage::Encode);
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    stopped.unwrap_err();
    let path = out.path().join("train_000001.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1_030] ^= 1;
    fs::write(&path, bytes).unwrap();
    run(&sources, out.path(), &options).unwrap();
    assert!(contents(out.path()) == contents(expected.path()));
}

/// A document many times larger than the memory allowed is cut, and the tokens are the same.
#[test]
fn a_document_larger_than_memory_is_encoded_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("long.txt");
    let text = "some words\nand more of them ".repeat(100_000);
    fs::write(&source, &text).unwrap();
    let out = tempfile::tempdir().unwrap();
    let options =
        PrepareOptions { shard_tokens: 1_000_000, max_memory: Some(700_000), ..small(Validation::Share(0.01)) };
    run(from_ref(&source), out.path(), &options).unwrap();
    verify(out.path()).unwrap();
    let (train, val) = (documents(out.path(), Split::Train), documents(out.path(), Split::Val));
    assert_eq!((train.len(), val.len()), (1, 1));
    assert!(format!("{}{}", train[0], val[0]) == text);
}

#[test]
fn folders_prepared_apart_are_merged_into_one() {
    let (corpus, _) = corpus();
    let files = ["a/whole.txt", "rows.jsonl"].map(|name| corpus.path().join(name));
    let parts = files.each_ref().map(|file| {
        let out = tempfile::tempdir().unwrap();
        run(from_ref(file), out.path(), &small(Validation::Share(0.2))).unwrap();
        out
    });
    let [out, again] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let merged = crate::shard::merge(&[parts[0].path(), parts[1].path()], out.path()).unwrap();
    assert_eq!(verify(out.path()).unwrap(), merged);
    for split in [Split::Train, Split::Val] {
        let apart = parts.each_ref().map(|part| tokens(part.path(), split)).concat();
        assert_eq!(tokens(out.path(), split), apart);
    }
    assert_eq!(merged.inputs.len(), 2);
    crate::shard::merge(&[parts[0].path(), parts[1].path()], again.path()).unwrap();
    assert!(contents(again.path()) == contents(out.path()));
    crate::shard::merge(&[parts[0].path()], out.path()).unwrap_err();
}
