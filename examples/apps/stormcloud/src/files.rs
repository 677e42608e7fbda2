//! Upload, download, search and share.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_sentry::{Level, ResultExt as _, Scope, span};
use tracing::{info, instrument, warn};

use crate::accounts::Account;
use crate::app::App;
use crate::error::AppError;
use crate::store::StoredFile;
use crate::tasks::NotStarted;

#[derive(Deserialize)]
pub(crate) struct Search {
    q: String,
}

#[derive(Deserialize)]
pub(crate) struct NewShare {
    password: Option<String>,
    /// After so many days, the link is gone.
    #[serde(default = "a_week")]
    days: u8,
}

fn a_week() -> u8 {
    7
}

#[instrument(name = "view.file_upload", skip_all, fields(sentry.op = "view"))]
pub(crate) async fn upload(
    State(app): State<App>,
    Extension(account): Extension<Account>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), AppError> {
    let kind = name.rsplit_once('.').map_or("none", |(_, kind)| kind);
    Scope::current().set_tag("file_type", kind);
    let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    info!(size, kind, "storing a file");
    let file = app.store.put(account.id, &name, size).await?;
    app.store.write(file, &bytes).await?;
    if kind == "mp4" {
        // An old preview that stays is reported, and the upload goes on.
        let _ = app.store.remove_preview(file).await.capture();
        let sentry = app.sentry.clone();
        // A transaction of its own: it ends long after the request.
        let store = app.store.clone();
        let encode = async move { drop(sentry.transaction("video_encoding").op("task").run(store.encode_preview(file)).await) };
        match app.tasks.spawn(encode) {
            Ok(()) => {}
            Err(NotStarted::Full) => {
                _ = tower_sentry::capture_message(Level::Warning, "a video has no preview, because too many are encoded")
            }
            // The next process can do all of it.
            Err(NotStarted::Closed) => return Err(AppError::Ending),
        }
    }
    info!(target: "security", user = account.id, file, size, "file uploaded");
    Ok((StatusCode::CREATED, Json(json!({ "path": name, "size": size }))))
}

#[instrument(name = "view.file_download", skip_all, fields(sentry.op = "view"))]
pub(crate) async fn download(
    State(app): State<App>,
    Extension(account): Extension<Account>,
    Path(name): Path<String>,
) -> Result<Response, AppError> {
    let file = app.store.find(account.id, &name).await?.ok_or(AppError::NotFound("file"))?;
    send(&app, &file).await
}

#[instrument(name = "view.file_search", skip_all, fields(sentry.op = "view"))]
pub(crate) async fn search(
    State(app): State<App>,
    Extension(account): Extension<Account>,
    Query(search): Query<Search>,
) -> Result<Json<Vec<StoredFile>>, AppError> {
    Ok(Json(app.store.search(account.id, &search.q).await?))
}

#[instrument(name = "view.file_share", skip_all, fields(sentry.op = "view"))]
pub(crate) async fn share(
    State(app): State<App>,
    Extension(account): Extension<Account>,
    Path(name): Path<String>,
    Json(share): Json<NewShare>,
) -> Result<(StatusCode, Json<Value>), AppError> {
    if !(1..=30).contains(&share.days) {
        return Err(AppError::Invalid("a share link lasts 1 to 30 days"));
    }
    let file = app.store.find(account.id, &name).await?.ok_or(AppError::NotFound("file"))?;
    let token = app.store.random_key().await?;
    app.store.add_share(&token, file.id, share.password.as_deref(), share.days).await?;
    info!(target: "security", user = account.id, file = file.id, with_password = share.password.is_some(), "share link made");
    Ok((StatusCode::CREATED, Json(json!({ "url": format!("/api/v1/share/{token}/") }))))
}

/// A link that has expired or never was is a 404, which is neither an event nor a transaction.
///
/// The password is the header `x-share-password`. Its name keeps it out of everything that is recorded.
#[instrument(name = "view.share_download", skip_all, fields(sentry.op = "view"))]
pub(crate) async fn shared(State(app): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Result<Response, AppError> {
    let (file, password) = app.store.of_share(&token).await?.ok_or(AppError::NotFound("share link"))?;
    let given = headers.get("x-share-password").map(HeaderValue::as_bytes);
    if password.is_some_and(|password| given != Some(password.as_bytes())) {
        warn!(target: "security", file = file.id, "wrong password of a share link");
        return Err(AppError::Refused);
    }
    send(&app, &file).await
}

async fn send(app: &App, file: &StoredFile) -> Result<Response, AppError> {
    let bytes = app.store.read(file.id).await?;
    let prepare = async {
        app.pace.takes(5).await;
        ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
    };
    Ok(span("view", "response.prepare", prepare).await)
}
