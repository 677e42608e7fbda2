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
fn a_small_target_is_met_with_many_routes_and_its_estimates_are_usable() {
    // Each of the thousand once in 50 seconds would be twice the target.
    let sent = served(10.0, 600, |route, second| zipf(route, second) / 10.0, 1000);

    let off = (f64::from(sent.total) / (10.0 * 600.0) - 1.0).abs();
    assert!(off < 0.02, "{} sent", sent.total);
    let longest = sent.gaps.iter().max().unwrap();
    assert!(*longest < 300, "a route was not seen for {longest} seconds");
    let (requests, estimate) = sent.counts.iter().fold((0, 0.0), |(sum, all), (count, estimate)| (sum + count, all + estimate));
    assert!((estimate / f64::from(requests) - 1.0).abs() < 0.1, "{estimate} of {requests}");
}

#[test]
fn many_new_routes_at_once_do_not_exceed_the_target() {
    let sent = served(10.0, 5, |_, _| 1.0, 1000);

    assert!(sent.total < 10 * 5 * 2, "{} in five seconds", sent.total);
}

#[test]
fn what_callers_choose_leaves_the_others_a_rate_that_estimates_can_use() {
    let sampler = TargetSampler::new(TracesTarget::per_second(10.0));
    let mut least = 1.0_f64;

    for tick in 0..10_000 {
        let now = tick * SECOND / 1000 + 1;
        // A caller has all of its thousand a second sampled.
        let theirs = sampler.rate(&job("theirs"), false, now);
        sampler.note(theirs, true, now);
        least = least.min(sampler.rate(&job("ours"), true, now).rate);
    }

    assert!(least > 1e-6, "a transaction stands for {} requests", 1.0 / least);
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
