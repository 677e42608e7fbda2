//! Envelopes on disk, and what they count for.

use std::sync::Arc;
use std::time::Instant;

use super::gzip::Gzip;
use super::load::Load;
use super::pipeline::Outbound;
use super::settings::DeliverySettings;
use super::shared::Shared;
use crate::protocol::{Category, DiscardReason};
use crate::spool::{Lane, Place, Spool, SpoolSettings};

/// The spool, if the user wants one.
pub(super) struct Backlog {
    spool: Option<Spool>,
    shared: Arc<Shared>,
}

impl Backlog {
    /// Spotlight alone needs no spool.
    pub(super) fn new(settings: &DeliverySettings, is_alone: bool, shared: Arc<Shared>) -> Self {
        let dsn = settings.dsn.as_ref().map(ToString::to_string).unwrap_or_default();
        let dir = settings.spool_dir.clone().filter(|_| !is_alone);
        let spool = dir.map(|dir| Spool::new(SpoolSettings { dir, max_bytes: settings.spool_max_bytes, syncs: settings.spool_sync }, &dsn));
        let mut this = Self { spool, shared };
        this.look_after(Instant::now());
        this
    }

    /// Whether envelopes can be written to disk now.
    pub(super) fn is_well(&self) -> bool {
        self.spool.as_ref().is_some_and(Spool::is_well)
    }

    /// Whether an envelope is on disk only.
    pub(super) fn has_any(&self) -> bool {
        self.spool.as_ref().is_some_and(Spool::has_any)
    }

    /// Takes over what dead processes left, and drops what is too old.
    pub(super) fn look_after(&mut self, now: Instant) {
        if let Some(spool) = &mut self.spool {
            spool.look_after(now);
            self.count_changes();
        }
    }

    /// When there is something to do next: an envelope may be sent again, or the spool needs a look.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let spool = self.spool.as_ref()?;
        spool.next_due().into_iter().chain(spool.next_upkeep()).min()
    }

    /// Writes an envelope to disk before it is sent.
    ///
    /// With a compressor, it is compressed: it will stay for a while.
    pub(super) fn write(&mut self, outbound: &mut Outbound, gzip: Option<&mut Gzip>, now: Instant) {
        let Some(spool) = self.spool.as_mut().filter(|_| outbound.place.is_none()) else { return };
        let compress = |bytes: &[u8]| gzip?.compress(bytes);
        outbound.place = spool.write(lane(outbound.load.category), outbound.load.label(), &outbound.envelope, compress, now);
        self.count_changes();
    }

    /// Leaves an envelope on disk only. Gives it back if it is not there.
    pub(super) fn put_down(&mut self, outbound: Outbound) -> Option<Outbound> {
        let attempts = outbound.attempts;
        let is_there = self.leave(outbound.place, outbound.load, attempts.strikes, attempts.not_before);
        (!is_there).then_some(Outbound { place: None, ..outbound })
    }

    /// Leaves an envelope on disk only. Returns `false` if it is not there.
    pub(super) fn leave(&mut self, place: Option<Place>, load: Load, strikes: u32, not_before: Option<Instant>) -> bool {
        let (Some(spool), Some(place)) = (&mut self.spool, place) else { return false };
        let is_there = spool.put_down(place, strikes, not_before);
        if is_there {
            self.shared.ledger.put_down(load);
        }
        is_there
    }

    /// Takes the oldest envelope that may be sent, errors first.
    pub(super) fn take(&mut self, now: Instant, is_closed: impl Fn(Category) -> bool) -> Option<Outbound> {
        let restored = self.spool.as_mut()?.take(now, |lane| is_closed(main_category(lane)));
        self.count_changes();
        let restored = restored?;
        let load = Load::of(&restored.label);
        self.shared.ledger.take_up(load);
        let mut outbound = Outbound::new(restored.envelope, load, Vec::new());
        outbound.place = Some(restored.place);
        outbound.attempts.strikes = restored.strikes;
        Some(outbound)
    }

    /// Notes that the outcome of an envelope is known.
    pub(super) fn finish(&mut self, place: Option<Place>) {
        if let (Some(spool), Some(place)) = (&mut self.spool, place) {
            spool.finish(place, Instant::now());
            self.count_changes();
        }
    }

    fn count_changes(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        let (changes, ledger) = (spool.take_changes(), &self.shared.ledger);
        for label in &changes.adopted {
            ledger.adopt(Load::of(label));
        }
        for label in &changes.evicted {
            ledger.lose_spooled(Load::of(label), DiscardReason::CacheOverflow);
        }
        for label in &changes.unreadable {
            ledger.lose_spooled(Load::of(label), DiscardReason::InternalSdkError);
        }
        if changes.broken > 0 {
            ledger.capture_and_discard(DiscardReason::InternalSdkError, Category::Error, changes.broken);
        }
    }
}

fn lane(category: Category) -> Lane {
    match category {
        Category::Error | Category::Monitor | Category::Feedback => Lane::Errors,
        Category::Transaction => Lane::Transactions,
        _ => Lane::Rest,
    }
}

/// The category whose rate limit stops a lane.
fn main_category(lane: Lane) -> Category {
    match lane {
        Lane::Errors => Category::Error,
        Lane::Transactions => Category::Transaction,
        Lane::Rest => Category::LogItem,
    }
}
