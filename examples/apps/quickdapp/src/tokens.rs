//! The tokens of a user: the server takes the order, and the worker deploys them.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tower_sentry::Scope;
use tracing::{info, instrument};

use crate::failure::Failure;
use crate::server::App;
use crate::session::Wallet;
use crate::store::{Payload, Token};

/// The name of the queue in spans.
pub const QUEUE: &str = "jobs";

const SIGNED_OUT: Failure = Failure::Refused(StatusCode::UNAUTHORIZED, "sign in first");

/// An order of a token.
#[derive(Debug, Deserialize)]
pub struct Order {
    symbol: String,
}

/// The answer to an order.
#[derive(Debug, Serialize)]
pub struct Ordered {
    token: i64,
}

/// Takes an order, and leaves the work to the worker.
///
/// # Errors
///
/// Refuses callers who are not signed in, and symbols that are too long to keep.
#[instrument(skip_all)]
pub async fn order(
    State(app): State<App>,
    wallet: Option<Extension<Wallet>>,
    Json(order): Json<Order>,
) -> Result<(StatusCode, Json<Ordered>), Failure> {
    let Extension(Wallet(wallet)) = wallet.ok_or(SIGNED_OUT)?;
    // The chain has a limit of its own. This one is for the database.
    if order.symbol.len() > 256 {
        return Err(Failure::Refused(StatusCode::UNPROCESSABLE_ENTITY, "a symbol has at most 256 bytes"));
    }
    let token = app.store.add_token(&wallet, &order.symbol).await?;
    let publish = async {
        let mut payload = Payload { token, wallet, headers: HashMap::new() };
        // The job continues this trace, below this span.
        Scope::current().inject(&mut payload.headers);
        app.store.add_job(&payload).await
    };
    let job = tower_sentry::span("queue.publish", QUEUE, publish).attribute("messaging.destination.name", QUEUE).await?;
    info!(job, token, "ordered");
    Ok((StatusCode::ACCEPTED, Json(Ordered { token })))
}

/// Answers how far a token is.
///
/// # Errors
///
/// Refuses callers who are not signed in. The tokens of others do not exist for them.
#[instrument(skip_all)]
pub async fn show(State(app): State<App>, wallet: Option<Extension<Wallet>>, Path(id): Path<i64>) -> Result<Json<Token>, Failure> {
    let Extension(Wallet(wallet)) = wallet.ok_or(SIGNED_OUT)?;
    let token = app.store.token(id, &wallet).await?;
    token.map(Json).ok_or(Failure::Refused(StatusCode::NOT_FOUND, "there is no such token"))
}
