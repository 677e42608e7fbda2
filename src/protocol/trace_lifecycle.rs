//! The form in which spans leave.

use std::fmt;

/// The form in which requests and jobs are sent; see [`trace_lifecycle`](crate::ConfigBuilder::trace_lifecycle).
///
/// # Examples
///
/// ```
/// use tower_sentry::Config;
/// use tower_sentry::protocol::TraceLifecycle;
///
/// let config = Config::builder().trace_lifecycle(TraceLifecycle::Stream).build()?;
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceLifecycle {
    /// One transaction, which is sent at its end. All servers store it.
    #[default]
    Static,
    /// Spans, which may be sent while the request or job still runs. sentry.io stores them.
    Stream,
}

impl fmt::Display for TraceLifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Stream => "stream",
        })
    }
}
