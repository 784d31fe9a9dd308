//! Read a folder's tokens from start to end, validation first, in the order in which `prepare` wrote them.

use std::path::Path;

use super::shard_reader::{ShardReader, Verify};
use super::verify::to_ids;
use crate::error::Result;
use crate::shard::format::entries::ShardEntry;
use crate::shard::format::header::Split;
use crate::shard::format::index::Index;
use crate::shard::format::manifest::Manifest;

/// Tokens per read.
const TOKENS_AT_ONCE: u64 = 1 << 18;

/// Contiguous ids of one document in one shard.
pub(crate) struct Run<'a> {
    pub(crate) entry: &'a ShardEntry,
    /// The position of the first id in the shard.
    pub(crate) first: u64,
    /// Whether a document begins at the first id.
    pub(crate) begins: bool,
    pub(crate) ids: &'a [u32],
}

/// All tokens of a folder in runs, split where documents begin; checksums are checked.
///
/// Memory grows with the number of documents in one shard, plus 1 MiB of tokens.
pub(crate) struct Runs<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    /// The shards that are not read yet; the next one is last.
    left: Vec<&'a ShardEntry>,
    shard: Option<OpenShard<'a>>,
}

struct OpenShard<'a> {
    entry: &'a ShardEntry,
    reader: ShardReader,
    /// The starts of documents, and the number of starts already passed.
    starts: Vec<u64>,
    n_passed: usize,
    /// The next token.
    at: u64,
    window: Vec<u32>,
    window_at: u64,
}

impl<'a> Runs<'a> {
    /// Read the tokens of `manifest`'s shards in `folder`.
    pub(crate) fn new(folder: &'a Path, manifest: &'a Manifest) -> Self {
        let mut left: Vec<_> = manifest.split(Split::Val).chain(manifest.split(Split::Train)).collect();
        left.reverse();
        Self { folder, manifest, left, shard: None }
    }

    /// Return the next ids, at most up to the start of the next document; `None` at the end.
    pub(crate) fn peek(&mut self) -> Result<Option<Run<'_>>> {
        while self.shard.as_ref().is_none_or(OpenShard::is_at_end) {
            let Some(entry) = self.left.pop() else { return Ok(None) };
            self.shard = Some(OpenShard::new(self.folder, self.manifest, entry)?);
        }
        let width = self.manifest.dtype;
        let Some(shard) = &mut self.shard else { return Ok(None) };
        let window_end = shard.window_at + shard.window.len() as u64;
        if shard.at == window_end {
            let end = (shard.at + TOKENS_AT_ONCE).min(shard.entry.tokens);
            let mut bytes = vec![0; (end - shard.at) as usize * width.bytes()];
            shard.reader.read(shard.at, &mut bytes, Verify::FirstTouch, &mut Vec::new())?;
            (shard.window, shard.window_at) = (to_ids(&bytes, width), shard.at);
        }
        Ok(Some(shard.run()))
    }

    /// Skip `n` ids of the run that [`Runs::peek`] returned.
    pub(crate) fn advance(&mut self, n: usize) {
        let Some(shard) = &mut self.shard else { return };
        shard.at += n as u64;
        shard.n_passed += shard.starts[shard.n_passed..].iter().take_while(|&&start| start < shard.at).count();
    }
}

impl<'a> OpenShard<'a> {
    fn new(folder: &Path, manifest: &Manifest, entry: &'a ShardEntry) -> Result<Self> {
        let reader = ShardReader::new(folder, manifest, entry)?;
        let starts = Index::read(folder, entry, manifest.dtype)?.document_starts(entry.documents).collect();
        Ok(Self { entry, reader, starts, n_passed: 0, at: 0, window: Vec::new(), window_at: 0 })
    }

    fn is_at_end(&self) -> bool {
        self.at == self.entry.tokens
    }

    /// Return the ids of one document from `at` in the window.
    fn run(&self) -> Run<'_> {
        let starts = &self.starts[self.n_passed..];
        let begins = starts.first() == Some(&self.at);
        let ids = &self.window[(self.at - self.window_at) as usize..];
        let next = starts.get(usize::from(begins)).map_or(ids.len() as u64, |start| start - self.at);
        Run { entry: self.entry, first: self.at, begins, ids: &ids[..ids.len().min(next as usize)] }
    }
}
