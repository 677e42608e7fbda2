//! The organisations that get donations.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// An organisation, as the API shows it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Organisation {
    pub id: u32,
    pub name: &'static str,
    /// The colour of its widget, as three pairs of hexadecimal digits.
    pub colour: &'static str,
}

/// The same, as a caller of the API reads it.
#[derive(Debug, Deserialize)]
pub struct OrganisationData {
    pub name: String,
}

/// The second colour has a typo, so the widget of this organisation fails. Names are what organisations write.
const ALL: [Organisation; 3] = [
    Organisation { id: 7, name: "Clean Water", colour: "0077b6" },
    Organisation { id: 8, name: "Open Books", colour: "00b4dz" },
    Organisation { id: 10, name: "Cats & <script>alert('Dogs')</script>", colour: "90be6d" },
];

pub fn find(id: u32) -> Option<Organisation> {
    ALL.into_iter().find(|organisation| organisation.id == id)
}

/// `GET /api/v1/organisations/{id}`
pub async fn show(Path(id): Path<u32>) -> Result<Json<Organisation>, StatusCode> {
    find(id).map(Json).ok_or(StatusCode::NOT_FOUND)
}
