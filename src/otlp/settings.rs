//! Where the collector is, and what its requests have.

use std::collections::BTreeMap;
use std::fmt;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::variables::Variables;
use crate::error::Error;
use crate::protocol::address;

/// The path of traces below the address of a collector.
const TRACES: &str = "/v1/traces";

/// Headers that belong to the request itself.
const RESERVED: [HeaderName; 6] =
    [header::CONNECTION, header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::HOST, header::TRANSFER_ENCODING];

/// An OpenTelemetry collector that gets the spans of each transaction, over OTLP/HTTP with protobuf.
///
/// Pass it to [`ConfigBuilder::otlp`](crate::ConfigBuilder::otlp). `Debug` shows the names of headers, and never their
/// values.
///
/// # Examples
///
/// ```
/// use tower_sentry::Config;
/// use tower_sentry::otlp::Otlp;
///
/// let collector = Otlp::new("https://otlp.example").header("x-api-key", "8f14e45fceea167a").service_name("shop");
/// assert!(!format!("{collector:?}").contains("8f14e45fceea167a"));
///
/// let config = Config::builder().otlp(collector).traces_sample_rate(1.0).build()?;
/// assert!(config.is_enabled());
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until it is passed to `ConfigBuilder::otlp`"]
pub struct Otlp {
    /// `None` if there is a fault.
    endpoint: Option<Uri>,
    headers: HeaderMap,
    resource: BTreeMap<String, String>,
    /// The first fault.
    fault: Option<String>,
}

impl Otlp {
    /// A collector at this address, such as `http://127.0.0.1:4318`.
    ///
    /// `/v1/traces` is appended, as OpenTelemetry does with `OTEL_EXPORTER_OTLP_ENDPOINT`. An `https` address needs
    /// the feature `rustls`.
    ///
    /// # Errors
    ///
    /// [`build`](crate::ConfigBuilder::build) fails if the address is not a URL with the scheme `http` or `https`, if
    /// it has a user, or if it ends with `/v1/traces` already.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let collector = Otlp::new("http://127.0.0.1:4318");
    /// assert!(format!("{collector:?}").contains("http://127.0.0.1:4318/v1/traces"));
    /// ```
    pub fn new(address: impl AsRef<str>) -> Self {
        Self::at(below("otlp", address.as_ref()))
    }

    /// A collector that takes traces at this URL.
    ///
    /// # Errors
    ///
    /// The same as for [`new`](Self::new), but any path is valid.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let collector = Otlp::with_traces_endpoint("https://otlp.example/tenant/7/traces");
    /// assert!(format!("{collector:?}").contains("/tenant/7/traces"));
    /// ```
    pub fn with_traces_endpoint(url: impl AsRef<str>) -> Self {
        Self::at(read_url("otlp", url.as_ref()))
    }

    /// A collector by the variables of OpenTelemetry.
    ///
    /// | variable | what it sets |
    /// |---|---|
    /// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | the URL of traces |
    /// | `OTEL_EXPORTER_OTLP_ENDPOINT` | the address to which `/v1/traces` is appended; the default of both is `http://localhost:4318` |
    /// | `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, then `OTEL_EXPORTER_OTLP_HEADERS` | headers: `name=value,name=value`, with percent-encoded values |
    /// | `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, then `OTEL_EXPORTER_OTLP_PROTOCOL` | must be `http/protobuf` if it is set |
    /// | `OTEL_SERVICE_NAME` | [`service_name`](Self::service_name) |
    /// | `OTEL_RESOURCE_ATTRIBUTES` | [`resource_attribute`](Self::resource_attribute): `name=value,name=value`, with percent-encoded values |
    ///
    /// They are read by this call only. A service that does not call it sends nothing to a collector, whatever its
    /// environment has: these variables may be there for another program. Methods that are called later win.
    ///
    /// # Errors
    ///
    /// [`build`](crate::ConfigBuilder::build) fails if a value cannot be read. The message names the variable. It does
    /// not have the values of headers.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_sentry::Config;
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let sentry = Config::builder().from_env().otlp(Otlp::from_env()).init()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn from_env() -> Self {
        Self::read(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()))))
    }

    /// Like [`from_env`](Self::from_env), with these variables instead of the process's environment.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let collector = Otlp::from_vars([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")]);
    /// assert!(format!("{collector:?}").contains("http://collector:4318/v1/traces"));
    /// ```
    pub fn from_vars<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::read(variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))))
    }

    fn read(variables: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let Variables { traces_endpoint, endpoint, headers, resource, fault } = Variables::read(variables);
        let mut otlp = match (traces_endpoint, endpoint) {
            (Some((variable, url)), _) => Self::at(read_url(variable, &url)),
            (None, Some((variable, address))) => Self::at(below(variable, &address)),
            (None, None) => Self::new("http://localhost:4318"),
        };
        if let Some(fault) = fault {
            otlp.fault.get_or_insert(fault);
        }
        if let Some((variable, headers)) = headers {
            for (name, value) in headers {
                otlp.insert(variable, &name, &value);
            }
        }
        otlp.resource.extend(resource);
        otlp
    }

    fn at(endpoint: Result<Uri, String>) -> Self {
        let (endpoint, fault) = match endpoint {
            Ok(endpoint) => (Some(endpoint), None),
            Err(fault) => (None, Some(fault)),
        };
        Self { endpoint, headers: HeaderMap::new(), resource: BTreeMap::new(), fault }
    }

    /// Adds a header to each request, such as an API key. It replaces an earlier one of this name.
    ///
    /// Values are secret: they are neither in `Debug`, nor in the settings that are shown, nor in errors.
    ///
    /// # Errors
    ///
    /// [`build`](crate::ConfigBuilder::build) fails if the name or the value is not valid in HTTP, and if the header is one
    /// of the request itself, such as `content-type`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let collector = Otlp::new("https://otlp.example").header("authorization", "Bearer 8f14e45fceea167a");
    /// assert!(!format!("{collector:?}").contains("8f14e45fceea167a"));
    /// ```
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.insert("otlp", name.as_ref(), value.as_ref());
        self
    }

    fn insert(&mut self, setting: &str, name: &str, value: &str) {
        let parsed = HeaderName::try_from(name).ok().filter(|name| !RESERVED.contains(name));
        match (parsed, HeaderValue::from_str(value)) {
            (Some(name), Ok(mut value)) => {
                value.set_sensitive(true);
                self.headers.insert(name, value);
            }
            // A name may be a secret in the wrong place.
            (None, _) => self.fail(format!("{setting}: expected the name of a header that is not one of the request itself")),
            (Some(name), Err(_)) => self.fail(format!("{setting}: expected a value of header `{name}` without control characters")),
        }
    }

    fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// The name of the service, the resource attribute `service.name`.
    ///
    /// Defaults to the package in the [`release`](crate::ConfigBuilder::release), `shop` of `shop@1.4.0`, else to
    /// `unknown_service:` with the name of the program.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let collector = Otlp::new("http://127.0.0.1:4318").service_name("shop");
    /// # assert!(format!("{collector:?}").contains("service.name"));
    /// ```
    pub fn service_name(self, name: impl Into<String>) -> Self {
        self.resource_attribute("service.name", name)
    }

    /// Adds an attribute to the resource, such as `service.namespace`. It replaces an earlier one of this name.
    ///
    /// It wins over the attributes that come from other settings: `service.version` of the release, `deployment.environment.name` of
    /// the environment, `host.name` of the server name. It passes the redactor.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::otlp::Otlp;
    ///
    /// let collector = Otlp::new("http://127.0.0.1:4318").resource_attribute("service.namespace", "north");
    /// # assert!(format!("{collector:?}").contains("service.namespace"));
    /// ```
    pub fn resource_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.resource.insert(name.into(), value.into());
        self
    }

    /// Returns the URL of traces, or the first fault.
    pub(crate) fn checked(&self) -> Result<&Uri, Error> {
        match (&self.endpoint, &self.fault) {
            (Some(endpoint), None) => Ok(endpoint),
            (_, fault) => Err(Error::setting(fault.as_deref().unwrap_or("otlp: expected a URL"))),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn resource(&self) -> impl Iterator<Item = (&str, &str)> {
        self.resource.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The URL for people to read. A query may have a key.
    pub(crate) fn shown(&self) -> String {
        let Some(endpoint) = &self.endpoint else { return "invalid".to_owned() };
        let authority = endpoint.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}{}", endpoint.scheme_str().unwrap_or_default(), endpoint.path())
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Otlp")
            .field("endpoint", &self.shown())
            .field("headers", &headers)
            .field("resource", &self.resource.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Reads the URL of traces. An error does not repeat it: it may have a secret.
fn read_url(setting: &str, text: &str) -> Result<Uri, String> {
    address::parse(text)
        .filter(|url| address::user(url).is_none())
        .ok_or_else(|| format!("{setting}: expected a URL with the scheme http or https and without a user"))
}

/// Appends the path of traces to the address of a collector.
fn below(setting: &str, text: &str) -> Result<Uri, String> {
    let url = read_url(setting, text)?;
    let base = url.path().trim_end_matches('/');
    if base.ends_with(TRACES) {
        return Err(format!("{setting}: expected an address without `{TRACES}`, which is appended to it"));
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path: Result<PathAndQuery, _> = format!("{base}{TRACES}{query}").parse();
    path.ok().and_then(|path| address::at_path(&url, path)).ok_or_else(|| format!("{setting}: expected a URL, found one that is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(otlp: &Otlp) -> Result<String, String> {
        otlp.checked().map(ToString::to_string).map_err(|error| error.to_string())
    }

    #[test]
    fn the_path_of_traces_is_appended_to_an_address_and_not_to_a_url() {
        for (address, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example/tenant/7/", "https://otlp.example/tenant/7/v1/traces"),
            ("https://otlp.example?key=1", "https://otlp.example/v1/traces?key=1"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(url(&Otlp::new(address)).as_deref(), Ok(expected), "{address}");
        }
        let endpoint = Otlp::with_traces_endpoint("https://otlp.example/traces");
        assert_eq!(url(&endpoint).as_deref(), Ok("https://otlp.example/traces"));
    }

    #[test]
    fn a_fault_names_the_setting_and_keeps_secrets() {
        let secret = "8f14e45fceea167a";
        for (otlp, expected) in [
            (Otlp::new("collector:4318"), "otlp: expected a URL with the scheme http or https and without a user"),
            (Otlp::new(format!("http://me:{secret}@h")), "otlp: expected a URL with the scheme http or https and without a user"),
            (Otlp::new("http://h/v1/traces"), "otlp: expected an address without `/v1/traces`, which is appended to it"),
            (
                Otlp::new("http://h").header(format!("bad {secret}"), "x"),
                "otlp: expected the name of a header that is not one of the request itself",
            ),
            (
                Otlp::new("http://h").header("content-type", secret),
                "otlp: expected the name of a header that is not one of the request itself",
            ),
            (
                Otlp::new("http://h").header("x-key", format!("{secret}\n")),
                "otlp: expected a value of header `x-key` without control characters",
            ),
        ] {
            assert_eq!(url(&otlp).as_ref().map_err(String::as_str), Err(expected));
        }
    }

    #[test]
    fn neither_a_header_nor_a_query_is_shown() {
        let otlp = Otlp::new("http://h?key=8f14e45fceea167a").header("x-api-key", "8f14e45fceea167a");

        let shown = format!("{otlp:?} {} {:?}", otlp.shown(), otlp.headers());

        assert!(shown.contains("x-api-key") && shown.contains("http://h/v1/traces"), "{shown}");
        assert!(!shown.contains("8f14e45fceea167a"), "{shown}");
    }
}
