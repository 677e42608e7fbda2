//! The name of a transaction, as it is sent.

use std::borrow::Cow;
use std::fmt;

use crate::protocol::TransactionSource;
use crate::record::Record;

const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// The name of a request that no route matched, after its method.
pub(crate) const UNMATCHED: &str = "<unmatched>";

/// Returns `GET /users/{id}` for a request that is named by its route, else the given name alone.
pub(crate) fn name(record: &Record) -> String {
    Name::of(record).to_string()
}

/// The parts of a name, which the request path can read without an allocation.
enum Name<'a> {
    Given(Cow<'a, str>),
    /// The method, and the route if one matched.
    Route(Cow<'a, str>, Option<Cow<'a, str>>),
}

impl<'a> Name<'a> {
    fn of(record: &'a Record) -> Self {
        if let Some(name) = record.full_name {
            return Self::Given(record.str(name));
        }
        let name = record.name.map(|name| record.str(name));
        if !record.has_request || record.source != TransactionSource::Route {
            return Self::Given(name.unwrap_or_default());
        }
        Self::Route(record.str(record.request.method), name)
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(name) => f.write_str(name),
            Self::Route(method, route) => write!(f, "{} {}", known_method(method), route.as_deref().unwrap_or(UNMATCHED)),
        }
    }
}

/// Writes the route of a request, even if the application has named the transaction: that name may
/// contain an id. Without a route it writes the name.
pub(crate) struct RouteName<'a>(pub(crate) &'a Record);

impl fmt::Display for RouteName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(record) = self;
        match record.route.filter(|_| record.has_request && record.full_name.is_none()) {
            Some(route) => Name::Route(record.str(record.request.method), Some(record.str(route))).fmt(f),
            None => Name::of(record).fmt(f),
        }
    }
}

/// The route of a request, even if the application has renamed the transaction.
pub(crate) fn route_of(record: &Record) -> Option<String> {
    record.route.is_some().then(|| RouteName(record).to_string())
}

/// The name that leaves the process. Of a request to a sensitive route it is the route, even if the application has named it.
pub(crate) fn public_name(record: &Record) -> String {
    route_of(record).filter(|_| record.request.is_sensitive).unwrap_or_else(|| name(record))
}

/// Returns the name of a request by its route, or the one for requests without a known route.
pub(crate) fn request_name(method: &str, route: Option<&str>) -> String {
    Name::Route(method.into(), route.map(Into::into)).to_string()
}

/// Returns the method, or `_OTHER` (OpenTelemetry's word) for an unknown one: clients can invent methods, but
/// the number of names must stay small.
pub(crate) fn known_method(method: &str) -> &str {
    if METHODS.contains(&method) { method } else { "_OTHER" }
}
