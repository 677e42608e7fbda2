//! Merges explicit settings, the environment and the defaults, and checks the result.

use std::path::PathBuf;

use http::Uri;

use super::builder::{ConfigBuilder, Texts};
use super::env::{Environment, read_url};
use super::name_rules::{ENVIRONMENT_NAMES, RELEASE_NAMES};
use super::preset::Preset;
use super::settings::{Settings, Source};
use super::settings_file::SettingsFile;
use crate::error::Error;
use crate::exporter::SecurityLog;
use crate::propagation::Target;
use crate::protocol::{Dsn, LockFile, Modules, TraceLifecycle};
use crate::record::MOST_SPANS;
use crate::redaction::shown;
use crate::sampling::{TracesTarget, rate_fault};
use crate::transport::{Http, HttpSettings};

/// A value from the environment, with the name of its variable.
type Variable<T> = Option<(&'static str, T)>;

impl Settings {
    /// Chooses and checks the values.
    ///
    /// Some invalid values are errors only if anything is recorded; see `note`.
    pub(super) fn resolve(builder: ConfigBuilder) -> Result<Self, Error> {
        let ConfigBuilder { settings: mut chosen, texts, from_environment: env } = builder;
        let Environment { dsn, name, release, traces_sample_rate, routes, send_default_pii, spotlight, spool_dir, debug, warnings, .. } =
            env;
        let Environment { profiles_sample_rate, profile_session_sample_rate, error, .. } = env;
        chosen.warnings = warnings;
        let hidden = [
            ("dsn", variable_of(dsn.as_ref())),
            ("environment", variable_of(name.as_ref())),
            ("release", variable_of(release.as_ref())),
            ("traces_sample_rate", variable_of(traces_sample_rate.as_ref())),
            ("profiles_sample_rate", variable_of(profiles_sample_rate.as_ref())),
            ("profile_session_sample_rate", variable_of(profile_session_sample_rate.as_ref())),
            ("routes", variable_of(routes.as_ref())),
            ("send_default_pii", variable_of(send_default_pii.as_ref())),
            ("spotlight", variable_of(spotlight.as_ref())),
            ("spool_dir", variable_of(spool_dir.as_ref())),
            ("debug", variable_of(debug.as_ref())),
        ];
        for (setting, variable) in hidden {
            chosen.note_hidden(setting, variable);
        }
        if let Some(preset) = chosen.fill_from_preset("console") {
            chosen.delivery.console = preset.console();
        }
        let (settings_file, on_hangup) = (texts.settings_file.clone(), texts.reload_on_sighup);
        let default_rate = texts.default_traces_sample_rate;
        chosen.read_modules(texts.lock_file.as_deref())?;
        chosen.choose_destinations(texts, dsn, spotlight)?;
        chosen.note(error.map_or(Ok(()), Err))?;
        if let Some(dir) = chosen.fill("spool_dir", spool_dir) {
            chosen.delivery.spool_dir = Some(dir);
        }
        chosen.check_spool()?;
        chosen.choose_names(name, release)?;
        chosen.check_limits()?;
        if let Some(rate) = chosen.fill("traces_sample_rate", traces_sample_rate) {
            chosen.live.traces_sample_rate = rate;
        }
        if let Some(rate) = default_rate {
            chosen.fill_traces_sample_rate(rate)?;
        }
        if let Some(preset) = chosen.fill_from_preset("traces_sample_rate") {
            chosen.live.traces_sample_rate = preset.traces_sample_rate();
        }
        chosen.choose_profiles(profiles_sample_rate, profile_session_sample_rate)?;
        if let Some(table) = chosen.fill("routes", routes) {
            chosen.live.routes = table.configured();
        }
        chosen.live.check()?;
        chosen.read_file(settings_file, on_hangup)?;
        if let Some(send) = chosen.fill("send_default_pii", send_default_pii) {
            chosen.privacy.send_default_pii = send;
        }
        if let Some(debug) = chosen.fill("debug", debug) {
            chosen.debug = debug;
        }
        chosen.check_lifecycle()?;
        chosen.facts.redaction.clone_from(&chosen.privacy.redaction);
        Ok(chosen)
    }

    /// Warns of a variable without effect, because the setting is set in the code.
    ///
    /// `ENVIRONMENT` and `GIT_COMMIT` are not only for Sentry, so their owners did not mean us.
    fn note_hidden(&mut self, setting: &'static str, variable: Option<&'static str>) {
        if let Some(variable) = variable.filter(|name| name.starts_with("SENTRY_") && self.source(setting) == Source::Builder) {
            self.warnings.push(format!("{variable} has no effect: `{setting}` is set in the code"));
        }
    }

    /// Returns the value of a variable, unless the setting was set explicitly.
    pub(super) fn fill<T>(&mut self, setting: &'static str, variable: Variable<T>) -> Option<T> {
        let (name, value) = variable.filter(|_| self.source(setting) == Source::Default)?;
        self.sources.push((setting, Source::Environment(name)));
        Some(value)
    }

    /// Sets the rate that the application has as its default, unless it was set in the code or in the environment.
    fn fill_traces_sample_rate(&mut self, rate: f64) -> Result<(), Error> {
        if let Some(fault) = rate_fault(rate) {
            return Err(Error::setting(format!("default_traces_sample_rate: {fault}")));
        }
        if self.source("traces_sample_rate") == Source::Default {
            self.live.traces_sample_rate = rate;
            self.sources.push(("traces_sample_rate", Source::BuilderDefault));
        }
        Ok(())
    }

    /// Returns the preset, unless the setting was set in the code or in the environment.
    fn fill_from_preset(&mut self, setting: &'static str) -> Option<Preset> {
        let preset = self.preset.filter(|_| self.source(setting) == Source::Default)?;
        self.sources.push((setting, Source::Preset));
        Some(preset)
    }

    /// The name to use in an error about a setting: that of its variable, or its own.
    fn name_of(&self, setting: &'static str) -> &'static str {
        match self.source(setting) {
            Source::Environment(variable) => variable,
            Source::Builder | Source::BuilderDefault | Source::Default | Source::File | Source::Preset => setting,
        }
    }

    /// Reports an invalid value: as an error if anything is recorded, else as a warning.
    fn note(&mut self, checked: Result<(), Error>) -> Result<(), Error> {
        if self.is_on() {
            return checked;
        }
        self.warnings.extend(checked.err().map(|error| error.to_string()));
        Ok(())
    }

    fn choose_destinations(&mut self, texts: Texts, dsn: Variable<String>, spotlight: Variable<Option<Uri>>) -> Result<(), Error> {
        let dsn = texts.dsn.or_else(|| self.fill("dsn", dsn)).filter(|dsn| !dsn.trim().is_empty());
        self.delivery.dsn = dsn.map(|text| read_dsn(self.name_of("dsn"), &text)).transpose()?;
        self.delivery.spotlight = match texts.spotlight {
            Some(text) => Some(read_url("spotlight", &text)?),
            None => self.fill("spotlight", spotlight).flatten(),
        };
        #[cfg(feature = "rustls")]
        for text in texts.ca_certificates {
            self.delivery.http.certificates.extend(crate::transport::read_certificates(&text)?);
        }
        self.delivery.security_log = texts.security_log.map(|path| security_log(path, texts.security_target)).transpose()?;
        let targets = texts.trace_propagation_targets.iter().map(|text| read_target(text)).collect::<Result<_, _>>();
        self.propagation.targets = targets?;

        #[cfg(feature = "reqwest")]
        check_own_client(&self.delivery.http)?;
        if let Some(dsn) = self.delivery.dsn.as_ref().filter(|_| self.delivery.transport.is_none()) {
            check_way(self.name_of("dsn"), dsn.envelope_url(), &self.delivery.http, Error::dsn)?;
        }
        if let Some(url) = &self.delivery.spotlight {
            check_way(self.name_of("spotlight"), url, &self.delivery.http, Error::setting)?;
        }
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.delivery.otlp {
            check_way("otlp", otlp.checked()?, &self.delivery.http, Error::setting)?;
        }
        if let Some(dsn) = &self.delivery.dsn {
            self.facts.public_key = dsn.public_key().to_owned();
            self.facts.org_id = dsn.org_id().map(str::to_owned);
        }
        Ok(())
    }

    /// Says which settings need whole transactions, which are not sent if spans are streamed.
    #[cfg_attr(not(feature = "otlp"), expect(clippy::unnecessary_wraps, reason = "with a collector, it may fail"))]
    fn check_lifecycle(&mut self) -> Result<(), Error> {
        if self.delivery.trace_lifecycle == TraceLifecycle::Static {
            return Ok(());
        }
        #[cfg(feature = "otlp")]
        if self.delivery.otlp.is_some() {
            return Err(Error::setting("otlp: expected the trace_lifecycle `static`, found `stream`: a collector gets whole transactions"));
        }
        if self.hooks.before_send_transaction.is_some() {
            let why =
                "spans are sent one by one, and it sees whole transactions; `before_send_span` sees each span, and the request or job";
            self.warnings.push(format!("before_send_transaction has no effect with trace_lifecycle `stream`: {why}"));
        }
        if self.sampling.ignored_statuses.is_some() {
            let why = "their spans may have been sent before the status was known";
            self.warnings.push(format!(
                "ignore_transaction_statuses leaves out only the last part of long requests with trace_lifecycle `stream`: {why}"
            ));
        }
        Ok(())
    }

    /// The exporter makes the folder, and warns if that fails.
    fn check_spool(&mut self) -> Result<(), Error> {
        let dir = self.delivery.spool_dir.as_ref().filter(|dir| dir.exists() && !dir.is_dir());
        let fault = dir.map(|dir| format!("{}: expected a folder, found something else at '{}'", self.name_of("spool_dir"), dir.display()));
        self.note(fault.map_or(Ok(()), |fault| Err(Error::setting(fault))))
    }

    fn choose_names(&mut self, environment: Variable<String>, release: Variable<String>) -> Result<(), Error> {
        // A value that is not used needs no warning.
        let environment = environment.filter(|_| self.source("environment") == Source::Default);
        let environment = environment.and_then(|named| ENVIRONMENT_NAMES.fit(named, &mut self.warnings));
        if let Some(environment) = self.fill("environment", environment) {
            self.facts.environment = environment;
        }
        if let Some(preset) = self.fill_from_preset("environment") {
            preset.environment().clone_into(&mut self.facts.environment);
        }
        self.note(ENVIRONMENT_NAMES.check(self.name_of("environment"), &self.facts.environment))?;
        let release = release.filter(|_| self.source("release") == Source::Default);
        let release = release.and_then(|named| RELEASE_NAMES.fit(named, &mut self.warnings));
        if let Some(release) = self.fill("release", release) {
            self.facts.release = Some(release);
        }
        let checked = self.facts.release.as_ref().map_or(Ok(()), |release| RELEASE_NAMES.check(self.name_of("release"), release));
        self.note(checked)
    }

    fn read_modules(&mut self, lock_file: Option<&str>) -> Result<(), Error> {
        let Some(text) = lock_file else { return Ok(()) };
        let read = Modules::from_lock_file(text);
        let read = read.ok_or_else(|| Error::setting("modules: expected the text of a `Cargo.lock`, found no list of packages"))?;
        let LockFile { modules, left_out } = read;
        if left_out > 0 {
            self.warnings.push(format!("modules: {left_out} of {} packages are left out: the list has 8 KB", modules.len() + left_out));
        }
        self.facts.modules = modules;
        Ok(())
    }

    /// Puts the values of the settings file above all others.
    fn read_file(&mut self, path: Option<PathBuf>, on_hangup: bool) -> Result<(), Error> {
        let Some(path) = path else {
            let fault = on_hangup.then(|| Error::setting("reload_on_sighup: expected a `settings_file` beside it, found none"));
            return fault.map_or(Ok(()), Err);
        };
        let file = SettingsFile::new(path, &self.live, on_hangup);
        let read = file.read();
        self.file = Some(Box::new(file));
        let read = read.map(|(live, names)| {
            self.live = live;
            self.sources.splice(0..0, names.into_iter().map(|name| (name, Source::File)));
        });
        self.note(read)
    }

    fn check_limits(&self) -> Result<(), Error> {
        let count = self.limits.max_spans;
        let name = &self.delivery.client_name;
        let is_name =
            self.source("client_name") == Source::Default || (1..=64).contains(&name.chars().count()) && !name.contains(char::is_control);
        let faults = [
            (!is_name)
                .then(|| format!("client_name: expected 1 to 64 characters without control characters, found '{}'", name.escape_debug())),
            self.sampling.keep_slow.fault().map(|fault| format!("keep_slow: {fault}")),
            self.sampling.traces_target.and_then(TracesTarget::fault),
            self.failed_status_codes.fault().map(|fault| format!("failed_status_codes: {fault}")),
            self.sampling.ignored_statuses.as_ref().and_then(|codes| Some(format!("ignore_transaction_statuses: {}", codes.fault()?))),
            (count > MOST_SPANS).then(|| format!("max_spans: expected at most {MOST_SPANS}, found {count}")),
            self.privacy.redaction.fault().map(|fault| format!("redaction: {fault}")),
            self.delivery.budgets.fault(),
            self.hooks.on_alert.iter().find_map(|(rule, _)| rule.fault()).map(|fault| format!("on_alert: {fault}")),
        ];
        faults.into_iter().flatten().next().map_or(Ok(()), |fault| Err(Error::setting(fault)))
    }
}

fn variable_of<T>(variable: Option<&(&'static str, T)>) -> Option<&'static str> {
    variable.map(|(name, _)| *name)
}

/// Checks the path of the security log. Its folder is made when the first line is written.
fn security_log(path: PathBuf, target: Option<String>) -> Result<SecurityLog, Error> {
    // Opening the file sets its mode, which must not happen to a pipe or a device.
    let is_other = std::fs::metadata(&path).is_ok_and(|there| !there.is_file());
    if is_other {
        return Err(Error::setting(format!("security_log: expected a file, found something else at '{}'", path.display())));
    }
    Ok(SecurityLog { path, target: target.unwrap_or_else(|| "security".to_owned()), max_bytes: 10 * 1024 * 1024 })
}

fn read_target(text: &str) -> Result<Target, Error> {
    let expected = "a host, `*.host`, `*`, or a URL's beginning";
    text.parse().map_err(|()| Error::setting(format!("trace_propagation_targets: expected {expected}, found '{}'", shown(text))))
}

fn read_dsn(name: &str, text: &str) -> Result<Dsn, Error> {
    text.parse().map_err(|invalid| Error::dsn(format!("{name}: {invalid}")))
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
