//! The name of a transaction, as it is sent.

use std::fmt;

use crate::protocol::TransactionSource;
use crate::record::Record;

const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// Stands for the route of a request that no route matched.
pub(crate) const UNMATCHED: &str = "<unmatched>";

/// Returns `GET /users/{id}` for a request that is named by its route, else the given name alone.
pub(crate) fn name(record: &Record) -> String {
    if let Some(name) = record.full_name {
        return record.str(name).into_owned();
    }
    let name = record.name.map(|name| record.str(name));
    if !record.has_request || record.source != TransactionSource::Route {
        return name.unwrap_or_default().into_owned();
    }
    request_name(&record.str(record.request.method), name.as_deref())
}

/// Shows the route of a request, also if the application has named the transaction: that name may
/// hold an id. Without a route it is the name.
pub(crate) struct RouteName<'a>(pub(crate) &'a Record);

impl fmt::Display for RouteName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(record) = self;
        match record.route.filter(|_| record.has_request && record.full_name.is_none()) {
            Some(route) => write!(f, "{} {}", known_method(&record.str(record.request.method)), record.str(route)),
            None => f.write_str(&name(record)),
        }
    }
}

/// Returns the name of a request by its route, or the one for requests without a known route.
pub(crate) fn request_name(method: &str, route: Option<&str>) -> String {
    [known_method(method), " ", route.unwrap_or(UNMATCHED)].concat()
}

/// Returns the method, or `_OTHER` as in OpenTelemetry: a client can invent methods, but the number of
/// names must stay small.
fn known_method(method: &str) -> &str {
    if METHODS.contains(&method) { method } else { "_OTHER" }
}
