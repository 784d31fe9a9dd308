//! Best-fit packing: every token once, documents whole if they fit, one order for any number of ranks.
#![allow(clippy::cast_sign_loss, clippy::cast_possible_wrap, reason = "ids are small")]

use super::*;

const T: usize = 16;

/// Create a folder in which the token at position i has id i; return it and the starts of documents.
fn numbered(n_documents: u32) -> (TempDir, Vec<u32>) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { n_vocab: 70_000, end_of_text: None, shard_tokens: 9_000 };
    let mut writer = SplitWriter::new(folder.path(), Split::Train, layout).unwrap();
    let (mut starts, mut next) = (Vec::new(), 0);
    for document in 0..n_documents {
        writer.begin_document().unwrap();
        let n = 1 + document * 37 % 23;
        writer.write(&(next..next + n).collect::<Vec<_>>()).unwrap();
        starts.push(next);
        next += n;
    }
    let shards = writer.finish().unwrap();
    Manifest::new(70_000, "f".repeat(64), None, shards).write(folder.path()).unwrap();
    (folder, starts)
}

fn options() -> LoaderOptions {
    LoaderOptions { packing: Packing::BestFit, seed: 3, ..LoaderOptions::new(4, T) }
}

fn open(folder: &TempDir, options: LoaderOptions) -> Loader {
    Loader::open(&[folder.path()], options).unwrap()
}

#[test]
fn an_epoch_has_every_token_once_with_the_one_that_follows_it() {
    let (folder, starts) = numbered(3_000); // three windows, four shards
    let boundaries = Some(Boundaries::DocumentIds);
    let mut loader = open(&folder, LoaderOptions { boundaries, batch_size: 1, ..options() });
    let n = loader.n_samples()[0];
    assert!(n > 2_048, "{n}");
    let mut seen = Vec::new();
    let mut n_whole = 0;
    for _ in 0..n {
        let batch = loader.next_batch().unwrap();
        let inputs = batch.inputs();
        assert!(batch.targets().iter().zip(&inputs).all(|(target, input)| *target == input + 1));
        let mut column = 0;
        for (number, piece) in batch.documents.as_ref().unwrap().chunk_by(|a, b| a == b).enumerate() {
            assert_eq!(piece[0] as usize, number);
            let tokens = &inputs[column..column + piece.len()];
            assert!(tokens.windows(2).all(|pair| pair[1] == pair[0] + 1), "a piece is of neighbours");
            let (first, end) = (tokens[0] as u32, tokens[0] as u32 + tokens.len() as u32);
            assert!(!starts.iter().any(|&start| first < start && start < end), "and of one document");
            n_whole += usize::from(starts.binary_search(&first).is_ok() && starts.binary_search(&end).is_ok());
            column += piece.len();
        }
        seen.extend(inputs);
    }
    let n_fitting = starts.windows(2).filter(|pair| (pair[1] - pair[0]) as usize <= T).count();
    assert!(n_whole * 100 > n_fitting * 98, "{n_whole} of {n_fitting} documents that fit are whole");
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..(n as usize * T) as i64));
}

#[test]
fn the_order_is_one_for_any_ranks_threads_and_cuts() {
    let (folder, _) = numbered(3_000);
    let mut alone = open(&folder, LoaderOptions { prefetch_batches: 0, ..options() });
    let n = alone.n_samples()[0] * 2 / 4; // two epochs
    let expected: Vec<_> =
        (0..n).map(|_| alone.next_batch().unwrap()).map(|batch| (batch.inputs(), batch.targets())).collect();
    let mut state = open(&folder, options()).state().clone();
    let mut at = 0;
    for (world_size, threads, mmap, id_type) in [
        (1, 2, false, IdType::Int32),
        (2, 1, true, IdType::Int64),
        (4, 3, false, IdType::Int64),
        (8, 0, true, IdType::Int32),
    ] {
        let with = |rank| LoaderOptions { rank, world_size, mmap, id_type, threads, ..options() };
        let mut ranks: Vec<_> = (0..world_size).map(|rank| open(&folder, with(rank))).collect();
        for rank in &mut ranks {
            rank.load_state(&state).unwrap();
        }
        for _ in 0..n as usize / 4 / world_size {
            for rank in &mut ranks {
                let batch = rank.next_batch().unwrap();
                assert!((batch.inputs(), batch.targets()) == expected[at], "batch {at}, world size {world_size}");
                at += 1;
            }
        }
        state = ranks[0].state().clone();
        assert_eq!(state.position, at as u64 * 4);
    }
    assert!(at as u64 > n - 32);
}

#[test]
fn bounds_have_one_length_and_the_ends_of_pieces() {
    let (folder, _) = numbered(600);
    let with = |boundaries| open(&folder, LoaderOptions { boundaries: Some(boundaries), ..options() });
    let (mut as_ids, mut as_bounds) = (with(Boundaries::DocumentIds), with(Boundaries::CuSeqlens));
    let mut lengths = Vec::new();
    for _ in 0..as_ids.n_samples()[0] / 4 {
        let ids = as_ids.next_batch().unwrap().documents.clone().unwrap();
        let bounds = as_bounds.next_batch().unwrap().documents.clone().unwrap();
        let ends = ids.chunk_by(|a, b| a == b).scan(0, |end, piece| {
            *end += piece.len() as i32;
            Some(*end)
        });
        let expected: Vec<_> = [0].into_iter().chain(ends).collect();
        assert_eq!(bounds[..expected.len()], expected);
        assert!(bounds[expected.len()..].iter().all(|&bound| bound == 4 * T as i32));
        lengths.push(bounds.len());
    }
    assert!(lengths.iter().all(|&length| length == lengths[0]));
}

#[test]
fn what_packing_cannot_work_with_is_refused() {
    let (folder, _) = numbered(60);
    let saved = open(&folder, LoaderOptions { packing: Packing::Chunk, ..options() }).state().clone();
    let message = open(&folder, options()).load_state(&saved).unwrap_err().to_string();
    assert!(message.contains("packing is chunk in the saved state, expected this loader's bestfit"), "{message}");
    let raw = folder.path().join("raw.bin");
    fs::write(&raw, [7; 200]).unwrap();
    let stored = Some(TokenWidth::Uint16);
    let message = Loader::open(&[raw], LoaderOptions { stored, ..options() }).unwrap_err().to_string();
    assert!(message.contains("without document boundaries; use shards written by bytemill"), "{message}");
}
