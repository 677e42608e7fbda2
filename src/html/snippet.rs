//! The snippet that sets up the browser SDK in a page.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::browser::Browser;
use super::escape::{Escaped, Literal};
use super::meta::TraceMetaTags;
use crate::diagnostics::Quiet;
use crate::protocol::EventId;
use crate::scope::Scope;

impl Scope {
    /// Returns the HTML that sets up Sentry's browser SDK, for the `<head>` of a page.
    ///
    /// It contains the [trace](Self::trace_meta_tags) of this request, so that the page load belongs to the
    /// same trace. Do not put it into cached pages: all their visitors would share one trace and one user.
    ///
    /// `Display` writes HTML, in which each value is escaped for its place. Use `{{ snippet|safe }}` in
    /// askama and `(PreEscaped(snippet.to_string()))` in maud.
    ///
    /// If the DSN is invalid, the page gets no script, and a warning is logged at most once a minute. Check
    /// the DSN with [`Browser::build`] at the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Scope;
    /// use tower_sentry::html::Browser;
    ///
    /// let browser = Browser::new("https://0123456789abcdef0123456789abcdef@sentry.example/43").build()?;
    ///
    /// let snippet = Scope::current().page_snippet(&browser).user_id("7").nonce("r4nd0m");
    ///
    /// let page = format!("<html><head>{snippet}</head><body>…</body></html>");
    /// assert!(page.contains("<script nonce=\"r4nd0m\">"));
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn page_snippet(&self, browser: &Browser) -> PageSnippet {
        static TROUBLE: Quiet = Quiet::new();
        if browser.dsn.is_none() {
            TROUBLE.warn("a page has no script of Sentry, because the DSN of the browser is invalid");
        }
        let settings = self.settings();
        let facts = settings.map(|settings| &settings.facts);
        let options = browser.dsn.as_ref().map(|dsn| Options {
            dsn: dsn.to_public_text(),
            tunnel: browser.tunnel.clone(),
            release: browser.release.clone().or_else(|| facts?.release.clone()),
            environment: browser.environment.clone().or_else(|| Some(facts?.environment.clone())),
            traces_sample_rate: browser.traces_sample_rate.or_else(|| Some(settings?.live.traces_sample_rate)),
            replays_session_sample_rate: browser.replay_session_sample_rate,
            replays_on_error_sample_rate: browser.replay_on_error_sample_rate,
            trace_propagation_targets: browser.trace_propagation_targets.clone(),
            initial_scope: InitialScope { tags: browser.tags.clone(), user: None },
        });
        let replays = [browser.replay_session_sample_rate, browser.replay_on_error_sample_rate].iter().flatten().any(|rate| *rate > 0.0);
        PageSnippet {
            trace: self.trace_meta_tags(),
            script: browser.script.clone().filter(|_| options.is_some()),
            integrity: browser.integrity.clone(),
            nonce: None,
            options,
            replay: replays.then_some(Replay { mask_all_text: browser.mask_all_text, block_all_media: browser.block_all_media }),
            report_dialog: None,
        }
    }
}

/// The HTML that sets up the browser SDK, made by [`Scope::page_snippet`].
#[derive(Clone, Debug)]
#[must_use = "it has no effect until it is in a page"]
pub struct PageSnippet {
    trace: TraceMetaTags,
    script: Option<String>,
    integrity: Option<String>,
    nonce: Option<String>,
    options: Option<Options>,
    replay: Option<Replay>,
    report_dialog: Option<EventId>,
}

impl PageSnippet {
    /// Sets the id of the user who gets the page. It is readable in the page. Defaults to none.
    pub fn user_id(mut self, id: impl Into<String>) -> Self {
        if let Some(options) = &mut self.options {
            options.initial_scope.user = Some(PageUser { id: id.into() });
        }
        self
    }

    /// Sets the nonce of the page's `Content-Security-Policy`.
    ///
    /// Replays also need `worker-src blob:`. Defaults to no nonce.
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Opens the SDK's dialog, which asks the user what happened before this event.
    ///
    /// The browser loads the dialog's code from the server of the DSN, not through the tunnel. The form of an
    /// [`ErrorPage`](super::ErrorPage) needs no script. A nil id is ignored.
    pub fn report_dialog(mut self, event_id: EventId) -> Self {
        self.report_dialog = Some(event_id).filter(|id| !id.is_nil());
        self
    }
}

impl fmt::Display for PageSnippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, script, integrity, nonce, options, replay, report_dialog } = self;
        write!(f, "{trace}")?;
        let attribute = |f: &mut fmt::Formatter<'_>, name: &str, value: Option<&str>| match value {
            Some(value) => write!(f, " {name}=\"{}\"", Escaped(value)),
            None => Ok(()),
        };
        if let Some(url) = script {
            f.write_str("<script")?;
            attribute(f, "src", Some(url))?;
            attribute(f, "integrity", integrity.as_deref())?;
            attribute(f, "crossorigin", Some("anonymous"))?;
            attribute(f, "nonce", nonce.as_deref())?;
            f.write_str("></script>")?;
        }
        let Some(options) = options else { return Ok(()) };
        f.write_str("<script")?;
        attribute(f, "nonce", nonce.as_deref())?;
        // A bundle may lack parts, and a blocker may block all of it.
        write!(f, ">(function(S){{if(!S)return;var o={};o.integrations=[];", Literal(options))?;
        f.write_str("if(S.browserTracingIntegration)o.integrations.push(S.browserTracingIntegration());")?;
        if let Some(replay) = replay {
            write!(f, "if(S.replayIntegration)o.integrations.push(S.replayIntegration({}));", Literal(replay))?;
        }
        f.write_str("S.init(o);")?;
        if let Some(event_id) = report_dialog {
            write!(f, "if(S.showReportDialog)S.showReportDialog({{eventId:{}}});", Literal(event_id))?;
        }
        f.write_str("})(window.Sentry)</script>")
    }
}

/// The options of the SDK, by its own names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    dsn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traces_sample_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replays_session_sample_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replays_on_error_sample_rate: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trace_propagation_targets: Vec<String>,
    initial_scope: InitialScope,
}

#[derive(Clone, Debug, Serialize)]
struct InitialScope {
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<PageUser>,
}

#[derive(Clone, Debug, Serialize)]
struct PageUser {
    id: String,
}

/// The options of the SDK's replays.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replay {
    mask_all_text: bool,
    block_all_media: bool,
}
