//! The settings that may change while the process runs.

use serde_json::{Map, Value};

use super::route_table::RouteTable;
use crate::error::Error;

/// The settings that may change while the process runs: by [`Client::update`](crate::Client::update), or
/// by a [settings file](crate::ConfigBuilder::settings_file).
///
/// The methods of [`ConfigBuilder`](crate::ConfigBuilder) with the same names explain them, and set their
/// values at the start.
///
/// A settings file is a JSON object. A missing key has the value of the configuration. For a budget or a
/// maximum, `null` means no limit. `routes` is a [table](crate::incoming::RouteTable):
///
/// ```json
/// {
///     "traces_sample_rate": 0.1,
///     "max_events_per_issue": 20,
///     "keep_failed_budget": null,
///     "routes": {"/checkout/{id}": {"sample_rate": 1.0}, "/healthz": {"ignore": true}}
/// }
/// ```
///
/// # Examples
///
/// ```
/// use tower_sentry::{Client, Config};
///
/// let client = Client::from(Config::builder().transport(|_: &[u8]| {}).build()?);
///
/// client.update(|settings| settings.traces_sample_rate = 0.5)?;
/// assert_eq!(client.live_settings().traces_sample_rate, 0.5);
///
/// let error = client.update(|settings| settings.traces_sample_rate = 5.0).unwrap_err();
/// assert_eq!(error.to_string(), "traces_sample_rate: expected a number from 0.0 to 1.0, found '5'");
/// assert_eq!(client.live_settings().traces_sample_rate, 0.5);
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveSettings {
    /// The share of transactions to send. See
    /// [`traces_sample_rate`](crate::ConfigBuilder::traces_sample_rate).
    pub traces_sample_rate: f64,
    /// The share of events to send. See [`error_sample_rate`](crate::ConfigBuilder::error_sample_rate).
    pub error_sample_rate: f64,
    /// The number of failed transactions a second that are kept. See
    /// [`keep_failed_budget`](crate::ConfigBuilder::keep_failed_budget).
    pub keep_failed_budget: f64,
    /// The number of slow transactions a second that are kept. See
    /// [`keep_slow_budget`](crate::ConfigBuilder::keep_slow_budget).
    pub keep_slow_budget: f64,
    /// The number of events a second for failed responses without an error. See
    /// [`failure_budget`](crate::ConfigBuilder::failure_budget).
    pub failure_budget: f64,
    /// The number of transactions a second that callers may add to your own rate. See
    /// [`parent_budget`](crate::ConfigBuilder::parent_budget).
    pub parent_budget: f64,
    /// The maximum number of events of one issue in a minute. See
    /// [`max_events_per_issue`](crate::ConfigBuilder::max_events_per_issue).
    pub max_events_per_issue: u32,
    /// The maximum number of logs of one place in the code in a minute. See
    /// [`max_logs_per_callsite`](crate::ConfigBuilder::max_logs_per_callsite).
    pub max_logs_per_callsite: u32,
    /// The maximum number of metrics of one name in a minute. See
    /// [`max_metrics_per_name`](crate::ConfigBuilder::max_metrics_per_name).
    pub max_metrics_per_name: u32,
    /// Options per route. See [`routes`](crate::ConfigBuilder::routes).
    pub routes: RouteTable,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            traces_sample_rate: 0.1,
            error_sample_rate: 1.0,
            keep_failed_budget: 10.0,
            keep_slow_budget: 10.0,
            failure_budget: 10.0,
            parent_budget: 10.0,
            max_events_per_issue: 10_000,
            max_logs_per_callsite: 10_000,
            max_metrics_per_name: 100_000,
            routes: RouteTable::default(),
        }
    }
}

/// A setting, by its type.
enum Field<'a> {
    Rate(&'a mut f64),
    PerSecond(&'a mut f64),
    PerMinute(&'a mut u32),
    Routes(&'a mut RouteTable),
}

impl LiveSettings {
    fn fields(&mut self) -> [(&'static str, Field<'_>); 10] {
        [
            ("traces_sample_rate", Field::Rate(&mut self.traces_sample_rate)),
            ("error_sample_rate", Field::Rate(&mut self.error_sample_rate)),
            ("keep_failed_budget", Field::PerSecond(&mut self.keep_failed_budget)),
            ("keep_slow_budget", Field::PerSecond(&mut self.keep_slow_budget)),
            ("failure_budget", Field::PerSecond(&mut self.failure_budget)),
            ("parent_budget", Field::PerSecond(&mut self.parent_budget)),
            ("max_events_per_issue", Field::PerMinute(&mut self.max_events_per_issue)),
            ("max_logs_per_callsite", Field::PerMinute(&mut self.max_logs_per_callsite)),
            ("max_metrics_per_name", Field::PerMinute(&mut self.max_metrics_per_name)),
            ("routes", Field::Routes(&mut self.routes)),
        ]
    }

    /// Checks all values.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let fault = self.fields().into_iter().find_map(|(name, field)| Some((name, field.fault()?)));
        fault.map_or(Ok(()), |(name, fault)| Err(Error::setting(format!("{name}: {fault}"))))
    }

    /// Returns these settings with those of a file added, and the names of the settings in the file.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the text.
    pub(crate) fn with_json(&self, text: &str) -> Result<(Self, Vec<&'static str>), String> {
        let given: Map<String, Value> = serde_json::from_str(text).map_err(|error| format!("expected an object of settings: {error}"))?;
        let (mut changed, mut names) = (self.clone(), Vec::new());
        for (key, value) in given {
            let field = changed.fields().into_iter().find(|(name, _)| *name == key);
            let (name, field) = field.ok_or_else(|| format!("'{key}' is not a setting that may change while the process runs"))?;
            field.read(value).map_err(|fault| format!("{name}: {fault}"))?;
            names.push(name);
        }
        changed.check().map_err(|error| error.to_string())?;
        Ok((changed, names))
    }
}

impl Field<'_> {
    /// What makes the value invalid.
    fn fault(&self) -> Option<String> {
        match self {
            Self::Rate(rate) => rate_fault(**rate),
            Self::PerSecond(number) if (0.0..=f64::INFINITY).contains(*number) => None,
            Self::PerSecond(number) => Some(format!("expected a number of 0 or more, found '{number}'")),
            Self::PerMinute(_) => None,
            Self::Routes(table) => table.fault().map(str::to_owned),
        }
    }

    fn read(self, value: Value) -> Result<(), String> {
        let found = |value: &Value| format!("found {}", kind(value));
        match self {
            Self::Rate(rate) => *rate = value.as_f64().ok_or_else(|| format!("expected a number from 0.0 to 1.0, {}", found(&value)))?,
            Self::PerSecond(number) if value.is_null() => *number = f64::INFINITY,
            Self::PerSecond(number) => {
                *number = value.as_f64().ok_or_else(|| format!("expected a number of 0 or more, or null, {}", found(&value)))?;
            }
            Self::PerMinute(number) if value.is_null() => *number = u32::MAX,
            Self::PerMinute(number) => {
                let read = value.as_u64().and_then(|read| u32::try_from(read).ok());
                *number = read.ok_or_else(|| format!("expected a whole number of 0 or more, or null, {}", found(&value)))?;
            }
            Self::Routes(table) => match value {
                Value::Object(rows) => table.extend(&RouteTable::of_rows(rows)?),
                other => return Err(format!("expected an object of routes, {}", found(&other))),
            },
        }
        Ok(())
    }
}

/// A value for a message, without texts: a text may be a secret in the wrong place.
fn kind(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(_) => "a text".to_owned(),
        other => format!("'{other}'"),
    }
}

/// What makes a share of something invalid.
pub(crate) fn rate_fault(rate: f64) -> Option<String> {
    (!(0.0..=1.0).contains(&rate)).then(|| format!("expected a number from 0.0 to 1.0, found '{rate}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<LiveSettings, String> {
        LiveSettings::default().with_json(text).map(|(settings, _)| settings)
    }

    #[test]
    fn each_setting_is_read_and_the_others_stay() {
        let given = r#"{"traces_sample_rate": 1, "keep_slow_budget": 2.5, "max_events_per_issue": 3, "routes": {"/a": {"ignore": true}}}"#;

        let (settings, names) = LiveSettings::default().with_json(given).unwrap();

        assert_eq!((settings.traces_sample_rate, settings.keep_slow_budget, settings.max_events_per_issue), (1.0, 2.5, 3));
        assert_eq!((settings.error_sample_rate, settings.failure_budget, settings.routes.len()), (1.0, 10.0, 1));
        assert_eq!(names, ["keep_slow_budget", "max_events_per_issue", "routes", "traces_sample_rate"]);
    }

    #[test]
    fn null_is_no_limit() {
        let settings = with(r#"{"failure_budget": null, "max_logs_per_callsite": null}"#).unwrap();

        assert_eq!((settings.failure_budget, settings.max_logs_per_callsite), (f64::INFINITY, u32::MAX));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let rows = [
            ("", "expected an object of settings: EOF"),
            ("[]", "expected an object of settings: invalid type"),
            (r#"{"dsn": "https://key@host/1"}"#, "'dsn' is not a setting that may change while the process runs"),
            (r#"{"traces_sample_rate": 2}"#, "traces_sample_rate: expected a number from 0.0 to 1.0, found '2'"),
            (r#"{"traces_sample_rate": null}"#, "traces_sample_rate: expected a number from 0.0 to 1.0, found 'null'"),
            (r#"{"error_sample_rate": "0.1"}"#, "error_sample_rate: expected a number from 0.0 to 1.0, found a text"),
            (r#"{"parent_budget": -1}"#, "parent_budget: expected a number of 0 or more, found '-1'"),
            (r#"{"parent_budget": []}"#, "parent_budget: expected a number of 0 or more, or null, found a list"),
            (r#"{"max_events_per_issue": 1.5}"#, "max_events_per_issue: expected a whole number of 0 or more, or null, found '1.5'"),
            (r#"{"routes": []}"#, "routes: expected an object of routes, found a list"),
            (r#"{"routes": {"/a": {"rate": 1}}}"#, "routes: route '/a': unknown field `rate`"),
            (r#"{"routes": {"/a": {"sample_rate": 2}}}"#, "routes: route '/a': sample_rate: expected a number from 0.0 to 1.0, found '2'"),
            (r#"{"routes": {"/a": {"failed_status_codes": [7]}}}"#, "routes: route '/a': failed_status_codes: expected status codes"),
            (r#"{"routes": {"/a/{": {}}}"#, "routes: route '/a/{': "),
            (r#"{"routes": {"healthz": {}}}"#, "routes: route 'healthz': expected a template that begins with '/'"),
            (r#"{"routes": {"G(T /a": {}}}"#, "routes: route 'G(T /a': expected a method before the template"),
        ];
        for (text, expected) in rows {
            let fault = with(text).unwrap_err();
            assert!(fault.starts_with(expected), "{text}: {fault}");
        }
    }
}
