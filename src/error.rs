//! Errors while monitoring starts or stops. Inside a request, this crate never returns an error.

use std::fmt;
use std::time::Duration;

/// A setting is invalid, or the exporter cannot start.
///
/// The message names the setting or variable, the expected value and the actual one. It never
/// contains a key or a whole URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dsn,
    Exporter,
    Setting,
}

impl Error {
    pub(crate) fn dsn(message: impl Into<String>) -> Self {
        Self { kind: Kind::Dsn, message: message.into() }
    }

    pub(crate) fn exporter(message: impl Into<String>) -> Self {
        Self { kind: Kind::Exporter, message: message.into() }
    }

    pub(crate) fn setting(message: impl Into<String>) -> Self {
        Self { kind: Kind::Setting, message: message.into() }
    }

    /// Whether the DSN is invalid.
    pub fn is_dsn(&self) -> bool {
        self.kind == Kind::Dsn
    }

    /// Whether the exporter could not start.
    pub fn is_exporter(&self) -> bool {
        self.kind == Kind::Exporter
    }

    /// Whether another setting is invalid.
    pub fn is_setting(&self) -> bool {
        self.kind == Kind::Setting
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind).field("message", &self.message).finish()
    }
}

impl std::error::Error for Error {}

/// Not everything was delivered before the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushError {
    timeout: Duration,
    left: u64,
}

impl FlushError {
    pub(crate) fn new(timeout: Duration, left: u64) -> Self {
        Self { timeout, left }
    }

    /// The number of items that were not delivered.
    ///
    /// After a flush they are still pending; at a shutdown they are dropped.
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items were not delivered within {:?}", self.left, self.timeout)
    }
}

impl std::error::Error for FlushError {}
