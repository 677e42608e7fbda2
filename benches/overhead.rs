//! The cost of monitoring a request: instructions and allocations in addition to an unmonitored
//! one.
//!
//! - `cargo bench --bench overhead` prints the table.
//! - `-- --check` also compares it with `benches/budget.tsv`. It fails if a row exceeds its budget
//!   by more than 2 % (10 % with a different compiler).
//! - `-- --write` writes that file.
//!
//! Instructions are counted with valgrind's callgrind: per request on the request's thread, and per
//! envelope for the exporter. The reference is an axum route with 10 headers, and a handler with 5
//! `#[instrument]` spans and 2 events.
#![expect(clippy::expect_used, clippy::print_stdout, clippy::print_stderr, reason = "a program for developers")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http_body::Body as _;
use tower::Service as _;
use tower_sentry::protocol::DiscardReason;
use tower_sentry::transport::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use tower_sentry::{Client, Config, ConfigBuilder, SentryLayer, TracingLayer};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const BUDGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/budget.tsv");

/// Uncounted windows at the start, in which pools and buffers grow.
const WARM_UP: usize = 4;
const COUNTED: usize = 4;

/// Lengths of an unused argument. Each gives the heap another layout.
///
/// In some layouts glibc splits and joins the same block in each request, which takes 250
/// instructions. The directory of the checkout alone can cause that. A row that exceeds its budget
/// is therefore measured with each layout, and its lowest figure counts.
const HEAP_LAYOUTS: [usize; 4] = [0, 90, 1200, 20_000];

/// The rows of the table.
const CASES: [Case; 16] = [
    Case::new("recorded", Work::FiveSpans, Setup::Recorded),
    Case::new("recorded, no spans", Work::NoSpans, Setup::Recorded),
    Case::new("recorded, 20 spans", Work::TwentySpans, Setup::Recorded),
    Case::new("recorded, 1,000 spans", Work::ThousandSpans, Setup::Recorded),
    Case::new("a 500 with `error!`, recorded", Work::Failing, Setup::Recorded),
    Case::new("rate 0: no spans, errors whole", Work::FiveSpans, Setup::ErrorsOnly),
    Case::new("not recorded, nothing kept", Work::FiveSpans, Setup::NotRecorded),
    Case::new("not recorded, nothing kept, boxed_body()", Work::FiveSpans, Setup::NotRecordedBoxed),
    Case::new("not recorded, nothing kept, boxed_body(), exclusive()", Work::FiveSpans, Setup::NotRecordedExclusive),
    Case::new("the server is down for ten seconds", Work::FiveSpans, Setup::ServerDown),
    Case::new("no DSN", Work::FiveSpans, Setup::Off),
    Case::new("no DSN, boxed_body()", Work::FiveSpans, Setup::OffBoxed),
    Case::new("5 spans outside of requests, 100 requests open", Work::Background, Setup::Recorded),
    Case::new("the exporter, 5 spans, to the envelope's bytes", Work::FiveSpans, Setup::Export),
    Case::new("the exporter, 20 spans, to the envelope's bytes", Work::TwentySpans, Setup::Export),
    Case::new("the exporter, 5 spans, no address and no client twice", Work::Strangers, Setup::Export),
];

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    work: Work,
    setup: Setup,
}

impl Case {
    const fn new(name: &'static str, work: Work, setup: Setup) -> Self {
        Self { name, work, setup }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// No request at all, only spans.
    Background,
    NoSpans,
    FiveSpans,
    /// As `FiveSpans`, with another path, query, client and id each time.
    Strangers,
    TwentySpans,
    ThousandSpans,
    Failing,
}

impl Work {
    /// The number of requests per window.
    ///
    /// After each window the exporter catches up, which is not counted.
    const fn window(self) -> usize {
        match self {
            Self::ThousandSpans => 4,
            _ => 64,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Setup {
    /// Neither `SentryLayer` nor `TracingLayer`.
    Bare,
    Recorded,
    ErrorsOnly,
    NotRecorded,
    NotRecordedBoxed,
    NotRecordedExclusive,
    /// All are sampled, but no connection succeeds, so the rate is halved until nearly none is.
    ServerDown,
    Off,
    OffBoxed,
    /// As `Recorded`, but counts the exporter and not the request.
    Export,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--case", place, mode, _layout] => {
            let (work, setup) = place
                .split_once('/')
                .and_then(|(case, bare)| {
                    let case = CASES.get(case.parse::<usize>().ok()?)?;
                    Some((case.work, if bare == "bare" { Setup::Bare } else { case.setup }))
                })
                .expect("a case of ours");
            run(work, setup, mode);
        }
        [] => drop(table(0)),
        ["--write"] => std::fs::write(BUDGET, budget_of(&lowest())).expect("the budget is ours to write"),
        ["--check"] => {
            if !check() {
                std::process::exit(1);
            }
        }
        other => {
            eprintln!("unknown arguments {other:?}: expected none, --check or --write");
            std::process::exit(2);
        }
    }
}

/// A measured row of the table.
#[derive(Clone, Copy)]
struct Cost {
    name: &'static str,
    instructions: i64,
    allocations: i64,
}

/// Measures the table with each layout of the heap. The lowest figure of each row counts.
fn lowest() -> Vec<Cost> {
    HEAP_LAYOUTS.into_iter().map(table).reduce(lower).unwrap_or_default()
}

fn lower(costs: Vec<Cost>, others: Vec<Cost>) -> Vec<Cost> {
    let least = |(cost, other): (Cost, Cost)| if other.instructions < cost.instructions { other } else { cost };
    costs.into_iter().zip(others).map(least).collect()
}

fn table(layout: usize) -> Vec<Cost> {
    let works = CASES.iter().enumerate().map(|(place, case)| (case.work, place)).collect::<BTreeMap<_, _>>();
    let bare: Vec<_> = works.values().map(|place| (*place, "bare")).collect();
    let ours: Vec<_> = (0..CASES.len()).map(|place| (place, "ours")).collect();
    let (bare, ours) = (measure_all(&bare, layout), measure_all(&ours, layout));
    let mut costs = Vec::new();
    println!("{:<60} {:>14} {:>12}", "over the bare request", "instructions", "allocations");
    for (case, (instructions, allocations)) in CASES.iter().zip(ours) {
        let place = works.keys().position(|work| *work == case.work).expect("each work is there");
        let over = if case.setup == Setup::Export { (0, 0) } else { bare.get(place).copied().expect("each work was measured") };
        let cost = Cost { name: case.name, instructions: instructions - over.0, allocations: allocations - over.1 };
        println!("{:<60} {:>14} {:>12}", cost.name, cost.instructions, cost.allocations);
        costs.push(cost);
    }
    let of = |name: &str| costs.iter().find(|cost| cost.name == name).map_or(0, |cost| cost.instructions);
    for (name, instructions) in [
        ("each further span, recorded", (of("recorded, 20 spans") - of("recorded")) / 15),
        ("each of 1,000 spans, recorded", (of("recorded, 1,000 spans") - of("recorded, no spans")) / 1000),
    ] {
        println!("{name:<60} {instructions:>14}");
        costs.push(Cost { name, instructions, allocations: 0 });
    }
    costs
}

/// Runs two measurements at a time: other load on the machine does not change the number of
/// instructions.
fn measure_all(cases: &[(usize, &str)], layout: usize) -> Vec<(i64, i64)> {
    let half = |parity: usize| cases.iter().skip(parity).step_by(2).map(|(place, side)| measure(*place, side, layout)).collect::<Vec<_>>();
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        (half(0), odd.join().expect("a measurement ends"))
    });
    let mut odd = odd.into_iter();
    even.into_iter().flat_map(|cost| [Some(cost), odd.next()]).flatten().collect()
}

/// Runs a case twice in its own process: under callgrind, and counting allocations.
///
/// `layout` is the number of bytes by which the process's first allocations differ, see [`HEAP_LAYOUTS`].
fn measure(place: usize, side: &str, layout: usize) -> (i64, i64) {
    let program = std::env::current_exe().expect("this program has a path");
    let case = format!("{place}/{side}");
    let measured = CASES.get(place).expect("a case of ours");
    let is_export = measured.setup == Setup::Export && side == "ours";
    let toggle = if is_export { "tower_sentry::exporter::pipeline::Pipeline::seal" } else { "overhead::counted" };
    let collect = |mode: &str| -> i64 {
        let out = std::env::temp_dir().join(format!("tower-sentry-overhead.{}.{place}.{side}", std::process::id()));
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--collect-atstart=no"])
            .arg(format!("--toggle-collect={toggle}*"))
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(&program)
            .args(["--case", &case, mode, &"-".repeat(layout)])
            .output()
            .expect("valgrind is installed (apt-get install valgrind)");
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{report}");
        drop(std::fs::remove_file(&out));
        let collected = report.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind says what it collected").1;
        collected.trim().parse().expect("a number")
    };
    // The exporter also runs during the warm-up, so the warm-up's cost is subtracted.
    let collected = collect("instructions") - if is_export { collect("warm-up") } else { 0 };
    let requests = measured.work.window() * COUNTED;
    let output = Command::new(&program).args(["--case", &case, "allocations", ""]).output().expect("this program runs");
    let allocations: i64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    let requests = i64::try_from(requests).expect("a small number");
    (collected / requests, if is_export { 0 } else { (allocations + requests / 2) / requests })
}

fn budget_of(costs: &[Cost]) -> String {
    let mut text = format!("# instructions and allocations over the bare request\t{}\n", compiler());
    for Cost { name, instructions, allocations } in costs {
        writeln!(text, "{name}\t{instructions}\t{allocations}").expect("a String takes all");
    }
    text
}

/// Whether each row keeps its budget in one of the heap's layouts.
fn check() -> bool {
    let budget = std::fs::read_to_string(BUDGET).expect("there is a budget");
    let mut costs = Vec::new();
    let mut exceeded = Vec::new();
    for layout in HEAP_LAYOUTS {
        let measured = table(layout);
        costs = if costs.is_empty() { measured } else { lower(costs, measured) };
        exceeded = exceeding(&costs, &budget);
        if exceeded.is_empty() {
            break;
        }
        println!("over its budget with the heap's layout {layout}: {}", exceeded.join("; "));
    }
    println!("the budget is {} (tolerance {} %)", if exceeded.is_empty() { "kept" } else { "NOT kept" }, tolerance(&budget));
    exceeded.is_empty()
}

fn tolerance(budget: &str) -> i64 {
    let is_same_compiler = budget.lines().next().is_some_and(|head| head.ends_with(&compiler()));
    if is_same_compiler { 2 } else { 10 }
}

/// The rows that exceed their budget, each with its figures.
fn exceeding(costs: &[Cost], budget: &str) -> Vec<String> {
    let percent = tolerance(budget);
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let (name, mut number) = (cells.next().unwrap_or_default(), || cells.next().and_then(|cell| cell.parse::<i64>().ok()).unwrap_or(0));
        let (instructions, allocations) = (number(), number());
        match costs.iter().find(|cost| cost.name == name) {
            None => Some(format!("'{name}' is in the budget and was not measured")),
            Some(cost) if cost.instructions * 100 > instructions * (100 + percent) || cost.allocations > allocations => Some(format!(
                "'{name}' costs {} and {}, its budget is {instructions} and {allocations}",
                cost.instructions, cost.allocations
            )),
            Some(_) => None,
        }
    };
    budget.lines().skip(1).filter_map(row).collect()
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("a compiler built this");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs a case, in the measured process.
fn run(work: Work, setup: Setup, mode: &str) {
    let (mut service, client) = set_up(work, setup);
    let template = Template::new();
    let open: Vec<_> = (0..if work == Work::Background { 100 } else { 0 })
        .map(|_| {
            let mut future = Box::pin(service.call(template.request("/open")));
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            future
        })
        .collect();
    let mut expected = 0;
    let mut drained = || {
        expected += if setup == Setup::Export { work.window() } else { 0 };
        // What is down never has less to do.
        while setup != Setup::ServerDown && client.stats().waiting() > 0 || DELIVERED.load(Ordering::Relaxed) < expected {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    };
    // Until the rate is a thousandth, or nearly so.
    let eight_windows = |service: &mut Router| (0..8).for_each(|_| requests(service, &template, work));
    while setup == Setup::ServerDown && thinned(&client, || eight_windows(&mut service)) + 2 < 8 * work.window() as u64 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for _ in 0..WARM_UP {
        requests(&mut service, &template, work);
        drained();
    }
    let mut allocations = 0;
    for _ in 0..if mode == "warm-up" { 0 } else { COUNTED } {
        if mode == "allocations" {
            allocations += allocation_counter::measure(|| counted(&mut service, &template, work)).count_total;
        } else {
            counted(&mut service, &template, work);
        }
        drained();
    }
    drop(open);
    if mode == "allocations" {
        println!("{allocations}");
    }
}

/// How many transactions of `run` are not recorded, because the delivery is behind.
fn thinned(client: &Client, run: impl FnOnce()) -> u64 {
    let count = || {
        client
            .stats()
            .transactions
            .dropped
            .iter()
            .filter(|(reason, _)| *reason == DiscardReason::Backpressure)
            .map(|(_, count)| *count)
            .sum::<u64>()
    };
    let before = count();
    run();
    count() - before
}

/// The code that callgrind counts. It finds this function by its name.
#[inline(never)]
fn counted(service: &mut Router, template: &Template, work: Work) {
    requests(service, template, work);
}

fn requests(service: &mut Router, template: &Template, work: Work) {
    for _ in 0..work.window() {
        let request = match work {
            Work::Background => {
                background();
                continue;
            }
            Work::Strangers => template.stranger(),
            _ => template.request("/users/42/orders/9001?expand=items&currency=EUR"),
        };
        assert_eq!(serve(service, request).is_server_error(), work == Work::Failing);
    }
}

/// Envelopes that the exporter has delivered.
static DELIVERED: AtomicUsize = AtomicUsize::new(0);

fn set_up(work: Work, setup: Setup) -> (Router, Client) {
    let router = router(work);
    let config = Config::builder().panic_hook(false);
    // Redacted and serialised like any envelope, but without the network.
    let counting = |config: ConfigBuilder| {
        config.dsn("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1").transport(|envelope: &[u8]| {
            std::hint::black_box(envelope.len());
            DELIVERED.fetch_add(1, Ordering::Relaxed);
        })
    };
    let config = match setup {
        Setup::Bare => return (router, Client::default()),
        Setup::Recorded | Setup::Export => counting(config).traces_sample_rate(1.0),
        Setup::ServerDown => config.dsn("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1").transport(Down).traces_sample_rate(1.0),
        Setup::ErrorsOnly => counting(config).traces_sample_rate(0.0),
        Setup::NotRecorded | Setup::NotRecordedBoxed | Setup::NotRecordedExclusive => {
            counting(config).traces_sample_rate(0.0).keep_failed(false)
        }
        Setup::Off | Setup::OffBoxed => config,
    };
    let client = Client::from(config.build().expect("settings that are right"));
    let tracing = TracingLayer::new(&client);
    tracing_subscriber::registry().with(if setup == Setup::NotRecordedExclusive { tracing.exclusive() } else { tracing }).init();
    let layer = SentryLayer::new(&client);
    let is_boxed = matches!(setup, Setup::NotRecordedBoxed | Setup::NotRecordedExclusive | Setup::OffBoxed);
    (if is_boxed { router.layer(layer.boxed_body()) } else { router.layer(layer) }, client)
}

/// A server that takes no connection.
struct Down;

impl Transport for Down {
    fn send(&self, _: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::unreachable("connection refused"))))
    }
}

/// A request whose header values are shared bytes, as hyper creates them.
struct Template {
    headers: HeaderMap,
}

impl Template {
    fn new() -> Self {
        let headers = [
            ("host", "shop.example.com"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"),
            ("accept", "application/json, text/plain, */*"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
            ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiIsImV4cCI6MTc2fQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"),
            ("cookie", "sid=8f14e45fceea167a5a36dedd4bea2543; theme=dark; csrftoken=9d5ed678fe57bcca"),
            ("referer", "https://shop.example.com/users/42"),
            ("x-request-id", "6f1c2b1e-8a0f-4b9e-9d43-0a4b9ef0c1d2"),
            ("x-forwarded-for", "203.0.113.7, 10.1.2.3"),
        ];
        let headers = headers.into_iter().map(|(name, value)| {
            let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value.as_bytes())).expect("a value of ASCII");
            (HeaderName::from_static(name), value)
        });
        Self { headers: headers.collect() }
    }

    fn request(&self, target: &'static str) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(target);
        request.headers_mut().clone_from(&self.headers);
        request
    }
}

impl Template {
    /// A request whose path, query and client were not seen before.
    fn stranger(&self) -> Request<Body> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut request = self.request("/");
        *request.uri_mut() = format!("/users/{number}/orders/{}?expand=items{number}&currency=EUR", number * 7).parse().expect("a target");
        for (name, value) in [
            (
                "user-agent",
                format!("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{number}.0.0.0 Safari/537.36"),
            ),
            ("referer", format!("https://shop.example.com/users/{number}")),
            ("x-request-id", format!("6f1c2b1e-8a0f-4b9e-9d43-{number:012x}")),
        ] {
            request.headers_mut().insert(name, HeaderValue::try_from(value).expect("a value of ASCII"));
        }
        request
    }
}

/// Drives a request to the end of its response body.
#[inline(never)]
fn serve(service: &mut Router, request: Request<Body>) -> StatusCode {
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(request));
    let response = loop {
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) {
            break response;
        }
    };
    let status = response.status();
    let mut body = pin!(response.into_body());
    while !matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)) {}
    status
}

struct Order {
    rows: u64,
    total: f64,
    status: &'static str,
}

fn router(work: Work) -> Router {
    const ROUTE: &str = "/users/{id}/orders/{order}";
    let router = Router::new().route("/open", get(|| async { std::future::pending::<()>().await }));
    match work {
        Work::NoSpans => router.route(ROUTE, get(no_spans)),
        Work::FiveSpans | Work::Strangers | Work::Background => router.route(ROUTE, get(five_spans)),
        Work::TwentySpans => router.route(ROUTE, get(twenty_spans)),
        Work::ThousandSpans => router.route(ROUTE, get(thousand_spans)),
        Work::Failing => router.route(ROUTE, get(failing)),
    }
}

async fn no_spans(Path((id, order)): Path<(u64, u64)>) -> Response {
    suspend().await;
    std::hint::black_box((id, order));
    answer()
}

#[instrument(name = "get_order", skip_all, fields(user.id = id, order.id = order))]
async fn five_spans(Path((id, order)): Path<(u64, u64)>) -> Response {
    authorize(id, "orders:read").await;
    let found = fetch_order(id, order).await;
    tracing::info!(rows = found.rows, status = found.status, "order loaded");
    render(&found).await
}

#[instrument(name = "get_order", skip_all, fields(user.id = id, order.id = order))]
async fn twenty_spans(Path((id, order)): Path<(u64, u64)>) -> Response {
    authorize(id, "orders:read").await;
    let mut found = fetch_order(id, order).await;
    for next in 1..8 {
        found = fetch_order(id, order + next).await;
    }
    tracing::info!(rows = found.rows, status = found.status, "order loaded");
    render(&found).await;
    render(&found).await
}

async fn thousand_spans(Path((id, order)): Path<(u64, u64)>) -> Response {
    for next in 0..500 {
        fetch_order(id, order + next).await;
    }
    answer()
}

#[instrument(name = "get_order", skip_all, fields(user.id = id, order.id = order))]
async fn failing(Path((id, order)): Path<(u64, u64)>) -> Response {
    authorize(id, "orders:read").await;
    let found = fetch_order(id, order).await;
    let error = std::io::Error::other("connection reset by peer");
    tracing::error!(error = &error as &dyn std::error::Error, order.id = order, "loading the order failed");
    render(&found).await;
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
}

#[instrument]
async fn authorize(user_id: u64, scope: &'static str) -> bool {
    tracing::info!(user_id, "access granted");
    std::hint::black_box(user_id == 42)
}

#[instrument(skip_all, fields(user_id = user, order = order, cache = "miss"))]
async fn fetch_order(user: u64, order: u64) -> Order {
    query("SELECT id, total, status FROM orders WHERE user_id = $1 AND id = $2", user, order).await
}

#[instrument(name = "db.query", skip_all, fields(db.system = "postgresql", db.statement = %sql, db.rows = Empty))]
async fn query(sql: &str, user: u64, order: u64) -> Order {
    suspend().await;
    std::hint::black_box((user, order));
    Span::current().record("db.rows", 1_u64);
    Order { rows: 1, total: 129.9, status: "shipped" }
}

#[instrument(skip_all, fields(format = "json", total = order.total, status = ?order.status))]
async fn render(order: &Order) -> Response {
    std::hint::black_box(order.total);
    answer()
}

fn answer() -> Response {
    (StatusCode::OK, [("content-type", "application/json")], r#"{"id":9001,"user":42,"status":"shipped","total":129.9,"currency":"EUR"}"#)
        .into_response()
}

/// Creates application spans outside any request.
#[inline(never)]
fn background() {
    for _ in 0..5 {
        let mut work = pin!(async { suspend().await }.instrument(info_span!("sweep", shard = 7_u64)));
        let mut cx = Context::from_waker(Waker::noop());
        while work.as_mut().poll(&mut cx).is_pending() {}
    }
}

/// Suspends once, without a runtime.
async fn suspend() {
    let mut has_yielded = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
