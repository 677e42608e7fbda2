//! Failed requests are kept after the fact, and decisions of other services are followed within limits.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::FutureExt as _;
use http::Request;
use tower::{Service as _, ServiceExt as _};
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::{DiscardReason, Transaction};
use tower_sentry::sampling::Slow;
use tower_sentry::test::{Captured, HandClock, client_with};
use tower_sentry::{Breadcrumb, Client, Config, ConfigBuilder, Scope, SentryLayer, TrustParent};

use crate::support::{self, Relay};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";
const SPAN: &str = "b0e6f15b45c36b12";
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// A rate under which nothing is sampled in a test, and yet not the final zero.
const HARDLY: f64 = 1e-9;

/// Requests of which each has one span and its number as a tag.
fn service(client: &Client) -> Router {
    async fn work(Path(number): Path<u32>) {
        Scope::current().set_tag("number", number);
        tower_sentry::span("task", "work", async {}).await;
    }
    async fn panics(number: Path<u32>) {
        work(number).await;
        std::panic::resume_unwind(Box::new(()));
    }
    let status = |number| async move {
        work(number).await;
        StatusCode::SERVICE_UNAVAILABLE
    };
    let captured = |number| async move {
        work(number).await;
        tower_sentry::capture_error(&std::io::Error::other("noted")).to_string()
    };
    Router::new()
        .route("/fine/{number}", get(work))
        .route("/status/{number}", get(status))
        .route("/captured/{number}", get(captured))
        .route("/panics/{number}", get(panics))
        .layer(SentryLayer::new(client))
}

/// One request; a panic unwinds through the layer and ends here.
async fn visit(app: &Router, path: &str) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    drop(AssertUnwindSafe(app.clone().oneshot(request)).catch_unwind().await);
}

/// Stops the clock. The time of the budgets begins with the first request of the process that asks one: it must not begin on another thread after this.
fn standing_clock() -> HandClock {
    let (client, _) = client_with(Config::builder().traces_sample_rate(HARDLY));
    visit(&service(&client), "/status/0").now_or_never().unwrap();
    HandClock::start()
}

fn is_kept(transaction: &Transaction) -> bool {
    transaction.contexts.trace.as_ref().unwrap().data.get("tower_sentry.kept").is_some_and(|why| why == "failed")
}

#[tokio::test]
async fn keep_rules() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(0.01));
    let app = service(&client);
    let clock = standing_clock();
    // Milliseconds that pass, requests that fail then, and how many of them are kept: at most 100 at once, then ten a second.
    let phases = [(0, 300, 100), (1000, 30, 10), (500, 30, 5), (49, 30, 0), (51, 30, 1), (60_000, 300, 100)];
    let mut number = 0;
    let mut seen = 0;
    let mut sampled = 0;

    for (millis, failures, expected) in phases {
        clock.advance(Duration::from_millis(millis));
        let mut failed = Vec::new();
        for kind in ["status", "captured", "panics"].into_iter().cycle().take(failures) {
            number += 1;
            failed.push(number);
            visit(&app, &format!("/{kind}/{number}")).await;
            for _ in 0..10 {
                number += 1;
                visit(&app, &format!("/fine/{number}")).await;
            }
        }
        let sent = captured.transactions().split_off(seen);
        seen += sent.len();
        let numbers = |sent: &[&Transaction]| sent.iter().map(|one| one.tags["number"].parse().unwrap()).collect::<BTreeSet<u32>>();
        let (kept, by_rate): (Vec<_>, Vec<_>) = sent.iter().partition(|transaction| is_kept(transaction));
        let (kept, by_rate) = (numbers(&kept), numbers(&by_rate));
        sampled += by_rate.len();

        assert_eq!(kept.len(), expected, "after {millis} ms more");
        let last = kept.last().copied().unwrap_or_default();
        let missing: Vec<_> =
            failed.iter().filter(|number| **number <= last && !kept.contains(number) && !by_rate.contains(number)).collect();
        assert!(missing.is_empty(), "failed and not kept: {missing:?}");
        assert!(kept.iter().all(|number| failed.contains(number)), "only failed requests are kept: {kept:?}");
    }

    // Six standard deviations of a binomial with n = 7,920 and p = 0.01 are 53.
    assert!((26..=132).contains(&sampled), "{sampled} of {number} by the rate");
    let stats = client.stats();
    let (all, rest) = (u64::from(number), u64::from(number) - seen as u64);
    assert_eq!((stats.transactions.captured, stats.transactions.sent), (all, seen as u64));
    assert_eq!(stats.transactions.dropped, [(DiscardReason::SampleRate, rest)]);
    assert_eq!(stats.spans.dropped, [(DiscardReason::SampleRate, 2 * rest)], "the request is a span as well");
    support::settle(&client).await;
}

/// A request whose handler waits.
type Open = Pin<Box<dyn Future<Output = StatusCode>>>;

fn poll(open: &mut Open) -> Poll<StatusCode> {
    open.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn ten_thousand_open_requests_that_may_be_kept_take_bounded_memory() {
    const OPEN: u64 = 10_000;
    let (client, captured) = client_with(Config::builder().traces_sample_rate(0.01));
    let (release, released) = tokio::sync::watch::channel(false);
    let handler = move |Path(number): Path<u64>| {
        let mut released = released.clone();
        async move {
            for _ in 0..20 {
                tower_sentry::span("task", "step", async {}).await;
            }
            Scope::current().add_breadcrumb(Breadcrumb::new("waits"));
            released.wait_for(|is_released| *is_released).await.unwrap();
            if number % 10 == 0 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        }
    };
    let mut app = Router::new().route("/{number}", get(handler)).layer(SentryLayer::new(&client));
    let mut begin = |number: u64| -> Open {
        let response = app.call(Request::get(format!("/{number}")).body(Body::empty()).unwrap());
        let mut open: Open = Box::pin(async move { response.await.unwrap().status() });
        assert!(poll(&mut open).is_pending());
        open
    };
    let _clock = standing_clock();
    let mut open = Vec::new();

    let opened = allocation_counter::measure(|| open = (0..OPEN).map(&mut begin).collect());
    release.send_replace(true);
    let ended = allocation_counter::measure(|| open.drain(..).for_each(|mut open| assert!(poll(&mut open).is_ready())));

    let each = opened.bytes_max / OPEN;
    assert!((1024..=16 * 1024).contains(&each), "{each} bytes, twenty spans among them");
    // Idle records wait for the next requests, and the exporter holds those that are sent.
    let left = opened.bytes_current + ended.bytes_current;
    assert!(left < i64::try_from(opened.bytes_max / 10).unwrap(), "{left} of {} bytes are left", opened.bytes_max);
    let (kept, by_rate): (Vec<_>, Vec<_>) = captured.transactions().into_iter().partition(is_kept);
    assert_eq!(kept.len(), 100);
    // Six standard deviations of a binomial with n = 10,000 and p = 0.01 are 60.
    assert!((40..=160).contains(&by_rate.len()), "{} by the rate", by_rate.len());
    let transactions = client.stats().transactions;
    assert_eq!((transactions.captured, transactions.sent), (OPEN, (kept.len() + by_rate.len()) as u64));
    assert_eq!(transactions.dropped, [(DiscardReason::SampleRate, OPEN - transactions.sent)]);
}

#[tokio::test]
async fn the_envelope_of_a_kept_transaction_says_that_it_was_sampled() {
    let came_in = format!("sentry-trace_id={TRACE},sentry-public_key={KEY},sentry-sample_rate=0.25,sentry-sampled=false");
    let no = format!("{TRACE}-{SPAN}-0");
    // Path, headers, and the rate and decision in the header of the envelope: a server drops a transaction that says `sampled=false`.
    let rows: [(&str, &[(&str, &str)], Option<(&str, &str)>); 4] = [
        ("/", &[], Some(("1", "true"))),
        ("/tells", &[], Some(("1", "true"))),
        ("/", &[("sentry-trace", &no), ("baggage", &came_in)], Some(("1", "true"))),
        ("/", &[("sentry-trace", &no)], None),
    ];

    for (path, headers, expected) in rows {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).traces_sample_rate(HARDLY).build().unwrap());
        let tells = || async {
            // From here on the baggage says that the trace is not sampled.
            let mut outgoing = HashMap::new();
            Scope::current().inject(&mut outgoing);
            assert!(outgoing["baggage"].contains("sentry-sampled=false"), "{outgoing:?}");
            StatusCode::BAD_GATEWAY
        };
        let app = Router::new().route("/", get(|| async { StatusCode::BAD_GATEWAY })).route("/tells", get(tells));
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }

        drop(app.layer(SentryLayer::new(&client)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
        support::settle(&client).await;

        let envelopes = relay.received().iter().map(support::Received::items).collect::<Vec<_>>();
        let (header, items) = envelopes.iter().find(|(_, items)| items.iter().any(|(item, _)| item["type"] == "transaction")).unwrap();
        assert_eq!(items[0].1["contexts"]["trace"]["data"]["tower_sentry.kept"], "failed");
        let said = header.get("trace").map(|trace| (trace["sample_rate"].as_str().unwrap(), trace["sampled"].as_str().unwrap()));
        assert_eq!(said, expected, "{path} {headers:?}");
    }
}

/// The transactions that are sent of requests that continue these traces.
async fn continued(settings: ConfigBuilder, traces: impl Iterator<Item = String>, baggage: &str) -> Vec<Transaction> {
    let (client, captured): (Client, Captured) = client_with(settings);
    let app = service(&client);
    for trace in traces {
        let request = Request::get("/fine/1").header("sentry-trace", trace).header("baggage", baggage);
        drop(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
    }
    captured.transactions()
}

#[tokio::test]
async fn a_parents_decision_counts_only_within_the_same_organisation() {
    // Our organisation, the organisation in the trace, whether the trace is continued, and whether its decision counts.
    let rows = [
        (Some("1"), Some("1"), true, true),
        (Some("1"), Some("2"), false, false),
        (Some("1"), None, true, false),
        (None, Some("1"), true, false),
        (None, None, true, false),
    ];

    for (own, theirs, goes_on, counts) in rows {
        let host = own.map_or_else(|| "sentry.example".to_owned(), |own| format!("o{own}.ingest.sentry.io"));
        let baggage = theirs.map_or_else(|| "vendor=1".to_owned(), |theirs| format!("sentry-org_id={theirs}"));
        // A "yes" where our own rate samples nothing, and a "no" where it samples everything.
        for (flag, rate) in [(1, HARDLY), (0, 1.0)] {
            let settings = Config::builder().dsn(format!("https://{KEY}@{host}/42")).traces_sample_rate(rate);
            let trace = format!("{TRACE}-{SPAN}-{flag}");

            let sent = continued(settings.trust_parent(TrustParent::SameOrganization), std::iter::once(trace), &baggage).await;

            assert_eq!(sent.len() == 1, counts == (flag == 1), "{own:?} {theirs:?} {flag}");
            for transaction in sent {
                let trace = transaction.contexts.trace.as_ref().unwrap();
                assert_eq!(trace.trace_id.to_string() == TRACE, goes_on, "{own:?} {theirs:?} {flag}");
                assert_eq!(trace.parent_span_id.is_some(), goes_on, "{own:?} {theirs:?} {flag}");
            }
        }
    }
}

#[tokio::test]
async fn a_chosen_trace_id_does_not_decide_where_parents_are_not_trusted() {
    // If both halves of an id are the same, `sample_rand` is 0: below every rate.
    let chosen = |count: u64| (1..=count).map(|half| format!("{half:016x}{half:016x}-{SPAN}"));
    let settings = |rate: f64, trust: TrustParent| Config::builder().traces_sample_rate(rate).trust_parent(trust);

    let trusted = continued(settings(HARDLY, TrustParent::Always), chosen(100), "").await;
    let untrusted = continued(settings(0.5, TrustParent::Never), chosen(400), "").await;

    assert_eq!(trusted.len(), 100, "the id decides where parents are trusted");
    // Eight standard deviations of a binomial with n = 400 and p = 0.5 are 80.
    assert!((120..=280).contains(&untrusted.len()), "{} of 400 at a rate of 0.5", untrusted.len());
}

#[tokio::test]
async fn jobs_inside_a_sampled_request_take_nothing_from_the_budget_of_incoming_traces() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(HARDLY));
    let begins = client.clone();
    let handler = move || {
        let client = begins.clone();
        async move {
            for _ in 0..150 {
                client.transaction("own").run(async {}).await;
            }
        }
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client).route("/", RouteOptions::new().sample_rate(1.0)));
    let _clock = standing_clock();

    visit(&app, "/").await;
    let yes = HashMap::from([("sentry-trace".to_owned(), format!("{TRACE}-{SPAN}-1"))]);
    for _ in 0..150 {
        client.transaction("continued").continue_trace(&yes).run(async {}).await;
    }

    let sent = captured.transactions();
    let count = |name: &str| sent.iter().filter(|transaction| transaction.name == name).count();
    assert_eq!((count("GET /"), count("own"), count("continued")), (1, 150, 100));
    support::settle(&client).await;
}

/// Why a transaction was kept.
fn reason(transaction: &Transaction) -> Option<&str> {
    transaction.contexts.trace.as_ref()?.data.get("tower_sentry.kept")?.as_str()
}

thread_local! {
    static CLOCK: std::cell::RefCell<Option<HandClock>> = const { std::cell::RefCell::new(None) };
}

fn pass(millis: u64) {
    CLOCK.with(|clock| clock.borrow().as_ref().unwrap().advance(Duration::from_millis(millis)));
}

/// A service whose requests take as long as they are asked to.
fn timed(config: ConfigBuilder) -> (Router, Captured) {
    let (client, captured) = client_with(config);
    let takes = |Path(millis): Path<u64>| async move { pass(millis) };
    let app = Router::new().route("/takes/{millis}", get(takes)).route("/other/{millis}", get(takes)).layer(SentryLayer::new(&client));
    CLOCK.with(|clock| {
        // The one before must be gone: its drop lets the real clock go on.
        clock.borrow_mut().take();
        *clock.borrow_mut() = Some(standing_clock());
    });
    (app, captured)
}

/// The names of the transactions that are kept because they are slow.
async fn slow(config: ConfigBuilder, usual: u64, paths: &[&str]) -> Vec<String> {
    let (app, captured) = timed(config.traces_sample_rate(HARDLY));
    // One in sixteen is measured, and five are enough.
    for _ in 0..1000 {
        visit(&app, &format!("/takes/{usual}")).await;
    }
    for path in paths {
        visit(&app, path).await;
    }
    let transactions = captured.transactions();
    assert!(transactions.iter().all(|transaction| reason(transaction) == Some("slow")));
    transactions.into_iter().map(|transaction| transaction.name).collect()
}

#[tokio::test]
async fn slow_requests_are_kept_beside_the_others_of_their_route_or_by_a_fixed_time() {
    let asked = ["/takes/1999", "/takes/2000", "/takes/30000", "/other/30000"];
    let config = || Config::builder();

    assert_eq!(slow(config(), 200, &asked).await.len(), 2, "ten times the median; a new route has none");
    assert_eq!(slow(config(), 50, &["/takes/999", "/takes/1000"]).await.len(), 1, "at least a second");
    let three = Slow::TimesMedian { times: 3.0, at_least: Duration::from_millis(100) };
    assert_eq!(slow(config().keep_slow(three), 50, &["/takes/149", "/takes/150"]).await.len(), 1);
    assert_eq!(slow(config().keep_slow(Slow::From(Duration::from_secs(2))), 50, &asked).await.len(), 3, "a fixed time");
    for none in [config().keep_slow(Slow::Never), config().keep_slow_budget(0.0), config().keep_failed(false)] {
        assert_eq!(slow(none, 50, &asked).await.len(), 0);
    }
}

#[tokio::test]
async fn slow_requests_have_a_limit_a_second() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(HARDLY).keep_slow(Slow::From(Duration::ZERO)));
    let app = service(&client);
    let clock = standing_clock();

    for _ in 0..150 {
        visit(&app, "/fine/1").await;
    }
    let at_once = captured.transactions().len();
    clock.advance(Duration::from_secs(1));
    for _ in 0..50 {
        visit(&app, "/fine/1").await;
    }
    visit(&app, "/status/1").await;

    let transactions = captured.transactions();
    assert_eq!((at_once, transactions.len()), (100, 111), "failed requests have a limit of their own");
    assert_eq!(reason(&transactions[110]), Some("failed"));
}

#[tokio::test]
async fn a_sampled_request_spends_nothing_of_the_budget() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(HARDLY).failure_budget(0.0));
    let fails = || async { StatusCode::INTERNAL_SERVER_ERROR };
    let app = Router::new().route("/sampled", get(fails)).route("/not", get(fails));
    let app = app.layer(SentryLayer::new(&client).route("/sampled", RouteOptions::new().sample_rate(1.0)));
    let _clock = standing_clock();

    for path in std::iter::repeat_n("/sampled", 200).chain(std::iter::repeat_n("/not", 150)) {
        visit(&app, path).await;
    }

    assert_eq!(captured.transactions().len(), 300);
}

#[tokio::test]
async fn what_the_application_chooses_is_kept() {
    for (config, expected) in [
        (Config::builder().traces_sample_rate(HARDLY), Some(Some("chosen"))),
        (Config::builder().traces_sample_rate(1.0), Some(None)),
        (Config::builder().traces_sample_rate(0.0), None),
        (Config::builder().traces_sample_rate(HARDLY).keep_failed(false), None),
        (Config::builder().traces_sample_rate(HARDLY).keep_failed_budget(0.0), None),
    ] {
        let (client, captured) = client_with(config);
        let chooses = || async { _ = Scope::current().keep() };
        let app = Router::new().route("/chosen", get(chooses)).route("/not", get(|| async {})).layer(SentryLayer::new(&client));

        visit(&app, "/chosen").await;
        // The scope is used again: the choice was that of one request.
        visit(&app, "/not").await;

        let transactions: Vec<_> = captured.transactions().into_iter().filter(|sent| sent.name == "GET /chosen").collect();
        assert_eq!(transactions.first().map(reason), expected);
        let others = captured.transactions().len() - transactions.len();
        assert_eq!(others, usize::from(expected == Some(None)));
    }
}

#[tokio::test]
async fn the_number_of_requests_can_be_estimated_whatever_is_kept() {
    const EACH: usize = 3000;
    const RATE: f64 = 0.8;
    // Failed requests are kept never, sometimes and always.
    for budget in [0.0, 100.0, f64::INFINITY] {
        let dsn = format!("http://{KEY}@127.0.0.1:9/42");
        let config = Config::builder().dsn(dsn).traces_sample_rate(RATE).keep_failed_budget(budget).failure_budget(0.0);
        let (client, captured) = client_with(config.queue_items(20_000).queue_bytes(1 << 30));
        let fails =
            |Path(number): Path<u32>| async move { if number % 5 < 3 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK } };
        let app = Router::new().route("/fails/{number}", get(fails)).route("/fine/{number}", get(|| async {}));
        let app = app.layer(SentryLayer::new(&client));
        let clock = standing_clock();

        for number in 0..EACH {
            clock.advance(Duration::from_millis(2));
            visit(&app, &format!("/fails/{number}")).await;
            visit(&app, &format!("/fine/{number}")).await;
        }

        let mut estimates = HashMap::<String, f64>::new();
        for envelope in captured.envelopes() {
            let (header, items) = support::items(&envelope);
            for (_, transaction) in items.iter().filter(|(item, _)| item["type"] == "transaction") {
                let rate: f64 = header["trace"]["sample_rate"].as_str().unwrap().parse().unwrap();
                let attribute = transaction["contexts"]["trace"]["data"]["sentry.sample_rate"].as_f64().unwrap();
                assert!((rate - attribute).abs() < 1e-9, "{rate} in the header, {attribute} in the attribute");
                *estimates.entry(transaction["transaction"].as_str().unwrap().to_owned()).or_default() += 1.0 / rate;
            }
        }
        for route in ["GET /fails/{number}", "GET /fine/{number}"] {
            // Five standard deviations are 4.6 %.
            let error = estimates[route] / EACH as f64 - 1.0;
            assert!(error.abs() < 0.05, "{route}: {:.1} % with a budget of {budget}", error * 100.0);
        }
    }
}
