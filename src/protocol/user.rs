//! Users of the monitored service.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bounded;

/// The user who made a request.
///
/// Set an id. Set other fields only if you may send personal data.
///
/// # Examples
///
/// ```
/// use tower_sentry::User;
///
/// let user = User::id(42).field("plan", "gold");
/// assert_eq!(serde_json::to_string(&user).unwrap(), r#"{"id":"42","plan":"gold"}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct User {
    /// The application's id of the user.
    ///
    /// The server keeps at most 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The login name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The IP address of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Further fields.
    #[serde(flatten)]
    pub data: Map<String, Value>,
}

impl User {
    /// Creates a user with an id.
    #[must_use]
    pub fn id(id: impl fmt::Display) -> Self {
        Self { id: Some(id.to_string()), ..Self::default() }
    }

    /// Adds a custom field. Lists and maps below 32 levels are replaced with `[nested too deep]`.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.data.insert(name.into(), bounded(value.into()));
        self
    }

    /// Sets the e-mail address.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Sets the login name.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the IP address of the user.
    #[must_use]
    pub fn ip_address(mut self, address: impl Into<String>) -> Self {
        self.ip_address = Some(address.into());
        self
    }
}
