//! How many requests clients may send.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::fork::Lock;
use crate::sampling::TokenBucket;

/// The budgets of requests: of each address, and of all together.
#[derive(Debug)]
pub(super) struct RequestLimits {
    per_address: f64,
    total: f64,
    state: Lock<State>,
}

#[derive(Debug, Default)]
struct State {
    total: TokenBucket,
    /// Each with the time of its last request.
    addresses: HashMap<IpAddr, (TokenBucket, u64)>,
    /// Shared by the addresses beyond [`ADDRESSES`].
    crowd: TokenBucket,
    cleaned_at: u64,
}

/// At most this many addresses have their own budget.
const ADDRESSES: usize = 4096;
const SECOND: u64 = 1_000_000_000;

impl RequestLimits {
    /// Both limits are for a minute. A sixth of a minute's requests may come at once.
    pub(super) fn new(per_address: u32, total: u32) -> Self {
        let [per_address, total] = [per_address, total].map(|count| f64::from(count) / 60.0);
        let state = State { total: TokenBucket::new(total), crowd: TokenBucket::new(per_address), ..State::default() };
        Self { per_address, total, state: Lock::new(state) }
    }

    /// Spends one request of both budgets, or returns how long the client should wait. `now` is in nanoseconds.
    pub(super) fn admit(&self, address: Option<IpAddr>, now: u64) -> Result<(), Duration> {
        let state = &mut *self.state.lock();
        if !address.is_none_or(|address| self.budget_of(subscriber(address), state, now).spend(now)) {
            return Err(pause(self.per_address));
        }
        if state.total.spend(now) { Ok(()) } else { Err(pause(self.total)) }
    }

    fn budget_of<'a>(&self, address: IpAddr, state: &'a mut State, now: u64) -> &'a mut TokenBucket {
        let State { addresses, crowd, cleaned_at, .. } = state;
        // At most once a second: the search must not slow down each request of a flood.
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&address) && now.saturating_sub(*cleaned_at) >= SECOND {
            *cleaned_at = now;
            // After this time a budget is full again, and the same as a new one.
            let full_after = pause(self.per_address).max(Duration::from_secs(10));
            addresses.retain(|_, (_, last)| u128::from(now.saturating_sub(*last)) < full_after.as_nanos());
        }
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&address) {
            return crowd;
        }
        let (budget, last) = addresses.entry(address).or_insert_with(|| (TokenBucket::new(self.per_address), now));
        *last = now;
        budget
    }
}

/// The time until a budget has one more.
fn pause(per_second: f64) -> Duration {
    let seconds = (1.0 / per_second).ceil();
    if seconds.is_finite() { Duration::from_secs_f64(seconds.clamp(1.0, 3600.0)) } else { Duration::from_secs(3600) }
}

/// What a provider assigns to one customer: an IPv4 address, or an IPv6 network (`/64`).
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    /// How many of so many requests pass at one moment.
    fn passing(limits: &RequestLimits, address: impl Into<Option<IpAddr>> + Copy, count: usize, now: u64) -> usize {
        (0..count).filter(|_| limits.admit(address.into(), now).is_ok()).count()
    }

    #[test]
    fn an_address_has_its_own_budget_and_all_have_one_together() {
        let limits = RequestLimits::new(60, 120);

        assert_eq!(passing(&limits, v4(1), 50, 0), 10, "a sixth of a minute's at once");
        assert_eq!(passing(&limits, v4(2), 50, 0), 10);
        assert_eq!(passing(&limits, v4(3), 50, 0), 0, "all together have sent twenty");
        assert_eq!(passing(&limits, v4(1), 50, 3 * SECOND), 3);
        assert_eq!(passing(&limits, None, 50, 3 * SECOND), 3, "without an address, the limit of all counts");
        assert_eq!(limits.admit(Some(v4(1)), 3 * SECOND), Err(Duration::from_secs(1)));
    }

    #[test]
    fn a_refusal_says_when_the_next_may_come() {
        assert_eq!(RequestLimits::new(2, 100).admit(Some(v4(1)), 0), Ok(()));
        let limits = RequestLimits::new(1, 100);

        assert_eq!(passing(&limits, v4(1), 5, 0), 1);
        assert_eq!(limits.admit(Some(v4(1)), 0), Err(Duration::from_secs(60)));
        assert_eq!(RequestLimits::new(0, 100).admit(Some(v4(1)), 0), Err(Duration::from_secs(3600)));
    }

    #[test]
    fn one_subscriber_of_ipv6_is_one_client() {
        let limits = RequestLimits::new(6, 1000);
        let address = |text: &str| text.parse::<IpAddr>().ok();

        assert_eq!(passing(&limits, address("2001:db8:1:2::1"), 5, 0), 1);
        assert_eq!(passing(&limits, address("2001:db8:1:2:ffff::9"), 5, 0), 0);
        assert_eq!(passing(&limits, address("2001:db8:1:3::1"), 5, 0), 1);
        assert_eq!(passing(&limits, address("::ffff:203.0.113.7"), 5, 0), 1);
        assert_eq!(passing(&limits, address("203.0.113.7"), 5, 0), 0);
    }

    #[test]
    fn many_addresses_take_bounded_memory_and_share_a_budget() {
        let limits = RequestLimits::new(6, u32::MAX);

        let passed = (0..10_000).filter(|number| limits.admit(Some(v4(*number)), 0).is_ok()).count();

        assert_eq!(passed, ADDRESSES + 1);
        assert_eq!(limits.state.lock().addresses.len(), ADDRESSES);
        assert_eq!(passing(&limits, v4(20_000), 5, 11 * SECOND), 1, "places of others are free again");
        assert_eq!(limits.state.lock().addresses.len(), 1);
    }
}
