//! Positions to batches: find the samples and copy their tokens together.

use super::batch::{Batch, BatchPool};
use super::best_fit::{BestFit, Piece};
use super::boundaries::{Boundaries, Pieces, most_pieces};
use super::mixture::Mixture;
use super::options::{LoaderOptions, Packing};
use super::order::{Permutation, Stream};
use super::source::{DataSource, tokens_of};
use crate::error::{Error, Result};
use crate::shard::files::positional_file::MAX_OPEN_FILES;
use crate::shard::read::tokens::{Buffers, Tokens};

/// Number of samples to prefetch into the processor's caches ahead of the one that is copied; they are at random places.
const PREFETCHED_SAMPLES: usize = 2;
/// Maximum tokens per read of contiguous samples.
const MAX_READ_TOKENS: usize = 1 << 19;

/// Maps positions to tokens; plain data and files, shared by the threads.
#[derive(Clone, Debug)]
pub(in crate::shard) struct Samples {
    pub(super) sources: Vec<Source>,
    pub(super) mixture: Mixture,
    pub(super) options: LoaderOptions,
    pool: BatchPool,
    /// Length of each batch's `cu_seqlens`.
    padded_length: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) tokens: Tokens,
    pub(super) n_samples: u64,
    /// The plans of "bestfit"; `None` if samples are contiguous parts of the data.
    best_fit: Option<BestFit>,
}

/// Memory that one thread reuses for every batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    buffers: Buffers,
    /// Each source's order in the current epoch.
    orders: Vec<Option<(u64, Permutation)>>,
    places: Vec<Place>,
    pieces: Vec<Piece>,
}

/// What is at a position: the number of a source, and of a sample in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    source: usize,
    sample: u64,
}

impl Samples {
    pub(in crate::shard) fn open(all: &[DataSource], options: LoaderOptions) -> Result<Self> {
        let (groups, mixture) = match &options.weights {
            None => (vec![all], Mixture::single()),
            Some(weights) if weights.len() == all.len() => {
                (all.chunks(1).collect(), Mixture::weighted(weights, options.seed)?)
            }
            Some(weights) => {
                let (got, expected) = (format!("{weights:?}"), format!("{}, one for each source", all.len()));
                return Err(Error::Argument { name: "weights", got, expected });
            }
        };
        let most_open = MAX_OPEN_FILES / groups.len().max(1);
        let open = |group| Source::open(group, &options, most_open);
        let sources = groups.into_iter().map(open).collect::<Result<Vec<_>>>()?;
        // The prefetched batches, one per thread, and two held by the caller: the last one and the next.
        let most_spare = options.prefetch_batches + options.threads + 2;
        let pool = BatchPool::new(options.batch_size, options.seq_len, options.id_type, options.packing, most_spare);
        let padded_length = padded_length(&sources, &options)?;
        Ok(Self { sources, mixture, options, pool, padded_length })
    }

    /// Return the distance in positions between two batches of a rank.
    pub(super) fn step(&self) -> u64 {
        self.options.batch_size as u64 * self.options.world_size as u64
    }

    /// Return the distance from the shared position to this rank's first sample.
    pub(in crate::shard) fn offset(&self) -> u64 {
        self.options.batch_size as u64 * self.options.rank as u64
    }

    /// Return the samples at `batch_size` positions from `first`.
    pub(in crate::shard) fn batch(&self, first: u64, scratch: &mut Scratch) -> Result<Batch> {
        let Scratch { buffers, orders, places, pieces } = scratch;
        orders.resize(self.sources.len(), None);
        places.clear();
        places.extend((first..first + self.options.batch_size as u64).map(|position| self.locate(position, orders)));
        let mut batch = self.pool.take(first);
        match self.options.packing {
            Packing::Chunk => self.fill_contiguous(&mut batch, places, buffers)?,
            Packing::BestFit => self.fill_pieces(&mut batch, places, buffers, pieces)?,
        }
        Ok(batch)
    }

    /// Fill each row with contiguous tokens of the data; a run of adjacent samples is read together.
    fn fill_contiguous(&self, batch: &mut Batch, places: &[Place], buffers: &mut Buffers) -> Result<()> {
        let (t, mut row) = (self.options.seq_len, 0);
        let runs = places.chunk_by(|a, b| a.source == b.source && a.sample + 1 == b.sample);
        let fetch = |place: &Place| self.sources[place.source].tokens.prefetch(place.sample * t as u64, t + 1);
        places.iter().take(PREFETCHED_SAMPLES).for_each(fetch);
        for run in runs.flat_map(|run| run.chunks((MAX_READ_TOKENS / t).max(1))) {
            if let Some(later) = places.get(row + PREFETCHED_SAMPLES) {
                fetch(later);
            }
            let Place { source, sample } = run[0];
            let tokens = &self.sources[source].tokens;
            let width = tokens.width();
            let bytes = tokens.read(sample * t as u64, run.len() * t + 1, buffers)?;
            for in_run in 0..run.len() {
                let from = in_run * t * width.bytes();
                batch.fill(row, 0, &bytes[from..from + (t + 1) * width.bytes()], width);
                row += 1;
            }
        }
        if let Some(how) = self.options.boundaries {
            let mut pieces = Pieces::new(t);
            for &Place { source, sample } in places {
                pieces.add_row(&self.sources[source].tokens, sample * t as u64)?;
            }
            batch.documents = Some(pieces.encoded_as(how, self.padded_length));
        }
        Ok(())
    }

    /// Fill each row with its planned pieces.
    fn fill_pieces(
        &self,
        batch: &mut Batch,
        places: &[Place],
        buffers: &mut Buffers,
        pieces: &mut Vec<Piece>,
    ) -> Result<()> {
        let mut bounds = Pieces::new(self.options.seq_len);
        for (row, &Place { source, sample }) in places.iter().enumerate() {
            let Source { tokens, best_fit, .. } = &self.sources[source];
            pieces.clear();
            if let Some(best_fit) = best_fit {
                best_fit.row(sample, tokens, pieces)?;
            }
            for piece in &*pieces {
                tokens.prefetch(piece.start, piece.n as usize + 1);
            }
            let mut column = 0;
            for piece in &*pieces {
                let bytes = tokens.read(piece.start, piece.n as usize + 1, buffers)?;
                batch.fill(row, column, bytes, tokens.width());
                column += piece.n as usize;
            }
            bounds.add_pieces(pieces.iter().map(|piece| piece.n));
        }
        batch.documents = self.options.boundaries.map(|how| bounds.encoded_as(how, self.padded_length));
        Ok(())
    }

    /// Return what is at `position`.
    fn locate(&self, position: u64, orders: &mut [Option<(u64, Permutation)>]) -> Place {
        let (source, position) = self.mixture.locate(position);
        let n = self.sources[source].n_samples;
        let (epoch, within) = (position / n, position % n);
        if !self.options.shuffle {
            return Place { source, sample: within };
        }
        let cached = &mut orders[source];
        if cached.as_ref().is_none_or(|(of_epoch, _)| *of_epoch != epoch) {
            *cached = Some((epoch, Permutation::new(n, self.options.seed, Stream::Samples(source as u32), epoch)));
        }
        Place { source, sample: cached.as_ref().map_or(within, |(_, order)| order.at(within)) }
    }
}

/// Return a length with room for the maximum number of pieces in a batch, plus the end; it is the same for every batch.
fn padded_length(sources: &[Source], options: &LoaderOptions) -> Result<usize> {
    if options.boundaries != Some(Boundaries::CuSeqlens) {
        return Ok(0);
    }
    let most = |source: &Source| match &source.best_fit {
        None => most_pieces(&source.tokens, source.n_samples, options.seq_len as u64),
        Some(best_fit) => best_fit.most_pieces(&source.tokens),
    };
    let most = sources.iter().map(most).collect::<Result<Vec<_>>>()?;
    Ok(options.batch_size * most.into_iter().max().unwrap_or(1) + 1)
}

impl Source {
    fn open(all: &[DataSource], options: &LoaderOptions, most_open: usize) -> Result<Self> {
        let tokens = tokens_of(all, options, most_open)?;
        let n_samples = tokens.len().saturating_sub(1) / options.seq_len as u64;
        if n_samples == 0 {
            let (split, at) = (options.split.name(), all[0].path());
            let (got, needed) = (tokens.len(), options.seq_len + 1);
            let reason =
                format!("split {split} has {got} tokens, but one sample of seq_len {} needs {needed}", options.seq_len);
            return Err(Error::format(at, reason));
        }
        let best_fit = match options.packing {
            Packing::Chunk => None,
            Packing::BestFit => {
                tokens.check_documents()?;
                Some(BestFit::new(n_samples, options.seq_len as u64))
            }
        };
        Ok(Self { tokens, n_samples, best_fit })
    }
}
