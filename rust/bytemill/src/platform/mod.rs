//! What the core asks an operating system for, beyond what Rust's standard library gives on every system.
//!
//! No other file of the core names a system. `unix` and `windows` have the same functions. If a system lacks something,
//! its function says what happens there.

mod file_kind;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(all(test, unix))]
mod unix_tests;
#[cfg(windows)]
mod windows;
#[cfg(all(test, windows))]
mod windows_tests;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub(crate) use file_kind::FileKind;
pub(crate) use system::{
    FolderLock, advise_random, give_back_memory, is_inherited, is_link_to_open_file, kind, kind_of_open,
    open_without_links, open_without_waiting, read_at, read_exact_at, replace, sync_folder, want_huge_pages,
    write_all_at,
};
#[cfg(test)]
pub(crate) use system::{open_files, symlink};
