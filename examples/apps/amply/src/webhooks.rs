//! Webhooks of the payment providers: a queue, and a worker that tries each up to four times.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::sync::mpsc;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::{Client, Scope, span};

use crate::Api;
use crate::outgoing::CallError;
use crate::payments::Provider;

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
        api.queue.send(Webhook { id: notice.webhook_id, provider, charge: notice.charge, attempt: 1, headers })
    };
    let queued = span("queue.publish", "webhooks", publish).attribute("messaging.destination.name", "webhooks").await;
    // The provider sends it again after a 503.
    if queued.is_ok() { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Works on the queue. Only the last attempt reports its error as an event.
pub async fn work(sentry: Client, api: Api, mut queue: mpsc::UnboundedReceiver<Webhook>, retry_after: Duration) {
    let describe = |webhook: &Webhook| {
        JobInfo::new("process_webhook")
            .queue("webhooks")
            .id(&webhook.id)
            .attempt(webhook.attempt, 1 + MAX_RETRIES)
            .continue_trace(&webhook.headers)
    };
    let worker = ServiceBuilder::new()
        .layer(JobLayer::new(&sentry, describe).report_last_attempt_only())
        .service(service_fn(move |webhook| process(api.clone(), webhook)));
    while let Some(webhook) = queue.recv().await {
        // A webhook that waits for its next attempt does not hold up the others.
        tokio::spawn(attempts(worker.clone(), webhook, retry_after));
    }
}

async fn attempts<S>(worker: S, webhook: Webhook, retry_after: Duration)
where
    S: Service<Webhook, Error = WebhookError> + Clone,
{
    for attempt in 1..=1 + MAX_RETRIES {
        if worker.clone().oneshot(Webhook { attempt, ..webhook.clone() }).await.is_ok() {
            return;
        }
        if attempt <= MAX_RETRIES {
            tokio::time::sleep(retry_after).await;
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
