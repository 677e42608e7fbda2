//! Proves that no secret leaves: one service with a leak, which is found, and one without.
//!
//! `cargo run --example leak_check --features test` prints the field and the line of the leak.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tower_sentry::test::{LeakCheck, Leaks};
use tower_sentry::{Client, SentryLayer};

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

/// The name of the field says nothing about a password, so no rule knows that this is one.
#[tracing::instrument(skip_all, fields(attempt = format!("{}/{}", login.name, login.password)))]
async fn leaky(Json(login): Json<Login>) {}

/// The password is a field of its own, with its name.
#[tracing::instrument(skip_all, fields(attempt = login.name, password = login.password))]
async fn clean(Json(login): Json<Login>) {}

fn app(sentry: &Client, login: axum::routing::MethodRouter) -> Router {
    Router::new().route("/login", login).route("/reset/{token}", get(|| async { "a form" })).layer(SentryLayer::new(sentry))
}

async fn check(login: axum::routing::MethodRouter) -> Leaks {
    LeakCheck::new()
        .json("POST /login", r#"{"name":"jane","password":"{secret}"}"#)
        .request("GET /reset/{secret}?lang=en")
        .run(|sentry| app(sentry, login))
        .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let found = check(post(leaky)).await;
    println!("{found}");
    assert!(found.found().count() > 0, "the leak is found");

    let none = check(post(clean)).await;
    println!("{none}");
    none.assert_none();
}
