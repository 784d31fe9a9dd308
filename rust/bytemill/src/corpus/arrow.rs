//! Arrow: each row of each record batch is a document, with its text in one column.
//!
//! A file of Arrow's IPC format is a stream between two marks and a footer. So files and streams are read in the same
//! way: message by message, from the start. Memory grows with the largest batch.

use super::arrow_messages::Messages;
use super::foreign::caught;
use super::open::{ROW_BYTES, grown};
use super::reading::{Place, Reading};
use crate::error::{Error, Result};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{DataType, Schema};
use std::path::Path;

/// Call `each` with the text of every row.
pub(super) fn for_each(path: &Path, reading: Reading, mut each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    let text_field = reading.text_field;
    let mut messages = Messages::open(path, reading)?;
    let limit = messages.limit();
    let mut place = Place { offset: 0, line: 1 };
    let mut n_batches = 0;
    for_each_batch(path, &mut messages, text_field, |texts, n_rows| {
        for row in 0..n_rows {
            let text = texts.get(row).ok_or_else(|| {
                let reason = format!("record batch {n_batches}, row {}: no text in column {text_field:?}", place.line);
                Error::format(path, reason)
            })?;
            if place.offset + text.len() as u64 + place.line * ROW_BYTES > limit {
                return Err(Error::format(path, grown(limit)));
            }
            each(place, text)?;
            place = Place { offset: place.offset + text.len() as u64, line: place.line + 1 };
        }
        n_batches += 1;
        Ok(())
    })
}

/// Call `each` with the column's texts and the number of rows of every record batch.
fn for_each_batch(
    path: &Path,
    messages: &mut Messages,
    text_field: &str,
    mut each: impl FnMut(&Texts, usize) -> Result<()>,
) -> Result<()> {
    let mut decoder = StreamDecoder::new();
    let mut column = None;
    while let Some(message) = messages.next()? {
        let damaged = |reason: String| Error::format(path, format!("message at byte {}: {reason}", message.start));
        for mut part in message.parts {
            while !part.is_empty() {
                let batch = caught(|| decoder.decode(&mut part)).map_err(damaged)?;
                if let (None, Some(schema)) = (column, decoder.schema()) {
                    column = Some(column_named(&schema, text_field).map_err(|reason| Error::format(path, reason))?);
                }
                if let (Some(batch), Some(column)) = (batch, column) {
                    let texts = caught(|| Ok::<_, String>(Texts::of(&**batch.column(column)))).map_err(damaged)?;
                    each(&texts, batch.num_rows())?;
                }
            }
        }
    }
    column.map(drop).ok_or_else(|| Error::format(path, "ends before its schema, which names the columns"))
}

/// Return the index of the column, which must have a string type.
fn column_named(schema: &Schema, name: &str) -> Result<usize, String> {
    let names = || schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
    let index = schema.index_of(name).map_err(|_| format!("no column {name:?}; the columns are {:?}", names()))?;
    match schema.field(index).data_type() {
        kind if is_text(kind) => Ok(index),
        DataType::Dictionary(_, kind) if is_text(kind) => Ok(index),
        kind => Err(format!("column {name:?} holds {kind}, expected strings")),
    }
}

fn is_text(kind: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(kind, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
}

/// A column of texts, stored directly or through a dictionary.
struct Texts<'b> {
    rows: &'b dyn Array,
    dictionary: Option<(&'b dyn Array, Vec<usize>)>,
}

impl<'b> Texts<'b> {
    fn of(rows: &'b dyn Array) -> Self {
        let dictionary = rows.as_any_dictionary_opt().map(|rows| {
            let keys = if rows.values().is_empty() { Vec::new() } else { rows.normalized_keys() };
            (&**rows.values(), keys)
        });
        Self { rows, dictionary }
    }

    /// Return the text of a row, if it has one.
    fn get(&self, row: usize) -> Option<&'b [u8]> {
        match &self.dictionary {
            None => text(self.rows, row),
            Some((values, keys)) if self.rows.is_valid(row) => text(*values, *keys.get(row)?),
            Some(_) => None,
        }
    }
}

fn text(array: &dyn Array, row: usize) -> Option<&[u8]> {
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => Some(array.as_string_view().value(row).as_bytes()),
        DataType::Binary => Some(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => Some(array.as_binary_view().value(row)),
        _ => None,
    }
}
