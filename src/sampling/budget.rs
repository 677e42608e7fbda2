//! Limits of the errors and transactions that a process may send in a second, a day and a month.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

const DAY: u64 = 24 * 60 * 60;

/// A limit on the number of errors, or of transactions, that a client sends.
///
/// Pass it to [`ConfigBuilder::budget`](crate::ConfigBuilder::budget), whose docs describe what happens at
/// the limits. A limit that is not set does not apply.
///
/// # Examples
///
/// ```
/// use tower_sentry::Config;
/// use tower_sentry::sampling::Budget;
///
/// // A plan with 5,000 errors a month. A bad day takes at most 1,000 of them.
/// let config = Config::builder()
///     .budget(Budget::errors().per_second(10).per_day(1_000).per_month(5_000))
///     .budget(Budget::transactions().per_month(100_000))
///     .build()?;
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a budget has no effect until `ConfigBuilder::budget` gets it"]
pub struct Budget {
    pub(crate) kind: BudgetKind,
    pub(crate) per_second: Option<u32>,
    per_day: Option<u64>,
    per_month: Option<u64>,
    soft_mark: f64,
    pub(crate) spreads: bool,
}

impl Budget {
    /// A budget of errors, panics and messages.
    pub fn errors() -> Self {
        Self::of(BudgetKind::Errors)
    }

    /// A budget of transactions. The spans of a transaction are not counted.
    pub fn transactions() -> Self {
        Self::of(BudgetKind::Transactions)
    }

    fn of(kind: BudgetKind) -> Self {
        Self { kind, per_second: None, per_day: None, per_month: None, soft_mark: 0.8, spreads: false }
    }

    /// Sets the maximum number of items in a second, which is also the maximum at once.
    ///
    /// This is a token bucket: in any `n` seconds, at most `(n + 1) * count` items are sent. This limit has no
    /// soft mark, and does not call [`on_budget`](crate::ConfigBuilder::on_budget). Defaults to no limit.
    pub fn per_second(mut self, count: u32) -> Self {
        self.per_second = Some(count);
        self
    }

    /// Sets the maximum number of items in a calendar day, in UTC. Defaults to no limit.
    pub fn per_day(mut self, count: u64) -> Self {
        self.per_day = Some(count);
        self
    }

    /// Sets the maximum number of items in a calendar month, in UTC. Defaults to no limit.
    pub fn per_month(mut self, count: u64) -> Self {
        self.per_month = Some(count);
        self
    }

    /// Sets the share of a day's and a month's limit at which a warning is logged.
    ///
    /// It must be above `0.0` and at most `1.0`. Defaults to `0.8`.
    pub fn soft_mark(mut self, share: f64) -> Self {
        self.soft_mark = share;
        self
    }

    /// Sets whether the rest at the soft mark is spread evenly over the rest of the day or month.
    ///
    /// If a month uses up its budget early, some transactions are then still sent at its end. Items above the
    /// even share are dropped and counted. Use it for transactions, not for errors: each error may be the
    /// first of its kind. Defaults to `false`: all items are sent until the limit is reached.
    pub fn spread_rest(mut self, spread: bool) -> Self {
        self.spreads = spread;
        self
    }

    /// What makes the budget invalid.
    pub(crate) fn fault(&self) -> Option<String> {
        let is_valid = self.soft_mark > 0.0 && self.soft_mark <= 1.0;
        (!is_valid).then(|| format!("expected a soft mark above 0.0 and at most 1.0, found '{}'", self.soft_mark))
    }

    /// The limits of the day and of the month, each with the count at its soft mark.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a mark, not a limit")]
    pub(crate) fn limits(&self) -> impl Iterator<Item = (BudgetPeriod, u64, u64)> {
        let limits = [(BudgetPeriod::Day, self.per_day), (BudgetPeriod::Month, self.per_month)];
        let soft_mark = self.soft_mark;
        limits.into_iter().filter_map(move |(period, limit)| Some((period, limit?, (limit? as f64 * soft_mark).ceil() as u64)))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, per_second, per_day, per_month, .. } = self;
        let limits = [(per_second.map(u64::from), "second"), (*per_day, "day"), (*per_month, "month")];
        write!(f, "{kind}: ")?;
        let mut separator = "";
        for (limit, period) in limits.into_iter().filter_map(|(limit, period)| Some((limit?, period))) {
            write!(f, "{separator}{limit} a {period}")?;
            separator = ", ";
        }
        f.write_str(if separator.is_empty() { "no limit" } else { "" })?;
        if self.spreads { write!(f, ", spread from {} % on", self.soft_mark * 100.0) } else { Ok(()) }
    }
}

/// What a [`Budget`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetKind {
    /// Errors, panics and messages.
    Errors,
    /// Transactions.
    Transactions,
}

impl fmt::Display for BudgetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Errors => "errors",
            Self::Transactions => "transactions",
        })
    }
}

/// A calendar period, in UTC. A [`Budget`] starts again from zero when the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A month.
    Month,
}

impl BudgetPeriod {
    /// The period that contains a time, from its first second to the first second of the next one. Times are
    /// in seconds since the epoch.
    pub(super) fn around(self, time: u64) -> Range<u64> {
        match self {
            Self::Day => {
                let start = time - time % DAY;
                start..start + DAY
            }
            Self::Month => {
                let start = first_of_month(time);
                // 31 days after its first second, it is one of the first days of the next month.
                start..first_of_month(start + 31 * DAY)
            }
        }
    }
}

impl fmt::Display for BudgetPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

/// The first second of the month that contains a time. A time after the year 9999 is its own month.
fn first_of_month(time: u64) -> u64 {
    let first = || {
        let mut text = String::new();
        fmt::Write::write_fmt(&mut text, format_args!("{}", humantime::format_rfc3339_seconds(at(time)?))).ok()?;
        let first = humantime::parse_rfc3339(&format!("{}-01T00:00:00Z", text.get(..7)?)).ok()?;
        Some(first.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
    };
    first().unwrap_or(time)
}

fn at(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// How far a [`Budget`] is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetLevel {
    /// The budget is used up, and the first item was dropped.
    Hard,
    /// The [soft mark](Budget::soft_mark) is reached.
    Soft,
}

/// A [`Budget`] has reached a mark, as an [`on_budget`](crate::ConfigBuilder::on_budget) hook sees it.
///
/// `Display` writes the warning that is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetMark {
    /// What the budget counts.
    pub kind: BudgetKind,
    /// The period of the limit.
    pub period: BudgetPeriod,
    /// Which mark was reached.
    pub level: BudgetLevel,
    /// The number of items that count in this period.
    pub used: u64,
    /// The number of items that may be sent in this period.
    pub limit: u64,
    /// When the next period begins.
    pub resets_at: SystemTime,
}

impl BudgetMark {
    pub(super) fn new(kind: BudgetKind, period: BudgetPeriod, level: BudgetLevel, used: u64, limit: u64, end: u64) -> Self {
        Self { kind, period, level, used, limit, resets_at: at(end).unwrap_or(SystemTime::UNIX_EPOCH) }
    }
}

impl fmt::Display for BudgetMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, period, level, used, limit, .. } = self;
        let until = humantime::format_rfc3339_seconds(self.resets_at);
        match level {
            BudgetLevel::Hard => {
                write!(f, "the budget of {limit} {kind} a {period} is used up; further ones are dropped and counted until {until}")
            }
            BudgetLevel::Soft => {
                let percent = (u128::from(*used) * 100).checked_div(u128::from(*limit)).unwrap_or(100);
                write!(f, "{percent} % of the budget of {limit} {kind} a {period} are used; it is whole again at {until}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> u64 {
        humantime::parse_rfc3339(text).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        let rows = [
            (BudgetPeriod::Day, "2026-01-05T13:14:15Z", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"),
            (BudgetPeriod::Day, "2026-01-05T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"),
            (BudgetPeriod::Month, "2026-01-05T13:14:15Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            (BudgetPeriod::Month, "2026-01-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            (BudgetPeriod::Month, "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (BudgetPeriod::Month, "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            (BudgetPeriod::Month, "2026-12-31T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (BudgetPeriod::Month, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z"),
        ];

        for (period, time, start, end) in rows {
            assert_eq!(period.around(seconds(time)), seconds(start)..seconds(end), "{period} {time}");
        }
        // A clock that is wrong must not end the process.
        assert!(BudgetPeriod::Month.around(1 << 40).contains(&(1 << 40)));
    }

    #[test]
    fn a_budget_says_what_it_limits() {
        let rows = [
            (Budget::errors(), "errors: no limit"),
            (Budget::errors().per_month(5_000), "errors: 5000 a month"),
            (Budget::transactions().per_second(50).per_day(7).per_month(9), "transactions: 50 a second, 7 a day, 9 a month"),
            (Budget::transactions().per_month(9).spread_rest(true), "transactions: 9 a month, spread from 80 % on"),
        ];

        for (budget, text) in rows {
            assert_eq!(budget.to_string(), text);
        }
    }

    #[test]
    fn a_mark_is_a_sentence() {
        let end = seconds("2026-02-01T00:00:00Z");
        let mark = |level, used| BudgetMark::new(BudgetKind::Errors, BudgetPeriod::Month, level, used, 5_000, end).to_string();

        assert_eq!(
            mark(BudgetLevel::Soft, 4_000),
            "80 % of the budget of 5000 errors a month are used; it is whole again at 2026-02-01T00:00:00Z"
        );
        assert_eq!(
            mark(BudgetLevel::Hard, 5_000),
            "the budget of 5000 errors a month is used up; further ones are dropped and counted until 2026-02-01T00:00:00Z"
        );
    }
}
