//! The middlewares, with the names and the times of the document.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tower_sentry::{Scope, User};
use tracing::{info, warn};

use crate::app::App;

/// A line of the log for each request. It has the route: the path of a share link is a secret, and the standard output is not redacted.
pub(crate) async fn total(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, route) = (request.method().clone(), route(&request));
    app.pace.takes(2).await;
    let response = next.run(request).await;
    app.pace.takes(1).await;
    info!(%method, route, status = response.status().as_u16(), "answered");
    response
}

pub(crate) async fn security(State(app): State<App>, request: Request, next: Next) -> Response {
    app.pace.takes(12).await;
    let mut response = next.run(request).await;
    for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

pub(crate) async fn before_cors(State(app): State<App>, request: Request, next: Next) -> Response {
    app.pace.takes(3).await;
    next.run(request).await
}

/// What each event of the request says about it.
pub(crate) async fn sentry_context(State(app): State<App>, scope: Scope, request: Request, next: Next) -> Response {
    app.pace.takes(2).await;
    scope.set_tag("request_path", request.uri().path()).set_tag("request_method", request.method());
    next.run(request).await
}

/// Refuses a client that makes too many requests.
pub(crate) async fn session(State(app): State<App>, request: Request, next: Next) -> Result<Response, StatusCode> {
    app.pace.takes(8).await;
    let account = api_key(request.headers()).and_then(|key| app.accounts.of_key(key));
    if !app.throttle.admits(account.map(|account| account.id)) {
        warn!(target: "security", route = route(&request), "too many requests");
        return Err(StatusCode::TOO_MANY_REQUESTS);
    }
    Ok(next.run(request).await)
}

/// Finds the account of the API key.
pub(crate) async fn authenticate(State(app): State<App>, scope: Scope, mut request: Request, next: Next) -> Result<Response, StatusCode> {
    app.pace.takes(15).await;
    let account = api_key(request.headers()).and_then(|key| app.accounts.of_key(key));
    let Some(account) = account else {
        // Without the key: the security log would redact it, the standard output would not.
        warn!(target: "security", path = request.uri().path(), "authentication failed");
        return Err(StatusCode::UNAUTHORIZED);
    };
    scope.set_user(User::id(account.id).username(&account.username).field("is_staff", account.is_staff));
    request.extensions_mut().insert(account);
    Ok(next.run(request).await)
}

fn route(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or_else(String::new, |route| route.as_str().to_owned())
}

fn api_key(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
