//! The errors of handlers, as responses.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_sentry::CaptureError;

/// Why a request has no other response.
#[derive(Debug)]
pub enum Failure {
    /// The caller did something wrong. This is not an error of the application.
    Refused(StatusCode, &'static str),
    /// The database failed. The error goes to Sentry, and the caller learns nothing about it.
    Database(CaptureError),
}

impl From<sqlx::Error> for Failure {
    // With it, the place of the error is that of the `?`.
    #[track_caller]
    fn from(error: sqlx::Error) -> Self {
        Self::Database(CaptureError::new(error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(status, why) => (status, why).into_response(),
            Self::Database(error) => (StatusCode::INTERNAL_SERVER_ERROR, error, "something went wrong").into_response(),
        }
    }
}
