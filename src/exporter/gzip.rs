//! gzip (RFC 1952) around a deflate compressor whose memory is reused.
//!
//! The library's own writer allocates a few hundred KiB of tables for each envelope, which the system
//! clears page by page.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::redaction::{Redacted, SealedEnvelope};

/// Below this many bytes, compression costs more than it saves.
const COMPRESS_FROM: usize = 1024;

/// Method deflate, no file name, no time, fastest compression, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A compressor, created at its first use.
#[derive(Debug, Default)]
pub(super) struct Gzip {
    deflate: Option<Compress>,
}

impl Gzip {
    /// Compresses the bytes. Returns `None` if the library fails, which is not expected.
    pub(super) fn compress(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        // For an envelope of 4.4 KiB, level 1 takes 11 µs and makes 1.5 KiB of it. Level 2 takes 22 µs,
        // for a fifth fewer bytes.
        let deflate = self.deflate.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        deflate.reset();
        let mut out = Vec::with_capacity(HEADER.len() + bytes.len() / 2);
        out.extend_from_slice(&HEADER);
        loop {
            let taken = usize::try_from(deflate.total_in()).ok()?;
            match deflate.compress_vec(bytes.get(taken..)?, &mut out, FlushCompress::Finish).ok()? {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => out.reserve(bytes.len() / 2 + 64),
            }
        }
        let mut crc = Crc::new();
        crc.update(bytes);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        // The length modulo 2^32.
        out.extend_from_slice(&crc.amount().to_le_bytes());
        Some(out)
    }
}

/// Returns the bytes to send at `now`, and whether they are compressed.
pub(super) fn encode(gzip: &mut Gzip, envelope: &mut Redacted<SealedEnvelope>, now: std::time::SystemTime) -> (Vec<u8>, bool) {
    shrink(gzip, envelope.bytes_at(now))
}

/// Compresses the bytes if that saves more than it costs, and returns whether it did.
pub(super) fn shrink(gzip: &mut Gzip, bytes: &[u8]) -> (Vec<u8>, bool) {
    let compressed = if bytes.len() < COMPRESS_FROM { None } else { gzip.compress(bytes) };
    compressed.map_or_else(|| (bytes.to_vec(), false), |compressed| (compressed, true))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn read(compressed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(compressed).read_to_end(&mut plain).expect("a whole stream, and nothing behind it");
        plain
    }

    #[test]
    fn one_compressor_serves_many_envelopes() {
        let mut gzip = Gzip::default();
        // Random bytes grow when they are compressed.
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(100_000).collect();

        for bytes in [&b"a text, a text, a text"[..], b"", &noise, &vec![7; 1_000_000], b"a text, a text, a text"] {
            assert_eq!(read(&gzip.compress(bytes).expect("it is compressed")), bytes);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(all in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 1..4)) {
            let mut gzip = Gzip::default();

            for bytes in all {
                prop_assert_eq!(read(&gzip.compress(&bytes).expect("it is compressed")), bytes);
            }
        }
    }
}
