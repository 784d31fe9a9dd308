//! Identical bytes for any number of threads, any memory limit, and interrupted runs.

use super::*;

#[test]
fn threads_and_memory_change_no_byte_and_neither_does_a_killed_run() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let expected = tempfile::tempdir().unwrap();
    run(&sources, expected.path(), &small(Validation::Share(0.1))).unwrap();
    for (threads, max_memory) in [(1, None), (8, None), (1, Some(310_000))] {
        let out = tempfile::tempdir().unwrap();
        // Files of a killed run: shards of another plan, a temporary file, no manifest.
        run(&sources, out.path(), &PrepareOptions { shard_tokens: 4_000, ..small(Validation::Share(0.5)) }).unwrap();
        fs::remove_file(out.path().join(MANIFEST_NAME)).unwrap();
        fs::write(out.path().join("train_000000.bin.tmp"), "half").unwrap();
        let options = PrepareOptions { threads, max_memory, ..small(Validation::Share(0.1)) };
        run(&sources, out.path(), &options).unwrap();
        assert!(contents(out.path()) == contents(expected.path()), "{threads} threads, {max_memory:?}");
    }
}

#[test]
fn a_finished_folder_stays_unchanged_and_a_different_plan_is_an_error() {
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

/// Stop after some progress, as a kill does, and run again: finished shards stay, and the bytes are the same.
#[test]
fn a_run_continues_after_the_finished_shards() {
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

/// The second run used to delete the list of finished shards. If it was killed before its first finished shard, all
/// were lost.
#[test]
fn a_run_that_is_killed_twice_keeps_what_the_first_had_finished() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    fs::write(corpus.path().join("long.txt"), "a few words of a long text ".repeat(3_000)).unwrap();
    let options = PrepareOptions { shard_tokens: 20_000, max_memory: Some(800_000), ..small(Validation::Share(0.1)) };
    let [out, expected] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    run(&sources, expected.path(), &options).unwrap();
    let stop_when = |stops: &dyn Fn(&Progress) -> bool| {
        prepare(&sources, out.path(), &BYTES, &options, |now| match now.stage {
            Stage::Encode if stops(now) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    };
    stop_when(&|now| now.tokens > 60_000).unwrap_err();
    let finished = contents(out.path());
    assert!(finished.keys().filter(|name| name.contains(".bin")).count() > 2);
    stop_when(&|_| true).unwrap_err();
    assert!(contents(out.path()) == finished);
    run(&sources, out.path(), &options).unwrap();
    assert!(contents(out.path()) == contents(expected.path()));
}

/// Too small a memory limit or an invalid shard size used to delete the finished shards of a killed run.
#[test]
fn arguments_that_cannot_work_delete_nothing() {
    let (corpus, _) = corpus();
    let sources = [corpus.path().to_owned()];
    let out = tempfile::tempdir().unwrap();
    let options = PrepareOptions { shard_tokens: 3_000, max_memory: Some(800_000), ..small(Validation::Share(0.1)) };
    let mut calls = 0;
    let stopped = prepare(&sources, out.path(), &BYTES, &options, |now| {
        calls += usize::from(now.stage == Stage::Encode);
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    stopped.unwrap_err();
    let finished = contents(out.path());
    assert!(finished.keys().any(|name| name.contains(".bin")));
    for wrong in [
        PrepareOptions { max_memory: Some(1_000), ..options.clone() },
        PrepareOptions { shard_tokens: 100_000_001, ..options.clone() },
    ] {
        let error = run(&sources, out.path(), &wrong).unwrap_err();
        assert!(matches!(error, Error::Argument { name: "max_memory" | "shard_tokens", .. }), "{error}");
        assert!(contents(out.path()) == finished, "{error}");
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

/// A document many times larger than the memory limit is split, and the tokens are the same.
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
    verify(out.path(), &mut go).unwrap();
    let (train, val) = (documents(out.path(), Split::Train), documents(out.path(), Split::Val));
    assert_eq!((train.len(), val.len()), (1, 1));
    assert!(format!("{}{}", train[0], val[0]) == text);
}

/// JSON numbers were parsed inexactly, so the same share appeared to be different.
#[test]
fn a_share_that_is_no_short_decimal_is_read_back_as_it_was() {
    let (corpus, _) = corpus();
    for share in [0.126_315_789_473_684_2, 0.1 + 1.0 / 38.0, 1.0 / 3.0] {
        let out = tempfile::tempdir().unwrap();
        let made = run(&[corpus.path().to_owned()], out.path(), &small(Validation::Share(share))).unwrap();
        assert_eq!(Manifest::read(out.path()).unwrap(), made);
    }
}
