//! Reads a body that may be compressed, within a limit.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use http::{HeaderMap, header};

use super::refusal::Refusal;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Identity,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::Identity),
            (Some(value), None) if value.eq_ignore_ascii_case(b"gzip") => Ok(Self::Gzip),
            (Some(value), None) if value.is_empty() || value.eq_ignore_ascii_case(b"identity") => Ok(Self::Identity),
            _ => Err(Refusal::UnknownEncoding),
        }
    }
}

/// Turns the chunks of a body into plain bytes.
pub(super) enum Inflate {
    Gzip(Box<GzDecoder<Bounded>>),
    Identity(Bounded),
}

impl Inflate {
    /// Refuses a body of more than `limit` plain bytes.
    pub(super) fn new(encoding: Encoding, limit: usize) -> Self {
        let plain = Bounded { bytes: Vec::new(), left: limit };
        match encoding {
            Encoding::Gzip => Self::Gzip(Box::new(GzDecoder::new(plain))),
            Encoding::Identity => Self::Identity(plain),
        }
    }

    /// Reads a chunk. [`take`](Self::take) then returns its plain bytes.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        match self {
            // Bytes after the end of the stream are an error: another reader may take them for data.
            Self::Gzip(decoder) => decoder.write_all(chunk).map_err(|error| refused(&error)),
            Self::Identity(plain) => plain.write_all(chunk).map_err(|error| refused(&error)),
        }
    }

    /// The plain bytes since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let plain = match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Identity(plain) => plain,
        };
        std::mem::take(&mut plain.bytes)
    }

    /// Checks that the stream is complete. More bytes may come out.
    pub(super) fn finish(&mut self) -> Result<(), Refusal> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish().map_err(|error| refused(&error)),
            Self::Identity(_) => Ok(()),
        }
    }
}

fn refused(error: &io::Error) -> Refusal {
    if error.kind() == io::ErrorKind::FileTooLarge { Refusal::TooLarge } else { Refusal::Malformed("the body is not valid gzip") }
}

/// A buffer with a limit on the total number of bytes that are written to it.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("a vector takes it");
        encoder.finish().expect("a vector takes it")
    }

    fn read(encoding: Encoding, chunks: &[&[u8]], limit: usize) -> Result<Vec<u8>, Refusal> {
        let mut inflate = Inflate::new(encoding, limit);
        let mut plain = Vec::new();
        for chunk in chunks {
            inflate.push(chunk)?;
            plain.append(&mut inflate.take());
        }
        inflate.finish()?;
        plain.append(&mut inflate.take());
        Ok(plain)
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = gzip(&vec![0; 50_000_000]);

        assert!(bomb.len() < 500_000);
        assert_eq!(read(Encoding::Gzip, &[&bomb], 1_000_000), Err(Refusal::TooLarge));
        assert_eq!(read(Encoding::Identity, &[&[0; 11]], 10), Err(Refusal::TooLarge));
        assert_eq!(read(Encoding::Identity, &[&[0; 5], &[0; 5]], 10), Ok(vec![0; 10]));
    }

    #[test]
    fn a_stream_is_whole_and_nothing_is_behind_it() {
        let plain: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(100_000).collect();
        let packed = gzip(&plain);
        let (start, end) = packed.split_at(packed.len() / 2);
        let twice = [packed.as_slice(), packed.as_slice()].concat();

        assert_eq!(read(Encoding::Gzip, &[start, end], 100_000), Ok(plain));
        assert!(matches!(read(Encoding::Gzip, &[start], 100_000), Err(Refusal::Malformed(_))));
        assert!(matches!(read(Encoding::Gzip, &[&twice], 1_000_000), Err(Refusal::Malformed(_))));
        assert!(matches!(read(Encoding::Gzip, &[b"plain text"], 100), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn only_gzip_is_an_encoding() {
        let of =
            |value: &'static str| Encoding::of(&HeaderMap::from_iter([(header::CONTENT_ENCODING, http::HeaderValue::from_static(value))]));

        assert_eq!(Encoding::of(&HeaderMap::new()), Ok(Encoding::Identity));
        assert_eq!((of("GZIP"), of("identity")), (Ok(Encoding::Gzip), Ok(Encoding::Identity)));
        for other in ["br", "deflate", "zstd", "gzip, gzip"] {
            assert_eq!(of(other), Err(Refusal::UnknownEncoding), "{other}");
        }
    }
}
