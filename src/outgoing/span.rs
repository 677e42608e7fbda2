//! The span of an outgoing request.

use http::{HeaderMap, Method, StatusCode, Uri};

use crate::propagation::{Target, is_target};
use crate::protocol::Dsn;
use crate::protocol::SpanStatus;
use crate::record::{FieldWriter, Key};
use crate::scope::{OwnSpan, Scope};

/// An outgoing request in progress.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// `None` if the request is not recorded.
    span: Option<OwnSpan>,
}

impl Call {
    /// Starts the span below the active one, and adds trace headers if the URL matches.
    ///
    /// The targets are `targets`, or else those of the current client.
    pub(super) fn begin(method: &Method, uri: &Uri, headers: &mut HeaderMap, targets: Option<&[Target]>) -> Self {
        // Outside requests and jobs there is neither a span nor a trace to propagate.
        let Some(here) = Scope::entered() else { return Self::default() };
        let Some(settings) = here.settings() else { return Self::default() };
        // Recording the exporter's own requests would produce more of them.
        let server = settings.delivery.dsn.as_ref().map(Dsn::envelope_url);
        if server.is_some_and(|server| server.host() == uri.host() && server.path() == uri.path()) {
            return Self::default();
        }
        let mut span = OwnSpan::start("http.client", "auto.http.client.tower", &description(method, uri));
        if let Some(span) = &mut span {
            span.set(|writer| describe(method, uri, writer));
        }
        if is_target(targets.unwrap_or(&settings.propagation.targets), uri) {
            match &mut span {
                // The next service's work is a child of this span.
                Some(span) => span.enter(|| Scope::current().write_trace(headers, false)),
                None => here.write_trace(headers, false),
            }
        }
        Self { span }
    }

    /// Runs a part of the call inside its span.
    pub(super) fn enter<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match &mut self.span {
            Some(span) => span.enter(work),
            None => work(),
        }
    }

    /// Ends the span: with the status of the response, or as failed if there is none.
    pub(super) fn end(&mut self, status: Option<StatusCode>) {
        let Some(mut span) = self.span.take() else { return };
        if let Some(status) = status {
            span.set(|writer| writer.u64(Key::Name("http.response.status_code"), status.as_u16().into()));
        }
        span.end(status.map_or(SpanStatus::InternalError, |status| SpanStatus::from_http(status.as_u16())));
    }
}

/// Returns `GET https://stock.internal/items`: without the query and credentials.
fn description(method: &Method, uri: &Uri) -> String {
    let scheme = uri.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    format!("{method} {scheme}{}{}", authority(uri), uri.path())
}

/// Host and port, without a user and password in front of them.
fn authority(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn describe(method: &Method, uri: &Uri, writer: &mut FieldWriter<'_>) {
    writer.text(Key::Name("http.request.method"), method.as_str());
    if uri.authority().is_some() {
        writer.text(Key::Name("url.full"), &format!("{}://{}{}", uri.scheme_str().unwrap_or("http"), authority(uri), uri.path()));
    }
    if let Some(query) = uri.query() {
        writer.text(Key::Name("url.query"), query);
    }
    if let Some(host) = uri.host() {
        writer.text(Key::Name("server.address"), host);
    }
    if let Some(port) = uri.port_u16() {
        writer.u64(Key::Name("server.port"), port.into());
    }
}
