//! Counts the items of each category that were captured, sent and dropped.
//!
//! This is the only place where an item changes state. Once nothing is in progress,
//! `captured = sent + spooled + dropped` in each category. Until then, the difference is waiting.

use std::sync::atomic::{AtomicU64, Ordering};

use super::load::Load;
use super::stats::{Counts, Stats};
use crate::fork::Lock;
use crate::protocol::{Category, DiscardReason, DiscardedEvent};

const CATEGORIES: usize = Category::COUNTED.len();
const REASONS: usize = DiscardReason::ALL.len();

#[derive(Debug)]
pub(super) struct Ledger {
    accounts: [Account; CATEGORIES],
    /// Whether spans are sent on their own. They belong to transactions otherwise.
    pub(super) streams_spans: bool,
    truncated: AtomicU64,
    dropped_breadcrumbs: AtomicU64,
    /// Reports of a failure that became part of an earlier report's event.
    merged: AtomicU64,
    /// What the worker has taken from the queue and not counted yet, by category.
    ///
    /// `None` once a shutdown has counted it: the worker may be busy past the deadline, and what it
    /// counts later is ignored.
    taken: Lock<Option<[u64; CATEGORIES]>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            accounts: Default::default(),
            streams_spans: false,
            taken: Lock::new(Some([0; CATEGORIES])),
            truncated: AtomicU64::new(0),
            dropped_breadcrumbs: AtomicU64::new(0),
            merged: AtomicU64::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct Account {
    captured: AtomicU64,
    sent: AtomicU64,
    /// On disk only, of this process and of dead ones.
    spooled: AtomicU64,
    dropped: [AtomicU64; REASONS],
    /// Drops that the next client report will contain.
    unreported: [AtomicU64; REASONS],
}

impl Ledger {
    pub(super) fn capture(&self, load: Load) {
        for (category, quantity) in load.shares() {
            self.add(category, |account| &account.captured, quantity);
        }
    }

    /// Takes back the capture of an event that became part of another one.
    pub(super) fn uncapture(&self, load: Load) {
        for (category, quantity) in load.shares() {
            if let Some(account) = self.account(category) {
                account.captured.fetch_sub(quantity, Ordering::Relaxed);
            }
        }
    }

    /// Counts reports that became part of an earlier report's event.
    pub(super) fn merge(&self, quantity: u64) {
        self.merged.fetch_add(quantity, Ordering::Relaxed);
    }

    /// Drops an item that is or was in the queue.
    pub(super) fn discard(&self, load: Load, reason: DiscardReason) {
        for (category, quantity) in load.shares() {
            self.drop_counted(reason, category, quantity, true);
        }
    }

    /// Counts bytes of attachments that were removed from an event before it got into the queue.
    pub(super) fn drop_bytes(&self, bytes: u64, reason: DiscardReason) {
        self.drop_counted(reason, Category::Attachment, bytes, true);
    }

    /// Notes that the worker takes an item from the queue. One of the methods below ends this.
    pub(super) fn take(&self, load: Load) {
        let mut taken = self.taken.lock();
        if let Some(taken) = &mut *taken {
            for (category, quantity) in load.shares() {
                if let Some(count) = place(category).and_then(|place| taken.get_mut(place)) {
                    *count += quantity;
                }
            }
        }
    }

    /// Captures a load that the worker has at once. Returns `false`, and counts nothing, once a shutdown has counted
    /// what the worker had.
    #[cfg(feature = "otlp")]
    pub(super) fn capture_and_take(&self, load: Load) -> bool {
        let is_open = self.taken.lock().is_some();
        if is_open {
            self.capture(load);
            self.take(load);
        }
        is_open
    }

    /// Counts a load as sent; see `Counts::sent`.
    pub(super) fn sent(&self, load: Load) {
        self.settle(load, |category, quantity| self.add(category, |account| &account.sent, quantity));
    }

    /// Drops a load that the worker has taken.
    pub(super) fn lose(&self, load: Load, reason: DiscardReason) {
        self.settle(load, |category, quantity| self.drop_counted(reason, category, quantity, true));
    }

    /// Counts a load that the server refused with 429.
    ///
    /// The server counts these itself, so no client report repeats them.
    pub(super) fn refused(&self, load: Load) {
        self.settle(load, |category, quantity| self.drop_counted(DiscardReason::RatelimitBackoff, category, quantity, false));
    }

    /// Counts a load that the worker has taken as being on disk only.
    pub(super) fn put_down(&self, load: Load) {
        self.settle(load, |category, quantity| self.add(category, |account| &account.spooled, quantity));
    }

    /// Counts a load that was on disk only as taken by the worker.
    pub(super) fn take_up(&self, load: Load) {
        self.leave_disk(load);
        self.take(load);
    }

    /// Drops a load that was on disk only.
    pub(super) fn lose_spooled(&self, load: Load, reason: DiscardReason) {
        self.leave_disk(load);
        load.shares().for_each(|(category, quantity)| self.drop_counted(reason, category, quantity, true));
    }

    /// Counts a load that a dead process left on disk.
    pub(super) fn adopt(&self, load: Load) {
        self.capture(load);
        load.shares().for_each(|(category, quantity)| self.add(category, |account| &account.spooled, quantity));
    }

    fn leave_disk(&self, load: Load) {
        for (category, quantity) in load.shares() {
            if let Some(account) = self.account(category) {
                account.spooled.fetch_sub(quantity, Ordering::Relaxed);
            }
        }
    }

    /// Counts spans that a hook added to a transaction.
    pub(super) fn add_spans(&self, quantity: u64) {
        self.add(Category::Span, |account| &account.captured, quantity);
        self.take(Load { quantity, ..Load::one(Category::Span) });
    }

    /// Counts spans that were removed from a transaction that is still sent.
    pub(super) fn lose_spans(&self, quantity: u64, reason: DiscardReason) {
        self.lose(Load { quantity, ..Load::one(Category::Span) }, reason);
    }

    /// Counts the profile of a transaction that is sent without it.
    pub(super) fn lose_profile(&self, reason: DiscardReason) {
        self.lose(Load::one(Category::Profile), reason);
    }

    /// Counts bytes of attachments that were removed from an event that is still sent.
    pub(super) fn lose_bytes(&self, quantity: u64, reason: DiscardReason) {
        self.lose(Load { quantity, ..Load::one(Category::Attachment) }, reason);
    }

    fn settle(&self, load: Load, count: impl Fn(Category, u64)) {
        let mut taken = self.taken.lock();
        let Some(taken) = &mut *taken else { return };
        for (category, quantity) in load.shares() {
            if let Some(left) = place(category).and_then(|place| taken.get_mut(place)) {
                *left = left.saturating_sub(quantity);
            }
            count(category, quantity);
        }
    }

    /// Drops all that the worker has taken, because a shutdown does not wait for it any longer.
    pub(super) fn lose_taken(&self, reason: DiscardReason) {
        let taken = self.taken.lock().take();
        for (category, quantity) in Category::COUNTED.iter().copied().zip(taken.into_iter().flatten()) {
            self.drop_counted(reason, category, quantity, true);
        }
    }

    pub(super) fn capture_and_discard(&self, reason: DiscardReason, category: Category, quantity: u64) {
        self.add(category, |account| &account.captured, quantity);
        self.drop_counted(reason, category, quantity, true);
    }

    /// Counts values that were shortened or left out because of a limit of size.
    pub(super) fn truncate(&self, values: u64) {
        self.truncated.fetch_add(values, Ordering::Relaxed);
    }

    /// Counts breadcrumbs that an event lacks, because newer ones replaced them.
    pub(super) fn drop_breadcrumbs(&self, count: u64) {
        self.dropped_breadcrumbs.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes the counts of everything dropped since the last call.
    pub(super) fn take_unreported(&self) -> Vec<DiscardedEvent> {
        let mut rows = Vec::new();
        for (category, account) in Category::COUNTED.iter().copied().zip(&self.accounts) {
            for (reason, count) in DiscardReason::ALL.iter().copied().zip(&account.unreported) {
                // Read first: nearly all of the counters are zero, and each swap locks a cache
                // line.
                if count.load(Ordering::Relaxed) > 0 {
                    rows.push(DiscardedEvent::new(reason, category, count.swap(0, Ordering::Relaxed)));
                }
            }
        }
        rows
    }

    /// Puts back the rows of a client report that was not delivered.
    pub(super) fn put_back(&self, rows: &[DiscardedEvent]) {
        for row in rows {
            let place = DiscardReason::ALL.iter().position(|reason| *reason == row.reason);
            if let Some(count) = place.and_then(|place| self.account(row.category)?.unreported.get(place)) {
                count.fetch_add(row.quantity, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let counts = |category| {
            let Some(account) = self.account(category) else { return Counts::default() };
            let dropped: Vec<_> = DiscardReason::ALL
                .iter()
                .copied()
                .zip(&account.dropped)
                .map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect();
            let [captured, sent, spooled] = [&account.captured, &account.sent, &account.spooled].map(|count| count.load(Ordering::Relaxed));
            // The ledger does not know which items are over a budget.
            Counts { captured, sent, spooled, dropped, over_budget: 0 }
        };
        Stats {
            // The client knows it.
            client_name: String::new(),
            errors: counts(Category::Error),
            transactions: counts(Category::Transaction),
            spans: counts(Category::Span),
            attachment_bytes: counts(Category::Attachment),
            check_ins: counts(Category::Monitor),
            feedback: counts(Category::Feedback),
            logs: counts(Category::LogItem),
            metrics: counts(Category::TraceMetric),
            #[cfg(feature = "otlp")]
            otlp: Counts::default(),
            #[cfg(profiles)]
            profiles: counts(Category::Profile),
            #[cfg(profiles)]
            profile_chunks: counts(Category::ProfileChunk),
            truncated: self.truncated.load(Ordering::Relaxed),
            dropped_breadcrumbs: self.dropped_breadcrumbs.load(Ordering::Relaxed),
            // The ledger does not know it.
            lost_security_lines: 0,
            merged_reports: self.merged.load(Ordering::Relaxed),
            streams_spans: self.streams_spans,
        }
    }

    fn drop_counted(&self, reason: DiscardReason, category: Category, quantity: u64, report: bool) {
        if quantity == 0 {
            return;
        }
        let Some(place) = DiscardReason::ALL.iter().position(|other| *other == reason) else { return };
        let Some(account) = self.account(category) else { return };
        for (counts, counted) in [(&account.dropped, true), (&account.unreported, report)] {
            if let Some(count) = counts.get(place).filter(|_| counted) {
                count.fetch_add(quantity, Ordering::Relaxed);
            }
        }
    }

    fn add(&self, category: Category, which: impl Fn(&Account) -> &AtomicU64, quantity: u64) {
        if let Some(account) = self.account(category) {
            which(account).fetch_add(quantity, Ordering::Relaxed);
        }
    }

    /// Returns the account of a category. Sessions and client reports have none: they are not
    /// counted.
    fn account(&self, category: Category) -> Option<&Account> {
        self.accounts.get(place(category)?)
    }
}

fn place(category: Category) -> Option<usize> {
    Category::COUNTED.iter().position(|counted| *counted == category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_ends_in_one_column() {
        let ledger = Ledger::default();
        let transaction = Load { spans: 1, ..Load::one(Category::Transaction) };
        for _ in 0..3 {
            ledger.capture(transaction);
            ledger.take(transaction);
        }
        ledger.sent(transaction);
        ledger.lose(transaction, DiscardReason::SendError);
        ledger.refused(transaction);
        ledger.capture_and_discard(DiscardReason::SampleRate, Category::Transaction, 5);

        let stats = ledger.stats();

        assert_eq!((stats.transactions.captured, stats.transactions.sent, stats.transactions.dropped_total()), (8, 1, 7));
        assert_eq!((stats.spans.captured, stats.spans.sent, stats.spans.dropped_total(), stats.waiting()), (3, 1, 2, 0));
    }

    #[test]
    fn a_shutdown_counts_what_the_worker_holds_and_the_worker_counts_it_no_more() {
        let ledger = Ledger::default();
        let transaction = Load { spans: 4, ..Load::one(Category::Transaction) };
        for _ in 0..3 {
            ledger.capture(transaction);
            ledger.take(transaction);
        }
        ledger.sent(transaction);
        ledger.add_spans(2);
        ledger.lose_spans(1, DiscardReason::BeforeSend);

        ledger.lose_taken(DiscardReason::NetworkError);
        ledger.sent(transaction);
        ledger.lose(transaction, DiscardReason::SendError);

        let Stats { transactions, spans, .. } = ledger.stats();
        assert_eq!((transactions.captured, transactions.sent), (3, 1));
        assert_eq!(transactions.dropped, [(DiscardReason::NetworkError, 2)]);
        assert_eq!((spans.captured, spans.sent, spans.dropped_total()), (14, 4, 10));
    }

    #[test]
    fn a_transaction_that_is_lost_counts_its_spans_whatever_the_reason() {
        for reason in DiscardReason::ALL.iter().copied() {
            let ledger = Ledger::default();
            let transaction = Load { spans: 3, ..Load::one(Category::Transaction) };
            ledger.capture(transaction);
            ledger.take(transaction);

            ledger.lose(transaction, reason);

            let stats = ledger.stats();
            assert_eq!((stats.transactions.dropped, stats.spans.dropped), (vec![(reason, 1)], vec![(reason, 3)]));
        }
    }

    #[test]
    fn a_report_leaves_out_what_the_server_counts_and_comes_back_when_lost() {
        let ledger = Ledger::default();
        ledger.refused(Load::one(Category::Error));
        ledger.capture_and_discard(DiscardReason::SampleRate, Category::Transaction, 2);

        let rows = ledger.take_unreported();
        ledger.put_back(&rows);

        assert_eq!(rows, [DiscardedEvent::new(DiscardReason::SampleRate, Category::Transaction, 2)]);
        assert_eq!(ledger.take_unreported(), rows);
        assert!(ledger.take_unreported().is_empty());
    }
}
