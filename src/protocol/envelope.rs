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
#[non_exhaustive]
pub struct EnvelopeHeader {
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
#[non_exhaustive]
pub struct ItemHeader {
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

impl ItemHeader {
    /// Creates a header for a payload of `length` bytes.
    pub const fn new(kind: ItemType, length: usize) -> Self {
        Self { kind, length: Some(length), span_count: None }
    }
}

/// The type of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ItemType {
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
    /// Sessions, counted by minute.
    Sessions,
    /// A transaction.
    Transaction,
    /// Any type that this crate does not send.
    #[serde(other)]
    Other,
}

/// The SDK that wrote an envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SdkInfo {
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
    pub fn current() -> Self {
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
#[non_exhaustive]
pub struct SdkPackage {
    /// The registry and the name.
    pub name: String,
    /// The version.
    pub version: String,
}

/// What the server may infer from the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SdkSettings {
    /// Whether the server uses the sender's address as the user's.
    ///
    /// Always `never`.
    pub infer_ip: String,
}

/// An item of a parsed envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvelopeFrame<'a> {
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
pub fn parse(bytes: &[u8]) -> Result<(EnvelopeHeader, Vec<EnvelopeFrame<'_>>), InvalidEnvelope> {
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
pub struct InvalidEnvelope(&'static str);

impl fmt::Display for InvalidEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidEnvelope {}
