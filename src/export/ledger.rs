//! The accounts: the one place where an item changes state.
//!
//! For each category, once nothing moves: `captured = sent + dropped`. While things move, the difference is waiting.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::{Category, DiscardReason, DiscardedEvent};

const CATEGORIES: usize = Category::COUNTED.len();
const REASONS: usize = DiscardReason::ALL.len();

#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: [Account; CATEGORIES],
}

#[derive(Debug, Default)]
struct Account {
    captured: AtomicU64,
    sent: AtomicU64,
    dropped: [AtomicU64; REASONS],
    /// What the next client report will tell.
    unreported: [AtomicU64; REASONS],
}

impl Ledger {
    pub(super) fn capture(&self, load: Load) {
        for (category, quantity) in load.shares() {
            self.add(category, |account| &account.captured, quantity);
        }
    }

    /// The server has accepted it.
    pub(super) fn sent(&self, load: Load) {
        for (category, quantity) in load.shares() {
            self.add(category, |account| &account.sent, quantity);
        }
    }

    pub(super) fn discard(&self, load: Load, reason: DiscardReason) {
        for (category, quantity) in load.shares() {
            self.drop_counted(reason, category, quantity, true);
        }
    }

    /// A hook put spans into a transaction.
    pub(super) fn add_spans(&self, quantity: u64) {
        self.add(Category::Span, |account| &account.captured, quantity);
    }

    /// Spans were taken out of a transaction that goes on without them.
    pub(super) fn drop_spans(&self, quantity: u64, reason: DiscardReason) {
        self.drop_counted(reason, Category::Span, quantity, true);
    }

    /// Files were taken off an event that goes on without them.
    pub(super) fn drop_bytes(&self, bytes: u64, reason: DiscardReason) {
        self.drop_counted(reason, Category::Attachment, bytes, true);
    }

    /// The server said "too many": it counts these itself, so no report repeats them.
    pub(super) fn refused(&self, load: Load) {
        for (category, quantity) in load.shares() {
            self.drop_counted(DiscardReason::RatelimitBackoff, category, quantity, false);
        }
    }

    pub(super) fn capture_and_discard(&self, reason: DiscardReason, category: Category, quantity: u64) {
        self.add(category, |account| &account.captured, quantity);
        self.drop_counted(reason, category, quantity, true);
    }

    /// Takes what was dropped since the last call.
    pub(super) fn take_unreported(&self) -> Vec<DiscardedEvent> {
        let mut rows = Vec::new();
        for (category, account) in Category::COUNTED.into_iter().zip(&self.accounts) {
            for (reason, count) in DiscardReason::ALL.into_iter().zip(&account.unreported) {
                // Looked at first: nearly all of the seventy are zero, and each exchange locks the line it lies in.
                if count.load(Ordering::Relaxed) > 0 {
                    rows.push(DiscardedEvent::new(reason, category, count.swap(0, Ordering::Relaxed)));
                }
            }
        }
        rows
    }

    /// Puts rows back that a report could not deliver.
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
                .into_iter()
                .zip(&account.dropped)
                .map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect();
            Counts { captured: account.captured.load(Ordering::Relaxed), sent: account.sent.load(Ordering::Relaxed), dropped }
        };
        Stats {
            errors: counts(Category::Error),
            transactions: counts(Category::Transaction),
            spans: counts(Category::Span),
            attachment_bytes: counts(Category::Attachment),
            check_ins: counts(Category::Monitor),
            feedback: counts(Category::Feedback),
            logs: counts(Category::LogItem),
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

    /// Client reports have none: they count for nothing.
    fn account(&self, category: Category) -> Option<&Account> {
        let place = Category::COUNTED.iter().position(|counted| *counted == category)?;
        self.accounts.get(place)
    }
}

/// What an item, or an envelope of several, counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) category: Category,
    pub(super) quantity: u64,
    /// Of a transaction: its children and its root.
    pub(super) spans: u64,
    /// Of an event: its files. Of logs: all of them.
    pub(super) bytes: u64,
}

impl Load {
    /// One item of a category that counts for nothing else.
    pub(super) const fn one(category: Category) -> Self {
        Self { category, quantity: 1, spans: 0, bytes: 0 }
    }

    /// A transaction counts under `transaction`, and its spans under their own category; so do bytes.
    fn shares(self) -> impl Iterator<Item = (Category, u64)> {
        let of_bytes = if self.category == Category::LogItem { Category::LogByte } else { Category::Attachment };
        [(self.category, self.quantity), (Category::Span, self.spans), (of_bytes, self.bytes)]
            .into_iter()
            .filter(|(_, quantity)| *quantity > 0)
    }
}

/// The accounts of a client at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Error events and messages.
    pub errors: Counts,
    /// Transactions.
    pub transactions: Counts,
    /// Spans, the transactions' roots included.
    pub spans: Counts,
    /// Files that ride on events, in bytes.
    pub attachment_bytes: Counts,
    /// Check-ins of cron jobs.
    pub check_ins: Counts,
    /// What users say.
    pub feedback: Counts,
    /// Structured logs.
    pub logs: Counts,
}

impl Stats {
    /// Events, transactions, check-ins, logs and feedback that are neither delivered nor dropped yet.
    pub fn waiting(&self) -> u64 {
        self.items().map(Counts::waiting).sum()
    }

    /// What is handed over by itself; spans and files ride on it.
    fn items(&self) -> impl Iterator<Item = &Counts> {
        [&self.errors, &self.transactions, &self.check_ins, &self.feedback, &self.logs].into_iter()
    }
}

/// The accounts of one category: once nothing moves, `captured = sent + dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// All there ever were.
    pub captured: u64,
    /// Accepted by the server (2xx), or shown by a local sink when there is no server.
    pub sent: u64,
    /// Dropped, by reason.
    pub dropped: Vec<(DiscardReason, u64)>,
}

impl Counts {
    /// All that were dropped.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Neither delivered nor dropped yet.
    pub fn waiting(&self) -> u64 {
        self.captured.saturating_sub(self.sent + self.dropped_total())
    }
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
        }
        ledger.sent(transaction);
        ledger.discard(transaction, DiscardReason::SendError);
        ledger.refused(transaction);
        ledger.capture_and_discard(DiscardReason::SampleRate, Category::Transaction, 5);

        let stats = ledger.stats();

        assert_eq!((stats.transactions.captured, stats.transactions.sent, stats.transactions.dropped_total()), (8, 1, 7));
        assert_eq!((stats.spans.captured, stats.spans.sent, stats.spans.dropped_total(), stats.waiting()), (3, 1, 2, 0));
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
