//! The data that users set on a scope.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::current;
use super::handle::Scope;
use super::json::to_json;
use super::state::ScopeKind;
use crate::diagnostics;
use crate::protocol::{Attachment, Breadcrumb, Category, DiscardReason, Event, Level, User};
use crate::record::{ScopeData, json_size};
use crate::redaction::shown;
use crate::unwind::Contained;

impl Scope {
    /// Sets the user who makes the request.
    ///
    /// If the data set in this request exceeds 256 KiB, only id, e-mail, name and address are kept,
    /// at most 1 KiB of each.
    pub fn set_user(&self, user: User) -> &Self {
        if self.shared.is_none() {
            return self;
        }
        let texts = [&user.id, &user.email, &user.username, &user.ip_address].into_iter().flatten().map(String::len);
        let size = texts.sum::<usize>() + json_size(&user.data);
        self.change(|set| set.set_user(user, size))
    }

    /// Removes the user.
    pub fn clear_user(&self) -> &Self {
        self.change(ScopeData::clear_user)
    }

    /// Sets a tag: a short text that the server can search and filter by.
    ///
    /// The name has at most 200 characters of `a-z A-Z 0-9 _ . : -`, and the value at most 200 characters.
    /// The server truncates a longer value.
    pub fn set_tag(&self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> &Self {
        if self.shared.is_none() {
            return self;
        }
        // Formatted before the lock is taken, because it runs the user's code.
        let (name, value) = (name.into(), value.to_string());
        self.change(|set| set.set_tag(name, value))
    }

    /// Removes a tag.
    pub fn remove_tag(&self, name: impl AsRef<str>) -> &Self {
        self.change(|set| set.remove_tag(name.as_ref()))
    }

    /// Sets a context: a named group of facts, which is shown with the event and cannot be searched.
    ///
    /// A value that is not an object is stored under the key `value`. Numbers and keys that JSON does not
    /// have become texts. At most 32 levels of lists and maps are kept.
    ///
    /// # Examples
    ///
    /// ```
    /// #[derive(serde::Serialize)]
    /// struct Order { id: u64, items: Vec<&'static str> }
    ///
    /// tower_sentry::Scope::current().set_context("order", Order { id: 7, items: vec!["tea"] });
    /// ```
    pub fn set_context(&self, name: impl Into<String>, facts: impl Serialize) -> &Self {
        let Some((facts, size)) = self.json(facts) else { return self };
        let facts = if facts.is_object() { facts } else { serde_json::json!({ "value": facts }) };
        self.change(|set| set.set_context(name.into(), facts, size))
    }

    /// Removes a context.
    pub fn remove_context(&self, name: impl AsRef<str>) -> &Self {
        self.change(|set| set.remove_context(name.as_ref()))
    }

    /// Sets a single fact of events, shown under "Additional Data".
    ///
    /// Such facts cannot be searched. Use a [context](Self::set_context) for several facts that belong
    /// together. The same rules for values apply.
    pub fn set_extra(&self, name: impl Into<String>, value: impl Serialize) -> &Self {
        let Some((value, size)) = self.json(value) else { return self };
        self.change(|set| set.set_extra(name.into(), value, size))
    }

    /// Overrides the level of all events of this scope. `None` restores each event's own level.
    pub fn set_level(&self, level: impl Into<Option<Level>>) -> &Self {
        self.change(|set| set.set_level(level.into()))
    }

    /// Sets the fingerprint by which the server groups the events of this scope into issues.
    ///
    /// It replaces the fingerprint of this crate. The part `{{ default }}` stands for the server's own
    /// rules.
    ///
    /// # Examples
    ///
    /// ```
    /// // One issue per shop that is down, independent of the error message.
    /// tower_sentry::Scope::current().set_fingerprint(["shop-down", "shop-17"]);
    /// ```
    pub fn set_fingerprint<I>(&self, parts: I) -> &Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        if self.shared.is_none() {
            return self;
        }
        let parts = parts.into_iter().map(Into::into).collect();
        self.change(|set| set.set_fingerprint(parts))
    }

    /// Sends the transaction even if it is not sampled.
    ///
    /// Use it for requests that turn out to be interesting while they run: a large order, a customer who
    /// complains, a fallback that was used. [`keep_failed_budget`](crate::ConfigBuilder::keep_failed_budget)
    /// limits how many are kept. Nothing is kept at a rate of `0.0`, or with
    /// [`keep_failed(false)`](crate::ConfigBuilder::keep_failed).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Scope;
    ///
    /// fn charge(cents: u64) {
    ///     if cents > 100_000 {
    ///         Scope::current().keep();
    ///     }
    /// }
    /// # charge(200_000);
    /// ```
    pub fn keep(&self) -> &Self {
        if let Some(shared) = &self.shared {
            shared.lock().is_chosen = true;
        }
        self
    }

    /// Names the transaction, and the events captured from now on.
    ///
    /// Short for [`transaction().set_name(name)`](super::SpanHandle::set_name), whose docs list the limits.
    pub fn set_transaction_name(&self, name: impl AsRef<str>) -> &Self {
        self.transaction().set_name(name);
        self
    }

    /// Adds a breadcrumb: a step that led to the next event.
    ///
    /// At most [`max_breadcrumbs`](crate::ConfigBuilder::max_breadcrumbs) are kept (100 by default). Beyond
    /// that, the oldest one is dropped.
    pub fn add_breadcrumb(&self, breadcrumb: Breadcrumb) -> &Self {
        if let Some(shared) = &self.shared {
            shared.add_own_breadcrumb(breadcrumb);
        }
        self
    }

    /// Attaches a file to the events of this scope that are captured from now on.
    ///
    /// A scope keeps at most ten files. Further files, and files larger than
    /// [`max_attachment_size`](crate::ConfigBuilder::max_attachment_size), are dropped with a
    /// warning and counted.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::{Scope, protocol::Attachment};
    ///
    /// Scope::current().with(|scope| {
    ///     scope.add_attachment(Attachment::new("order.json", br#"{"item":7}"#.to_vec()));
    ///     // … capture_error(&error) …
    /// });
    /// ```
    pub fn add_attachment(&self, attachment: Attachment) -> &Self {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        let Some(shared) = &self.shared else { return self };
        let limit = shared.client.settings().map_or(0, |settings| settings.limits.max_attachment_size);
        let size = attachment.bytes.len();
        let file = Arc::new(attachment);
        let mut is_taken = size <= limit;
        if is_taken {
            self.change(|set| is_taken = set.add_attachment(Arc::clone(&file)));
        }
        if !is_taken {
            self.change(ScopeData::count_left_out);
            shared.client.discard(DiscardReason::BufferOverflow, Category::Attachment, (size as u64).max(1));
            let name = shown(&file.filename);
            TROUBLE.warn(&format!("the attachment '{name}' of {size} bytes is left out: at most {limit} bytes, and ten files"));
        }
        self
    }

    /// Removes the attachments of this scope.
    pub fn clear_attachments(&self) -> &Self {
        self.change(ScopeData::clear_attachments)
    }

    /// Adds a hook for the events of this scope that are captured from now on.
    ///
    /// It may change an event, or drop it by returning `None`. It runs on the exporter's thread, before the
    /// processors of the client and `before_send`; see the guide's page on
    /// [errors](crate::guide::errors#hooks). A scope keeps at most 16 hooks. A further one is ignored with
    /// a warning.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "test")]
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use tower_sentry::{Level, Scope};
    ///
    /// let (sentry, captured) = tower_sentry::test::client();
    /// let work = async {
    ///     Scope::current().add_event_processor(|event| Some(event).filter(|event| event.level > Level::Info));
    ///     tower_sentry::capture_message(Level::Info, "a retry");
    ///     tower_sentry::capture_message(Level::Warning, "the last retry");
    /// };
    /// sentry.transaction("import").run_infallible(work).await;
    ///
    /// assert_eq!(captured.events().len(), 1);
    /// # });
    /// ```
    pub fn add_event_processor(&self, processor: impl Fn(Event) -> Option<Event> + Send + Sync + 'static) -> &Self {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        let mut is_taken = true;
        if self.shared.is_some() {
            let processor = Arc::new(Contained::new(processor));
            self.change(|set| is_taken = set.add_processor(processor));
        }
        if !is_taken {
            TROUBLE.warn("an event processor is not used: a scope has at most 16");
        }
        self
    }

    /// Removes all data set by the user.
    ///
    /// This is the user, tags, contexts, extra, level, fingerprint, attachments, event processors and
    /// breadcrumbs. In a nested scope the breadcrumbs stay. The trace, the request and the transaction's name
    /// always stay.
    pub fn clear(&self) -> &Self {
        if let Some(shared) = self.shared.as_ref().filter(|_| self.nested.is_none()) {
            shared.lock().transaction.record.breadcrumbs.clear();
        }
        self.change(ScopeData::clear)
    }

    fn json(&self, value: impl Serialize) -> Option<(Value, usize)> {
        self.shared.as_ref()?;
        let value = to_json(value);
        let size = json_size(&value);
        Some((value, size))
    }

    /// Changes the data of this scope. `change` must not run code of the user.
    fn change(&self, change: impl FnOnce(&mut ScopeData)) -> &Self {
        if diagnostics::is_aloud() && !current::is_set() && self.shared.as_ref().is_some_and(|shared| shared.kind() == ScopeKind::Detached)
        {
            diagnostics::explain_detached_scope();
        }
        let counted = |set: &mut ScopeData| {
            let before = set.truncated;
            change(set);
            set.truncated.saturating_sub(before)
        };
        let truncated = match (&self.nested, &self.shared) {
            (Some(nested), _) => counted(&mut nested.lock()),
            (None, Some(shared)) => counted(&mut shared.lock().transaction.record.set),
            (None, None) => 0,
        };
        if let Some(shared) = self.shared.as_ref().filter(|_| truncated > 0) {
            shared.client.count_truncated(truncated.into());
        }
        self
    }
}
