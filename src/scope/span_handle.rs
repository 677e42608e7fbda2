//! The user's handle to a span.

use std::fmt;
use std::sync::Arc;

use super::handle::Scope;
use super::state::{LiveScope, Phase, ScopeState};
use crate::diagnostics;
use crate::protocol::{AttributeValue, SpanId, SpanLink, SpanStatus, TraceId};
use crate::record::{FieldWriter, Key, Parent, RareFacts, clock};

/// A handle to a span, or to the whole transaction: cheap to clone, usable from any thread.
///
/// Get it with [`Scope::span`] or [`Scope::transaction`]. It is the same for spans of
/// `#[instrument]`, of [`span`](crate::span) and of a [`SpanLayer`](crate::SpanLayer).
///
/// # When a change counts
///
/// A change counts until the request or job ends, even if the span itself has ended. After that, and
/// if nothing is recorded, a call has no effect; it neither allocates nor formats. A handle does not keep
/// its request open.
///
/// The last value counts, whether it is set here, in the macro of the span or with `Span::record`.
///
/// # Limits
///
/// The attributes and texts of a request are limited to 1 MiB in total, and each text or list to 8 KiB.
/// Beyond a limit, a value is cut or left out. This is marked in what is sent, and counted in
/// [`Stats::truncated`](crate::Stats::truncated).
///
/// # Examples
///
/// ```
/// use tower_sentry::Scope;
/// use tower_sentry::protocol::SpanStatus;
///
/// # #[cfg(feature = "test")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// async fn load() -> Vec<&'static str> {
///     let rows = vec!["tea", "milk"];
///     let span = Scope::current().span();
///     span.set_attribute("rows", rows.len()).set_attribute("tables", ["cart", "item"]);
///     if rows.is_empty() {
///         span.set_status(SpanStatus::NotFound);
///     }
///     rows
/// }
///
/// let (sentry, captured) = tower_sentry::test::client();
/// sentry.transaction("import").run_infallible(tower_sentry::span("task", "load", load())).await;
///
/// let span = &captured.transactions()[0].spans[0];
/// assert_eq!((&span.data["rows"], &span.data["tables"]), (&2.into(), &["cart", "item"].into()));
/// # });
/// ```
#[derive(Clone)]
pub struct SpanHandle {
    /// None while monitoring is off.
    scope: Option<Arc<LiveScope>>,
    span: Parent,
    /// None outside any request or job.
    ids: Option<(TraceId, SpanId)>,
}

impl Scope {
    /// The span that is running here, or the transaction if none is.
    ///
    /// For a scope that is not current here, as in `spawn_blocking` without [`enter`](Self::enter), it
    /// is the span that was running where the handle was made. Outside any request or job, and while
    /// monitoring is off, calls on the handle do nothing.
    pub fn span(&self) -> SpanHandle {
        self.handle_of(self.running())
    }

    /// The transaction of the request or job.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Scope;
    ///
    /// # #[cfg(feature = "test")]
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sentry, captured) = tower_sentry::test::client();
    /// let work = async {
    ///     let transaction = Scope::current().transaction();
    ///     transaction.set_name("import of orders").set_op("import").set_attribute("file", "orders.csv");
    ///     transaction.set_measurement("orders", 17.0, "none");
    /// };
    /// sentry.transaction("import").run_infallible(work).await;
    ///
    /// assert_eq!(captured.tree(), "import of orders [import] ok\n");
    /// # });
    /// ```
    pub fn transaction(&self) -> SpanHandle {
        self.handle_of(Parent::Root)
    }

    fn handle_of(&self, span: Parent) -> SpanHandle {
        let Some(scope) = &self.shared else { return SpanHandle { scope: None, span, ids: None } };
        let mut state = scope.lock();
        let transaction = &mut state.transaction;
        transaction.record.hold(span);
        let ids = (!transaction.record.op.is_empty()).then(|| (transaction.record.trace.trace_id, transaction.span_id(span)));
        drop(state);
        SpanHandle { scope: Some(Arc::clone(scope)), span, ids }
    }
}

impl SpanHandle {
    /// The id of the span. None outside any request or job, and while monitoring is off.
    ///
    /// If the spans of a request are not recorded, it is the id of the request itself.
    pub fn id(&self) -> Option<SpanId> {
        self.ids.map(|(_, span_id)| span_id)
    }

    /// The id of the trace. None outside any request or job, and while monitoring is off.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.ids.map(|(trace_id, _)| trace_id)
    }

    /// Sets an attribute. The value keeps its type: a number arrives as a number, a list as a list.
    ///
    /// [`AttributeValue`] lists the types of values. The names that describe a span, such as
    /// `sentry.op` and `otel.name`, mean the same here as in a macro.
    #[expect(single_use_lifetimes, reason = "an elided one is unstable here")]
    pub fn set_attribute<'v>(&self, name: impl AsRef<str>, value: impl Into<AttributeValue<'v>>) -> &Self {
        if self.is_recorded() {
            // Converted before the lock is taken: this may be code of the user.
            let (name, value) = (name.as_ref(), value.into());
            self.write(may_make_query(name), |writer| writer.attribute(Key::Name(name), &value));
        }
        self
    }

    /// Sets the kind of work as Sentry names it, such as `db.query`.
    pub fn set_op(&self, op: &'static str) -> &Self {
        self.write(op.starts_with("db"), |writer| writer.text(Key::Name("sentry.op"), op));
        self
    }

    /// Sets the description of the span.
    ///
    /// On the handle of the transaction, it sets the name of the transaction, and of the events that are
    /// captured from now on.
    ///
    /// The name of a transaction takes precedence over those of the route and the handler. A client uses
    /// at most 1,000 different names an hour, including those of
    /// [`SentryLayer::name`](crate::SentryLayer::name). Further ones become
    /// `<overflow>`. The server keeps every name forever, so a name must not contain ids. Outside any
    /// request or job, it names the events that are captured with the same scope.
    pub fn set_name(&self, name: impl AsRef<str>) -> &Self {
        let name = name.as_ref();
        match (self.span, &self.scope) {
            (Parent::Root, Some(scope)) => {
                let name = scope.client.admitted_name(name, clock::nanos(clock::now()));
                scope.lock().transaction.record.name_by_hand(name);
            }
            _ => self.write(false, |writer| writer.text(Key::Name("sentry.name"), name)),
        }
        self
    }

    /// Sets the status. It is the one that is sent, however the span ends.
    ///
    /// It changes neither whether the transaction is sent nor whether its request counts as failed: use
    /// [`Scope::keep`], or capture an error.
    pub fn set_status(&self, status: SpanStatus) -> &Self {
        self.write(false, |writer| writer.text(Key::Name("sentry.status"), status.as_str()));
        self
    }

    /// Links the span to another one that is not its parent. At most 128 links of a request are kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Scope;
    /// use tower_sentry::protocol::SpanLink;
    ///
    /// # #[cfg(feature = "test")]
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sentry, captured) = tower_sentry::test::client();
    /// let first = sentry.transaction("first").run_infallible(async { Scope::current().span() }).await;
    /// let link = SpanLink::new(first.trace_id().unwrap(), first.id().unwrap());
    /// sentry.transaction("next").run_infallible(async { _ = Scope::current().span().add_link(link) }).await;
    ///
    /// let [first, next] = &captured.transactions()[..] else { panic!() };
    /// let [first, next] = [first, next].map(|transaction| transaction.contexts.trace.as_ref().unwrap());
    /// assert_eq!(next.links[0].span_id, first.span_id);
    /// # });
    /// ```
    pub fn add_link(&self, link: SpanLink) -> &Self {
        let span = self.span;
        self.change_rare(|rare| rare.add_link(span, link));
        self
    }

    /// Sets a number of the transaction with its unit, such as `byte`, `millisecond`, `percent`, `none`
    /// or your own. It belongs to the transaction, even if the handle is that of a span.
    ///
    /// A name consists of `a-z 0-9 . _`, names and units have at most 64 bytes, and a transaction has at
    /// most 32 measurements. Others are left out and counted in
    /// [`Stats::truncated`](crate::Stats::truncated), as are `NaN` and infinity. Servers keep ten names
    /// for each project, unless they are set up for more.
    pub fn set_measurement(&self, name: impl AsRef<str>, value: f64, unit: impl AsRef<str>) -> &Self {
        let (name, unit) = (name.as_ref(), unit.as_ref());
        self.change_rare(|rare| rare.set_measurement(name, value, unit));
        self
    }

    /// Whether changes may be recorded.
    fn is_recorded(&self) -> bool {
        let may_be = |scope: &Arc<LiveScope>| scope.is_recording() || scope.lock().takes_facts();
        self.ids.is_some() && self.scope.as_ref().is_some_and(may_be)
    }

    /// Writes fields of the span. `write` must not run code of the user.
    fn write(&self, makes_query: bool, write: impl FnOnce(&mut FieldWriter<'_>)) {
        let mut truncated = 0;
        self.change(|state| {
            let record = &mut state.transaction.record;
            truncated = record.write_late(self.span, write);
            if let (true, Parent::Span(row)) = (makes_query, self.span)
                && let Some(row) = record.row_mut(row)
            {
                row.is_query_late = true;
            }
        });
        if let Some(scope) = self.scope.as_ref().filter(|_| truncated > 0) {
            scope.client.count_truncated(truncated);
        }
    }

    fn change_rare(&self, change: impl FnOnce(&mut RareFacts) -> bool) {
        self.change(|state| state.transaction.record.change_rare(change));
    }

    /// Changes the record, if it still takes changes of this span.
    fn change(&self, change: impl FnOnce(&mut ScopeState)) {
        let Some(scope) = self.scope.as_ref().filter(|_| self.ids.is_some()) else { return };
        let mut state = scope.lock();
        let is_taken = match self.span {
            Parent::Root => state.takes_facts(),
            // The handle holds its row, so it is still that of its span. It may have been sent.
            Parent::Span(row) => {
                let record = &mut state.transaction.record;
                let has_left = record.is_streamed() && record.row(row).is_none();
                record.dropped_fields = record.dropped_fields.saturating_add(has_left.into());
                state.transaction.is_recording && !has_left
            }
        };
        if is_taken {
            return change(&mut state);
        }
        let is_over = state.phase == Phase::Finished;
        drop(state);
        if is_over {
            diagnostics::explain_late_change();
        }
    }
}

impl LiveScope {
    /// A link to a span of `tracing`, or to the recorded one around it.
    pub(crate) fn link_to(&self, id: u64) -> SpanLink {
        let mut state = self.lock();
        let span = state.transaction.row_around(id).map_or(Parent::Root, Parent::Span);
        // The link has the span's id, so its row must not be reused at the span limit.
        state.transaction.record.hold(span);
        SpanLink::new(state.transaction.record.trace.trace_id, state.transaction.span_id(span))
    }

    /// Adds a link to a span of `tracing`, if it is recorded.
    pub(crate) fn link_span(&self, id: u64, link: SpanLink) {
        let mut state = self.lock();
        if let Some(row) = state.transaction.traced_row(id).filter(|_| state.transaction.is_recording) {
            state.transaction.record.hold(Parent::Span(row));
            state.transaction.record.change_rare(|rare| rare.add_link(Parent::Span(row), link));
        }
    }
}

impl ScopeState {
    /// Whether a transaction may be sent, with what is set on it.
    fn takes_facts(&self) -> bool {
        // While the delivery is behind, spans are not recorded, but a failed request is still kept.
        self.phase != Phase::Finished && (self.transaction.is_recording || self.decision.is_pressed())
    }
}

/// Whether a field of this name may make a query of a span.
fn may_make_query(name: &str) -> bool {
    name.starts_with("db.") || name == "sentry.op"
}

impl fmt::Debug for SpanHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanHandle").field("id", &self.id()).field("trace_id", &self.trace_id()).finish_non_exhaustive()
    }
}
