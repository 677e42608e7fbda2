//! Headers as bytes one behind the other: a length, a length, a name, a value.

use super::{Record, slice};

/// A header's value as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFact<'a> {
    /// It holds a credential and was never copied.
    Withheld,
    Value(&'a [u8]),
}

const WITHHELD: u16 = u16::MAX;
const HEADER_VALUE_LIMIT: usize = 1024;
const HEADER_LIMIT: usize = 50;

impl Record {
    /// Records one header; beyond fifty they are left out.
    #[inline]
    fn header(&mut self, name: &str, value: HeaderFact<'_>) {
        // A header name is at most 64 KiB by `http`; what does not fit a byte is no header of this world.
        let Ok(name_len) = u8::try_from(name.len()) else { return };
        let (len, bytes) = match value {
            HeaderFact::Withheld => (WITHHELD, &[][..]),
            HeaderFact::Value(bytes) => {
                let bytes = bytes.get(..HEADER_VALUE_LIMIT).unwrap_or(bytes);
                (u16::try_from(bytes.len()).unwrap_or_default(), bytes)
            }
        };
        let [low, high] = len.to_le_bytes();
        self.arena.extend_from_slice(&[name_len, low, high]);
        self.arena.extend_from_slice(name.as_bytes());
        self.arena.extend_from_slice(bytes);
    }

    /// Records headers one behind the other.
    #[inline]
    pub(crate) fn headers<'a>(&mut self, headers: impl Iterator<Item = (&'a str, HeaderFact<'a>)>) {
        let start = self.arena.len();
        // All are walked through: the caller looks at them on the way, and proxies put theirs at the end.
        for (place, (name, value)) in headers.enumerate() {
            if place < HEADER_LIMIT {
                self.header(name, value);
            }
        }
        self.request.headers = slice(start, self.arena.len() - start);
    }

    /// The headers as recorded.
    pub(crate) fn each_header(&self) -> impl Iterator<Item = (&[u8], HeaderFact<'_>)> {
        let mut rest = self.bytes(self.request.headers);
        std::iter::from_fn(move || {
            let (&[name_len, low, high], after) = rest.split_first_chunk::<3>()?;
            let (name, after) = after.split_at_checked(name_len.into())?;
            let len = u16::from_le_bytes([low, high]);
            let value;
            (value, rest) = if len == WITHHELD {
                (HeaderFact::Withheld, after)
            } else {
                let (value, after) = after.split_at_checked(len.into())?;
                (HeaderFact::Value(value), after)
            };
            Some((name, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_as_recorded() {
        let mut record = Record::default();
        let headers = [
            ("host", HeaderFact::Value(b"shop.example")),
            ("authorization", HeaderFact::Withheld),
            ("x-odd", HeaderFact::Value(b"\xff\x00")),
        ];

        record.headers(headers.into_iter());

        assert!(record.each_header().eq(headers.map(|(name, value)| (name.as_bytes(), value))));
    }

    #[test]
    fn at_most_fifty_headers_of_a_kibibyte_are_kept() {
        let mut record = Record::default();
        let long = vec![b'a'; 5000];

        record.headers((0..60).map(|_| ("x-long", HeaderFact::Value(&long))));

        assert_eq!(record.each_header().count(), 50);
        assert!(record.each_header().all(|(_, value)| value == HeaderFact::Value(&long[..1024])));
    }
}
