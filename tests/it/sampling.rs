//! Which requests are sent.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::{any, get};
use serde_json::Value;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::incoming::{ResponseBody, RouteOptions, RouteTable};
use tower_sentry::protocol::{Attachment, Feedback};
use tower_sentry::test::HandClock;
use tower_sentry::{CaptureError, Client, Config, ConfigBuilder, Counts, Level, Scope, SentryLayer, Stats, TrustParent};

use crate::support::{self, Relay, Server};

async fn service(client: &Client) -> Server {
    let fails = || async {
        tower_sentry::capture_message(Level::Warning, "noted");
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let app = Router::new()
        .route("/plain", get(|| async { "ok" }))
        .route("/always/{id}", get(|| async { "ok" }))
        .route("/never", get(fails))
        .route("/healthz", get(fails))
        .route("/fails", get(fails));
    Server::start(
        app.layer(
            SentryLayer::new(client)
                .ignore(["/healthz"])
                .route("/always/{id}", RouteOptions::new().sample_rate(1.0))
                .route("GET /never", RouteOptions::new().sample_rate(0.0)),
        ),
    )
    .await
}

fn names(relay: &Relay) -> Vec<Value> {
    relay.transactions().iter().map(|transaction| transaction["transaction"].clone()).collect()
}

/// A rate under which nothing is sampled in a test, and yet not the final zero.
const HARDLY: f64 = 1e-5;

#[tokio::test]
async fn routes_have_their_own_rates_and_failures_are_kept() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(HARDLY).build().unwrap());
    let server = service(&client).await;

    for path in ["/plain", "/always/1", "/never", "/healthz", "/fails"] {
        support::get(&server, path).await;
    }
    support::settle(&client).await;

    assert_eq!(names(&relay), ["GET /always/{id}", "GET /fails"]);
    let kept = &relay.transactions()[1]["contexts"]["trace"]["data"];
    assert_eq!(kept["tower_sentry.kept"], "failed");
    let events: Vec<_> =
        relay.events().iter().filter(|event| event["level"] == "error").map(|event| event["transaction"].clone()).collect();
    assert_eq!(events, ["GET /never", "GET /fails"], "a rate of zero keeps its errors, an ignored route has none");
    let transactions = client.stats().transactions;
    assert_eq!((transactions.captured, transactions.sent, transactions.dropped_total()), (4, 2, 2), "the ignored one is not counted");
    let reported = relay.reported();
    let not_sampled = reported.iter().filter(|(reason, category, _)| reason == "sample_rate" && category == "transaction");
    assert_eq!(not_sampled.map(|(_, _, quantity)| quantity).sum::<u64>(), 2, "the server knows of each: {reported:?}");
}

#[tokio::test]
async fn nothing_is_kept_when_asked_not_to() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(HARDLY).keep_failed(false).build().unwrap());
    let server = service(&client).await;

    support::get(&server, "/fails").await;
    support::settle(&client).await;

    assert_eq!(names(&relay), [Value::Null; 0]);
    let event = &relay.events()[0];
    assert_eq!((&event["transaction"], &event["request"]["method"]), (&"GET /fails".into(), &"GET".into()), "its events know the request");
}

#[tokio::test]
async fn traces_of_others_are_continued() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let server = service(&client).await;
    let header = |flag: &str| format!("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12{flag}");
    let baggage = "other=1,sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=fedcba9876543210fedcba9876543210,sentry-sample_rate=0.5,sentry-sample_rand=0.25";

    support::request(&server, Request::get("/plain").header("sentry-trace", header("-1")).header("baggage", baggage)).await;
    support::request(&server, Request::get("/plain").header("sentry-trace", header("-0"))).await;
    support::request(&server, Request::get("/plain").header("sentry-trace", "garbage").header("baggage", baggage)).await;
    support::settle(&client).await;

    let transactions = relay.transactions();
    assert_eq!(transactions.len(), 2, "the parent's no was followed");
    let trace = &transactions[0]["contexts"]["trace"];
    assert_eq!((&trace["trace_id"], &trace["parent_span_id"]), (&"771a43a4192642f0b136d5159a501700".into(), &"b0e6f15b45c36b12".into()));
    assert_ne!(transactions[1]["contexts"]["trace"]["trace_id"], trace["trace_id"], "garbage continues nothing");
    let headers: Vec<_> =
        relay.received().iter().map(|received| received.items().0).filter(|header| header.get("trace").is_some()).collect();
    let frozen = &headers[0]["trace"];
    assert_eq!(
        (&frozen["public_key"], &frozen["sample_rate"], frozen.get("other")),
        (&"fedcba9876543210fedcba9876543210".into(), &"0.5".into(), None)
    );
    let own = &headers[1]["trace"];
    assert_eq!(
        (&own["public_key"], &own["transaction"], &own["sampled"]),
        (&"0123456789abcdef0123456789abcdef".into(), &"GET /plain".into(), &"true".into())
    );
}

/// The parent in the traces of others.
const SPAN: &str = "b0e6f15b45c36b12";

/// A service that does nothing, and whose caller is told what was decided about the request.
fn bare(client: &Client) -> impl Service<Request<()>, Response = Response<ResponseBody<String>>, Error = Infallible> + use<> {
    let answer = service_fn(|_: Request<()>| async { Ok(Response::new(String::new())) });
    SentryLayer::new(client).server_timing().layer(answer)
}

/// What services with this rate decide about traces that others began and left open, one after the other.
async fn decisions(rate: f64, traces: impl IntoIterator<Item = u128>) -> Vec<bool> {
    let mut service = bare(&that_decides(rate).await);
    let clock = HandClock::start();
    let mut decided = Vec::new();
    for trace in traces {
        // As long as a request needs to be granted out of the budget alone: the rate decides, and nothing else.
        clock.advance(Duration::from_millis(100));
        let request = Request::get("/").header("sentry-trace", format!("{trace:032x}-{SPAN}"));
        let (_, sampled) = told(&service.call(request.body(()).unwrap()).await.unwrap());
        decided.push(sampled);
    }
    decided
}

/// A client that decides about requests and is spared the work of sending them.
async fn that_decides(rate: f64) -> Client {
    let (client, _) = tower_sentry::test::client_with(Config::builder().traces_sample_rate(rate));
    client.shutdown(support::patience()).await.unwrap();
    client
}

/// What a browser is told: the id of the trace, and whether it is sampled.
fn told<B>(response: &Response<B>) -> (u128, bool) {
    let text = response.headers()["server-timing"].to_str().unwrap();
    let (trace, rest) = text.strip_prefix("sentry-trace;desc=\"").unwrap().split_once('-').unwrap();
    (u128::from_str_radix(trace, 16).unwrap(), rest.ends_with("-1\""))
}

/// The same ids in each process.
fn traces(count: usize) -> impl Iterator<Item = u128> {
    let mut random = fastrand::Rng::with_seed(31);
    (0..count).map(move |_| random.u128(1..))
}

#[tokio::test]
async fn rate_bounds() {
    const DECIDED: &str = "TOWER_SENTRY_TEST_DECIDED";
    let here: String = decisions(0.25, traces(10_000)).await.into_iter().map(|sampled| if sampled { '1' } else { '0' }).collect();
    if let Ok(there) = std::env::var(DECIDED) {
        assert_eq!(here, there, "two processes decide differently about the same traces");
        return;
    }
    support::in_child("sampling::rate_bounds", &[(DECIDED, &here)]);

    for rate in [0.01, 0.1, 0.25, 0.9] {
        const DRAWS: usize = 50_000;
        let sampled = decisions(rate, traces(DRAWS)).await.into_iter().filter(|sampled| *sampled).count() as f64;
        let (mean, deviation) = (DRAWS as f64 * rate, (DRAWS as f64 * rate * (1.0 - rate)).sqrt());
        assert!((sampled - mean).abs() < 4.0 * deviation, "{sampled} of {DRAWS} at a rate of {rate}");
    }
}

#[tokio::test]
async fn who_begins_a_trace_and_who_continues_it_decide_alike() {
    let mut first = bare(&that_decides(0.3).await);
    let (mut began, mut decided) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        let (trace, sampled) = told(&first.call(Request::new(())).await.unwrap());
        began.push(trace);
        decided.push(sampled);
    }

    let continued = decisions(0.3, began).await;

    assert_eq!(continued, decided);
}

/// The rate that was applied to the request that is current, as the next service hears it. A rate of one was a yes, one of zero a no.
fn applied() -> String {
    let mut headers = HashMap::new();
    Scope::current().inject(&mut headers);
    let rate = headers["baggage"].split(',').find_map(|member| member.strip_prefix("sentry-sample_rate=")).unwrap();
    let flag = headers["sentry-trace"].rsplit('-').next().unwrap();
    assert!(flag == rate || !matches!(rate, "0" | "1"), "decided {flag} at a rate of {rate}");
    rate.to_owned()
}

/// Where the rows of a table come from.
#[derive(Clone, Copy, Debug)]
enum From {
    Layer,
    Code,
    Variable,
    File,
    Update,
    /// Every other one from the layer, the rest from a variable.
    Mixed,
}

/// A client, and the rows for its layer.
fn with_rows<'a>(from: From, rows: &'a [(&'a str, f64)]) -> (Client, Vec<(&'a str, f64)>) {
    let config = || {
        let dsn = "https://0123456789abcdef0123456789abcdef@sentry.example/1";
        Config::builder().dsn(dsn).traces_sample_rate(0.1)
    };
    // A layer leaves a bad row out. As data, it is an error.
    let good = || rows.iter().copied().filter(|(_, rate)| *rate <= 1.0);
    let json = |rows: Vec<(&str, f64)>| {
        let rows = rows.into_iter().map(|(route, rate)| (route.to_owned(), serde_json::json!({ "sample_rate": rate })));
        Value::Object(rows.collect()).to_string()
    };
    let of_variable = |rows| config().from_vars([("SENTRY_ROUTES", json(rows))]);
    let all = || json(good().collect());
    let (config, of_layer) = match from {
        From::Layer => (config(), rows.to_vec()),
        From::Code => (config().routes(RouteTable::from_json(&all()).unwrap()), Vec::new()),
        From::Variable => (of_variable(good().collect()), Vec::new()),
        From::File => {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("settings.json");
            std::fs::write(&path, format!(r#"{{"routes": {}}}"#, all())).unwrap();
            return (tower_sentry::test::client_with(config().settings_file(path)).0, Vec::new());
        }
        From::Update => (config(), Vec::new()),
        From::Mixed => {
            // Later rows replace earlier ones, so those of one route stay together.
            let is_of_layer = |route: &str| route.ends_with("/again") || route.len().is_multiple_of(2);
            let (of_layer, others) = good().partition::<Vec<_>, _>(|(route, _)| is_of_layer(route));
            (of_variable(others), of_layer)
        }
    };
    let (client, _) = tower_sentry::test::client_with(config);
    if matches!(from, From::Update) {
        let add = |table: RouteTable, (route, rate)| table.route(route, RouteOptions::new().sample_rate(rate));
        client.update(|settings| settings.routes = good().fold(RouteTable::new(), add)).unwrap();
    }
    (client, of_layer)
}

#[tokio::test]
async fn route_table() {
    for from in [From::Layer, From::Code, From::Variable, From::File, From::Update, From::Mixed] {
        assert_eq!(wrong_rows(from).await, "", "{from:?}");
    }
}

/// What the rows of a table decide about 40 requests, where that is wrong.
async fn wrong_rows(from: From) -> String {
    let rows = [
        ("/", 0.9),
        ("/always", 1.0),
        ("/never", 0.0),
        ("/checkout/{id}", 0.5),
        ("GET /checkout/{id}", 1.0),
        ("post /checkout/{id}", 0.75),
        ("/checkout/mine", 0.0),
        ("/assets/{*path}", 0.0),
        ("/assets/logos/{name}", 0.2),
        ("/assets/logos/main", 1.0),
        ("/api/{*rest}", 0.3),
        ("/api/orders/{id}", 0.4),
        ("DELETE /api/orders/{id}", 0.0),
        ("/api/orders/{id}/items/{item}", 0.6),
        ("/api/orders/latest", 1.0),
        ("PUT /only", 1.0),
        ("/again", 0.0),
        ("/again", 0.35),
        ("GET /again", 0.0),
        ("GET /again", 0.7),
        ("/wrong", 7.0),
        ("/hidden", 0.0),
        ("/unrouted/{*rest}", 0.8),
    ];
    let (client, rows) = with_rows(from, &rows);
    let layer =
        rows.into_iter().fold(SentryLayer::new(&client), |layer, (route, rate)| layer.route(route, RouteOptions::new().sample_rate(rate)));
    // The layer inside of a router knows the templates, and outside of everything it sees paths only.
    let tell = || any(|| async { applied() });
    let orders = Router::new().route("/orders/{id}", tell()).route("/orders/latest", tell()).route("/{*rest}", tell());
    let inside = ["/", "/always", "/never", "/checkout/{id}", "/checkout/mine", "/assets/{*path}", "/only", "/again", "/wrong", "/{page}"]
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route, tell()))
        .nest("/api", orders)
        .fallback(|| async { applied() })
        .layer(layer.clone());
    let outside = layer.layer(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from(applied()))) }));
    let rows = [
        ("GET /", "0.9", "0.9"),
        ("GET /always", "1", "1"),
        ("GET /always?of=no-matter", "1", "1"),
        ("GET /never", "0", "0"),
        ("DELETE /never", "0", "0"),
        // A row with the method goes before one without.
        ("GET /checkout/7", "1", "1"),
        ("GET /checkout/8", "1", "1"),
        ("POST /checkout/7", "0.75", "0.75"),
        ("PUT /checkout/7", "0.5", "0.5"),
        ("OPTIONS /checkout/7", "0.5", "0.5"),
        ("PATCH /checkout/7", "0.5", "0.5"),
        ("PUT /only", "1", "1"),
        ("GET /only", "0.1", "0.1"),
        // A name goes before a parameter, whatever their order is.
        ("GET /checkout/mine", "0", "0"),
        ("POST /checkout/mine", "0", "0"),
        // What stands below a prefix: the longest row counts.
        ("GET /assets/app.css", "0", "0"),
        ("GET /assets/fonts/serif/bold.woff", "0", "0"),
        ("GET /api/users", "0.3", "0.3"),
        ("GET /api/users/7/settings", "0.3", "0.3"),
        ("GET /api/orders/7", "0.4", "0.4"),
        ("PUT /api/orders/7", "0.4", "0.4"),
        ("DELETE /api/orders/7", "0", "0"),
        ("GET /api/orders/latest", "1", "1"),
        ("DELETE /api/orders/latest", "1", "1"),
        ("GET /api/orders", "0.3", "0.3"),
        // The later of two rows for the same route, and none of one that cannot be used.
        ("GET /again", "0.7", "0.7"),
        ("POST /again", "0.35", "0.35"),
        ("GET /wrong", "0.1", "0.1"),
        // Below a wildcard of the router, the most specific row counts.
        ("GET /assets/logos/small", "0.2", "0.2"),
        ("GET /assets/logos/main", "1", "1"),
        ("GET /api/orders/7/items/1", "0.6", "0.6"),
        // Where the router has chosen another template, it must be the row's own.
        ("GET /hidden", "0.1", "0"),
        // Where it has none, the path counts.
        ("GET /unrouted/a", "0.8", "0.8"),
        ("POST /unrouted/a/b", "0.8", "0.8"),
        // No row: the client's own rate.
        ("GET /other", "0.1", "0.1"),
        ("GET /neverland", "0.1", "0.1"),
        ("GET /always/more", "0.1", "0.1"),
        ("GET /checkout", "0.1", "0.1"),
        ("GET /checkout/7/pay", "0.1", "0.1"),
        ("GET /unrouted", "0.1", "0.1"),
    ];
    assert_eq!(rows.len(), 40);

    let mut wrong = String::new();
    for (asked, of_template, of_path) in rows {
        let (method, path) = asked.split_once(' ').unwrap();
        let request = || Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        for (place, expected, response) in [
            ("inside", of_template, inside.clone().oneshot(request()).await.unwrap()),
            ("outside", of_path, outside.clone().oneshot(request()).await.unwrap().map(Body::new)),
        ] {
            let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            let found = String::from_utf8_lossy(&body);
            if found != expected {
                writeln!(wrong, "{asked}, {place} of the router: {found} in place of {expected}").unwrap();
            }
        }
    }

    wrong
}

#[tokio::test]
async fn forged_header() {
    let start = |rate: f64, trust: TrustParent| {
        let relay = Relay::start();
        // Nothing is to be dropped for other reasons.
        let config = support::config(&relay).queue_items(10_000).queue_bytes(1 << 30);
        let client = Client::from(config.traces_sample_rate(rate).trust_parent(trust).build().unwrap());
        (relay, client)
    };
    // Budgets count the time since the first of all requests: that is not to lie behind the moment at which the clock stands.
    forge(&start(HARDLY, TrustParent::WithinBudget).1, 1..=1, "-1").await;
    let clock = HandClock::start();

    for flag in ["-1", ""] {
        let (relay, client) = start(HARDLY, TrustParent::WithinBudget);
        let granted = async |traces: RangeInclusive<u128>| {
            let before = sampled(&client);
            forge(&client, traces, flag).await;
            sampled(&client) - before
        };
        assert_eq!(granted(1..=10_000).await, 100, "followed up to the burst, flag '{flag}'");
        clock.advance(Duration::from_secs(1));
        assert_eq!(granted(1..=1000).await, 10, "a second later, flag '{flag}'");
        clock.advance(Duration::from_secs(10 * 60 * 60));
        assert_eq!(granted(1..=1000).await, 100, "after a quiet night, flag '{flag}'");
        support::settle(&client).await;
        assert_eq!(linked(&relay, |trace| trace <= 10_000), 210, "flag '{flag}'");
    }

    // An id that a service with this rate would choose if it were a trace of its own.
    const CHOSEN: u128 = 0x771a_43a4_1926_42f0_b136_d515_9a50_1700;
    let (relay, client) = start(0.13, TrustParent::Never);
    forge(&client, std::iter::repeat_n(CHOSEN, 10_000), "-1").await;
    support::settle(&client).await;
    let sent = linked(&relay, |trace| trace == CHOSEN);
    // By numbers of our own: five standard deviations are 168.
    assert!(sent.abs_diff(1300) < 168, "{sent} of 10,000 at a rate of 0.13");
}

/// How many of 2,000 requests with a sampled parent arrive, all at once, and how many of the client's own accounts say so.
async fn of_2000(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> usize {
    let relay = Relay::start();
    // Nothing is to be dropped for other reasons.
    let config = support::config(&relay).queue_items(10_000).queue_bytes(1 << 30).traces_sample_rate(0.1);
    let client = Client::from(change(config).build().unwrap());
    forge(&client, 1..=1, "-0").await;
    let clock = HandClock::start();

    forge(&client, 1..=2000, "-1").await;

    drop(clock);
    support::settle(&client).await;
    let sent = linked(&relay, |trace| trace <= 2000);
    assert_eq!(client.stats().transactions.sent, sent as u64);
    sent
}

#[tokio::test]
async fn a_trusted_callers_trace_is_whole_and_an_untrusted_one_adds_at_most_the_budget() {
    // The own rate of 0.1 earns 200, and 100 may be added at once.
    let within = 299..=300;

    assert_eq!(of_2000(|config| config.trust_parent(TrustParent::Always)).await, 2000, "a caller that is trusted");
    assert!(within.contains(&of_2000(|config| config).await), "by default, nothing proves who calls");
    // The baggage of `forge` names no organisation, and an address of this machine has none.
    let strangers = of_2000(|config| config.trust_parent(TrustParent::SameOrganization)).await;
    assert!(strangers.abs_diff(200) < 81, "six standard deviations of the own rate: {strangers}");
    // Ten seconds' worth, and at least 100.
    assert!((599..=600).contains(&of_2000(|config| config.parent_budget(40.0)).await));
    assert!(within.contains(&of_2000(|config| config.parent_budget(0.0)).await), "what is added at once, and nothing later");
    assert_eq!(of_2000(|config| config.parent_budget(f64::INFINITY)).await, 2000);
}

#[tokio::test]
async fn a_trusted_callers_no_is_followed_and_a_zero_rate_is_final() {
    let relay = Relay::start();
    let trusting =
        |rate: f64| Client::from(support::config(&relay).traces_sample_rate(rate).trust_parent(TrustParent::Always).build().unwrap());
    let (all, none) = (trusting(1.0), trusting(0.0));

    forge(&all, 1..=10, "-0").await;
    forge(&none, 1..=10, "-1").await;
    // Undecided: the number that the caller chose is below our rate.
    forge(&all, 11..=12, "").await;
    support::settle(&all).await;
    support::settle(&none).await;

    assert_eq!(linked(&relay, |trace| (11..=12).contains(&trace)), 2);
}

/// One request in each of these traces: with a flag, or with a number that is below any rate.
async fn forge(client: &Client, traces: impl IntoIterator<Item = u128>, flag: &str) {
    let mut service = bare(client);
    for trace in traces {
        let request = Request::get("/").header("sentry-trace", format!("{trace:032x}-{SPAN}{flag}"));
        let request = request.header("baggage", "sentry-sample_rand=0.000000");
        drop(service.call(request.body(()).unwrap()).await.unwrap());
    }
}

/// How many transactions were sampled so far.
fn sampled(client: &Client) -> u64 {
    let counts = client.stats().transactions;
    counts.captured - counts.dropped_total()
}

/// How many transactions arrived, each of which hangs below a trace that came in.
fn linked(relay: &Relay, came_in: impl Fn(u128) -> bool) -> usize {
    let transactions = relay.transactions();
    for transaction in &transactions {
        let trace = &transaction["contexts"]["trace"];
        let id = u128::from_str_radix(trace["trace_id"].as_str().unwrap(), 16).unwrap();
        assert!(came_in(id) && trace["parent_span_id"] == SPAN, "{trace}");
    }
    transactions.len()
}

#[tokio::test]
async fn ignored() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").enable_logs(true).build().unwrap());
    let noisy = || async {
        Scope::current().set_tag("plan", "gold").add_attachment(Attachment::new("order.json", "{}"));
        Scope::current().capture_feedback(Feedback::new("too slow"));
        tracing::info!("a line");
        tracing::error!("the disk is full");
        tower_sentry::capture_error(&std::io::Error::other("the disk is full"));
        tower_sentry::capture_message(Level::Fatal, "noted");
        tower_sentry::span("db.query", "SELECT 1", async {}).await;
        let frames = futures_util::stream::iter([Ok("a frame"), Err(std::io::Error::other("in the body"))]);
        (StatusCode::INTERNAL_SERVER_ERROR, Body::from_stream(frames))
    };
    let crash = || async {
        let crashes = std::hint::black_box(true);
        assert!(!crashes, "a crash");
    };
    let layer = SentryLayer::new(&client).ignore(["/healthz", "/crash", "/favicon.ico"]).ignore_errors();
    let layer =
        layer.route("/internal/{*rest}", RouteOptions::new().ignore().ignore_errors()).route("GET /poll", RouteOptions::new().ignore());
    let layer = layer.ignore_if(|request| match request.uri().path() {
        "/panics" => panic!("the user's function"),
        path => path == "/opted-out",
    });
    let app = Router::new()
        .route("/healthz", get(noisy))
        .route("/internal/{*rest}", get(noisy))
        .route("/opted-out", get(noisy))
        .route("/panics", get(noisy))
        .route("/poll", get(noisy).post(|| async { "ok" }))
        .route("/crash", get(crash))
        .layer(layer)
        .layer(CatchPanicLayer::new());
    let ask = async |method: &str, path: &str| {
        let response = app.clone().oneshot(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        // It may break off.
        let _ = axum::body::to_bytes(response.into_body(), 1000).await;
        status
    };

    let mut codes = Vec::new();
    // A 404 on an ignored path is as silent.
    for path in ["/healthz", "/internal/metrics", "/poll", "/crash", "/favicon.ico", "/opted-out", "/panics"] {
        codes.push(ask("GET", path).await);
    }
    client.flush(support::patience()).await.unwrap();

    assert_eq!(codes, [500, 500, 500, 500, 404, 500, 500]);
    assert_eq!(client.stats(), Stats::default());
    assert!(relay.received().is_empty(), "bytes for ignored routes: {:?}", relay.received());

    // What is not ignored arrives, and is all that does.
    ask("POST", "/poll").await;
    support::settle(&client).await;
    assert_eq!(names(&relay), ["POST /poll"]);
    assert_eq!((relay.events().len(), relay.payloads("log").len(), relay.payloads("feedback").len()), (0, 0, 0));
    assert_eq!(relay.payloads("sessions")[0]["aggregates"][0]["exited"], 1);
}

#[tokio::test]
async fn errors_of_ignored_routes_are_reported_and_nothing_else() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").enable_logs(true).panic_hook(true).build().unwrap());
    let captures = || async {
        Scope::current().set_tag("plan", "gold");
        tracing::info!("a line");
        tower_sentry::span("db.query", "SELECT 1", async {}).await;
        let error = std::io::Error::other("the disk is full");
        tracing::error!(error = &error as &dyn std::error::Error, "storing failed");
        tower_sentry::capture_error(&error);
        (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(error))
    };
    let crash = || async {
        let crashes = std::hint::black_box(true);
        assert!(!crashes, "a crash");
    };
    let app = Router::new()
        .route("/captures/{id}", get(captures))
        .route("/answers", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/crash", get(crash))
        .route("/silent", get(captures))
        .layer(
            SentryLayer::new(&client)
                .ignore(["/captures/{id}", "/answers", "/crash"])
                .route("/silent", RouteOptions::new().ignore().ignore_errors())
                .log_span()
                .trace_header("x-trace-id"),
        )
        .layer(CatchPanicLayer::new());

    for path in ["/captures/7?page=2", "/answers", "/crash", "/silent"] {
        let response = app.clone().oneshot(Request::get(path).header("host", "shop.example").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!((response.status(), response.headers().get("x-trace-id")), (StatusCode::INTERNAL_SERVER_ERROR, None), "{path}");
    }
    support::settle(&client).await;

    let events = relay.events();
    let names: Vec<_> = events.iter().map(|event| event["transaction"].as_str().unwrap()).collect();
    // What was logged, captured and returned is one event, as in any request.
    assert_eq!(names, ["GET /captures/{id}", "GET /crash"]);
    let event = &events[0];
    assert_eq!((&event["request"]["url"], &event["tags"]["plan"]), (&"http://shop.example/captures/7".into(), &"gold".into()));
    assert_eq!(event["contexts"]["response"]["status_code"], 500);
    assert_eq!(relay.transactions().len() + relay.payloads("log").len() + relay.payloads("sessions").len(), 0);
    let stats = client.stats();
    assert_eq!((stats.errors.captured, stats.transactions, stats.spans), (2, Counts::default(), Counts::default()));
}
