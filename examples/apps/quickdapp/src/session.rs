//! Signing in and out with a wallet, and who the user of a request is.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tower_sentry::{Scope, User};
use tracing::instrument;

use crate::failure::Failure;
use crate::server::App;
use crate::store::SESSION_LIFETIME;
use crate::wallet;

/// The wallet of the user who is signed in, in lower case. A handler gets it as an extension.
#[derive(Clone, Debug)]
pub struct Wallet(pub String);

/// A middleware: finds the user of the session, and names them in everything that the request reports.
///
/// # Errors
///
/// Fails if the database does.
pub async fn recognise(State(app): State<App>, scope: Scope, mut request: Request, next: Next) -> Result<Response, Failure> {
    if let Some(token) = token(request.headers())
        && let Some(wallet) = app.store.user(&wallet::hash(token.as_bytes())).await?
    {
        scope.set_user(User::id(&wallet));
        request.extensions_mut().insert(Wallet(wallet));
    }
    Ok(next.run(request).await)
}

/// A text that a wallet has to sign.
#[derive(Debug, Serialize)]
pub struct Challenge {
    nonce: String,
    text: String,
}

/// Which wallet will sign.
#[derive(Debug, Deserialize)]
pub struct SignsIn {
    /// The address as wallets write it: in upper and lower case.
    wallet: String,
}

/// Makes a text for a wallet to sign. It can be used once.
///
/// # Errors
///
/// Refuses what is not the address of a wallet. Fails if the database does.
pub async fn challenge(State(app): State<App>, Json(SignsIn { wallet }): Json<SignsIn>) -> Result<Json<Challenge>, Failure> {
    // It becomes a part of what the user reads.
    if !wallet::is_address(&wallet) {
        return Err(Failure::Refused(StatusCode::UNPROCESSABLE_ENTITY, "expected the address of a wallet"));
    }
    let nonce = random()?;
    app.store.add_nonce(&nonce).await?;
    Ok(Json(Challenge { text: wallet::sign_in_text(&app.origin, &wallet.to_lowercase(), &nonce), nonce }))
}

/// A signed text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// The address as wallets write it: in upper and lower case.
    wallet: String,
    nonce: String,
    public_key: String,
    signature: String,
}

/// Signs a user in.
///
/// # Errors
///
/// Refuses a nonce that is unknown, used or old, and a signature that is not that of the wallet.
pub async fn sign_in(State(app): State<App>, scope: Scope, Json(given): Json<SignIn>) -> Result<Response, Failure> {
    let wallet = verified(&app, &given).await?.ok_or(Failure::Refused(StatusCode::UNAUTHORIZED, "the wallet has not signed this"))?;
    let token = random()?;
    app.store.add_session(&wallet::hash(token.as_bytes()), &wallet).await?;
    // The middleware did not know the user yet.
    scope.set_user(User::id(&wallet));
    let cookie = cookie(&app, &token, SESSION_LIFETIME);
    Ok(([(SET_COOKIE, cookie)], Json(serde_json::json!({ "wallet": wallet }))).into_response())
}

/// Signs a user out.
///
/// # Errors
///
/// Fails if the database does.
pub async fn sign_out(State(app): State<App>, scope: Scope, headers: HeaderMap) -> Result<Response, Failure> {
    if let Some(token) = token(&headers) {
        app.store.end_session(&wallet::hash(token.as_bytes())).await?;
    }
    scope.clear_user();
    Ok(([(SET_COOKIE, cookie(&app, "", Duration::ZERO))], Json(serde_json::json!({}))).into_response())
}

/// Answers whose session it is.
pub async fn who(wallet: Option<Extension<Wallet>>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "wallet": wallet.map(|Extension(Wallet(wallet))| wallet) }))
}

/// Returns the wallet that has signed the nonce.
#[instrument(skip_all, fields(sentry.op = "auth"))]
async fn verified(app: &App, given: &SignIn) -> Result<Option<String>, Failure> {
    if !app.store.use_nonce(&given.nonce).await? {
        return Ok(None);
    }
    let wallet = given.wallet.to_lowercase();
    // The same text as in the challenge: a signature for another site or another wallet is worth nothing here.
    let text = wallet::sign_in_text(&app.origin, &wallet, &given.nonce);
    let check = || wallet::signer(&text, &given.public_key, &given.signature);
    let signer = tower_sentry::span_sync("auth", "check signature", check);
    Ok(signer.filter(|signer| *signer == wallet))
}

/// A cookie that scripts cannot read and other sites cannot use. On a site with https, it never travels without encryption.
fn cookie(app: &App, token: &str, lifetime: Duration) -> String {
    let secure = if app.origin.starts_with("https://") { "; Secure" } else { "" };
    format!("session={token}; Max-Age={}; Path=/; HttpOnly; SameSite=Strict{secure}", lifetime.as_secs())
}

/// The secret of a session, in the cookie of a request.
fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    cookies.filter_map(|cookie| cookie.trim().strip_prefix("session=")).find(|token| !token.is_empty())
}

fn random() -> Result<String, Failure> {
    wallet::random().ok_or(Failure::Refused(StatusCode::SERVICE_UNAVAILABLE, "the system has no random numbers"))
}
