//! Merges explicit settings, the environment and the defaults, and checks the result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
#[cfg(feature = "rustls")]
use rustls::pki_types::CertificateDer;

use super::builder::ConfigBuilder;
use super::env::{Environment, checked_rate, read_url};
use super::settings::{Settings, Source};
use crate::error::Error;
use crate::exporter::SecurityLog;
use crate::propagation::Target;
use crate::protocol::Dsn;
use crate::sampling::TrustParent;
use crate::status_codes::StatusCodes;
use crate::transport::{Http, HttpSettings};

/// What Sentry's servers accept as the name of an environment or a release. They drop other names
/// silently.
struct NameRules {
    /// In characters.
    longest: usize,
    reserved: [&'static str; 3],
}

const ENVIRONMENT_NAMES: NameRules = NameRules { longest: 64, reserved: ["none", ".", ".."] };
const RELEASE_NAMES: NameRules = NameRules { longest: 200, reserved: ["latest", ".", ".."] };

/// Variables that other programs read too, and that may hold any text.
const SHARED_VARIABLES: [&str; 2] = ["ENVIRONMENT", "GIT_COMMIT"];

/// The number of spans that Sentry's servers accept in a transaction.
const MOST_SPANS: usize = 1000;

/// Records the source of each value while the values are chosen.
#[derive(Default)]
struct Choice {
    sources: Vec<(&'static str, Source)>,
}

impl Choice {
    /// Returns the explicit value, else the environment's, with the name to use in an error.
    fn of<T>(&mut self, setting: &'static str, by_hand: Option<T>, environment: Option<(&'static str, T)>) -> Option<(&'static str, T)> {
        let (source, chosen) = match (by_hand, environment) {
            (Some(value), _) => (Source::Builder, Some((setting, value))),
            (None, Some((variable, value))) => (Source::Environment(variable), Some((variable, value))),
            (None, None) => (Source::Default, None),
        };
        self.sources.push((setting, source));
        chosen
    }

    /// Returns the explicit value, else the default.
    fn or<T>(&mut self, setting: &'static str, by_hand: Option<T>, default: T) -> T {
        self.of(setting, by_hand, None).map_or(default, |(_, value)| value)
    }
}

impl Settings {
    /// Chooses and checks the values.
    ///
    /// Some invalid values are errors only if anything is recorded; see `Faults`.
    pub(super) fn resolve(builder: ConfigBuilder) -> Result<Self, Error> {
        let ConfigBuilder { from_environment: env, .. } = builder;
        let Environment { warnings, error, .. } = env;
        let mut choice = Choice::default();

        let dsn = choice.of("dsn", builder.dsn, env.dsn).filter(|(_, dsn)| !dsn.trim().is_empty());
        let dsn_name = dsn.as_ref().map_or("dsn", |(name, _)| *name);
        let dsn = dsn.map(|(name, text)| read_dsn(name, &text)).transpose()?;
        let by_hand = builder.spotlight.map(|text| read_url("spotlight", &text)).transpose()?;
        let (spotlight_name, spotlight) = choice.of("spotlight", by_hand.map(Some), env.spotlight).unwrap_or(("", None));
        let http = HttpSettings {
            connect_timeout: choice.or("connect_timeout", builder.connect_timeout, Duration::from_secs(3)),
            request_timeout: choice.or("request_timeout", builder.request_timeout, Duration::from_secs(10)),
            #[cfg(feature = "reqwest")]
            client: choice.of("http_client", builder.http_client, None).map(|(_, client)| client),
            #[cfg(feature = "reqwest")]
            proxy: choice.of("proxy", builder.proxy, None).map(|(_, proxy)| proxy),
            #[cfg(feature = "rustls")]
            certificates: read_certificates(&builder.ca_certificates, &mut choice)?,
        };
        #[cfg(feature = "reqwest")]
        check_own_client(&http)?;
        if builder.transport.is_none()
            && let Some(dsn) = &dsn
        {
            check_way(dsn_name, dsn.envelope_url(), &http, Error::dsn)?;
        }
        if let Some(url) = &spotlight {
            check_way(spotlight_name, url, &http, Error::setting)?;
        }
        let mut faults = Faults {
            is_on: dsn.is_some() || spotlight.is_some() || builder.console || builder.transport.is_some() || builder.security_log.is_some(),
            warnings,
        };
        faults.note(error.map_or(Ok(()), Err))?;

        if let Some(fault) = builder.failed_status_codes.as_ref().and_then(StatusCodes::fault) {
            return Err(Error::setting(format!("failed_status_codes: {fault}")));
        }
        if let Some(count) = builder.max_spans.filter(|count| *count > MOST_SPANS) {
            return Err(Error::setting(format!("max_spans: expected at most {MOST_SPANS}, found {count}")));
        }
        if let Some(fault) = builder.redaction.fault() {
            return Err(Error::setting(format!("redaction: {fault}")));
        }
        let environment =
            env.name.filter(|_| builder.environment.is_none()).and_then(|named| ENVIRONMENT_NAMES.fit(named, &mut faults.warnings));
        let (name, environment) =
            choice.of("environment", builder.environment, environment).unwrap_or_else(|| ("", "production".to_owned()));
        faults.note(ENVIRONMENT_NAMES.check(name, &environment))?;
        let release = env.release.filter(|_| builder.release.is_none()).and_then(|named| RELEASE_NAMES.fit(named, &mut faults.warnings));
        let release = choice.of("release", builder.release, release);
        if let Some((name, release)) = &release {
            faults.note(RELEASE_NAMES.check(name, release))?;
        }
        let (name, rate) = choice.of("traces_sample_rate", builder.traces_sample_rate, env.traces_sample_rate).unwrap_or(("", 0.1));
        let traces_sample_rate = checked_rate(name, rate)?;
        let send_default_pii = choice.of("send_default_pii", builder.send_default_pii, env.send_default_pii);
        let debug = choice.of("debug", builder.debug, env.debug);
        choice.of("security_log", builder.security_log.as_ref(), None);
        let security_log = builder.security_log.map(|path| security_log(path, builder.security_target)).transpose()?;
        choice.of("trace_propagation_targets", Some(()).filter(|()| !builder.trace_propagation_targets.is_empty()), None);
        let targets = builder.trace_propagation_targets.iter().map(|text| read_target(text)).collect::<Result<_, _>>();
        let trace_propagation_targets = targets?;
        // One row of the output shows both limits.
        choice.of("queue", builder.queue_items.or(builder.queue_bytes), None);

        Ok(Self {
            dsn,
            environment,
            release: release.map(|(_, release)| release),
            server_name: choice.of("server_name", builder.server_name, None).map(|(_, name)| name),
            traces_sample_rate,
            keep_failed: choice.or("keep_failed", builder.keep_failed, true),
            auto_session_tracking: choice.or("auto_session_tracking", builder.auto_session_tracking, true),
            trust_parent: choice.or("trust_parent", builder.trust_parent, TrustParent::default()),
            trace_propagation_targets,
            propagate_traceparent: choice.or("propagate_traceparent", builder.propagate_traceparent, false),
            failed_status_codes: choice.or("failed_status_codes", builder.failed_status_codes, StatusCodes::from(500..=599)),
            send_default_pii: send_default_pii.is_some_and(|(_, send)| send),
            trusted_hops: choice.or("trusted_hops", builder.trusted_hops, 0),
            redaction: Arc::new(builder.redaction),
            ignored: builder.ignored,
            include_source_context: choice.or("include_source_context", builder.include_source_context, true),
            default_fingerprint: choice.or("default_fingerprint", builder.default_fingerprint, true),
            max_attachment_size: choice.or("max_attachment_size", builder.max_attachment_size, 1024 * 1024),
            enable_logs: choice.or("enable_logs", builder.enable_logs, false),
            security_log,
            slow_query_threshold: choice.or("slow_query_threshold", builder.slow_query_threshold, Duration::from_millis(100)),
            min_span_duration: choice.or("min_span_duration", builder.min_span_duration, Duration::ZERO),
            max_breadcrumbs: choice.or("max_breadcrumbs", builder.max_breadcrumbs, 100),
            max_spans: choice.or("max_spans", builder.max_spans, MOST_SPANS),
            queue_items: builder.queue_items.unwrap_or(1000),
            queue_bytes: builder.queue_bytes.unwrap_or(12 * 1024 * 1024),
            http,
            shutdown_timeout: choice.or("shutdown_timeout", builder.shutdown_timeout, Duration::from_secs(2)),
            console: choice.or("console", builder.console.then_some(true), false),
            spotlight,
            transport: builder.transport,
            panic_hook: choice.or("panic_hook", builder.panic_hook, true),
            debug: debug.is_some_and(|(_, debug)| debug),
            tags: builder.tags,
            before_send: builder.before_send,
            before_send_transaction: builder.before_send_transaction,
            warnings: faults.warnings,
            sources: choice.sources,
        })
    }
}

/// Reports an invalid value: as an error if anything is recorded, else as a warning.
struct Faults {
    is_on: bool,
    warnings: Vec<String>,
}

impl Faults {
    fn note(&mut self, checked: Result<(), Error>) -> Result<(), Error> {
        if self.is_on {
            return checked;
        }
        self.warnings.extend(checked.err().map(|error| error.to_string()));
        Ok(())
    }
}

/// Checks the path of the security log.
///
/// The folder must exist: otherwise the first write would fail, which is too late.
fn security_log(path: PathBuf, target: Option<String>) -> Result<SecurityLog, Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    // Opening the file sets its mode, which must not happen to a pipe or a device.
    let is_other = std::fs::metadata(&path).is_ok_and(|there| !there.is_file());
    if !folder.is_dir() || is_other {
        return Err(Error::setting(format!("security_log: expected a file in a folder that exists, found '{}'", path.display())));
    }
    Ok(SecurityLog { path, target: target.unwrap_or_else(|| "security".to_owned()), max_bytes: 10 * 1024 * 1024 })
}

fn read_target(text: &str) -> Result<Target, Error> {
    let expected = "a host, `*.host`, `*`, or a URL's beginning";
    text.parse().map_err(|()| Error::setting(format!("trace_propagation_targets: expected {expected}, found '{text}'")))
}

fn read_dsn(name: &str, text: &str) -> Result<Dsn, Error> {
    text.parse().map_err(|invalid| Error::dsn(format!("{name}: {invalid}")))
}

#[cfg(feature = "rustls")]
fn read_certificates(texts: &[Vec<u8>], choice: &mut Choice) -> Result<Vec<CertificateDer<'static>>, Error> {
    choice.of("ca_certificate", Some(()).filter(|()| !texts.is_empty()), None);
    let mut certificates = Vec::new();
    for text in texts {
        certificates.extend(crate::transport::read_certificates(text)?);
    }
    Ok(certificates)
}

/// Checks that a client of the user's comes without settings that only our client has.
#[cfg(feature = "reqwest")]
fn check_own_client(http: &HttpSettings) -> Result<(), Error> {
    let beside = |setting| Error::setting(format!("http_client: expected no `{setting}` beside it, because the client has its own"));
    if http.client.is_none() {
        return Ok(());
    }
    if http.proxy.is_some() {
        return Err(beside("proxy"));
    }
    #[cfg(feature = "rustls")]
    if !http.certificates.is_empty() {
        return Err(beside("ca_certificate"));
    }
    Ok(())
}

/// Checks that our HTTP transport can send to this URL: the features of this build, and the proxy.
fn check_way(name: &str, url: &Uri, http: &HttpSettings, error: impl FnOnce(String) -> Error) -> Result<(), Error> {
    match Http::lacks(url, http) {
        Some(what) => Err(error(format!("{name}: {what}"))),
        None => Http::check(url, http),
    }
}

impl NameRules {
    fn check(&self, name: &str, value: &str) -> Result<(), Error> {
        let trimmed = value.trim();
        let fault = if trimmed.is_empty() {
            "it is blank"
        } else if value.chars().count() > self.longest {
            "it is too long"
        } else if value.contains(is_refused) {
            "it holds a slash or a control character"
        } else if self.reserved.iter().any(|word| trimmed.eq_ignore_ascii_case(word)) {
            "it is a reserved word"
        } else {
            return Ok(());
        };
        Err(Error::setting(format!("{name}: expected at most {} characters without a slash, but {fault}", self.longest)))
    }

    /// Makes a valid name of a shared variable's value, with a warning if that changes it.
    ///
    /// Such a variable may be meant for another program. Its value must not stop this one. A value
    /// of a variable of our own stays as it is.
    fn fit(&self, (name, value): (&'static str, String), warnings: &mut Vec<String>) -> Option<(&'static str, String)> {
        let Err(fault) = self.check(name, &value) else { return Some((name, value)) };
        if !SHARED_VARIABLES.contains(&name) {
            return Some((name, value));
        }
        let fitting: String = value.chars().map(|letter| if is_refused(letter) { '-' } else { letter }).take(self.longest).collect();
        if self.check(name, &fitting).is_ok() {
            warnings.push(format!("{fault}; '{fitting}' is used"));
            Some((name, fitting))
        } else {
            warnings.push(format!("{fault}; it is not used"));
            None
        }
    }
}

fn is_refused(letter: char) -> bool {
    matches!(letter, '/' | '\\') || letter.is_control()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Config;

    #[test]
    fn releases_and_environments_are_judged_like_the_servers_do() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/release_relay.json")).unwrap_or_default();
        let texts =
            |name: &str| vectors[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        let on = || Config::builder().console(true);

        for (name, valid) in [("valid", true), ("invalid", false)] {
            let releases = texts(name);
            assert!(!releases.is_empty());
            for release in releases {
                assert_eq!(on().release(release.clone()).build().is_ok(), valid, "{release:?}");
            }
        }
        for (name, valid) in [("environment_valid", true), ("environment_invalid", false)] {
            for environment in texts(name) {
                assert_eq!(on().environment(environment.clone()).build().is_ok(), valid, "{environment:?}");
            }
        }
    }
}
