//! The dashboard: a page that continues the trace of its request in the browser, with replays.

use std::fmt;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use tower_sentry::html::ErrorPage;
use tower_sentry::{Scope, User, span, span_sync};

use crate::escape;
use crate::monitoring::BrowserSettings;
use crate::organisations::OrganisationData;
use crate::outgoing::{CallError, Http};

#[derive(Clone)]
pub struct Dashboard {
    /// The address of the API.
    pub api: String,
    pub http: Http,
    pub browser: Option<BrowserSettings>,
    /// Whether a proxy in front of the service signs users in, and sets `x-forwarded-user`.
    pub trusts_proxy: bool,
}

impl Dashboard {
    /// The id of the user who is signed in. Without a proxy, any client could write this header.
    fn user<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        headers.get("x-forwarded-user").filter(|_| self.trusts_proxy)?.to_str().ok().filter(|user| !user.is_empty())
    }
}

/// `GET /dashboard/{organisation}`
pub async fn show(State(dashboard): State<Dashboard>, scope: Scope, Path(id): Path<u32>, headers: HeaderMap) -> Response {
    let mut snippet = dashboard.browser.as_ref().map(|browser| scope.page_snippet(&browser.snippet));
    if let Some(user) = dashboard.user(&headers) {
        // Here and in the browser. The document also has the e-mail address; the id is enough to find the account.
        scope.set_user(User::id(user));
        snippet = snippet.map(|snippet| snippet.user_id(user));
    }
    match span("http", "Fetch organisation data", organisation(&dashboard, id)).await {
        Ok(organisation) => {
            let head = snippet.map(|snippet| snippet.to_string()).unwrap_or_default();
            span_sync("render", "Render dashboard", || Html(page(&head, &organisation)).into_response())
        }
        Err(error) => {
            // What an error boundary is in the browser: a page with the id of the error, which asks what happened.
            let mut page = ErrorPage::new(tower_sentry::capture_error(&error)).title("The dashboard has a problem").feedback("/feedback");
            if let Some(snippet) = snippet {
                page = page.snippet(snippet);
            }
            (StatusCode::BAD_GATEWAY, Html(page.to_string())).into_response()
        }
    }
}

async fn organisation(dashboard: &Dashboard, id: u32) -> Result<OrganisationData, DashboardError> {
    let url = format!("{}/api/v1/organisations/{id}", dashboard.api);
    let answer = dashboard.http.get(&url).await.map_err(DashboardError::Api)?;
    serde_json::from_value(answer).map_err(DashboardError::Format)
}

fn page(head: &str, organisation: &OrganisationData) -> String {
    let name = escape::html(&organisation.name);
    format!("<!doctype html><html><head><title>{name}</title>{head}</head><body><h1>{name}</h1></body></html>")
}

#[derive(Debug)]
pub enum DashboardError {
    Api(CallError),
    Format(serde_json::Error),
}

impl fmt::Display for DashboardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Api(_) => "the API has no data for the dashboard",
            Self::Format(_) => "the API answered something else than an organisation",
        })
    }
}

impl std::error::Error for DashboardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Api(error) => Some(error),
            Self::Format(error) => Some(error),
        }
    }
}
