//! Profiles, and their cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use tower_sentry::cache;
use tracing::instrument;

use crate::app::App;
use crate::error::AppError;
use crate::pace::Pace;

#[derive(Debug, Serialize)]
pub(crate) struct Profile {
    id: i64,
    username: String,
}

/// The profiles that were asked for.
pub(crate) struct Profiles {
    known: Mutex<HashMap<i64, Arc<Profile>>>,
    pace: Pace,
}

impl Profiles {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { known: Mutex::default(), pace }
    }

    async fn find(&self, id: i64) -> Option<Arc<Profile>> {
        let found = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if found.is_some() {
            self.pace.takes(2).await;
        }
        found
    }

    fn keep(&self, profile: &Arc<Profile>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(profile.id, Arc::clone(profile));
    }
}

#[instrument(name = "view.user_profile", skip_all, fields(sentry.op = "view"))]
pub(crate) async fn profile(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Arc<Profile>>, AppError> {
    if let Some(profile) = cache::get(format!("user_profile_{id}"), app.profiles.find(id)).await {
        return Ok(Json(profile));
    }
    let username = app.store.username(id).await?.ok_or(AppError::NotFound("user"))?;
    let profile = Arc::new(Profile { id, username });
    app.profiles.keep(&profile);
    Ok(Json(profile))
}
