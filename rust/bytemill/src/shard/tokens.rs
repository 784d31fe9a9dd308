//! All tokens of a split as one long row, whatever files they lie in.

use std::path::Path;

use super::header::{Split, TokenWidth};
use super::manifest::Manifest;
use super::reader::{ShardReader, Verify};
use crate::error::{Error, Result};

/// The shards of one split, of one folder or several, end to end.
#[derive(Clone, Debug)]
pub struct Tokens {
    shards: Vec<ShardReader>,
    /// Position of each shard's first token, and the number of all tokens.
    starts: Vec<u64>,
    width: TokenWidth,
    verify: Verify,
}

impl Tokens {
    /// The `split` of each folder, in the order given. All folders must have the first one's dtype.
    pub fn open<'a>(
        folders: impl IntoIterator<Item = (&'a Path, &'a Manifest)>,
        split: Split,
        verify: Verify,
    ) -> Result<Self> {
        let mut tokens = Self { shards: Vec::new(), starts: vec![0], width: TokenWidth::Uint16, verify };
        let mut n_tokens = 0;
        for (folder, manifest) in folders {
            tokens.width = manifest.dtype;
            for entry in manifest.split(split) {
                n_tokens += entry.tokens;
                tokens.starts.push(n_tokens);
                tokens.shards.push(ShardReader::new(folder, manifest, entry)?);
            }
        }
        Ok(tokens)
    }

    /// How many tokens there are.
    pub fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes a token in what [`Tokens::read`] gives.
    pub fn width(&self) -> TokenWidth {
        self.width
    }

    /// Reads the `n` tokens from `first` on, all below [`Tokens::len`], into `buffers.tokens`.
    pub fn read(&self, first: u64, n: usize, buffers: &mut Buffers) -> Result<()> {
        if first.checked_add(n as u64).is_none_or(|end| end > self.len()) {
            let got = format!("{n} from {first} on");
            return Err(Error::Argument { name: "tokens", got, expected: format!("a range below {}", self.len()) });
        }
        let width = self.width.bytes();
        buffers.tokens.resize(n * width, 0);
        let mut shard = self.starts.partition_point(|&start| start <= first) - 1;
        let (mut first, mut out) = (first, buffers.tokens.as_mut_slice());
        while !out.is_empty() {
            let in_shard = (self.starts[shard + 1] - first).min((out.len() / width) as u64);
            let (now, later) = out.split_at_mut(in_shard as usize * width);
            self.shards[shard].read(first - self.starts[shard], now, self.verify, &mut buffers.block)?;
            (first, out, shard) = (first + in_shard, later, shard + 1);
        }
        Ok(())
    }
}

/// Space that reading uses again and again.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The tokens last read, little-endian.
    pub tokens: Vec<u8>,
    block: Vec<u8>,
}
