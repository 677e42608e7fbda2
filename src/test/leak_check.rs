//! Sends requests with random secrets to an application, see [`LeakCheck`].

use std::future::poll_fn;
use std::pin::pin;

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{Request, Response};
use http_body::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower::Service;

use super::leaks::{Encoding, Leaks, Planted};
use super::{Captured, client_with, subscribe};
use crate::client::{Client, Config, ConfigBuilder};
use crate::protocol::TraceId;

/// Proves that your service sends no secret: it puts random secrets into requests, and searches every
/// byte that would be sent.
///
/// Write [`SECRET`](Self::SECRET) where a client sends a secret: in a path, a query, a form or a
/// JSON text. Each request is sent in six [encodings](Encoding) of the secrets. It also has a
/// secret in `authorization`, `x-api-key`, and a session cookie.
///
/// The secrets are random letters and digits. A span field, a tag or a log that contains one is
/// found, unless its name or the text around it says that it is secret.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "axum")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use axum::{Json, Router, routing::{get, post}};
/// use tower_sentry::{SentryLayer, test::LeakCheck};
///
/// #[derive(serde::Deserialize)]
/// struct Login {
///     name: String,
///     password: String,
/// }
///
/// #[tracing::instrument(skip_all, fields(user = login.name))]
/// async fn login(Json(login): Json<Login>) {}
///
/// let leaks = LeakCheck::new()
///     .request("GET /reset/{secret}?lang=en")
///     .json("POST /login", r#"{"name":"jane","password":"{secret}"}"#)
///     .run(|sentry| {
///         Router::new()
///             .route("/reset/{token}", get(|| async {}))
///             .route("/login", post(login))
///             .layer(SentryLayer::new(sentry))
///     })
///     .await;
///
/// leaks.assert_none();
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before `run`"]
pub struct LeakCheck {
    requests: Vec<Planned>,
    settings: Option<ConfigBuilder>,
}

/// A request to send.
#[derive(Clone, Debug)]
struct Planned {
    /// `POST /login`
    target: String,
    content_type: Option<&'static str>,
    body: String,
}

impl Default for LeakCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl LeakCheck {
    /// Stands for a secret in a target or a body.
    pub const SECRET: &'static str = "{secret}";

    /// Creates a check without requests.
    pub const fn new() -> Self {
        Self { requests: Vec::new(), settings: None }
    }

    /// Uses your own settings, such as your redaction rules. All requests are sampled.
    pub fn settings(mut self, settings: ConfigBuilder) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Adds a request without a body: `GET /users/7?token={secret}`.
    pub fn request(self, target: impl Into<String>) -> Self {
        self.planned(target.into(), None, String::new())
    }

    /// Adds a request with a JSON text.
    pub fn json(self, target: impl Into<String>, body: impl Into<String>) -> Self {
        self.planned(target.into(), Some("application/json"), body.into())
    }

    /// Adds a request with a form: `name=jane&password={secret}`.
    pub fn form(self, target: impl Into<String>, body: impl Into<String>) -> Self {
        self.planned(target.into(), Some("application/x-www-form-urlencoded"), body.into())
    }

    fn planned(mut self, target: String, content_type: Option<&'static str>, body: String) -> Self {
        self.requests.push(Planned { target, content_type, body });
        self
    }

    /// Sends the requests to the router that `app` makes, and searches the bytes that would be sent. Needs
    /// the feature `axum`.
    ///
    /// A request that is answered with 404, 405, 415 or 422 did not reach your code. It is listed in
    /// the result, and [`Leaks::assert_none`] fails.
    ///
    /// # Panics
    ///
    /// It panics in the same cases as [`run_with`](Self::run_with).
    #[cfg(feature = "axum")]
    pub async fn run<S, R>(self, app: impl FnOnce(&Client) -> S) -> Leaks
    where
        S: Service<Request<::axum::body::Body>, Response = Response<R>>,
        R: Body,
    {
        self.run_with(app).await
    }

    /// Like `run`, for any service. The body of its requests is made from a `String`.
    ///
    /// A request that is answered with 404, 405, 415 or 422 did not reach your code. It is listed in
    /// the result, and [`Leaks::assert_none`] fails.
    ///
    /// # Panics
    ///
    /// If a setting or a target is invalid, if the service returns an error, or if there are no requests.
    #[expect(clippy::panic, reason = "a test ends here")]
    pub async fn run_with<S, B, R>(self, app: impl FnOnce(&Client) -> S) -> Leaks
    where
        S: Service<Request<B>, Response = Response<R>>,
        B: From<String>,
        R: Body,
    {
        assert!(!self.requests.is_empty(), "a leak check needs requests");
        subscribe();
        let settings = self.settings.unwrap_or_else(Config::builder).traces_sample_rate(1.0);
        let (client, captured) = client_with(settings);
        let mut app = app(&client);
        let mut leaks = Leaks::default();
        for planned in &self.requests {
            for encoding in Encoding::ALL {
                let request = planned.request(encoding, &mut leaks);
                poll_fn(|cx| app.poll_ready(cx)).await.unwrap_or_else(|_| panic!("the service is not ready"));
                let response = app.call(request).await.unwrap_or_else(|_| panic!("{}: the service returned an error", planned.target));
                if matches!(response.status().as_u16(), 404 | 405 | 415 | 422) {
                    leaks.unreached(format!("{} ({encoding}) was answered with {}", planned.target, response.status()));
                }
                let mut body = pin!(response.into_body());
                while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
            }
        }
        drop(app);
        search(leaks, &captured)
    }
}

fn search(mut leaks: Leaks, captured: &Captured) -> Leaks {
    let envelopes = captured.envelopes();
    if envelopes.is_empty() {
        leaks.unreached("nothing was recorded: is the `SentryLayer` part of the service?".to_owned());
    }
    leaks.search(&envelopes);
    leaks
}

impl Planned {
    /// Fills in new secrets.
    #[expect(clippy::panic, reason = "a test ends here")]
    fn request<B: From<String>>(&self, encoding: Encoding, leaks: &mut Leaks) -> Request<B> {
        let mut secret = |place: &str| {
            let planted = Planted::new(format!("{place} of {}", self.target), encoding, TraceId::new());
            let written = planted.written();
            leaks.plant(planted);
            written
        };
        let (method, path) = self.target.split_once(' ').unwrap_or(("GET", &self.target));
        let path = fill(path, || in_url(&secret("the path or query")));
        let body = match self.content_type {
            Some("application/json") => fill(&self.body, || in_json(&secret("the JSON text"))),
            _ => fill(&self.body, || in_url(&secret("the form"))),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", secret("the header `authorization`")))
            .header("x-api-key", secret("the header `x-api-key`"))
            .header(COOKIE, format!("theme=dark; session={}", in_cookie(&secret("the cookie `session`"))));
        if let Some(content_type) = self.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        request.body(B::from(body)).unwrap_or_else(|error| panic!("{}: {error}", self.target))
    }
}

/// Replaces each mark by a new secret.
fn fill(text: &str, mut secret: impl FnMut() -> String) -> String {
    let mut parts = text.split(LeakCheck::SECRET);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        filled.push_str(&secret());
        filled.push_str(part);
    }
    filled
}

/// Escapes characters that a URL must not contain. A `%` stays: it is part of the encoding.
fn in_url(text: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'%');
    utf8_percent_encode(text, KEPT).to_string()
}

fn in_json(text: &str) -> String {
    // Escapes of the encoding stay: the application sees the decoded letters.
    text.replace('"', "\\\"")
}

/// A cookie ends at `;`.
fn in_cookie(text: &str) -> String {
    text.replace(';', "%3B")
}
