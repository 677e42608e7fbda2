//! Hooks that run where something is recorded, on the thread of the application.
//!
//! Such a hook does not run for what it records itself.

use std::error::Error;

use tracing::{Event, Metadata};

use super::current;
use super::state::LiveScope;
use crate::client::Client;
use crate::event::{self, DebugOutput, ErrorChain, ErrorNotes, GivenError, Hint};
use crate::protocol::{Breadcrumb, Timestamp, bounded};
use crate::record::{BreadcrumbSource, clock, json_size};
use crate::unwind::{Contained, NoResult, is_in_hook};
use crate::{diagnostics, payload};

/// A function that adds to the Sentry event of a `tracing` event.
pub(crate) type EventMapper = Contained<Box<dyn Fn(&Event<'_>, &mut Hint<'_>) + Send + Sync>>;

/// Reads the chain of an error, and shows the error to `before_capture`. See [`GivenError::chain`].
pub(crate) fn read_error(client: &Client, error: &GivenError<'_>, debug: &DebugOutput) -> ErrorChain {
    let mut chain = error.chain(debug);
    let (Some(settings), Some(error)) = (client.settings(), error.as_error()) else { return chain };
    if !settings.hooks.ignored.types.is_empty() {
        chain.seen_through = event::seen_through(error, &chain.exceptions);
    }
    if let Some(hook) = &settings.hooks.before_capture {
        // The hook can only add data: if it panics, the error is sent without that data.
        let after = ["its error is sent without it", "errors are sent without it"];
        chain.notes = notes(client, Some(error), "a before_capture hook", after, |hint| hook.run(|hook| hook(hint)));
    }
    chain
}

/// Returns what a mapper adds to the Sentry event of a `tracing` event.
pub(crate) fn map_event(client: &Client, mapper: &EventMapper, event: &Event<'_>) -> ErrorNotes {
    let after = ["its event is sent without it", "events are sent without it"];
    notes(client, None, "an event mapper", after, |hint| mapper.run(|mapper| mapper(event, hint)))
}

fn notes(
    client: &Client,
    error: Option<&(dyn Error + 'static)>,
    name: &str,
    [after, off]: [&str; 2],
    run: impl FnOnce(&mut Hint<'_>) -> Result<(), NoResult>,
) -> ErrorNotes {
    let Some(settings) = client.settings().filter(|_| !is_in_hook()) else { return ErrorNotes::default() };
    let request = || current::with(|entered| payload::request(&entered.scope.lock().transaction.record, &settings.facts)).flatten();
    let mut hint = Hint::new(error, settings.limits.max_attachment_size, &request);
    if let Err(why) = run(&mut hint) {
        diagnostics::warn_of_hook(name, after, off, why);
        return ErrorNotes::default();
    }
    let notes = hint.into_notes();
    client.count_truncated(notes.set.as_ref().map_or(0, |set| set.truncated.into()));
    notes
}

impl LiveScope {
    /// Adds a breadcrumb of the user, with the changes of the hook.
    pub(super) fn add_own_breadcrumb(&self, breadcrumb: Breadcrumb) {
        let kept = if self.edits_breadcrumbs { self.edited(breadcrumb) } else { Some(breadcrumb) };
        if let Some(breadcrumb) = kept {
            self.push_breadcrumb(breadcrumb, BreadcrumbSource::Manual, &[]);
        }
    }

    /// Adds the breadcrumb of a `tracing` event, with the changes of the hook.
    #[cold]
    pub(crate) fn add_edited_breadcrumb(&self, metadata: &'static Metadata<'static>, fields: &[u8]) {
        let Some(shown) = payload::breadcrumb(Timestamp::from_nanos(clock::wall()), metadata, fields) else {
            return self.client.count_dropped_breadcrumbs(1);
        };
        match self.edited(shown.clone()) {
            // The fields take less room than the breadcrumb.
            Some(kept) if kept == shown => self.lock().transaction.add_breadcrumb(BreadcrumbSource::Event(metadata), fields),
            Some(kept) => self.push_breadcrumb(kept, |kept, size| BreadcrumbSource::Changed(metadata, kept, size), fields),
            None => {}
        }
    }

    fn push_breadcrumb(&self, breadcrumb: Breadcrumb, source: impl FnOnce(Box<Breadcrumb>, usize) -> BreadcrumbSource, fields: &[u8]) {
        let mut breadcrumb = Box::new(breadcrumb);
        let size = breadcrumb.message.as_ref().map_or(0, String::len) + json_size(&breadcrumb.data);
        let mut state = self.lock();
        let set = &mut state.transaction.record.set;
        let truncated = set.truncated;
        let size = set.fit_breadcrumb(&mut breadcrumb, size);
        let truncated = set.truncated - truncated;
        if let Some(size) = size {
            state.transaction.add_breadcrumb(source(breadcrumb, size), fields);
        }
        drop(state);
        self.client.count_truncated(truncated.into());
    }

    /// Returns the breadcrumb as the hook returned it. A breadcrumb that the hook drops is counted.
    fn edited(&self, breadcrumb: Breadcrumb) -> Option<Breadcrumb> {
        let hook = self.client.settings()?.hooks.before_breadcrumb.as_ref()?;
        let result = if is_in_hook() { Err(NoResult::Off) } else { hook.run(|hook| hook(breadcrumb)) };
        let kept = result.unwrap_or_else(|why| {
            diagnostics::warn_of_hook(
                "a before_breadcrumb hook",
                "the breadcrumb is dropped and counted",
                "all breadcrumbs are dropped and counted",
                why,
            );
            None
        });
        if let Some(mut kept) = kept {
            for value in kept.data.values_mut() {
                *value = bounded(value.take());
            }
            Some(kept)
        } else {
            self.client.count_dropped_breadcrumbs(1);
            None
        }
    }
}
