//! What a handler returns in place of an answer.

use std::io;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tower_sentry::CaptureError;

#[derive(Debug)]
pub(crate) enum AppError {
    /// The service ends. The client may try again: no event.
    Ending,
    /// The client's mistake, as the next two are: no event.
    Invalid(&'static str),
    NotFound(&'static str),
    Refused,
    /// A fault of this service: an event, from the place of the `?`.
    Internal(CaptureError),
}

impl From<sqlx::Error> for AppError {
    #[track_caller]
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(CaptureError::new(error))
    }
}

impl From<io::Error> for AppError {
    #[track_caller]
    fn from(error: io::Error) -> Self {
        Self::Internal(CaptureError::new(error))
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::Ending => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Self::Invalid(what) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": what }))).into_response(),
            Self::NotFound(what) => (StatusCode::NOT_FOUND, Json(json!({ "error": format!("no such {what}") }))).into_response(),
            Self::Refused => StatusCode::FORBIDDEN.into_response(),
            Self::Internal(error) => {
                // The caller can name the event to the support.
                let answer = Json(json!({ "error": "internal error", "event_id": error.event_id().to_string() }));
                (StatusCode::INTERNAL_SERVER_ERROR, error, answer).into_response()
            }
        }
    }
}
