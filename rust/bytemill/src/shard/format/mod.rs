//! The file formats, as specified in docs/formats.md: header, index, checksums, manifest.

pub mod checksum;
pub(super) mod entries;
pub mod header;
pub mod index;
pub mod manifest;
