//! Reads a folder's tokens from front to back, validation first, as `prepare` wrote them.

use std::path::Path;

use super::entries::ShardEntry;
use super::header::Split;
use super::index::Index;
use super::manifest::Manifest;
use super::reader::{ShardReader, Verify};
use super::verify::to_ids;
use crate::error::Result;

/// Tokens that are read at a time.
const TOKENS_AT_ONCE: u64 = 1 << 18;

/// Neighbouring ids of one document in one shard.
pub(crate) struct Run<'a> {
    pub(crate) entry: &'a ShardEntry,
    /// The place of the first id in the shard.
    pub(crate) first: u64,
    /// Whether a document begins with the first id.
    pub(crate) begins: bool,
    pub(crate) ids: &'a [u32],
}

/// Calls `each` with all tokens of `manifest`'s shards in `folder`, cut where documents begin; checksums are compared.
///
/// Memory follows the documents of one shard and a mebibyte of tokens.
pub(crate) fn for_each_run(folder: &Path, manifest: &Manifest, mut each: impl FnMut(Run) -> Result<()>) -> Result<()> {
    for entry in manifest.split(Split::Val).chain(manifest.split(Split::Train)) {
        let reader = ShardReader::new(folder, manifest, entry)?;
        let index = Index::read(folder, entry, manifest.dtype)?;
        let mut starts = index.document_starts(entry.documents).peekable();
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        for at in (0..entry.tokens).step_by(TOKENS_AT_ONCE as usize) {
            let end = (at + TOKENS_AT_ONCE).min(entry.tokens);
            bytes.resize((end - at) as usize * manifest.dtype.bytes(), 0);
            reader.read(at, &mut bytes, Verify::FirstTouch, &mut scratch)?;
            let ids = to_ids(&bytes, manifest.dtype);
            let mut first = at;
            while first < end {
                let begins = starts.next_if_eq(&first).is_some();
                let next = starts.peek().map_or(end, |&start| start.min(end));
                each(Run { entry, first, begins, ids: &ids[(first - at) as usize..(next - at) as usize] })?;
                first = next;
            }
        }
    }
    Ok(())
}
