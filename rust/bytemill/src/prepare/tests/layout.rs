//! The layout: each document once, its split, its shard.

use super::*;

#[test]
fn each_document_is_there_once_shuffled_and_split() {
    let (corpus, mut texts) = corpus();
    let out = tempfile::tempdir().unwrap();
    let manifest = run(&[corpus.path().to_owned()], out.path(), &small(Validation::Share(0.1))).unwrap();
    assert_eq!(verify(out.path(), &mut go).unwrap(), manifest);
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
fn the_first_shard_is_cut_where_it_is_full_and_nothing_is_lost() {
    let (corpus, _) = corpus();
    let [all, parted] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    run(&[corpus.path().to_owned()], all.path(), &small(Validation::Share(0.0))).unwrap();
    let manifest = run(&[corpus.path().to_owned()], parted.path(), &small(Validation::FirstShard)).unwrap();
    verify(parted.path(), &mut go).unwrap();
    let val = tokens(parted.path(), Split::Val);
    assert_eq!(val.len(), 5_000);
    assert_eq!([val, tokens(parted.path(), Split::Train)].concat(), tokens(all.path(), Split::Train));
    // The split document is a piece in training's first shard, and begins in none of its shards.
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
    verify(out.path(), &mut go).unwrap();
    assert_eq!((manifest.n_tokens(Split::Train), manifest.n_documents(Split::Train)), (6, 2));
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
fn folders_prepared_apart_are_merged_into_one() {
    let (corpus, _) = corpus();
    let files = ["a/whole.txt", "rows.jsonl"].map(|name| corpus.path().join(name));
    let parts = files.each_ref().map(|file| {
        let out = tempfile::tempdir().unwrap();
        run(from_ref(file), out.path(), &small(Validation::Share(0.2))).unwrap();
        out
    });
    let [out, again] = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let merged = merge(&[parts[0].path(), parts[1].path()], out.path(), &mut go).unwrap();
    assert_eq!(verify(out.path(), &mut go).unwrap(), merged);
    for split in [Split::Train, Split::Val] {
        let apart = parts.each_ref().map(|part| tokens(part.path(), split)).concat();
        assert_eq!(tokens(out.path(), split), apart);
    }
    assert_eq!(merged.inputs.len(), 2);
    merge(&[parts[0].path(), parts[1].path()], again.path(), &mut go).unwrap();
    assert!(contents(again.path()) == contents(out.path()));
    merge(&[parts[0].path()], out.path(), &mut go).unwrap_err();
}
