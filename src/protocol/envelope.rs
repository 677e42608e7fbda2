//! The frame around everything that is sent: one header line, then items of one header line and one payload each.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DynamicSamplingContext, EventId};

/// The first line of an envelope.
///
/// `sent_at` is left out: it is set at each attempt to send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvelopeHeader {
    /// The id of the event or transaction inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// The project, for tunnels and files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsn: Option<String>,
    /// Who wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkInfo>,
    /// What the trace is sampled by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<DynamicSamplingContext>,
}

/// The line before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ItemHeader {
    /// What the payload is.
    #[serde(rename = "type")]
    pub kind: ItemType,
    /// Its length in bytes. Always sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// How many spans a transaction has below its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_count: Option<usize>,
}

impl ItemHeader {
    /// A header for a payload of `length` bytes.
    pub const fn new(kind: ItemType, length: usize) -> Self {
        Self { kind, length: Some(length), span_count: None }
    }
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ItemType {
    /// A file that belongs to an event.
    Attachment,
    /// A run of a cron job has begun or ended.
    CheckIn,
    /// Counts of what was dropped.
    ClientReport,
    /// An error, a panic or a message.
    Event,
    /// What a user says.
    Feedback,
    /// Structured logs.
    Log,
    /// Sessions by minute.
    Sessions,
    /// A transaction.
    Transaction,
    /// Anything this crate does not send.
    #[serde(other)]
    Other,
}

/// Who wrote an envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SdkInfo {
    /// `tower.sentry`.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// The packages it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<SdkPackage>,
    /// What the server may infer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<SdkSettings>,
}

impl SdkInfo {
    /// This crate.
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
    /// Without it a server takes the address of *this* machine for the user's.
    pub(crate) const INFER_IP: &str = "never";
}

/// A package an SDK consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SdkPackage {
    /// Source and name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What the server may infer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SdkSettings {
    /// Whether the sender's address stands for the user's: `never`.
    pub infer_ip: String,
}

/// An item of a parsed envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Its header.
    pub header: ItemHeader,
    /// Its payload.
    pub payload: &'a [u8],
}

/// Reads the frame of an envelope strictly, as a server does.
///
/// # Errors
///
/// If a header is no JSON object on a line of its own, a length does not fit, or lines are left over.
pub fn parse(bytes: &[u8]) -> Result<(EnvelopeHeader, Vec<Frame<'_>>), InvalidEnvelope> {
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
        items.push(Frame { header, payload });
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

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEnvelope(&'static str);

impl fmt::Display for InvalidEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidEnvelope {}
