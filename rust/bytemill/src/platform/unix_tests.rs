//! What the core does with files that only Unix has: pipes, sockets, devices, names of open files, modes.
#![allow(clippy::unwrap_used)]

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::Tokenizer;
use crate::corpus::{Reading, for_each_document};
use crate::durable::{DurableFile, write};
use crate::encode::Specials;
use crate::formats::{PatternChoice, load};
use crate::split::Splitter;
use crate::token_file::{TokenFileOptions, Width, encode_files};
use crate::train::{Counter, DocumentUnit, Provenance};

fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: `name` is a string that ends in NUL and lives until the call returns.
    #[allow(unsafe_code)]
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    assert_eq!(made, 0);
    path
}

/// Create a file without a mode of its own, and return its mode.
fn usual_mode(folder: &Path) -> u32 {
    File::create(folder.join("any")).unwrap().metadata().unwrap().permissions().mode()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode()
}

/// Write the ids of the text "ab" to `output`; return their number.
fn encode_to(output: &Path) -> crate::Result<u64> {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("a.txt");
    fs::write(&text, "ab").unwrap();
    let tokenizer = Tokenizer::from_merges(&[], Some("gpt2"), &[]).unwrap();
    let policy = tokenizer.special_policy(Specials::NONE, Specials::NONE).unwrap();
    let (width, reading) = (Width::Two, Reading::default());
    let options = TokenFileOptions { width, policy: &policy, end_id: None, reading, threads: 1 };
    encode_files(&tokenizer, &[text], output, &options, &mut |_| ControlFlow::Continue(()))
}

/// A pipe without a writer used to hang, and /dev/zero filled the memory.
#[test]
fn pipes_and_devices_are_refused_immediately() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    for (path, reason) in [(&*pipe, "is a pipe, expected"), (Path::new("/dev/zero"), "is a device, expected")] {
        let documents = for_each_document(path, Reading::default(), |_, _| Ok(())).unwrap_err();
        let vocabulary = load(path, PatternChoice::Auto, None).unwrap_err();
        for error in [documents, vocabulary] {
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}

/// When root saved to `/dev/stdout` or `/dev/null`, a file used to replace the device.
#[test]
fn what_is_not_a_file_is_written_to_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut counter = Counter::new(Splitter::new(None).unwrap());
    counter.add(b"ab").unwrap();
    let (counts, provenance) = (counter.into_counts().unwrap(), Provenance::new(None, DocumentUnit::Lines));
    for path in [&socket, folder.path()] {
        for written in [write(path, b"x"), encode_to(path).map(drop), counts.save(path, &provenance)] {
            let message = written.unwrap_err().to_string();
            assert!(message.ends_with("expected a file or nothing"), "{message}");
        }
        assert!(!path.metadata().unwrap().is_file());
    }
    write(Path::new("/dev/null"), b"x").unwrap();
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A process continues to write to a file that it has open; if the file were replaced, the lines would be lost.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "other systems do not name open files as links")]
fn an_open_file_is_appended_to() {
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

/// The number of ids is at the start of an .npy file, but it is known only at the end.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "other systems do not name open files as links")]
fn a_pipe_takes_ids_but_no_npy_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reader, pipe) = io::pipe().unwrap();
    for (name, expected) in [("out.bin", Some(2)), ("out.npy", None)] {
        let output = folder.path().join(name);
        symlink(format!("/proc/self/fd/{}", pipe.as_raw_fd()), &output).unwrap();
        assert_eq!(encode_to(&output).ok(), expected);
        assert!(output.is_symlink());
    }
    drop(pipe);
    let mut piped = Vec::new();
    reader.read_to_end(&mut piped).unwrap();
    assert_eq!(piped, [97, 0, 98, 0]);
}

#[test]
fn others_may_read_what_is_written_as_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for _ in ["new", "replaced"] {
        write(&path, b"x").unwrap();
        assert_eq!(mode(&path), usual_mode(folder.path()));
    }
}

/// safetensors replaces the file by one with mode 0600.
#[test]
fn a_file_replaced_by_a_library_gets_the_usual_mode() {
    let folder = tempfile::tempdir().unwrap();
    let [path, own] = ["out", "own"].map(|name| folder.path().join(name));
    let mut file = DurableFile::create(&path).unwrap();
    fs::write(&own, "by the library").unwrap();
    fs::set_permissions(&own, Permissions::from_mode(0o600)).unwrap();
    fs::rename(&own, file.hand_over().unwrap().unwrap()).unwrap();
    file.reopen().unwrap();
    file.commit().unwrap();
    assert_eq!(mode(&path), usual_mode(folder.path()));
}
