//! The name of a transaction, as it is sent.

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

/// Returns the route of a request, also if the application has named the transaction: that name may
/// hold an id. Without a route it is the name.
pub(crate) fn route(record: &Record) -> String {
    match record.route.filter(|_| record.has_request && record.full_name.is_none()) {
        Some(route) => request_name(&record.str(record.request.method), Some(&record.str(route))),
        None => name(record),
    }
}

/// Returns the name of a request by its route, or the one for requests without a known route.
pub(crate) fn request_name(method: &str, route: Option<&str>) -> String {
    // A client can invent methods, but the number of names must stay small. So unknown methods
    // become `_OTHER`, as in OpenTelemetry.
    let method = if METHODS.contains(&method) { method } else { "_OTHER" };
    [method, " ", route.unwrap_or(UNMATCHED)].concat()
}
