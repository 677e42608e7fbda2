//! Five minutes of a busy service at a rate of 1 %, on a clock that is moved by hand: `cargo bench --features test --bench soak`.
//!
//! A thousand routes on a Zipf curve, 1,000 requests a second, some of them open for long. 2 % fail, 1 % are slow. In the second
//! minute one error floods, and in the third one the server is away. Once for each setting. Prints what was
//! sent by which rule, what was suppressed, how far estimates are off, and the bytes.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program for developers"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use flate2::read::GzDecoder;
use serde_json::Value;
use tower::Service as _;
use tower_sentry::sampling::TracesTarget;
use tower_sentry::test::HandClock;
use tower_sentry::transport::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use tower_sentry::{Client, Config, ConfigBuilder, Level, SentryLayer};

const ROUTES: usize = 1000;
const SECONDS: u64 = 300;
const A_SECOND: u64 = 1000;
const RATE: f64 = 0.01;
/// The second in which one error floods, and how often it comes.
const FLOOD: (u64, u64) = (90, 20_000);
/// The seconds in which the server does not answer.
const OUTAGE: std::ops::Range<u64> = 120..150;
/// The budgets of the crate's defaults, a second and at once.
const BUDGET: (u64, u64) = (10, 100);

/// A server that counts, and that is away for some time.
#[derive(Clone, Default)]
struct Server {
    is_away: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
}

/// What has arrived.
#[derive(Default)]
struct Seen {
    bytes: usize,
    events: u64,
    /// Others of their issue that the events stand for.
    suppressed: u64,
    /// Transactions by the rule that kept them.
    by_rule: BTreeMap<String, u64>,
    /// The estimated number of requests, by name.
    estimates: BTreeMap<String, f64>,
}

impl Seen {
    fn read(&mut self, request: &EnvelopeRequest) {
        let body = request.body();
        self.bytes += body.len();
        let mut envelope = body.to_vec();
        if request.headers().contains_key("content-encoding") {
            envelope.clear();
            GzDecoder::new(&**body).read_to_end(&mut envelope).unwrap();
        }
        for line in envelope.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
            if line["type"] == "transaction" && line["transaction"].is_string() {
                let data = &line["contexts"]["trace"]["data"];
                let rule = data["tower_sentry.kept"].as_str().unwrap_or("sampled").to_owned();
                let rate = data["sentry.sample_rate"].as_f64().unwrap();
                let name = line["transaction"].as_str().unwrap().to_owned();
                *self.by_rule.entry(rule).or_default() += 1;
                *self.estimates.entry(name).or_default() += 1.0 / rate;
            } else if line["event_id"].is_string() && line["platform"].is_string() {
                self.events += 1;
                self.suppressed += line["contexts"]["tower_sentry"]["suppressed"].as_u64().unwrap_or_default();
            }
        }
    }
}

impl Transport for Server {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        Box::pin(async move {
            if self.is_away.load(Ordering::Relaxed) {
                return Err(TransportError::unreachable("the server is away"));
            }
            self.seen.lock().unwrap().read(&request);
            Ok(TransportResponse::new(StatusCode::OK, HeaderMap::new(), Vec::new()))
        })
    }
}

/// What a request does.
#[derive(Clone)]
struct Script {
    /// Opens when the request may end.
    is_over: Arc<AtomicBool>,
    status: StatusCode,
}

async fn handle(Extension(script): Extension<Script>) -> StatusCode {
    poll_fn(|_| if script.is_over.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }).await;
    script.status
}

type Open = (Arc<AtomicBool>, Pin<Box<dyn Future<Output = Result<Response, std::convert::Infallible>>>>);

/// What the whole run has done.
struct Outcome {
    seen: Seen,
    truth: Vec<u64>,
    failed: u64,
    slow: u64,
    errors: u64,
    dropped: BTreeMap<String, u64>,
    most_open: usize,
}

fn run(config: ConfigBuilder, forged: bool) -> Outcome {
    let clock = HandClock::start();
    let server = Server::default();
    let config = config.transport(server.clone()).max_events_per_issue(10).panic_hook(false).backpressure(false);
    let client = Client::from(config.build().unwrap());
    let router = (0..ROUTES).fold(Router::new(), |router, route| router.route(&format!("/route/{route}"), get(handle)));
    let mut router = router.layer(SentryLayer::new(&client));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shares: Vec<_> = (1..=ROUTES).scan(0.0, |sum, route| Some(*sum + 1.0 / route as f64).inspect(|next| *sum = *next)).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut outcome =
        Outcome { seen: Seen::default(), truth: vec![0; ROUTES], failed: 0, slow: 0, errors: 0, dropped: BTreeMap::new(), most_open: 0 };
    let mut open = BTreeMap::<usize, Open>::new();
    let mut ends = BinaryHeap::new();
    let mut cx = Context::from_waker(Waker::noop());
    let step = Duration::from_micros(1_000_000 / A_SECOND);
    for number in 0..usize::try_from(SECONDS * A_SECOND).unwrap() {
        let (second, tick) = (number as u64 / A_SECOND, number as u64);
        clock.advance(step);
        while let Some(Reverse((_, other))) = ends.peek().copied().filter(|Reverse((end, _))| *end <= tick) {
            ends.pop();
            let (is_over, mut future) = open.remove(&other).unwrap();
            is_over.store(true, Ordering::Relaxed);
            assert!(future.as_mut().poll(&mut cx).is_ready());
        }
        let at = random.f64() * shares.last().unwrap();
        let route = shares.partition_point(|share| *share < at);
        outcome.truth[route] += 1;
        let (is_failed, is_slow) = (random.f64() < 0.02, random.f64() < 0.01);
        outcome.failed += u64::from(is_failed);
        outcome.errors += u64::from(is_failed);
        outcome.slow += u64::from(is_slow && !is_failed);
        let status = if is_failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        let script = Script { is_over: Arc::default(), status };
        let mut request = Request::get(format!("/route/{route}")).extension(script.clone());
        if forged {
            let (trace, span) = (random.u128(..), random.u64(1..));
            request = request.header("sentry-trace", format!("{trace:032x}-{span:016x}-1"));
        }
        let mut future: Open = (script.is_over, Box::pin(router.call(request.body(Body::empty()).unwrap())));
        assert!(future.1.as_mut().poll(&mut cx).is_pending());
        open.insert(number, future);
        // From 5 to 50 ms, or from one to five seconds.
        let takes = if is_slow { random.u64(1_000..5_000) } else { random.u64(5..50) };
        ends.push(Reverse((tick + takes * A_SECOND / 1_000, number)));
        outcome.most_open = outcome.most_open.max(open.len());
        if tick.is_multiple_of(A_SECOND) {
            if second == FLOOD.0 {
                outcome.errors += FLOOD.1;
                let flood = async { (0..FLOOD.1).for_each(|_| _ = tower_sentry::capture_message(Level::Error, "the pool is empty")) };
                runtime.block_on(client.transaction("flood").sample_rate(0.0).run_infallible(flood));
            }
            server.is_away.store(OUTAGE.contains(&second), Ordering::Relaxed);
        }
        // The clock of the requests runs faster than that of the exporter.
        if tick.is_multiple_of(100) && !OUTAGE.contains(&second) {
            runtime.block_on(client.flush(Duration::from_secs(60))).unwrap();
        }
    }
    for (is_over, mut future) in open.into_values() {
        is_over.store(true, Ordering::Relaxed);
        assert!(future.as_mut().poll(&mut cx).is_ready());
    }
    runtime.block_on(client.shutdown(Duration::from_secs(60))).unwrap();
    let stats = client.stats();
    for (what, counts) in [("transactions", &stats.transactions), ("errors", &stats.errors)] {
        assert_eq!(counts.captured, counts.sent + counts.dropped_total(), "{what}: {counts:?}");
        for (reason, count) in &counts.dropped {
            outcome.dropped.insert(format!("{what}, {reason:?}"), *count);
        }
    }
    outcome.seen = std::mem::take(&mut server.seen.lock().unwrap());
    outcome
}

fn main() {
    let rate = |rate: f64| Config::builder().traces_sample_rate(rate);
    let target = Config::builder().traces_target(TracesTarget::per_second(A_SECOND as f64 * RATE));
    let kept = run(rate(RATE), false);
    let forged = run(rate(RATE), true);
    let rows = [
        ("`traces_sample_rate(1.0)`".to_owned(), &run(rate(1.0), false)),
        ("`traces_sample_rate(0.1)`, the default".to_owned(), &run(rate(0.1), false)),
        (format!("`traces_sample_rate({RATE})`"), &kept),
        (format!("`traces_sample_rate({RATE})`, each request with a forged trace"), &forged),
        (format!("`traces_sample_rate({RATE})`, `keep_failed(false)`"), &run(rate(RATE).keep_failed(false), false)),
        (format!("`TracesTarget::per_second({})`", A_SECOND as f64 * RATE), &run(target, false)),
    ];
    println!(
        "{} requests in {SECONDS} s on {ROUTES} routes, at most {} open: {} failed, {} slow, {} errors",
        kept.requests(),
        kept.most_open,
        kept.failed,
        kept.slow,
        kept.errors
    );
    println!("| setting | sampled | kept: failed | kept: slow | lost in the outage | bytes | all requests, estimated | routes unseen |");
    println!("|---|---|---|---|---|---|---|---|");
    let all = rows[0].1.seen.bytes as f64;
    for (setting, outcome) in &rows {
        println!(
            "| {setting} | {} | {} | {} | {} | {:.1} % | {:+.1} % | {} |",
            outcome.kept("sampled"),
            outcome.kept("failed"),
            outcome.kept("slow"),
            outcome.dropped("transactions, QueueOverflow"),
            100.0 * outcome.seen.bytes as f64 / all,
            100.0 * outcome.off(),
            (0..ROUTES).filter(|route| outcome.estimate(*route) == 0.0).count(),
        );
    }
    println!(
        "errors: {} events say {} others were suppressed; {} failures without an error were beyond their budget, {} were lost in the outage",
        kept.seen.events,
        kept.seen.suppressed,
        kept.dropped("errors, SampleRate"),
        kept.dropped("errors, QueueOverflow"),
    );
    println!("{} of {ROUTES} routes have an estimate within three standard deviations", kept.likely());
    check(&kept, &forged);
}

impl Outcome {
    fn kept(&self, rule: &str) -> u64 {
        self.seen.by_rule.get(rule).copied().unwrap_or_default()
    }

    fn sent(&self) -> u64 {
        self.seen.by_rule.values().sum()
    }

    fn dropped(&self, what: &str) -> u64 {
        self.dropped.get(what).copied().unwrap_or_default()
    }

    fn estimate(&self, route: usize) -> f64 {
        self.seen.estimates.get(&format!("GET /route/{route}")).copied().unwrap_or_default()
    }

    fn requests(&self) -> u64 {
        self.truth.iter().sum()
    }

    /// How far the estimate of all requests is off.
    fn off(&self) -> f64 {
        self.seen.estimates.values().sum::<f64>() / self.requests() as f64 - 1.0
    }

    /// How many routes have an estimate that chance explains.
    fn likely(&self) -> usize {
        let deviation = |requests: u64| (requests as f64 * (1.0 / RATE - 1.0)).sqrt();
        (0..ROUTES).filter(|route| (self.estimate(*route) - self.truth[*route] as f64).abs() <= 3.0 * deviation(self.truth[*route])).count()
    }
}

/// Ends the process with a reason if a promise does not hold.
fn check(kept: &Outcome, forged: &Outcome) {
    let (a_second, at_once) = BUDGET;
    let most = a_second * SECONDS + at_once;
    let promises = [
        ("failed and slow requests are kept within their budgets", kept.kept("failed") <= most && kept.kept("slow") <= most),
        ("nearly all of a budget is used while there is need", kept.kept("failed") > most * 9 / 10),
        // Chance decides what is sampled: a tenth more is four standard deviations.
        ("forged traces add at most their budget", forged.sent() <= kept.sent() + most * 11 / 10),
        ("the summaries have each suppressed error", kept.seen.suppressed == kept.dropped("errors, Backpressure")),
        ("the estimate of all requests is within 10 %", kept.off().abs() < 0.1),
        ("97 % of the routes have a likely estimate", kept.likely() >= ROUTES * 97 / 100),
    ];
    let broken: Vec<_> = promises.into_iter().filter(|(_, holds)| !holds).collect();
    for (promise, _) in &broken {
        println!("MISSED: {promise}");
    }
    assert!(broken.is_empty());
}
