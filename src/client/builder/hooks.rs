//! The hooks that see the recorded and sent data.

use std::sync::Arc;

use super::ConfigBuilder;
use crate::event::Hint;
use crate::protocol::{Breadcrumb, Event, Log, Metric, Span, Transaction};
use crate::unwind::Contained;

/// What several hooks have in common is in the guide's page on [errors](crate::guide::errors#hooks).
impl ConfigBuilder {
    /// Sets a hook that sees each error where it is captured, while the error itself still exists.
    ///
    /// It can read the error's type, add data to its event, or drop it. It sees the errors of
    /// `capture_error`, of a `CaptureError`, of a field of a `tracing` event that is an error, and those that
    /// jobs return. It does not see messages, panics and texts.
    ///
    /// The hook runs inside your request, so it must be quick. If the same failure is reported several
    /// times, it runs for each report. If it panics, the error is sent without what it set; after ten panics
    /// it is off.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// # #[derive(Debug)] struct DbError { code: &'static str }
    /// # impl std::fmt::Display for DbError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl std::error::Error for DbError {}
    /// let config = Config::builder().before_capture(|hint| {
    ///     if let Some(error) = hint.downcast_ref::<DbError>() {
    ///         hint.set_tag("sqlstate", error.code);
    ///     }
    /// });
    /// ```
    pub fn before_capture(self, hook: impl Fn(&mut Hint<'_>) + Send + Sync + 'static) -> Self {
        self.set("before_capture", |settings| settings.hooks.before_capture = Some(Arc::new(Contained::new(hook))))
    }

    /// Sets a hook that sees every breadcrumb before it is kept, also those of `tracing` events.
    ///
    /// The hook runs inside your request, once for each breadcrumb, so it must be quick. It may change the
    /// breadcrumb, or drop it by returning `None`; that is counted in
    /// [`Stats::dropped_breadcrumbs`](crate::Stats::dropped_breadcrumbs). If it panics, the breadcrumb is
    /// dropped; after ten panics, all are.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder()
    ///     .before_breadcrumb(|breadcrumb| Some(breadcrumb).filter(|step| step.category.as_deref() != Some("shop::poll")));
    /// ```
    pub fn before_breadcrumb(self, hook: impl Fn(Breadcrumb) -> Option<Breadcrumb> + Send + Sync + 'static) -> Self {
        self.set("before_breadcrumb", |settings| settings.hooks.before_breadcrumb = Some(Arc::new(Contained::new(hook))))
    }

    /// Adds a hook that sees every error event, before [`before_send`](Self::before_send).
    ///
    /// Use it in a library, or where several parts of a program each add something: there may be any number
    /// of them. They run in the order in which they were added, after those of the
    /// [scope](crate::Scope::add_event_processor). An event that one drops is counted (`EventProcessor`), and
    /// the later ones do not see it.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().add_event_processor(|mut event| {
    ///     event.tags.insert("region".into(), "eu-1".into());
    ///     Some(event)
    /// });
    /// ```
    pub fn add_event_processor(self, processor: impl Fn(Event) -> Option<Event> + Send + Sync + 'static) -> Self {
        self.set("add_event_processor", |settings| settings.hooks.event_processors.push(Arc::new(Contained::new(processor))))
    }

    /// Sets a hook that sees every error event before it is redacted and sent.
    ///
    /// The hook runs on the exporter's thread. It may change the event, or drop it by returning
    /// `None`. If it panics, the event is sent without its contents: only ids, times and types.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().before_send(|mut event| {
    ///     event.tags.insert("seen".into(), "yes".into());
    ///     Some(event)
    /// });
    /// ```
    pub fn before_send(self, hook: impl Fn(Event) -> Option<Event> + Send + Sync + 'static) -> Self {
        self.set("before_send", |settings| settings.hooks.before_send = Some(Arc::new(Contained::new(hook))))
    }

    /// Sets a hook that sees every span of a transaction before it is redacted and sent.
    ///
    /// It runs on the exporter's thread, before
    /// [`before_send_transaction`](Self::before_send_transaction), which also has the root. It may change the
    /// span, or drop it by returning `None`: the spans below it move up to its parent. If it panics, the span
    /// is sent without its contents.
    ///
    /// With [`TraceLifecycle::Stream`](crate::protocol::TraceLifecycle::Stream), children move up only among the spans that
    /// are sent together, and a new name of the request is not in the spans that were sent before.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().before_send_span(|mut span| {
    ///     span.data.remove("db.query.text");
    ///     Some(span).filter(|span| span.op.as_deref() != Some("cache.get"))
    /// });
    /// ```
    pub fn before_send_span(self, hook: impl Fn(Span) -> Option<Span> + Send + Sync + 'static) -> Self {
        self.set("before_send_span", |settings| settings.hooks.before_send_span = Some(Arc::new(Contained::new(hook))))
    }

    /// Sets a hook that sees every transaction before it is redacted and sent.
    ///
    /// See [`before_send`](Self::before_send).
    pub fn before_send_transaction(self, hook: impl Fn(Transaction) -> Option<Transaction> + Send + Sync + 'static) -> Self {
        self.set("before_send_transaction", |settings| settings.hooks.before_send_transaction = Some(Arc::new(Contained::new(hook))))
    }

    /// Sets a hook that sees every structured log before it is redacted and sent.
    ///
    /// Logs need [`enable_logs`](Self::enable_logs). The hook runs on the exporter's thread. It may change the
    /// log, or drop it by returning `None`. If it panics, the log is sent without its contents. The
    /// [security log](Self::security_log) is a file of yours, which no hook changes.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::protocol::{LogAttribute, LogLevel};
    ///
    /// let config = Config::builder().enable_logs(true).before_send_log(|mut log| {
    ///     log.attributes.insert("region".into(), LogAttribute::new("eu-1"));
    ///     Some(log).filter(|log| log.level >= LogLevel::Info)
    /// });
    /// ```
    pub fn before_send_log(self, hook: impl Fn(Log) -> Option<Log> + Send + Sync + 'static) -> Self {
        self.set("before_send_log", |settings| settings.hooks.before_send_log = Some(Arc::new(Contained::new(hook))))
    }

    /// Sets a hook that sees every [metric](crate::metrics) before it is redacted and sent.
    ///
    /// The hook runs on the exporter's thread. It may change the metric, or drop it by returning `None`. If it
    /// panics, the metric is sent without its attributes.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    ///
    /// let config = Config::builder().before_send_metric(|mut metric| {
    ///     metric.attributes.remove("user.id");
    ///     Some(metric).filter(|metric| !metric.name.starts_with("debug."))
    /// });
    /// ```
    pub fn before_send_metric(self, hook: impl Fn(Metric) -> Option<Metric> + Send + Sync + 'static) -> Self {
        self.set("before_send_metric", |settings| settings.hooks.before_send_metric = Some(Arc::new(Contained::new(hook))))
    }
}
