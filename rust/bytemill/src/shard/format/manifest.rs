//! `manifest.json`: the contents of a folder of shards, their sources, and a hash over everything.
//!
//! The manifest is written last, so a folder with a manifest is complete. Its last field is the SHA-256 of every byte
//! before that hash. The manifest contains the shards' checksums, so the root hash identifies the data.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checksum::sha256_of_bytes;
use super::entries::{InputEntry, Plan, ShardEntry};
use super::header::{HEADER_BYTES, MAX_SHARD_TOKENS, MAX_VOCAB, Split, TokenWidth};
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::regular_file;

/// The manifest's name in its folder.
pub const MANIFEST_NAME: &str = "manifest.json";
/// The file that lists the finished shards of an unfinished folder.
pub(crate) const JOURNAL_NAME: &str = "unfinished.json";
/// Maximum size of a manifest to read: enough for more than 100,000 shards.
pub const MAX_MANIFEST_BYTES: u64 = 64 << 20;

const FORMAT: &str = "bytemill-shards";
const VERSION: u32 = 1;
const ROOT_HEX: usize = 64;
const AFTER_ROOT: &[u8] = b"\"\n}\n";

/// The description of a folder of shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u32,
    /// Width of a token, derived from `n_vocab`.
    pub dtype: TokenWidth,
    /// Upper bound of all ids, exclusive.
    pub n_vocab: u32,
    /// Fingerprint of the tokenizer: SHA-256 of ranks, pattern and special tokens.
    pub tokenizer_sha256: String,
    /// The id at the start of each document; `None` if documents follow each other without a mark.
    pub end_of_text: Option<u32>,
    /// How documents were laid out; `None` for shards not made by `prepare`.
    pub plan: Option<Plan>,
    /// The source files, in order.
    pub inputs: Vec<InputEntry>,
    /// The shards of each split, in order of number.
    pub shards: Vec<ShardEntry>,
    root_sha256: String,
}

impl Manifest {
    /// Create a manifest for shards that are already on disk.
    pub fn new(n_vocab: u32, tokenizer_sha256: String, end_of_text: Option<u32>, shards: Vec<ShardEntry>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            dtype: TokenWidth::for_vocab(n_vocab),
            n_vocab,
            tokenizer_sha256,
            end_of_text,
            plan: None,
            inputs: Vec::new(),
            shards,
            root_sha256: String::new(),
        }
    }

    /// Compute the root hash and write the manifest to `folder`. This must be the last step of writing shards.
    pub fn write(&mut self, folder: &Path) -> Result<()> {
        self.write_as(folder, MANIFEST_NAME)
    }

    /// Write the manifest as [`Manifest::write`] does, with another name, for shards that are not complete yet.
    pub(crate) fn write_as(&mut self, folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(name);
        self.check().map_err(|reason| Error::format(&path, reason))?;
        self.root_sha256 = "0".repeat(ROOT_HEX);
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::format(&path, error.to_string()))?;
        bytes.push(b'\n');
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            let (n_inputs, n_shards) = (self.inputs.len(), self.shards.len());
            let reason = format!(
                "{n_inputs} inputs and {n_shards} shards need {} bytes, expected at most {MAX_MANIFEST_BYTES}: \
                 join inputs, or make larger shards",
                bytes.len()
            );
            return Err(Error::format(&path, reason));
        }
        let root_at = bytes.len() - AFTER_ROOT.len() - ROOT_HEX;
        self.root_sha256 = sha256_of_bytes(&bytes[..root_at]);
        bytes[root_at..root_at + ROOT_HEX].copy_from_slice(self.root_sha256.as_bytes());
        DurableFile::create_in(folder, name)?.with(&bytes)?.commit()
    }

    /// Read and check the manifest of `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        Self::read_as(folder, MANIFEST_NAME)
    }

    /// Read a manifest as [`Manifest::read`] does, with another name.
    pub(crate) fn read_as(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let file = regular_file::open_seekable(&path)?;
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(&path))?;
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(Error::format(&path, format!("has more than {MAX_MANIFEST_BYTES} bytes, the maximum size")));
        }
        Self::parse(&bytes).map_err(|reason| Error::format(&path, reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| format!("is not a manifest: {error}"))?;
        if manifest.format != FORMAT || manifest.version != VERSION {
            let (format, version) = (manifest.format, manifest.version);
            return Err(format!("format is {format:?} version {version}, expected {FORMAT:?} version {VERSION}"));
        }
        let before_root = bytes.strip_suffix(AFTER_ROOT).and_then(|b| b.strip_suffix(manifest.root_sha256.as_bytes()));
        let computed = before_root.map(sha256_of_bytes);
        if computed.as_ref() != Some(&manifest.root_sha256) {
            return Err(
                "the root hash at the end does not match the bytes before it: the file is damaged or was edited"
                    .to_owned(),
            );
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// Check that the fields agree with each other. The hash does not show this, because any program can compute it.
    fn check(&self) -> Result<(), String> {
        if !(1..=MAX_VOCAB).contains(&self.n_vocab) || self.dtype != TokenWidth::for_vocab(self.n_vocab) {
            return Err(format!("n_vocab {} does not match dtype {:?}", self.n_vocab, self.dtype));
        }
        if let Some(id) = self.end_of_text.filter(|&id| id >= self.n_vocab) {
            return Err(format!("end_of_text is {id}, expected an id below n_vocab {}", self.n_vocab));
        }
        let mut next_number = [0_u32; 2];
        let mut names = HashSet::new();
        for shard in &self.shards {
            self.check_shard(shard).map_err(|reason| format!("shard {:?}: {reason}", shard.name))?;
            let next = &mut next_number[usize::from(shard.split == Split::Val)];
            if shard.number != *next || !names.insert(&shard.name) {
                return Err(format!("shard {:?} has number {}, expected {next}", shard.name, shard.number));
            }
            *next += 1;
        }
        Ok(())
    }

    fn check_shard(&self, shard: &ShardEntry) -> Result<(), String> {
        let stem = shard.name.strip_suffix(".bin");
        if stem.is_none_or(|stem| stem.is_empty() || stem.contains(['/', '\\', '\0'])) {
            return Err("a name must end in .bin and stay in the folder".to_owned());
        }
        if !(1..=MAX_SHARD_TOKENS).contains(&shard.tokens) || shard.documents > shard.tokens {
            return Err(format!(
                "{} tokens, {} documents; expected 1 to {MAX_SHARD_TOKENS} tokens, each document at least one",
                shard.tokens, shard.documents
            ));
        }
        let bytes = HEADER_BYTES as u64 + shard.tokens * self.dtype.bytes() as u64;
        if shard.bytes != bytes {
            return Err(format!("{} bytes for {} tokens, expected {bytes}", shard.bytes, shard.tokens));
        }
        if shard.max_id >= self.n_vocab {
            return Err(format!("largest id {}, expected below n_vocab {}", shard.max_id, self.n_vocab));
        }
        Ok(())
    }

    /// Return the hash that identifies this data: 64 hexadecimal digits.
    pub fn root_sha256(&self) -> &str {
        &self.root_sha256
    }

    /// Return the shards of one split, in order.
    pub fn split(&self, split: Split) -> impl DoubleEndedIterator<Item = &ShardEntry> {
        self.shards.iter().filter(move |shard| shard.split == split)
    }

    /// Return the number of tokens in one split.
    pub fn n_tokens(&self, split: Split) -> u64 {
        self.split(split).map(|shard| shard.tokens).sum()
    }

    /// Return the number of documents that begin in one split.
    pub fn n_documents(&self, split: Split) -> u64 {
        self.split(split).map(|shard| shard.documents).sum()
    }

    /// Return the first setting that differs between these shards and `other`: name, own value, other value.
    pub fn first_difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let tokenizer = |m: &Self| {
            let end_of_text = m.end_of_text.map_or("none".to_owned(), |id| id.to_string());
            format!("{} with {} ids, end_of_text {end_of_text}", m.tokenizer_sha256, m.n_vocab)
        };
        let plan = |m: &Self, field: fn(&Plan) -> String| m.plan.as_ref().map_or("unknown".to_owned(), field);
        let (own_input, other_input) = first_different(&self.inputs, &other.inputs);
        [
            ("tokenizer", tokenizer(self), tokenizer(other)),
            ("shard_tokens", plan(self, |p| p.shard_tokens.to_string()), plan(other, |p| p.shard_tokens.to_string())),
            ("val", plan(self, |p| p.val.to_string()), plan(other, |p| p.val.to_string())),
            ("seed", plan(self, |p| p.seed.to_string()), plan(other, |p| p.seed.to_string())),
            ("text_field", plan(self, |p| p.text_field.clone()), plan(other, |p| p.text_field.clone())),
            ("sources", own_input, other_input),
        ]
        .into_iter()
        .find(|(_, own, other)| own != other)
    }

    /// Return how these shards were laid out, or why this is unknown: they were merged, or not made by `prepare`.
    pub(crate) fn own_plan(&self) -> Result<&Plan, &'static str> {
        let plan = self.plan.as_ref().filter(|plan| {
            // A merged folder has the last shards of each part between others.
            [Split::Train, Split::Val].iter().all(|&split| {
                let full = self.split(split).rev().skip(1).all(|shard| shard.tokens == plan.shard_tokens);
                full && self.split(split).all(|shard| shard.tokens <= plan.shard_tokens)
            })
        });
        plan.ok_or("was merged from several folders, or written by another program: compare the original folders")
    }

    /// Return an error if the inputs are not those of these shards; names may differ.
    pub(crate) fn check_inputs(&self, given: &[InputEntry]) -> Result<()> {
        let same = |own: &InputEntry, given: &InputEntry| (own.bytes, &own.sha256) == (given.bytes, &given.sha256);
        if self.inputs.len() == given.len() && self.inputs.iter().zip(given).all(|(own, given)| same(own, given)) {
            return Ok(());
        }
        let at = self.inputs.iter().zip(given).take_while(|(own, given)| same(own, given)).count();
        let describe = |inputs: &[InputEntry]| described(inputs, at);
        let expected = format!("{}, the input of these shards", describe(&self.inputs));
        Err(Error::Argument { name: "against", got: describe(given), expected })
    }

    /// Return an error if the tokenizer is not the one of these shards.
    pub fn check_tokenizer(&self, fingerprint: &str, n_vocab: u32) -> Result<()> {
        if fingerprint == self.tokenizer_sha256 && n_vocab == self.n_vocab {
            return Ok(());
        }
        Err(Error::Argument {
            name: "tokenizer",
            got: format!("{fingerprint} with {n_vocab} ids"),
            expected: format!("the one of the shards, {} with {} ids", self.tokenizer_sha256, self.n_vocab),
        })
    }
}

fn first_different(own: &[InputEntry], other: &[InputEntry]) -> (String, String) {
    let at = (0..own.len().max(other.len())).find(|&i| own.get(i) != other.get(i));
    let at = at.unwrap_or(usize::MAX);
    (described(own, at), described(other, at))
}

/// Describe the input at `at`, or give the number of inputs.
fn described(inputs: &[InputEntry], at: usize) -> String {
    match inputs.get(at) {
        Some(input) => format!("{} with {} bytes, SHA-256 {}", input.name, input.bytes, input.sha256),
        None => format!("{} files", inputs.len()),
    }
}
