//! Names a request when it arrives.

use http::Request;

use super::request::is_grpc;
use super::rules::{RequestHead, Rules};
use crate::client::Client;
use crate::record::{Moment, Record, clock};
use crate::unwind;

/// The name of a request, and where it comes from.
pub(super) enum RequestName<'a> {
    /// The template of its route; the method is put before it.
    Route(&'a str),
    /// The method of a gRPC service, such as `/shop.Orders/Place`.
    Rpc(&'a str),
    /// The name that the user's function returned.
    User(String),
    Unknown,
}

impl<'a> RequestName<'a> {
    /// Names a request; `route` is the template that the router or the layer's table matched.
    pub(super) fn of<B>(request: &'a Request<B>, route: Option<&'a str>, rules: &Rules, client: &Client, now: Moment) -> Self {
        match route {
            // Nearly always. Other routes are checked for gRPC.
            Some(route) if !may_be_rpc(route, request.uri().path()) => Self::Route(route),
            _ => Self::without_own_route(request, route, rules, client, now),
        }
    }

    #[inline(never)]
    fn without_own_route<B>(request: &'a Request<B>, route: Option<&'a str>, rules: &Rules, client: &Client, now: Moment) -> Self {
        let rpc = if is_grpc(request) { rpc_method(request.uri().path()) } else { None };
        if let (None, Some(route)) = (rpc, route) {
            return Self::Route(route);
        }
        let now = clock::nanos(now);
        match (user_name(request, rules), rpc) {
            (Some(name), _) => Self::User(client.admitted_name(&name, now).to_owned()),
            (None, Some(method)) => Self::Rpc(client.admitted_rpc_name(method, now)),
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

/// Whether a call of gRPC may have matched this route: one for all methods of a service, as tonic's
/// router has, or a row for the method itself.
fn may_be_rpc(route: &str, path: &str) -> bool {
    route.contains("{*") || route == path
}

/// The path of a gRPC call, `/package.Service/Method`.
fn rpc_method(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    (is_word(service) && is_word(method)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_method_names_a_call() {
        let methods = ["/shop.Orders/Place", "/Orders/Place", "/shop.v1.Orders_2/Place"];
        let others = ["/shop.Orders", "/shop.Orders/", "//Place", "/shop.Orders/Place/7", "/shop.Orders/Place%20", "/", ""];
        let routes = [
            ("/shop.Orders/{*method}", true),
            ("/shop.Orders/Place", true),
            ("/{service}/{method}", false),
            ("/shop.Orders/{method}", false),
        ];

        assert!(methods.iter().all(|path| rpc_method(path) == Some(*path)));
        assert!(others.iter().all(|path| rpc_method(path).is_none()));
        for (route, is_rpc) in routes {
            assert_eq!(may_be_rpc(route, "/shop.Orders/Place"), is_rpc, "{route}");
        }
    }
}
