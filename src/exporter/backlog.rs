//! Envelopes on disk, and what they count for.
//!
//! The disk has a thread of its own. While it hangs, it gets no requests: envelopes in memory stay there,
//! and those that were written count as being on disk.

use std::sync::Arc;
use std::time::Instant;

use super::disk::Disk;
use super::gzip::Gzip;
use super::load::Load;
use super::outbound::Outbound;
use super::settings::DeliverySettings;
use super::shared::Shared;
use crate::diagnostics;
use crate::fork::Lock;
use crate::protocol::{Category, DiscardReason};
use crate::spool::{Changes, Label, Lane, Outlook, Place, Spool, SpoolSettings};

/// The spool, if the user wants one.
pub(super) struct Backlog {
    disk: Option<Disk<Spool>>,
    /// What the disk's thread has noted last.
    noted: Arc<Lock<Noted>>,
    /// What the disk does not know yet. Each envelope of the spool that is in memory is here at most once.
    news: Vec<News>,
    shared: Arc<Shared>,
    /// For messages.
    dir: String,
    trouble: diagnostics::Quiet,
}

#[derive(Default)]
struct Noted {
    outlook: Outlook,
    changes: Changes,
}

/// What became of an envelope on disk.
enum News {
    /// Its outcome is known.
    Finished(Place),
    /// It is not in memory any more.
    Left(Place, Label),
}

impl Backlog {
    /// Spotlight alone needs no spool.
    pub(super) fn new(settings: &DeliverySettings, is_alone: bool, shared: Arc<Shared>) -> Self {
        let dsn = settings.dsn.as_ref().map(ToString::to_string).unwrap_or_default();
        let dir = settings.spool_dir.clone().filter(|_| !is_alone);
        let mut this = Self {
            disk: None,
            noted: Arc::default(),
            news: Vec::new(),
            shared,
            dir: dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default(),
            trouble: diagnostics::Quiet::new(),
        };
        if let Some(dir) = dir {
            let spool = Spool::new(SpoolSettings { dir, max_bytes: settings.spool_max_bytes, syncs: settings.spool_sync }, &dsn);
            let of_thread = Arc::clone(&this.shared);
            match Disk::start(spool, move || of_thread.queue.wake()) {
                Ok(disk) => this.disk = Some(disk),
                Err(error) => {
                    diagnostics::warn(&format!("the spool {} is not used: its thread could not be started: {error}", this.dir));
                }
            }
        }
        this.look_after(Instant::now());
        this
    }

    /// Whether envelopes can be written to disk now.
    pub(super) fn is_well(&self) -> bool {
        self.answers() && self.outlook().is_well
    }

    /// Whether an envelope is on disk only.
    pub(super) fn has_any(&self) -> bool {
        self.outlook().has_any
    }

    /// Takes over the segments of dead processes, drops old envelopes, and hands news of deliveries to the disk.
    pub(super) fn look_after(&mut self, now: Instant) {
        if self.disk.is_none() {
            return;
        }
        if self.answers() && self.outlook().is_due(now) {
            self.ask(move |spool| spool.look_after(now), |_, ()| {});
        }
        self.count_changes();
        self.pass_on();
    }

    /// When there is something to do next: an envelope may be sent again, or the spool needs a look.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let Outlook { next_due, next_upkeep, .. } = self.outlook();
        self.disk.as_ref().and_then(|_| next_due.into_iter().chain(next_upkeep).min())
    }

    /// Writes an envelope to disk before it is sent.
    ///
    /// With a compressor, it is compressed: it will stay for a while.
    pub(super) fn write(&mut self, outbound: &mut Outbound, gzip: Option<&mut Gzip>, now: Instant) {
        if outbound.place.is_some() || !self.is_well() {
            return;
        }
        let compressed = gzip.and_then(|gzip| gzip.compress(outbound.envelope.stored()));
        let (lane, label, envelope) = (lane(outbound.load.category), outbound.load.label(), outbound.envelope.clone());
        let write = move |spool: &mut Spool| spool.write(lane, label, &envelope, |_| compressed, now);
        // What is written too late was sent from memory, or waits there.
        let undo = |spool: &mut Spool, place: Option<Place>| place.into_iter().for_each(|place| spool.finish(place, Instant::now()));
        outbound.place = self.ask(write, undo).flatten();
    }

    /// Leaves an envelope on disk only. Gives it back if it is not there, or if the disk hangs.
    pub(super) fn put_down(&mut self, outbound: Outbound) -> Option<Outbound> {
        let Some(place) = outbound.place else { return Some(outbound) };
        let attempts = outbound.attempts;
        let put_down = move |spool: &mut Spool| spool.put_down(place, attempts.strikes, attempts.not_before);
        match self.ask(put_down, move |spool, _| spool.take_back(place)) {
            Some(true) => {
                self.shared.ledger.put_down(outbound.load);
                None
            }
            Some(false) => Some(Outbound { place: None, ..outbound }),
            None => Some(outbound),
        }
    }

    /// Leaves an envelope on disk only that is given up otherwise. Returns `false` if it is not there.
    ///
    /// If the disk hangs, written envelopes count as being there.
    pub(super) fn leave(&mut self, place: Option<Place>, load: Load) -> bool {
        let Some(place) = place else { return false };
        let label = load.label();
        let is_there = if self.answers() {
            let lose_if_gone = move |spool: &mut Spool, is_there: bool| {
                if !is_there {
                    spool.lose(label);
                }
            };
            self.ask(move |spool| spool.put_down(place, 0, None), lose_if_gone).unwrap_or(true)
        } else {
            self.news.push(News::Left(place, label));
            true
        };
        if is_there {
            self.shared.ledger.put_down(load);
        }
        is_there
    }

    /// Takes the oldest envelope that may be sent, errors first.
    pub(super) fn take(&mut self, now: Instant, is_closed: impl Fn(Category) -> bool) -> Option<Outbound> {
        if !self.answers() || !self.outlook().may_have(now, |lane| is_closed(main_category(lane))) {
            return None;
        }
        let closed: Vec<_> =
            [Lane::Errors, Lane::Transactions, Lane::Rest].into_iter().filter(|lane| is_closed(main_category(*lane))).collect();
        let restored = self.ask(
            move |spool| spool.take(now, |lane| closed.contains(&lane)),
            |spool, restored| restored.into_iter().for_each(|restored| _ = spool.put_down(restored.place, restored.strikes, None)),
        );
        let restored = restored.flatten()?;
        let load = Load::of(&restored.label);
        self.shared.ledger.take_up(load);
        let mut outbound = Outbound::new(restored.envelope, load, Vec::new());
        outbound.place = Some(restored.place);
        outbound.attempts.strikes = restored.strikes;
        Some(outbound)
    }

    /// Notes that the outcome of an envelope is known. The disk learns of it with the next call.
    pub(super) fn finish(&mut self, place: Option<Place>) {
        self.news.extend(place.map(News::Finished));
    }

    /// Waits until the disk knows all outcomes, unless it hangs. A process may end after that.
    pub(super) fn settle(&mut self) {
        if !self.news.is_empty() || self.disk.as_ref().is_some_and(|disk| !disk.is_idle()) {
            self.ask(|_| {}, |_, ()| {});
        }
    }

    fn answers(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::answers)
    }

    fn outlook(&self) -> Outlook {
        self.noted.lock().outlook
    }

    /// Passes on what the disk does not know yet, without waiting for it.
    fn pass_on(&mut self) {
        let Some(disk) = self.disk.as_ref().filter(|_| !self.news.is_empty()) else { return };
        if disk.is_idle() {
            let (news, noted) = (std::mem::take(&mut self.news), Arc::clone(&self.noted));
            disk.hand_over(move |spool| {
                learn(spool, news);
                note(spool, &noted);
            });
        } else {
            disk.wake_when_idle();
        }
    }

    /// Asks the disk, after it has learned what it does not know yet. Returns `None` if it hangs.
    fn ask<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Spool) -> R + Send + 'static,
        undo: impl FnOnce(&mut Spool, R) + Send + 'static,
    ) -> Option<R> {
        let disk = self.disk.as_mut().filter(|disk| disk.answers())?;
        let news = std::mem::take(&mut self.news);
        let (noted, noted_later) = (Arc::clone(&self.noted), Arc::clone(&self.noted));
        let shared = Arc::clone(&self.shared);
        // What it takes along must get there.
        let result = disk.wait_for(
            move |spool| {
                learn(spool, news);
                let result = work(spool);
                note(spool, &noted);
                result
            },
            move |spool, result| {
                undo(spool, result);
                note(spool, &noted_later);
            },
            || shared.closes_at.get().copied(),
        );
        if result.is_none() && !disk.answers() {
            self.trouble.warn(&format!("the spool {}: its disk does not answer; events wait in memory until it does", self.dir));
        }
        self.count_changes();
        result
    }

    fn count_changes(&self) {
        let (changes, ledger) = (std::mem::take(&mut self.noted.lock().changes), &self.shared.ledger);
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

    /// Makes the disk hang until the returned value is dropped.
    #[cfg(test)]
    pub(super) fn hang(&self) -> std::sync::mpsc::Sender<()> {
        self.disk.as_ref().expect("a spool").hang()
    }
}

impl Drop for Backlog {
    /// The thread removes delivered envelopes once it runs again.
    fn drop(&mut self) {
        let news = std::mem::take(&mut self.news);
        if let Some(disk) = self.disk.as_ref().filter(|_| !news.is_empty()) {
            disk.hand_over(move |spool| learn(spool, news));
        }
    }
}

fn learn(spool: &mut Spool, news: Vec<News>) {
    for news in news {
        match news {
            News::Finished(place) => spool.finish(place, Instant::now()),
            News::Left(place, label) => spool.leave(place, label),
        }
    }
}

fn note(spool: &mut Spool, noted: &Lock<Noted>) {
    let (outlook, changes) = (spool.outlook(Instant::now()), spool.take_changes());
    let mut noted = noted.lock();
    noted.outlook = outlook;
    noted.changes.add(changes);
}

fn lane(category: Category) -> Lane {
    match category {
        Category::Error | Category::Monitor | Category::Feedback => Lane::Errors,
        Category::Transaction | Category::Span => Lane::Transactions,
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
