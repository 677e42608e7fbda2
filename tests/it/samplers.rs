//! Rates that a function chooses, the rate of errors, and presets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::DiscardReason;
use tower_sentry::sampling::{Rate, SamplerContext, TracesTarget};
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Config, ConfigBuilder, Level, Preset, SentryLayer, TrustParent};

use crate::support::{self, Relay, Shown};

/// A rate under which nothing is sampled in a test, and yet not the final zero.
const HARDLY: f64 = 1e-9;

#[derive(Clone)]
struct Tenant(&'static str);

fn app(client: &Client) -> Router {
    let fails = || async { StatusCode::INTERNAL_SERVER_ERROR };
    Router::new()
        .route("/orders/{id}", get(|| async { "ok" }).post(|| async { "ok" }))
        .route("/fails", get(fails))
        .route("/own", get(|| async { "ok" }))
        .layer(SentryLayer::new(client).route("/own", RouteOptions::new().sample_rate(1.0)))
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn visit(app: &Router, request: Request<Body>) {
    drop(app.clone().oneshot(request).await.unwrap());
}

/// How many transactions of each name are sent.
async fn sent(config: ConfigBuilder, requests: Vec<Request<Body>>) -> BTreeMap<String, usize> {
    let relay = Relay::start();
    let client = Client::from(config.dsn(relay.dsn()).build().unwrap());
    let app = app(&client);
    for request in requests {
        visit(&app, request).await;
    }
    client.transaction("import").op("task.import").run_infallible(async {}).await;
    client.transaction("own").sample_rate(1.0).run_infallible(async {}).await;
    support::settle(&client).await;
    let mut names = BTreeMap::new();
    for transaction in relay.transactions() {
        *names.entry(transaction["transaction"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    names
}

fn names(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

fn config(rate: f64) -> ConfigBuilder {
    support::to("").traces_sample_rate(rate).panic_hook(false)
}

#[tokio::test]
async fn a_function_sees_what_is_known_and_chooses_the_rate() {
    type Sampler = fn(&SamplerContext<'_>) -> Rate;
    let rows: [(&str, Sampler, &[&str]); 9] = [
        (
            "route",
            |context| (context.route() == Some("/orders/{id}")).into(),
            &["GET /orders/{id}", "POST /orders/{id}", "GET /own", "own"],
        ),
        ("method", |context| (context.method() == Some(&Method::POST)).into(), &["POST /orders/{id}", "GET /own", "own"]),
        ("header", |context| (context.header("x-plan") == Some("gold")).into(), &["POST /orders/{id}", "GET /own", "own"]),
        ("target", |context| context.uri().is_some_and(|uri| uri.query() == Some("q=1")).into(), &["GET /orders/{id}", "GET /own", "own"]),
        (
            "extension",
            |context| context.extensions().and_then(|all| all.get::<Tenant>()).is_some_and(|tenant| tenant.0 == "shop").into(),
            &["GET /orders/{id}", "GET /own", "own"],
        ),
        ("job", |context| (context.job() == Some("import")).into(), &["GET /own", "import", "own"]),
        ("op", |context| (context.op() == "task.import").into(), &["GET /own", "import", "own"]),
        ("unchanged", |_| Rate::Unchanged, &["GET /fails", "GET /own", "own"]),
        ("a number that is none", |_| Rate::Fixed(f64::NAN), &["GET /fails", "GET /own", "own"]),
    ];
    for (name, sampler, expected) in rows {
        let mut first = request("/orders/7?q=1");
        first.extensions_mut().insert(Tenant("shop"));
        let post = Request::post("/orders/8").header("x-plan", "gold").body(Body::empty()).unwrap();

        let seen = sent(config(HARDLY).traces_sampler(sampler), vec![first, post, request("/fails"), request("/own")]).await;

        assert_eq!(seen, names(expected), "{name}");
    }
}

/// The headers of a request, by its number.
type Headers = fn(u32) -> Vec<(&'static str, String)>;

/// Each request has the number that decides about it: spread evenly, so that chance has no part in it.
fn evenly(number: u32) -> Vec<(&'static str, String)> {
    let trace = format!("{:032x}", number + 1);
    let decides = (f64::from(number) * 0.618_034).fract();
    vec![
        ("sentry-trace", format!("{trace}-0123456789abcdef")),
        ("baggage", format!("sentry-trace_id={trace},sentry-public_key=abc,sentry-sample_rand={decides:.6}")),
    ]
}

/// What is sent in half a minute: twenty requests a second of one route, one in ten seconds of another, one a second with its own rate.
async fn in_half_a_minute(config: ConfigBuilder, headers: Headers) -> BTreeMap<String, Vec<f64>> {
    let relay = Relay::start();
    let clock = HandClock::start();
    let client = Client::from(config.dsn(relay.dsn()).build().unwrap());
    let app = app(&client);
    let mut numbers = 0..;
    let mut with_headers = |mut request: Request<Body>| {
        for (name, value) in headers(numbers.next().unwrap()) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    for second in 0..30 {
        for _ in 0..20 {
            visit(&app, with_headers(request("/orders/7"))).await;
        }
        if second % 10 == 5 {
            let mut post = request("/orders/7");
            *post.method_mut() = Method::POST;
            visit(&app, with_headers(post)).await;
        }
        visit(&app, request("/own")).await;
        clock.advance(Duration::from_secs(1));
    }
    support::settle(&client).await;
    let mut sent = BTreeMap::<_, Vec<_>>::new();
    for transaction in relay.transactions() {
        let rate = transaction["contexts"]["trace"]["data"]["sentry.sample_rate"].as_f64().unwrap();
        sent.entry(transaction["transaction"].as_str().unwrap().to_owned()).or_default().push(rate);
    }
    sent
}

#[tokio::test]
async fn a_target_thins_what_comes_often_and_keeps_what_is_rare() {
    let target = |per_second| config(HARDLY).traces_target(TracesTarget::per_second(per_second));

    let sent = in_half_a_minute(target(2.0).trust_parent(TrustParent::Always), evenly).await;
    let [own, often, rare] = ["GET /own", "GET /orders/{id}", "POST /orders/{id}"].map(|name| &sent[name]);
    assert_eq!(own.len(), 30, "a route with a rate of its own");
    assert!((50..70).contains(&often.len()), "two a second, of twenty: {}", often.len());
    assert_eq!(rare.first(), Some(&1.0), "{rare:?}");
    assert!(often.iter().skip(20).all(|rate| *rate < 0.5), "each has its rate: {often:?}");
    let estimate: f64 = often.iter().map(|rate| 1.0 / rate).sum();
    assert!((500.0..700.0).contains(&estimate), "of 600: {estimate}");

    let all = in_half_a_minute(target(1000.0), |_| Vec::new()).await;
    assert_eq!(all["GET /orders/{id}"], [1.0; 600], "the target is more than the traffic");
    let none = in_half_a_minute(target(1000.0).traces_sample_rate(0.0), |_| Vec::new()).await;
    assert_eq!(none.into_keys().collect::<Vec<_>>(), ["GET /own"]);
    // What a caller decides is no part of it.
    let trust = |headers: Headers| in_half_a_minute(target(2.0).trust_parent(TrustParent::Always), headers);
    let yes = trust(|_| vec![("sentry-trace", "0123456789abcdef0123456789abcdef-0123456789abcdef-1".to_owned())]).await;
    assert_eq!((yes["GET /orders/{id}"].len(), yes["POST /orders/{id}"].len()), (600, 3));
    let no = trust(|_| vec![("sentry-trace", "0123456789abcdef0123456789abcdef-0123456789abcdef-0".to_owned())]).await;
    assert_eq!(no.into_keys().collect::<Vec<_>>(), ["GET /own"]);
    // Nor what a function decides.
    let by_function = target(1000.0).traces_sampler(|context| {
        let is_post = context.method().is_some_and(|method| method == Method::POST);
        Rate::Inherited(if is_post { 1.0 } else { HARDLY })
    });
    assert_eq!(in_half_a_minute(by_function, |_| Vec::new()).await.into_keys().collect::<Vec<_>>(), ["GET /own", "POST /orders/{id}"]);
}

#[tokio::test]
async fn a_function_that_panics_or_returns_no_rate_is_as_none() {
    type Sampler = fn(&SamplerContext<'_>) -> f64;
    let rows: [Sampler; 3] = [|_| panic!("no rate"), |_| f64::NAN, |_| -0.1];
    for sampler in rows {
        let seen = sent(config(1.0).traces_sampler(sampler), vec![request("/orders/7"), request("/fails")]).await;

        assert_eq!(seen, names(&["GET /orders/{id}", "GET /fails", "import", "own"]));
    }
}

#[tokio::test]
async fn a_function_follows_the_caller_or_not_within_its_trust() {
    let trace = |flag: &str| {
        let header = format!("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12{flag}");
        Request::get("/orders/7").header("sentry-trace", header).body(Body::empty()).unwrap()
    };
    type Row = (&'static str, TrustParent, Rate, Option<bool>, usize);
    // The caller's decision, the trust, the rate, what the function sees, whether it is sent.
    let rows: [Row; 8] = [
        ("-1", TrustParent::Always, Rate::Inherited(HARDLY), Some(true), 1),
        ("-0", TrustParent::Always, Rate::Inherited(1.0), Some(false), 0),
        ("", TrustParent::Always, Rate::Inherited(1.0), None, 1),
        ("-1", TrustParent::Always, Rate::Fixed(0.0), Some(true), 0),
        ("-0", TrustParent::Always, Rate::Fixed(1.0), Some(false), 1),
        ("-1", TrustParent::Never, Rate::Inherited(HARDLY), None, 0),
        ("-1", TrustParent::WithinBudget, Rate::Inherited(HARDLY), Some(true), 1),
        ("-0", TrustParent::Always, Rate::Unchanged, Some(false), 0),
    ];
    for (flag, trust, rate, expected, count) in rows {
        let seen = Arc::new(Mutex::new(None));
        let parent = Arc::clone(&seen);
        let sampler = move |context: &SamplerContext<'_>| {
            if context.job().is_none() {
                *parent.lock().unwrap() = Some(context.parent());
            }
            rate
        };

        let sent = sent(config(HARDLY).trust_parent(trust).traces_sampler(sampler), vec![trace(flag)]).await;

        assert_eq!(*seen.lock().unwrap(), Some(expected), "{flag} {trust:?} {rate:?}");
        assert_eq!(sent.get("GET /orders/{id}").copied().unwrap_or_default(), count, "{flag} {trust:?} {rate:?}");
    }
}

#[tokio::test]
async fn a_share_of_the_events_is_sent_and_the_rest_is_counted() {
    const COUNT: u64 = 4000;
    // Five standard deviations of a binomial.
    for (rate, expected, tolerance) in [(0.0, 0, 0), (0.25, 1000, 137), (1.0, COUNT, 0)] {
        let relay = Relay::start();
        let config = support::config(&relay).error_sample_rate(rate).max_events_per_issue(u32::MAX).queue_items(10_000);
        let client = Client::from(config.build().unwrap());

        let work = async { (0..COUNT).for_each(|number| _ = tower_sentry::capture_message(Level::Error, format!("order {number}"))) };
        client.transaction("import").run_infallible(work).await;
        support::settle(&client).await;

        let errors = client.stats().errors;
        assert!(errors.sent.abs_diff(expected) <= tolerance, "{} of {COUNT}", errors.sent);
        assert_eq!((errors.captured, relay.events().len() as u64), (COUNT, errors.sent));
        let dropped: Vec<_> = Some((DiscardReason::SampleRate, COUNT - errors.sent)).into_iter().filter(|row| row.1 > 0).collect();
        assert_eq!((errors.dropped, relay.transactions().len()), (dropped, 1), "transactions have a rate of their own");
    }
}

#[tokio::test]
async fn the_number_of_a_flood_is_sent_whatever_the_rate_of_errors_is() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).error_sample_rate(0.0).max_events_per_issue(10).build().unwrap());

    let work = async { (0..100).for_each(|number| _ = tower_sentry::capture_message(Level::Error, format!("order {number}"))) };
    client.transaction("import").run_infallible(work).await;
    support::settle(&client).await;

    let events = relay.events();
    assert_eq!((events.len(), &events[0]["tags"]["tower_sentry.suppressed"]), (1, &"89".into()));
}

/// The value and the source of a setting.
fn row(config: &Config, name: &str) -> String {
    let text = config.to_string();
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_preset_is_below_the_environment_and_the_code() {
    const DSN: &str = "http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1";
    type Change = fn(ConfigBuilder) -> ConfigBuilder;
    let (plain, rate): (Change, Change) = (|config| config, |config| config.traces_sample_rate(0.5).environment("qa").console(false));
    let variables = [("SENTRY_TRACES_SAMPLE_RATE", "0.2"), ("SENTRY_ENVIRONMENT", "eu")];
    let rows: [(Preset, &[(&str, &str)], Change, [&str; 3]); 6] = [
        (Preset::Production, &[], plain, ["0.1 preset", "production preset", "off preset"]),
        (Preset::Staging, &[], plain, ["1 preset", "staging preset", "off preset"]),
        (Preset::Development, &[], plain, ["1 preset", "development preset", "on preset"]),
        (Preset::Development, &variables, plain, ["0.2 SENTRY_TRACES_SAMPLE_RATE", "eu SENTRY_ENVIRONMENT", "on preset"]),
        (Preset::Development, &variables, rate, ["0.5 builder", "qa builder", "off builder"]),
        (Preset::Staging, &[("ENVIRONMENT", "..")], plain, ["1 preset", "staging preset", "off preset"]),
    ];
    for (preset, variables, change, expected) in rows {
        let config = change(Config::builder().from_vars(variables.iter().copied()).dsn(DSN).preset(preset)).build().unwrap();

        let seen = ["traces_sample_rate", "environment", "console"].map(|name| row(&config, name));
        assert_eq!((seen.each_ref().map(String::as_str), row(&config, "preset")), (expected, format!("{preset} builder")), "{variables:?}");
    }
    assert!(Config::builder().preset(Preset::Development).build().unwrap().is_enabled(), "it shows what it records without a DSN");
    assert!(!Config::builder().preset(Preset::Staging).build().unwrap().is_enabled());
}

#[test]
fn a_default_of_the_application_is_below_the_environment_and_above_a_preset() {
    let base = |variables: &[(&'static str, &'static str)]| Config::builder().from_vars(variables.iter().copied()).console(true);
    let rows = [
        (base(&[]).default_traces_sample_rate(0.7), "0.7 builder's default"),
        (base(&[("SENTRY_TRACES_SAMPLE_RATE", " ")]).default_traces_sample_rate(0.7), "0.7 builder's default"),
        (base(&[("SENTRY_TRACES_SAMPLE_RATE", "0.2")]).default_traces_sample_rate(0.7), "0.2 SENTRY_TRACES_SAMPLE_RATE"),
        (base(&[]).preset(Preset::Staging).default_traces_sample_rate(0.7), "0.7 builder's default"),
        (base(&[]).traces_sample_rate(0.5).default_traces_sample_rate(0.7), "0.5 builder"),
    ];
    for (config, expected) in rows {
        assert_eq!(row(&config.build().unwrap(), "traces_sample_rate"), expected);
    }
    // Also where it is not used: it is a mistake in the code.
    let unused = base(&[]).traces_sample_rate(0.5).default_traces_sample_rate(1.5).build().unwrap_err();
    assert_eq!(unused.to_string(), "default_traces_sample_rate: expected a number from 0.0 to 1.0, found '1.5'");
}

#[test]
fn the_start_line_names_the_preset() {
    let relay = Relay::start();
    let shown = Shown::default();
    let subscriber = tracing_subscriber::fmt().with_writer(shown.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    if support::in_child("samplers::the_start_line_names_the_preset", &[]) {
        return;
    }
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let client = Client::from(support::config(&relay).preset(Preset::Staging).build().unwrap());
    runtime.block_on(support::settle(&client));

    let text = shown.text();
    assert!(text.contains("Sentry initialized for environment 'staging', sends to") && text.contains("(preset: staging)"), "{text}");
}
