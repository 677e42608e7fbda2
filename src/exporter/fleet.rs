//! A fleet of a thousand processes in front of one server, in virtual time: with the back-off, the pace,
//! the flow and the rate limits that the exporter uses.
//!
//! The guide's page `production` shows its figures.

#![expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "test code")]

use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderValue, StatusCode};

use super::backoff::{Backoff, Failure};
use super::flow::Flow;
use super::pace::Pace;
use super::rate_limit::RateLimits;
use crate::protocol::Category;

const REPLICAS: usize = 1000;
/// One step of time.
const STEP: Duration = Duration::from_millis(250);
const STEPS_A_SECOND: usize = 4;
/// An answer takes a fifth of a step.
const ANSWERS_A_STEP: usize = 5;
/// As `queue_items` by default.
const QUEUE: u64 = 1000;
const MINUTE: u64 = 60;

/// The server, with a quota for each minute.
struct Server {
    start: Instant,
    is_up: bool,
    quota: u64,
    /// What was accepted in each minute.
    accepted: Vec<u64>,
    /// The attempts in each second, answered or not.
    attempts: Vec<u64>,
}

impl Server {
    fn attempt(&mut self, now: Instant) -> Option<(StatusCode, HeaderMap)> {
        let second = (now - self.start).as_secs();
        self.attempts[usize::try_from(second).unwrap()] += 1;
        if !self.is_up {
            return None;
        }
        let accepted = &mut self.accepted[usize::try_from(second / MINUTE).unwrap()];
        if *accepted < self.quota {
            *accepted += 1;
            return Some((StatusCode::OK, HeaderMap::new()));
        }
        // As Relay does it: all get the same end.
        let limit = format!("{}:error:organization", MINUTE - second % MINUTE);
        let headers = HeaderMap::from_iter([("x-sentry-rate-limits".parse().unwrap(), HeaderValue::try_from(limit).unwrap())]);
        Some((StatusCode::TOO_MANY_REQUESTS, headers))
    }
}

/// One process.
#[derive(Default)]
struct Replica {
    backoff: Backoff,
    limits: RateLimits,
    flow: Flow,
    pace: Pace,
    waiting: u64,
    captured: u64,
    accepted: u64,
    /// Dropped because of a full queue, or of a rate limit.
    overflowed: u64,
    limited: u64,
    /// The share of the next item that is there already.
    share: f64,
}

impl Replica {
    /// One step: items come, and as many leave as the exporter would send.
    fn step(&mut self, a_second: f64, server: &mut Server, now: Instant) {
        self.share += a_second * STEP.as_secs_f64();
        while self.share >= 1.0 {
            self.share -= 1.0;
            self.captured += 1;
            self.waiting += 1;
            if self.waiting > QUEUE {
                self.waiting -= 1;
                self.overflowed += 1;
            }
        }
        let (mut at, end) = (now, now + STEP);
        let mut sent = 0;
        while self.waiting > 0 {
            let is_filling = self.waiting >= QUEUE / 2;
            let most = if self.backoff.is_failing() { 1 } else { self.flow.limit() * ANSWERS_A_STEP };
            match self.backoff.until(at, || is_filling).or_else(|| self.pace.until(at)) {
                Some(later) if later < end => at = later,
                Some(_) => break,
                None => {}
            }
            if sent >= most {
                break;
            }
            if self.limits.is_closed(Category::Error, at) {
                self.limited += self.waiting;
                self.waiting = 0;
                break;
            }
            sent += 1;
            self.pace.spend(at);
            let Some((status, headers)) = server.attempt(at) else {
                self.backoff.failed(Failure::Refused, at);
                self.pace.failed(self.captured, at);
                break;
            };
            self.pace.came_back(self.backoff.failures(), self.captured, at);
            self.backoff.succeeded();
            self.limits.note(status, &headers, at);
            self.waiting -= 1;
            if status.is_success() {
                self.accepted += 1;
                self.flow.accepted(STEP / ANSWERS_A_STEP as u32, sent >= most);
            } else {
                self.limited += 1;
                self.flow.refused();
            }
        }
        if self.waiting == 0 {
            self.pace.end();
        }
    }
}

/// What happens to a fleet.
#[derive(Clone)]
struct Scene {
    name: &'static str,
    seconds: u64,
    /// The items of each process in a second.
    a_second: f64,
    /// For all processes together, in a minute.
    quota: u64,
    /// The seconds in which the server is away.
    outage: std::ops::Range<u64>,
    /// The second in which all processes are replaced.
    deploy: Option<u64>,
}

/// How it went.
#[derive(Debug)]
struct Outcome {
    captured: u64,
    accepted: u64,
    overflowed: u64,
    limited: u64,
    /// At the end, and in the memory of the processes that were replaced.
    left: u64,
    accepted_a_minute: Vec<u64>,
    /// The most attempts in a second: before the outage, in it, after it and after the deploy.
    busiest: [u64; 4],
    /// The seconds from the return until each process is back, and until nothing waits any more.
    back: u64,
    drained: u64,
    /// What the process with the fewest and the one with the most got accepted.
    least: u64,
    most: u64,
}

fn play(scene: &Scene) -> Outcome {
    fastrand::seed(17);
    let start = Instant::now();
    let seconds = usize::try_from(scene.seconds).unwrap();
    let mut server = Server { start, is_up: true, quota: scene.quota, accepted: vec![0; seconds.div_ceil(60)], attempts: vec![0; seconds] };
    // Processes do not beat in time.
    let new = || Replica { share: fastrand::f64(), ..Replica::default() };
    let mut fleet: Vec<_> = (0..REPLICAS).map(|_| new()).collect();
    let mut gone: Vec<Replica> = Vec::new();
    let (mut back, mut drained) = (None, None);
    for step in 0..seconds * STEPS_A_SECOND {
        let second = (step / STEPS_A_SECOND) as u64;
        server.is_up = !scene.outage.contains(&second);
        if Some(second) == scene.deploy && step.is_multiple_of(STEPS_A_SECOND) {
            gone.append(&mut fleet);
            fleet.extend((0..REPLICAS).map(|_| new()));
        }
        let now = start + STEP * u32::try_from(step).unwrap();
        for replica in &mut fleet {
            replica.step(scene.a_second, &mut server, now);
        }
        if second >= scene.outage.end {
            let since = second - scene.outage.end;
            back = back.or_else(|| fleet.iter().all(|replica| !replica.backoff.is_failing()).then_some(since));
            drained = drained.or_else(|| fleet.iter().all(|replica| replica.waiting <= 1).then_some(since));
        }
    }
    let sum = |of: fn(&Replica) -> u64| gone.iter().chain(&fleet).map(of).sum();
    let deploy = scene.deploy.unwrap_or(scene.seconds);
    let phases = [0..scene.outage.start, scene.outage.clone(), scene.outage.end..deploy, deploy..scene.seconds];
    let busiest = |phase: std::ops::Range<u64>| {
        let attempts = server.attempts.iter().zip(0..).filter(|(_, second)| phase.contains(second));
        attempts.map(|(attempts, _)| *attempts).max().unwrap_or_default()
    };
    Outcome {
        captured: sum(|replica| replica.captured),
        accepted: sum(|replica| replica.accepted),
        overflowed: sum(|replica| replica.overflowed),
        limited: sum(|replica| replica.limited),
        left: sum(|replica| replica.waiting),
        busiest: phases.map(busiest),
        back: back.unwrap_or(u64::MAX),
        drained: drained.unwrap_or(u64::MAX),
        least: fleet.iter().map(|replica| replica.accepted).min().unwrap_or_default(),
        most: fleet.iter().map(|replica| replica.accepted).max().unwrap_or_default(),
        accepted_a_minute: server.accepted,
    }
}

/// A thousand processes with an error a second each, and an outage of two minutes.
const OUTAGE: Scene =
    Scene { name: "outage of 2 minutes, 1 error/s each", seconds: 420, a_second: 1.0, quota: u64::MAX, outage: 60..180, deploy: None };

/// The row of the guide's table.
fn row(scene: &Scene, outcome: &Outcome) -> String {
    let Outcome { captured, accepted, overflowed, limited, left, back, drained, busiest, .. } = outcome;
    let normal = REPLICAS as f64 * scene.a_second;
    let times = |phase: usize| format!("{:.1}", busiest[phase] as f64 / normal);
    let after = if scene.deploy.is_some() { format!("{}, {}", times(2), times(3)) } else { times(2) };
    let waits = if scene.outage.is_empty() { "-".to_owned() } else { format!("{back} s, {drained} s") };
    let name = scene.name;
    format!("| {name} | {captured} | {accepted} | {overflowed} | {limited} | {left} | {} | {after} | {waits} |", times(1))
}

#[test]
fn a_thousand_processes_do_not_overrun_a_server_that_comes_back_or_has_a_quota() {
    let scenes = [
        OUTAGE,
        Scene { name: "the same, 10 errors/s each", a_second: 10.0, ..OUTAGE },
        Scene { name: "the same, 1 error each 10 s", a_second: 0.1, ..OUTAGE },
        Scene {
            name: "a quota of half the traffic, all processes replaced at once",
            quota: 30_000,
            outage: 60..60,
            deploy: Some(210),
            ..OUTAGE
        },
        Scene { name: "an outage, a quota of 1.5 times the traffic, all processes replaced", quota: 90_000, deploy: Some(300), ..OUTAGE },
    ];
    let guide = include_str!("../guide/production.md");
    for scene in scenes {
        let outcome = play(&scene);
        let row = row(&scene, &outcome);
        let Outcome { captured, accepted, overflowed, limited, left, least, most, .. } = outcome;
        assert_eq!(captured, accepted + overflowed + limited + left, "{row}");
        let normal = REPLICAS as f64 * scene.a_second;
        // With little traffic, most attempts are probes: each process makes at most one in two seconds.
        let most_attempts = (3.0 * normal).max(REPLICAS as f64 / 2.0);
        assert!(outcome.busiest.iter().all(|attempts| *attempts as f64 <= most_attempts), "{outcome:?}");
        assert!(2 * least >= most && least > 0, "none starves: {outcome:?}");
        assert!(scene.outage.is_empty() || outcome.drained <= scene.seconds - scene.outage.end, "{outcome:?}");
        let is_wanting = (60.0 * normal) as u64 > scene.quota;
        assert!(!is_wanting || outcome.accepted_a_minute.iter().all(|accepted| *accepted == scene.quota), "the whole quota: {outcome:?}");
        assert!(outcome.accepted_a_minute.iter().all(|accepted| *accepted <= scene.quota));
        assert!(guide.contains(&row), "the guide shows other figures: {row}");
    }
}
