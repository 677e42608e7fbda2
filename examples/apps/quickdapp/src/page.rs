//! The page, with its script and the browser's SDK.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use tower_sentry::Scope;

use crate::failure::Failure;
use crate::server::App;
use crate::session::Wallet;
use crate::wallet;

/// Shows the page. Its head has the trace of this request, which the browser continues.
///
/// # Errors
///
/// Fails if the system has no random numbers.
pub async fn show(State(app): State<App>, scope: Scope, wallet: Option<Extension<Wallet>>) -> Result<impl IntoResponse, Failure> {
    let nonce = wallet::random().ok_or(Failure::Refused(StatusCode::SERVICE_UNAVAILABLE, "the system has no random numbers"))?;
    let head = match &app.browser {
        Some(browser) => {
            let snippet = scope.page_snippet(browser).nonce(&nonce);
            match wallet {
                Some(Extension(Wallet(wallet))) => snippet.user_id(wallet).to_string(),
                None => snippet.to_string(),
            }
        }
        // There is nowhere to send to, but the requests of the page belong to its trace all the same.
        None => scope.trace_meta_tags().to_string(),
    };
    let page = include_str!("page.html").replace("NONCE", &nonce).replace("<!--HEAD-->", &head);
    // Replays are compressed in a worker, which the SDK makes of a blob.
    let policy = format!(
        "default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; worker-src blob:; base-uri 'none'"
    );
    // All visitors of a cached page would share one trace.
    Ok(([(CONTENT_SECURITY_POLICY, policy), (CACHE_CONTROL, "no-store".to_owned())], Html(page)))
}

/// The script of the page.
pub async fn script() -> impl IntoResponse {
    javascript(Bytes::from_static(include_bytes!("page.js"))).await
}

/// A script. An empty one is not found.
pub async fn javascript(text: Bytes) -> impl IntoResponse {
    let status = if text.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    (status, [(CONTENT_TYPE, "text/javascript")], text)
}
