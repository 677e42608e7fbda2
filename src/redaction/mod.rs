//! Removes secrets from everything that leaves the process.
//!
//! Everything that is sent, printed or stored passes through one `Redactor` as the last step, after
//! the hooks. It judges **names** (of headers, query parameters and fields) and **shapes** (tokens,
//! `Bearer …`, keys, cards, `user:password@` in URLs, `password: "…"` in `Debug` output). Its
//! result has its own type, `Redacted`, and transports accept nothing else.

mod card;
mod clean;
mod escape;
mod json;
mod judged;
mod key;
mod memory;
mod names;
mod patterns;
mod place;
mod text;
mod url;
mod value;
mod webhook;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::protocol::{Attachment, ItemType};

pub(crate) use json::{COMPILED, ID};
use judged::Judged;
pub(crate) use names::is_credential_header;

/// Your own redaction rules; the built-in ones always apply as well.
///
/// # Examples
///
/// ```
/// use tower_sentry::redaction::Redaction;
///
/// let rules = Redaction::default().field("iban").header("x-internal-token").placeholder("[REDACTED]");
/// ```
#[derive(Clone, Debug)]
pub struct Redaction {
    fields: Vec<String>,
    headers: Vec<String>,
    placeholder: String,
    token_placeholder: String,
    token_length: usize,
    removes_fields: bool,
    #[cfg(feature = "test")]
    hides_nothing: bool,
}

impl Default for Redaction {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            headers: Vec::new(),
            placeholder: "[Filtered]".to_owned(),
            token_placeholder: "[REDACTED_TOKEN]".to_owned(),
            token_length: 64,
            removes_fields: false,
            #[cfg(feature = "test")]
            hides_nothing: false,
        }
    }
}

impl Redaction {
    /// Hides all values whose names contain `name`; case and separators (`-`, `_`) do not matter.
    #[must_use]
    pub fn field(mut self, name: impl AsRef<str>) -> Self {
        self.fields.push(names::squash(name.as_ref()));
        self
    }

    /// Hides the values of a header, which are not even copied into the record.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        self.headers.push(name.as_ref().to_ascii_lowercase());
        self
    }

    /// Sets the text that replaces a value; defaults to `[Filtered]` and may be empty.
    #[must_use]
    pub fn placeholder(mut self, text: impl Into<String>) -> Self {
        self.placeholder = text.into();
        self
    }

    /// Sets the text that replaces a long token inside a text; defaults to `[REDACTED_TOKEN]`.
    #[must_use]
    pub fn token_placeholder(self, text: impl Into<String>) -> Self {
        Self { token_placeholder: text.into(), ..self }
    }

    /// Sets the minimum length of a token; defaults to 64, and less than 16 is an error of `build`.
    ///
    /// A token is a run of ASCII letters, digits, `_`, `-` and `+`, with any `=` after it.
    #[must_use]
    pub fn token_length(self, characters: usize) -> Self {
        Self { token_length: characters, ..self }
    }

    /// Removes fields with secret names instead of replacing their values.
    ///
    /// This applies to headers, tags, and fields of spans, contexts and breadcrumbs. In queries and
    /// other texts, the placeholder still replaces the value.
    #[must_use]
    pub fn remove_fields(mut self) -> Self {
        self.removes_fields = true;
        self
    }

    /// Says which rule is invalid.
    pub(crate) fn fault(&self) -> Option<String> {
        (self.token_length < 16).then(|| format!("expected a token_length of at least 16, found {}", self.token_length))
    }

    /// See [`test::unredacted`](crate::test::unredacted).
    #[cfg(feature = "test")]
    pub(crate) fn hiding_nothing() -> Self {
        Self { hides_nothing: true, ..Self::default() }
    }

    /// Whether all rules are off, which only the feature `test` can do.
    #[cfg_attr(not(feature = "test"), expect(clippy::unused_self, reason = "the flag is there with the feature only"))]
    #[inline]
    const fn hides_nothing(&self) -> bool {
        #[cfg(feature = "test")]
        return self.hides_nothing;
        #[cfg(not(feature = "test"))]
        false
    }

    /// Whether a header's value must not be copied into the record.
    pub(crate) fn withholds(&self, header: &str) -> bool {
        is_credential_header(header) || (!self.headers.is_empty() && self.headers.iter().any(|name| name == header))
    }
}

/// Applies the rules during serialization.
#[derive(Clone, Debug)]
pub(crate) struct Redactor {
    rules: Arc<Redaction>,
    /// Whether personal data may leave the process (`send_default_pii`).
    send_pii: bool,
}

/// Bytes or text from a `Redactor`; nothing else can create this type.
#[derive(Clone, Debug)]
pub(crate) struct Redacted<T>(T);

/// An envelope as bytes, complete except for the time of sending.
#[derive(Clone, Debug, Default)]
pub(crate) struct SealedEnvelope {
    bytes: Vec<u8>,
}

/// `"sent_at":"…"` is overwritten at each attempt, so its room is reserved at the start.
const SENT_AT: &str = "{\"sent_at\":\"0000-00-00T00:00:00.000Z\"";
const SENT_AT_START: usize = "{\"sent_at\":\"".len();
const SENT_AT_END: usize = SENT_AT.len() - 1;

impl Redacted<SealedEnvelope> {
    /// Returns the envelope for an attempt to send it at `now`.
    pub(crate) fn bytes_at(&mut self, now: std::time::SystemTime) -> &[u8] {
        let text = humantime::format_rfc3339_millis(now).to_string();
        if let Some(room) = self.0.bytes.get_mut(SENT_AT_START..SENT_AT_END).filter(|room| room.len() == text.len()) {
            room.copy_from_slice(text.as_bytes());
        }
        &self.0.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.0.bytes.len()
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.0.bytes
    }
}

impl Redacted<Vec<u8>> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Redactor {
    pub(crate) fn new(rules: Arc<Redaction>, send_pii: bool) -> Self {
        Self { rules, send_pii }
    }

    /// The text that replaces a value.
    pub(crate) fn placeholder(&self) -> &str {
        &self.rules.placeholder
    }

    /// Whether a header's value is replaced: it is a secret, or personal data while PII is off.
    pub(crate) fn hides_header(&self, name: &str) -> bool {
        self.hides_judged_header(name, judged::judge(name))
    }

    fn hides_judged_header(&self, name: &str, judged: Judged) -> bool {
        judged.sensitive_header
            || (!self.send_pii && judged.personal_header)
            || self.rules.withholds(name)
            || names::is_listed(name, &self.rules.fields)
    }

    /// Whether the user has rules for names.
    #[inline]
    fn has_own_names(&self) -> bool {
        !self.rules.fields.is_empty()
    }

    /// Begins an envelope in `buffer`, which is cleared first; the result owns it.
    pub(crate) fn envelope(&self, header: &impl Serialize, mut buffer: Vec<u8>) -> serde_json::Result<OpenEnvelope<'_>> {
        buffer.clear();
        buffer.extend_from_slice(SENT_AT.as_bytes());
        let start = buffer.len();
        self.write(header, &mut buffer)?;
        // `{"a":1}` continues the object that `sent_at` began; `{}` ends it.
        match buffer.get_mut(start..) {
            Some([open, b'"', ..]) => *open = b',',
            _ => buffer.truncate(start),
        }
        if buffer.len() == start {
            buffer.push(b'}');
        }
        Ok(OpenEnvelope { redactor: self, bytes: buffer })
    }

    /// Redacts a text that is sent on its own, for example in a header.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        patterns::scrub(self, text)
    }

    /// Serializes a line of a file.
    pub(crate) fn line(&self, value: &impl Serialize) -> serde_json::Result<Redacted<Vec<u8>>> {
        let mut buffer = Vec::new();
        self.write(value, &mut buffer)?;
        buffer.push(b'\n');
        Ok(Redacted(buffer))
    }

    fn write(&self, value: &impl Serialize, buffer: &mut Vec<u8>) -> serde_json::Result<()> {
        json::write(self, value, buffer)
    }

    /// Whether a name means a secret even in prose.
    fn is_surely_sensitive(&self, name: &str) -> bool {
        judged::judge(name).surely_sensitive || names::is_listed(name, &self.rules.fields)
    }

    /// Whether a user's rule hides a name.
    fn is_hidden_by_user(&self, name: &str) -> bool {
        names::is_listed(name, &self.rules.fields)
    }

    fn is_sensitive(&self, name: &str) -> bool {
        judged::judge(name).sensitive || names::is_listed(name, &self.rules.fields)
    }
}

/// The header line of an item.
#[derive(Serialize)]
struct Header<'a> {
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
}

impl Header<'_> {
    const fn of(kind: ItemType) -> Self {
        Self { kind, length: 0, span_count: None, item_count: None, content_type: None, filename: None }
    }
}

/// An envelope that still accepts items.
#[derive(Debug)]
pub(crate) struct OpenEnvelope<'a> {
    redactor: &'a Redactor,
    bytes: Vec<u8>,
}

impl OpenEnvelope<'_> {
    /// Adds an item; after an error the envelope is unchanged.
    pub(crate) fn item(&mut self, kind: ItemType, span_count: Option<usize>, payload: &impl Serialize) -> serde_json::Result<()> {
        self.add(Header { span_count, ..Header::of(kind) }, |redactor, bytes| redactor.write(payload, bytes))
    }

    /// Adds a container with `count` items of one kind.
    pub(crate) fn container(&mut self, kind: ItemType, count: usize, media_type: &str, payload: &impl Serialize) -> serde_json::Result<()> {
        let header = Header { item_count: Some(count), content_type: Some(media_type), ..Header::of(kind) };
        self.add(header, |redactor, bytes| redactor.write(payload, bytes))
    }

    /// Adds a file: JSON is judged by names and shapes, text by shapes; other bytes stay.
    pub(crate) fn attachment(&mut self, file: &Attachment) -> serde_json::Result<()> {
        let Attachment { filename, content_type, bytes: content } = file;
        let filename = patterns::scrub(self.redactor, filename);
        let header = Header { filename: Some(&filename), content_type: content_type.as_deref(), ..Header::of(ItemType::Attachment) };
        self.add(header, |redactor, bytes| {
            match (serde_json::from_slice::<serde_json::Value>(content), std::str::from_utf8(content)) {
                (Ok(json @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))), _) => redactor.write(&json, bytes)?,
                (_, Ok(text)) => bytes.extend_from_slice(patterns::scrub(redactor, text).as_bytes()),
                (_, Err(_)) => bytes.extend_from_slice(content),
            }
            Ok(())
        })
    }

    fn add(
        &mut self,
        mut header: Header<'_>,
        write: impl FnOnce(&Redactor, &mut Vec<u8>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        let before = self.bytes.len();
        self.bytes.push(b'\n');
        let start = self.bytes.len();
        let written = write(self.redactor, &mut self.bytes).and_then(|()| {
            header.length = self.bytes.len() - start;
            serde_json::to_vec(&header)
        });
        match written {
            Ok(mut header) => {
                header.push(b'\n');
                // The header needs the payload's length, so the payload moves behind it, in one
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

    pub(crate) fn seal(self) -> Redacted<SealedEnvelope> {
        Redacted(SealedEnvelope { bytes: self.bytes })
    }
}

#[cfg(test)]
pub(crate) fn redact_json(rules: Redaction, value: &impl Serialize) -> String {
    let mut buffer = Vec::new();
    let redactor = Redactor::new(Arc::new(rules), false);
    redactor.write(value, &mut buffer).map_or_else(|error| error.to_string(), |()| String::from_utf8_lossy(&buffer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::protocol::{ClientReport, EnvelopeHeader, EventId, parse};

    #[test]
    fn an_envelope_has_its_moment_and_the_length_of_each_item() {
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
    fn an_item_says_how_many_spans_it_has() {
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
    fn an_envelope_without_headers_has_only_its_moment() {
        let redactor = Redactor::new(Arc::default(), false);

        let mut sealed = redactor.envelope(&EnvelopeHeader::default(), Vec::new()).expect("plain types serialise").seal();

        assert_eq!(sealed.bytes_at(UNIX_EPOCH), b"{\"sent_at\":\"1970-01-01T00:00:00.000Z\"}");
    }
}
