//! A target of transactions a second: a rate for each route that follows its traffic.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::SampledWork;
use crate::fnv;

/// The number of transactions that a process sends, whatever its traffic is, for
/// [`traces_target`](crate::ConfigBuilder::traces_target).
///
/// # Examples
///
/// ```
/// use tower_sentry::Config;
/// use tower_sentry::sampling::TracesTarget;
///
/// let config = Config::builder().traces_target(TracesTarget::per_second(5.0)).build()?;
/// // A quota of 12 million a month for four processes.
/// let config = Config::builder().traces_target(TracesTarget::per_month(3_000_000)).build()?;
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracesTarget {
    per_second: f64,
}

impl TracesTarget {
    /// Sends this many transactions a second on average. It must be more than 0.
    pub const fn per_second(transactions: f64) -> Self {
        Self { per_second: transactions }
    }

    /// Sends this many transactions in 31 days, spread evenly. It must be at least 1.
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 transactions")]
    pub const fn per_month(transactions: u64) -> Self {
        Self { per_second: transactions as f64 / (31.0 * 24.0 * 3600.0) }
    }

    pub(crate) fn fault(self) -> Option<String> {
        let is_valid = self.per_second > 0.0 && self.per_second.is_finite();
        (!is_valid).then(|| format!("traces_target: expected more than 0 transactions a second, found {}", self.per_second))
    }
}

/// For the list of settings: `5 a second`.
impl fmt::Display for TracesTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a second", self.per_second)
    }
}

/// The number of routes with their own rate; a power of two. Further routes share the rates.
const ROUTES: usize = 2048;
/// The number of places that are tried for a route.
const TRIES: usize = 32;
/// The rates are computed anew after this time, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// If a route was not sampled for this many seconds, its next request is sampled. This takes at most half of
/// the target, so the time is longer if there are many routes.
const EACH_SECONDS: f64 = 50.0;
/// The weight of the last second in the traffic of a route.
const WEIGHT: f64 = 0.2;
/// A surplus or a deficit of transactions is corrected within about this many seconds.
const REPAY_SECONDS: f64 = 2.0;
/// A deficit beyond this many seconds of the target is forgotten.
const TOO_FEW_SECONDS: f64 = 10.0;
/// A surplus beyond this many seconds of the target is forgotten.
const TOO_MANY_SECONDS: f64 = 60.0;
/// Once this many times the target of a second was sampled within it, all rates fall.
const AHEAD: f64 = 1.5;
/// The rates fall at most to this part. A transaction stands for `1 / rate` requests, and one with a tiny rate
/// would spoil the estimate.
const LEAST: f64 = 0.01;

/// Chooses a rate for each request, so that the target is met and rare routes are seen.
///
/// The number of transactions of a route is proportional to the square root of its traffic: a route with a
/// hundred times the requests gets ten times the transactions. Equal numbers would make estimates of the whole
/// bad, and equal rates would hide rare routes. Once a second, a request computes the level that meets the
/// target, from counts that all requests add to. Nothing locks or allocates.
pub(crate) struct TargetSampler {
    target: TracesTarget,
    routes: Box<[RouteTraffic]>,
    /// When the rates are due, in nanoseconds; 0 before the first request.
    due: AtomicU64,
    /// The bits of the rate of a route with one request a second. Other rates are this one, divided by the
    /// square root of their traffic.
    level: AtomicU64,
    /// The nanoseconds after which a route is sampled because it was not seen.
    each: AtomicU64,
    /// The bits of the number of transactions that all routes together should send in this second.
    aim: AtomicU64,
    /// The number of transactions that were sampled since the level was computed.
    sampled: AtomicU32,
    /// The bits of the deficit: how many more transactions should have been sampled.
    owed: AtomicU64,
}

#[derive(Default)]
struct RouteTraffic {
    /// The hash of its name; 0 is free.
    key: AtomicU64,
    /// The requests of the current second.
    seen: AtomicU32,
    /// The bits of the requests in a second, smoothed.
    a_second: AtomicU64,
    /// When it was sampled last, in nanoseconds.
    sampled_at: AtomicU64,
}

/// A rate, and the place of the route that it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TargetRate {
    pub(crate) rate: f64,
    route: usize,
}

impl TargetSampler {
    pub(crate) fn new(target: TracesTarget) -> Self {
        Self {
            target,
            routes: std::iter::repeat_with(RouteTraffic::default).take(ROUTES).collect(),
            due: AtomicU64::new(0),
            level: AtomicU64::new(target.per_second.sqrt().to_bits()),
            each: AtomicU64::new(nanos(EACH_SECONDS)),
            aim: AtomicU64::new(target.per_second.to_bits()),
            sampled: AtomicU32::new(0),
            owed: AtomicU64::new(0.0_f64.to_bits()),
        }
    }

    /// The rate of a request or job. `now` is in nanoseconds.
    ///
    /// `decides` is false if a caller has decided already. A route that was not seen is then not sampled for
    /// that reason.
    pub(crate) fn rate(&self, work: &SampledWork<'_>, decides: bool, now: u64) -> TargetRate {
        let now = now.max(1);
        self.adapt(now);
        let place = self.place(key(work));
        let Some(route) = self.routes.get(place) else { return TargetRate { rate: 0.0, route: place } };
        let seen = route.seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let last = route.sampled_at.load(Ordering::Relaxed);
        let is_due = decides && (last == 0 || now.saturating_sub(last) >= self.each.load(Ordering::Relaxed)) && self.has_room();
        // If several requests arrive at once, only one of them.
        if is_due && route.sampled_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return TargetRate { rate: 1.0, route: place };
        }
        // A route that gets more traffic than before is thinned at once.
        let traffic = f64::from_bits(route.a_second.load(Ordering::Relaxed)).max(f64::from(seen));
        TargetRate { rate: self.rate_of(traffic), route: place }
    }

    /// Notes the decision that was made with this rate.
    pub(crate) fn note(&self, rate: TargetRate, is_sampled: bool, now: u64) {
        if is_sampled {
            self.sampled.fetch_add(1, Ordering::Relaxed);
            if let Some(route) = self.routes.get(rate.route) {
                route.sampled_at.fetch_max(now, Ordering::Relaxed);
            }
        }
    }

    /// Whether this second has room for a route that was not seen: many routes may be new at once.
    fn has_room(&self) -> bool {
        f64::from(self.sampled.load(Ordering::Relaxed)) < f64::from_bits(self.aim.load(Ordering::Relaxed)) * AHEAD
    }

    /// The rate of a route with this traffic.
    fn rate_of(&self, traffic: f64) -> f64 {
        let [level, aim] = [&self.level, &self.aim].map(|bits| f64::from_bits(bits.load(Ordering::Relaxed)));
        let sampled = f64::from(self.sampled.load(Ordering::Relaxed)).max(1.0);
        // Many routes may get more traffic at once: the higher power stops them together.
        (level / traffic.sqrt()).min(1.0) * (aim * AHEAD / sampled).min(1.0).powi(4).max(LEAST)
    }

    /// Computes the level anew, if a second has passed.
    fn adapt(&self, now: u64) {
        let due = self.due.load(Ordering::Relaxed);
        if now < due || self.due.compare_exchange(due, now + SECOND, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        if due > 0 {
            #[expect(clippy::cast_precision_loss, reason = "an error of a nanosecond in a month")]
            self.adapt_after(1.0 + (now - due) as f64 / 1e9);
        }
    }

    #[cold]
    fn adapt_after(&self, seconds: f64) {
        let mut traffic = [0.0; ROUTES];
        let weight = 1.0 - (1.0 - WEIGHT).powf(seconds);
        for (route, traffic) in self.routes.iter().zip(&mut traffic) {
            if route.key.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let now = f64::from(route.seen.swap(0, Ordering::Relaxed)) / seconds;
            let before = f64::from_bits(route.a_second.load(Ordering::Relaxed));
            *traffic = if before > 0.0 { before + (now - before) * weight } else { now };
            route.a_second.store(traffic.to_bits(), Ordering::Relaxed);
        }
        let target = self.target.per_second;
        let sampled = f64::from(self.sampled.swap(0, Ordering::Relaxed));
        let owed = f64::from_bits(self.owed.load(Ordering::Relaxed)) + target * seconds - sampled;
        let owed = owed.clamp(-target * TOO_MANY_SECONDS - 1.0, target * TOO_FEW_SECONDS + 1.0);
        self.owed.store(owed.to_bits(), Ordering::Relaxed);
        let aim = (target + owed / REPAY_SECONDS).max(target / 10.0);
        self.aim.store(aim.to_bits(), Ordering::Relaxed);
        let seen = traffic.iter().map(|traffic| (traffic * EACH_SECONDS).min(1.0)).sum::<f64>() / EACH_SECONDS;
        self.each.store(nanos(EACH_SECONDS * (seen / (target / 2.0)).max(1.0)), Ordering::Relaxed);
        self.level.store(level_of(&traffic, aim).to_bits(), Ordering::Relaxed);
    }

    /// The place of a route. A new one takes a free place, or shares one.
    fn place(&self, key: u64) -> usize {
        // Similar names have similar hashes; one multiplication spreads them.
        let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - ROUTES.trailing_zeros());
        let first = usize::try_from(spread).unwrap_or_default();
        let places = (0..TRIES).map(|step| (first + step) & (ROUTES - 1));
        for place in places {
            let Some(route) = self.routes.get(place) else { continue };
            let found = match route.key.load(Ordering::Relaxed) {
                0 => route.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|other| other, |_| key),
                found => found,
            };
            if found == key {
                return place;
            }
        }
        first & (ROUTES - 1)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "it ends at the largest number")]
fn nanos(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}

/// Identifies a route by its method and template, a job by its name. Never 0.
fn key(work: &SampledWork<'_>) -> u64 {
    let hash = match work {
        SampledWork::Job { name, .. } => fnv::add(fnv::START, name),
        SampledWork::Request { method, route, .. } => {
            let hash = fnv::add(fnv::START, route.unwrap_or_default());
            // Without a route, a client can make up any method.
            if route.is_some() { fnv::add(hash, method.as_str()) } else { hash }
        }
    };
    hash | 1
}

/// The rate of a route with one request a second, so that all routes send `aim` together.
fn level_of(traffic: &[f64], aim: f64) -> f64 {
    if traffic.iter().sum::<f64>() <= aim {
        // All requests may be sent, even if they all are of one route.
        return aim.sqrt();
    }
    let mut level = 0.0;
    loop {
        // Routes with little traffic send all their transactions.
        let (whole, others) = traffic.iter().fold((0.0, 0.0), |(whole, others), traffic| {
            if traffic.sqrt() <= level { (whole + traffic, others) } else { (whole, others + traffic.sqrt()) }
        });
        let next = (aim - whole) / others;
        if next <= level || others <= 0.0 {
            return level;
        }
        level = next;
    }
}

impl fmt::Debug for TargetSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetSampler").field("target", &self.target).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
