//! Envelopes: the format of everything that is sent.
//!
//! An envelope is a header line, followed by items. An item is a header line and a payload.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DynamicSamplingContext, EventId};

/// The header of an envelope, which is its first line.
///
/// `sent_at` is not a field here: it is set at each attempt to send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EnvelopeHeader {
    /// The id of the event or transaction in the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// The DSN of the project, for tunnels and files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsn: Option<String>,
    /// The SDK that wrote the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkInfo>,
    /// The dynamic sampling context of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<DynamicSamplingContext>,
}

/// The header of an item, which is the line before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemHeader {
    /// The type of the payload.
    #[serde(rename = "type")]
    pub kind: ItemType,
    /// The length of the payload in bytes.
    ///
    /// This crate always sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// The number of spans of a transaction, without the root span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_count: Option<usize>,
}

/// The type of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ItemType {
    /// A file attached to an event.
    Attachment,
    /// The start or end of a run of a cron job.
    CheckIn,
    /// Counts of dropped data.
    ClientReport,
    /// An error, a panic or a message.
    Event,
    /// User feedback.
    Feedback,
    /// Structured logs.
    Log,
    /// The profile of a transaction.
    Profile,
    /// A chunk of the profile of a session.
    ProfileChunk,
    /// Sessions, counted by minute.
    Sessions,
    /// Streamed spans.
    Span,
    /// Metrics.
    TraceMetric,
    /// A transaction.
    Transaction,
    /// Any type that this crate does not send.
    #[serde(other)]
    Other,
}

impl ItemType {
    /// The largest payload that Sentry's servers accept, in bytes. They refuse the whole envelope of a larger item.
    pub(crate) const fn size_limit(self) -> usize {
        match self {
            Self::Event | Self::Feedback | Self::Transaction => 1024 * 1024,
            Self::CheckIn | Self::ClientReport => 100 * 1024,
            Self::Sessions => 10 * 1024 * 1024,
            Self::Log | Self::Span | Self::TraceMetric => 12 * 1024 * 1024,
            Self::Profile | Self::ProfileChunk => 50 * 1024 * 1024,
            Self::Attachment | Self::Other => 200 * 1024 * 1024,
        }
    }
}

/// The SDK that wrote an envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SdkInfo {
    /// `tower.sentry`.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// The packages of the SDK.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<SdkPackage>,
    /// What the server may infer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<SdkSettings>,
}

impl SdkInfo {
    /// The information about this crate.
    pub(crate) fn current() -> Self {
        let version = Self::VERSION.to_owned();
        Self {
            name: Self::NAME.to_owned(),
            version: version.clone(),
            packages: vec![SdkPackage { name: Self::PACKAGE.to_owned(), version }],
            settings: Some(SdkSettings { infer_ip: Self::INFER_IP.to_owned() }),
        }
    }

    pub(crate) const NAME: &str = "tower.sentry";
    pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
    pub(crate) const PACKAGE: &str = "cargo:tower-sentry";
    /// Without this setting, a server uses the address of *this* machine as the user's.
    pub(crate) const INFER_IP: &str = "never";
}

/// A package of an SDK.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SdkPackage {
    /// The registry and the name.
    pub name: String,
    /// The version.
    pub version: String,
}

/// What the server may infer from the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SdkSettings {
    /// Whether the server uses the sender's address as the user's.
    ///
    /// Always `never`.
    pub infer_ip: String,
}

/// An item of a parsed envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnvelopeFrame<'a> {
    /// The header.
    pub header: ItemHeader,
    /// The payload.
    pub payload: &'a [u8],
}

/// Parses an envelope strictly, as a server does.
///
/// # Errors
///
/// Returns an error if a header is not a JSON object on its own line, if a length does not match
/// its payload, or if there are more than 500 items.
pub(crate) fn parse(bytes: &[u8]) -> Result<(EnvelopeHeader, Vec<EnvelopeFrame<'_>>), InvalidEnvelope> {
    let (line, mut rest) = split_line(bytes);
    let header = read_header(line)?;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        let header: ItemHeader = read_header(line)?;
        let payload;
        (payload, rest) = match header.length {
            None => split_line(after),
            Some(length) => {
                let (payload, after) = after.split_at_checked(length).ok_or(InvalidEnvelope("a length reaches past the end"))?;
                match after.split_first() {
                    None => (payload, after),
                    Some((b'\n', after)) => (payload, after),
                    Some(_) => return Err(InvalidEnvelope("a payload is longer than its length")),
                }
            }
        };
        items.push(EnvelopeFrame { header, payload });
        if items.len() > 500 {
            return Err(InvalidEnvelope("more than 500 items"));
        }
    }
    Ok((header, items))
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default()),
        None => (bytes, &[]),
    }
}

fn read_header<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, InvalidEnvelope> {
    if line.first() != Some(&b'{') || line.last() != Some(&b'}') {
        return Err(InvalidEnvelope("a header is not a JSON object alone on its line"));
    }
    serde_json::from_slice(line).map_err(|_| InvalidEnvelope("a header cannot be read"))
}

/// The reason why bytes are not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidEnvelope(&'static str);

impl fmt::Display for InvalidEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidEnvelope {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;
    use crate::protocol::{Event, Transaction};

    /// The protocol's own fixtures.
    fn fixtures(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn valid_envelopes_are_read_and_their_payloads_survive() {
        let mut payloads = 0;
        for file in fixtures("valid") {
            // It holds numbers where this crate and the documents write text.
            if file.ends_with("26-span-v2-negative-dsc-types.envelope") {
                continue;
            }
            let bytes = fs::read(&file).unwrap();
            let (_, items) = parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            for item in items {
                let written: Value = match item.header.kind {
                    ItemType::Event => serde_json::to_value(serde_json::from_slice::<Event>(item.payload).unwrap()).unwrap(),
                    ItemType::Transaction => serde_json::to_value(serde_json::from_slice::<Transaction>(item.payload).unwrap()).unwrap(),
                    _ => continue,
                };
                payloads += 1;
                let given: Value = serde_json::from_slice(item.payload).unwrap();
                // Types that this crate does not send may be lost. Types that it sends must read back unchanged.
                for (name, value) in written.as_object().unwrap() {
                    let known = given.get(name).is_some_and(|given| covers(given, value));
                    let filled = matches!(name.as_str(), "level" | "contexts");
                    assert!(known || filled, "{}: {name}: {value} of {given}", file.display());
                }
            }
        }
        assert!(payloads >= 8, "only {payloads} payloads were read");
    }

    /// Whether everything that was written was given; numbers may have changed their form.
    fn covers(given: &Value, written: &Value) -> bool {
        match (given, written) {
            (Value::Object(given), Value::Object(written)) => {
                written.iter().all(|(name, value)| given.get(name).is_some_and(|given| covers(given, value)) || name == "level")
            }
            (Value::Array(given), Value::Array(written)) => {
                given.len() == written.len() && given.iter().zip(written).all(|(a, b)| covers(a, b))
            }
            (Value::Number(given), Value::Number(written)) => (given.as_f64().unwrap() - written.as_f64().unwrap()).abs() < 1e-6,
            (given, written) => given == written,
        }
    }

    #[test]
    fn broken_frames_are_refused() {
        // By their frame alone; the others are broken inside an item.
        let broken = ["02", "03", "04", "05", "06", "08", "09", "10", "14", "15", "37"];
        let mut refused = 0;
        for file in fixtures("invalid") {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if broken.iter().any(|number| name.starts_with(number)) {
                assert!(parse(&fs::read(&file).unwrap()).is_err(), "{name} was read");
                refused += 1;
            }
        }
        assert_eq!(refused, broken.len());
    }

    #[test]
    fn an_envelope_has_at_most_500_items() {
        let envelope = |items: usize| format!("{{}}\n{}", "{\"type\":\"event\",\"length\":2}\n{}\n".repeat(items));

        assert_eq!(parse(envelope(500).as_bytes()).map(|(_, items)| items.len()), Ok(500));
        assert!(parse(envelope(501).as_bytes()).is_err_and(|error| error.to_string() == "more than 500 items"));
    }
}
