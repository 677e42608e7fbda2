//! Decisions, budgets and numbers.

use serde_json::Value;

use super::*;

const ASKED: SamplingContext =
    SamplingContext { route_rate: None, rate: 0.25, parent: None, is_limited: false, sample_rand: 500_000, halvings: 0 };

#[test]
fn route_beats_parent_beats_rate_and_zero_is_final() {
    let rows = [
        (ASKED, false),
        (SamplingContext { sample_rand: 249_999, ..ASKED }, true),
        (SamplingContext { sample_rand: 250_000, ..ASKED }, false),
        (SamplingContext { parent: Some(true), is_limited: true, ..ASKED }, true),
        (SamplingContext { parent: Some(false), is_limited: true, sample_rand: 0, ..ASKED }, false),
        (SamplingContext { route_rate: Some(1.0), parent: Some(false), is_limited: true, ..ASKED }, true),
        (SamplingContext { route_rate: Some(0.0), parent: Some(true), is_limited: true, ..ASKED }, false),
        (SamplingContext { rate: 0.0, parent: Some(true), is_limited: true, sample_rand: 0, ..ASKED }, false),
        (SamplingContext { rate: 1.0, sample_rand: 999_999, ..ASKED }, true),
    ];

    for (context, expected) in rows {
        assert_eq!(decide(context, |_, wanted| wanted).sampled, expected, "{context:?}");
    }
}

#[test]
fn a_delivery_that_is_behind_halves_what_is_sampled() {
    let rows = [
        (ASKED, 0, 124_999, true, false),
        (ASKED, 1, 124_999, true, false),
        (ASKED, 1, 125_000, false, true),
        (ASKED, 1, 250_000, false, false),
        (SamplingContext { parent: Some(true), ..ASKED }, 1, 499_999, true, false),
        (SamplingContext { parent: Some(true), ..ASKED }, 1, 500_000, false, true),
        (SamplingContext { rate: 1.0, ..ASKED }, 10, 977, false, true),
        (SamplingContext { rate: 1.0, ..ASKED }, 10, 976, true, false),
        (SamplingContext { rate: 0.0, parent: Some(true), ..ASKED }, 1, 999_999, false, false),
    ];

    for (context, halvings, sample_rand, sampled, is_thinned) in rows {
        let decision = decide(SamplingContext { sample_rand, halvings, ..context }, |_, wanted| wanted);

        let shown = (decision.sampled, decision.is_thinned, decision.is_pressed());
        assert_eq!(shown, (sampled, is_thinned, halvings > 0), "{context:?} {halvings} {sample_rand}");
        assert!((decision.rate * f64::from(1_u32 << halvings) - context.rate).abs() < 1e-9);
    }
}

#[test]
fn whatever_a_header_says_it_spends_the_own_rate_and_the_budget() {
    let flag = SamplingContext { parent: Some(true), is_limited: true, ..ASKED };
    let number = SamplingContext { sample_rand: 0, is_limited: true, ..ASKED };
    let route = SamplingContext { sample_rand: 0, route_rate: Some(0.25), is_limited: true, ..ASKED };

    for forged in [flag, number, route] {
        let mut budget = TokenBucket::new(10.0);
        let mut spend = |now| {
            let mut grant = |rate, wanted| {
                budget.earn(rate);
                wanted && budget.spend(now)
            };
            (0..1000).filter(|_| decide(forged, &mut grant).sampled).count()
        };
        let (at_once, a_second_later) = (spend(1), spend(1_000_000_001));

        assert!((349..=351).contains(&at_once) && (259..=261).contains(&a_second_later), "{at_once} {a_second_later} {forged:?}");
    }
}

#[test]
fn honest_numbers_are_all_granted() {
    let mut budget = TokenBucket::new(10.0);
    let (mut wanted, mut granted) = (0, 0);
    for _ in 0..20_000 {
        let context = SamplingContext { is_limited: true, sample_rand: sample_rand(TraceId::new()), ..ASKED };
        wanted += i32::from(context.sample_rand < 250_000);
        granted += i32::from(
            decide(context, |rate, wanted| {
                budget.earn(rate);
                wanted && budget.spend(0)
            })
            .sampled,
        );
    }

    // A full budget cannot earn more; a walk of this length loses some dozens.
    assert!(wanted - granted < 400, "{granted} of {wanted}");
}

/// Returns how many of a thousand requests are granted at `now`.
fn granted(budget: &mut TokenBucket, now: u64) -> usize {
    (0..1000).filter(|_| budget.spend(now)).count()
}

#[test]
fn a_quiet_night_saves_up_no_more_than_the_burst() {
    const SECOND: u64 = 1_000_000_000;
    let mut budget = TokenBucket::new(10.0);

    let rows = [(SECOND, 100), (2 * SECOND, 10), (2 * SECOND + SECOND / 2, 5), (10 * 60 * 60 * SECOND, 100)];

    for (now, expected) in rows {
        assert_eq!(granted(&mut budget, now), expected, "at {now}");
    }
}

#[test]
fn honest_traffic_saves_up_no_more_than_the_burst() {
    let mut budget = TokenBucket::new(10.0);
    assert_eq!(granted(&mut budget, 1), 100);

    (0..10_000).for_each(|_| budget.earn(0.25));

    assert_eq!(granted(&mut budget, 1), 100, "what 10,000 requests earned that spent nothing");
}

#[test]
fn a_budget_is_of_any_size() {
    const SECOND: u64 = 1_000_000_000;
    let rows = [(0.0, 0, 0), (0.05, 1, 0), (1.0, 10, 1), (50.0, 500, 50), (f64::INFINITY, 1000, 1000)];

    for (per_second, at_once, a_second_later) in rows {
        let mut budget = TokenBucket::new(per_second);
        assert_eq!((granted(&mut budget, 1), granted(&mut budget, SECOND + 1)), (at_once, a_second_later), "{per_second}");
    }
    let (mut small, mut large) = (TokenBucket::with_burst(0.0, 100.0), TokenBucket::with_burst(50.0, 100.0));
    assert_eq!((granted(&mut small, 1), granted(&mut large, 1)), (100, 500), "the larger one counts");
}

#[test]
fn a_clock_that_goes_back_pays_no_time_twice() {
    let mut budget = TokenBucket::new(10.0);
    granted(&mut budget, 2_000_000_000);

    let (back, again) = (granted(&mut budget, 1_000_000_000), granted(&mut budget, 2_000_000_000));

    assert_eq!((back, again), (0, 0));
}

#[test]
fn traces_of_other_organisations_are_not_continued() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/org_continuation.json")).unwrap_or_default();
    let mut checked = 0;
    for case in vectors["cases"].as_array().into_iter().flatten() {
        let [incoming, own, is_strict, expected] = case.as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{case}") };
        // A trace without an organisation may come from one of our services that is not
        // configured. Only `TrustParent::SameOrganization` rejects it.
        if *is_strict == false {
            assert_eq!(continues(incoming.as_str(), own.as_str()), *expected == true, "{case}");
            checked += 1;
        }
    }
    assert_eq!(checked, 5);
}

#[test]
fn sample_rand_is_even_and_the_same_everywhere() {
    let rands: Vec<_> = (0..200_000).map(|_| sample_rand(TraceId::new())).collect();

    // Five standard deviations of a binomial with n = 200,000.
    for (millionths, expected, tolerance) in [(10_000, 2_000, 222), (100_000, 20_000, 670), (250_000, 50_000, 968), (900_000, 180_000, 670)]
    {
        let below = rands.iter().filter(|rand| **rand < millionths).count();
        assert!(below.abs_diff(expected) < tolerance, "{below} below {millionths}");
    }
    assert_eq!("771a43a4192642f0b136d5159a501700".parse().map(sample_rand), Ok(125_566));
}

#[test]
fn sample_rand_is_read_without_rounding() {
    for (text, expected) in [
        ("0.249999", Some(249_999)),
        ("0.25", Some(250_000)),
        ("0.3", Some(300_000)),
        ("0", Some(0)),
        ("1", None),
        ("-0.1", None),
        ("NaN", None),
        ("x", None),
        ("0.9999999", Some(999_999)),
    ] {
        assert_eq!(parse_sample_rand(text), expected, "{text}");
    }
}

#[test]
fn a_budget_that_changes_keeps_what_was_spent() {
    let granted = |budget: &mut TokenBucket| (0..1000).take_while(|_| budget.spend(1)).count();
    // What was spent, the new number a second, and what is left of it.
    let rows = [(0, 10.0, 100), (30, 10.0, 70), (30, 20.0, 170), (30, 5.0, 20), (80, 5.0, 0), (30, 0.0, 0), (30, f64::INFINITY, 1000)];
    for (spent, per_second, left) in rows {
        let mut budget = TokenBucket::new(10.0);
        (0..spent).for_each(|_| assert!(budget.spend(1)));
        budget.change(per_second, 0.0);
        assert_eq!(granted(&mut budget), left, "{spent} of 100, then {per_second} a second");
    }
    let mut unlimited = TokenBucket::new(f64::INFINITY);
    unlimited.spend(1);
    unlimited.change(1.0, 20.0);
    assert_eq!(granted(&mut unlimited), 20);
}
