//! What can go wrong while monitoring is set up or shut down. Inside a request nothing of ours is ever an error.

use std::fmt;
use std::time::Duration;

/// A setting that cannot be used, or an exporter that cannot start.
///
/// The message names the setting or variable, what was expected and what was found; it never holds a key or a whole URL.
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

    /// Whether the DSN is at fault.
    pub fn is_dsn(&self) -> bool {
        self.kind == Kind::Dsn
    }

    /// Whether the exporter could not start.
    pub fn is_exporter(&self) -> bool {
        self.kind == Kind::Exporter
    }

    /// Whether another setting is at fault.
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

/// Not everything could be delivered before the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushError {
    timeout: Duration,
    left: u64,
}

impl FlushError {
    pub(crate) fn new(timeout: Duration, left: u64) -> Self {
        Self { timeout, left }
    }

    /// How many items were still waiting: they are dropped at a shutdown, and still waiting after a flush.
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
