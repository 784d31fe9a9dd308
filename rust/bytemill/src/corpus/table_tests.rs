//! Parquet and Arrow: every text type, what is refused, and the error messages.

#![allow(clippy::unwrap_used)]

use super::tests::{documents, file};
use super::*;
use ::parquet::basic::{Compression, GzipLevel, ZstdLevel};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, Int64Array, LargeBinaryArray};
use arrow_array::{LargeStringArray, RecordBatch, StringArray, StringViewArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;

/// Return a Parquet file as [`parquet`] does, with the most common compression.
pub(super) fn snappy(texts: &[Option<&str>]) -> Vec<u8> {
    parquet(texts, Compression::SNAPPY, WriterVersion::PARQUET_1_0)
}

/// Return a Parquet file with a number and an optional text in each row, in groups of 300 rows.
pub(super) fn parquet(texts: &[Option<&str>], packing: Compression, version: WriterVersion) -> Vec<u8> {
    let schema = parse_message_type("message m { required int64 id; optional binary text (UTF8); }").unwrap();
    let properties = WriterProperties::builder().set_compression(packing).set_writer_version(version).build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema.into(), properties.into()).unwrap();
    for group in texts.chunks(300) {
        let mut rows = writer.next_row_group().unwrap();
        let mut ids = rows.next_column().unwrap().unwrap();
        ids.typed::<Int64Type>().write_batch(&vec![7; group.len()], None, None).unwrap();
        ids.close().unwrap();
        let values: Vec<ByteArray> = group.iter().flatten().map(|&text| text.into()).collect();
        let levels: Vec<i16> = group.iter().map(|text| text.is_some().into()).collect();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_gives_a_column_of_every_row() {
    let texts: Vec<_> = (0..1_000).map(|row| format!("row {row} caf\u{e9}")).collect();
    let texts: Vec<_> = texts.iter().map(|text| Some(&**text)).collect();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for packing in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ] {
            let (_folder, path) = file("a.parquet", parquet(&texts, packing, version));
            let found = documents(&path).unwrap();
            assert_eq!((found.len(), found[1].0, found[1].1, found[999].1), (1_000, 11, 2, 1_000));
            assert!(found.iter().map(|row| &*row.2).eq(texts.iter().flatten().map(|text| text.as_bytes())));
        }
    }
}

#[test]
fn parquet_faults_name_the_column_and_the_row() {
    let (_folder, path) = file("a.parquet", snappy(&[Some("one"), None]));
    let reading = |text_field| for_each_document(&path, Reading { text_field, ..Reading::default() }, |_, _| Ok(()));
    let message = reading("body").unwrap_err().to_string();
    assert!(message.ends_with("a.parquet: no column \"body\"; the columns are [\"id\", \"text\"]"), "{message}");
    let message = reading("id").unwrap_err().to_string();
    assert!(message.contains("column \"id\" holds INT64"), "{message}");
    let message = documents(&path).unwrap_err().to_string();
    assert!(message.contains("row group 0, row 2: no text in column \"text\""), "{message}");
}

#[test]
fn a_parquet_file_of_one_huge_text_over_and_over_is_refused() {
    let text = "x".repeat(1 << 20);
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let packed = parquet(&[Some(&*text); 290], zstd, WriterVersion::PARQUET_1_0);
    let limit = packed.len() * 1_000 + (16 << 20);
    assert!(limit < 290 << 20, "{}", packed.len());
    let (_folder, path) = file("bomb.parquet", &packed);
    let message = documents(&path).unwrap_err().to_string();
    assert!(message.contains(&format!("unpacks to more than {limit} bytes")), "{message}");
}

/// Return an Arrow stream, or file, with a number and an optional text in each row, in batches of 300 rows.
pub(super) fn arrow(
    texts: &[Option<&str>],
    kind: &DataType,
    is_file: bool,
    packing: Option<CompressionType>,
) -> Vec<u8> {
    let fields = vec![Field::new("id", DataType::Int64, false), Field::new("text", kind.clone(), true)];
    let schema = Arc::new(Schema::new(fields));
    let batch = |texts: &[Option<&str>]| {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![7; texts.len()]));
        RecordBatch::try_new(schema.clone(), vec![ids, column(texts, kind)]).unwrap()
    };
    let options = IpcWriteOptions::default().try_with_compression(packing).unwrap();
    let mut bytes = Vec::new();
    if is_file {
        let mut writer = FileWriter::try_new_with_options(&mut bytes, &schema, options).unwrap();
        texts.chunks(300).for_each(|texts| writer.write(&batch(texts)).unwrap());
        writer.finish().unwrap();
    } else {
        let mut writer = StreamWriter::try_new_with_options(&mut bytes, &schema, options).unwrap();
        texts.chunks(300).for_each(|texts| writer.write(&batch(texts)).unwrap());
        writer.finish().unwrap();
    }
    bytes
}

fn column(texts: &[Option<&str>], kind: &DataType) -> ArrayRef {
    let bytes = || texts.iter().map(|text| text.map(str::as_bytes));
    match kind {
        DataType::Utf8 => Arc::new(texts.iter().copied().collect::<StringArray>()),
        DataType::LargeUtf8 => Arc::new(texts.iter().copied().collect::<LargeStringArray>()),
        DataType::Utf8View => Arc::new(texts.iter().copied().collect::<StringViewArray>()),
        DataType::Binary => Arc::new(bytes().collect::<BinaryArray>()),
        DataType::LargeBinary => Arc::new(bytes().collect::<LargeBinaryArray>()),
        DataType::BinaryView => Arc::new(bytes().collect::<BinaryViewArray>()),
        _ => Arc::new(texts.iter().copied().collect::<DictionaryArray<Int32Type>>()),
    }
}

fn dictionary() -> DataType {
    DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into())
}

#[test]
fn arrow_gives_a_column_of_every_row() {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    let texts: Vec<_> = (0..700).map(|row| format!("row {row} of the longer kind: caf\u{e9}")).collect();
    let texts: Vec<_> = texts.iter().map(|text| Some(&**text)).collect();
    for kind in [Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView] {
        for packing in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            for (name, is_file) in [("a.arrow", true), ("a.arrow", false), ("a.FEATHER", true)] {
                let (_folder, path) = file(name, arrow(&texts, &kind, is_file, packing));
                let found = documents(&path).unwrap();
                assert!(
                    found.iter().map(|row| &*row.2).eq(texts.iter().flatten().map(|text| text.as_bytes())),
                    "{kind}"
                );
                assert_eq!((found[1].0, found[1].1, found[699].1), (texts[0].unwrap().len() as u64, 2, 700));
            }
        }
    }
    let (_folder, path) = file("a.arrows", arrow(&texts[..300], &dictionary(), false, None));
    assert_eq!(documents(&path).unwrap().len(), 300);
}

#[test]
fn arrow_faults_name_the_column_and_the_row() {
    for kind in [DataType::Utf8, dictionary()] {
        let (_folder, path) = file("a.arrow", arrow(&[Some("one"), None], &kind, true, None));
        let message = documents(&path).unwrap_err().to_string();
        assert!(message.ends_with("record batch 0, row 2: no text in column \"text\""), "{message}");
        let reading =
            |text_field| for_each_document(&path, Reading { text_field, ..Reading::default() }, |_, _| Ok(()));
        let message = reading("body").unwrap_err().to_string();
        assert!(message.ends_with("a.arrow: no column \"body\"; the columns are [\"id\", \"text\"]"), "{message}");
        let message = reading("id").unwrap_err().to_string();
        assert!(message.ends_with("column \"id\" holds Int64, expected strings"), "{message}");
    }
    let (_folder, path) = file("a.arrow", arrow(&[], &DataType::Utf8, true, None));
    assert_eq!(documents(&path).unwrap(), []);
}

#[test]
fn an_arrow_file_that_grows_a_thousandfold_is_refused() {
    let text = "x".repeat(1 << 20);
    let packed = arrow(&[Some(&*text); 60], &DataType::Utf8, false, Some(CompressionType::ZSTD));
    let limit = packed.len() * 1_000 + (16 << 20);
    assert!(limit < 60 << 20, "{}", packed.len());
    let (_folder, path) = file("bomb.arrow", &packed);
    let message = documents(&path).unwrap_err().to_string();
    assert!(message.contains(&format!("unpacks to more than {limit} bytes")), "{message}");
}

/// The index of rows used to grow without limit: 30 million rows fit into 81 KB.
#[test]
fn a_table_of_very_many_empty_rows_is_refused() {
    let n_rows = 2_000_000;
    let packed = {
        let schema = parse_message_type("message m { required binary text (UTF8); }").unwrap();
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema.into(), Arc::default()).unwrap();
        let mut rows = writer.next_row_group().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&vec![ByteArray::from(""); n_rows], None, None).unwrap();
        column.close().unwrap();
        rows.close().unwrap();
        writer.close().unwrap();
        bytes
    };
    let limit = packed.len() * 1_000 + (16 << 20);
    assert!(limit < n_rows * 16, "{}", packed.len());
    let (_folder, path) = file("empty.parquet", &packed);
    let mut n_found = 0;
    let read = for_each_document(&path, Reading::default(), |_, _| {
        n_found += 1;
        Ok(())
    });
    let message = read.unwrap_err().to_string();
    assert!(message.contains(&format!("unpacks to more than {limit} bytes")) && n_found <= limit / 16, "{message}");
}

#[test]
fn pages_and_batches_beyond_the_limit_are_refused_before_they_are_read() {
    let text = "a few words ".repeat(200_000);
    let limited = |limit: usize| Reading { max_memory: Some(limit as u64), ..Reading::default() };
    for packing in [Compression::UNCOMPRESSED, Compression::ZSTD(ZstdLevel::default())] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let (_folder, path) = file("a.parquet", parquet(&[Some("one"), Some(&*text)], packing, version));
            let read = |limit| for_each_document(&path, limited(limit), |_, _| Ok(()));
            let message = read(4 * text.len()).unwrap_err().to_string();
            assert!(message.contains("max_memory allows") && message.contains("the page at byte"), "{message}");
            read(4 * text.len() + 400).unwrap();
        }
    }
    let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, false)]));
    let column: ArrayRef = Arc::new(StringArray::from(vec!["one", &text]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
    for packing in [None, Some(CompressionType::ZSTD)] {
        let options = IpcWriteOptions::default().try_with_compression(packing).unwrap();
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let (_folder, path) = file("a.arrow", writer.into_inner().unwrap());
        let read = |limit| for_each_document(&path, limited(limit), |_, _| Ok(()));
        let message = read(4 * text.len()).unwrap_err().to_string();
        assert!(
            message.starts_with("max_memory is 9600000") && message.contains("a record batch at byte"),
            "{message}"
        );
        read(4 * text.len() + 1_000).unwrap();
    }
}
