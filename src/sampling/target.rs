//! A target of transactions a second: a rate for each route that follows its traffic.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::SampledWork;
use crate::fnv;

/// How many transactions a process sends, whatever its traffic, for
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
    /// So many transactions a second, on the average. More than 0.
    pub const fn per_second(transactions: f64) -> Self {
        Self { per_second: transactions }
    }

    /// So many transactions in a month of 31 days, evenly. At least 1.
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

/// The number of routes with a rate of their own; a power of two. Beyond it, several share one.
const ROUTES: usize = 2048;
/// So many places are tried for a route.
const TRIES: usize = 32;
/// In nanoseconds: the rates are computed anew after this time.
const SECOND: u64 = 1_000_000_000;
/// In nanoseconds: a route that was not sampled for so long is sampled by its next request.
const EACH: u64 = 50 * SECOND;
/// The weight of the last second in the traffic of a route.
const WEIGHT: f64 = 0.2;
/// If too few or too many were sampled, this is made up within about so many seconds.
const REPAY_SECONDS: f64 = 2.0;
/// Beyond so many seconds' worth, it is forgotten.
const TOO_FEW_SECONDS: f64 = 10.0;
const TOO_MANY_SECONDS: f64 = 60.0;
/// Within a second, all rates fall once so many times its share was sampled.
const AHEAD: f64 = 1.5;

/// Chooses a rate for each request, so that the target is met and rare routes are seen.
///
/// A route gets as many transactions as the square root of its traffic says: of two routes, the one with a
/// hundred times the requests gets ten times the transactions. Equal numbers would make estimates of the whole
/// bad, and equal rates would hide rare routes. The level that meets the target is computed once a second by a
/// request, from counts that all requests add to. Nothing locks or allocates.
pub(crate) struct TargetSampler {
    target: TracesTarget,
    routes: Box<[RouteTraffic]>,
    /// When the rates are due, in nanoseconds; 0 before the first request.
    due: AtomicU64,
    /// The bits of the rate of a route with one request a second. That of others is less by the root of their traffic.
    level: AtomicU64,
    /// The bits of the number that all may send in this second.
    aim: AtomicU64,
    /// How many were sampled since the level was computed.
    sampled: AtomicU32,
    /// The bits of how many more should have been sampled so far.
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
            aim: AtomicU64::new(target.per_second.to_bits()),
            sampled: AtomicU32::new(0),
            owed: AtomicU64::new(0.0_f64.to_bits()),
        }
    }

    /// The rate of a request or job. `now` is in nanoseconds.
    ///
    /// `decides` is false if a caller has decided already: then its route is not sampled for its own sake.
    pub(crate) fn rate(&self, work: &SampledWork<'_>, decides: bool, now: u64) -> TargetRate {
        let now = now.max(1);
        self.adapt(now);
        let place = self.place(key(work));
        let Some(route) = self.routes.get(place) else { return TargetRate { rate: 0.0, route: place } };
        let seen = route.seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let last = route.sampled_at.load(Ordering::Relaxed);
        let is_due = decides && (last == 0 || now.saturating_sub(last) >= EACH);
        // Only one of several requests at once.
        if is_due && route.sampled_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return TargetRate { rate: 1.0, route: place };
        }
        // A route that gets more traffic than before is thinned at once.
        let traffic = f64::from_bits(route.a_second.load(Ordering::Relaxed)).max(f64::from(seen));
        TargetRate { rate: self.rate_of(traffic), route: place }
    }

    /// Notes what was decided by this rate.
    pub(crate) fn note(&self, rate: TargetRate, is_sampled: bool, now: u64) {
        if is_sampled {
            self.sampled.fetch_add(1, Ordering::Relaxed);
            if let Some(route) = self.routes.get(rate.route) {
                route.sampled_at.fetch_max(now, Ordering::Relaxed);
            }
        }
    }

    /// The rate of a route with this traffic.
    fn rate_of(&self, traffic: f64) -> f64 {
        let [level, aim] = [&self.level, &self.aim].map(|bits| f64::from_bits(bits.load(Ordering::Relaxed)));
        let sampled = f64::from(self.sampled.load(Ordering::Relaxed)).max(1.0);
        // Many routes may get more traffic at once: the higher power stops them together.
        (level / traffic.sqrt()).min(1.0) * (aim * AHEAD / sampled).min(1.0).powi(4)
    }

    /// Computes the level anew, if it is time.
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
        self.level.store(level_of(&traffic, aim).to_bits(), Ordering::Relaxed);
    }

    /// The place of a route. A new one takes a free place, or shares one.
    fn place(&self, key: u64) -> usize {
        // Names alike have hashes alike; one multiplication spreads them.
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
        // All may be sent, and one may have it all.
        return aim.sqrt();
    }
    let mut level = 0.0;
    loop {
        // Of routes with little traffic, all are sent.
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
mod tests {
    use super::*;

    fn job(name: &str) -> SampledWork<'_> {
        SampledWork::Job { name, op: "task" }
    }

    /// What is sent of some routes.
    struct Sent {
        total: u32,
        /// The longest time without a transaction of each route, in seconds.
        gaps: Vec<u64>,
        /// The number of transactions of each route.
        sampled: Vec<u32>,
        /// The number of requests of each route, and its estimate.
        counts: Vec<(u32, f64)>,
    }

    /// Serves this many requests a second for each route.
    fn served(target: f64, seconds: u64, a_second: impl Fn(usize, u64) -> f64, routes: usize) -> Sent {
        let sampler = TargetSampler::new(TracesTarget::per_second(target));
        let mut random = fastrand::Rng::with_seed(7);
        let names: Vec<_> = (0..routes).map(|route| format!("route {route}")).collect();
        let mut sent = Sent { total: 0, gaps: vec![0; routes], sampled: vec![0; routes], counts: vec![(0, 0.0); routes] };
        let mut last = vec![0; routes];
        for tick in 0..seconds * 10 {
            let now = tick * SECOND / 10 + 1;
            for (route, name) in names.iter().enumerate() {
                let wanted = a_second(route, tick / 10) / 10.0;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
                let requests = wanted as u32 + u32::from(random.f64() < wanted.fract());
                for _ in 0..requests {
                    let rate = sampler.rate(&job(name), true, now);
                    let is_sampled = random.f64() < rate.rate;
                    sampler.note(rate, is_sampled, now);
                    sent.counts[route].0 += 1;
                    if is_sampled {
                        sent.total += 1;
                        sent.sampled[route] += 1;
                        sent.counts[route].1 += 1.0 / rate.rate;
                        sent.gaps[route] = sent.gaps[route].max(tick / 10 - last[route]);
                        last[route] = tick / 10;
                    }
                }
            }
        }
        sent.gaps.iter_mut().zip(&last).for_each(|(gap, last)| *gap = (*gap).max(seconds - 1 - last));
        sent
    }

    fn zipf(route: usize, _: u64) -> f64 {
        1336.0 / f64::from(u32::try_from(route + 1).unwrap())
    }

    #[test]
    fn the_target_is_met_and_each_route_is_seen_each_minute() {
        let sent = served(100.0, 180, zipf, 1000);

        let off = (f64::from(sent.total) / (100.0 * 180.0) - 1.0).abs();
        assert!(off < 0.01, "{} sent", sent.total);
        assert!(sent.gaps.iter().all(|gap| *gap < 60), "{:?}", sent.gaps.iter().max());
        let ratio = f64::from(sent.sampled[0]) / f64::from(sent.sampled[99]);
        assert!((5.0..20.0).contains(&ratio), "a hundred times the requests, {ratio} times the transactions");
        // What is left out can be estimated.
        let (requests, estimate) = sent.counts.iter().fold((0, 0.0), |(sum, all), (count, estimate)| (sum + count, all + estimate));
        assert!((estimate / f64::from(requests) - 1.0).abs() < 0.05, "{estimate} of {requests}");
    }

    #[test]
    fn below_the_target_all_is_sent() {
        let sent = served(40.0, 60, |route, _| if route == 0 { 20.0 } else { 1.0 }, 10);

        assert!(sent.counts.iter().all(|(count, estimate)| (*estimate - f64::from(*count)).abs() < 0.01), "{:?}", sent.counts);
    }

    #[test]
    fn a_route_that_gets_a_hundred_times_its_traffic_does_not_use_up_the_target() {
        let surge = |route, second| if route == 0 && second >= 60 { 1000.0 } else { 10.0 };
        let calm = served(20.0, 60, |_, _| 10.0, 10).total;
        let sent = served(20.0, 70, surge, 10).total;

        assert!(sent - calm < 10 * 20 * 2, "{} in ten seconds", sent - calm);
        let at_once = served(20.0, 61, surge, 10).total - calm;
        assert!(at_once < 40, "{at_once} in the first second");
        let long = served(20.0, 300, surge, 10).total;
        assert!((f64::from(long) / (20.0 * 300.0) - 1.0).abs() < 0.02, "{long}");
    }

    #[test]
    fn a_burst_after_a_quiet_hour_gets_at_most_twenty_seconds_more() {
        let sent = served(10.0, 3600, |_, second| if second < 3540 { 0.1 } else { 500.0 }, 1);
        let quiet = served(10.0, 3540, |_, _| 0.1, 1);

        let burst = sent.total - quiet.total;
        assert!((600..=800).contains(&burst), "{burst} in a minute");
        // A hundred routes at once.
        let together = |seconds| served(10.0, seconds, |_, second| if second < 60 { 0.01 } else { 50.0 }, 100).total;
        let burst = together(62) - together(60);
        assert!(burst < 450, "{burst} of 10,000 in two seconds");
    }

    #[test]
    fn more_routes_than_places_share_them() {
        let sampler = TargetSampler::new(TracesTarget::per_second(1.0));
        let places: Vec<_> = (0..3 * ROUTES).map(|route| sampler.place(key(&job(&format!("route {route}"))))).collect();

        assert!(places.iter().all(|place| *place < ROUTES));
        assert_eq!(sampler.place(key(&job("route 7"))), places[7], "a route keeps its place");
    }

    #[test]
    fn a_hundred_times_the_traffic_gets_ten_times_the_transactions() {
        let shares = |traffic: &[f64], aim| {
            let level = level_of(traffic, aim);
            traffic.iter().map(|traffic| traffic.min(level * traffic.sqrt()).round()).collect::<Vec<_>>()
        };
        assert_eq!(shares(&[1.0, 2.0], 4.0), [1.0, 2.0]);
        assert_eq!(shares(&[100.0, 10_000.0], 110.0), [10.0, 100.0]);
        assert_eq!(shares(&[1.0, 100.0, 100.0], 101.0), [1.0, 50.0, 50.0], "of a rare one, all are sent");
        assert!((level_of(&[0.0, 0.0], 5.0) - 5.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn targets_that_cannot_be_meant_are_faults() {
        for per_second in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(TracesTarget::per_second(per_second).fault().is_some(), "{per_second}");
        }
        assert!(TracesTarget::per_month(0).fault().is_some());
        assert!(TracesTarget::per_month(1).fault().is_none());
    }
}
