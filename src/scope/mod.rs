//! Who and what is current: the scope of a request, its handle, and what is applied to everything captured in it.
//!
//! A request owns one scope from the first byte of its head to the last of its body. It is made current for the length of
//! each poll of the request's future and body by a swap of a thread-local, so it follows the work over threads and
//! never stays behind. Outside any request [`Scope::current`] gives a detached scope: what is set there reaches nobody else.

mod bind;
mod capture;
pub(crate) mod current;
mod finish;
mod span;
mod state;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

pub use bind::Scoped;
pub(crate) use capture::{Capture, capture_outside, capture_panic};
pub use capture::{capture_error, capture_message};
pub(crate) use finish::Ending;
pub(crate) use span::OwnSpan;
pub use span::{Spanned, span};
pub(crate) use state::{Extent, Kind, Shared};

use crate::client::default_client;
use crate::protocol::{Breadcrumb, EventId, Level, TraceId, User};
use crate::record::{BreadcrumbSource, Parent, Record};

/// A handle to the scope of a request (or job): cheap to clone, usable from any thread.
///
/// Get it with [`Scope::current`], or as an axum extractor. What is set here reaches the transaction and every event
/// of the same request, before and after any `.await`, also from middleware and from a streaming body. All that is set by hand
/// in one request shares 256 KiB; what comes beyond that is left out.
///
/// # Examples
///
/// ```
/// use tower_sentry::{Breadcrumb, Scope, User};
///
/// let scope = Scope::current();
/// scope.set_user(User::id(42)).set_tag("plan", "gold");
/// scope.add_breadcrumb(Breadcrumb::new("charge started").category("payment"));
/// ```
#[derive(Clone)]
pub struct Scope {
    /// None while monitoring is off.
    shared: Option<Arc<Shared>>,
    /// The span that was active when the handle was made; work bound to the handle hangs below it.
    span: Parent,
}

impl Scope {
    /// The scope of the request that is being served here, or a detached one outside any request.
    pub fn current() -> Self {
        current::handle().unwrap_or_else(Self::detached)
    }

    /// A scope that belongs to nothing, for events outside any request.
    fn detached() -> Self {
        let client = default_client();
        let shared = client.is_enabled().then(|| Arc::new(Shared::detached(client)));
        Self { shared, span: Parent::Root }
    }

    /// A scope that forgets everything.
    const fn off() -> Self {
        Self { shared: None, span: Parent::Root }
    }

    pub(crate) fn new(shared: Arc<Shared>, span: Parent) -> Self {
        Self { shared: Some(shared), span }
    }

    /// The trace this scope belongs to, to be printed beside log lines or handed to a user. None while monitoring is off.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.shared.as_ref().map(|shared| shared.lock().transaction.record.trace.trace_id)
    }

    /// Sets for whom the request is served.
    pub fn set_user(&self, user: User) -> &Self {
        let size = json_size(&user.data);
        self.change(|record| {
            if record.grant(size) {
                record.user = Some(Box::new(user));
            }
        })
    }

    /// Forgets for whom the request is served.
    pub fn clear_user(&self) -> &Self {
        self.change(|record| record.user = None)
    }

    /// Sets a fact to search by: the name at most 200 of `a-z A-Z 0-9 _ . : -`, the value at most 200 characters, or the
    /// server cuts it.
    pub fn set_tag(&self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> &Self {
        if self.shared.is_none() {
            return self;
        }
        // Formatted before the lock is taken: it is the user's code.
        let (name, value) = (name.into(), value.to_string());
        self.change(|record| {
            if record.grant(name.len() + value.len()) {
                match record.tags.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, slot)) => *slot = value,
                    None => record.tags.push((name, value)),
                }
            }
        })
    }

    /// Sets a group of facts. What cannot be turned into JSON is left out; what is no object is put under `value`.
    pub fn set_context(&self, name: impl Into<String>, facts: impl Serialize) -> &Self {
        if self.shared.is_none() {
            return self;
        }
        let Ok(facts) = serde_json::to_value(facts) else { return self };
        let facts = if facts.is_object() { facts } else { serde_json::json!({ "value": facts }) };
        let name = name.into();
        let size = name.len() + json_size(&facts);
        self.change(|record| {
            if record.grant(size) {
                match record.contexts.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, slot)) => *slot = facts,
                    None => record.contexts.push((name, facts)),
                }
            }
        })
    }

    /// Adds a step to what led to the next event. The oldest gives way when there are more than the configured number.
    pub fn add_breadcrumb(&self, breadcrumb: Breadcrumb) -> &Self {
        if let Some(shared) = &self.shared {
            let size = breadcrumb.message.as_ref().map_or(0, String::len) + json_size(&breadcrumb.data);
            let mut state = shared.lock();
            if state.transaction.record.grant(size) {
                state.transaction.add_breadcrumb(BreadcrumbSource::Manual(Box::new(breadcrumb)), &[]);
            }
        }
        self
    }

    /// Captures an error with its chain of sources. See [`capture_error`].
    pub fn capture_error(&self, error: &(dyn std::error::Error + 'static)) -> EventId {
        self.capture(Capture::error(error))
    }

    /// Captures a message. See [`capture_message`].
    pub fn capture_message(&self, level: Level, message: impl Into<String>) -> EventId {
        self.capture(Capture::message(level, message.into()))
    }

    /// Makes this scope current while `work` runs: for closures that run elsewhere, as in `spawn_blocking`.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.shared {
            Some(shared) => current::enter(shared, Some(self.span), work),
            None => work(),
        }
    }

    /// A future in which this scope is current, with the span that was active here as its parent: for `tokio::spawn`.
    pub fn bind<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped::new(self.clone(), future)
    }

    pub(crate) fn capture(&self, capture: Capture) -> EventId {
        match &self.shared {
            Some(shared) => shared.capture(capture, self.span),
            None => EventId::nil(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Record)) -> &Self {
        if let Some(shared) = &self.shared {
            change(&mut shared.lock().transaction.record);
        }
        self
    }
}

/// About how many bytes something takes; what cannot be told counts as much.
fn json_size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 2, |json| json.len())
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("is_enabled", &self.shared.is_some()).finish_non_exhaustive()
    }
}
