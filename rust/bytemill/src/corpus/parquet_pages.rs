//! Check each page of a Parquet column before the decoder reads it, because the decoder allocates memory for the number
//! of values that a page claims.

use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};

/// Minimum bytes of a value, in a dictionary or with its length.
const LEAST_VALUE_BYTES: u64 = 4;

/// The pages of a column of strings, without pages that make impossible claims.
pub(super) struct CheckedPages {
    pages: Box<dyn PageReader>,
    has_levels: bool, // the values of each page follow levels that say which rows have a value
    limit: u64,       // bytes that the content may grow to
}

impl CheckedPages {
    /// Check `pages`; `has_levels` says that rows may be empty.
    pub(super) fn new(pages: Box<dyn PageReader>, has_levels: bool, limit: u64) -> Self {
        Self { pages, has_levels, limit }
    }

    fn check(&self, page: &Page) -> Result<()> {
        let (n_values, most) = match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                (u64::from(*num_values), buf.len() as u64 / LEAST_VALUE_BYTES)
            }
            _ => (u64::from(page.num_values()), self.limit / LEAST_VALUE_BYTES),
        };
        if n_values > most {
            let bytes = page.buffer().len();
            return Err(refused(format!("a page of {bytes} bytes cannot hold the {n_values} values that it claims")));
        }
        match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => self.check_lengths(page),
            Encoding::DELTA_BYTE_ARRAY => Err(refused(
                "the column is encoded as DELTA_BYTE_ARRAY, which is not supported; write it plain or with a dictionary"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Check that the lengths before the values are not more than the page's values. The values begin with the block
    /// size, the number of blocks and the number of lengths.
    fn check_lengths(&self, page: &Page) -> Result<()> {
        let values = self.values(page).ok_or_else(|| refused("a page ends within its levels".to_owned()))?;
        let mut rest = values;
        let head: Option<Vec<u64>> = (0..3).map(|_| varint(&mut rest)).collect();
        let n_lengths = head.and_then(|head| head.get(2).copied());
        match n_lengths {
            Some(n_lengths) if n_lengths <= u64::from(page.num_values()) => Ok(()),
            _ => Err(refused(format!(
                "a page of {} values begins with {} lengths",
                page.num_values(),
                n_lengths.map_or("no".to_owned(), |n| n.to_string())
            ))),
        }
    }

    /// Return the bytes after the levels.
    fn values<'p>(&self, page: &'p Page) -> Option<&'p [u8]> {
        let bytes = &**page.buffer();
        match page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                bytes.get(*def_levels_byte_len as usize + *rep_levels_byte_len as usize..)
            }
            _ if self.has_levels => bytes.get(4 + u32::from_le_bytes(*bytes.first_chunk()?) as usize..),
            _ => Some(bytes),
        }
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

/// Take a varint (seven bits per byte) off the front of `bytes`.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn refused(reason: String) -> ParquetError {
    ParquetError::General(reason)
}
