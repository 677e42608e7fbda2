//! The routes, and the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_sentry::incoming::BodyLayer;
use tower_sentry::{Client, SentryLayer, SpanLayer};

use crate::accounts::{Accounts, Throttle};
use crate::pace::Pace;
use crate::settings::Tree;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::users::Profiles;
use crate::{files, middleware, users};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) pace: Pace,
    pub(crate) sentry: Client,
    pub(crate) store: Store,
    pub(crate) tasks: Tasks,
}

/// Each layer that is added is outside the ones before it, so this reads from the inside out.
pub(crate) fn router(app: App, tree: Tree) -> Router {
    let authenticate = from_fn_with_state(app.clone(), middleware::authenticate);
    let session = from_fn_with_state(app.clone(), middleware::session);
    let context = from_fn_with_state(app.clone(), middleware::sentry_context);
    let cors = (from_fn_with_state(app.clone(), middleware::before_cors), CorsLayer::permissive());
    let security = from_fn_with_state(app.clone(), middleware::security);
    let total = from_fn_with_state(app.clone(), middleware::total);
    let sentry = SentryLayer::new(&app.sentry).ignore(["/healthz"]).log_errors(true);

    // An event of a share link that fails has the beginning of its body, without passwords. An upload's body is a customer's file.
    let share_bodies = BodyLayer::new().max_request_body_size(4096);

    Router::new()
        .route("/api/v1/files/", get(files::search))
        .route("/api/v1/files/{name}/upload/", post(files::upload))
        .route("/api/v1/files/{name}/download/", get(files::download))
        .route("/api/v1/files/{name}/share/", post(files::share).layer(share_bodies))
        .route("/api/v1/users/{id}/", get(users::profile))
        .layer(tree.show(SpanLayer::new("authentication", authenticate).op("auth").outcome_tag("authentication")))
        .route("/api/v1/share/{token}/", get(files::shared))
        .merge(debug_routes(&app.sentry))
        .layer(tree.show(SpanLayer::new("middleware.session", session)))
        .layer(tree.show(SpanLayer::new("middleware.sentry_context", context)))
        .layer(tree.show(SpanLayer::new("middleware.cors", cors)))
        .layer(tree.show(SpanLayer::new("middleware.security", security)))
        .layer(tree.show_total(SpanLayer::new("middleware.total", total)))
        .route("/healthz", get(|| async { "ok" }))
        .layer(CatchPanicLayer::new())
        // Last, so that everything else is part of the transaction.
        .layer(sentry)
        .with_state(app)
}

/// `GET /api/v1/debug/sentry-test/?type=division`. In production, and without `DEBUG`, there is none.
#[cfg(feature = "debug-routes")]
fn debug_routes(sentry: &Client) -> Router<App> {
    Router::new().nest("/api/v1/debug", tower_sentry::debug_routes::routes(sentry))
}

#[cfg(not(feature = "debug-routes"))]
fn debug_routes(_sentry: &Client) -> Router<App> {
    Router::new()
}
