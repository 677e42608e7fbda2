//! Which requests are sent.

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use serde_json::Value;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::{Client, SentryLayer, TrustParent};

use crate::support::{self, Relay, Server};

async fn service(client: &Client) -> Server {
    let fails = || async {
        tower_sentry::capture_message(tower_sentry::Level::Warning, "noted");
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
    assert!(
        relay.reported().contains(&("sample_rate".into(), "transaction".into(), 2)) || relay.reported().len() > 1,
        "{:?}",
        relay.reported()
    );
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

#[tokio::test]
async fn a_forged_header_links_but_spends_no_more_than_its_budget() {
    // With a flag, or with a number that is below any rate.
    let forged = |id: u32, flag: &str| {
        let request = Request::get("/plain").header("sentry-trace", format!("{id:032x}-b0e6f15b45c36b12{flag}"));
        request.header("baggage", "sentry-sample_rand=0.000000")
    };
    let visit = async |trust: TrustParent, flag: &str| {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).traces_sample_rate(HARDLY).trust_parent(trust).build().unwrap());
        let server = service(&client).await;
        let begun = std::time::Instant::now();
        for id in 1..=300 {
            support::request(&server, forged(id, flag)).await;
        }
        support::settle(&client).await;
        (relay, begun.elapsed().as_secs_f64())
    };

    let (followed, seconds) = visit(TrustParent::Always, "-1").await;
    let (chosen, seconds_of_chosen) = visit(TrustParent::Always, "").await;
    let (ignored, _) = visit(TrustParent::Never, "-1").await;

    for (relay, seconds) in [(&followed, seconds), (&chosen, seconds_of_chosen)] {
        let sent = relay.transactions().len() as f64;
        assert!((100.0..=101.0 + 10.0 * seconds).contains(&sent), "{sent} in {seconds} s: 100 at once and 10 a second");
    }
    assert_eq!(ignored.transactions().len(), 0);
    assert_eq!(followed.transactions()[0]["contexts"]["trace"]["parent_span_id"], "b0e6f15b45c36b12");
}
