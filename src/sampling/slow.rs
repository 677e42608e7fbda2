//! Which requests are slow: by a fixed time, or compared with the others of their route.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::fnv;

/// At most this many routes have a median. Requests of other routes never count as slow by it.
const ROUTES_LIMIT: usize = 1000;
/// The median is taken over this many of the latest measured requests.
const MEASURED: usize = 31;
/// A route with fewer measured requests has no median.
const FEWEST: usize = 5;

/// Which requests and jobs are slow, for [`keep_slow`](crate::ConfigBuilder::keep_slow).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_sentry::Config;
/// use tower_sentry::sampling::Slow;
///
/// let fixed = Config::builder().keep_slow(Slow::From(Duration::from_secs(2))).build()?;
/// let beside = Config::builder()
///     .keep_slow(Slow::TimesMedian { times: 5.0, at_least: Duration::from_millis(200) })
///     .build()?;
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Slow {
    /// Requests that take at least this long are slow.
    From(Duration),
    /// No request is slow.
    Never,
    /// Requests that take `times` as long as the median of their route, and at least `at_least`, are slow.
    ///
    /// The median is taken over the latest 31 measured requests of the route. All sampled requests are
    /// measured, and one in 16 of the others. There is no median before the fifth. At most 1,000 routes
    /// have one.
    TimesMedian {
        /// The factor, at least 1.
        times: f64,
        /// The shortest duration that is slow.
        at_least: Duration,
    },
}

/// Ten times the median of the route, and at least a second.
impl Default for Slow {
    fn default() -> Self {
        Self::TimesMedian { times: 10.0, at_least: Duration::from_secs(1) }
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(time) => write!(f, "from {time:?}"),
            Self::Never => f.write_str("never"),
            Self::TimesMedian { times, at_least } => write!(f, "{times} x median, from {at_least:?}"),
        }
    }
}

impl Slow {
    /// What makes a setting invalid.
    pub(crate) fn fault(self) -> Option<String> {
        match self {
            Self::TimesMedian { times, .. } if !(times >= 1.0 && times.is_finite()) => {
                Some(format!("expected a number of 1 or more, found '{times}'"))
            }
            _ => None,
        }
    }

    /// The shortest time, in nanoseconds, that may be slow.
    pub(crate) fn shortest(self) -> u64 {
        let time = match self {
            Self::From(time) | Self::TimesMedian { at_least: time, .. } => time,
            Self::Never => Duration::MAX,
        };
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether a request of at least the shortest time is slow. `median` is that of its route, in
    /// nanoseconds.
    #[expect(clippy::cast_precision_loss, reason = "a difference of nanoseconds in days")]
    pub(crate) fn is_slow(self, nanos: u64, median: impl FnOnce() -> Option<u64>) -> bool {
        match self {
            Self::From(_) => true,
            Self::Never => false,
            Self::TimesMedian { times, .. } => median().is_some_and(|median| nanos as f64 >= median as f64 * times),
        }
    }
}

/// The latest times of each route.
#[derive(Debug, Default)]
pub(crate) struct Medians {
    by_route: BTreeMap<u64, Measured>,
}

/// Times in microseconds, in a ring.
#[derive(Clone, Debug)]
struct Measured {
    micros: [u32; MEASURED],
    count: usize,
}

impl Medians {
    /// Identifies a route.
    pub(crate) fn key(route: &dyn fmt::Display) -> u64 {
        struct Hashed(u64);
        impl fmt::Write for Hashed {
            #[inline]
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 = fnv::add(self.0, text);
                Ok(())
            }
        }
        let mut hashed = Hashed(fnv::START);
        // The writer returns no error.
        let _ = fmt::Write::write_fmt(&mut hashed, format_args!("{route}"));
        hashed.0
    }

    /// Adds the time of a request.
    pub(crate) fn add(&mut self, route: u64, nanos: u64) {
        if self.by_route.len() >= ROUTES_LIMIT && !self.by_route.contains_key(&route) {
            return;
        }
        let measured = self.by_route.entry(route).or_insert(Measured { micros: [0; MEASURED], count: 0 });
        if let Some(place) = measured.micros.get_mut(measured.count % MEASURED) {
            *place = u32::try_from(nanos / 1_000).unwrap_or(u32::MAX);
            measured.count += 1;
        }
    }

    /// Returns the median of a route in nanoseconds, if enough requests were measured.
    pub(crate) fn of(&self, route: u64) -> Option<u64> {
        let measured = self.by_route.get(&route).filter(|measured| measured.count >= FEWEST)?;
        let mut micros = measured.micros;
        let known = micros.get_mut(..measured.count.min(MEASURED))?;
        let middle = known.len() / 2;
        Some(u64::from(*known.select_nth_unstable(middle).1) * 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn the_median_is_that_of_the_latest_requests_of_a_route() {
        let mut medians = Medians::default();

        for millis in [5, 1, 900, 2] {
            medians.add(7, millis * MILLI);
        }
        let of_four = medians.of(7);
        medians.add(7, 3 * MILLI);
        let of_five = medians.of(7);
        (0..31).for_each(|_| medians.add(7, 40 * MILLI));

        assert_eq!((of_four, of_five, medians.of(7), medians.of(8)), (None, Some(3 * MILLI), Some(40 * MILLI), None));
    }

    #[test]
    fn at_most_a_thousand_routes_are_known() {
        let mut medians = Medians::default();

        for route in 0..2000 {
            (0..5).for_each(|_| medians.add(route, MILLI));
        }

        assert_eq!((medians.by_route.len(), medians.of(999), medians.of(1000)), (1000, Some(MILLI), None));
    }

    #[test]
    fn a_request_is_slow_beside_its_route_or_by_a_fixed_time() {
        let beside = Slow::TimesMedian { times: 10.0, at_least: Duration::from_secs(1) };
        let rows = [
            (beside, 2_000, Some(100), true),
            (beside, 2_000, Some(201), false),
            (beside, 2_000, None, false),
            (Slow::From(Duration::from_secs(2)), 2_000, None, true),
            (Slow::Never, 2_000, Some(1), false),
        ];

        for (slow, millis, median, expected) in rows {
            assert_eq!(slow.is_slow(millis * MILLI, || median.map(|millis| millis * MILLI)), expected, "{slow:?} {millis} {median:?}");
        }
        assert_eq!(
            (beside.shortest(), Slow::From(Duration::from_millis(3)).shortest(), Slow::Never.shortest()),
            (1_000 * MILLI, 3 * MILLI, u64::MAX)
        );
    }

    #[test]
    fn routes_are_told_apart() {
        assert_ne!(Medians::key(&"GET /a"), Medians::key(&"GET /b"));
        assert_eq!(Medians::key(&"GET /a"), Medians::key(&format_args!("GET {}", "/a")));
    }
}
