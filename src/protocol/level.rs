//! Severity levels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The severity of an event or a breadcrumb, in the five levels of the protocol.
///
/// It is `warning`, not `warn`: Sentry silently turns `warn` into `error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// Information for developers.
    Debug,
    /// Normal operation.
    Info,
    /// An unexpected condition that was handled.
    Warning,
    /// A failure.
    ///
    /// This is the default for events.
    #[default]
    Error,
    /// A failure that ended the process or the request.
    Fatal,
}

impl Level {
    /// The name in the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Self::Debug,
        }
    }
}

impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warning" => Ok(Self::Warning),
            "error" => Ok(Self::Error),
            "fatal" => Ok(Self::Fatal),
            _ => Err(InvalidLevel(())),
        }
    }
}

/// The text is not one of `debug`, `info`, `warning`, `error` and `fatal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLevel(());

impl fmt::Display for InvalidLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected debug, info, warning, error or fatal")
    }
}

impl std::error::Error for InvalidLevel {}
