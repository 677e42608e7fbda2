//! `<meta>` tags from which Sentry's browser SDK continues the trace of a page.

use std::fmt;

use super::escape::Escaped;
use crate::scope::Scope;

impl Scope {
    /// Returns the trace of this request as `<meta>` tags for the `<head>` of the page.
    ///
    /// The result is empty outside requests and jobs, and while monitoring is off. Do not put the
    /// tags into cached pages: all their visitors would share one trace.
    ///
    /// `Display` writes escaped HTML. Use `{{ tags|safe }}` in askama and
    /// `(PreEscaped(tags.to_string()))` in maud.
    ///
    /// # Examples
    ///
    /// ```
    /// let tags = tower_sentry::Scope::current().trace_meta_tags();
    /// let page = format!("<html><head>{tags}</head><body>…</body></html>");
    /// ```
    pub fn trace_meta_tags(&self) -> TraceMetaTags {
        let outgoing = self.outgoing();
        TraceMetaTags {
            sentry_trace: outgoing.as_ref().map(|(outgoing, _)| outgoing.sentry_trace()),
            baggage: outgoing.map(|(outgoing, _)| outgoing.baggage).filter(|baggage| !baggage.is_empty()),
        }
    }
}

/// `<meta>` tags with a trace, made by [`Scope::trace_meta_tags`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceMetaTags {
    sentry_trace: Option<String>,
    baggage: Option<String>,
}

impl fmt::Display for TraceMetaTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, content) in [("sentry-trace", &self.sentry_trace), ("baggage", &self.baggage)] {
            if let Some(content) = content {
                write!(f, "<meta name=\"{name}\" content=\"{}\">", Escaped(content))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        let tags = TraceMetaTags { sentry_trace: Some("a\"><script>'&".to_owned()), baggage: None };

        assert_eq!(tags.to_string(), "<meta name=\"sentry-trace\" content=\"a&quot;&gt;&lt;script&gt;&#39;&amp;\">");
    }

    #[test]
    fn what_looks_escaped_already_reads_back_as_it_was() {
        let tags = TraceMetaTags { sentry_trace: None, baggage: Some("a=&lt;&amp;".to_owned()) };

        assert_eq!(tags.to_string(), "<meta name=\"baggage\" content=\"a=&amp;lt;&amp;amp;\">");
    }
}
