//! What every system must do in the same way.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fs::{self, File};
use std::io::{ErrorKind, Seek, Write};

#[test]
fn bytes_are_read_and_written_at_their_positions() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    write_all_at(&file, b"ab", 4).unwrap();
    write_all_at(&file, b"xyz", 10).unwrap();
    let mut read = [0; 5];
    read_exact_at(&file, &mut read, 2).unwrap();
    assert_eq!(&read, b"23ab6");
    assert_eq!((read_at(&file, &mut read, 9).unwrap(), &read[..4]), (4, &b"9xyz"[..]));
    assert_eq!(read_at(&file, &mut read, 13).unwrap(), 0);
    assert_eq!(read_exact_at(&file, &mut read, 9).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(file.seek(std::io::SeekFrom::End(0)).unwrap(), 13);
}

/// On some systems, these reads move the cursor of the file; each still gets its own bytes.
#[test]
fn threads_read_one_file_at_many_positions() {
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    file.write_all(&content).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (file, content) = (&file, &content);
            scope.spawn(move || {
                for at in (thread..content.len() - 64).step_by(997) {
                    let mut read = [0; 64];
                    read_exact_at(file, &mut read, at as u64).unwrap();
                    assert_eq!(read, content[at..at + 64]);
                }
            });
        }
    });
}

#[test]
fn files_and_folders_have_their_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    assert_eq!(kind(&path).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(&path, "x").unwrap();
    assert_eq!((kind(&path).unwrap(), kind(folder.path()).unwrap()), (FileKind::File, FileKind::Folder));
    assert_eq!(kind_of_open(&open_without_waiting(&path).unwrap()).unwrap(), FileKind::File);
    sync_folder(folder.path()).unwrap();
}

#[test]
fn a_file_that_others_read_is_replaced_and_they_keep_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    fs::write(&old, "old").unwrap();
    fs::write(&new, "new").unwrap();
    let reader = File::open(&old).unwrap();
    match replace(&new, &old) {
        Ok(()) => assert!(fs::read(&old).unwrap() == b"new" && !new.exists()),
        // Windows on file systems without POSIX renames, and wine.
        Err(error) => {
            assert!(cfg!(windows) && error.kind() == ErrorKind::ResourceBusy, "{error}");
            assert_eq!([fs::read(&old).unwrap(), fs::read(&new).unwrap()], [b"old", b"new"]);
        }
    }
    let mut read = [0; 3];
    read_exact_at(&reader, &mut read, 0).unwrap();
    assert_eq!(&read, b"old");
}
