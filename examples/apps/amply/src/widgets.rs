//! The widgets that organisations put into their own sites.

use std::fmt;

use axum::extract::Path;
use axum::http::header::{HeaderName, ORIGIN, REFERER};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use tower_sentry::{CaptureError, Scope};

use crate::{escape, organisations};

/// `GET /widgets/{organisation}`
pub async fn show(scope: Scope, Path(id): Path<u32>, headers: HeaderMap) -> Result<Html<String>, WidgetError> {
    if let Some(origin) = host_origin(&headers) {
        scope.set_tag("host_origin", origin);
    }
    let organisation = organisations::find(id).ok_or(WidgetError::Unknown)?;
    let colour = u32::from_str_radix(organisation.colour, 16).map_err(|source| WidgetError::Colour { organisation: id, source })?;
    Ok(Html(format!("<form style=\"background:#{colour:06x}\"><button>Give to {}</button></form>", escape::html(organisation.name))))
}

/// The site that the widget is in. Browsers send no `Origin` for a frame, and `null` for some pages.
///
/// Only scheme, host and port are kept: the path and the query of a `Referer` may be private.
fn host_origin(headers: &HeaderMap) -> Option<String> {
    let origin_of = |name: HeaderName| {
        let url: Uri = headers.get(name)?.to_str().ok()?.parse().ok()?;
        let scheme = url.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{scheme}://{}{port}", url.host()?))
    };
    origin_of(ORIGIN).or_else(|| origin_of(REFERER))
}

#[derive(Debug)]
pub enum WidgetError {
    Unknown,
    Colour { organisation: u32, source: std::num::ParseIntError },
}

impl fmt::Display for WidgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such organisation"),
            Self::Colour { organisation, .. } => write!(f, "the colour of organisation {organisation} is not valid"),
        }
    }
}

impl std::error::Error for WidgetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unknown => None,
            Self::Colour { source, .. } => Some(source),
        }
    }
}

impl IntoResponse for WidgetError {
    fn into_response(self) -> Response {
        match self {
            // A status below 500 is not an event.
            Self::Unknown => StatusCode::NOT_FOUND.into_response(),
            Self::Colour { .. } => (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(self)).into_response(),
        }
    }
}
