//! The rows of a layer or a table, found by the router's own template or by the raw path.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use http::Method;

use super::route_options::{RouteOptions, RowOrigin};
use crate::diagnostics;

/// Rows: a template, with or without a method, and its options.
#[derive(Clone, Default)]
pub(crate) struct Routes {
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
    /// Adds a row of a layer. An invalid part of it is left out with a warning.
    pub(crate) fn add(&mut self, route: &str, mut options: RouteOptions) {
        if options.sample_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            diagnostics::warn(&format!("the sample rate of route '{route}' is left out: expected a number from 0.0 to 1.0"));
            options.sample_rate = None;
        }
        if let Some(fault) = options.failed_status_codes.as_ref().and_then(|codes| codes.fault()) {
            diagnostics::warn(&format!("the failed status codes of route '{route}': {fault}"));
        }
        if let Err(fault) = self.insert(route, options) {
            diagnostics::warn(&format!("route '{route}' is left out: {fault}"));
        }
    }

    /// Adds a row of a table.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the row, which is not added.
    pub(super) fn try_add(&mut self, route: &str, options: RouteOptions) -> Result<(), String> {
        let template = route.split_once(' ').map_or(route, |(_, template)| template.trim());
        if !template.starts_with('/') {
            return Err("expected a template that begins with '/'".to_owned());
        }
        if let Some(rate) = options.sample_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            return Err(format!("sample_rate: expected a number from 0.0 to 1.0, found '{rate}'"));
        }
        if let Some(fault) = options.failed_status_codes.as_ref().and_then(|codes| codes.fault()) {
            return Err(format!("failed_status_codes: {fault}"));
        }
        self.insert(route, options)
    }

    fn insert(&mut self, route: &str, options: RouteOptions) -> Result<(), String> {
        let (method, template) = match route.split_once(' ') {
            Some((method, template)) => (Some(method), template.trim()),
            None => (None, route),
        };
        let method = method.map(|method| method.to_ascii_uppercase().parse::<Method>()).transpose();
        let method = method.map_err(|_| "expected a method before the template".to_owned())?;
        let row = self.row(template)?;
        match method {
            None => row.any = Some(options),
            Some(method) => {
                row.by_method.retain(|(other, _)| *other != method);
                row.by_method.push((method, options));
            }
        }
        Ok(())
    }

    /// A template's row, which is created if it does not exist.
    fn row(&mut self, template: &str) -> Result<&mut Row, String> {
        let place = self.by_template.get(template).copied().unwrap_or(self.rows.len());
        if place == self.rows.len() {
            self.by_path.insert(template, place).map_err(|error| error.to_string())?;
            self.by_template.insert(template.to_owned(), place);
            self.rows.push(Row { template: template.to_owned(), any: None, by_method: Vec::new() });
        }
        self.rows.get_mut(place).ok_or_else(|| "it has no place".to_owned())
    }

    pub(super) fn len(&self) -> usize {
        self.rows.iter().map(|row| row.by_method.len() + usize::from(row.any.is_some())).sum()
    }

    /// All options.
    pub(super) fn options_mut(&mut self) -> impl Iterator<Item = &mut RouteOptions> {
        self.rows.iter_mut().flat_map(|row| row.any.iter_mut().chain(row.by_method.iter_mut().map(|(_, options)| options)))
    }

    /// All rows, as they were given.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Option<&Method>, &str, &RouteOptions)> {
        self.rows.iter().flat_map(|row| {
            let any = row.any.iter().map(|options| (None, row.template.as_str(), options));
            any.chain(row.by_method.iter().map(|(method, options)| (Some(method), row.template.as_str(), options)))
        })
    }

    /// Whether the row at a place is for paths that begin like this.
    fn is_below(&self, place: usize, start: &str) -> bool {
        self.rows.get(place).is_some_and(|row| row.template.starts_with(start))
    }

    fn row_of(&self, matched: Option<&str>, path: &str) -> Option<&Row> {
        let by_path = || self.by_path.at(path).ok().map(|found| *found.value);
        let place = match matched {
            // A path below a template with a wildcard may have its own row: a method of a gRPC service,
            // or a file. Rows of other routes do not count.
            Some(template) => {
                let below = template.split_once("{*").and_then(|(start, _)| by_path().filter(|place| self.is_below(*place, start)));
                below.or_else(|| self.by_template.get(template).copied())
            }
            None => by_path(),
        };
        self.rows.get(place?)
    }

    fn find_one(&self, method: &Method, matched: Option<&str>, path: &str) -> Option<Found<'_>> {
        if self.rows.is_empty() {
            return None;
        }
        let row = self.row_of(matched, path)?;
        let of_method = row.by_method.iter().find(|(other, _)| other == method).map(|(_, options)| options);
        Some(Found { template: &row.template, options: of_method.or(row.any.as_ref()), has_method: of_method.is_some() })
    }

    /// Returns the options of a request from the rows of a layer and of the client's table, and the
    /// template of their row.
    ///
    /// The most specific row counts. If two rows are equal, the table's row wins if it was given while the
    /// process runs, and otherwise the layer's.
    #[inline]
    pub(crate) fn find<'a>(
        &'a self,
        table: Option<&'a Self>,
        method: &Method,
        matched: Option<&str>,
        path: &str,
    ) -> (RouteOptions, Option<&'a str>) {
        if self.rows.is_empty() && table.is_none() {
            return (RouteOptions::default(), None);
        }
        self.find_in_both(table, method, matched, path)
    }

    #[inline(never)]
    fn find_in_both<'a>(
        &'a self,
        table: Option<&'a Self>,
        method: &Method,
        matched: Option<&str>,
        path: &str,
    ) -> (RouteOptions, Option<&'a str>) {
        match (self.find_one(method, matched, path), table.and_then(|table| table.find_one(method, matched, path))) {
            (None, None) => (RouteOptions::default(), None),
            (Some(found), None) | (None, Some(found)) => (found.options.cloned().unwrap_or_default(), Some(found.template)),
            (Some(of_layer), Some(of_table)) => of_layer.with(of_table),
        }
    }
}

/// The row of a request in one of the tables.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    template: &'a str,
    /// None if there are only rows for other methods.
    options: Option<&'a RouteOptions>,
    has_method: bool,
}

impl<'a> Found<'a> {
    /// Combines the row of a layer with that of a table.
    fn with(self, of_table: Self) -> (RouteOptions, Option<&'a str>) {
        let (Some(layers), Some(tables)) = (self.options, of_table.options) else {
            let (options, template) = match of_table.options {
                Some(options) => (options.clone(), of_table.template),
                None => (self.options.cloned().unwrap_or_default(), self.template),
            };
            return (options, Some(template));
        };
        // `false` comes first.
        let by_method = of_table.has_method.cmp(&self.has_method).reverse();
        match compare(of_table.template, self.template).then(by_method) {
            Ordering::Less => (tables.before(layers), Some(of_table.template)),
            Ordering::Greater => (layers.before(tables), Some(self.template)),
            Ordering::Equal if tables.origin == RowOrigin::Live => (tables.merged(layers), Some(self.template)),
            Ordering::Equal => (layers.merged(tables), Some(self.template)),
        }
    }
}

/// Compares two templates that match one path: the more specific one is less.
fn compare(one: &str, other: &str) -> Ordering {
    let kind = |segment: &str| match segment.find('{') {
        None => 0,
        Some(at) if segment.get(at..).is_some_and(|rest| rest.starts_with("{*")) => 2,
        Some(_) => 1,
    };
    if one == other { Ordering::Equal } else { one.split('/').map(kind).cmp(other.split('/').map(kind)) }
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
            let (options, found) = routes.find(None, &method, matched, path);
            assert_eq!((options.sample_rate, found), (rate, template), "{method} {path}");
        }
        assert!(routes.find(None, &Method::GET, None, "/healthz").0.is_ignored);
    }

    #[test]
    fn of_options_that_are_given_twice_the_later_ones_count() {
        let mut routes = Routes::default();
        for (get, any) in [(0.1, 0.2), (0.3, 0.4)] {
            routes.add("GET /x", RouteOptions::new().sample_rate(get));
            routes.add("/x", RouteOptions::new().sample_rate(any));
        }

        for (method, rate) in [(Method::GET, 0.3), (Method::POST, 0.4)] {
            assert_eq!(routes.find(None, &method, None, "/x").0.sample_rate, Some(rate), "{method}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let mut routes = Routes::default();

        routes.add("/broken/{", RouteOptions::new().ignore());
        routes.add("G(T /x", RouteOptions::new().ignore());
        routes.add("/rate", RouteOptions::new().sample_rate(f64::NAN));

        assert_eq!(routes.find(None, &Method::GET, None, "/x").0, RouteOptions::default());
        assert_eq!(routes.find(None, &Method::GET, None, "/rate"), (RouteOptions::default(), Some("/rate")));
    }

    /// What a row of a layer and a row of a table say about `GET /a/b/c`: the rate and the template.
    fn together(layer: &str, table: &str, matched: Option<&str>) -> (Option<f64>, String) {
        let routes = |route, rate| {
            let mut routes = Routes::default();
            routes.add(route, RouteOptions::new().sample_rate(rate));
            routes
        };
        let (layer, table) = (routes(layer, 0.25), routes(table, 0.75));
        let (options, template) = layer.find(Some(&table), &Method::GET, matched, "/a/b/c");
        (options.sample_rate, template.unwrap_or_default().to_owned())
    }

    #[test]
    fn the_most_specific_row_counts_wherever_it_is() {
        let (layers, tables) = (Some(0.25), Some(0.75));
        let rows = [
            ("/a/b/c", "/a/b/{id}", layers),
            ("/a/b/{id}", "/a/b/c", tables),
            ("/a/{*rest}", "/a/b/{id}", tables),
            ("/a/{*rest}", "/{*rest}", layers),
            ("/a/{x}/c", "/a/b/{*rest}", tables),
            ("/a/b/{id}", "GET /a/b/{id}", tables),
            ("GET /a/b/{id}", "/a/b/{id}", layers),
            ("GET /a/{*rest}", "/a/b/c", tables),
            ("POST /a/b/c", "/a/b/{id}", tables),
            ("/a/b/{id}", "POST /a/b/c", layers),
            ("/a/b/c", "/a/b/c", layers),
            ("GET /a/b/c", "GET /a/b/c", layers),
            ("/a/{x}/{y}", "/a/{one}/{two}", layers),
            ("/other", "/a/b/c", tables),
        ];
        for (layer, table, expected) in rows {
            let (rate, template) = together(layer, table, None);
            assert_eq!(rate, expected, "{layer} beside {table}");
            let source = if expected == layers { layer } else { table };
            assert!(source.ends_with(&template), "{layer} beside {table}: {template}");
        }
        assert_eq!(together("/a/b/{id}", "GET /a/b/{id}", Some("/a/b/{id}")).0, tables);
        assert_eq!(together("/a/b/{id}", "/a/b/c", Some("/a/b/{id}")).0, layers, "the router knows better than the path");
    }

    #[test]
    fn of_equal_rows_the_flags_add_up_and_nothing_makes_a_route_less_sensitive() {
        let of = |layer: (&str, RouteOptions), table: (&str, RouteOptions)| {
            let (mut layers, mut tables) = (Routes::default(), Routes::default());
            layers.add(layer.0, layer.1);
            tables.add(table.0, RouteOptions { origin: RowOrigin::Live, ..table.1 });
            let (options, _) = layers.find(Some(&tables), &Method::GET, None, "/a/b");
            (options.sample_rate, options.is_ignored, options.is_sensitive)
        };
        let new = RouteOptions::new;

        let equal = of(("/a/{id}", new().sample_rate(1.0).sensitive()), ("/a/{id}", new().sample_rate(0.5).ignore()));
        let specific = of(("/a/{id}", new().ignore().sensitive()), ("GET /a/{id}", new().sample_rate(0.5)));
        let general = of(("/a/{id}", new().sample_rate(1.0)), ("/{*rest}", new().ignore().sensitive()));

        assert_eq!(equal, (Some(0.5), true, true), "a row that is given while the process runs wins");
        assert_eq!(specific, (Some(0.5), false, true));
        assert_eq!(general, (Some(1.0), false, true));
    }
}
