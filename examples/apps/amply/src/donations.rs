//! Donations: a scope of its own for each, and one event for each that fails.

use std::fmt;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_sentry::{CaptureError, Level, ResultExt as _, Scope, User};

use crate::Api;
use crate::payments::{self, PaymentError, Provider};

/// What a donor sends. It has no `Debug`: the card must not get into a log.
#[derive(Deserialize)]
pub struct Donation {
    pub organisation_id: u32,
    /// `once` or `monthly`.
    pub donation_type: String,
    /// A decimal number as text.
    pub amount: String,
    pub currency: String,
    pub payment_provider: Provider,
    pub card_number: String,
    pub cvv: String,
    pub user: Donor,
}

#[derive(Debug, Deserialize)]
pub struct Donor {
    pub id: String,
    pub email: String,
}

#[derive(Debug, Serialize)]
pub struct Receipt {
    id: i64,
}

/// `POST /api/v1/donations`
pub async fn create(State(api): State<Api>, Json(donation): Json<Donation>) -> Result<(StatusCode, Json<Receipt>), DonationError> {
    // The tags end with the donation: what else is reported in this request does not have them.
    let processed = Scope::current().with_async(async |scope| {
        scope.set_tag("organisation_id", donation.organisation_id);
        scope.set_tag("donation_type", &donation.donation_type);
        scope.set_tag("payment_provider", donation.payment_provider);
        scope.set_user(User::id(&donation.user.id).email(&donation.user.email));
        scope.set_context(
            "donation",
            json!({ "organisation_id": donation.organisation_id, "amount": donation.amount, "currency": donation.currency }),
        );
        process(&api, &donation).await
    });
    Ok((StatusCode::CREATED, Json(processed.await?)))
}

async fn process(api: &Api, donation: &Donation) -> Result<Receipt, DonationError> {
    let amount = donation.amount.parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount > 0.0);
    let amount = amount.ok_or(DonationError::Amount)?;
    if amount >= 10_000.0 {
        tower_sentry::capture_message(Level::Warning, "Unusual activity detected");
    }
    let charge = match payments::charge(&api.http, &api.payments, donation).await {
        // That a card is declined is no fault of the service.
        Err(PaymentError::Declined) => return Err(DonationError::Payment(PaymentError::Declined)),
        Err(error) => {
            Scope::current().set_tag("domain", "payment");
            Err(DonationError::Payment(error)).capture()?
        }
        Ok(charge) => charge,
    };
    let id = api.ledger.add(donation.organisation_id, &donation.amount, &donation.currency, &charge).await?;
    Ok(Receipt { id })
}

#[derive(Debug)]
pub enum DonationError {
    Amount,
    Ledger(sqlx::Error),
    Payment(PaymentError),
}

impl fmt::Display for DonationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amount => "the amount is not a positive number",
            Self::Ledger(_) => "the ledger does not take the donation",
            Self::Payment(_) => "the donation was not charged",
        })
    }
}

impl std::error::Error for DonationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Amount => None,
            Self::Ledger(error) => Some(error),
            Self::Payment(error) => Some(error),
        }
    }
}

impl From<sqlx::Error> for DonationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(error)
    }
}

impl IntoResponse for DonationError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Amount => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Payment(PaymentError::Declined) => StatusCode::PAYMENT_REQUIRED,
            Self::Payment(_) => StatusCode::BAD_GATEWAY,
            Self::Ledger(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = self.to_string();
        // The same failure as the one that was captured, so it stays one event. Below 500 it is none.
        (status, CaptureError::new(self), Json(json!({ "error": message }))).into_response()
    }
}
