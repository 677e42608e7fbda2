//! How severe an event is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How severe an event or a breadcrumb is, in the protocol's five steps.
///
/// Note `warning`, not `warn`: Sentry turns the latter into `error` without a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// For developers.
    Debug,
    /// Worth knowing.
    Info,
    /// Unexpected, yet handled.
    Warning,
    /// A failure. The default of events.
    #[default]
    Error,
    /// The process or the request did not survive.
    Fatal,
}

impl Level {
    /// The word the protocol uses.
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

/// The text is none of `debug`, `info`, `warning`, `error` and `fatal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLevel(());

impl fmt::Display for InvalidLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected debug, info, warning, error or fatal")
    }
}

impl std::error::Error for InvalidLevel {}
