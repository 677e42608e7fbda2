//! The budgets of a client: what a second, a day and a month allow.
//!
//! Requests ask before an item is queued. What there is to say, the hook and the file are the
//! exporter's thread's work.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::budget_file::KeptCounts;
use super::item::Item;
use super::kept_budgets::KeptBudgets;
use crate::fork::Lock;
use crate::record::clock;
use crate::sampling::{Budget, BudgetKind, BudgetLevel, BudgetMark, BudgetNews, Meter};
use crate::{diagnostics, unwind};

/// A hook that learns of a mark.
pub(crate) type OnBudget = Arc<dyn Fn(BudgetMark) + Send + Sync>;

/// The settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct BudgetSettings {
    pub(crate) errors: Option<Budget>,
    pub(crate) transactions: Option<Budget>,
    /// Where the counts are kept over a restart.
    pub(crate) file: Option<PathBuf>,
}

impl BudgetSettings {
    /// Sets a budget in place of an earlier one of its kind.
    pub(crate) fn set(&mut self, budget: Budget) {
        match budget.kind {
            BudgetKind::Errors => self.errors = Some(budget),
            BudgetKind::Transactions => self.transactions = Some(budget),
        }
    }

    /// What makes the settings invalid.
    pub(crate) fn fault(&self) -> Option<String> {
        let is_other = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|there| !there.is_file());
        let other = self.file.as_ref().filter(is_other);
        let fault = other.map(|path| format!("budget_file: expected a file, found something else at '{}'", path.display()));
        fault.or_else(|| self.iter().find_map(Budget::fault).map(|fault| format!("budget: {fault}")))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Budget> {
        self.errors.iter().chain(&self.transactions)
    }
}

/// The counts of all budgets. No user code runs under its locks.
#[derive(Default)]
pub(super) struct Budgets {
    errors: Option<MeteredBudget>,
    transactions: Option<MeteredBudget>,
    hook: Option<OnBudget>,
    has_news: AtomicBool,
    /// Used by the exporter's thread only.
    file: Lock<Option<KeptBudgets>>,
    /// The counts have changed since they were written.
    is_changed: AtomicBool,
}

struct MeteredBudget {
    budget: Budget,
    meter: Lock<Meter>,
    trouble: diagnostics::Quiet,
}

impl MeteredBudget {
    fn new(budget: &Budget) -> Self {
        Self { budget: budget.clone(), meter: Lock::new(Meter::new(budget)), trouble: diagnostics::Quiet::new() }
    }
}

impl Budgets {
    /// Goes on with the counts in the file, if there is one. What is wrong with it is logged.
    pub(super) fn start(settings: &BudgetSettings, hook: Option<OnBudget>) -> Self {
        let [errors, transactions] = [&settings.errors, &settings.transactions].map(|budget| budget.as_ref().map(MeteredBudget::new));
        let budgets = Self { errors, transactions, hook, ..Self::default() };
        let Some(path) = settings.file.as_ref().filter(|_| settings.iter().next().is_some()) else { return budgets };
        let budgets = Self { file: Lock::new(KeptBudgets::start(path.clone())), ..budgets };
        budgets.resume();
        budgets
    }

    /// Goes on with the counts that were read from the file since the last call.
    fn resume(&self) {
        let Some(kept) = self.file.lock().as_ref().and_then(KeptBudgets::take_read) else { return };
        let now = clock::calendar();
        for (metered, counts) in [(&self.errors, &kept.errors), (&self.transactions, &kept.transactions)] {
            if let Some(metered) = metered {
                metered.meter.lock().resume(counts, now);
            }
        }
    }

    /// Whether an item may be queued. It is counted then. `wake` wakes the exporter's thread.
    pub(super) fn spend(&self, item: &Item, wake: impl FnOnce()) -> bool {
        let Some(metered) = self.meter_of(item) else { return true };
        let (time, nanos) = (clock::calendar(), clock::nanos(clock::now()));
        let mut meter = metered.meter.lock();
        let is_allowed = meter.spend(time, nanos);
        let has_marks = meter.has_marks();
        drop(meter);
        if is_allowed {
            self.is_changed.store(true, Ordering::Relaxed);
        }
        // Refusals by the limit per second are said when the thread looks the next time.
        if has_marks || !is_allowed {
            let is_first = !self.has_news.swap(true, Ordering::Relaxed);
            if has_marks && is_first {
                wake();
            }
        }
        is_allowed
    }

    /// Takes back an item that was counted and is not sent.
    pub(super) fn give_back(&self, item: &Item) {
        if let Some((metered, began_at)) = self.meter_of(item).zip(item.began_at()) {
            metered.meter.lock().give_back(began_at / 1_000_000_000);
            self.is_changed.store(true, Ordering::Relaxed);
        }
    }

    /// How many items of each kind were refused: errors, and transactions.
    pub(super) fn refused(&self) -> [u64; 2] {
        [&self.errors, &self.transactions].map(|metered| metered.as_ref().map_or(0, |metered| metered.meter.lock().refused()))
    }

    /// Says what there is to say, and writes the counts if it is time. At the start of a shutdown it is.
    /// For the exporter's thread.
    pub(super) fn look_after(&self, now: Instant, closes_at: Option<Instant>) {
        if self.has_news.swap(false, Ordering::Relaxed) {
            for metered in self.errors.iter().chain(&self.transactions) {
                let news = metered.meter.lock().take_news();
                self.say(metered, news);
            }
        }
        self.resume();
        let mut file = self.file.lock();
        let Some(file) = &mut *file else { return };
        let is_changed = self.is_changed.load(Ordering::Relaxed);
        if let Some(closes_at) = closes_at {
            self.is_changed.store(false, Ordering::Relaxed);
            if is_changed { file.write_last(self.counts(), closes_at) } else { file.finish(closes_at) }
        } else if is_changed && file.is_due(now) {
            self.is_changed.store(false, Ordering::Relaxed);
            file.write(self.counts(), now);
        }
    }

    /// When the counts must be written.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if !self.is_changed.load(Ordering::Relaxed) {
            return None;
        }
        self.file.lock().as_ref().map(|file| file.due(Instant::now()))
    }

    fn say(&self, metered: &MeteredBudget, news: BudgetNews) {
        for mark in news.marks {
            let is_thin = metered.budget.spreads && mark.level == BudgetLevel::Soft;
            let rest = if is_thin { "; what is left is spread evenly until then, and the rest is dropped and counted" } else { "" };
            diagnostics::warn(&format!("{mark}{rest}"));
            if let Some(hook) = &self.hook
                && unwind::catch(|| hook(mark)).is_none()
            {
                diagnostics::warn("the `on_budget` hook panicked");
            }
        }
        if let Some(limit) = metered.budget.per_second.filter(|_| news.refused_in_second > 0) {
            let Budget { kind, .. } = &metered.budget;
            let refused = news.refused_in_second;
            metered.trouble.warn(&format!("there are more than {limit} {kind} a second; so far, {refused} are dropped and counted"));
        }
    }

    fn counts(&self) -> KeptCounts {
        let of = |metered: &Option<MeteredBudget>| metered.as_ref().map(|metered| metered.meter.lock().counts()).unwrap_or_default();
        KeptCounts::new(of(&self.errors), of(&self.transactions))
    }

    #[cfg(test)]
    fn settle(&self) {
        self.file.lock().as_ref().expect("a file").settle();
    }

    fn meter_of(&self, item: &Item) -> Option<&MeteredBudget> {
        match item {
            Item::Event(_) => self.errors.as_ref(),
            Item::Transaction(_) | Item::Spans(_) => self.transactions.as_ref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::super::disk::PATIENCE;
    use super::*;
    use crate::event::{CapturedEvent, EventRecord};
    use crate::protocol::Level;

    fn event() -> Item {
        let captured = CapturedEvent::message(Level::Error, "a".to_owned());
        Item::Event(Box::new(EventRecord { captured, scope: Box::default() }))
    }

    #[test]
    fn the_thread_is_woken_for_a_mark_and_not_for_each_item_that_is_dropped() {
        let settings = BudgetSettings { errors: Some(Budget::errors().per_month(1).soft_mark(1.0)), ..BudgetSettings::default() };
        let calls = Arc::new(AtomicUsize::new(0));
        let hook = Arc::clone(&calls);
        let budgets = Budgets::start(&settings, Some(Arc::new(move |_| _ = hook.fetch_add(1, Ordering::Relaxed))));
        let woken = AtomicUsize::new(0);
        let spend = || budgets.spend(&event(), || _ = woken.fetch_add(1, Ordering::Relaxed));
        let looks = |count: usize| (0..count).for_each(|_| budgets.look_after(Instant::now(), None));

        assert!(spend());
        looks(2);
        assert_eq!((woken.load(Ordering::Relaxed), calls.load(Ordering::Relaxed)), (1, 1));
        assert!(!spend());
        looks(2);
        assert_eq!((woken.load(Ordering::Relaxed), calls.load(Ordering::Relaxed)), (2, 2));
        assert!(!spend() && !spend());
        looks(2);
        assert_eq!((woken.load(Ordering::Relaxed), calls.load(Ordering::Relaxed), budgets.refused()), (2, 2, [3, 0]));
    }

    #[test]
    fn the_file_is_written_once_in_ten_seconds_and_if_something_was_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budgets.json");
        let errors = Some(Budget::errors().per_month(1_000));
        let budgets = Budgets::start(&BudgetSettings { errors, file: Some(path.clone()), ..BudgetSettings::default() }, None);
        let used = || {
            let text = std::fs::read_to_string(&path).ok()?;
            text.split("\"used\":").nth(1)?.split('}').next()?.parse::<u32>().ok()
        };
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        budgets.look_after(start, None);
        assert_eq!((budgets.next_due(), used()), (None, None), "an idle service is not woken");

        let mut rows = Vec::new();
        for (spent, seconds) in [(1, 0), (1, 5), (1, 10), (0, 30), (1, 30), (1, 39), (0, 40)] {
            (0..spent).for_each(|_| assert!(budgets.spend(&event(), || {})));
            budgets.look_after(start + seconds * second, None);
            budgets.settle();
            rows.push((used(), budgets.next_due().map(|due| due.saturating_duration_since(start).as_secs())));
        }

        let expected =
            [(1, None), (1, Some(10)), (3, None), (3, None), (4, None), (4, Some(40)), (5, None)].map(|(used, due)| (Some(used), due));
        assert_eq!(rows, expected);
        assert!(budgets.spend(&event(), || {}));
        budgets.look_after(start + 41 * second, Some(Instant::now() + Duration::from_secs(3600)));
        assert_eq!(used(), Some(6), "the end does not wait");
    }

    #[test]
    fn after_a_shutdown_nothing_is_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budgets.json");
        for _ in 0..50 {
            let errors = Some(Budget::errors().per_month(1_000));
            let budgets = Budgets::start(&BudgetSettings { errors, file: Some(path.clone()), ..BudgetSettings::default() }, None);
            assert!(budgets.spend(&event(), || {}));

            budgets.look_after(Instant::now(), None);
            budgets.look_after(Instant::now(), Some(Instant::now() + Duration::from_secs(3600)));

            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_up_neither_items_nor_a_shutdown_and_what_it_has_kept_is_added_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budgets.json");
        let settings =
            || BudgetSettings { errors: Some(Budget::errors().per_month(10)), file: Some(path.clone()), ..BudgetSettings::default() };
        let earlier = Budgets::start(&settings(), None);
        (0..4).for_each(|_| assert!(earlier.spend(&event(), || {})));
        earlier.look_after(Instant::now(), Some(Instant::now() + Duration::from_secs(3600)));
        let later = Budgets::start(&settings(), None);
        // As if the file could not be read in time.
        let kept = KeptCounts::new(later.errors.as_ref().unwrap().meter.lock().counts(), Vec::new());
        *later.errors.as_ref().unwrap().meter.lock() = Meter::new(&Budget::errors().per_month(10));
        let hang = later.file.lock().as_ref().unwrap().hang();

        let allowed = (0..3).filter(|_| later.spend(&event(), || {})).count();
        let now = Instant::now();
        later.look_after(now, None);
        let looks_again = later.next_due().is_some_and(|due| due >= now + PATIENCE);
        later.look_after(now, Some(now));
        later.file.lock().as_ref().unwrap().give(kept);
        later.look_after(now, Some(now));
        let allowed_later = (0..10).filter(|_| later.spend(&event(), || {})).count();
        drop(hang);
        later.settle();

        assert_eq!((allowed, allowed_later), (3, 3), "of ten, four were used before and three since");
        assert!(looks_again, "the exporter's thread must not spin");
        later.look_after(now, Some(Instant::now() + Duration::from_secs(3600)));
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"used\":10"), "it is written again once the disk answers");
    }
}
