//! Parquet: each row is a document, with its text in one column.
//!
//! Only that column is read, page by page. With dictionaries, a small file can hold terabytes of text, so the limit of
//! compressed files applies here too.

use super::foreign::caught;
use super::open::{ROW_BYTES, grown, growth_limit};
use super::parquet_file::ParquetFile;
use super::parquet_pages::CheckedPages;
use super::reading::{Place, Reading};
use crate::error::{Error, Result};
use crate::regular_file;
use ::parquet::basic::Type;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use std::path::Path;

const ROWS_AT_ONCE: usize = 256;

/// Call `each` with the text of every row.
pub(super) fn for_each(path: &Path, reading: Reading, mut each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    let text_field = reading.text_field;
    let file = regular_file::open_seekable(path)?;
    let limit = growth_limit(&file).map_err(Error::io(path))?;
    let broken = |reason: String| Error::format(path, reason);
    let file = ParquetFile { file, most_page_bytes: reading.most_at_once() };
    let reader = caught(|| SerializedFileReader::new(file)).map_err(broken)?;
    let column = column_named(&reader, text_field).map_err(broken)?;
    let mut place = Place { offset: 0, line: 1 };
    for number in 0..reader.num_row_groups() {
        let at = |line: u64, reason: String| broken(format!("row group {number}, row {line}: {reason}"));
        let (n_rows, first) = (reader.metadata().row_group(number).num_rows(), place.line);
        let mut rows = caught(|| rows_of(&reader, number, column, limit)).map_err(|reason| at(first, reason))?;
        loop {
            let texts = caught(|| next_rows(&mut rows)).map_err(|reason| at(place.line, reason))?;
            if texts.is_empty() {
                break;
            }
            for text in texts {
                let text = text.ok_or_else(|| at(place.line, format!("no text in column {text_field:?}")))?;
                if place.offset + text.len() as u64 + place.line * ROW_BYTES > limit {
                    return Err(broken(grown(limit)));
                }
                each(place, text.data())?;
                place = Place { offset: place.offset + text.len() as u64, line: place.line + 1 };
            }
        }
        let found = place.line - first;
        if i64::try_from(found) != Ok(n_rows) {
            return Err(at(place.line, format!("the group ends after {found} rows, its header says {n_rows}")));
        }
    }
    Ok(())
}

/// Return the index of the column, which must have a string type.
fn column_named(reader: &SerializedFileReader<ParquetFile>, name: &str) -> Result<usize, String> {
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let found = columns.iter().position(|column| column.path().string() == name);
    let names = || columns.iter().map(|column| column.path().string()).collect::<Vec<_>>();
    let index = found.ok_or_else(|| format!("no column {name:?}; the columns are {:?}", names()))?;
    let column = &columns[index];
    match (column.physical_type(), column.max_rep_level()) {
        (Type::BYTE_ARRAY, 0) => Ok(index),
        (kind, 0) => Err(format!("column {name:?} holds {kind}, expected strings")),
        _ => Err(format!("column {name:?} holds lists, expected strings")),
    }
}

/// Read the rows of one group; refuse immediately a column whose metadata claims more than `limit` bytes.
fn rows_of(
    reader: &SerializedFileReader<ParquetFile>,
    group: usize,
    column: usize,
    limit: u64,
) -> Result<ColumnReaderImpl<ByteArrayType>, ParquetError> {
    let group = reader.get_row_group(group)?;
    let chunk = group.metadata().column(column);
    if u64::try_from(chunk.uncompressed_size()).is_ok_and(|bytes| bytes > limit) {
        return Err(ParquetError::General(grown(limit)));
    }
    let has_levels = chunk.column_descr().max_def_level() > 0;
    let pages = CheckedPages::new(group.get_column_page_reader(column)?, has_levels, limit);
    match get_column_reader(chunk.column_descr_ptr(), Box::new(pages)) {
        ColumnReader::ByteArrayColumnReader(rows) => Ok(rows),
        _ => Err(ParquetError::General("the column holds no text".to_owned())),
    }
}

/// Return the next rows, each with its text if it has one; return no rows at the end of the row group.
fn next_rows(column: &mut ColumnReaderImpl<ByteArrayType>) -> Result<Vec<Option<ByteArray>>, ParquetError> {
    let (mut levels, mut texts) = (Vec::new(), Vec::new());
    let (n_rows, n_texts, _) = column.read_records(ROWS_AT_ONCE, Some(&mut levels), None, &mut texts)?;
    if n_texts == n_rows {
        return Ok(texts.into_iter().map(Some).collect());
    }
    // The highest level marks rows with a text; without any text, every row is empty.
    let highest = if n_texts == 0 { i16::MAX } else { levels.iter().max().copied().unwrap_or(0) };
    let mut texts = texts.into_iter();
    Ok(levels.into_iter().map(|level| if level == highest { texts.next() } else { None }).collect())
}
