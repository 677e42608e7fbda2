//! Metrics of the application and of a layer, as they arrive.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::{DiscardReason, LogAttribute, Unit};
use tower_sentry::{Client, Config, ConfigBuilder, Level, Scope, SentryLayer, User, metrics};

use crate::support::{self, Answer, Received, Relay, Server, in_child, patience};

/// The entries of all containers, in the order in which they were captured.
fn entries(relay: &Relay) -> Vec<Value> {
    let containers = relay.payloads("trace_metric");
    let mut entries: Vec<_> = containers.iter().flat_map(|container| container["items"].as_array().unwrap().clone()).collect();
    entries.sort_by(|one, other| one["timestamp"].as_f64().partial_cmp(&other["timestamp"].as_f64()).unwrap());
    entries
}

fn named<'a>(entries: &'a [Value], name: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["name"] == name).collect()
}

fn attribute<'a>(entry: &'a Value, name: &str) -> &'a Value {
    &entry["attributes"][name]["value"]
}

fn client(relay: &Relay, change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Client {
    Client::from(change(support::config(relay)).build().unwrap())
}

async fn run(client: &Client, work: impl Future<Output = ()>) {
    client.transaction("work").run_infallible(work).await;
    support::settle(client).await;
}

#[tokio::test]
async fn all() {
    support::subscribe();
    let relay = Relay::start();
    let client = client(&relay, |config| config.release("shop@1.4.0").environment("staging").server_name("web-1"));
    #[tracing::instrument]
    async fn charge() {
        metrics::counter("orders.placed", 2).attribute("shop", "north").attribute("express", true).attribute("shop", "south").capture();
        metrics::gauge("queue.depth", 42_usize).unit("pallets").attribute("share", 0.5).capture();
        let sizes = metrics::distribution(format!("upload.{}", "size"), 81_920_u64).unit(Unit::Byte);
        sizes.attribute("big", u64::MAX).attribute("kinds", ["a", "b"]).attribute("count", -3).capture();
    }
    let handler = || async {
        Scope::current().set_user(User::id(42));
        metrics::distribution("render.duration", Duration::from_millis(250)).unit("s").capture();
        charge().await;
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(&client))).await;

    support::get(&server, "/").await;
    support::settle(&client).await;

    let received = relay.received();
    let sent: Vec<_> = received.iter().map(Received::items).filter(|(_, items)| items[0].0["type"] == "trace_metric").collect();
    let [(header, items)] = &sent[..] else { panic!("one envelope: {sent:?}") };
    assert!(header.get("trace").is_none(), "the protocol forbids it for metrics: {header}");
    let [(item, container)] = &items[..] else { panic!("alone in it: {items:?}") };
    assert_eq!((&item["item_count"], &item["content_type"]), (&json!(4), &json!("application/vnd.sentry.items.trace-metric+json")));
    assert_eq!(container["version"], 2);
    let entries = entries(&relay);
    let one = |name: &str| named(&entries, name)[0];
    let transaction = &relay.transactions()[0];
    let trace = &transaction["contexts"]["trace"];
    let span = &transaction["spans"].as_array().unwrap().iter().find(|span| span["description"] == "charge").unwrap()["span_id"];
    let orders = one("orders.placed");
    assert_eq!((&orders["type"], &orders["value"], orders.get("unit")), (&json!("counter"), &json!(2.0), None));
    assert_eq!((&orders["trace_id"], &orders["span_id"]), (&trace["trace_id"], span));
    assert_eq!(orders["attributes"]["shop"], json!({"type": "string", "value": "south"}), "the last value of a name counts");
    assert_eq!(orders["attributes"]["express"], json!({"type": "boolean", "value": true}));
    let depth = one("queue.depth");
    assert_eq!((&depth["type"], &depth["value"], &depth["unit"]), (&json!("gauge"), &json!(42.0), &json!("pallets")));
    assert_eq!(depth["attributes"]["share"], json!({"type": "double", "value": 0.5}));
    let size = one("upload.size");
    assert_eq!((&size["type"], &size["value"], &size["unit"]), (&json!("distribution"), &json!(81_920.0), &json!("byte")));
    assert_eq!(size["attributes"]["big"], json!({"type": "string", "value": u64::MAX.to_string()}), "no server reads it as an integer");
    assert_eq!(size["attributes"]["kinds"], json!({"type": "array", "value": ["a", "b"]}));
    assert_eq!(size["attributes"]["count"], json!({"type": "integer", "value": -3}));
    let rendered = one("render.duration");
    assert_eq!((&rendered["value"], &rendered["unit"], &rendered["span_id"]), (&json!(0.25), &json!("second"), &trace["span_id"]));
    for entry in &entries {
        let of_all =
            ["sentry.release", "sentry.environment", "server.address", "user.id", "sentry.sdk.name"].map(|name| attribute(entry, name));
        assert_eq!(of_all, ["shop@1.4.0", "staging", "web-1", "42", "tower.sentry"]);
    }
    assert_eq!((client.stats().metrics.captured, client.stats().metrics.sent), (4, 4));
}

#[tokio::test]
async fn a_hundred_metrics_share_an_envelope_and_those_beyond_a_thousand_are_counted() {
    let relay = Relay::start();
    // Nobody answers at first: what is not on its way waits.
    relay.answer_all(Answer::Held);
    let client = client(&relay, |config| config.request_timeout(Duration::from_secs(3600)));
    let work = async { (0..5000).for_each(|number| metrics::gauge("many", number).capture()) };

    client.transaction("work").run_infallible(work).await;
    relay.wait_for(1);
    relay.release();
    support::settle(&client).await;

    let counts: Vec<_> = relay.payloads("trace_metric").iter().map(|container| container["items"].as_array().unwrap().len()).collect();
    assert!(counts.iter().all(|count| *count <= 100), "{counts:?}");
    let sent = client.stats().metrics.sent;
    // A thousand in the queue, at most four hundred on the wire, and a hundred that are gathered for each time that it was looked at.
    assert!(client.stats().metrics.captured == 5000 && (1000..4000).contains(&sent), "{:?}", client.stats().metrics);
    assert_eq!(client.stats().metrics.dropped, [(DiscardReason::BufferOverflow, 5000 - sent)]);
    let reported = relay.reported();
    assert!(reported.contains(&("buffer_overflow".to_owned(), "trace_metric".to_owned(), 5000 - sent)), "{reported:?}");
    let bytes = reported.iter().find(|(_, category, _)| category == "trace_metric_byte").unwrap().2;
    assert_eq!(bytes, (5000 - sent) * "many".len() as u64);
}

#[tokio::test]
async fn a_flood_of_metrics_silences_nothing_else() {
    support::subscribe();
    let relay = Relay::start();
    relay.answer_all(Answer::Held);
    let client = client(&relay, |config| config.enable_logs(true).request_timeout(Duration::from_secs(3600)));
    let work = async {
        (0..500).for_each(|number| tracing::info!(number, "order"));
        (0..100).for_each(|number| _ = tower_sentry::capture_message(Level::Error, format!("order {number} failed")));
        // More than the share of the metrics in the bytes of the queue.
        let text = "x ".repeat(4_000);
        (0..5000).for_each(|_| metrics::counter("flood", 1).attribute("text", &text).capture());
    };

    client.transaction("work").run_infallible(work).await;
    relay.release();
    support::settle(&client).await;

    let stats = client.stats();
    assert_eq!((stats.errors.sent, stats.transactions.sent, stats.logs.sent), (100, 1, 500));
    assert!(stats.metrics.dropped_total() > 3000, "{:?}", stats.metrics);
}

#[tokio::test]
async fn of_one_name_a_limited_number_is_sent_in_a_minute_and_the_last_says_how_many_there_were() {
    let relay = Relay::start();
    let client = client(&relay, |config| config.max_metrics_per_name(5));
    let _clock = tower_sentry::test::HandClock::start();

    run(&client, async {
        (0..100).for_each(|number| metrics::gauge("many", number).capture());
        metrics::gauge("another", 1).capture();
    })
    .await;

    let entries = entries(&relay);
    let of =
        |name: &str| named(&entries, name).iter().map(|entry| attribute(entry, "tower_sentry.suppressed").as_u64()).collect::<Vec<_>>();
    assert_eq!((of("many"), of("another")), (vec![None, None, None, None, None, Some(94)], vec![None]));
    assert_eq!(client.stats().metrics.dropped, [(DiscardReason::Backpressure, 94)]);
}

#[tokio::test]
async fn no_field_of_a_metric_leaks_a_secret_and_no_value_is_taken_for_one() {
    const SECRET: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
    let relay = Relay::start();
    let client = client(&relay, |config| config);

    run(&client, async {
        Scope::current().set_user(User::id(SECRET));
        let named = metrics::gauge(format!("of.{SECRET}"), 1).unit(SECRET);
        named.attribute(format!("name {SECRET}"), 1).attribute("text", format!("token={SECRET}")).capture();
        let typed = metrics::counter("sign_ins", 1).attribute("password", "hunter2-canary").attribute("api_key", 7_364_021_845_120_i64);
        typed.attribute("list", [SECRET, "harmless"]).attribute("db.query.text", "SELECT 1 WHERE a = 'canary'").capture();
        let card = 4_111_111_111_111_111_i64;
        metrics::counter("paid", 1).attribute("with", card).attribute("cards", [card, 7]).capture();
        // By its digits, it is the number of a card.
        metrics::gauge("disk.free", 4_111_111_111_111_111_u64).unit(Unit::Byte).capture();
    })
    .await;

    let raw: String = relay.received().iter().map(|received| String::from_utf8_lossy(&received.envelope).into_owned()).collect();
    for secret in ["4eC39Hq", "canary", "7364021845120"] {
        assert!(!raw.contains(secret), "{secret}: {raw}");
    }
    let entries = entries(&relay);
    assert_eq!((entries.len(), client.stats().metrics.sent), (4, 4));
    assert_eq!(attribute(named(&entries, "sign_ins")[0], "password"), "[Filtered]");
    let paid = &named(&entries, "paid")[0]["attributes"];
    let (with, cards) = (&paid["with"], &paid["cards"]);
    assert!(with["type"] == "string" && with["value"].is_string(), "a server drops values of another type: {with}");
    assert!(cards["type"] == "array" && cards["value"][0].is_string() && cards["value"][1] == "7", "a list has one type: {cards}");
    assert_eq!(named(&entries, "disk.free")[0]["value"], 4_111_111_111_111_111.0);
}

#[tokio::test]
async fn what_no_server_takes_is_dropped_and_counted() {
    let relay = Relay::start();
    let client = client(&relay, |config| {
        config.before_send_metric(|mut metric| {
            if metric.name == "of a hook" {
                metric.value = f64::NAN;
            }
            Some(metric)
        })
    });

    run(&client, async {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            metrics::gauge("broken", value).capture();
        }
        metrics::counter("", 1).capture();
        metrics::counter("x".repeat(256), 1).capture();
        metrics::counter("of a hook", 1).capture();
        metrics::counter("x".repeat(255), 1).capture();
    })
    .await;

    assert_eq!(entries(&relay).len(), 1);
    assert_eq!((client.stats().metrics.captured, client.stats().metrics.dropped), (7, vec![(DiscardReason::Invalid, 6)]));
    let reported: u64 = relay.reported().iter().filter(|row| row.0 == "invalid" && row.1 == "trace_metric").map(|row| row.2).sum();
    assert_eq!(reported, 6);
    let bytes: u64 = relay.reported().iter().filter(|row| row.0 == "invalid" && row.1 == "trace_metric_byte").map(|row| row.2).sum();
    assert!(bytes > 256 + 3 * "broken".len() as u64, "{bytes}");
}

#[tokio::test]
async fn what_has_no_room_in_a_metric_is_left_out_and_counted() {
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    let long = "x ".repeat(8_000);

    run(&client, async {
        let mut metric = metrics::counter("large", 1);
        for number in 0..20 {
            metric = metric.attribute(format!("text_{number}"), &long);
        }
        metric.capture();
    })
    .await;

    let entry = &entries(&relay)[0];
    let texts = entry["attributes"].as_object().unwrap().iter().filter(|(name, _)| name.starts_with("text_")).count();
    // Each of the first seven is cut, and each of the others is left out.
    assert_eq!((texts, attribute(entry, "tower_sentry.truncated")), (7, &json!(20)));
    assert_eq!(client.stats().truncated, 20);
}

#[tokio::test]
async fn before_send_metric_changes_and_drops_metrics_before_they_are_redacted() {
    let relay = Relay::start();
    let client = client(&relay, |config| {
        config.before_send_metric(|mut metric| {
            assert!(!metric.name.contains("panics"), "a fault");
            metric.attributes.insert("password".to_owned(), LogAttribute::new("hunter2"));
            metric.value *= 2.0;
            Some(metric).filter(|metric| metric.name != "noise")
        })
    });

    run(&client, async {
        metrics::counter("orders", 1).attribute("shop", "north").capture();
        metrics::counter("noise", 1).capture();
        metrics::gauge("panics", 7).unit("cards of Jane").attribute("card", "a text").capture();
        metrics::gauge(format!("panics.for.{}", "jane"), 7).capture();
    })
    .await;

    let entries = entries(&relay);
    assert_eq!(entries.len(), 2, "{entries:?}");
    let (orders, panicked) = (named(&entries, "orders")[0], named(&entries, "panics")[0]);
    assert_eq!(
        (&orders["value"], attribute(orders, "shop"), attribute(orders, "password")),
        (&json!(2.0), &json!("north"), &json!("[Filtered]"))
    );
    assert_eq!((&panicked["value"], panicked.get("unit"), &panicked["attributes"]), (&json!(7.0), None, &json!({})));
    assert_eq!(panicked["trace_id"], relay.transactions()[0]["contexts"]["trace"]["trace_id"]);
    assert_eq!(
        client.stats().metrics.dropped,
        [(DiscardReason::BeforeSend, 2)],
        "a name that was made while the process ran may hold data"
    );
}

#[tokio::test]
async fn a_hook_of_metrics_that_has_panicked_ten_times_is_off() {
    let relay = Relay::start();
    let client = client(&relay, |config| config.before_send_metric(|_| panic!("a fault")));

    run(&client, async { (0..12).for_each(|_| metrics::counter("orders", 1).capture()) }).await;

    assert_eq!((entries(&relay).len(), client.stats().metrics.dropped), (10, vec![(DiscardReason::BeforeSend, 2)]));
}

#[tokio::test]
async fn nothing_is_sent_of_ignored_and_sensitive_routes_nor_where_metrics_are_off() {
    let (relay, quiet) = (Relay::start(), Relay::start());
    let client = client(&relay, |config| config);
    let off = self::client(&quiet, |config| config.enable_metrics(false));
    let handler = || async { metrics::counter("visits", 1).capture() };
    let app = |client: &Client| {
        let layer = SentryLayer::new(client).ignore(["/ignored"]).route("/sensitive", RouteOptions::new().sensitive()).metrics(true);
        Router::new().route("/", get(handler)).route("/ignored", get(handler)).route("/sensitive", get(handler)).layer(layer)
    };

    for (client, relay, sent) in [(&client, &relay, 4), (&off, &quiet, 0)] {
        let server = Server::start(app(client)).await;
        for path in ["/", "/ignored", "/sensitive"] {
            support::get(&server, path).await;
        }
        support::settle(client).await;

        assert_eq!((entries(relay).len(), client.stats().metrics.captured), (sent, sent as u64));
    }
    assert!(entries(&relay).iter().all(|entry| entry["attributes"].get("http.route").is_none_or(|route| route["value"] == "/")));
}

#[tokio::test]
async fn a_shutdown_sends_what_was_gathered() {
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    client.transaction("work").run_infallible(async { metrics::counter("orders", 1).capture() }).await;

    client.shutdown(patience()).await.unwrap();

    assert_eq!((entries(&relay).len(), client.stats().metrics.sent), (1, 1));
    let late = client.transaction("late").run_infallible(async { metrics::counter("orders", 1).capture() });
    late.await;
    let metrics = client.stats().metrics;
    assert_eq!((metrics.captured, metrics.dropped_total()), (2, 1));
}

#[tokio::test]
async fn a_limit_of_the_server_stops_metrics_alone() {
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    let limits = vec![("x-sentry-rate-limits", "600:trace_metric:organization".to_owned())];
    relay.answer_next(Answer::Status(200, limits));
    let work = || async { metrics::counter("orders", 1).capture() };

    client.transaction("first").run_infallible(async {}).await;
    client.flush(patience()).await.unwrap();
    client.transaction("second").run_infallible(work()).await;
    support::settle(&client).await;

    assert!(entries(&relay).is_empty());
    assert_eq!(client.stats().metrics.dropped, [(DiscardReason::RatelimitBackoff, 1)]);
    assert_eq!(client.stats().transactions.sent, 2);
}

#[test]
fn metrics_outside_requests_share_a_trace_and_go_to_the_client_of_init() {
    if in_child("metrics::metrics_outside_requests_share_a_trace_and_go_to_the_client_of_init", &[]) {
        return;
    }
    let relay = Relay::start();
    let guard = support::config(&relay).init().unwrap();

    metrics::counter("starts", 1).capture();
    std::thread::spawn(|| metrics::gauge("threads", 2).capture()).join().unwrap();
    drop(guard);

    let entries = entries(&relay);
    let [one, other] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((&one["trace_id"], one.get("span_id"), one["attributes"].get("user.id")), (&other["trace_id"], None, None));
}

#[test]
fn where_no_client_sends_metrics_nothing_is_allocated() {
    if in_child("metrics::where_no_client_sends_metrics_nothing_is_allocated", &[]) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let client = Client::from(Config::builder().transport(|_: &[u8]| {}).enable_metrics(false).build().unwrap());
    let work = async {
        let capture = || metrics::gauge("queue.depth", 7).unit(Unit::Byte).attribute("shop", "north").capture();
        capture();
        allocation_counter::measure(capture).count_total
    };

    assert_eq!(runtime.block_on(client.transaction("work").run_infallible(work)), 0);
}

#[tokio::test]
async fn a_layer_measures_each_request_where_asked_for() {
    let (relay, quiet) = (Relay::start(), Relay::start());
    // None is sampled: metrics do not depend on that.
    let client = client(&relay, |config| config.traces_sample_rate(0.0));
    let other = self::client(&quiet, |config| config);
    let app = |client: &Client, layer: fn(SentryLayer) -> SentryLayer| {
        let show = || async { "hello" };
        let fail = || async { (StatusCode::BAD_GATEWAY, "no stock") };
        let routes = Router::new().route("/orders/{id}", get(show)).route("/fails", get(fail));
        // The inner one is a span of the outer one's request.
        routes.layer(layer(SentryLayer::new(client))).layer(layer(SentryLayer::new(client)))
    };

    let server = Server::start(app(&client, |layer| layer.metrics(true))).await;
    for path in ["/orders/7", "/fails", "/nowhere"] {
        support::get(&server, path).await;
    }
    support::get(&Server::start(app(&other, |layer| layer)).await, "/orders/7").await;
    support::settle(&client).await;
    support::settle(&other).await;

    let entries = entries(&relay);
    assert_eq!((entries.len(), client.stats().transactions.sent), (9, 0), "{entries:?}");
    let status = |entry: &Value| {
        let names = ["http.request.method", "http.route", "http.response.status_code", "tower_sentry.status_class"];
        names.map(|name| attribute(entry, name).clone())
    };
    let durations = named(&entries, "http.server.request.duration");
    assert_eq!(status(durations[0]), [json!("GET"), json!("/orders/{id}"), json!(200), json!("2xx")]);
    assert_eq!(status(durations[1]), [json!("GET"), json!("/fails"), json!(502), json!("5xx")]);
    assert_eq!(status(durations[2]), [json!("GET"), Value::Null, json!(404), json!("4xx")]);
    assert!(durations.iter().all(|entry| entry["type"] == "distribution" && entry["unit"] == "second"));
    let sizes = named(&entries, "http.server.response.body.size");
    let sizes: Vec<_> = sizes.iter().map(|entry| (entry["value"].as_f64().unwrap(), entry["unit"].as_str().unwrap())).collect();
    assert_eq!(sizes, [(5.0, "byte"), (8.0, "byte"), (0.0, "byte")]);
    let active = named(&entries, "http.server.active_requests");
    assert!(active.iter().all(|entry| (&entry["type"], &entry["value"]) == (&json!("gauge"), &json!(1.0))), "{active:?}");
    assert!(active.iter().all(|entry| entry["attributes"].get("http.route").is_none()), "it counts those of all routes: {active:?}");
    assert!(quiet.payloads("trace_metric").is_empty(), "off by default");
}

#[tokio::test]
async fn a_layer_knows_how_long_requests_took_and_how_many_are_served_at_once() {
    use tower::ServiceExt as _;
    let (client, captured) = tower_sentry::test::client();
    let clock = tower_sentry::test::HandClock::start();
    let (go, wait) = tokio::sync::watch::channel(false);
    let handler = move || {
        let mut wait = wait.clone();
        async move { _ = wait.wait_for(|go| *go).await }
    };
    let routes = Router::new().route("/", get(handler.clone())).route("/health", get(handler));
    let app: Router = routes.layer(SentryLayer::new(&client).ignore(["/health"]).metrics(true));
    let request_of = |path: &str| app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
    let request = || request_of("/");

    let mut ignored = Box::pin(request_of("/health"));
    assert!(futures_util::poll!(&mut ignored).is_pending());
    let mut cancelled = Box::pin(request());
    assert!(futures_util::poll!(&mut cancelled).is_pending());
    let mut answered = Box::pin(request());
    assert!(futures_util::poll!(&mut answered).is_pending());
    clock.advance(Duration::from_millis(1_500));
    drop(cancelled);
    clock.advance(Duration::from_millis(500));
    go.send_replace(true);
    drop(answered.await.unwrap());
    drop(request().await.unwrap());
    drop(ignored);

    let sent = captured.metrics();
    let of = |name: &str| sent.iter().filter(|metric| metric.name == name).map(|metric| metric.value).collect::<Vec<_>>();
    assert_eq!(of("http.server.request.duration"), [1.5, 2.0, 0.0]);
    assert_eq!(of("http.server.active_requests"), [2.0, 1.0, 1.0]);
    let has_status = |metric: &&tower_sentry::protocol::Metric| metric.attributes.contains_key("http.response.status_code");
    assert_eq!(sent.iter().filter(has_status).count(), 4, "the one that was dropped has no status");
}
