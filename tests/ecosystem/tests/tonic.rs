//! A gRPC service: its calls are transactions whose status is that of the call.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tower_sentry::{Client, Config, SentryLayer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_have_the_status_of_grpc() {
    let (transactions, received) = mpsc::channel();
    let transport = move |envelope: &[u8]| {
        let lines = envelope.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        // Headers of items have a type too, but no spans.
        for payload in lines.filter(|line| line["type"] == "transaction" && line["spans"].is_array()) {
            transactions.send(payload).unwrap();
        }
    };
    let client = Client::from(Config::builder().transport(transport).panic_hook(false).traces_sample_rate(1.0).build().unwrap());
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layer = SentryLayer::new(&client).name(|request| Some(request.uri().path().to_owned()));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().layer(layer).add_service(health).serve_with_incoming(incoming));

    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut caller = tonic_health::pb::health_client::HealthClient::new(channel);
    let check = |service: &str| tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
    caller.check(check("shop")).await.unwrap();
    assert_eq!(caller.check(check("nobody")).await.unwrap_err().code(), tonic::Code::NotFound);
    client.flush(Duration::from_secs(30)).await.unwrap();

    let seen: Vec<_> = received
        .try_iter()
        .map(|transaction| {
            let trace = &transaction["contexts"]["trace"];
            format!("{} {} {}", transaction["transaction"], trace["status"], trace["data"]["rpc.grpc.status_code"])
        })
        .collect();
    assert_eq!(seen, [r#""/grpc.health.v1.Health/Check" "ok" 0"#, r#""/grpc.health.v1.Health/Check" "not_found" 5"#]);
}
