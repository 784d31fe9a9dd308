//! A file is old or new and never partial, for any kind of existing target: a file, a link, a pipe, a device.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::platform::symlink;
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

/// A library that writes by name may replace the file by its own, as safetensors does.
#[test]
fn a_file_replaced_by_a_library_is_continued_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut file = DurableFile::create(&path("out")).unwrap().with(b"first").unwrap();
    let temporary = file.hand_over().unwrap().unwrap().to_owned();
    assert_eq!(file.hand_over().unwrap(), Some(&*temporary), "asked twice, the same name");
    fs::write(path("own"), "by the library").unwrap();
    fs::rename(path("own"), &temporary).unwrap();
    file.write_all(b"!").unwrap_err();
    file.reopen().unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b"!").unwrap();
    file.commit().unwrap();
    assert_eq!((names(&folder), fs::read(path("out")).unwrap()), (vec!["out".to_owned()], b"by the library!".to_vec()));
}

#[test]
#[cfg_attr(windows, ignore = "Windows lets only administrators and developers make links")]
fn a_link_in_the_place_of_a_file_handed_over_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("any"), "somebody's").unwrap();
    let mut file = DurableFile::create(&path("out")).unwrap();
    let temporary = file.hand_over().unwrap().unwrap().to_owned();
    fs::remove_file(&temporary).unwrap();
    symlink("any", &temporary).unwrap();
    file.reopen().unwrap_err();
    file.commit().unwrap_err();
    assert_eq!((names(&folder), fs::read(path("any")).unwrap()), (vec!["any".to_owned()], b"somebody's".to_vec()));
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
#[cfg_attr(windows, ignore = "Windows lets only administrators and developers make links")]
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
#[cfg_attr(windows, ignore = "Windows lets only administrators and developers make links")]
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
