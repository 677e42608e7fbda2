//! Charges at the payment providers.

use std::fmt;

use axum::http::Method;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tower_sentry::{Breadcrumb, Level, Scope};
use tracing::instrument;

use crate::donations::Donation;
use crate::outgoing::{CallError, Http};

/// Charges the card of a donation, and returns the id of the charge.
#[instrument(skip_all, fields(sentry.op = "payment"))]
pub async fn charge(http: &Http, providers: &str, donation: &Donation) -> Result<String, PaymentError> {
    let provider = donation.payment_provider;
    let started = Breadcrumb::new(format!("Initiated {provider} charge"))
        .category("payment")
        .level(Level::Info)
        .field("amount", donation.amount.as_str())
        .field("currency", donation.currency.as_str());
    Scope::current().add_breadcrumb(started);

    let body = json!({
        "amount": donation.amount,
        "currency": donation.currency,
        "card_number": donation.card_number,
        "cvv": donation.cvv,
    });
    let answer = http.send_json(Method::POST, &format!("{providers}/{provider}/charges"), &body).await;
    let answer = answer.map_err(|source| match source {
        CallError::Status(StatusCode::PAYMENT_REQUIRED) => PaymentError::Declined,
        source => PaymentError::Provider { source },
    })?;
    Ok(answer["id"].as_str().ok_or(PaymentError::NoId)?.to_owned())
}

/// Who charges donations. The list is closed: what a caller writes gets into no URL and no tag.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Paypal,
    Stripe,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paypal => "paypal",
            Self::Stripe => "stripe",
        })
    }
}

#[derive(Debug)]
pub enum PaymentError {
    Declined,
    NoId,
    Provider { source: CallError },
}

impl fmt::Display for PaymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declined => "the card was declined",
            Self::NoId => "the payment provider gave the charge no id",
            Self::Provider { .. } => "the payment provider failed",
        })
    }
}

impl std::error::Error for PaymentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Declined | Self::NoId => None,
            Self::Provider { source } => Some(source),
        }
    }
}
