//! Headers as contiguous bytes, with their lengths in a separate list.

use std::borrow::Cow;

use super::slice::{readable, slice};
use super::{CUT_MARK, HeaderLengths, Record, without_cut_word};

/// A header's value, as it is passed to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFact<'a> {
    /// The value is a credential and is never copied.
    Withheld,
    Value(&'a [u8]),
}

const HEADER_VALUE_LIMIT: usize = 1024;
const HEADER_LIMIT: usize = 50;

impl Record {
    /// Records one header.
    #[inline]
    fn add_header(&mut self, name: &str, value: HeaderFact<'_>) {
        // `http` allows names of up to 64 KiB; real ones fit into 255 bytes, so longer ones are
        // skipped.
        let Ok(name_len) = u8::try_from(name.len()) else {
            self.cut_texts += 1;
            return;
        };
        let (value_len, bytes) = match value {
            HeaderFact::Withheld => (None, &[][..]),
            HeaderFact::Value(bytes) if bytes.len() > HEADER_VALUE_LIMIT => return self.add_cut_header(name, name_len, bytes),
            HeaderFact::Value(bytes) => (u16::try_from(bytes.len()).ok(), bytes),
        };
        self.header_lengths.push(HeaderLengths { name: name_len, value: value_len });
        self.arena.extend_from_slice(name.as_bytes());
        self.arena.extend_from_slice(bytes);
    }

    /// Records a header whose value is too long. The mark at its end says so.
    #[cold]
    fn add_cut_header(&mut self, name: &str, name_len: u8, value: &[u8]) {
        self.cut_texts += 1;
        self.header_lengths.push(HeaderLengths { name: name_len, value: u16::try_from(HEADER_VALUE_LIMIT).ok() });
        self.arena.extend_from_slice(name.as_bytes());
        self.arena.extend_from_slice(value.get(..HEADER_VALUE_LIMIT - CUT_MARK.len()).unwrap_or_default());
        self.arena.extend_from_slice(CUT_MARK.as_bytes());
    }

    /// Records headers one after the other; those beyond fifty are left out.
    #[inline]
    pub(crate) fn headers<'a>(&mut self, headers: impl Iterator<Item = (&'a str, HeaderFact<'a>)>) {
        let start = self.arena.len();
        // Always runs to the end: the caller inspects headers on the way, and proxies append
        // theirs.
        let mut count = 0;
        for (name, value) in headers {
            if count < HEADER_LIMIT {
                self.add_header(name, value);
            }
            count += 1;
        }
        if count > HEADER_LIMIT {
            self.cut_texts += u32::try_from(count - HEADER_LIMIT).unwrap_or(u32::MAX);
        }
        self.request.headers = slice(start, self.arena.len() - start);
    }

    /// Returns the first line of a header, if its value was recorded.
    pub(crate) fn header(&self, wanted: &str) -> Option<Cow<'_, str>> {
        let mut rest = self.bytes(self.request.headers);
        for lengths in &self.header_lengths {
            let (name, after) = rest.split_at_checked(lengths.name.into())?;
            let (value, after) = after.split_at_checked(lengths.value.unwrap_or_default().into())?;
            if name == wanted.as_bytes() {
                return lengths.value.map(|len| whole_words(readable(value), len));
            }
            rest = after;
        }
        None
    }

    /// Returns the headers as recorded, with `None` for a withheld value.
    ///
    /// Invalid UTF-8 is replaced with U+FFFD.
    pub(crate) fn each_header(&self) -> impl Iterator<Item = (Cow<'_, str>, Option<Cow<'_, str>>)> {
        let bytes = self.bytes(self.request.headers);
        // Validating all bytes at once takes 230 instructions; one header at a time takes 1,900.
        let whole = std::str::from_utf8(bytes).ok();
        let mut end = 0;
        let mut next = move |len: usize| {
            let range = end..end + len;
            end = range.end;
            match whole.and_then(|whole| whole.get(range.clone())) {
                Some(text) => Cow::Borrowed(text),
                None => readable(bytes.get(range).unwrap_or_default()),
            }
        };
        self.header_lengths.iter().map(move |lengths| {
            let name = next(lengths.name.into());
            (name, lengths.value.map(|len| whole_words(next(len.into()), len)))
        })
    }
}

/// Removes the word that the limit cut from a value of `len` bytes; the mark stays.
fn whole_words(value: Cow<'_, str>, len: u16) -> Cow<'_, str> {
    if usize::from(len) < HEADER_VALUE_LIMIT {
        return value;
    }
    match value.strip_suffix(CUT_MARK) {
        Some(kept) => Cow::Owned([without_cut_word(kept), CUT_MARK].concat()),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_as_recorded() {
        let rows = [
            [
                ("host", HeaderFact::Value(&b"shop.example"[..])),
                ("authorization", HeaderFact::Withheld),
                ("x-name", HeaderFact::Value("Käse".as_bytes())),
            ],
            [
                ("host", HeaderFact::Value(b"shop.example")),
                ("authorization", HeaderFact::Withheld),
                ("x-odd", HeaderFact::Value(b"\xff\x00")),
            ],
            [("x-cut", HeaderFact::Value(b"K\xc3")), ("x-next", HeaderFact::Value(b"\xa4se")), ("cookie", HeaderFact::Withheld)],
        ];

        for headers in rows {
            let mut record = Record::default();
            record.headers(headers.into_iter());

            let expected = headers.map(|(name, value)| match value {
                HeaderFact::Withheld => (name, None),
                HeaderFact::Value(value) => (name, Some(String::from_utf8_lossy(value))),
            });
            for (name, value) in &expected {
                assert_eq!(record.header(name), *value);
            }
            assert_eq!(record.header("x-none"), None);
            assert!(record.each_header().eq(expected.map(|(name, value)| (Cow::Borrowed(name), value))));
        }
    }

    #[test]
    fn at_most_fifty_headers_of_a_kibibyte_are_kept() {
        let mut record = Record::default();
        let long = vec![b'a'; 5000];

        record.headers((0..60).map(|_| ("x-long", HeaderFact::Value(&long))));

        assert_eq!(record.each_header().count(), 50);
        assert!(record.each_header().all(|(_, value)| value.is_some_and(|value| value == "a".repeat(1021) + "…")));
        assert_eq!(record.cut_texts, 50 + 10);
    }

    #[test]
    fn a_value_that_was_cut_ends_with_a_whole_word() {
        let mut record = Record::default();
        let value = format!("{}ghp_0123456789", "word ".repeat(203));

        record.headers([("x-note", HeaderFact::Value(value.as_bytes())), ("x-short", HeaderFact::Value(b"a word"))].into_iter());

        assert!(value.len() > HEADER_VALUE_LIMIT);
        let expected = ["word ".repeat(203).trim_end(), "…"].concat();
        assert_eq!(record.header("x-note").as_deref(), Some(&*expected));
        assert_eq!(record.header("x-short").as_deref(), Some("a word"));
        let lines: Vec<_> = record.each_header().filter_map(|(_, value)| value).collect();
        assert_eq!(lines, [&*expected, "a word"]);
    }
}
