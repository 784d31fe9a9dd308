//! Unpack Zstandard: all frames of a file in order, each with its checksum verified.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::error::Error as StdError;
use std::io::{self, BufRead, Read};

/// Reader of the unpacked content of all frames in `packed`.
pub(super) struct ZstandardReader<R> {
    packed: R,
    frame: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstandardReader<R> {
    pub(super) fn new(packed: R) -> Self {
        Self { packed, frame: FrameDecoder::new(), in_frame: false }
    }

    /// Go to the next frame with content; return false at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.init(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut self.packed.by_ref().take(length.into()), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(inner_error(error)),
            }
        }
        Ok(false)
    }

    fn check_sum(&self) -> io::Result<()> {
        match (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()) {
            (Some(stored), Some(found)) if stored != found => {
                Err(io::Error::other(format!("the checksum is {found:08x}, the stored one is {stored:08x}")))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for ZstandardReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            self.in_frame = true;
            while !self.frame.is_finished() && self.frame.can_collect() == 0 {
                let step = BlockDecodingStrategy::UptoBytes(buffer.len());
                self.frame.decode_blocks(&mut self.packed, step).map_err(inner_error)?;
            }
            let n = self.frame.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            self.check_sum()?;
            self.in_frame = false;
        }
    }
}

/// Return the I/O error inside `error`, if there is one: the file ends too early, or the disk fails.
fn inner_error(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return inner.raw_os_error().map_or_else(|| inner.kind().into(), io::Error::from_raw_os_error);
        }
        cause = inner.source();
    }
    io::Error::other(error)
}
