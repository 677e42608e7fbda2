//! Settings of events: which ones, what rides on them, who sees them before they leave.

use std::path::PathBuf;
use std::sync::Arc;

use super::ConfigBuilder;
use crate::protocol::{Event, Transaction};

impl ConfigBuilder {
    /// Errors of these types make no event, anywhere in their chain: `TimeoutError`, or with the module that defines it, `shop::cart::CartError`. They are
    /// counted as dropped. What fails at every restart, say. Responses below 500 make no events in the first place.
    pub fn ignore_error_types<I>(mut self, types: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ignored.types.extend(types.into_iter().map(Into::into));
        self
    }

    /// The same for events with one of these texts in their message, or in that of an error of their chain.
    pub fn ignore_error_messages<I>(mut self, parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ignored.messages.extend(parts.into_iter().map(Into::into).filter(|part| !part.is_empty()));
        self
    }

    /// The same for events of requests that were answered with one of these codes: 503 of a service that sheds load, say.
    pub fn ignore_error_statuses(mut self, codes: impl IntoIterator<Item = u16>) -> Self {
        self.ignored.statuses.extend(codes);
        self
    }

    /// The same for `tracing::error!` of these targets and below: `hyper`, `shop::noisy`.
    pub fn ignore_error_targets<I>(mut self, targets: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ignored.targets.extend(targets.into_iter().map(Into::into).filter(|target| !target.is_empty()));
        self
    }

    /// Whether the lines of code around a frame of your own are sent, where the files are at hand: in development, and where sources are deployed. They are redacted
    /// like any text. Defaults to `true`.
    pub fn include_source_context(mut self, read: bool) -> Self {
        self.include_source_context = Some(read);
        self
    }

    /// Whether errors with frames carry a fingerprint: the types of the chain and the innermost function of your own, and the message only where the
    /// type says nothing (`anyhow!("…")`). So neither numbers in a message nor lines that moved make an issue of their own. With `false` the
    /// server's own rules decide. [`Scope::set_fingerprint`](crate::Scope::set_fingerprint) wins over both. Defaults to `true`.
    pub fn default_fingerprint(mut self, send: bool) -> Self {
        self.default_fingerprint = Some(send);
        self
    }

    /// How large a file may be that [rides on an event](crate::Scope::add_attachment), in bytes. Defaults to 1 MiB.
    pub fn max_attachment_size(mut self, bytes: usize) -> Self {
        self.max_attachment_size = Some(bytes);
        self
    }

    /// Whether events of `tracing` are sent as structured logs as well, with their fields, linked to span and trace: those that the
    /// [`TracingLayer`](crate::TracingLayer)'s level lets through, in requests and outside of any. They are gathered for up to five seconds, a hundred an
    /// envelope; at most 1,000 wait. Defaults to `false`.
    pub fn enable_logs(mut self, send: bool) -> Self {
        self.enable_logs = Some(send);
        self
    }

    /// Writes events of `tracing` with the target `security` (and below) to a file as well: whatever their level, with or without a DSN, whatever the
    /// network does. One JSON object a line, redacted like everything else; readable for its owner only (mode 0600). A file of 10 MiB gives
    /// way to a new one, five old ones are kept (`security.log.1` is the youngest); each process needs a file of its own. It counts as a sink, so everything is recorded even without a DSN.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if the folder does not exist.
    pub fn security_log(mut self, path: impl Into<PathBuf>) -> Self {
        self.security_log = Some(path.into());
        self
    }

    /// Sets which events the [security log](Self::security_log) takes. Defaults to `security`.
    pub fn security_target(mut self, target: impl Into<String>) -> Self {
        self.security_target = Some(target.into());
        self
    }

    /// Sees every error event before it is redacted and sent, on the exporter's thread; may change it, or drop it with `None`.
    /// A hook that panics withholds the event's contents: ids, times and types are sent.
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
    pub fn before_send(mut self, hook: impl Fn(Event) -> Option<Event> + Send + Sync + 'static) -> Self {
        self.before_send = Some(Arc::new(hook));
        self
    }

    /// The same for transactions.
    pub fn before_send_transaction(mut self, hook: impl Fn(Transaction) -> Option<Transaction> + Send + Sync + 'static) -> Self {
        self.before_send_transaction = Some(Arc::new(hook));
        self
    }
}
