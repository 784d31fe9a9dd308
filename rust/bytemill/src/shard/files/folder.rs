//! Files in a folder of shards: found without leaving it, and not read where their size is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Path and bytes of the side file `name`, which is not read unless its size is one of `sizes`.
pub(in crate::shard) fn side_file(folder: &Path, name: &str, sizes: &[u64]) -> Result<(PathBuf, Vec<u8>)> {
    let path = file_in(folder, name)?;
    let size = path.metadata().map_err(Error::io(&path))?.len();
    if !sizes.contains(&size) {
        let sizes = sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" or ");
        return Err(Error::format(&path, format!("{size} bytes, expected {sizes}: cut, or of another shard")));
    }
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    Ok((path, bytes))
}

/// The path of the file `name` in `folder`, refused when a symbolic link leads out of the folder.
pub(in crate::shard) fn file_in(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let real_folder = folder.canonicalize().map_err(Error::io(folder))?;
    let real_path = path.canonicalize().map_err(Error::io(&path))?;
    if real_path.starts_with(&real_folder) {
        return Ok(path);
    }
    Err(Error::format(&path, format!("leads to {}, outside of its folder", real_path.display())))
}
