//! Envelopes and lines that passed the redactor.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::Error as _;

use super::oversize::{Reduction, reduced};
use super::place::ValuePlace;
use super::{Redactor, scan, serializer};
use crate::protocol::{Attachment, ItemType, Timestamp};

/// Bytes or text from a `Redactor`. Nothing else can create this type, except the spool: it restores envelopes
/// that were redacted before.
#[derive(Clone, Debug)]
pub(crate) struct Redacted<T>(T);

/// An envelope as bytes, complete except for the time of sending.
#[derive(Clone, Debug, Default)]
pub(crate) struct SealedEnvelope {
    bytes: Vec<u8>,
    reduction: Reduction,
}

/// `"sent_at":"…"` is overwritten at each attempt, so its room is reserved at the start.
const SENT_AT: &str = "{\"sent_at\":\"0000-00-00T00:00:00.000Z\"";
const SENT_AT_START: usize = "{\"sent_at\":\"".len();
const SENT_AT_END: usize = SENT_AT.len() - 1;

impl Redacted<SealedEnvelope> {
    /// Returns the envelope for an attempt to send it at `now`.
    pub(crate) fn bytes_at(&mut self, now: std::time::SystemTime) -> &[u8] {
        let now = Timestamp::from(now).as_system_time();
        let text = humantime::format_rfc3339_millis(now).to_string();
        if let Some(room) = self.0.bytes.get_mut(SENT_AT_START..SENT_AT_END).filter(|room| room.len() == text.len()) {
            room.copy_from_slice(text.as_bytes());
        }
        &self.0.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.0.bytes.len()
    }

    /// The envelope for the spool.
    pub(crate) fn stored(&self) -> &[u8] {
        &self.0.bytes
    }

    /// What its items lost so that servers accept their size.
    pub(crate) fn reduction(&self) -> Reduction {
        self.0.reduction
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.0.bytes
    }
}

impl SealedEnvelope {
    /// An envelope that comes back from the spool. Returns `None` if the bytes are not one.
    pub(crate) fn restored(bytes: Vec<u8>) -> Option<Redacted<Self>> {
        let (start, _) = SENT_AT.split_at(SENT_AT_START);
        bytes.starts_with(start.as_bytes()).then_some(Redacted(Self { bytes, reduction: Reduction::default() }))
    }
}

impl Redacted<Vec<u8>> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Conversions of redacted data. Each takes a plain function, which cannot bring data of its own.
#[cfg(feature = "otlp")]
impl<T> Redacted<T> {
    pub(crate) fn get(&self) -> &T {
        &self.0
    }

    pub(crate) fn map<U>(self, convert: fn(T) -> U) -> Redacted<U> {
        Redacted(convert(self.0))
    }

    pub(crate) fn with<C, U>(&self, other: &Redacted<C>, convert: fn(&T, &C) -> U) -> Redacted<U> {
        Redacted(convert(&self.0, &other.0))
    }

    pub(crate) fn joined<P>(parts: &[Redacted<P>], add: fn(&mut T, &P)) -> Self
    where
        T: Default,
    {
        let mut all = T::default();
        for part in parts {
            add(&mut all, &part.0);
        }
        Self(all)
    }
}

#[cfg(feature = "otlp")]
impl<T> Redacted<Option<T>> {
    pub(crate) fn transpose(self) -> Option<Redacted<T>> {
        self.0.map(Redacted)
    }
}

/// Empty bytes need no redaction.
#[cfg(feature = "otlp")]
impl Default for Redacted<Vec<u8>> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(feature = "otlp")]
impl SealedEnvelope {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Redactor {
    /// Begins an envelope in `buffer`, which is cleared first; the result owns it.
    pub(crate) fn envelope(&self, header: &impl Serialize, mut buffer: Vec<u8>) -> serde_json::Result<OpenEnvelope<'_>> {
        buffer.clear();
        buffer.extend_from_slice(SENT_AT.as_bytes());
        let start = buffer.len();
        serializer::write(self, header, ValuePlace::Header, &mut buffer)?;
        // `{"a":1}` continues the object that `sent_at` began; `{}` ends it.
        match buffer.get_mut(start..) {
            Some([open, b'"', ..]) => *open = b',',
            _ => buffer.truncate(start),
        }
        if buffer.len() == start {
            buffer.push(b'}');
        }
        Ok(OpenEnvelope { redactor: self, bytes: buffer, reduction: Reduction::default() })
    }

    /// Redacts a text that is sent on its own, for example in a header.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        scan::scrub(self, text)
    }

    /// Serializes a payload that another SDK wrote. It must be an event, a transaction, or a list of logs, spans or metrics.
    #[cfg(feature = "browser")]
    pub(crate) fn document(&self, payload: &serde_json::Value) -> serde_json::Result<Vec<u8>> {
        let mut buffer = Vec::new();
        serializer::write_document(self, payload, &mut buffer)?;
        Ok(buffer)
    }

    /// Serializes a line of a file.
    pub(crate) fn line(&self, value: &impl Serialize) -> serde_json::Result<Redacted<Vec<u8>>> {
        let mut buffer = Vec::new();
        serializer::write(self, value, ValuePlace::Open, &mut buffer)?;
        buffer.push(b'\n');
        Ok(Redacted(buffer))
    }
}

/// The header line of an item.
#[derive(Serialize)]
struct ItemHeaderLine<'a> {
    #[serde(rename = "type")]
    kind: ItemType,
    length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'static str>,
}

impl ItemHeaderLine<'_> {
    const fn of(kind: ItemType) -> Self {
        Self { kind, length: 0, span_count: None, item_count: None, content_type: None, filename: None, platform: None }
    }
}

/// An envelope that still accepts items.
#[derive(Debug)]
pub(crate) struct OpenEnvelope<'a> {
    redactor: &'a Redactor,
    bytes: Vec<u8>,
    /// What its items lost so that servers accept their size.
    reduction: Reduction,
}

impl OpenEnvelope<'_> {
    /// Adds an item; after an error the envelope is unchanged.
    pub(crate) fn item(&mut self, kind: ItemType, span_count: Option<usize>, payload: &impl Serialize) -> serde_json::Result<()> {
        self.add(ItemHeaderLine { span_count, ..ItemHeaderLine::of(kind) }, |redactor, bytes| {
            serializer::write(redactor, payload, ValuePlace::Open, bytes)
        })
    }

    /// Adds an item whose header names the platform of its payload.
    #[cfg(profiles)]
    pub(crate) fn item_of(&mut self, kind: ItemType, platform: &'static str, payload: &impl Serialize) -> serde_json::Result<()> {
        self.add(ItemHeaderLine { platform: Some(platform), ..ItemHeaderLine::of(kind) }, |redactor, bytes| {
            serializer::write(redactor, payload, ValuePlace::Open, bytes)
        })
    }

    /// Adds a container with `count` items of one kind.
    pub(crate) fn container(&mut self, kind: ItemType, count: usize, media_type: &str, payload: &impl Serialize) -> serde_json::Result<()> {
        let header = ItemHeaderLine { item_count: Some(count), content_type: Some(media_type), ..ItemHeaderLine::of(kind) };
        self.add(header, |redactor, bytes| serializer::write(redactor, payload, ValuePlace::Open, bytes))
    }

    /// Adds a file: JSON is judged by names and shapes, and text by shapes. Other bytes stay as they are.
    pub(crate) fn attachment(&mut self, file: &Attachment) -> serde_json::Result<()> {
        let Attachment { filename, content_type, bytes: content } = file;
        let filename = scan::scrub(self.redactor, filename);
        let content_type = content_type.as_deref().map(|text| scan::scrub(self.redactor, text));
        let header =
            ItemHeaderLine { filename: Some(&filename), content_type: content_type.as_deref(), ..ItemHeaderLine::of(ItemType::Attachment) };
        self.add(header, |redactor, bytes| {
            match (serde_json::from_slice::<serde_json::Value>(content), std::str::from_utf8(content)) {
                (Ok(json @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))), _) => {
                    serializer::write(redactor, &json, ValuePlace::Open, bytes)?;
                }
                (_, Ok(text)) => bytes.extend_from_slice(scan::scrub(redactor, text).as_bytes()),
                (_, Err(_)) => bytes.extend_from_slice(content),
            }
            Ok(())
        })
    }

    fn add(
        &mut self,
        mut header: ItemHeaderLine<'_>,
        write: impl FnOnce(&Redactor, &mut Vec<u8>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        let before = self.bytes.len();
        self.bytes.push(b'\n');
        let start = self.bytes.len();
        let written = write(self.redactor, &mut self.bytes).and_then(|()| {
            if self.bytes.len() - start > header.kind.size_limit() {
                self.reduce(start, &mut header)?;
            }
            header.length = self.bytes.len() - start;
            serde_json::to_vec(&header)
        });
        match written {
            Ok(mut header) => {
                header.push(b'\n');
                // The header needs the payload's length, so the payload moves after the header, in one
                // piece. `splice` goes byte by byte and takes 600 more instructions.
                let end = self.bytes.len();
                self.bytes.extend_from_slice(&header);
                self.bytes.copy_within(start..end, start + header.len());
                if let Some(room) = self.bytes.get_mut(start..start + header.len()) {
                    room.copy_from_slice(&header);
                }
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(before);
                Err(error)
            }
        }
    }

    /// Reduces the payload that was written from `start` on, so that servers accept its size.
    #[cold]
    fn reduce(&mut self, start: usize, header: &mut ItemHeaderLine<'_>) -> serde_json::Result<()> {
        let written = self.bytes.get(start..).unwrap_or_default();
        let (payload, lost) = reduced(written, header.kind.size_limit()).ok_or_else(too_large)?;
        self.bytes.truncate(start);
        self.bytes.extend_from_slice(&payload);
        header.span_count = header.span_count.map(|count| count.saturating_sub(usize::try_from(lost.spans).unwrap_or(usize::MAX)));
        self.reduction.add(lost);
        Ok(())
    }

    pub(crate) fn seal(self) -> Redacted<SealedEnvelope> {
        Redacted(SealedEnvelope { bytes: self.bytes, reduction: self.reduction })
    }
}

fn too_large() -> serde_json::Error {
    serde_json::Error::custom("it is larger than servers accept")
}

#[cfg(test)]
pub(crate) fn redact_json(rules: super::Redaction, value: &impl Serialize) -> String {
    let mut buffer = Vec::new();
    let redactor = Redactor::new(std::sync::Arc::new(rules), false);
    serializer::write(&redactor, value, ValuePlace::Open, &mut buffer)
        .map_or_else(|error| error.to_string(), |()| String::from_utf8_lossy(&buffer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::protocol::{ClientReport, EnvelopeHeader, EventId, parse};

    #[test]
    fn the_header_of_a_file_is_redacted_too() {
        let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
        let file = Attachment::new(format!("{secret}.txt"), "done").content_type(format!("text/plain; token={secret}"));
        let redactor = Redactor::new(Arc::default(), false);

        let open = redactor.envelope(&EnvelopeHeader::default(), Vec::new());
        let mut sealed = open.and_then(|mut open| open.attachment(&file).map(|()| open.seal())).expect("it is written");

        let text = String::from_utf8_lossy(sealed.bytes_at(UNIX_EPOCH)).into_owned();
        assert!(!text.contains("sk_live") && text.contains("text/plain; token=[Filtered]"), "{text}");
    }

    #[test]
    fn an_envelope_has_its_send_time_and_the_length_of_each_item() {
        let redactor = Redactor::new(Arc::default(), false);
        let event_id = EventId::new();
        let header = EnvelopeHeader { event_id: Some(event_id), ..EnvelopeHeader::default() };

        let mut sealed = redactor
            .envelope(&header, vec![1, 2, 3])
            .and_then(|mut open| open.item(ItemType::ClientReport, None, &ClientReport::default()).map(|()| open.seal()))
            .expect("plain types serialise");
        let bytes = sealed.bytes_at(UNIX_EPOCH + Duration::from_millis(1_795_168_801_500)).to_vec();

        assert!(bytes.starts_with(format!("{{\"sent_at\":\"2026-11-20T10:00:01.500Z\",\"event_id\":\"{event_id}\"}}\n").as_bytes()));
        let (parsed, items) = parse(&bytes).expect("a strict reader takes it");
        assert_eq!(parsed.event_id, Some(event_id));
        assert_eq!(items.len(), 1);
    }

    #[test]
    fn an_item_header_has_the_span_count() {
        let redactor = Redactor::new(Arc::default(), false);
        let mut open = redactor.envelope(&EnvelopeHeader::default(), Vec::new()).expect("plain types serialise");

        for count in [None, Some(0), Some(7)] {
            open.item(ItemType::Transaction, count, &ClientReport::default()).expect("plain types serialise");
        }

        let sealed = open.seal().into_buffer();
        let headers: Vec<serde_json::Value> = String::from_utf8_lossy(&sealed)
            .lines()
            .filter(|line| line.contains("\"length\""))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let counts: Vec<_> = headers.iter().map(|header| header.get("span_count").and_then(serde_json::Value::as_u64)).collect();
        assert_eq!(counts, [None, Some(0), Some(7)]);
    }

    #[test]
    fn an_envelope_without_headers_has_only_its_send_time() {
        let redactor = Redactor::new(Arc::default(), false);

        let mut sealed = redactor.envelope(&EnvelopeHeader::default(), Vec::new()).expect("plain types serialise").seal();

        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(sealed.bytes_at(before), b"{\"sent_at\":\"1970-01-01T00:00:00.000Z\"}", "a clock that is wrong");
        assert_eq!(sealed.bytes_at(UNIX_EPOCH), b"{\"sent_at\":\"1970-01-01T00:00:00.000Z\"}");
    }
}
