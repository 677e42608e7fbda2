//! The end of a transaction: it is sent, or its record is reused.

use std::borrow::Cow;
use std::sync::Arc;

use super::capture::send;
use super::inner_request::Served;
use super::state::{LiveScope, Phase, ScopeState};
use super::stream::{finished, is_streamed};
use crate::client::Client;
use crate::diagnostics;
use crate::exporter::{Item, SessionEnd};
use crate::payload::{self, RouteName};
#[cfg(profiles)]
use crate::profiling::TransactionProfile;
use crate::protocol::{Category, DiscardReason, SpanStatus};
use crate::record::{Moment, ResponseFacts, clock, cut};
use crate::sampling::{Kept, Medians, Slow};

/// A poll of at least this many nanoseconds counts as blocking its thread.
pub(crate) const BLOCKED_FROM: u64 = 200_000_000;

/// One in this many unsampled requests is measured.
const MEASURED_OF: u128 = 16;

/// How the work of a scope ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) status: SpanStatus,
    pub(crate) response: ResponseFacts,
    /// The end time; the default means now.
    pub(crate) at: Moment,
    /// Whether the result is a failure. Captured errors and panics are counted by the scope itself.
    pub(crate) has_failed: bool,
    /// Whether it counts for release health: requests do, and jobs if the user wants that.
    pub(crate) is_session: bool,
}

impl ScopeState {
    /// Ends the transaction and decides whether it is sent. None if it has ended already.
    fn end(&mut self, client: &Client, ending: Ending, is_ignored: bool) -> Option<Ended> {
        if self.phase == Phase::Finished {
            return None;
        }
        let parked = self.take_parked(client);
        self.phase = Phase::Finished;
        let was_recording = self.transaction.is_recording;
        self.transaction.record.response = ending.response;
        self.transaction.end(ending.status, ending.at);
        // Ignored requests must not change the durations that alert rules see.
        if !is_ignored {
            client.show_duration(&self.transaction.record);
        }
        let is_unwanted = is_ignored || ending.response.status.is_some_and(|status| client.ignores_transactions_of(status));
        let is_kept = !is_unwanted && self.keep(client, ending.has_failed);
        // While the delivery is behind, spans are not recorded, but a failed request is still kept.
        let is_sampled = self.decision.sampled && !is_unwanted;
        let is_sent = was_recording && (is_sampled || is_kept) || self.decision.is_pressed() && is_kept;
        let record = &self.transaction.record;
        Some(Ended {
            is_sent,
            is_ignored,
            reason: match (self.decision.is_thinned, self.decision.sampled && is_unwanted) {
                (true, _) => DiscardReason::Backpressure,
                (false, true) => DiscardReason::EventProcessor,
                (false, false) => DiscardReason::SampleRate,
            },
            parked,
            session: (ending.is_session && !is_ignored).then(|| (record.started_at, self.session(ending.has_failed))),
            // Unrecorded transactions have only rows of inner requests.
            spans: if was_recording { record.spans.len() as u64 } else { 0 },
            dropped_spans: record.dropped_spans,
            truncated: record.dropped_fields.saturating_add(record.cut_texts),
        })
    }

    /// Whether the transaction is kept, whatever the sampling decision is.
    ///
    /// A sampled transaction is marked as kept as well. It then stands for itself alone, and not for
    /// requests that were not sampled: servers estimate the number of requests from the rates.
    fn keep(&mut self, client: &Client, has_failed: bool) -> bool {
        let Some(settings) = client.settings() else { return false };
        // The parts that were sent already stand for requests that were not sampled.
        if !settings.sampling.keep_failed || self.decision.is_final || self.transaction.record.is_streamed() {
            return false;
        }
        let why = if has_failed || self.has_failed {
            Some(Kept::Failed)
        } else if self.is_chosen {
            Some(Kept::Chosen)
        } else {
            self.judge_time(client, settings.sampling.keep_slow)
        };
        let record = &mut self.transaction.record;
        let kept = why.filter(|why| client.may_keep(*why, self.decision.sampled, clock::nanos(record.end)));
        record.kept = kept.map(Kept::as_str);
        kept.is_some()
    }

    /// Whether the work was slow. Sampled work, and a share of the rest, is added to the median of its route.
    fn judge_time(&self, client: &Client, slow: Slow) -> Option<Kept> {
        let record = &self.transaction.record;
        let nanos = record.end.nanos_since(record.start);
        let may_be_slow = nanos >= slow.shortest();
        // A random share, so that all kinds of requests count. Measuring a request takes 400 instructions.
        let is_measured = matches!(slow, Slow::TimesMedian { .. })
            && (self.decision.sampled || record.trace.trace_id.to_u128().is_multiple_of(MEASURED_OF));
        if !may_be_slow && !is_measured {
            return None;
        }
        let route = Medians::key(&RouteName(record));
        let mut medians = client.medians()?;
        let is_slow = may_be_slow && slow.is_slow(nanos, || medians.of(route));
        if is_measured {
            medians.add(route, nanos);
        }
        is_slow.then_some(Kept::Slow)
    }

    /// Ends the profile. It leaves with its transaction, or is dropped with it.
    #[cfg(profiles)]
    fn hand_over_profile(&mut self, profile: Option<Arc<TransactionProfile>>, ended: &Ended, client: &Client) {
        let Some(profile) = profile else { return };
        profile.end();
        if ended.is_sent {
            self.transaction.record.profile = Some(profile);
        } else if !ended.is_ignored {
            client.discard(ended.reason, Category::Profile, 1);
        }
    }

    /// The name of a request, or of a request inside it.
    fn name_of(&self, served: Served) -> String {
        let record = &self.transaction.record;
        let inner = match served {
            Served::Inner(row) => record.inner_request_name(row),
            Served::Whole | Served::BeyondLimit(_) => None,
        };
        inner.map_or_else(|| payload::name(record), Cow::into_owned)
    }

    /// A failed status counts like an error, even if no event was captured for it.
    fn session(&self, has_failed: bool) -> SessionEnd {
        match (self.has_crashed, self.has_failed || has_failed) {
            (true, _) => SessionEnd::Crashed,
            (false, true) => SessionEnd::Errored,
            (false, false) => SessionEnd::Exited,
        }
    }
}

/// The facts to report about a transaction that has ended, once no lock is held.
struct Ended {
    is_sent: bool,
    /// The transaction is not counted as dropped.
    is_ignored: bool,
    /// Why it is not sent.
    reason: DiscardReason,
    parked: Option<Vec<Item>>,
    /// The start on the wall clock, and the outcome. None if the work does not count as a session.
    session: Option<(u64, SessionEnd)>,
    spans: u64,
    dropped_spans: u32,
    /// Fields without room, and texts of the request that were cut.
    truncated: u32,
}

impl Ended {
    fn report(self, client: &Client) {
        if let Some((started_at, end)) = self.session {
            client.end_session(started_at, end);
        }
        send(client, self.parked);
        if self.dropped_spans > 0 {
            client.discard(DiscardReason::BufferOverflow, Category::Span, self.dropped_spans.into());
        }
        client.count_truncated(self.truncated.into());
        if !self.is_sent && !self.is_ignored {
            if !is_streamed(client) {
                client.discard(self.reason, Category::Transaction, 1);
            }
            client.discard(self.reason, Category::Span, self.spans + 1);
        }
    }
}

impl LiveScope {
    /// Ends the transaction, and sends it if it is sampled or kept. A second call does nothing.
    pub(crate) fn finish(mut self: Arc<Self>, ending: Ending) {
        // This is nearly always the last handle: no lock is needed. Moving the client out saves two
        // updates of a reference count that all threads share.
        let Some(this) = Arc::get_mut(&mut self) else { return self.finish_shared(ending) };
        let is_ignored = this.is_ignored || this.is_left_out();
        let state = this.state.get_mut();
        let Some(ended) = state.end(&this.client, ending, is_ignored) else { return };
        #[cfg(profiles)]
        {
            state.hand_over_profile(this.profile.take(), &ended, &this.client);
            this.session = None;
        }
        // Counted now if no event has its id, and not when the scope is used again.
        state.announced.clear();
        let client = std::mem::replace(&mut this.client, Client::off());
        let record = &mut state.transaction.record;
        let full = if ended.is_sent {
            Some(std::mem::replace(record, client.take_record()))
        } else {
            record.clear();
            None
        };
        ended.report(&client);
        if let Some(full) = full {
            client.submit(finished(&client, full));
        }
        Self::put_aside(self);
    }

    /// Ends work that has no result: it failed if an error was captured in it.
    ///
    /// `unwinds` is whether a panic ends it.
    pub(crate) fn finish_without_result(self: Arc<Self>, unwinds: bool) {
        if unwinds {
            self.mark_crashed();
        }
        let has_failed = self.lock().has_failed;
        let status = if has_failed { SpanStatus::InternalError } else { SpanStatus::Ok };
        self.finish(Ending { status, response: ResponseFacts::default(), at: Moment::default(), has_failed, is_session: false });
    }

    /// Like [`finish`](Self::finish), if other handles exist.
    ///
    /// The scope keeps only what later events of the same request need.
    fn finish_shared(&self, ending: Ending) {
        let mut left = self.client.take_record();
        let mut state = self.lock();
        let Some(ended) = state.end(&self.client, ending, self.is_ignored || self.is_left_out()) else {
            drop(state);
            return self.client.give_back(left);
        };
        #[cfg(profiles)]
        {
            state.hand_over_profile(self.profile.clone(), &ended, &self.client);
            // The other handles may live for long.
            if let Some(session) = &self.session {
                session.end();
            }
        }
        if !ended.is_sent {
            // If it is sent, spans that begin later are still seen, and counted as dropped.
            self.stop_recording();
        }
        state.transaction.record.copy_scope_to(&mut left);
        let full = std::mem::replace(&mut state.transaction.record, left);
        drop(state);
        let is_sent = ended.is_sent;
        ended.report(&self.client);
        if is_sent {
            self.client.submit(finished(&self.client, full));
        } else {
            self.client.give_back(full);
        }
    }

    /// Logs which request blocked its thread for `nanos` in one poll. At most once a minute.
    ///
    /// It does not include the time that a request inside this one blocked the thread.
    pub(crate) fn warn_of_blocking(&self, served: Served, nanos: u64) {
        static TROUBLE: diagnostics::Quiet = diagnostics::Quiet::new();
        let mut state = self.lock();
        let own = nanos.saturating_sub(std::mem::take(&mut state.blocked_inside));
        if served != Served::Whole {
            state.blocked_inside = nanos;
        }
        if own < BLOCKED_FROM {
            return;
        }
        let name = state.name_of(served);
        drop(state);
        let (name, nanos) = (cut(&name, 200), own);
        TROUBLE.warn(&format!(
            "{name} blocked its thread for {} ms in one poll: whatever else runs there waits; spawn_blocking is for such work",
            nanos / 1_000_000
        ));
    }

    /// Counts a span that begins after its transaction was sent.
    ///
    /// Spans that are rejected for other reasons are counted elsewhere.
    #[cold]
    pub(crate) fn count_if_late(&self, name: &str) {
        if self.is_recording() && self.lock().phase == Phase::Finished {
            self.client.discard(DiscardReason::BufferOverflow, Category::Span, 1);
            diagnostics::explain(
                name,
                "it began after its request or job was over, and is counted; work of its own is a `Client::transaction`",
            );
        }
    }

    /// Records that code of the request panicked.
    pub(crate) fn mark_crashed(&self) {
        let mut state = self.lock();
        state.has_failed = true;
        state.has_crashed = true;
    }
}
