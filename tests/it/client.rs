//! Requests out, and looks into caches.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::outgoing::OutgoingLayer;
use tower_sentry::test::Captured;
use tower_sentry::{Client, Config, ConfigBuilder, SentryLayer};

use crate::support::{self, Relay, Server};

/// A service that says what it was told.
async fn echo() -> Server {
    let tell = |headers: HeaderMap| async move {
        let line = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(",");
        axum::Json(serde_json::json!({
            "sentry-trace": line("sentry-trace"), "baggage": line("baggage"), "traceparent": line("traceparent")
        }))
    };
    Server::start(Router::new().route("/items/{id}", get(tell)).route("/gone", get(|| async { StatusCode::NOT_FOUND }))).await
}

async fn body(response: http::Response<hyper::body::Incoming>) -> Value {
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[tokio::test]
async fn targets() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").propagate_traceparent(true).build().unwrap());
    let stock = echo().await;
    let http: HttpClient<HttpConnector, Body> = HttpClient::builder(TokioExecutor::new()).build_http();
    let address = stock.address;
    let handler = move || {
        let service = ServiceBuilder::new().layer(OutgoingLayer::new().propagate_to(["localhost"])).service(http.clone());
        async move {
            let ask = |url: String| {
                let request = http::Request::get(url).header("baggage", "vendor=1").body(Body::empty()).unwrap();
                let mut service = service.clone();
                async move { service.ready().await.unwrap().call(request).await.unwrap() }
            };
            let told = body(ask(format!("http://localhost:{}/items/7?token=canary-1", address.port())).await).await;
            let foreign = body(ask(format!("http://{address}/items/7")).await).await;
            let gone = ask(format!("http://{address}/gone")).await.status();
            let refused = service.clone().oneshot(http::Request::get("http://127.0.0.1:1/").body(Body::empty()).unwrap()).await.is_err();
            axum::Json(serde_json::json!({"told": told, "foreign": foreign, "gone": gone.as_u16(), "refused": refused}))
        }
    };
    let app = Router::new().route("/cart", get(handler)).layer(SentryLayer::new(&client));

    let (_, answer) = support::get(&Server::start(app).await, "/cart").await;
    support::settle(&client).await;

    let answer: Value = serde_json::from_str(&answer).unwrap();
    let transaction = &relay.transactions()[0];
    let trace = &transaction["contexts"]["trace"];
    let spans = transaction["spans"].as_array().unwrap();
    assert_eq!(
        support::tree(transaction),
        format!(
            "GET /cart [http.server] ok\n  GET http://localhost:{port}/items/7 [http.client] ok\n  GET http://127.0.0.1:{port}/items/7 \
             [http.client] ok\n  GET http://127.0.0.1:{port}/gone [http.client] not_found\n  GET http://127.0.0.1:1/ [http.client] internal_error\n",
            port = address.port()
        )
    );
    let ids = format!("{}-{}", trace["trace_id"].as_str().unwrap(), spans[0]["span_id"].as_str().unwrap());
    assert_eq!(answer["told"]["sentry-trace"], format!("{ids}-1"), "the span of the call is the parent");
    assert_eq!(answer["told"]["traceparent"], format!("00-{ids}-01"));
    let baggage = answer["told"]["baggage"].as_str().unwrap();
    assert!(baggage.starts_with("vendor=1,sentry-trace_id="), "{baggage}");
    assert!(baggage.contains("sentry-release=shop%401.4.0") && baggage.contains("sentry-transaction=GET%20%2Fcart"), "{baggage}");
    assert_eq!(answer["foreign"], serde_json::json!({"sentry-trace": "", "baggage": "vendor=1", "traceparent": ""}));
    assert_eq!((&answer["gone"], &answer["refused"]), (&404.into(), &true.into()));
    assert_eq!((&spans[0]["data"]["url.query"], &spans[0]["data"]["http.response.status_code"]), (&"token=[Filtered]".into(), &200.into()));
    assert_eq!((&spans[0]["data"]["server.address"], &spans[0]["data"]["server.port"]), (&"localhost".into(), &address.port().into()));
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test]
async fn reqwest_and_its_middleware() {
    use tower_sentry::outgoing::{SendTraced as _, TraceMiddleware};

    let relay = Relay::start();
    // Not sampled: the next service must hear that, and no span is made.
    for (rate, flag, spans) in [(1.0, '1', 2), (0.0, '0', 0)] {
        let config = support::config(&relay).traces_sample_rate(rate).trace_propagation_targets(["127.0.0.1"]);
        let client = Client::from(config.build().unwrap());
        let stock = echo().await;
        let plain = support::http_client().build().unwrap();
        let wrapped = reqwest_middleware::ClientBuilder::new(plain.clone()).with(TraceMiddleware::new()).build();
        let url = format!("http://{}/items/7", stock.address);
        let handler = move || async move {
            let first: Value = serde_json::from_str(&plain.get(&url).send_traced().await.unwrap().text().await.unwrap()).unwrap();
            let second: Value = serde_json::from_str(&wrapped.get(&url).send().await.unwrap().text().await.unwrap()).unwrap();
            axum::Json([first, second])
        };
        let app = Router::new().route("/cart", get(handler)).layer(SentryLayer::new(&client));

        let (_, answer) = support::get(&Server::start(app).await, "/cart").await;
        support::settle(&client).await;

        let answer: Value = serde_json::from_str(&answer).unwrap();
        for told in answer.as_array().unwrap() {
            assert!(told["sentry-trace"].as_str().unwrap().ends_with(&format!("-{flag}")), "{told}");
            assert_eq!(told["traceparent"], "", "only on request");
        }
        let transaction = relay.transactions().pop().filter(|_| rate > 0.0);
        let seen = transaction.map(|transaction| transaction["spans"].as_array().unwrap().clone()).unwrap_or_default();
        let told = |span: &Value| {
            let text = |name: &str| span[name].as_str().unwrap().to_owned();
            (text("description"), text("status"), span["data"]["http.response.status_code"].clone())
        };
        let expected = (format!("GET http://{}/items/7", stock.address), "ok".to_owned(), Value::from(200));
        assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), vec![expected; spans]);
    }
}

/// What is recorded of calls to these URLs, in a job of a client with these settings. What sends them is a span of its own.
async fn calls(settings: ConfigBuilder, urls: &[&str]) -> Captured {
    let (client, captured) = tower_sentry::test::client_with(settings.traces_sample_rate(1.0));
    let send = service_fn(|_: http::Request<()>| async {
        tower_sentry::span("socket", "connect", async {}).await;
        Ok::<_, Infallible>(http::Response::new(()))
    });
    let service = ServiceBuilder::new().layer(OutgoingLayer::new()).service(send);
    let work = async {
        for url in urls {
            service.clone().oneshot(http::Request::put(*url).body(()).unwrap()).await.unwrap();
        }
    };
    client.transaction("work").run(work).await;
    captured
}

#[tokio::test]
async fn what_sends_a_request_is_below_its_span() {
    let captured = calls(Config::builder(), &["http://stock.example/items/7"]).await;

    assert_eq!(captured.tree(), "work [task] ok\n  PUT http://stock.example/items/7 [http.client] ok\n    connect [socket] ok\n");
}

#[tokio::test]
async fn a_call_says_where_it_went_and_no_password() {
    let captured = calls(Config::builder(), &["http://canary-1:canary-2@stock.example:8080/items/7?limit=2"]).await;

    let span = &captured.transactions()[0].spans[0];
    assert_eq!(span.description.as_deref(), Some("PUT http://stock.example:8080/items/7"));
    for (name, expected) in [
        ("http.request.method", Value::from("PUT")),
        ("url.full", "http://stock.example:8080/items/7".into()),
        ("url.query", "limit=2".into()),
        ("server.address", "stock.example".into()),
        ("server.port", 8080.into()),
        ("http.response.status_code", 200.into()),
    ] {
        assert_eq!(span.data.get(name), Some(&expected), "{name}");
    }
    assert!(!String::from_utf8_lossy(&captured.envelopes().concat()).contains("canary"));
}

#[tokio::test]
async fn what_goes_to_sentry_is_not_recorded_and_what_else_goes_there_is() {
    let dsn = "http://0123456789abcdef0123456789abcdef@shop.example/sentry/42";
    let urls =
        ["http://shop.example/sentry/api/42/envelope/", "http://shop.example/items/7", "http://other.example/sentry/api/42/envelope/"];

    let captured = calls(Config::builder().dsn(dsn), &urls).await;

    assert_eq!(
        captured.tree(),
        "work [task] ok\n  connect [socket] ok\n  PUT http://shop.example/items/7 [http.client] ok\n    connect [socket] ok\n  \
         PUT http://other.example/sentry/api/42/envelope/ [http.client] ok\n    connect [socket] ok\n"
    );
}

#[tokio::test]
async fn what_a_look_into_a_cache_does_is_below_its_span() {
    let (client, captured) = tower_sentry::test::client();
    let look = async {
        tower_sentry::span("socket", "connect", async {}).await;
        Ok::<Option<u32>, Infallible>(None)
    };

    client.transaction("work").run(async { assert_eq!(tower_sentry::cache::get("item-7", look).await, Ok(None)) }).await;

    assert_eq!(captured.tree(), "work [task] ok\n  item-7 [cache.get] ok\n    connect [socket] ok\n");
    assert_eq!(captured.transactions()[0].spans[0].data["cache.hit"], false);
    support::settle(&client).await;
}
