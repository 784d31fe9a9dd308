//! A loader's input: a folder of shards, or a token file of another program.

use std::path::{Path, PathBuf};

use super::options::LoaderOptions;
use crate::error::{Error, Result};
use crate::shard::foreign::ForeignFile;
use crate::shard::format::checksum::sha256_of_bytes;
use crate::shard::format::header::{Split, TokenWidth};
use crate::shard::format::manifest::Manifest;
use crate::shard::read::tokens::Tokens;

/// A folder or a file; its tokens are not read yet.
#[derive(Clone, Debug)]
pub(super) enum DataSource {
    Shards(PathBuf, Manifest),
    /// With the hash that identifies it.
    File(PathBuf, ForeignFile, String),
}

impl DataSource {
    pub(in crate::shard) fn open(path: &Path, options: &LoaderOptions) -> Result<Self> {
        if path.metadata().map_err(Error::io(path))?.is_dir() {
            return Ok(Self::Shards(path.to_owned(), Manifest::read(path)?));
        }
        if options.split != Split::Train {
            let (got, expected) = (options.split.name().to_owned(), "train: a file has no splits".to_owned());
            return Err(Error::Argument { name: "split", got, expected });
        }
        let file = ForeignFile::new(path, options.stored)?;
        let fingerprint = file.clone().fingerprint()?; // the clone closes its file again
        Ok(Self::File(path.to_owned(), file, fingerprint))
    }

    pub(in crate::shard) fn path(&self) -> &Path {
        match self {
            Self::Shards(path, _) | Self::File(path, ..) => path,
        }
    }

    fn root(&self) -> &str {
        match self {
            Self::Shards(_, manifest) => manifest.root_sha256(),
            Self::File(_, _, fingerprint) => fingerprint,
        }
    }

    fn width(&self) -> TokenWidth {
        match self {
            Self::Shards(_, manifest) => manifest.dtype,
            Self::File(_, file, _) => file.width(),
        }
    }

    pub(in crate::shard) fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Shards(_, manifest) => Some(manifest),
            Self::File(..) => None,
        }
    }
}

/// Return the concatenated tokens of `sources`, with at most `most_open` files kept open.
pub(super) fn tokens_of(sources: &[DataSource], options: &LoaderOptions, most_open: usize) -> Result<Tokens> {
    let width = sources.first().map_or(TokenWidth::Uint16, DataSource::width);
    let mut tokens = Tokens::empty(width, options.verify, most_open);
    for source in sources {
        match source {
            DataSource::Shards(folder, manifest) => tokens.add_shards(folder, manifest, options.split)?,
            DataSource::File(_, file, _) => tokens.add_file(file.clone()),
        }
    }
    Ok(if options.mmap { tokens.mapped() } else { tokens })
}

/// Return an error if the sources, which are read as one stream, have different tokenizers or token types.
pub(super) fn check_alike(sources: &[DataSource]) -> Result<()> {
    let mut manifests = sources.iter().filter_map(DataSource::manifest);
    if let Some(first) = manifests.next() {
        manifests.try_for_each(|other| other.check_tokenizer(&first.tokenizer_sha256, first.n_vocab))?;
    }
    let other = sources.iter().find(|source| source.width() != sources[0].width());
    other.map_or(Ok(()), |other| {
        let (got, expected) = (other.width(), sources[0].width());
        Err(Error::format(other.path(), format!("has tokens of {got:?}, but the source before it has {expected:?}")))
    })
}

/// Return the hash that identifies one source, or a hash over those of several.
pub(super) fn common_root(sources: &[DataSource]) -> String {
    match sources {
        [only] => only.root().to_owned(),
        several => sha256_of_bytes(several.iter().map(DataSource::root).collect::<String>().as_bytes()),
    }
}
