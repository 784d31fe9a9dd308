//! The formats, as docs/formats.md specifies them: header, index, checksums, manifest.

pub mod checksum;
pub(super) mod entries;
pub mod header;
pub mod index;
pub mod manifest;
