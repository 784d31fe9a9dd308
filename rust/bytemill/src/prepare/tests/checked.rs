//! Compare shards with their text: every kind of wrong token is found and reported with shard, document and place.

use super::*;

/// Encodes as [`Bytes`] does, but applies a fault to a text that contains `wrong`.
struct Faulty {
    wrong: &'static [u8],
    fault: fn(&mut Vec<u32>, usize),
}

impl EncodeDocument for Faulty {
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
        |text, ids| {
            let first = ids.len();
            ids.extend(text.iter().map(|&byte| u32::from(byte)));
            if let Some(at) = memchr::memmem::find(text, self.wrong) {
                (self.fault)(ids, first + at);
            }
            Ok(())
        }
    }

    fn cuts(&self) -> bool {
        true
    }

    fn first_cut(&self, text: &[u8]) -> Option<usize> {
        BYTES.first_cut(text)
    }

    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        BYTES.token_bytes(id)
    }

    fn n_vocab(&self) -> u32 {
        257
    }

    fn end_of_text(&self) -> Option<u32> {
        Some(256)
    }

    fn fingerprint(&self) -> String {
        BYTES.fingerprint()
    }
}

/// A change to the ids at a place, and its error message.
type Fault = (fn(&mut Vec<u32>, usize), &'static str);

const FAULTS: [Fault; 4] = [
    (|ids, at| ids[at] = 88, "is \"row 37 é"),
    (|ids, at| ids[at] = 256, "id 256 is not a text token"),
    (|ids, at| drop(ids.drain(at + 1..at + 2)), "is \"ow 37 é"),
    (|ids, at| ids.insert(at, 114), "but the tokens are \"r"),
];

/// A wrong encoder used to remain undetected: ids, checksums and manifest agreed with each other.
#[test]
fn an_encoder_that_gives_wrong_ids_is_found_and_nothing_is_left() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    for val in [Validation::Share(0.1), Validation::FirstShard, Validation::Share(0.0)] {
        for (fault, reason) in FAULTS {
            let out = tempfile::tempdir().unwrap();
            let tokenizer = Faulty { wrong: b"row 37 ", fault };
            let go = |_: &Progress| ControlFlow::Continue(());
            let message = prepare(&sources, out.path(), &tokenizer, &small(val), go).unwrap_err().to_string();
            assert!(message.contains(".bin: token ") && message.contains(reason), "{message}");
            assert!(message.contains("rows.jsonl, line 112, byte "), "{message}");
            assert!(contents(out.path()).is_empty());
        }
    }
}

#[test]
fn shards_that_a_wrong_encoder_wrote_are_found_later() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    for val in [Validation::Share(0.1), Validation::FirstShard] {
        for (fault, reason) in FAULTS {
            let out = tempfile::tempdir().unwrap();
            let options = PrepareOptions { check: false, ..small(val) };
            let tokenizer = Faulty { wrong: b"row 37 ", fault };
            prepare(&sources, out.path(), &tokenizer, &options, |_| ControlFlow::Continue(())).unwrap();
            verify(out.path(), &mut go).unwrap();
            let compared = verify_against(out.path(), &sources, &BYTES, |_| ControlFlow::Continue(()));
            let message = compared.unwrap_err().to_string();
            assert!(message.contains(".bin: token ") && message.contains(reason), "{message}");
        }
    }
}

#[test]
fn good_shards_are_good_whatever_the_layout_and_the_names() {
    let (corpus, _) = corpus();
    let elsewhere = tempfile::tempdir().unwrap();
    let one = elsewhere.path().join("one.txt");
    fs::write(&one, "a few words of a long text ".repeat(30_000)).unwrap();
    let renamed = elsewhere.path().join("renamed.jsonl");
    fs::copy(corpus.path().join("rows.jsonl"), &renamed).unwrap();
    let rows = corpus.path().join("rows.jsonl");
    for end_of_text in [Some(256), None] {
        for val in [Validation::Share(0.1), Validation::FirstShard, Validation::Share(0.0)] {
            for (source, again) in [(&rows, &renamed), (&one, &one)] {
                let out = tempfile::tempdir().unwrap();
                let tokenizer = Bytes { end_of_text };
                let go = |_: &Progress| ControlFlow::Continue(());
                let made = prepare(from_ref(source), out.path(), &tokenizer, &small(val), go).unwrap();
                assert_eq!(verify_against(out.path(), from_ref(again), &tokenizer, go).unwrap(), made);
            }
        }
    }
}

/// Writes letters in upper case, so its ids do not decode to the text; applies `fault` where [`Faulty`] does.
struct Upper {
    end_of_text: Option<u32>,
    fault: Option<fn(&mut Vec<u32>, usize)>,
}

impl EncodeDocument for Upper {
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
        |text, ids| {
            let first = ids.len();
            ids.extend(text.iter().map(|byte| u32::from(byte.to_ascii_uppercase())));
            if let (Some(fault), Some(at)) = (self.fault, memchr::memmem::find(text, b"row 37 ")) {
                fault(ids, first + at);
            }
            Ok(())
        }
    }

    fn cuts(&self) -> bool {
        true
    }

    fn first_cut(&self, text: &[u8]) -> Option<usize> {
        BYTES.first_cut(text)
    }

    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        BYTES.token_bytes(id)
    }

    fn keeps_text(&self) -> bool {
        false
    }

    fn n_vocab(&self) -> u32 {
        257
    }

    fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    fn fingerprint(&self) -> String {
        BYTES.fingerprint()
    }
}

const UPPER_FAULTS: [Fault; 6] = [
    (|ids, at| ids[at] = 88, "the token is id 88 (\"X\"), but the text encodes to id 82 (\"R\")"),
    (|ids, at| ids[at] = 256, "the token is id 256, but the text encodes to id 82 (\"R\")"),
    (|ids, at| drop(ids.drain(at + 1..at + 2)), "the token is id 87 (\"W\"), but the text encodes to id 79 (\"O\")"),
    (|ids, at| ids.insert(at, 114), "the token is id 114 (\"r\"), but the text encodes to id 82 (\"R\")"),
    (|ids, _| ids.truncate(ids.len() - 1), "the document's tokens end, but its text continues with id 10 (\"\\n\")"),
    (|ids, _| ids.push(33), "the token is id 33 (\"!\"), but the text has ended"),
];

#[test]
fn ids_that_do_not_give_the_text_back_are_compared_with_a_fresh_encoding() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().join("rows.jsonl")];
    let go = |_: &Progress| ControlFlow::Continue(());
    for end_of_text in [Some(256), None] {
        for val in [Validation::Share(0.1), Validation::FirstShard, Validation::Share(0.0)] {
            let right = Upper { end_of_text, fault: None };
            for (fault, reason) in UPPER_FAULTS {
                let out = tempfile::tempdir().unwrap();
                let wrong = Upper { end_of_text, fault: Some(fault) };
                prepare(&sources, out.path(), &wrong, &PrepareOptions { check: false, ..small(val) }, go).unwrap();
                let message = verify_against(out.path(), &sources, &right, go).unwrap_err().to_string();
                assert!(message.contains(".bin: token ") && message.contains(reason), "{message}");
                assert!(message.contains("rows.jsonl, line 112, byte "), "{message}");
            }
        }
    }
}

#[test]
fn good_shards_of_an_encoder_that_changes_text_are_good() {
    let (corpus, _) = corpus();
    let one = corpus.path().join("one.txt");
    fs::write(&one, "a few words of a long text ".repeat(30_000)).unwrap();
    let go = |_: &Progress| ControlFlow::Continue(());
    for end_of_text in [Some(256), None] {
        for val in [Validation::Share(0.1), Validation::FirstShard, Validation::Share(0.0)] {
            for source in [&one, corpus.path()] {
                let out = tempfile::tempdir().unwrap();
                let tokenizer = Upper { end_of_text, fault: None };
                let made = prepare(&[source], out.path(), &tokenizer, &small(val), go).unwrap();
                assert_eq!(prepare(&[source], out.path(), &tokenizer, &small(val), go).unwrap(), made);
                assert_eq!(verify_against(out.path(), &[source], &tokenizer, go).unwrap(), made);
            }
        }
    }
}

/// The memory limit applies to the comparison too; too small a limit is refused before anything is written.
#[test]
fn a_fresh_encoding_keeps_to_the_memory_of_preparing() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("one.txt");
    fs::write(&source, "a few words of a long text ".repeat(3_000)).unwrap();
    let tokenizer = Upper { end_of_text: None, fault: None };
    let go = |_: &Progress| ControlFlow::Continue(());
    for (max_memory, is_enough) in [(1 << 20, true), (1 << 10, false)] {
        let out = tempfile::tempdir().unwrap();
        let options = PrepareOptions { max_memory: Some(max_memory), ..small(Validation::Share(0.0)) };
        let done = prepare(from_ref(&source), out.path(), &tokenizer, &options, go);
        assert_eq!(done.is_ok(), is_enough, "{done:?}");
    }
}

#[test]
fn documents_that_only_one_side_has_are_named_by_a_fresh_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("three.jsonl");
    fs::write(&source, "{\"text\": \"one\"}\n{\"text\": \"row 37 \"}\n{\"text\": \"four\"}\n").unwrap();
    let go = |_: &Progress| ControlFlow::Continue(());
    for seed in 0..6 {
        let options = PrepareOptions { seed, check: false, ..small(Validation::Share(0.0)) };
        let right = Upper { end_of_text: None, fault: None };
        let silent = Upper { end_of_text: None, fault: Some(Vec::truncate) };
        let [lacks, has] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        prepare(from_ref(&source), lacks.path(), &silent, &options, go).unwrap();
        let message = verify_against(lacks.path(), from_ref(&source), &right, go).unwrap_err().to_string();
        assert!(message.contains("three.jsonl, line 2"), "{message}");
        prepare(from_ref(&source), has.path(), &right, &options, go).unwrap();
        let message = verify_against(has.path(), from_ref(&source), &silent, go).unwrap_err().to_string();
        assert!(message.contains("train_000000.bin: token "), "{message}");
    }
}

#[test]
fn other_sources_and_merged_folders_are_refused() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let [out, merged] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    run(&sources, out.path(), &small(Validation::Share(0.1))).unwrap();
    let against = |folder: &Path| {
        let compared = verify_against(folder, &sources, &BYTES, |_| ControlFlow::Continue(()));
        compared.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(against(out.path()), Ok(()));
    merge(&[out.path(), out.path()], merged.path(), &mut go).unwrap();
    assert!(against(merged.path()).unwrap_err().contains("compare the original folders"));
    fs::write(corpus.path().join("a/whole.txt"), "another file\n\nis one document!").unwrap();
    let message = against(out.path()).unwrap_err();
    assert!(message.starts_with("against is a/whole.txt with 30 bytes"), "{message}");
    fs::write(corpus.path().join("b.txt"), "more").unwrap();
    assert!(against(out.path()).unwrap_err().starts_with("against is a/whole.txt"));
}

#[test]
fn a_document_that_is_not_in_the_shards_is_named() {
    // Simulates an encoder that returns no ids for a text, without marks between documents.
    struct Silent;
    impl EncodeDocument for Silent {
        fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
            |text, ids| {
                let kept = if text == b"two" { &[][..] } else { text };
                ids.extend(kept.iter().map(|&byte| u32::from(byte)));
                Ok(())
            }
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
    let source = folder.path().join("three.jsonl");
    fs::write(&source, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"text\": \"four\"}\n").unwrap();
    for seed in 0..6 {
        let out = tempfile::tempdir().unwrap();
        let options = PrepareOptions { seed, ..small(Validation::Share(0.0)) };
        let go = |_: &Progress| ControlFlow::Continue(());
        let message = prepare(from_ref(&source), out.path(), &Silent, &options, go).unwrap_err().to_string();
        assert!(message.contains("three.jsonl, line 2"), "{message}");
    }
}

/// Reading everything takes long if there is much of it.
#[test]
fn comparing_can_be_stopped_in_every_stage() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let out = tempfile::tempdir().unwrap();
    run(&sources, out.path(), &small(Validation::Share(0.1))).unwrap();
    let mut n_calls = 0;
    verify_against(out.path(), &sources, &BYTES, |_| {
        n_calls += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    for stop_at in [1, n_calls / 2, n_calls] {
        let mut left = stop_at;
        let stopped = verify_against(out.path(), &sources, &BYTES, |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stop_at} of {n_calls}");
    }
}
