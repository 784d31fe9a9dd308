//! Flip bits and truncate at random places in every kind of file that can be damaged. The result must be an error that
//! names the file, or other text if no checksum covers the content, but never a panic.

#![allow(clippy::unwrap_used)]

use super::table_tests::{arrow, parquet, snappy};
use super::tests::{documents, file, gzip, zstandard};
use crate::error::Error;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterVersion;
use arrow_ipc::CompressionType;
use arrow_schema::DataType;

const N_DAMAGES: usize = 200;

/// Return every kind of file: name, content, and whether a checksum covers all of it.
fn files() -> Vec<(&'static str, Vec<u8>, bool)> {
    let rows: Vec<_> = (0..900).map(|row| format!("row {row}: {}", "caf\u{e9} ".repeat(row % 9))).collect();
    let texts: Vec<_> = rows.iter().map(|row| Some(&**row)).collect();
    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    let lines = format!("{{\"text\": \"{}\"}}\n", rows.join("\"}\n{\"text\": \""));
    let zstd = Compression::ZSTD(ZstdLevel::default());
    vec![
        ("a.jsonl.gz", gzip(lines.as_bytes()), true),
        ("a.txt.zst", zstandard(lines.as_bytes()), false),
        ("plain.parquet", parquet(&texts, Compression::UNCOMPRESSED, WriterVersion::PARQUET_1_0), false),
        ("snappy.parquet", snappy(&texts), false),
        ("few.parquet", snappy(&[Some("one"), Some("two"), Some("two"), None]), false),
        ("second.parquet", parquet(&texts, zstd, WriterVersion::PARQUET_2_0), false),
        ("file.arrow", arrow(&texts, &DataType::Utf8, true, None), false),
        ("packed.arrow", arrow(&texts, &DataType::LargeUtf8, true, Some(CompressionType::ZSTD)), false),
        ("stream.arrows", arrow(&texts, &DataType::Utf8View, false, Some(CompressionType::LZ4_FRAME)), false),
        ("dictionary.arrows", arrow(&texts[..300], &dictionary, false, None), false),
    ]
}

fn generator() -> impl FnMut(usize) -> usize {
    let mut state = 7u64;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_other_text() {
    let mut random = generator();
    for (name, whole, is_guarded) in files() {
        let (_folder, path) = file(name, &whole);
        let expected = documents(&path).ok();
        let mut n_errors = 0;
        for _ in 0..N_DAMAGES {
            let (at, bit) = (random(whole.len()), random(8));
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            let (_folder, path) = file(name, &damaged);
            match documents(&path) {
                Err(Error::Format { .. }) => n_errors += 1,
                Err(other) => unreachable!("{name}: byte {at}, bit {bit}: {other}"),
                Ok(found) => assert!(!is_guarded || Some(found) == expected, "{name}: byte {at}, bit {bit}"),
            }
        }
        assert!(n_errors > 0, "{name}");
    }
}

#[test]
fn a_cut_is_an_error_that_names_the_file() {
    let mut random = generator();
    for (name, whole, _) in files() {
        let cuts = (0..N_DAMAGES).map(|_| random(whole.len())).filter(|&at| at > 0);
        for at in cuts {
            let (_folder, path) = file(name, &whole[..at]);
            let error = documents(&path).unwrap_err();
            assert!(matches!(error, Error::Format { .. }), "{name}: {at} bytes: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn every_byte_of_a_small_parquet_file_may_be_anything() {
    let whole = snappy(&[Some("one"), Some("two"), Some("two"), None]);
    for at in 0..whole.len() {
        for value in [0x00, 0x7F, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            let (_folder, path) = file("a.parquet", &damaged);
            assert!(matches!(documents(&path), Ok(_) | Err(Error::Format { .. })), "byte {at}: {value:#x}");
        }
    }
}
