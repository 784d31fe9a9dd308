//! What preparation refuses, the messages, and that it leaves no files.

use std::io::ErrorKind;

use super::*;

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let (corpus, _) = corpus();
    let out = tempfile::tempdir().unwrap();
    let options = PrepareOptions { max_memory: Some(1_000), ..small(Validation::Share(0.1)) };
    let message = run(&[corpus.path().to_owned()], out.path(), &options).unwrap_err().to_string();
    assert!(message.starts_with("max_memory is 1000, expected at least"), "{message}");
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
fn no_text_and_wrong_options_are_errors() {
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
    let missing = folder.path().join("missing");
    let error = run(from_ref(&missing), out.path(), &small(Validation::FirstShard)).unwrap_err();
    assert!(matches!(error, Error::Io { path, source } if path == missing && source.kind() == ErrorKind::NotFound));
    let inside = run(&[out.path().to_owned()], out.path(), &small(Validation::FirstShard));
    inside.unwrap_err();
    assert!(contents(out.path()).is_empty());
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
fn a_second_writer_of_a_folder_is_refused_while_the_first_is_running() {
    let (corpus, _) = corpus();
    let (sources, out) = ([corpus.path().to_owned()], tempfile::tempdir().unwrap());
    let options = small(Validation::Share(0.1));
    let other = tempfile::tempdir().unwrap();
    run(&sources, other.path(), &options).unwrap();
    let mut refused = 0;
    let first = prepare(&sources, out.path(), &BYTES, &options, |at| {
        if at.stage == Stage::Encode {
            let message = run(&sources, out.path(), &options).unwrap_err().to_string();
            assert!(message.contains("no other process is writing shards to"), "{message}");
            let message = merge(&[other.path()], out.path(), &mut go).unwrap_err().to_string();
            assert!(message.contains("no other process is writing shards to"), "{message}");
            refused += 1;
        }
        ControlFlow::Continue(())
    });
    assert!(refused > 0);
    assert_eq!(verify(out.path(), &mut go).unwrap(), first.unwrap());
    run(&sources, out.path(), &options).unwrap();
}

#[test]
fn progress_counts_up_and_can_stop_the_work() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let out = tempfile::tempdir().unwrap();
    let options = small(Validation::Share(0.1));
    let stopped = prepare(&sources, out.path(), &BYTES, &options, |now| match now.stage {
        Stage::Scan => ControlFlow::Continue(()),
        Stage::Encode | Stage::Check => ControlFlow::Break(()),
    });
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert!(contents(out.path()).keys().all(|name| !name.contains(".tmp") && name != MANIFEST_NAME));
    let mut last = Vec::new();
    prepare(&sources, out.path(), &BYTES, &options, |now| {
        assert!(now.bytes <= now.total_bytes);
        last.retain(|before: &Progress| before.stage != now.stage);
        last.push(*now);
        ControlFlow::Continue(())
    })
    .unwrap();
    let last: Vec<_> = last.iter().map(|last| (last.stage, last.documents)).collect();
    assert_eq!(last, [(Stage::Scan, 401), (Stage::Encode, 401), (Stage::Check, 401)]);
}

/// Size and time of an input may stay the same while its content changes.
#[test]
fn an_input_that_changes_between_the_passes_is_refused_though_size_and_time_stay() {
    let folder = tempfile::tempdir().unwrap();
    let long = "a few words of a long text ".repeat(60_000);
    let rows = "{\"text\": \"one row of many\"}\n".repeat(300);
    for (name, content) in [("long.txt", &long), ("short.txt", &"a text".to_owned()), ("rows.jsonl", &rows)] {
        for val in [Validation::Share(0.1), Validation::Share(0.0), Validation::FirstShard] {
            let (source, out) = (folder.path().join(name), tempfile::tempdir().unwrap());
            fs::write(&source, content).unwrap();
            let modified = source.metadata().unwrap().modified().unwrap();
            let mut is_changed = false;
            let options = PrepareOptions { max_memory: Some(900_000), check: false, shard_tokens: 3, ..small(val) };
            let options = PrepareOptions { shard_tokens: if name == "short.txt" { 3 } else { 5_000 }, ..options };
            let made = prepare(from_ref(&source), out.path(), &BYTES, &options, |now| {
                // This is the last report of the first pass: the second pass will read other bytes than were hashed.
                if now.bytes == now.total_bytes && !std::mem::replace(&mut is_changed, true) {
                    let mut bytes = content.clone().into_bytes();
                    let at = bytes.len() - 3;
                    bytes[at] ^= 1;
                    fs::write(&source, bytes).unwrap();
                    fs::File::open(&source).unwrap().set_modified(modified).unwrap();
                }
                ControlFlow::Continue(())
            });
            let message = made.unwrap_err().to_string();
            assert!(is_changed && message.contains("changed during preparation"), "{name} {val:?}: {message}");
            assert!(contents(out.path()).is_empty());
        }
    }
}

/// Every row used to be found and stored before the limit was checked.
#[test]
fn documents_are_refused_as_soon_as_their_places_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("rows.jsonl");
    fs::write(&source, "{\"text\": \"\"}\n".repeat(300_000)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let options = PrepareOptions { max_memory: Some(1_500_000), ..small(Validation::Share(0.0)) };
    let mut most = 0;
    let refused = prepare(from_ref(&source), out.path(), &BYTES, &options, |now| {
        most = most.max(now.documents);
        ControlFlow::Continue(())
    });
    let message = refused.unwrap_err().to_string();
    assert!(message.starts_with("max_memory is 1500000, expected at least") && most < 75_000, "{most} {message}");
}

/// Text that cannot be split used to be held as a whole, with any memory limit.
#[test]
fn a_stretch_that_cannot_be_cut_is_refused_by_the_limit_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("long.txt");
    fs::write(&source, "some words ".repeat(20_000) + &"a".repeat(200_000) + " and more").unwrap();
    let out = tempfile::tempdir().unwrap();
    let run = |max_memory| {
        let options = PrepareOptions { max_memory: Some(max_memory), ..small(Validation::Share(0.1)) };
        run(from_ref(&source), out.path(), &options)
    };
    let message = run(2_000_000).unwrap_err().to_string();
    assert!(
        message.contains("long.txt, line 1, byte 0 (from byte 2") && message.contains("place to split the text"),
        "{message}"
    );
    assert!(contents(out.path()).is_empty());
    let needed = message.split("at least ").nth(1).unwrap().split(':').next().unwrap().parse::<u64>().unwrap();
    assert!(needed < 16_000_000, "{message}");
    run(16_000_000).unwrap();
}

/// The same file is accepted if it is text that can be split.
#[test]
fn a_text_too_long_to_be_encoded_as_a_whole_is_refused_before_it_is_read() {
    struct Whole;
    impl EncodeDocument for Whole {
        fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
            |_, _| Ok(())
        }
        fn cuts(&self) -> bool {
            false
        }
        fn first_cut(&self, _: &[u8]) -> Option<usize> {
            None
        }
        fn token_bytes(&self, id: u32) -> Option<&[u8]> {
            BYTES.token_bytes(id)
        }
        fn n_vocab(&self) -> u32 {
            257
        }
        fn end_of_text(&self) -> Option<u32> {
            None
        }
        fn fingerprint(&self) -> String {
            BYTES.fingerprint()
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("long.txt"), tempfile::tempdir().unwrap());
    fs::File::create(&source).unwrap().set_len(u64::from(u32::MAX)).unwrap();
    let mut n_calls = 0;
    let refused = prepare(from_ref(&source), out.path(), &Whole, &small(Validation::Share(0.1)), |_| {
        n_calls += 1;
        ControlFlow::Continue(())
    });
    let message = refused.unwrap_err().to_string();
    assert!(n_calls == 0 && message.contains("expected at most 4294967294: split it into several files"), "{message}");
}

/// A packed input is read once for its hash and once for unpacking.
#[test]
fn a_packed_input_that_changes_while_it_is_unpacked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("rows.jsonl.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, "{\"text\": \"one row of many\"}\n".repeat(300).as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    fs::write(&source, &packed).unwrap();
    let modified = source.metadata().unwrap().modified().unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut is_changed = false;
    let made = prepare(from_ref(&source), out.path(), &BYTES, &small(Validation::Share(0.1)), |now| {
        if now.documents == 0 && !std::mem::replace(&mut is_changed, true) {
            let mut bytes = packed.clone();
            bytes[4] ^= 1; // the time in gzip's header, which does not change the text
            fs::write(&source, bytes).unwrap();
            fs::File::open(&source).unwrap().set_modified(modified).unwrap();
        }
        ControlFlow::Continue(())
    });
    let message = made.unwrap_err().to_string();
    assert!(is_changed && message.contains("rows.jsonl.gz: changed during preparation"), "{message}");
    fs::write(&source, &packed).unwrap();
    run(from_ref(&source), out.path(), &small(Validation::Share(0.1))).unwrap();
}
