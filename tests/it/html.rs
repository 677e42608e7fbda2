//! The trace for a page.

use axum::Router;
use axum::body::Body;
use axum::response::Html;
use axum::routing::get;
use http::Request;
use tower::ServiceExt as _;
use tower_sentry::{Client, Scope, SentryLayer};

use crate::support::{self, Relay, Server};

#[tokio::test]
async fn meta() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).environment("it's \"<b>\" & more").build().unwrap());
    let page = || async { Html(format!("<!doctype html><html><head>{}</head></html>", Scope::current().trace_meta_tags())) };
    let app = Router::new().route("/", get(page)).layer(SentryLayer::new(&client));

    let (_, html) = support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let content = |name: &str| {
        let start = format!("<meta name=\"{name}\" content=\"");
        let rest = html.split_once(&start).unwrap_or_else(|| panic!("no {name} in {html}")).1;
        rest.split_once("\">").unwrap().0.to_owned()
    };
    let trace = relay.transactions()[0]["contexts"]["trace"].clone();
    let expected = format!("{}-{}-1", trace["trace_id"].as_str().unwrap(), trace["span_id"].as_str().unwrap());
    assert_eq!(content("sentry-trace"), expected);
    assert!(content("baggage").contains("sentry-environment=it%27s%20%22%3Cb%3E%22%20%26%20more"), "{html}");
    assert_eq!(Scope::current().trace_meta_tags().to_string(), "", "nothing outside of a request");
}

#[tokio::test]
async fn a_trace_without_baggage_has_no_tag_for_it() {
    let (client, _) = tower_sentry::test::client();
    let app = Router::new().route("/", get(|| async { Scope::current().trace_meta_tags().to_string() })).layer(SentryLayer::new(&client));
    let request = Request::get("/").header("sentry-trace", "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1");

    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();

    let html = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
    let html = std::str::from_utf8(&html).unwrap();
    assert!(html.starts_with("<meta name=\"sentry-trace\" content=\"771a43a4192642f0b136d5159a501700-"), "{html}");
    assert_eq!(html.matches("<meta ").count(), 1, "{html}");
}
