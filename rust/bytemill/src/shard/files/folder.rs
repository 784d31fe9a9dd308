//! Files in a folder of shards: paths that stay inside it, and reads only of files with the right size.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Read the side file `name`, if its size is one of `sizes`; return its path and bytes.
pub(in crate::shard) fn side_file(folder: &Path, name: &str, sizes: &[u64]) -> Result<(PathBuf, Vec<u8>)> {
    let path = file_in(folder, name)?;
    let size = path.metadata().map_err(Error::io(&path))?.len();
    if !sizes.contains(&size) {
        let sizes = sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" or ");
        return Err(Error::format(
            &path,
            format!("has {size} bytes, expected {sizes}: it is truncated, or belongs to another shard"),
        ));
    }
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    Ok((path, bytes))
}

/// Return the path of the file `name` in `folder`, or an error if a symbolic link leads out of the folder.
pub(in crate::shard) fn file_in(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let real_folder = folder.canonicalize().map_err(Error::io(folder))?;
    let real_path = path.canonicalize().map_err(Error::io(&path))?;
    if real_path.starts_with(&real_folder) {
        return Ok(path);
    }
    Err(Error::format(&path, format!("is a link to {}, outside its folder", real_path.display())))
}
