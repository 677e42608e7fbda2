//! Settings of budgets: how many errors and transactions are sent in a second, a day and a month.

use std::path::PathBuf;
use std::sync::Arc;

use super::ConfigBuilder;
use crate::sampling::{Budget, BudgetMark};

impl ConfigBuilder {
    /// Limits how many errors, or transactions, are sent in a second, a day and a month.
    ///
    /// Beyond a limit, items are dropped before the queue. They are counted with the reason
    /// [`Backpressure`](crate::protocol::DiscardReason::Backpressure), and in
    /// [`Counts::over_budget`](crate::Counts::over_budget). A day and a month have two marks. A process
    /// reaches each at most once in its period:
    ///
    /// | mark | reached | what happens |
    /// |---|---|---|
    /// | soft | when 80 % are used ([`Budget::soft_mark`]) | a warning, [`on_budget`](Self::on_budget) |
    /// | hard | when the first item is dropped | a warning, [`on_budget`](Self::on_budget) |
    ///
    /// - Days and months are those of the calendar in UTC.
    /// - What is merged, ignored, not sampled, or left out by
    ///   [`max_events_per_issue`](Self::max_events_per_issue) does not count. What a hook or a full queue
    ///   drops later is given back to the day and the month in which it began.
    /// - Panics count like other errors, and are dropped like them: a plan is never exceeded.
    /// - Logs, check-ins, sessions and feedback are not limited.
    /// - Each client of each process has its own budget. Ten replicas with 1,000 a day send 10,000.
    /// - The counts begin at zero when the process starts, unless there is a
    ///   [`budget_file`](Self::budget_file).
    ///
    /// Call it once for each kind; a later call replaces an earlier one of its kind. Defaults to no
    /// limits.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if a soft mark is not above 0.0 and at most 1.0.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::sampling::Budget;
    ///
    /// let config = Config::builder()
    ///     .budget(Budget::errors().per_second(50).per_day(5_000).per_month(100_000))
    ///     .budget(Budget::transactions().per_month(1_000_000).soft_mark(0.5))
    ///     .build()?;
    /// # Ok::<(), tower_sentry::Error>(())
    /// ```
    pub fn budget(self, budget: Budget) -> Self {
        self.set("budget", |settings| settings.delivery.budgets.set(budget))
    }

    /// Keeps the counts of [budgets](Self::budget) in this file, so that they go on after a restart.
    ///
    /// - It is read once, when the client starts. It is written on the exporter's thread, at most once in
    ///   ten seconds and at the shutdown. A process that is killed loses the counts of up to ten seconds.
    /// - Each write replaces the whole file, so a process that dies leaves no half of it. A damaged file
    ///   is ignored with a warning. A file of another kind is also left as it is.
    /// - Each client needs its own file. If two share one, the last one to write it wins.
    /// - The start waits at most a second for the file. If its disk hangs for longer, the counts begin at zero,
    ///   and what the file says is added once it is read.
    ///
    /// Folders that are missing are made. Defaults to none: the counts begin at zero.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails if something other than a regular file has this path.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_sentry::Config;
    /// use tower_sentry::sampling::Budget;
    ///
    /// let sentry = Config::builder()
    ///     .from_env()
    ///     .budget(Budget::errors().per_month(5_000))
    ///     .budget_file("/var/lib/shop/budgets.json")
    ///     .init()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn budget_file(self, path: impl Into<PathBuf>) -> Self {
        self.set("budget_file", |settings| settings.delivery.budgets.file = Some(path.into()))
    }

    /// Sets a hook that runs when a [budget](Self::budget) reaches a mark.
    ///
    /// It runs on the exporter's thread, after the warning. What it captures itself is dropped. Nothing
    /// else is sent while it runs, so it must not block for long.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_sentry::Config;
    /// use tower_sentry::sampling::{Budget, BudgetLevel};
    ///
    /// let config = Config::builder().budget(Budget::errors().per_day(1_000)).on_budget(|mark| {
    ///     if mark.level == BudgetLevel::Hard {
    ///         eprintln!("errors are dropped until {:?}: {mark}", mark.resets_at);
    ///     }
    /// });
    /// ```
    pub fn on_budget(self, hook: impl Fn(BudgetMark) + Send + Sync + 'static) -> Self {
        self.set("on_budget", |settings| settings.hooks.on_budget = Some(Arc::new(hook)))
    }
}
