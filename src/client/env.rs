//! The environment: the variables we read, their values, and names that look like misspellings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::Uri;

use crate::error::Error;
use crate::protocol::address;
use crate::redaction::shown;
use crate::sampling::{RouteTable, rate_fault};

/// Settings from the environment. Each value comes with the name of its variable.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) dsn: Option<(&'static str, String)>,
    /// `production`, `staging`, …
    pub(super) name: Option<(&'static str, String)>,
    pub(super) release: Option<(&'static str, String)>,
    pub(super) traces_sample_rate: Option<(&'static str, f64)>,
    /// Of sampled transactions.
    pub(super) profiles_sample_rate: Option<(&'static str, f64)>,
    /// Of runs of the process.
    pub(super) profile_session_sample_rate: Option<(&'static str, f64)>,
    pub(super) routes: Option<(&'static str, RouteTable)>,
    pub(super) send_default_pii: Option<(&'static str, bool)>,
    pub(super) spotlight: Option<(&'static str, Option<Uri>)>,
    pub(super) spool_dir: Option<(&'static str, PathBuf)>,
    pub(super) debug: Option<(&'static str, bool)>,
    pub(super) warnings: Vec<String>,
    /// The first invalid value.
    pub(super) error: Option<Error>,
}

const OURS: [&str; 14] = [
    "ENVIRONMENT",
    "GIT_COMMIT",
    "SENTRY_DEBUG",
    "SENTRY_DSN",
    "SENTRY_ENVIRONMENT",
    "SENTRY_PROFILES_SAMPLE_RATE",
    "SENTRY_PROFILE_SESSION_SAMPLE_RATE",
    "SENTRY_RELEASE",
    "SENTRY_ROUTES",
    "SENTRY_SEND_DEFAULT_PII",
    "SENTRY_SPOOL_DIR",
    "SENTRY_SPOTLIGHT",
    "SENTRY_TRACES_SAMPLE_RATE",
    "SENTRY_WORKER_DSN",
];

/// Variables of other Sentry tools. They are not misspellings of ours.
const OTHERS: [&str; 16] = [
    "SENTRY_AUTH_TOKEN",
    "SENTRY_BAGGAGE",
    "SENTRY_CONFIG_FILE",
    "SENTRY_DIST",
    "SENTRY_LOG_LEVEL",
    "SENTRY_NAME",
    "SENTRY_ORG",
    "SENTRY_PIPELINE",
    "SENTRY_PROJECT",
    "SENTRY_PROPERTIES",
    "SENTRY_REPLAY_SESSION_SAMPLE_RATE",
    "SENTRY_REPLAYS_SESSION_SAMPLE_RATE",
    "SENTRY_SAMPLE_RATE",
    "SENTRY_TRACE",
    "SENTRY_URL",
    "SENTRY_VSTS_URL",
];

/// The variables that name the release, the first first.
const RELEASES: [&str; 2] = ["SENTRY_RELEASE", "GIT_COMMIT"];

/// Variables that are not Sentry's alone.
const SHARED: [&str; 2] = ["ENVIRONMENT", "GIT_COMMIT"];

/// The default address of Spotlight.
const SPOTLIGHT: &str = "http://localhost:8969/stream";

/// The kind of process that reads the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Worker,
}

impl Environment {
    /// Reads the variables. A value of `None` was not valid UTF-8.
    pub(super) fn read(variables: impl IntoIterator<Item = (String, Option<String>)>, role: Role) -> Self {
        let variables: BTreeMap<String, Option<String>> = variables.into_iter().collect();
        let mut read = Self::default();
        let lookup = |names: &[&'static str], error: &mut Option<Error>| -> Option<(&'static str, String)> {
            names.iter().find_map(|name| match variables.get(*name) {
                // Build systems write `unknown` if they do not know the commit. That is not a release.
                Some(Some(value)) if RELEASES.contains(name) && value.trim() == "unknown" => None,
                Some(Some(value)) if !value.trim().is_empty() => Some((*name, value.trim().to_owned())),
                // The value of a variable that other programs read too must not stop this one.
                Some(None) if SHARED.contains(name) => None,
                Some(None) => {
                    error.get_or_insert_with(|| Error::setting(format!("{name}: expected text, found bytes that are not UTF-8")));
                    None
                }
                // A blank variable counts as unset.
                _ => None,
            })
        };
        let mut error = None;
        read.dsn = match role {
            Role::Server => lookup(&["SENTRY_DSN"], &mut error),
            Role::Worker => lookup(&["SENTRY_WORKER_DSN", "SENTRY_DSN"], &mut error),
        };
        read.name = lookup(&["SENTRY_ENVIRONMENT", "ENVIRONMENT"], &mut error);
        read.release = lookup(&RELEASES, &mut error);
        read.traces_sample_rate =
            lookup(&["SENTRY_TRACES_SAMPLE_RATE"], &mut error).and_then(|(name, text)| keep(name, rate(name, &text), &mut error));
        read.routes = lookup(&["SENTRY_ROUTES"], &mut error).and_then(|(name, text)| keep(name, routes(name, &text), &mut error));
        read.send_default_pii =
            lookup(&["SENTRY_SEND_DEFAULT_PII"], &mut error).and_then(|(name, text)| keep(name, switch(name, &text), &mut error));
        read.debug = lookup(&["SENTRY_DEBUG"], &mut error).and_then(|(name, text)| keep(name, switch(name, &text), &mut error));
        read.spotlight = lookup(&["SENTRY_SPOTLIGHT"], &mut error).and_then(|(name, text)| keep(name, spotlight(name, &text), &mut error));
        read.profiles_sample_rate =
            lookup(&["SENTRY_PROFILES_SAMPLE_RATE"], &mut error).and_then(|(name, text)| keep(name, rate(name, &text), &mut error));
        read.profile_session_sample_rate =
            lookup(&["SENTRY_PROFILE_SESSION_SAMPLE_RATE"], &mut error).and_then(|(name, text)| keep(name, rate(name, &text), &mut error));
        read.spool_dir = lookup(&["SENTRY_SPOOL_DIR"], &mut error).map(|(name, text)| (name, PathBuf::from(text)));
        read.error = error;
        read.warnings.extend(variables.keys().filter_map(|name| look_alike(name)));
        let unreadable = SHARED.iter().filter(|name| matches!(variables.get(**name), Some(None)));
        read.warnings.extend(unreadable.map(|name| format!("{name} is not read: its bytes are not UTF-8")));
        read
    }
}

fn keep<T>(name: &'static str, value: Result<T, Error>, error: &mut Option<Error>) -> Option<(&'static str, T)> {
    match value {
        Ok(value) => Some((name, value)),
        Err(found) => {
            error.get_or_insert(found);
            None
        }
    }
}

/// Parses a rate from `0.0` to `1.0`.
fn rate(name: &str, text: &str) -> Result<f64, Error> {
    match text.parse::<f64>() {
        Ok(rate) => checked_rate(name, rate),
        Err(_) => Err(Error::setting(format!("{name}: expected a number from 0.0 to 1.0, found '{}'", shown(text)))),
    }
}

fn checked_rate(name: &str, rate: f64) -> Result<f64, Error> {
    rate_fault(rate).map_or(Ok(rate), |fault| Err(Error::setting(format!("{name}: {fault}"))))
}

fn routes(name: &str, text: &str) -> Result<RouteTable, Error> {
    RouteTable::parse(text).map_err(|fault| Error::setting(format!("{name}: {fault}")))
}

/// Parses Sentry's words for yes and no, in upper or lower case.
fn switch(name: &str, text: &str) -> Result<bool, Error> {
    match as_switch(text) {
        Some(on) => Ok(on),
        None => Err(Error::setting(format!("{name}: expected one of true, yes, on, 1 or false, no, off, 0, found '{}'", shown(text)))),
    }
}

fn as_switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "y" | "yes" | "on" | "1" => Some(true),
        "false" | "f" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Parses yes (the default address), no, or a URL.
fn spotlight(name: &str, text: &str) -> Result<Option<Uri>, Error> {
    let text = match as_switch(text) {
        Some(true) => SPOTLIGHT,
        Some(false) => return Ok(None),
        None => text,
    };
    match address::parse(text) {
        Some(url) if address::user(&url).is_some() => Err(Error::setting(format!("{name}: expected a URL without a user"))),
        Some(_) => read_url(name, text).map(Some),
        None => Err(Error::setting(format!("{name}: expected 1, 0 or a URL, found '{}'", shown(text)))),
    }
}

pub(super) fn read_url(name: &str, text: &str) -> Result<Uri, Error> {
    match address::parse(text) {
        Some(url) if address::user(&url).is_none() => Ok(url),
        _ => Err(Error::setting(format!("{name}: expected a URL with the scheme http or https and without a user"))),
    }
}

/// Returns a warning if the name is close to the name of one of our variables.
fn look_alike(name: &str) -> Option<String> {
    if !name.starts_with("SENTRY") || OURS.contains(&name) || OTHERS.contains(&name) {
        return None;
    }
    let abbreviated = OURS.into_iter().find(|ours| name.len() > "SENTRY_".len() && ours.starts_with(name)).map(|ours| (0, ours));
    let (distance, meant) = abbreviated.or_else(|| OURS.into_iter().map(|ours| (strsim::levenshtein(name, ours), ours)).min())?;
    (distance <= 2).then(|| format!("{name} is not read; did you mean {meant}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_is_not_known_hides_no_other_and_bytes_of_others_stop_nothing() {
        let read = |variables: &[(&str, Option<&str>)]| {
            let given = variables.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
            Environment::read(given, Role::Server)
        };

        let release = read(&[("SENTRY_RELEASE", Some("unknown")), ("GIT_COMMIT", Some("12e0413"))]).release;
        let odd = read(&[("GIT_COMMIT", None), ("ENVIRONMENT", None), ("SENTRY_RELEASE", Some("unknown"))]);
        let ours = read(&[("SENTRY_ENVIRONMENT", None)]);

        assert_eq!(release, Some(("GIT_COMMIT", "12e0413".to_owned())));
        assert_eq!((odd.release, odd.name, odd.warnings.len(), odd.error.is_some()), (None, None, 2, false));
        assert!(ours.error.is_some());
    }

    #[test]
    fn look_alikes_are_named_and_neighbours_are_not() {
        for (name, meant) in [
            ("SENTRY_TRACE_SAMPLE_RATE", "SENTRY_TRACES_SAMPLE_RATE"),
            ("SENTRY_ENVIROMENT", "SENTRY_ENVIRONMENT"),
            ("SENTRYDSN", "SENTRY_DSN"),
            ("SENTRY_ENV", "SENTRY_ENVIRONMENT"),
        ] {
            assert!(look_alike(name).is_some_and(|warning| warning.contains(meant)), "{name}");
        }
        for name in ["SENTRY_AUTH_TOKEN", "SENTRY_ORG", "SENTRY_PROJECT", "SENTRY_DSN", "PATH", "SENTRY_SOMETHING_ELSE"] {
            assert_eq!(look_alike(name), None);
        }
    }
}
