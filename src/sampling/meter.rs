//! Counts the items of a budget.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::TokenBucket;
use super::budget::{Budget, BudgetKind, BudgetLevel, BudgetMark, BudgetPeriod};

/// If the clock goes back by at most this many seconds, the period stays. Otherwise a correction at midnight
/// would return to the day before.
const BACK: u64 = 60 * 60;

/// The number of items that were sent in a period, as it is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeriodCount {
    pub(crate) period: BudgetPeriod,
    /// When the period began, in seconds since the epoch.
    pub(crate) start: u64,
    pub(crate) used: u64,
}

/// The counts of one budget. The default one limits nothing.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    second: Option<TokenBucket>,
    tallies: Vec<Tally>,
    refused: u64,
    refused_in_second: u64,
    marks: Vec<BudgetMark>,
}

/// What a meter reports: the marks since the last report, and its counts.
#[derive(Debug)]
pub(crate) struct BudgetNews {
    pub(crate) marks: Vec<BudgetMark>,
    /// The number of items that the limit per second has refused since the start.
    pub(crate) refused_in_second: u64,
}

impl Meter {
    pub(crate) fn new(budget: &Budget) -> Self {
        // The bucket holds nearly one more than it grants at once. Otherwise it would lose a fraction of the
        // next token whenever it is full.
        let bucket = |count| TokenBucket { per_second: count, burst: count + 0.999, left: count, at: 0 };
        let second = budget.per_second.map(f64::from).map(bucket);
        let tally = |(period, limit, soft)| Tally {
            kind: budget.kind,
            period,
            limit,
            soft,
            span: 0..0,
            used: 0,
            is_soft_said: false,
            is_hard_said: false,
            spreads: budget.spreads,
            spread_from: None,
        };
        Self { second, tallies: budget.limits().map(tally).collect(), ..Self::default() }
    }

    /// Spends one item, if all limits allow it. `time` is in seconds since the epoch, `nanos` is monotonic.
    pub(crate) fn spend(&mut self, time: u64, nanos: u64) -> bool {
        let Self { second, tallies, marks, .. } = self;
        let mut is_allowed = true;
        for tally in &mut *tallies {
            tally.roll(time);
            if tally.used >= tally.limit {
                marks.extend(tally.refuse());
                is_allowed = false;
            }
            is_allowed &= tally.used < tally.share(time);
        }
        if is_allowed && second.as_mut().is_some_and(|second| !second.spend(nanos)) {
            self.refused_in_second += 1;
            is_allowed = false;
        }
        if is_allowed {
            marks.extend(tallies.iter_mut().filter_map(|tally| tally.take(time)));
        } else {
            self.refused += 1;
        }
        is_allowed
    }

    /// Gives back an item that is not sent. Only a period in which it began gets it back: another one may
    /// not have counted it.
    pub(crate) fn give_back(&mut self, began: u64) {
        for tally in self.tallies.iter_mut().filter(|tally| tally.span.contains(&began)) {
            tally.used = tally.used.saturating_sub(1);
        }
    }

    /// The number of items that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether marks were reached that nothing has taken yet.
    pub(crate) fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Takes the marks, and returns them with the counts.
    pub(crate) fn take_news(&mut self) -> BudgetNews {
        BudgetNews { marks: std::mem::take(&mut self.marks), refused_in_second: self.refused_in_second }
    }

    /// The counts, for the budget file.
    pub(crate) fn counts(&self) -> Vec<PeriodCount> {
        self.tallies.iter().map(|tally| PeriodCount { period: tally.period, start: tally.span.start, used: tally.used }).collect()
    }

    /// Adds the counts of the budget file whose periods are not over.
    pub(crate) fn resume(&mut self, counts: &[PeriodCount], time: u64) {
        for tally in &mut self.tallies {
            tally.roll(time);
            // A count of a later period comes from a wrong clock. It counts, so that the limit holds.
            let kept = counts.iter().find(|count| count.period == tally.period && count.start >= tally.span.start);
            tally.used = tally.used.saturating_add(kept.map_or(0, |kept| kept.used));
            tally.is_soft_said = tally.used >= tally.soft;
            tally.spread_from = Some((time, tally.used)).filter(|_| tally.spreads && tally.is_soft_said);
        }
    }
}

/// The count of a period.
#[derive(Debug)]
struct Tally {
    kind: BudgetKind,
    period: BudgetPeriod,
    limit: u64,
    soft: u64,
    /// From its start to its end, in seconds since the epoch.
    span: Range<u64>,
    used: u64,
    is_soft_said: bool,
    is_hard_said: bool,
    spreads: bool,
    /// When the rest began to be spread, and the number of items used by then.
    spread_from: Option<(u64, u64)>,
}

impl Tally {
    /// Begins the period of this time.
    fn roll(&mut self, time: u64) {
        if time >= self.span.end {
            (self.used, self.is_soft_said, self.is_hard_said, self.spread_from) = (0, false, false, None);
        } else if time.saturating_add(BACK) >= self.span.start {
            return;
        }
        // The count stays even if the clock goes far back.
        self.span = self.period.around(time);
        self.spread_from = self.spread_from.map(|_| (time, self.used));
    }

    /// The number of items that may be used until this time.
    fn share(&self, time: u64) -> u64 {
        let Some((from, used)) = self.spread_from else { return self.limit };
        let rest = u128::from(self.span.end.saturating_sub(from)).max(1);
        let passed = u128::from((time + 1).saturating_sub(from)).min(rest);
        let left = u128::from(self.limit.saturating_sub(used));
        used.saturating_add(u64::try_from(left * passed / rest).unwrap_or(u64::MAX))
    }

    fn take(&mut self, time: u64) -> Option<BudgetMark> {
        self.used += 1;
        let is_reached = self.used >= self.soft && !self.is_soft_said;
        self.is_soft_said |= is_reached;
        if is_reached && self.spreads {
            self.spread_from = Some((time, self.used));
        }
        is_reached.then(|| self.mark(BudgetLevel::Soft))
    }

    fn refuse(&mut self) -> Option<BudgetMark> {
        let is_first = !self.is_hard_said;
        self.is_hard_said = true;
        is_first.then(|| self.mark(BudgetLevel::Hard))
    }

    fn mark(&self, level: BudgetLevel) -> BudgetMark {
        BudgetMark::new(self.kind, self.period, level, self.used, self.limit, self.span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 60 * 60;
    const DAY: u64 = 24 * HOUR;
    /// The first of January 2026.
    const START: u64 = 1_767_225_600;

    fn meter(budget: &Budget) -> Meter {
        assert_eq!(budget.fault(), None);
        Meter::new(budget)
    }

    /// How many of `count` are allowed at a time.
    fn allowed(meter: &mut Meter, count: u64, time: u64) -> u64 {
        (0..count).filter(|_| meter.spend(time, 0)).count() as u64
    }

    fn marks(meter: &mut Meter) -> Vec<(BudgetPeriod, BudgetLevel, u64)> {
        meter.take_news().marks.into_iter().map(|mark| (mark.period, mark.level, mark.used)).collect()
    }

    #[test]
    fn a_second_has_its_limit_to_one_percent() {
        for (limit, demand) in [(1, 7), (50, 1_000), (333, 334), (1_000, 10_000)] {
            let mut meter = meter(&Budget::errors().per_second(limit));

            // At even distances, for 200 seconds.
            let sent = (0..200 * demand).filter(|step| meter.spend(START, step * SECOND / demand)).count() as u64;

            let expected = u64::from(limit) * 200;
            assert!(sent.abs_diff(expected) * 100 <= expected, "{limit} {demand}: {sent} of {expected}");
            assert_eq!((meter.refused(), meter.take_news().refused_in_second), (200 * demand - sent, 200 * demand - sent));
        }
    }

    #[test]
    fn at_once_there_is_a_second_s_worth_and_less_demand_is_not_limited() {
        let mut meter = meter(&Budget::errors().per_second(50));

        assert_eq!(allowed(&mut meter, 80, START), 50);
        assert!((1..1_000).all(|step| meter.spend(START, step * SECOND / 50)), "each second grants what it earns");
        assert!(!meter.spend(START, 999 * SECOND / 50));
        assert_eq!(allowed(&mut Meter::new(&Budget::errors().per_second(0)), 9, START), 0);
    }

    #[test]
    fn a_plan_is_never_exceeded_in_thirty_days_and_its_marks_are_reached_once() {
        let mut meter = meter(&Budget::errors().per_day(300).per_month(5_000));
        let mut sent = Vec::new();

        for day in 0..30 {
            sent.push((0..24).map(|hour| allowed(&mut meter, 20, START + day * DAY + hour * HOUR)).sum::<u64>());
        }

        assert_eq!((sent.iter().sum::<u64>(), &sent[..18]), (5_000, &[[300; 16].as_slice(), &[200, 0]].concat()[..]));
        assert_eq!(meter.refused(), 30 * 480 - 5_000);
        let seen = marks(&mut meter);
        let of = |mark| seen.iter().filter(|seen| **seen == mark).count();
        assert_eq!(of((BudgetPeriod::Day, BudgetLevel::Soft, 240)), 16);
        assert_eq!(of((BudgetPeriod::Day, BudgetLevel::Hard, 300)), 16);
        assert_eq!(of((BudgetPeriod::Month, BudgetLevel::Soft, 4_000)), 1);
        assert_eq!(of((BudgetPeriod::Month, BudgetLevel::Hard, 5_000)), 1);
        assert_eq!(seen.len(), 34);
        assert_eq!(allowed(&mut meter, 400, START + 31 * DAY), 300, "the next month");
    }

    #[test]
    fn a_full_day_takes_nothing_from_the_month_and_from_the_second() {
        let mut meter = meter(&Budget::errors().per_second(3).per_day(2).per_month(10));

        assert_eq!(allowed(&mut meter, 100, START), 2);

        assert_eq!(meter.counts().iter().map(|count| count.used).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(meter.take_news().refused_in_second, 0);
        assert_eq!(allowed(&mut meter, 100, START + DAY), 1, "of the second, one is left");
    }

    #[test]
    fn a_restart_goes_on_in_the_same_period_only() {
        let budget = Budget::errors().per_day(100).per_month(1_000);
        let mut before = meter(&budget);
        allowed(&mut before, 90, START + HOUR);
        let kept = before.counts();

        let resumed = |time| {
            let mut after = meter(&budget);
            after.resume(&kept, time);
            let sent = allowed(&mut after, 200, time);
            (sent, marks(&mut after).len(), after.counts().iter().map(|count| count.used).collect::<Vec<_>>())
        };

        // The mark at 80 was said before.
        assert_eq!(resumed(START + 2 * HOUR), (10, 1, vec![100, 100]));
        assert_eq!(resumed(START + DAY), (100, 2, vec![100, 190]));
        assert_eq!(resumed(START + 31 * DAY), (100, 2, vec![100, 100]));
        assert_eq!(resumed(START - 7 * DAY), (10, 1, vec![100, 100]), "its clock was wrong: that must not send more");
    }

    #[test]
    fn what_is_left_at_the_soft_mark_lasts_until_the_end_of_the_month() {
        let budget = Budget::transactions().per_month(10_000).spread_rest(true);
        let mut meter = meter(&budget);
        let mut sent = Vec::new();

        // 1,440 a day, one a minute. There is a restart at the end of each day.
        for day in 0..31 {
            sent.push((0..1_440).map(|minute| allowed(&mut meter, 1, START + day * DAY + minute * 60)).sum::<u64>());
            let kept = meter.counts();
            meter = Meter::new(&budget);
            meter.resume(&kept, START + (day + 1) * DAY - 1);
        }

        assert_eq!(sent[..5], [1_440; 5]);
        // 8,000 are used in the sixth day. The rest lasts for 25.4 days.
        assert!(sent[6..].iter().all(|count| (75..=82).contains(count)), "{sent:?}");
        let total = sent.iter().sum::<u64>();
        assert!((9_900..=10_000).contains(&total), "{total}");
        assert_eq!(allowed(&mut meter, 100, START + 31 * DAY), 100, "the next month");
    }

    #[test]
    fn a_clock_that_goes_back_does_not_open_a_day_again() {
        let mut meter = meter(&Budget::errors().per_day(10));

        assert_eq!(allowed(&mut meter, 20, START - 1), 10);
        assert_eq!(allowed(&mut meter, 3, START), 3);
        assert_eq!(allowed(&mut meter, 3, START - 1), 3, "of the new day");
        assert_eq!(allowed(&mut meter, 2, START + 1), 2, "and it counts there");
        assert_eq!(meter.counts()[0].used, 8);
        assert_eq!(allowed(&mut meter, 9, START - 2 * DAY), 2, "far back, the count stays");
        assert_eq!(allowed(&mut meter, 20, START - DAY), 10, "and ends with the day there");
    }

    #[test]
    fn what_is_not_sent_is_given_back_if_it_is_of_this_period() {
        let mut meter = meter(&Budget::errors().per_day(10));
        meter.give_back(START);
        allowed(&mut meter, 20, START);

        (0..4).for_each(|_| meter.give_back(START));
        meter.give_back(START - 1);

        assert_eq!(allowed(&mut meter, 20, START + HOUR), 4);
        assert_eq!(marks(&mut meter).len(), 2, "marks are not reached again");
        meter.give_back(START);
        assert_eq!((allowed(&mut meter, 5, START + DAY), allowed(&mut meter, 20, START + DAY)), (5, 5));
        meter.give_back(START + HOUR);
        assert_eq!(allowed(&mut meter, 1, START + DAY), 0, "one of yesterday");
    }
}
