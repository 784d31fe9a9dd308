//! A file is old or new and never partial, for any kind of existing target: a file, a link, a pipe, a device.
#![allow(clippy::unwrap_used)]

use super::*;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_has_its_name_when_it_is_whole_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(&path, "old").unwrap();
    let given_up = DurableFile::create(&path).unwrap().with(b"half").unwrap();
    assert_eq!((names(&folder).len(), fs::read(&path).unwrap()), (2, b"old".to_vec()));
    drop(given_up);
    assert_eq!((names(&folder), fs::read(&path).unwrap()), (vec!["out".to_owned()], b"old".to_vec()));
    write(&path, b"new").unwrap();
    assert_eq!((names(&folder), fs::read(&path).unwrap()), (vec!["out".to_owned()], b"new".to_vec()));
    fs::write(folder.path().join("any"), "").unwrap();
    let [mode, of_any] = ["out", "any"].map(|name| folder.path().join(name).metadata().unwrap().permissions().mode());
    assert_eq!(mode, of_any, "others may read it as any file");
}

/// A rename that the system refuses must leave the old file and nothing else.
#[test]
fn a_failure_at_the_last_moment_leaves_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let file = DurableFile::create(&path).unwrap().with(b"new").unwrap();
    fs::create_dir(&path).unwrap();
    let message = file.commit().unwrap_err().to_string();
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    assert!(names(&folder) == ["out"] && path.is_dir());
}

/// Two writers of one name used the same temporary file; a user's file with that name was lost.
#[test]
fn temporary_files_are_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fs::write(folder.path().join("out.tmp"), "the user's").unwrap();
    let (first, second) = (DurableFile::create(&path).unwrap(), DurableFile::create(&path).unwrap());
    let (first, second) = (first.with(b"first").unwrap(), second.with(b"second").unwrap());
    write(&path, b"third").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"third");
    first.commit().unwrap();
    second.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::read(folder.path().join("out.tmp")).unwrap(), b"the user's");
}

/// If a temporary name is predictable, a link to another file can be placed there before the program creates it.
#[test]
fn temporary_names_cannot_be_foreseen() {
    let names: std::collections::HashSet<_> = (0..1000).map(|_| temporary_name(Path::new("out"))).collect();
    assert_eq!(names.len(), 1000);
}

/// A library that writes by name may replace the file by its own, as safetensors does with mode 0600.
#[test]
fn a_file_replaced_by_a_library_is_flushed_and_gets_the_usual_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut file = DurableFile::create(&path("out")).unwrap();
    fs::write(path("own"), "by the library").unwrap();
    fs::set_permissions(path("own"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(path("own"), file.temporary().unwrap()).unwrap();
    file.reopen().unwrap();
    file.commit().unwrap();
    fs::write(path("any"), "").unwrap();
    let [mode, of_any] = ["out", "any"].map(|name| path(name).metadata().unwrap().permissions().mode());
    assert_eq!((fs::read(path("out")).unwrap(), mode), (b"by the library".to_vec(), of_any));
    let mut file = DurableFile::create(&path("out")).unwrap();
    fs::remove_file(file.temporary().unwrap()).unwrap();
    symlink("any", file.temporary().unwrap()).unwrap();
    file.reopen().unwrap_err();
}

#[test]
fn a_name_as_long_as_may_be_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let name = "語".repeat(85); // 255 bytes
    write(&folder.path().join(&name), b"x").unwrap();
    assert_eq!(names(&folder), [name]);
}

#[test]
fn the_final_name_follows_from_a_temporary_name() {
    let temporary = temporary_name(Path::new("a/train_000001.bin"));
    assert_eq!(name_of_temporary(temporary.file_name().unwrap().to_str().unwrap()), Some("train_000001.bin"));
    assert_eq!(name_of_temporary("train_000001.bin.tmp"), Some("train_000001.bin"));
    assert_eq!(name_of_temporary(".train_000001.bin.71-2.tmp"), Some("train_000001.bin"));
    for name in ["train_000001.bin", ".train_000001.bin.1-2", ".train_000001.bin.mine.tmp"] {
        assert_eq!(name_of_temporary(name), None);
    }
}

/// `/dev/stdout` is a link, and was replaced if it pointed to a file; a link to nothing became a file.
#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("there")).unwrap();
    symlink("there/second", path("first")).unwrap();
    symlink("../target", path("there/second")).unwrap();
    for content in [b"old", b"new"] {
        write(&path("first"), content).unwrap();
        assert!(path("first").is_symlink() && path("there/second").is_symlink());
        assert_eq!(fs::read(path("target")).unwrap(), content);
    }
    symlink("circle", path("circle")).unwrap();
    write(&path("circle"), b"x").unwrap_err();
    assert_eq!(names(&folder), ["circle", "first", "target", "there"]);
}

#[test]
fn a_link_in_a_folder_of_ours_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("elsewhere"), "somebody's").unwrap();
    symlink("elsewhere", path("train_000000.bin")).unwrap();
    DurableFile::create_in(folder.path(), "train_000000.bin").unwrap().with(b"ours").unwrap().commit().unwrap();
    assert!(!path("train_000000.bin").is_symlink());
    assert_eq!(fs::read(path("elsewhere")).unwrap(), b"somebody's");
    fs::create_dir(path("train_000001.bin")).unwrap();
    DurableFile::create_in(folder.path(), "train_000001.bin").unwrap_err();
}

/// When root saved to `/dev/stdout`, a file used to replace the device.
#[test]
fn what_is_not_a_file_is_written_to_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [&socket, folder.path()] {
        let message = write(path, b"x").unwrap_err().to_string();
        assert!(message.ends_with("expected a file or nothing"), "{message}");
    }
    write(Path::new("/dev/null"), b"x").unwrap();
    assert!(!socket.metadata().unwrap().is_file() && !Path::new("/dev/null").metadata().unwrap().is_file());
    assert_eq!(names(&folder), ["socket"]);
}

/// A process continues to write to a file that it has open; if the file were replaced, the lines would be lost.
#[cfg(target_os = "linux")]
#[test]
fn an_open_file_is_appended_to() {
    use std::os::fd::AsRawFd;
    let mut open = tempfile::tempfile().unwrap();
    open.write_all(b"there, ").unwrap();
    let (mut reader, pipe) = io::pipe().unwrap();
    for number in [open.as_raw_fd(), pipe.as_raw_fd()] {
        for folder in ["/proc/self/fd", "/dev/fd"] {
            write(&Path::new(folder).join(number.to_string()), b"new ").unwrap();
        }
    }
    drop(pipe);
    let (mut text, mut piped) = (String::new(), String::new());
    open.rewind().unwrap();
    open.read_to_string(&mut text).unwrap();
    reader.read_to_string(&mut piped).unwrap();
    assert_eq!((&*text, &*piped), ("there, new new ", "new new "));
}

#[test]
fn several_files_are_all_on_the_disk_before_the_first_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let both =
        |content: &[u8]| ["a", "b"].map(|name| DurableFile::create(&path(name)).unwrap().with(content).unwrap()).into();
    commit_all(both(b"old")).unwrap();
    let files: Vec<_> = both(b"new");
    assert_eq!([fs::read(path("a")).unwrap(), fs::read(path("b")).unwrap()], [b"old", b"old"]);
    drop(files);
    commit_all(both(b"new")).unwrap();
    assert_eq!([fs::read(path("a")).unwrap(), fs::read(path("b")).unwrap()], [b"new", b"new"]);
    assert_eq!(names(&folder), ["a", "b"]);
}
