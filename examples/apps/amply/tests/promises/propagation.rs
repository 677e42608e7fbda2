//! Which hosts get the headers of a trace.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use axum::routing::{any, post};
use axum::{Json, http};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::Preset;
use tower_sentry::outgoing::OutgoingLayer;

use crate::support::{Scene, donation};

const TRACE_HEADERS: [&str; 3] = ["sentry-trace", "baggage", "traceparent"];

/// A server that is not ours, and the headers that it gets.
async fn other_server() -> (String, UnboundedReceiver<HeaderMap>) {
    let (got, headers) = mpsc::unbounded_channel();
    let answer = move |headers: HeaderMap| async move {
        got.send(headers).unwrap();
        Json(json!({ "id": "ch_1" }))
    };
    let routes = Router::new().route("/{provider}/charges", post(answer.clone())).fallback(any(answer));
    (amply::stand_in::serve(routes).await.unwrap(), headers)
}

#[tokio::test]
async fn the_api_continues_the_trace_of_the_dashboard() {
    let scene = Scene::start().await;

    scene.get("/dashboard/7").await;
    scene.flush().await;

    let page = scene.dashboard.transactions()[0].clone();
    let api = scene.backend.transactions()[0].clone();
    let [page_trace, api_trace] = [&page, &api].map(|transaction| transaction["contexts"]["trace"].clone());
    assert_eq!(api_trace["trace_id"], page_trace["trace_id"]);
    let call = page["spans"].as_array().unwrap().iter().find(|span| span["op"] == "http.client").unwrap();
    assert_eq!(api_trace["parent_span_id"], call["span_id"]);
}

#[tokio::test]
async fn a_payment_provider_gets_no_header_of_the_trace() {
    let (address, mut headers) = other_server().await;
    let scene = Scene::with(Preset::Staging, address).await;

    scene.donate(&donation("stripe", "10")).await;
    scene.flush().await;

    let headers = headers.recv().await.unwrap();
    assert!(TRACE_HEADERS.iter().all(|name| !headers.contains_key(*name)), "{headers:?}");
    // The request is a span all the same.
    let spans = scene.backend.transactions()[0]["spans"].as_array().unwrap().clone();
    assert!(spans.iter().any(|span| span["op"] == "http.client"));
}

/// The document's host has another address here. The rules go by its name.
#[tokio::test]
async fn only_the_hosts_of_the_document_get_them() {
    let (address, mut received) = other_server().await;
    let address: http::Uri = address.parse().unwrap();
    let here = SocketAddr::from(([127, 0, 0, 1], address.port_u16().unwrap()));
    let scene = Scene::start().await;
    let resolver = service_fn(move |_: Name| async move { Ok::<_, std::io::Error>([here].into_iter()) });
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(HttpConnector::new_with_resolver(resolver));
    let call = async |host: &str| {
        let client = ServiceBuilder::new().layer(OutgoingLayer::new()).service(client.clone());
        let request = Request::builder().method(Method::GET).uri(format!("http://{host}:{}/", here.port()));
        client.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    };
    let hosts = [
        ("api.amply-impact.org", true),
        ("localhost", true),
        ("amply-impact.org", false),
        ("www.api.amply-impact.org", false),
        ("api.amply-impact.org.attacker.example", false),
        ("localhost.attacker.example", false),
    ];

    for (host, is_listed) in hosts {
        scene.amply.clients().dashboard.transaction("calls").run_infallible(call(host)).await;

        let headers = received.recv().await.unwrap();
        assert_eq!(headers.contains_key("sentry-trace"), is_listed, "{host}: {headers:?}");
        assert_eq!(headers.contains_key("baggage"), is_listed, "{host}: {headers:?}");
    }
}
