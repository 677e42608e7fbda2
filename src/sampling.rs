//! The sampling decision, and the budgets that limit what other services or failures can add.
//!
//! A [`traces_sampler`](crate::ConfigBuilder::traces_sampler) sees a [`SamplerContext`] and returns a
//! [`Rate`]. [`LiveSettings`] may change while the process runs, and a [`Budget`] limits what is sent in a
//! second, a day or a month. The guide's page on [sampling](crate::guide::sampling) says which setting decides.
// Everything here is a pure function of its inputs; callers pass clocks and random numbers.

use std::sync::Arc;

mod budget;
mod live;
mod meter;
pub(crate) mod route_options;
pub(crate) mod route_table;
mod routes;
mod sampler;
mod slow;
mod target;

pub use budget::{Budget, BudgetKind, BudgetLevel, BudgetMark, BudgetPeriod};
pub use live::LiveSettings;
pub(crate) use live::rate_fault;
pub(crate) use meter::{BudgetNews, Meter, PeriodCount};
pub(crate) use route_table::RouteTable;
pub(crate) use routes::Routes;
pub use sampler::{Rate, SamplerContext};
pub(crate) use sampler::{SampledWork, TracesSampler};
pub(crate) use slow::Medians;
pub use slow::Slow;
pub(crate) use target::TargetSampler;
pub use target::TracesTarget;

use crate::protocol::TraceId;
use crate::status_codes::StatusCodes;

/// How far the sampling decision of an incoming trace is followed.
///
/// The request stays linked to the trace, unless it is of another organisation. Any client can write the headers of a trace.
/// With a header on each request, it could make a service that samples one request in a hundred send
/// a hundred times as much. So the decisions of callers count without a limit only with
/// [`Always`](Self::Always).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustParent {
    /// Follow the parent's decision, without a limit: only services that you trust can call.
    Always,
    /// Use only your own rate.
    Never,
    /// Follow the parent's decision within the budget, if its organisation is the same as the DSN's.
    ///
    /// This keeps the traces of other companies apart. It does not prove who the caller is: the
    /// organisation is part of each DSN, even of one in a web page.
    SameOrganization,
    /// Follow the parent's decision within a budget: callers add at most
    /// [`parent_budget`](crate::ConfigBuilder::parent_budget) to your own rate.
    #[default]
    WithinBudget,
}

/// The settings of sampling that are fixed once the process runs. The others are in [`LiveSettings`].
#[derive(Clone, Debug)]
pub(crate) struct Sampling {
    /// Chooses the rate of each request or job.
    pub(crate) traces_sampler: Option<TracesSampler>,
    /// Chooses the rates of routes so that a number of transactions is sent.
    pub(crate) traces_target: Option<TracesTarget>,
    /// Whether failed requests are sent even if they were not sampled.
    pub(crate) keep_failed: bool,
    /// Which requests are sent because they were slow.
    pub(crate) keep_slow: Slow,
    /// Whether the rate is halved while the delivery is behind.
    pub(crate) backpressure: bool,
    pub(crate) trust_parent: TrustParent,
    /// Transactions of responses with these statuses are not sent.
    pub(crate) ignored_statuses: Option<Arc<StatusCodes>>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            traces_sampler: None,
            traces_target: None,
            keep_failed: true,
            keep_slow: Slow::default(),
            backpressure: true,
            trust_parent: TrustParent::default(),
            ignored_statuses: None,
        }
    }
}

/// Why a transaction is sent although it was not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Chosen,
    Failed,
    Slow,
}

impl Kept {
    /// The value of the attribute `tower_sentry.kept`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Failed => "failed",
            Self::Slow => "slow",
        }
    }
}

/// The inputs of a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SamplingContext {
    /// The rate of the route, or of the user's function, if there is one.
    pub(crate) route_rate: Option<f64>,
    /// The rate if there is no decision of a parent.
    pub(crate) rate: f64,
    /// The parent's decision, if there is one and it is trusted.
    pub(crate) parent: Option<bool>,
    /// Whether an untrusted caller may have chosen the trace's id, flag and number.
    pub(crate) is_limited: bool,
    /// In millionths, the same in all services of the trace.
    pub(crate) sample_rand: u32,
    /// How often the rate is halved, because the delivery is behind.
    pub(crate) halvings: u8,
}

/// The result of a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    pub(crate) rate: f64,
    /// The rate is zero, so the transaction is not kept later either.
    pub(crate) is_final: bool,
    /// How often the rate was halved, because the delivery is behind.
    pub(crate) halvings: u8,
    /// It is not sampled only because the rate was halved.
    pub(crate) is_thinned: bool,
}

impl Decision {
    /// Nothing is sent, whatever happens.
    pub(crate) const NEVER: Self = Self { sampled: false, rate: 0.0, is_final: true, halvings: 0, is_thinned: false };

    /// Whether the delivery is behind. Only sampled transactions are recorded then.
    pub(crate) const fn is_pressed(self) -> bool {
        self.halvings > 0
    }
}

/// Decides when the transaction begins. The first of these counts: the rate of the route or of the user's
/// function, the parent's decision, the client's rate.
///
/// If the caller is limited, `grant` must grant a "yes". It is called with the rate for a "no" too,
/// unless the rate is zero. A header with a chosen flag, number or trace id must not add more than
/// the budget to your own rate.
pub(crate) fn decide(context: SamplingContext, grant: impl FnOnce(f64, bool) -> bool) -> Decision {
    let rate = context.route_rate.unwrap_or(context.rate);
    // A deliberate deviation: in Sentry's specification, a parent's "yes" counts even at rate 0.
    let is_final = rate <= 0.0;
    let parent = context.parent.filter(|_| context.route_rate.is_none());
    let share = (-f64::from(context.halvings)).exp2();
    let is_chosen = parent.unwrap_or_else(|| f64::from(context.sample_rand) < rate * 1e6);
    let is_thinned = is_chosen && f64::from(context.sample_rand) >= parent.map_or(rate, |_| 1.0) * share * 1e6;
    let wanted = is_chosen && !is_thinned;
    let sampled = match (is_final, context.is_limited) {
        (true, _) => false,
        (false, true) => grant(rate, wanted),
        (false, false) => wanted,
    };
    Decision { sampled, rate: rate * share, is_final, halvings: context.halvings, is_thinned: is_thinned && !is_final }
}

/// Returns the number that all services of a trace compare with their rate.
///
/// It is in millionths and truncated, so it is always below one.
pub(crate) fn sample_rand(trace_id: TraceId) -> u32 {
    rand_of(trace_id.to_u128())
}

/// Returns a number below a million that is always the same for an id.
pub(crate) fn rand_of(id: u128) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of 128 bits")]
    let mut mixed = (id >> 64) as u64 ^ id as u64;
    // The finaliser of SplitMix64, because trace ids of other services may be times or counters.
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    u32::try_from((u128::from(mixed) * 1_000_000) >> 64).unwrap_or_default()
}

/// Parses `sample_rand` of incoming baggage: a decimal in `[0, 1)`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in the range")]
pub(crate) fn parse_sample_rand(text: &str) -> Option<u32> {
    let rand: f64 = text.parse().ok()?;
    // The addend corrects binary fractions: the `f64` for 0.3 is slightly below 0.3.
    (0.0..1.0).contains(&rand).then(|| ((rand * 1e6 + 1e-4) as u32).min(999_999))
}

/// Whether a trace of another service is continued.
///
/// It is not if both organisations are known and differ (Sentry's rule for public services).
pub(crate) fn continues(incoming: Option<&str>, own: Option<&str>) -> bool {
    !matches!((incoming, own), (Some(incoming), Some(own)) if incoming != own)
}

/// A token bucket: it refills by `per_second`, and holds at most `burst`.
///
/// Infinity means no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokenBucket {
    per_second: f64,
    burst: f64,
    left: f64,
    /// In nanoseconds.
    at: u64,
}

impl TokenBucket {
    /// Grants ten seconds' worth at once.
    pub(crate) fn new(per_second: f64) -> Self {
        Self::with_burst(per_second, 0.0)
    }

    /// Grants ten seconds' worth at once, and at least `burst`.
    pub(crate) fn with_burst(per_second: f64, burst: f64) -> Self {
        // Less than one would grant nothing, ever.
        let burst = (per_second * 10.0).ceil().max(burst);
        Self { per_second, burst, left: burst, at: 0 }
    }

    /// Changes the budget. The amount that was spent stays spent.
    pub(crate) fn change(&mut self, per_second: f64, burst: f64) {
        let new = Self::with_burst(per_second, burst);
        let spent = if self.left < self.burst { self.burst - self.left } else { 0.0 };
        *self = Self { left: (new.left - spent).max(0.0), at: self.at, ..new };
    }

    /// Adds a share to the budget, up to the burst.
    pub(crate) fn earn(&mut self, share: f64) {
        self.left = (self.left + share).min(self.burst);
    }

    /// Whether at least one is left.
    ///
    /// `now` is in nanoseconds; an earlier time than before adds nothing.
    #[expect(clippy::cast_precision_loss, reason = "an error of a nanosecond in a month")]
    pub(crate) fn has_one(&mut self, now: u64) -> bool {
        let seconds = now.saturating_sub(self.at) as f64 / 1e9;
        self.at = self.at.max(now);
        self.left = (self.left + seconds * self.per_second).min(self.burst);
        self.left >= 1.0
    }

    /// Spends one and returns `true`, if at least one is left.
    pub(crate) fn spend(&mut self, now: u64) -> bool {
        let granted = self.has_one(now);
        if granted {
            self.left -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests;
