//! Options per route, found by the router's own template or by the raw path.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::diagnostics;
use crate::status_codes::StatusCodes;

/// Options of one route.
///
/// # Examples
///
/// ```
/// use tower_sentry::incoming::RouteOptions;
///
/// let always = RouteOptions::new().sample_rate(1.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "options do nothing until they are given to `SentryLayer::route`"]
pub struct RouteOptions {
    pub(super) sample_rate: Option<f64>,
    pub(super) is_ignored: bool,
    pub(super) ignores_errors: bool,
    pub(super) is_sensitive: bool,
    pub(super) failed_status_codes: Option<Arc<StatusCodes>>,
}

impl RouteOptions {
    /// Creates options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the share of this route's transactions to send, from `0.0` to `1.0`.
    ///
    /// A parent's sampling decision does not matter.
    ///
    /// With `0.0` no transaction is sent, even if the request fails; its errors still are. A number
    /// outside the range is ignored, with a warning from
    /// [`SentryLayer::route`](crate::SentryLayer::route). Defaults to the client's rate.
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.sample_rate = Some(rate);
        self
    }

    /// Sets which status codes count as a failure of the service on this route.
    ///
    /// Numbers outside 100 to 999 are ignored, with a warning from
    /// [`SentryLayer::route`](crate::SentryLayer::route). Defaults to the layer's.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::incoming::StatusCodes;
    /// use tower_sentry::incoming::RouteOptions;
    ///
    /// // Only our own links lead to this route, so a 404 is a failure of ours.
    /// let strict = RouteOptions::new().failed_status_codes(StatusCodes::from(500..=599).with(404));
    /// ```
    pub fn failed_status_codes(mut self, codes: impl Into<StatusCodes>) -> Self {
        self.failed_status_codes = Some(Arc::new(codes.into()));
        self
    }

    /// Records no transaction for this route, sends no logs, and does not count it for release health.
    ///
    /// Panics and captured errors are still reported, with the method, the route and the URL. A failed
    /// status alone is not. See [`ignore_errors`](Self::ignore_errors).
    pub fn ignore(mut self) -> Self {
        self.is_ignored = true;
        self
    }

    /// Does not report errors and panics of this route either, if it is [ignored](Self::ignore).
    ///
    /// They are not counted as dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::incoming::RouteOptions;
    ///
    /// let silent = RouteOptions::new().ignore().ignore_errors();
    /// ```
    pub fn ignore_errors(mut self) -> Self {
        self.ignores_errors = true;
        self
    }

    /// Sends nothing of this route's requests but what the program's code says: the method, the route and
    /// the status, ids and times, the types, frames and places of errors, the kinds of spans.
    ///
    /// URL, query, headers, address, user, tags, contexts, breadcrumbs, attachments, and all texts and
    /// fields of spans and errors stay in the process, even from `before_send`. Logs of such a request are
    /// not sent, and not counted; the [security log](crate::ConfigBuilder::security_log) has them. A request
    /// that such a request is part of is as sensitive. Feedback is still sent.
    ///
    /// Use it where each value is a secret or about a person, whatever its name: `/patients/{id}`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::incoming::RouteOptions;
    ///
    /// let patients = RouteOptions::new().sensitive();
    /// ```
    pub fn sensitive(mut self) -> Self {
        self.is_sensitive = true;
        self
    }
}

/// The route options of a layer.
#[derive(Clone, Default)]
pub(super) struct Routes {
    rows: Vec<Row>,
    by_template: HashMap<String, usize>,
    by_path: matchit::Router<usize>,
}

#[derive(Clone, Debug)]
struct Row {
    template: String,
    any: Option<RouteOptions>,
    by_method: Vec<(Method, RouteOptions)>,
}

impl Routes {
    pub(super) fn add(&mut self, route: &str, mut options: RouteOptions) {
        if options.sample_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            diagnostics::warn(&format!("the sample rate of route '{route}' is left out: expected a number from 0.0 to 1.0"));
            options.sample_rate = None;
        }
        if let Some(fault) = options.failed_status_codes.as_ref().and_then(|codes| codes.fault()) {
            diagnostics::warn(&format!("the failed status codes of route '{route}': {fault}"));
        }
        let (method, template) = match route.split_once(' ') {
            Some((method, template)) => (Some(method), template.trim()),
            None => (None, route),
        };
        let method = match method.map(|method| method.to_ascii_uppercase().parse::<Method>()) {
            None => None,
            Some(Ok(method)) => Some(method),
            Some(Err(_)) => return diagnostics::warn(&format!("route '{route}' is left out: expected a method before the template")),
        };
        let Some(place) = self.place(template) else { return };
        let Some(row) = self.rows.get_mut(place) else { return };
        match method {
            None => row.any = Some(options),
            Some(method) => {
                row.by_method.retain(|(other, _)| *other != method);
                row.by_method.push((method, options));
            }
        }
    }

    /// The index of a template's row, which is created if it does not exist.
    fn place(&mut self, template: &str) -> Option<usize> {
        if let Some(place) = self.by_template.get(template) {
            return Some(*place);
        }
        let place = self.rows.len();
        if let Err(error) = self.by_path.insert(template, place) {
            diagnostics::warn(&format!("route '{template}' is left out: {error}"));
            return None;
        }
        self.by_template.insert(template.to_owned(), place);
        self.rows.push(Row { template: template.to_owned(), any: None, by_method: Vec::new() });
        Some(place)
    }

    /// Whether the row at a place is for paths that begin like this.
    fn is_below(&self, place: usize, start: &str) -> bool {
        self.rows.get(place).is_some_and(|row| row.template.starts_with(start))
    }

    /// The options of a request, and the template of the row they come from.
    pub(super) fn find(&self, method: &Method, matched: Option<&str>, path: &str) -> (RouteOptions, Option<&str>) {
        if self.rows.is_empty() {
            return (RouteOptions::default(), None);
        }
        let by_path = || self.by_path.at(path).ok().map(|found| *found.value);
        let place = match matched {
            // What is below a template with a wildcard may have a row of its own: a method of a gRPC
            // service, or a file. The row of another route does not count.
            Some(template) => {
                let below = template.split_once("{*").and_then(|(start, _)| by_path().filter(|place| self.is_below(*place, start)));
                below.or_else(|| self.by_template.get(template).copied())
            }
            None => by_path(),
        };
        let Some(row) = place.and_then(|place| self.rows.get(place)) else { return (RouteOptions::default(), None) };
        let of_method = row.by_method.iter().find(|(other, _)| other == method).map(|(_, options)| options);
        (of_method.or(row.any.as_ref()).cloned().unwrap_or_default(), Some(row.template.as_str()))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rows).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let mut routes = Routes::default();
        routes.add("/healthz", RouteOptions::new().ignore());
        routes.add("/checkout/{id}", RouteOptions::new().sample_rate(1.0));
        routes.add("get /checkout/{id}", RouteOptions::new().sample_rate(0.5));
        routes.add("/assets/{*rest}", RouteOptions::new().sample_rate(0.0));
        routes.add("/shop.Orders/Place", RouteOptions::new().sample_rate(0.25));
        routes
    }

    #[test]
    fn a_method_goes_before_none_and_a_template_before_the_path() {
        let routes = routes();
        let rows = [
            (Method::GET, None, "/healthz", None, Some("/healthz")),
            (Method::POST, None, "/checkout/7", Some(1.0), Some("/checkout/{id}")),
            (Method::GET, Some("/checkout/{id}"), "/checkout/7", Some(0.5), Some("/checkout/{id}")),
            (Method::GET, Some("/checkout/mine"), "/checkout/mine", None, None),
            (Method::GET, None, "/assets/css/app.css", Some(0.0), Some("/assets/{*rest}")),
            (Method::GET, Some("/users/{id}"), "/users/7", None, None),
            // Below a wildcard of the router: a row of its own, that of the template, and that of another route.
            (Method::POST, Some("/shop.Orders/{*rest}"), "/shop.Orders/Place", Some(0.25), Some("/shop.Orders/Place")),
            (Method::POST, Some("/shop.Orders/{*rest}"), "/shop.Orders/Cancel", None, None),
            (Method::GET, Some("/assets/{*rest}"), "/assets/logo.png", Some(0.0), Some("/assets/{*rest}")),
            (Method::GET, Some("/{*all}"), "/checkout/7", Some(0.5), Some("/checkout/{id}")),
            (Method::GET, Some("/other/{*rest}"), "/checkout/7", None, None),
        ];

        for (method, matched, path, rate, template) in rows {
            let (options, found) = routes.find(&method, matched, path);
            assert_eq!((options.sample_rate, found), (rate, template), "{method} {path}");
        }
        assert!(routes.find(&Method::GET, None, "/healthz").0.is_ignored);
    }

    #[test]
    fn of_options_that_are_given_twice_the_later_ones_count() {
        let mut routes = Routes::default();
        for (get, any) in [(0.1, 0.2), (0.3, 0.4)] {
            routes.add("GET /x", RouteOptions::new().sample_rate(get));
            routes.add("/x", RouteOptions::new().sample_rate(any));
        }

        for (method, rate) in [(Method::GET, 0.3), (Method::POST, 0.4)] {
            assert_eq!(routes.find(&method, None, "/x").0.sample_rate, Some(rate), "{method}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let mut routes = Routes::default();

        routes.add("/broken/{", RouteOptions::new().ignore());
        routes.add("G(T /x", RouteOptions::new().ignore());
        routes.add("/rate", RouteOptions::new().sample_rate(f64::NAN));

        assert_eq!(routes.find(&Method::GET, None, "/x").0, RouteOptions::default());
        assert_eq!(routes.find(&Method::GET, None, "/rate"), (RouteOptions::default(), Some("/rate")));
    }
}
