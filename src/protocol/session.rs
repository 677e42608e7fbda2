//! Release health: how many requests a release served, and how they ended.

use serde::{Deserialize, Serialize};

/// Sessions of a release, counted by minute.
///
/// In a service, each request is one session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionAggregates {
    /// One row per minute.
    pub aggregates: Vec<SessionAggregate>,
    /// The release and environment of the sessions.
    pub attrs: SessionAttributes,
}

impl SessionAggregates {
    /// Creates the sessions of a release and environment.
    pub(crate) fn new(aggregates: Vec<SessionAggregate>, release: impl Into<String>, environment: impl Into<String>) -> Self {
        Self { aggregates, attrs: SessionAttributes { release: release.into(), environment: Some(environment.into()) } }
    }
}

/// The sessions of one minute; each is counted in one field only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SessionAggregate {
    /// The minute, in RFC 3339 format.
    pub started: String,
    /// Sessions that ended without an error.
    #[serde(skip_serializing_if = "is_zero")]
    pub exited: u32,
    /// Sessions that failed, or in which an event of level error was captured.
    #[serde(skip_serializing_if = "is_zero")]
    pub errored: u32,
    /// Sessions in which code panicked.
    #[serde(skip_serializing_if = "is_zero")]
    pub crashed: u32,
}

impl SessionAggregate {
    /// Creates a row; `started` is the minute, in RFC 3339 format.
    pub(crate) fn new(started: impl Into<String>, exited: u32, errored: u32, crashed: u32) -> Self {
        Self { started: started.into(), exited, errored, crashed }
    }
}

/// The release and environment of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionAttributes {
    /// The release.
    ///
    /// Servers do not accept sessions without one.
    pub release: String,
    /// The environment of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_minute_is_on_the_wire_with_each_count_in_its_field() {
        let written = serde_json::to_value(SessionAggregate::new("2026-11-20T10:00:00Z", 7, 2, 1));

        assert_eq!(written.unwrap(), json!({"started": "2026-11-20T10:00:00Z", "exited": 7, "errored": 2, "crashed": 1}));
    }
}
