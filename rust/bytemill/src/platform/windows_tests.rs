//! What the core does with files that only Windows has: devices by name, and files that may not be replaced.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::durable::write;
use crate::regular_file;

/// The files of `folder` whose content is "new".
fn with_new_content(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| fs::read(file).unwrap() == b"new").collect()
}

#[test]
fn if_a_file_cannot_be_replaced_nothing_is_lost_and_the_error_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "old").unwrap();
    let open = OpenOptions::new().read(true).share_mode(0).open(&path).unwrap();
    let message = write(&path, b"new").unwrap_err().to_string();
    drop(open);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let [kept] = &with_new_content(folder.path())[..] else { panic!("the new content is lost") };
    assert!(message.contains("open or mapped") && message.contains(kept.to_str().unwrap()), "{message}");
    write(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

/// Newer versions of Windows replace a mapped file, older ones and wine do not.
#[test]
#[allow(unsafe_code, reason = "mapping a file is unsafe because others may change it; here nobody else knows it")]
fn nothing_is_lost_of_a_mapped_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "old").unwrap();
    // SAFETY: nobody writes to this file.
    let map = unsafe { Mmap::map(&File::open(&path).unwrap()) }.unwrap();
    let written = write(&path, b"new");
    assert_eq!(&map[..], b"old");
    drop(map);
    let kept = with_new_content(folder.path());
    match written {
        Ok(()) => assert_eq!(kept, [path]),
        Err(error) => assert!(error.to_string().contains(kept[0].to_str().unwrap()), "{error}"),
    }
}

#[test]
fn the_null_device_is_written_to_and_never_read() {
    write(Path::new("NUL"), b"x").unwrap();
    let message = regular_file::open(Path::new("NUL")).unwrap_err().to_string();
    assert!(message.contains("is a device, expected a regular file"), "{message}");
}

#[test]
fn a_folder_is_not_a_file_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let message = regular_file::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("directory"), "{message}");
}
