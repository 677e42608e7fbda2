//! The forecast of `examples/forecast.rs`, against what the same requests send with the setting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use tower::ServiceExt as _;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::{Client, Config, ConfigBuilder, SentryLayer, TrustParent};

#[path = "../../examples/forecast.rs"]
#[expect(dead_code, reason = "its `main` is not run here")]
mod example;

use example::{Plan, Setting, Share};

const REQUESTS: u64 = 1500;

/// Serves the same requests, and returns the envelopes. Each request brings the number that decides whether it is sampled.
async fn served(config: ConfigBuilder, rows: &[(&str, f64)]) -> Vec<u8> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let file = Arc::clone(&sent);
    let config = config.transport(move |envelope: &[u8]| file.lock().unwrap().extend_from_slice(&[envelope, b"\n"].concat()));
    let config = config.trust_parent(TrustParent::Always).panic_hook(false).backpressure(false);
    let client = Client::from(config.keep_failed_budget(f64::INFINITY).failure_budget(0.0).build().unwrap());
    let layer = rows.iter().fold(SentryLayer::new(&client), |layer, (row, rate)| layer.route(*row, RouteOptions::new().sample_rate(*rate)));
    let app = Router::new()
        .route("/items/{id}", get(|| async { "ok" }))
        .route("/checkout/{id}", get(|| async { "ok" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/fails", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(layer);
    for number in 0..REQUESTS {
        let path = match number % 10 {
            0..6 => "/items/7",
            6 | 7 => "/checkout/7",
            8 => "/healthz",
            _ => "/fails",
        };
        let id = u128::from(number + 1) << 64 | 0x1234_5678;
        // The multiples of the golden ratio are spread evenly, also those of each route.
        let rand = ((number + 1) as f64 * 0.618_033_988_75).fract();
        let request = Request::get(path)
            .header("sentry-trace", format!("{id:032x}-00f067aa0ba902b7"))
            .header("baggage", format!("sentry-trace_id={id:032x},sentry-sample_rand={rand:.6}"))
            .body(Body::empty())
            .unwrap();
        drop(app.clone().oneshot(request).await.unwrap());
        if number % 100 == 99 {
            client.flush(crate::support::patience()).await.unwrap();
        }
    }
    client.shutdown(crate::support::patience()).await.unwrap();
    std::mem::take(&mut *sent.lock().unwrap())
}

/// How many transactions of each name are in envelopes.
fn counts(envelopes: &[u8]) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for line in envelopes.split(|byte| *byte == b'\n') {
        let item = serde_json::from_slice::<serde_json::Value>(line).unwrap_or_default();
        if item["type"] == "transaction"
            && let Some(name) = item["transaction"].as_str()
        {
            *counts.entry(name.to_owned()).or_default() += 1.0;
        }
    }
    counts
}

#[tokio::test]
async fn a_forecast_is_what_the_setting_sends() {
    let rows = [("/checkout/{id}", 1.0), ("/healthz", 0.0)];
    let recording = example::read(&*served(Config::builder().traces_sample_rate(1.0), &[]).await).unwrap();
    let routes = rows.map(|(name, rate)| (name.to_owned(), rate)).to_vec();
    let setting = Setting { rate: 0.3, routes, keep_failed: f64::INFINITY, keep_slow: 10.0 };

    let forecast = recording.forecast(&setting);
    let truth = counts(&served(Config::builder().traces_sample_rate(0.3), &rows).await);

    assert_eq!(forecast.values().map(|share| share.recorded.round()).sum::<f64>() as u64, REQUESTS, "{forecast:?}");
    for (name, share) in &forecast {
        let truth = truth.get(name).copied().unwrap_or_default();
        assert!((share.sent() - truth).abs() <= 0.05 * truth, "{name}: {} forecast, {truth} sent", share.sent());
    }
    let expected = |name: &str| (forecast[name].sampled.round(), forecast[name].failed.round());
    assert_eq!(expected("GET /fails"), (45.0, 105.0), "all are kept");
    assert_eq!(expected("GET /healthz"), (0.0, 0.0));
    // Without the budget, failures are sampled like the rest.
    let without = recording.forecast(&Setting { keep_failed: 0.0, ..setting });
    assert_eq!(without["GET /fails"], Share { failed: 0.0, ..without["GET /fails"] });
    assert!(without["GET /fails"].bytes < forecast["GET /fails"].bytes / 3.0, "{without:?}");
}

#[test]
fn a_recording_is_read_whatever_is_between_its_transactions() {
    let transaction = |name: &str, at: f64, seconds: f64, rate: f64, spans: &str| {
        let trace = format!(r#"{{"trace":{{"status":"ok","data":{{"sentry.sample_rate":{rate}}}}}}}"#);
        format!(
            r#"{{"type":"transaction","transaction":"{name}","start_timestamp":{},"timestamp":{at},"contexts":{trace},"spans":{spans}}}"#,
            at - seconds
        )
    };
    let lines = [
        "{}".to_owned(),
        r#"{"type":"transaction","length":3}"#.to_owned(),
        transaction("import", 1000.0, 0.1, 0.5, "[{},{}]"),
        "not JSON".to_owned(),
        r#"{"exception":{"values":[]}}"#.to_owned(),
        transaction("import", 1001.0, 0.1, 1.0, "[]"),
        transaction("import", 1002.0, 1.5, 1.0, "[]"),
    ];
    let setting = Setting { rate: 0.5, routes: Vec::new(), keep_failed: 10.0, keep_slow: 10.0 };

    let share = example::read(lines.join("\n").as_bytes()).unwrap().forecast(&setting)["import"];

    // The first stands for two.
    assert_eq!((share.recorded, share.sampled, share.slow, share.spans), (4.0, 2.0, 0.5, 2.0));
    assert_eq!(example::read(&b"{}\n"[..]).unwrap_err(), "the recording has no transaction");
}

#[test]
fn a_plan_has_a_base_and_a_price_for_what_is_more() {
    let plan = Plan::parse("small=26,100000,0.0003").unwrap();

    assert_eq!((plan.price(99_999.0), plan.price(200_000.0)), (26.0, 56.0));
    assert_eq!((Plan::parse("small=26"), Plan::parse("small=a,b,c"), Plan::parse("26,1,1")), (None, None, None));
}
