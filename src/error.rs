//! Errors while monitoring starts or stops. Inside a request, this crate never returns an error.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A setting is invalid, or the exporter cannot start.
///
/// The message names the setting or variable, the expected value and the actual one. It never
/// contains a key or a whole URL. [`source`](StdError::source) returns the error that caused this
/// one, if there is one. `{error}` shows the message alone; `{error:#}` adds the messages of its
/// causes, and so does `{error:?}`, which `main` prints if it returns the error.
///
/// # Examples
///
/// ```
/// use tower_sentry::Config;
///
/// let error = Config::builder().dsn("sentry.example/42").build().unwrap_err();
///
/// assert!(error.is_dsn());
/// eprintln!("monitoring is not configured: {error:#}");
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    Dsn,
    Exporter,
    Setting,
}

impl Error {
    const fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, source: None }
    }

    pub(crate) fn dsn(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Dsn, message.into())
    }

    pub(crate) fn exporter(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Exporter, message.into())
    }

    pub(crate) fn setting(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Setting, message.into())
    }

    /// Adds the error that caused this one. The message must not repeat its text.
    pub(crate) fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Whether the DSN is invalid.
    pub fn is_dsn(&self) -> bool {
        self.kind == ErrorKind::Dsn
    }

    /// Whether the exporter could not start.
    pub fn is_exporter(&self) -> bool {
        self.kind == ErrorKind::Exporter
    }

    /// Whether another setting is invalid.
    pub fn is_setting(&self) -> bool {
        self.kind == ErrorKind::Setting
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if f.alternate() {
            let mut cause = self.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

/// The same as `{error:#}`, because `main` prints `Debug` if it returns the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A flush or a shutdown did not deliver everything before its deadline.
#[derive(Clone)]
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
    /// After a flush they are still pending. After a shutdown they are dropped.
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not everything was delivered within {:?}; items left: {}", self.timeout, self.left)
    }
}

impl fmt::Debug for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl StdError for FlushError {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_cause_is_the_source_and_stands_once_in_the_message() {
        let cause = io::Error::new(io::ErrorKind::OutOfMemory, io::Error::other("no memory left"));

        let error = Error::exporter("the exporter's thread could not be started").caused_by(cause);

        assert!(error.is_exporter());
        assert_eq!(error.to_string(), "the exporter's thread could not be started");
        assert_eq!(format!("{error:#}"), "the exporter's thread could not be started: no memory left");
        assert_eq!(format!("{error:?}"), format!("{error:#}"));
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::OutOfMemory));
        assert!(Error::setting("no cause").source().is_none());
    }
}
