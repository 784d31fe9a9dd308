//! What preparing refuses, what it says, and that it leaves nothing.

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
    let other = tempfile::tempdir().unwrap();
    run(&sources, other.path(), &options).unwrap();
    let mut refused = 0;
    let first = prepare(&sources, out.path(), &BYTES, &options, |at| {
        if at.stage == Stage::Encode {
            let message = run(&sources, out.path(), &options).unwrap_err().to_string();
            assert!(message.contains("nobody else is preparing into"), "{message}");
            let message = merge(&[other.path()], out.path(), &mut go).unwrap_err().to_string();
            assert!(message.contains("nobody else is preparing into"), "{message}");
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
