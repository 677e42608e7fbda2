//! What users set in a scope.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Scope;
use crate::export::diagnostics;
use crate::protocol::{Attachment, Breadcrumb, Category, DiscardReason, Level, User};
use crate::record::{BreadcrumbSource, ScopeData};
use crate::trace::clock;

impl Scope {
    /// Sets for whom the request is served.
    pub fn set_user(&self, user: User) -> &Self {
        let texts = [&user.id, &user.email, &user.username, &user.ip_address].into_iter().flatten().map(String::len);
        let size = texts.sum::<usize>() + json_size(&user.data);
        self.change(|set| set.set_user(user, size))
    }

    /// Forgets for whom the request is served.
    pub fn clear_user(&self) -> &Self {
        self.change(ScopeData::clear_user)
    }

    /// Sets a fact to search by: the name at most 200 of `a-z A-Z 0-9 _ . : -`, the value at most 200 characters, or the
    /// server cuts it.
    pub fn set_tag(&self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> &Self {
        if self.shared.is_none() {
            return self;
        }
        // Formatted before the lock is taken: it is the user's code.
        let (name, value) = (name.into(), value.to_string());
        self.change(|set| set.set_tag(name, value))
    }

    /// Forgets a tag.
    pub fn remove_tag(&self, name: impl AsRef<str>) -> &Self {
        self.change(|set| set.remove_tag(name.as_ref()))
    }

    /// Sets a group of facts. What cannot be turned into JSON is left out; what is no object is put under `value`.
    pub fn set_context(&self, name: impl Into<String>, facts: impl Serialize) -> &Self {
        let Some((facts, size)) = self.json(facts) else { return self };
        let facts = if facts.is_object() { facts } else { serde_json::json!({ "value": facts }) };
        self.change(|set| set.set_context(name.into(), facts, size))
    }

    /// Forgets a group of facts.
    pub fn remove_context(&self, name: impl AsRef<str>) -> &Self {
        self.change(|set| set.remove_context(name.as_ref()))
    }

    /// Sets a single fact of events, under "Additional Data". Servers cannot search by it; a [context](Self::set_context) groups
    /// such facts. What cannot be turned into JSON is left out.
    pub fn set_extra(&self, name: impl Into<String>, value: impl Serialize) -> &Self {
        let Some((value, size)) = self.json(value) else { return self };
        self.change(|set| set.set_extra(name.into(), value, size))
    }

    /// Sets the level of all events of this scope, whatever they were captured with; `None` leaves it to them again.
    pub fn set_level(&self, level: impl Into<Option<Level>>) -> &Self {
        self.change(|set| set.set_level(level.into()))
    }

    /// Sets by what the server groups the events of this scope, instead of its own rules. `{{ default }}` among the parts stands for these.
    ///
    /// # Examples
    ///
    /// ```
    /// // One issue for each shop that is down, whatever the error says.
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

    /// Names the transaction, and its events from now on. At most 1,000 different names an hour are used, the others become `<overflow>`: a
    /// name is a row on the server for ever, so ids do not belong in one. It wins over the route's and the handler's.
    pub fn set_transaction_name(&self, name: impl AsRef<str>) -> &Self {
        if let Some(shared) = &self.shared {
            let is_admitted = shared.client.admits_name(name.as_ref(), clock::nanos(clock::now()));
            shared.lock().transaction.record.name_by_hand(if is_admitted { name.as_ref() } else { "<overflow>" });
        }
        self
    }

    /// Adds a step to what led to the next event. The oldest gives way when there are more than the configured number.
    pub fn add_breadcrumb(&self, breadcrumb: Breadcrumb) -> &Self {
        if let Some(shared) = &self.shared {
            let size = breadcrumb.message.as_ref().map_or(0, String::len) + json_size(&breadcrumb.data);
            let mut state = shared.lock();
            if state.transaction.record.set.grant(size) {
                state.transaction.add_breadcrumb(BreadcrumbSource::Manual(Box::new(breadcrumb), size), &[]);
            }
        }
        self
    }

    /// Lets a file ride on the events of this scope that are captured from now on, at most ten. One of more than
    /// [`max_attachment_size`](crate::ConfigBuilder::max_attachment_size) is left out, with a warning, and counted as dropped.
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
        let limit = shared.client.settings().map_or(0, |settings| settings.max_attachment_size);
        let size = attachment.bytes.len();
        let file = Arc::new(attachment);
        let mut is_taken = size <= limit;
        if is_taken {
            self.change(|set| is_taken = set.add_attachment(Arc::clone(&file)));
        }
        if !is_taken {
            shared.client.discard(DiscardReason::BufferOverflow, Category::Attachment, (size as u64).max(1));
            TROUBLE.warn(&format!("the attachment '{}' of {size} bytes is left out: at most {limit} bytes, and ten files", file.filename));
        }
        self
    }

    /// Forgets the files of this scope.
    pub fn clear_attachments(&self) -> &Self {
        self.change(ScopeData::clear_attachments)
    }

    /// Forgets all that was set by hand: user, tags, contexts, extra, level, fingerprint, attachments and breadcrumbs.
    /// The trace, the request and the transaction's name stay.
    pub fn clear(&self) -> &Self {
        if let Some(shared) = self.shared.as_ref().filter(|_| self.nested.is_none()) {
            shared.lock().transaction.record.breadcrumbs.clear();
        }
        self.change(ScopeData::clear)
    }

    fn json(&self, value: impl Serialize) -> Option<(Value, usize)> {
        self.shared.as_ref()?;
        let value = serde_json::to_value(value).ok()?;
        let size = json_size(&value);
        Some((value, size))
    }

    /// Changes what is set here; `change` runs no code of the user.
    fn change(&self, change: impl FnOnce(&mut ScopeData)) -> &Self {
        match (&self.nested, &self.shared) {
            (Some(nested), _) => change(&mut nested.lock()),
            (None, Some(shared)) => change(&mut shared.lock().transaction.record.set),
            (None, None) => {}
        }
        self
    }
}

/// About how many bytes something takes; what cannot be told counts as much.
fn json_size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 2, |json| json.len())
}
