//! Webhooks of the payment providers: each goes into the queue, and is tried up to four times.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::{Scope, span};

use crate::Api;
use crate::jobs::Job;
use crate::outgoing::CallError;
use crate::payments::Provider;

/// The name of the job in Sentry.
pub const NAME: &str = "process_webhook";

/// How often a webhook is tried again.
pub const MAX_RETRIES: u32 = 3;

/// What a provider sends.
#[derive(Debug, Deserialize)]
pub struct Notice {
    webhook_id: String,
    charge: String,
}

/// A webhook in the queue.
#[derive(Clone, Debug)]
pub struct Webhook {
    id: String,
    provider: Provider,
    charge: String,
    attempt: u32,
    /// The number of its last attempt.
    of: u32,
    /// The trace of the request that brought it.
    headers: HashMap<String, String>,
}

/// `POST /api/v1/webhooks/{provider}`
pub async fn receive(State(api): State<Api>, Path(provider): Path<Provider>, Json(notice): Json<Notice>) -> StatusCode {
    // It becomes a part of a URL.
    if !notice.charge.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    let publish = async {
        let mut headers = HashMap::new();
        // The worker's transaction continues this trace, below this span.
        Scope::current().inject(&mut headers);
        let webhook = Webhook { id: notice.webhook_id, provider, charge: notice.charge, attempt: 1, of: 1 + MAX_RETRIES, headers };
        api.queue.try_send(Job::Webhook(webhook))
    };
    let queued = span("queue.publish", "webhooks", publish).attribute("messaging.destination.name", "webhooks").await;
    // The queue is full, or the service ends. The provider sends it again after a 503.
    if queued.is_ok() { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Does one attempt. Only the last one reports its error as an event.
pub fn service(api: &Api) -> impl Service<Webhook, Response = (), Error = WebhookError, Future: Send> + Clone + Send + use<> {
    let describe = |webhook: &Webhook| {
        JobInfo::new(NAME).queue("webhooks").id(&webhook.id).attempt(webhook.attempt, webhook.of).continue_trace(&webhook.headers)
    };
    let layer = JobLayer::new(&api.sentry, describe).report_last_attempt_only();
    let api = api.clone();
    ServiceBuilder::new().layer(layer).service(service_fn(move |webhook| process(api.clone(), webhook)))
}

/// Tries a webhook until it succeeds. Once the sender of `stop` is gone, the next attempt is made at once, and is the last one.
pub async fn attempts<S>(service: S, webhook: Webhook, retry_after: Duration, mut stop: watch::Receiver<()>)
where
    S: Service<Webhook> + Clone,
{
    for attempt in 1..=1 + MAX_RETRIES {
        let of = if stop.has_changed().is_err() { attempt } else { 1 + MAX_RETRIES };
        if service.clone().oneshot(Webhook { attempt, of, ..webhook.clone() }).await.is_ok() || attempt == of {
            return;
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(retry_after) => {}
        }
    }
}

/// Asks the provider whether the charge is real, and notes it in the ledger.
async fn process(api: Api, webhook: Webhook) -> Result<(), WebhookError> {
    Scope::current().set_tag("payment_provider", webhook.provider);
    let url = format!("{}/{}/charges/{}", api.payments, webhook.provider, webhook.charge);
    let charge = api.http.get(&url).await?;
    if charge["status"] != "succeeded" {
        return Err(WebhookError::Pending);
    }
    api.ledger.settle(&webhook.charge).await?;
    Ok(())
}

#[derive(Debug)]
pub enum WebhookError {
    Ledger(sqlx::Error),
    Pending,
    Provider(CallError),
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ledger(_) => "the ledger does not take the charge",
            Self::Pending => "the charge is still pending",
            Self::Provider(_) => "the payment provider does not confirm the charge",
        })
    }
}

impl std::error::Error for WebhookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ledger(error) => Some(error),
            Self::Pending => None,
            Self::Provider(error) => Some(error),
        }
    }
}

impl From<sqlx::Error> for WebhookError {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(error)
    }
}

impl From<CallError> for WebhookError {
    fn from(error: CallError) -> Self {
        Self::Provider(error)
    }
}
