//! Turns spans into rows of their record, and lends their scopes to other tasks.

use std::sync::{Arc, MutexGuard};

use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope as Around};

use super::super::visit::encoded;
use super::TracingLayer;
use crate::record::Parent;
use crate::scope::current::{self, Entered};
use crate::scope::{LiveScope, ScopeState};

impl TracingLayer {
    /// Starts the span, if it is recorded.
    #[inline(never)]
    pub(super) fn start<S>(&self, attributes: &Attributes<'_>, id: u64, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let start = |entered: Entered<'_>, fields: &[u8]| {
            let (parent, state) =
                if attributes.is_contextual() { entered.parent(|id| around(context, id)) } else { (Parent::Root, entered.scope.lock()) };
            self.begin(entered.scope, state, parent, id, attributes.metadata(), fields);
        };
        encoded(
            |fields| attributes.record(fields),
            |fields| {
                current::with(|entered| start(entered, fields));
            },
        );
    }

    /// Starts a span with an explicit parent. It belongs to the parent's request, wherever it begins.
    #[inline(never)]
    pub(super) fn start_below(&self, parent: &Id, attributes: &Attributes<'_>, id: u64) {
        let metadata = attributes.metadata();
        match self.home_of(parent) {
            Some((scope, parent)) if scope.is_recording() && self.rules.takes_span(metadata) => {
                encoded(|fields| attributes.record(fields), |fields| self.begin(&scope, scope.lock(), parent, id, metadata, fields));
            }
            Some((scope, _)) => drop(self.index.insert(id, &scope)),
            None => self.start_outside(attributes, id),
        }
    }

    /// Records the start of a span.
    fn begin(
        &self,
        scope: &Arc<LiveScope>,
        mut state: MutexGuard<'_, ScopeState>,
        parent: Parent,
        id: u64,
        metadata: &'static Metadata<'static>,
        fields: &[u8],
    ) {
        if !state.transaction.start_traced_span(id, metadata, parent, fields) {
            drop(state);
            scope.count_if_late(metadata.name());
            self.index.insert(id, scope);
        } else if !self.index.insert(id, scope) {
            // A span that is not in the index could not be closed, and would stay open until the end.
            state.transaction.end_traced_span(id, false);
        }
    }

    /// The scope of an explicit parent, and the recorded span that is or is around it.
    ///
    /// A parent that is born outside any request belongs to the current one, if there is one.
    fn home_of(&self, parent: &Id) -> Option<(Arc<LiveScope>, Parent)> {
        // A per-layer filter may hide the parent from this layer, but not from the Registry.
        let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
        let registry = dispatch.as_ref().and_then(|dispatch| dispatch.downcast_ref::<Registry>());
        let around = || registry.and_then(|registry| registry.span(parent)).into_iter().flat_map(|span| span.scope().skip(1));
        let ids = || std::iter::once(parent.into_u64()).chain(around().map(|span| span.id().into_u64()));
        let scope = ids().find_map(|id| self.index.get(id)).or_else(current::scope)?;
        let row = |id: u64| scope.lock().transaction.row_around(id);
        let row = ids().find_map(row);
        Some((scope, row.map_or(Parent::Root, Parent::Span)))
    }

    /// Takes an event with an explicit parent inside the parent's request.
    #[cold]
    pub(super) fn inside_parent(&self, parent: &Id, take: impl FnOnce()) {
        match self.home_of(parent) {
            Some((scope, parent)) => current::enter(&scope, Some(parent), take),
            None => take(),
        }
    }

    /// Remembers the scope of a span that is not recorded: a task may carry the span away, and what
    /// it reports belongs to the request.
    #[inline(never)]
    pub(super) fn remember(&self, attributes: &Attributes<'_>, id: u64) {
        current::with(|entered| {
            if attributes.is_contextual() {
                entered.note_unrecorded(id);
            }
            self.index.insert(id, entered.scope);
        });
    }

    #[inline(never)]
    pub(super) fn enter_span(id: u64) {
        if current::may_record() {
            current::with(|entered| entered.scope.lock().transaction.enter_span(id));
        }
    }

    #[inline(never)]
    pub(super) fn exit_span(id: u64) {
        if current::may_record() {
            current::with(|entered| entered.scope.lock().transaction.exit_span(id));
        }
    }

    /// Makes the span's scope current where it is not: in a task without a scope, or in the work of
    /// another request.
    #[inline(never)]
    pub(super) fn lend(&self, id: u64) {
        if let Some(scope) = self.index.get(id)
            && !(self.begins_transactions && scope.is_of_span() && Self::is_inside_work())
        {
            current::lend(scope, id);
        }
    }

    /// Whether a request or a job is current. Its work belongs to it even inside a span that has its own
    /// transaction: a cache may keep such a span, and enter it in every request.
    fn is_inside_work() -> bool {
        current::with(|entered| !entered.scope.is_of_span()).unwrap_or(false)
    }

    /// Links a span to one that it follows from, even to one of another request.
    #[inline(never)]
    pub(super) fn link(&self, id: u64, other: u64) {
        if let Some(scope) = self.index.get(id)
            && let Some(target) = self.index.get(other)
        {
            scope.link_span(id, target.link_to(other).attribute("sentry.link.type", "follows_from"));
        }
    }

    #[inline(never)]
    pub(super) fn end(&self, id: u64) {
        if let Some(scope) = self.index.remove(id) {
            if self.begins_transactions && scope.lock().transaction.is_span(id) {
                return scope.finish_without_result(std::thread::panicking());
            }
            // Nothing has to be ended where nothing is recorded.
            if scope.is_recording() {
                // A span that closes during unwinding has failed.
                let mut state = scope.lock();
                state.transaction.end_traced_span(id, std::thread::panicking());
                scope.stream(state);
            }
        }
    }
}

/// A span and those around it; without an id, the innermost one.
pub(super) fn around<'a, S>(context: &'a Context<'_, S>, id: Option<u64>) -> Option<Around<'a, S>>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    match id {
        Some(id) => Some(context.span(&Id::from_u64(id))?.scope()),
        None => context.span_scope(context.current_span().id()?),
    }
}
