//! What a transport is asked to send, and where to.

use std::fmt;

use ::http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use bytes::Bytes;

use crate::protocol::Dsn;

const AGENT: &str = concat!("tower.sentry/", env!("CARGO_PKG_VERSION"));

/// One envelope for a [`Transport`](super::Transport): where to send it, with which headers, and
/// its bytes.
///
/// # Examples
///
/// ```
/// use http::{HeaderMap, Method, Uri};
/// use tower_sentry::transport::EnvelopeRequest;
///
/// let url = Uri::from_static("https://sentry.example/api/1/envelope/");
/// let request = EnvelopeRequest::new(Some(url), HeaderMap::new(), "{}\n");
///
/// let request = request.into_http().unwrap();
/// assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/api/1/envelope/"));
/// ```
#[derive(Clone)]
pub struct EnvelopeRequest {
    url: Option<Uri>,
    headers: HeaderMap,
    body: Bytes,
    needs_new_connection: bool,
}

impl EnvelopeRequest {
    /// Creates a request. The exporter does this; use it to test a transport of your own.
    pub fn new(url: Option<Uri>, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self { url, headers, body: body.into(), needs_new_connection: false }
    }

    /// The address of the project's envelopes; `None` without a DSN.
    pub fn url(&self) -> Option<&Uri> {
        self.url.as_ref()
    }

    /// The headers: content type, encoding, user agent, and the key of the project.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The envelope, compressed if the header `content-encoding` says so.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The headers and the body, for a transport that knows the address.
    #[cfg(feature = "reqwest")]
    pub(super) fn into_parts(self) -> (HeaderMap, Bytes) {
        (self.headers, self.body)
    }

    /// Whether to send it over a new connection, because an open one may be broken.
    ///
    /// The exporter asks for this if an attempt over another connection got no answer. A transport
    /// without connections ignores it.
    pub fn needs_new_connection(&self) -> bool {
        self.needs_new_connection
    }

    /// Sets whether to send it over a new connection. The exporter does this.
    #[must_use]
    pub fn on_new_connection(mut self, needs_new_connection: bool) -> Self {
        self.needs_new_connection = needs_new_connection;
        self
    }

    /// Returns an HTTP request with the method POST; `None` without a DSN.
    pub fn into_http(self) -> Option<Request<Bytes>> {
        let mut request = Request::new(self.body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url?;
        *request.headers_mut() = self.headers;
        Some(request)
    }
}

impl fmt::Debug for EnvelopeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, headers, body, needs_new_connection } = self;
        f.debug_struct("EnvelopeRequest")
            .field("url", url)
            .field("headers", headers)
            .field("bytes", &body.len())
            .field("needs_new_connection", needs_new_connection)
            .finish()
    }
}

/// The address of a server, and the headers that each request to it has.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    url: Option<Uri>,
    headers: HeaderMap,
}

impl Endpoint {
    /// A server that needs no key, or the receiver of envelopes without an address.
    pub(crate) fn new(url: Option<Uri>) -> Self {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope")),
            (header::USER_AGENT, HeaderValue::from_static(AGENT)),
        ]);
        Self { url, headers }
    }

    /// The server of a project, which needs the project's key.
    pub(crate) fn of_project(dsn: &Dsn) -> Self {
        let mut endpoint = Self::new(Some(dsn.envelope_url().clone()));
        let auth =
            format!("Sentry sentry_version=7, sentry_client=tower-sentry/{}, sentry_key={}", env!("CARGO_PKG_VERSION"), dsn.public_key());
        // The key is part of a URL. It has no characters that a header cannot contain.
        if let Ok(mut auth) = HeaderValue::try_from(auth) {
            auth.set_sensitive(true);
            endpoint.headers.insert("x-sentry-auth", auth);
        }
        endpoint
    }

    /// An OpenTelemetry collector; `given` has its keys.
    #[cfg(feature = "otlp")]
    pub(crate) fn of_collector(url: Uri, given: &HeaderMap) -> Self {
        let mut endpoint = Self::new(Some(url));
        endpoint.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        // There is one of each name. A user agent of the user's replaces ours.
        for (name, value) in given {
            endpoint.headers.insert(name, value.clone());
        }
        endpoint
    }

    #[cfg(feature = "browser")]
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn request(&self, body: Vec<u8>, is_compressed: bool) -> EnvelopeRequest {
        let mut request = EnvelopeRequest::new(self.url.clone(), self.headers.clone(), body);
        if is_compressed {
            request.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        request
    }
}
