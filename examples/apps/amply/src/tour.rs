//! A few requests to the service itself, so that there is something to see.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::{Amply, StartError};

/// A donation that works, an unusual one, one whose provider is down, and the other parts of the service.
const REQUESTS: [(&str, &str, &str); 9] = [
    ("POST", "/api/v1/donations", include_str!("tour/donation.json")),
    ("POST", "/api/v1/donations", include_str!("tour/unusual.json")),
    ("POST", "/api/v1/donations", include_str!("tour/provider_down.json")),
    ("POST", "/api/v1/webhooks/stripe", r#"{"webhook_id":"wh_1","charge":"ch_1"}"#),
    ("POST", "/api/v1/checkpoints", ""),
    ("GET", "/", ""),
    ("GET", "/dashboard/7", ""),
    ("GET", "/dashboard/9", ""),
    ("GET", "/widgets/8", ""),
];

/// Sends them one after the other, as clients do that know nothing of traces.
pub async fn send_all(amply: &Amply) -> Result<(), StartError> {
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut is_delivered = true;
    for (method, path, body) in REQUESTS {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", amply.address()))
            .header("x-api-key", "live-key-93c1e7a2")
            .header(AUTHORIZATION, "Bearer c2VjcmV0LWJlYXJlci10b2tlbg")
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))?;
        let response = http.request(request).await?;
        to_bytes(Body::new(response.into_body()), usize::MAX).await?;
        // So the console shows them in this order. If a server cannot be reached, a warning says so, and nothing waits for it.
        for client in amply.clients().all() {
            is_delivered = is_delivered && client.flush(Duration::from_secs(2)).await.is_ok();
        }
    }
    Ok(())
}
