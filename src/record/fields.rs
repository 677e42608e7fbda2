//! Fields of spans and events as bytes: a key, a type tag and a value.

use std::fmt::{self, Write as _};

use tracing::field::FieldSet;

use super::cut::{CUT_MARK, cut, shorter, without_cut_word};
use crate::protocol::AttributeValue;
use crate::unwind;

/// The text of a field is cut at this many bytes, on a character boundary.
pub(crate) const FIELD_LIMIT: usize = 8 * 1024;
/// A field of this name follows texts that were cut: their number so far.
pub(crate) const TRUNCATED: &str = "tower_sentry.truncated";

/// Ends a text whose `Debug` or `Display` panicked.
const PANICKED: &str = " [the rest is missing: its Debug or Display panicked]";

const NAMED: u8 = u8::MAX;

const BOOL: u8 = 0;
const I64: u8 = 1;
const U64: u8 = 2;
const F64: u8 = 3;
const TEXT: u8 = 4;
const LIST: u8 = 5;

/// The key of a field: its index in the callsite's list, or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Index(u8),
    Name(&'a str),
}

impl<'a> Key<'a> {
    /// The name of the field. `fields` are those of its callsite.
    pub(crate) fn name(self, fields: Option<&'static FieldSet>) -> Option<&'a str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Index(index) => fields?.iter().nth(index.into()).map(|field| field.name()),
        }
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FieldValue<'a> {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(&'a str),
    /// Read it with [`items`].
    List(&'a [u8]),
}

/// The items of a list.
pub(crate) fn items(list: &[u8]) -> impl Iterator<Item = FieldValue<'_>> {
    // Marks behind items that were cut have names.
    FieldReader::new(list).filter_map(|(key, value)| matches!(key, Key::Index(_)).then_some(value))
}

/// Appends fields to a buffer.
#[derive(Debug)]
pub(crate) struct FieldWriter<'a> {
    buffer: &'a mut Vec<u8>,
    /// The longest text, in bytes.
    limit: usize,
    truncated: u64,
}

impl<'a> FieldWriter<'a> {
    pub(crate) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self::limited(buffer, FIELD_LIMIT)
    }

    /// A writer whose texts have at most `limit` bytes each.
    pub(super) fn limited(buffer: &'a mut Vec<u8>, limit: usize) -> Self {
        Self { buffer, limit, truncated: 0 }
    }

    /// How many texts were cut.
    pub(crate) fn truncated(&self) -> u64 {
        self.truncated
    }

    #[inline]
    pub(crate) fn bool(&mut self, key: Key<'_>, value: bool) {
        self.fixed(key, BOOL, u64::from(value));
    }

    #[inline]
    pub(crate) fn i64(&mut self, key: Key<'_>, value: i64) {
        self.fixed(key, I64, value.cast_unsigned());
    }

    #[inline]
    pub(crate) fn u64(&mut self, key: Key<'_>, value: u64) {
        self.fixed(key, U64, value);
    }

    #[inline]
    pub(crate) fn f64(&mut self, key: Key<'_>, value: f64) {
        self.fixed(key, F64, value.to_bits());
    }

    #[inline]
    pub(crate) fn text(&mut self, key: Key<'_>, value: &str) {
        if value.len() > self.limit {
            return self.cut_text(key, value);
        }
        self.text_head(key, value.len());
        self.buffer.extend_from_slice(value.as_bytes());
    }

    #[cold]
    fn cut_text(&mut self, key: Key<'_>, value: &str) {
        let value = shorter(value, self.limit);
        self.text_head(key, value.len() + CUT_MARK.len());
        self.buffer.extend_from_slice(value.as_bytes());
        self.buffer.extend_from_slice(CUT_MARK.as_bytes());
        self.mark();
    }

    /// Says behind a text that it was cut.
    fn mark(&mut self) {
        self.truncated += 1;
        self.u64(Key::Name(TRUNCATED), self.truncated);
    }

    pub(crate) fn attribute(&mut self, key: Key<'_>, value: &AttributeValue<'_>) {
        match value {
            AttributeValue::Bool(value) => self.bool(key, *value),
            AttributeValue::F64(value) => self.f64(key, *value),
            AttributeValue::I64(value) => self.i64(key, *value),
            AttributeValue::List(values) => self.list(key, values.iter(), |writer, value| match value {
                AttributeValue::List(_) => writer.text(Key::Index(0), &serde_json::Value::from(value.clone()).to_string()),
                value => writer.attribute(Key::Index(0), value),
            }),
            AttributeValue::Text(text) => self.text(key, text),
            AttributeValue::U64(value) => self.u64(key, *value),
        }
    }

    /// Writes a list. `write` writes each item as a field with an index.
    pub(super) fn list<T>(&mut self, key: Key<'_>, items: impl IntoIterator<Item = T>, write: impl Fn(&mut FieldWriter<'_>, T)) {
        self.head(key, LIST, 0);
        let start = self.buffer.len();
        let mut is_cut = false;
        for item in items {
            // With its last item, a list has less than the 64 KiB that its length can say.
            if self.buffer.len() - start >= self.limit {
                is_cut = true;
                break;
            }
            let mut writer = FieldWriter::limited(self.buffer, self.limit);
            write(&mut writer, item);
            is_cut |= writer.truncated > 0;
        }
        self.set_len(start);
        if is_cut {
            self.mark();
        }
    }

    /// Writes the length of the text or list that begins at `start`.
    #[expect(clippy::inline_always, reason = "as below: each formatted field comes through here")]
    #[inline(always)]
    fn set_len(&mut self, start: usize) {
        let [low, high] = u16::try_from(self.buffer.len() - start).unwrap_or_default().to_le_bytes();
        if let Some([l, h]) = self.buffer.get_mut(start - 2..start) {
            (*l, *h) = (low, high);
        }
    }

    /// Formats directly into the buffer, up to the limit: a `Debug` may write a gigabyte.
    pub(crate) fn display(&mut self, key: Key<'_>, value: fmt::Arguments<'_>) {
        if let Some(text) = value.as_str() {
            return self.text(key, text);
        }
        self.text_head(key, 0);
        let start = self.buffer.len();
        // An error of the user's code ends the text; the text before it stays. That code may
        // panic too, but not into the request.
        let is_cut = unwind::catch(|| {
            let mut writer = LimitedWriter { buffer: self.buffer, left: self.limit, is_cut: false };
            let _ = writer.write_fmt(value);
            writer.is_cut
        });
        match is_cut {
            Some(true) => self.end_with(start, CUT_MARK),
            Some(false) => {}
            None => self.end_with(start, PANICKED),
        }
        self.set_len(start);
        if is_cut == Some(true) {
            self.mark();
        }
    }

    /// Ends the text that begins at `start` with a mark, for which it is cut if it is too long.
    #[cold]
    fn end_with(&mut self, start: usize, mark: &str) {
        let written = self.buffer.get(start..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let room = self.limit.saturating_sub(mark.len());
        let kept = if written.len() > room { without_cut_word(cut(written, room)) } else { written };
        self.buffer.truncate(start + kept.len());
        self.buffer.extend_from_slice(mark.as_bytes());
    }

    // Small enough to inline into each caller; keys with a name take the function below.
    #[expect(
        clippy::inline_always,
        reason = "left to itself the compiler decides anew with each change elsewhere: 20 instructions a field"
    )]
    #[inline(always)]
    fn fixed(&mut self, key: Key<'_>, tag: u8, bits: u64) {
        match key {
            Key::Index(index) => {
                // One append of a known length is several times cheaper than three.
                let mut bytes = [index, tag, 0, 0, 0, 0, 0, 0, 0, 0];
                if let Some(room) = bytes.last_chunk_mut::<8>() {
                    *room = bits.to_le_bytes();
                }
                self.buffer.extend_from_slice(&bytes);
            }
            Key::Name(name) => self.fixed_by_name(name, tag, bits),
        }
    }

    #[inline(never)]
    fn fixed_by_name(&mut self, name: &str, tag: u8, bits: u64) {
        self.name(name);
        self.buffer.push(tag);
        self.buffer.extend_from_slice(&bits.to_le_bytes());
    }

    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn text_head(&mut self, key: Key<'_>, len: usize) {
        self.head(key, TEXT, len);
    }

    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn head(&mut self, key: Key<'_>, tag: u8, len: usize) {
        let [low, high] = u16::try_from(len).unwrap_or_default().to_le_bytes();
        match key {
            Key::Index(index) => self.buffer.extend_from_slice(&[index, tag, low, high]),
            Key::Name(name) => {
                self.name(name);
                self.buffer.extend_from_slice(&[tag, low, high]);
            }
        }
    }

    #[inline(never)]
    fn name(&mut self, name: &str) {
        let Ok(len) = u8::try_from(name.len()) else { return self.cut_name(name) };
        self.buffer.extend_from_slice(&[NAMED, len]);
        self.buffer.extend_from_slice(name.as_bytes());
    }

    /// Writes a name that is too long. The mark stands before its field: the value follows the name.
    #[cold]
    fn cut_name(&mut self, name: &str) {
        self.mark();
        let kept = shorter(name, usize::from(u8::MAX));
        self.buffer.extend_from_slice(&[NAMED, u8::try_from(kept.len() + CUT_MARK.len()).unwrap_or_default()]);
        self.buffer.extend_from_slice(kept.as_bytes());
        self.buffer.extend_from_slice(CUT_MARK.as_bytes());
    }
}

struct LimitedWriter<'a> {
    buffer: &'a mut Vec<u8>,
    left: usize,
    is_cut: bool,
}

impl fmt::Write for LimitedWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, self.left);
        self.buffer.extend_from_slice(kept.as_bytes());
        self.left -= kept.len();
        self.is_cut |= kept.len() < text.len();
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Reads what a [`FieldWriter`] wrote.
#[derive(Clone, Debug)]
pub(crate) struct FieldReader<'a> {
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn text(&mut self, len: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(len)?).ok()
    }
}

impl<'a> Iterator for FieldReader<'a> {
    type Item = (Key<'a>, FieldValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = match self.byte()? {
            NAMED => {
                let len = self.byte()?;
                Key::Name(self.text(len.into())?)
            }
            index => Key::Index(index),
        };
        let tag = self.byte()?;
        if matches!(tag, TEXT | LIST) {
            let (&len, rest) = self.rest.split_first_chunk::<2>()?;
            self.rest = rest;
            let len = u16::from_le_bytes(len).into();
            let value = if tag == TEXT { FieldValue::Text(self.text(len)?) } else { FieldValue::List(self.take(len)?) };
            return Some((key, value));
        }
        let (&bits, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        let bits = u64::from_le_bytes(bits);
        let value = match tag {
            BOOL => FieldValue::Bool(bits != 0),
            I64 => FieldValue::I64(bits.cast_signed()),
            U64 => FieldValue::U64(bits),
            F64 => FieldValue::F64(f64::from_bits(bits)),
            _ => return None,
        };
        Some((key, value))
    }
}

#[cfg(test)]
mod tests;
