//! Release health: how many requests a release served, and how they went.

use serde::{Deserialize, Serialize};

/// The sessions of a release, counted by minute. Of a server each request is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionAggregates {
    /// One row a minute.
    pub aggregates: Vec<SessionAggregate>,
    /// What they belong to.
    pub attrs: SessionAttributes,
}

impl SessionAggregates {
    /// Rows that belong to a release.
    pub fn new(aggregates: Vec<SessionAggregate>, release: impl Into<String>, environment: impl Into<String>) -> Self {
        Self { aggregates, attrs: SessionAttributes { release: release.into(), environment: Some(environment.into()) } }
    }
}

/// The sessions of a minute; each is counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SessionAggregate {
    /// The minute, in RFC 3339.
    pub started: String,
    /// They ended without an error.
    #[serde(skip_serializing_if = "is_zero")]
    pub exited: u32,
    /// An error was captured in them.
    #[serde(skip_serializing_if = "is_zero")]
    pub errored: u32,
    /// A panic ended them.
    #[serde(skip_serializing_if = "is_zero")]
    pub crashed: u32,
}

impl SessionAggregate {
    /// A row for a minute, in RFC 3339.
    pub fn new(started: impl Into<String>, exited: u32, errored: u32, crashed: u32) -> Self {
        Self { started: started.into(), exited, errored, crashed }
    }
}

/// What sessions belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionAttributes {
    /// The release. Without one a server takes no sessions.
    pub release: String,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}
