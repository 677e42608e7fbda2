//! Settings of events: which ones are sent, and what they contain.

use std::path::PathBuf;

use super::ConfigBuilder;
use crate::event::FrameSettings;

impl ConfigBuilder {
    /// Ignores errors of these types, anywhere in the chain of causes.
    ///
    /// Give the name alone (`TimeoutError`) or with the module that defines it
    /// (`shop::cart::CartError`). Use it for errors that occur at every restart, for example.
    /// Ignored errors are counted as dropped. Responses below 500 do not create events in the first
    /// place.
    ///
    /// A type is also found inside an `io::Error`, and as what a variant wraps, if the `Debug` output is a
    /// derived one: `DbError` in `AppError::Db(DbError)`. A variant is named with its type if the code knows
    /// it (`AppError::NotFound`), and alone.
    pub fn ignore_error_types<I>(mut self, types: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.hooks.ignored.types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Ignores events with one of these texts in their message, or in the message of an error in
    /// their chain.
    ///
    /// Ignored events are counted as dropped.
    pub fn ignore_error_messages<I>(mut self, parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.hooks.ignored.messages.extend(parts.into_iter().map(Into::into).filter(|part| !part.is_empty()));
        self
    }

    /// Ignores events of requests that were answered with one of these status codes.
    ///
    /// Use it for the 503 of a service that sheds load, for example. Ignored events are counted as
    /// dropped.
    pub fn ignore_error_statuses(mut self, codes: impl IntoIterator<Item = u16>) -> Self {
        self.settings.hooks.ignored.statuses.extend(codes);
        self
    }

    /// Ignores `tracing::error!` events of these targets and the targets below them, such as
    /// `hyper` or `shop::noisy`.
    ///
    /// Ignored events are counted as dropped.
    pub fn ignore_error_targets<I>(mut self, targets: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.settings.hooks.ignored.targets.extend(targets.into_iter().map(Into::into).filter(|target| !target.is_empty()));
        self
    }

    /// Whether to send the source lines around stack frames of your own code.
    ///
    /// This works if the source files are on the machine: in development, or if sources are
    /// deployed. The lines are redacted like any text. Defaults to `true`.
    pub fn include_source_context(self, read: bool) -> Self {
        self.set("include_source_context", |settings| settings.facts.include_source_context = read)
    }

    /// Marks frames of these modules as your own code (`in_app`), wherever their sources are.
    ///
    /// Give a crate, a module or a function: `acme_orders`, `shop::api`. The modules below count as
    /// well, those that only begin with the same letters do not. A crate may be written as in
    /// `Cargo.toml`, with dashes. Takes precedence over [`in_app_exclude`](Self::in_app_exclude).
    /// Further calls add to the list.
    ///
    /// Without settings, a frame is your own unless its path leads to a registry, a git dependency,
    /// a folder of vendored crates or the standard library. In a build without debug information
    /// there are no paths: there, a frame is your own unless its crate is a well-known library.
    ///
    /// # Examples
    ///
    /// Crates of your company come from a registry, and a vendored one is unknown to this crate:
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().in_app_include(["acme-orders"]).in_app_exclude(["old_orm"]);
    /// ```
    pub fn in_app_include<I>(self, modules: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.set("in_app_include", |settings| settings.facts.frames.in_app_include.extend(FrameSettings::prefixes(modules)))
    }

    /// Marks frames of these modules as not your own code.
    ///
    /// The form is that of [`in_app_include`](Self::in_app_include), which takes precedence.
    /// Servers fold such frames and leave them out of the grouping.
    pub fn in_app_exclude<I>(self, modules: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.set("in_app_exclude", |settings| settings.facts.frames.in_app_exclude.extend(FrameSettings::prefixes(modules)))
    }

    /// Whether to leave frames out of stack traces that say nothing about a failure.
    ///
    /// These are the frames of the runtime outside your own code (hyper, tokio, the start of a
    /// thread, everything outside the [`SentryLayer`](crate::SentryLayer)), and those that raise a
    /// panic or capture an error. With `false` they are sent too, up to 100 frames. The default
    /// fingerprint is the same. Defaults to `true`.
    pub fn trim_backtraces(self, trim: bool) -> Self {
        self.set("trim_backtraces", |settings| settings.facts.frames.trim_backtraces = trim)
    }

    /// Whether events carry a fingerprint, by which the server groups them into issues.
    ///
    /// It consists of types, places in the source and routes, which every build knows, and of no
    /// texts, which hold ids. The guide's page on errors has the rules. With `false`, the server's
    /// own rules apply. [`Scope::set_fingerprint`](crate::Scope::set_fingerprint) overrides both.
    /// Defaults to `true`.
    pub fn default_fingerprint(self, send: bool) -> Self {
        self.set("default_fingerprint", |settings| settings.facts.default_fingerprint = send)
    }

    /// The largest size, in bytes, of each [attachment](crate::Scope::add_attachment).
    ///
    /// Larger files, and more than ten of a scope, are dropped and counted. Defaults to 1 MiB.
    pub fn max_attachment_size(self, bytes: usize) -> Self {
        self.set("max_attachment_size", |settings| settings.limits.max_attachment_size = bytes)
    }

    /// Whether to send `tracing` events as structured logs as well, with their fields and linked to
    /// span and trace.
    ///
    /// This covers all events that pass the level of the [`TracingLayer`](crate::TracingLayer),
    /// inside and outside requests. Logs are collected for at most five seconds and sent in batches
    /// of at most 100. At most 1,000 logs wait. Defaults to `false`.
    pub fn enable_logs(self, send: bool) -> Self {
        self.set("enable_logs", |settings| settings.delivery.enable_logs = send)
    }

    /// Whether to send [metrics](crate::metrics).
    ///
    /// Metrics are collected for at most five seconds and sent in batches of at most 100. At most 1,000 wait. With
    /// `false`, they are not recorded. Use it for servers without metrics: `GlitchTip`, Bugsink, and older releases of
    /// self-hosted Sentry. Metrics have envelopes of their own, so nothing else is lost there. Defaults to `true`.
    pub fn enable_metrics(self, send: bool) -> Self {
        self.set("enable_metrics", |settings| settings.delivery.enable_metrics = send)
    }

    /// Also writes `tracing` events with the target `security`, and the targets below it, to a
    /// file.
    ///
    /// - Events are written at any level, with or without a DSN, and in any state of
    ///   the network.
    /// - The file contains one JSON object per line, redacted like everything else.
    /// - Only its owner can read it (mode 0600).
    /// - It is written on a thread of its own: a disk that hangs holds up nothing else. At most 10,000
    ///   lines or 8 MiB wait. Further ones are lost; the file and
    ///   [`Stats::lost_security_lines`](crate::Stats::lost_security_lines) say how many.
    /// - At 10 MiB, a new file is started. Five old ones are kept; `security.log.1` is the newest
    ///   of them.
    ///
    /// Each process needs its own file. The log counts as a sink: everything is recorded even
    /// without a DSN.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if something other than a regular file has this path. A folder that
    /// is missing is made when the first line is written (mode 0700). If that fails, a warning says so.
    pub fn security_log(mut self, path: impl Into<PathBuf>) -> Self {
        self.texts.security_log = Some(path.into());
        self.set("security_log", |_| {})
    }

    /// Sets the target of the events that the [security log](Self::security_log) records.
    ///
    /// Defaults to `security`.
    pub fn security_target(mut self, target: impl Into<String>) -> Self {
        self.texts.security_target = Some(target.into());
        self
    }
}
