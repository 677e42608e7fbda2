//! What a request is called when it arrives.

use http::Request;

use super::rules::{RequestHead, Rules};
use crate::client::Client;
use crate::record::{Moment, Record, clock};
use crate::unwind;

/// Stands for the names beyond the limit of an hour.
const OVERFLOW: &str = "<overflow>";

/// The name of a request, and where it comes from.
pub(super) enum RequestName<'a> {
    /// The template of its route; the method is put before it.
    Route(&'a str),
    /// The method of a gRPC service, such as `/shop.Orders/Place`.
    Rpc(&'a str),
    /// What the user's function returned.
    User(String),
    Unknown,
}

impl<'a> RequestName<'a> {
    /// Names a request; `route` is the template that the router or the layer's table matched.
    pub(super) fn of<B>(
        request: &'a Request<B>,
        route: Option<&'a str>,
        is_grpc: bool,
        rules: &Rules,
        client: &Client,
        now: Moment,
    ) -> Self {
        let rpc = if is_grpc { rpc_method(request.uri().path(), route) } else { None };
        if let (None, Some(route)) = (rpc, route) {
            return Self::Route(route);
        }
        let admits = |name: &str| client.admits_name(name, clock::nanos(now));
        match (user_name(request, rules), rpc) {
            (Some(name), _) if admits(&name) => Self::User(name),
            (Some(_), _) => Self::User(OVERFLOW.to_owned()),
            (None, Some(method)) if admits(method) => Self::Rpc(method),
            (None, Some(_)) => Self::Rpc(OVERFLOW),
            (None, None) => Self::Unknown,
        }
    }

    /// Gives the name to a transaction.
    pub(super) fn give(&self, record: &mut Record) {
        match self {
            Self::Route(template) => record.name_by_route(template),
            Self::Rpc(method) => record.name_by_rpc(method),
            Self::User(name) => record.name_by_user(name),
            Self::Unknown => {}
        }
    }
}

/// Calls the user's function that names requests.
fn user_name<B>(request: &Request<B>, rules: &Rules) -> Option<String> {
    let name = rules.name.as_ref()?;
    // A panic of that function must not end the request.
    unwind::catch(|| name(&RequestHead::of(request)))?
}

/// The path of a gRPC call, `/package.Service/Method`, unless a route of its own matched.
///
/// tonic's router matches all methods of a service with one wildcard.
fn rpc_method<'a>(path: &'a str, route: Option<&str>) -> Option<&'a str> {
    let is_own_route = route.is_some_and(|route| route != path && !route.contains("{*"));
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    (!is_own_route && is_word(service) && is_word(method)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_method_names_a_call() {
        let rows = [
            ("/shop.Orders/Place", None, true),
            ("/Orders/Place", None, true),
            ("/shop.Orders/Place", Some("/shop.Orders/{*method}"), true),
            ("/shop.Orders/Place", Some("/shop.Orders/Place"), true),
            ("/shop.Orders/Place", Some("/{service}/{method}"), false),
            ("/shop.Orders", None, false),
            ("/shop.Orders/", None, false),
            ("//Place", None, false),
            ("/shop.Orders/Place/7", None, false),
            ("/shop.Orders/Place%20", None, false),
            ("/", None, false),
            ("", None, false),
        ];

        for (path, route, is_method) in rows {
            assert_eq!(rpc_method(path, route), is_method.then_some(path), "{path} {route:?}");
        }
    }
}
