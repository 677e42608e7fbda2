//! Routes as data: a table from code, a variable or a file.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::route_options::{RouteOptions, RowOrigin};
use super::routes::Routes;
use crate::error::Error;
use crate::status_codes::StatusCodes;

/// Options per route that do not belong to a layer. They come from an environment variable, a file or code,
/// and can change while the process runs.
///
/// All layers of a client use its table in addition to their own [rows](crate::SentryLayer::route). The
/// most specific row counts, wherever it is. If two rows have the same route and method, their flags add up
/// (`ignore`, `ignore_errors`, `sensitive`). Each other option comes from the first of these rows that has it:
///
/// 1. a row given while the process runs: by [`Client::update`](crate::Client::update) or the
///    [settings file](crate::ConfigBuilder::settings_file);
/// 2. a row of the layer;
/// 3. a row of [`ConfigBuilder::routes`](crate::ConfigBuilder::routes), or else of `SENTRY_ROUTES`.
///
/// A row of a table cannot make a route less sensitive than a row of the layer makes it.
///
/// As JSON, a table is an object of routes. The value of each route is an object with these keys:
///
/// | key | value | option |
/// |---|---|---|
/// | `sample_rate` | a number from 0 to 1 | [`RouteOptions::sample_rate`] |
/// | `ignore` | `true` or `false` | [`RouteOptions::ignore`] |
/// | `ignore_errors` | `true` or `false` | [`RouteOptions::ignore_errors`] |
/// | `sensitive` | `true` or `false` | [`RouteOptions::sensitive`] |
/// | `failed_status_codes` | a list of numbers | [`RouteOptions::failed_status_codes`] |
///
/// # Examples
///
/// ```
/// use tower_sentry::Config;
/// use tower_sentry::incoming::{RouteOptions, RouteTable};
///
/// let table = RouteTable::from_json(
///     r#"{
///         "GET /checkout/{id}": {"sample_rate": 1.0},
///         "/healthz": {"ignore": true},
///         "/static/{*rest}": {"sample_rate": 0.0}
///     }"#,
/// )?;
/// let config = Config::builder().routes(table.route("/admin/{*rest}", RouteOptions::new().sample_rate(1.0))).build()?;
///
/// let error = RouteTable::from_json(r#"{"/search": {"sample_rate": 7}}"#).unwrap_err();
/// assert_eq!(error.to_string(), "routes: route '/search': sample_rate: expected a number from 0.0 to 1.0, found '7'");
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct RouteTable {
    routes: Arc<Routes>,
    /// The fault of the first row that is invalid.
    fault: Option<String>,
}

/// The options of a row, as data.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RowData {
    sample_rate: Option<f64>,
    ignore: bool,
    ignore_errors: bool,
    sensitive: bool,
    failed_status_codes: Option<Vec<u16>>,
}

impl RowData {
    fn into_options(self) -> RouteOptions {
        RouteOptions {
            sample_rate: self.sample_rate,
            is_ignored: self.ignore,
            ignores_errors: self.ignore_errors,
            is_sensitive: self.sensitive,
            failed_status_codes: self.failed_status_codes.map(|codes| Arc::new(codes.into_iter().collect::<StatusCodes>())),
            origin: RowOrigin::Live,
        }
    }
}

impl RouteTable {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not JSON, or if a row is invalid. The message names the row.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::parse(text).map_err(|fault| Error::setting(format!("routes: {fault}")))
    }

    /// Adds a row, or replaces that of the same route and method.
    ///
    /// `route` is a template such as `/users/{id}` or `/assets/{*rest}`, and a method may precede it, as
    /// for [`SentryLayer::route`](crate::SentryLayer::route).
    ///
    /// # Errors
    ///
    /// If the row is invalid, [`build`](crate::ConfigBuilder::build) or [`update`](crate::Client::update)
    /// returns an error.
    #[must_use]
    pub fn route(mut self, route: impl AsRef<str>, options: RouteOptions) -> Self {
        self.set_route(route, options);
        self
    }

    /// Adds a row like [`route`](Self::route), to a table in use.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_sentry::{Client, Config};
    /// use tower_sentry::incoming::RouteOptions;
    ///
    /// # let client = Client::from(Config::builder().build()?);
    /// client.update(|settings| {
    ///     settings.routes.set_route("/search", RouteOptions::new().sample_rate(0.01));
    /// })?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn set_route(&mut self, route: impl AsRef<str>, options: RouteOptions) -> &mut Self {
        let route = route.as_ref();
        if let Err(fault) = Arc::make_mut(&mut self.routes).try_add(route, RouteOptions { origin: RowOrigin::Live, ..options }) {
            self.fault.get_or_insert_with(|| format!("route '{route}': {fault}"));
        }
        self
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rows: Map<String, Value> = serde_json::from_str(text).map_err(|error| format!("expected an object of routes: {error}"))?;
        Self::of_rows(rows)
    }

    pub(super) fn of_rows(rows: Map<String, Value>) -> Result<Self, String> {
        let mut table = Self::new();
        for (route, options) in rows {
            let data: RowData = serde_json::from_value(options).map_err(|error| format!("route '{route}': {error}"))?;
            table.set_route(&route, data.into_options());
        }
        table.fault.take().map_or(Ok(table), Err)
    }

    /// What is wrong with a row.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Marks this table as given at the start: a layer's own rows win over equal rows of the table.
    pub(crate) fn configured(mut self) -> Self {
        Arc::make_mut(&mut self.routes).options_mut().for_each(|options| options.origin = RowOrigin::Configured);
        self
    }

    /// Adds the rows of another table, which replace equal ones.
    pub(super) fn extend(&mut self, other: &Self) {
        for (method, template, options) in other.routes.iter() {
            let route = method.map_or_else(|| template.to_owned(), |method| format!("{method} {template}"));
            self.set_route(route, options.clone());
        }
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.routes.fmt(f)
    }
}
