//! Turns events into breadcrumbs, errors, queries and logs.

use std::cell::OnceCell;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::super::visit::{encoded, fields_of, is_own_warning, target_of};
use super::super::{database, failure, rejection};
use super::spans::around;
use super::{EventFilter, TracingLayer};
use crate::client::Client;
use crate::exporter::{Item, are_logs_wanted, is_exporter};
use crate::record::BreadcrumbSource;
use crate::scope::current::{self, Entered};
use crate::scope::{TracePlace, capture_outside};

/// At most this many spans around an error's log are noted. An error that passes through more
/// instrumented functions may become two events.
const SPANS_AROUND: usize = 32;

impl TracingLayer {
    /// Takes an event. Nearly always, it becomes a breadcrumb or nothing.
    #[inline]
    pub(super) fn take<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if is_own_warning(event) || self.is_second() && self.leaves(event) {
            // It is our own warning, which came back through the `log` crate, or the outer layer takes it.
        } else if current::is_set() && self.takes(event.metadata()) {
            self.note(event, context);
        } else if *event.metadata().level() <= self.reported || are_logs_wanted() || current::is_set() {
            self.note_unusual(event, context);
        }
    }

    /// Whether the other layer of the subscriber takes an event: inside a request it does.
    #[cold]
    fn leaves(&self, event: &Event<'_>) -> bool {
        let is_inside = current::is_set() || event.parent().is_some_and(|_| current::is_used());
        is_inside || self.other.get() == Some(&true)
    }

    /// Records the event as a breadcrumb.
    ///
    /// An event of level ERROR also marks the enclosing span as failed.
    #[inline(never)]
    fn note<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        if database::is_query(metadata) && current::may_record() {
            Self::query(event, context);
        }
        // Asked once: the filter of the user may count.
        let rule = self.rules.of_event(metadata);
        if are_logs_wanted() {
            self.log(event, context, || rule);
        }
        let takes_breadcrumbs =
            rule.contains(EventFilter::BREADCRUMB) && current::with(|entered| entered.scope.takes_breadcrumbs) == Some(true);
        let fails = *metadata.level() == Level::ERROR && rule != EventFilter::IGNORE;
        if fails || rule.contains(EventFilter::EVENT) {
            self.note_error(event, context, takes_breadcrumbs, rule.contains(EventFilter::EVENT));
        } else if takes_breadcrumbs {
            encoded(|fields| event.record(fields), |fields| Self::add_breadcrumb(metadata, fields));
        }
    }

    fn add_breadcrumb(metadata: &'static Metadata<'static>, fields: &[u8]) {
        let add = |entered: Entered<'_>| {
            let is_edited = entered.scope.edits_breadcrumbs;
            if !is_edited {
                entered.scope.lock().transaction.add_breadcrumb(BreadcrumbSource::Event(metadata), fields);
            }
            is_edited
        };
        if current::with(add) == Some(true)
            && let Some(scope) = current::scope()
        {
            scope.add_edited_breadcrumb(metadata, fields);
        }
    }

    #[inline(never)]
    fn note_error<S>(&self, event: &Event<'_>, context: &Context<'_, S>, takes_breadcrumbs: bool, captures: bool)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let captures = captures && current::with(|entered| entered.scope.client.is_enabled()) == Some(true);
        let fields = if takes_breadcrumbs || captures { fields_of(event) } else { Vec::new() };
        let spans = || context.event_scope(event).into_iter().flatten().take(SPANS_AROUND).map(|span| span.id().into_u64()).collect();
        if takes_breadcrumbs {
            Self::add_breadcrumb(event.metadata(), &fields);
        }
        let capture = if captures { failure::capture(event, &Client::current(), self.mapper.as_ref(), fields, spans) } else { None };
        current::with(|entered| {
            let (span, mut state) = entered.parent(|id| around(context, id));
            if *event.metadata().level() == Level::ERROR {
                state.transaction.fail_span(span);
            }
            drop(state);
            if let Some(capture) = capture {
                entered.scope.capture(capture, span);
            }
        });
    }

    /// Handles the rare cases: an error outside any request, a driver's query or a rejection below the
    /// level, and logs.
    #[inline(never)]
    fn note_unusual<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if database::is_of_driver(event.metadata()) && database::is_query(event.metadata()) && current::may_record() {
            Self::query(event, context);
        }
        let asked = OnceCell::new();
        let rule = || *asked.get_or_init(|| self.rules.of_event(event.metadata()));
        if *event.metadata().level() <= self.reported {
            self.capture_outside(event, rule);
        }
        if rejection::is_rejection(event.metadata())
            && let Some((status, text)) = rejection::read(event)
        {
            current::with(|entered| entered.scope.note_rejection(status, text));
        }
        if are_logs_wanted() {
            self.log(event, context, rule);
        }
    }

    /// Records a finished query as a span.
    #[inline(never)]
    fn query<S>(event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let Some(elapsed) = database::elapsed(event) else { return };
        let add = |entered: Entered<'_>, fields: &[u8]| {
            let (parent, mut state) = entered.parent(|id| around(context, id));
            state.transaction.add_ended_span(metadata, parent, fields, elapsed);
            entered.scope.stream(state);
        };
        encoded(
            |fields| event.record(fields),
            |fields| {
                current::with(|entered| add(entered, fields));
            },
        );
    }

    /// Captures an error outside any request.
    #[inline(never)]
    fn capture_outside(&self, event: &Event<'_>, rule: impl FnOnce() -> EventFilter) {
        if current::is_set() || is_exporter() || !rule().contains(EventFilter::EVENT) {
            return;
        }
        let client = self.client.upgrade();
        if client.is_enabled()
            && let Some(capture) = failure::capture(event, &client, self.mapper.as_ref(), fields_of(event), Vec::new)
        {
            capture_outside(client, capture);
        }
    }

    /// Records the event as a structured log and in the security log, if these are on.
    #[inline(never)]
    fn log<S>(&self, event: &Event<'_>, context: &Context<'_, S>, rule: impl FnOnce() -> EventFilter)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let here = current::with(|entered| (entered.scope.client.clone(), entered.scope.is_ignored));
        // Logs of an ignored request are not sent, but security events are still written.
        let is_ignored = here.as_ref().is_some_and(|(client, is_ignored)| *is_ignored || !client.is_enabled());
        let client = here.map(|(client, _)| client).filter(Client::is_enabled).unwrap_or_else(|| self.client.upgrade());
        let keeps = client.keeps_logs_of(&target_of(event));
        let sends = keeps.sends && !is_ignored && rule().contains(EventFilter::LOG);
        if !(sends || keeps.writes) || metadata.target() == "tower_sentry" || is_exporter() {
            return;
        }
        let fields = fields_of(event);
        let place = current::with(|entered| {
            let (span, mut state) = entered.parent(|id| around(context, id));
            entered.scope.trace_place(&mut state, span)
        });
        let place = place.unwrap_or_else(TracePlace::outside);
        if keeps.writes {
            client.write_security_log(place.line(metadata, fields.clone()));
        }
        if sends && !place.is_sensitive {
            client.submit(Item::Log(Box::new(place.line(metadata, fields))));
        }
    }
}
