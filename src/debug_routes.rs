//! Routes that fail on purpose, to see that errors arrive and that secrets do not.
//!
//! [`routes`] makes them. They exist only if all of this is true:
//!
//! - the feature `debug-routes` is enabled: without it, the program does not contain their code;
//! - [`debug`](crate::ConfigBuilder::debug) is on, for example by `SENTRY_DEBUG=1`;
//! - the environment is not `production` or `prod`.

use std::error::Error;
use std::fmt;
use std::num::ParseIntError;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::client::Client;
use crate::diagnostics;
use crate::incoming::CaptureError;
use crate::protocol::TraceId;

/// Makes the route `GET /sentry-test?type=…`, which fails on purpose.
///
/// | `type` | what happens |
/// |---|---|
/// | `division` | an error: a division by zero |
/// | `value` | an error with a cause: a text that is not a number |
/// | `api_key` | an error whose text holds a made-up key of 64 characters, which must not arrive |
/// | `panic` | a panic. The connection breaks unless a layer catches it |
///
/// The answer to an error has the status 500, and a line with the id of the event, so that you find it in
/// Sentry. For `api_key`, the line also has the start of the key, so that you can search for it. The answer to
/// any other `type` has the status 400 and lists the types.
///
/// Put the routes inside the [`SentryLayer`](crate::SentryLayer). Without `debug`, the router is empty. With
/// `debug`, but in production, it is empty too, and a log line says so.
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use tower_sentry::{Client, Config, SentryLayer, debug_routes};
///
/// let sentry = Client::from(Config::builder().from_env().build()?);
/// let app: Router = Router::new()
///     .nest("/api/v1/debug", debug_routes::routes(&sentry))
///     .layer(SentryLayer::new(&sentry));
/// # Ok::<(), tower_sentry::Error>(())
/// ```
pub fn routes<S: Clone + Send + Sync + 'static>(client: &Client) -> Router<S> {
    let Some(settings) = client.settings().filter(|settings| settings.debug) else { return Router::new() };
    let environment = &settings.facts.environment;
    if ["production", "prod"].iter().any(|name| environment.eq_ignore_ascii_case(name)) {
        diagnostics::info(&format!("there are no debug routes in the environment '{environment}'"));
        return Router::new();
    }
    Router::new().route("/sentry-test", get(fail)).route("/sentry-test/", get(fail))
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(rename = "type")]
    kind: Option<String>,
}

async fn fail(Query(Parameters { kind }): Query<Parameters>) -> Response {
    match kind.as_deref() {
        // Passed to `map_or_else`, `failed` would report a place in the standard library.
        Some("division") => match divide(1, 0) {
            Ok(quotient) => quotient.to_string().into_response(),
            Err(error) => failed(error),
        },
        Some("value") => match read_number("seven") {
            Ok(number) => number.to_string().into_response(),
            Err(error) => failed(error),
        },
        Some("api_key") => {
            let error = AuthenticationError::new();
            let start = error.key.get(..8).unwrap_or_default().to_owned();
            let error = CaptureError::new(error);
            let answer = format!("{}; the event must not have the key that begins with {start}\n", said(&error));
            (StatusCode::INTERNAL_SERVER_ERROR, error, answer).into_response()
        }
        #[expect(clippy::panic, reason = "it is asked for")]
        Some("panic") => panic!("the debug route was asked to panic"),
        _ => (StatusCode::BAD_REQUEST, "expected type=division, value, api_key or panic\n").into_response(),
    }
}

#[track_caller]
fn failed(error: impl Error + Send + Sync + 'static) -> Response {
    let error = CaptureError::new(error);
    let answer = format!("{}\n", said(&error));
    (StatusCode::INTERNAL_SERVER_ERROR, error, answer).into_response()
}

fn said(error: &CaptureError) -> String {
    format!("failed on purpose, as event {}", error.event_id())
}

fn divide(dividend: i32, divisor: i32) -> Result<i32, DivisionError> {
    dividend.checked_div(divisor).ok_or(DivisionError)
}

fn read_number(text: &str) -> Result<i32, ValueError> {
    text.parse().map_err(|cause| ValueError { text: text.to_owned(), cause })
}

#[derive(Debug)]
struct DivisionError;

impl fmt::Display for DivisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("division by zero")
    }
}

impl Error for DivisionError {}

#[derive(Debug)]
struct ValueError {
    text: String,
    cause: ParseIntError,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a number, found '{}'", self.text)
    }
}

impl Error for ValueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

#[derive(Debug)]
struct AuthenticationError {
    key: String,
}

impl AuthenticationError {
    fn new() -> Self {
        Self { key: format!("{}{}", TraceId::new(), TraceId::new()) }
    }
}

impl fmt::Display for AuthenticationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failed to authenticate with key: {}", self.key)
    }
}

impl Error for AuthenticationError {}
