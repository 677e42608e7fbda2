//! The form in which requests and jobs are sent.

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
    /// Each request or job is one transaction, which is sent at its end. All servers that store traces accept
    /// it. This is the default.
    #[default]
    Static,
    /// Each request or job is sent as spans. Those of a long one are sent while it runs. sentry.io stores them.
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
