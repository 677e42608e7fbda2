//! Stands in for the payment providers and the storage, on this machine: the example needs no account.

use std::io;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A card that is always declined.
pub const DECLINED_CARD: &str = "4000000000000002";

/// Starts it, and returns its address. It is not a target of propagation, because its name is not `localhost`.
pub async fn start() -> io::Result<String> {
    serve(routes()).await
}

/// Serves such routes on a free port.
pub async fn serve(routes: Router) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(format!("http://{address}"))
}

/// What providers and the storage answer. The provider `paypal` is down.
pub fn routes() -> Router {
    Router::new()
        .route("/{provider}/charges", post(charge))
        .route("/{provider}/charges/{id}", get(confirm))
        .route("/checkpoints/{root}", put(|| async { Json(json!({})) }))
}

async fn charge(Path(provider): Path<String>, Json(card): Json<Value>) -> Result<Json<Value>, StatusCode> {
    match provider.as_str() {
        "paypal" => Err(StatusCode::SERVICE_UNAVAILABLE),
        _ if card["card_number"] == DECLINED_CARD => Err(StatusCode::PAYMENT_REQUIRED),
        _ => Ok(Json(json!({ "id": "ch_1" }))),
    }
}

async fn confirm(Path((_, id)): Path<(String, String)>) -> Result<Json<Value>, StatusCode> {
    if id == "ch_1" { Ok(Json(json!({ "status": "succeeded" }))) } else { Err(StatusCode::NOT_FOUND) }
}
