//! Without any feature: plain tower services on plain hyper, and work that is no request.

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tower::Layer as _;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::{Client, Scope, SentryLayer, User};

use crate::support::{self, Relay, Server, tree};

#[tracing::instrument]
async fn load(id: u32) -> Result<u32, std::io::Error> {
    tokio::task::yield_now().await;
    if id == 7 { Ok(id) } else { Err(std::io::Error::other("no such order")) }
}

async fn show(request: Request<Incoming>) -> Result<Response<http_body_util::Full<&'static [u8]>>, Infallible> {
    let id = request.uri().path().rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or_default();
    Scope::current().set_user(User::id(42)).set_tag("plan", "gold");
    let mut response = Response::new(http_body_util::Full::new(&b"order"[..]));
    if let Err(error) = load(id).await {
        tower_sentry::capture_error(&error);
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_service_is_recorded_whole() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let layer = SentryLayer::new(&client).route("/orders/{id}", RouteOptions::new());
    let server = Server::start_hyper(layer.layer(tower::service_fn(show))).await;

    let fine = support::get(&server, "/orders/7?token=canary-1").await;
    let failed = support::get(&server, "/orders/8").await;
    let unmatched = support::get(&server, "/nowhere/7").await;
    support::settle(&client).await;

    assert_eq!([fine.0, failed.0, unmatched.0].map(|status| status.as_u16()), [200, 500, 200]);
    let trees: std::collections::BTreeSet<_> = relay.transactions().iter().map(tree).collect();
    let expected = [
        "GET /orders/{id} [http.server] internal_error\n  load [function] ok\n",
        "GET /orders/{id} [http.server] ok\n  load [function] ok\n",
        "GET <unmatched> [http.server] ok\n  load [function] ok\n",
    ];
    assert_eq!(trees.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let events = relay.events();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((&event["transaction"], &event["exception"]["values"][0]["value"]), (&"GET /orders/{id}".into(), &"no such order".into()));
    assert_eq!((&event["user"]["id"], &event["tags"]["plan"]), (&"42".into(), &"gold".into()));
    assert!(!relay.received().iter().any(|received| String::from_utf8_lossy(&received.envelope).contains("canary")));
}

#[tokio::test]
async fn work_outside_requests_is_a_transaction() {
    let relay = Relay::start();
    let client = support::client(&relay);

    let result: Result<u32, std::io::Error> = client.transaction("import").op("task").run(load(8)).await;
    support::settle(&client).await;

    assert!(result.is_err());
    assert_eq!(relay.transactions()[0]["contexts"]["trace"]["status"], "internal_error");
    assert_eq!(relay.events()[0]["exception"]["values"][0]["value"], "no such order");
}

#[test]
fn a_panic_is_an_event_and_the_service_goes_on() {
    if support::in_child("bare::a_panic_is_an_event_and_the_service_goes_on", &[]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
        let crash = |request: Request<Incoming>| async move {
            assert!(request.uri().path() != "/crash", "the shelf is empty");
            Ok::<_, Infallible>(Response::new(http_body_util::Full::new(&b"fine"[..])))
        };
        let server = Server::start_hyper(SentryLayer::new(&client).layer(tower::service_fn(crash))).await;
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/crash").header("host", "shop.example").body(http_body_util::Empty::<&[u8]>::new()).unwrap();
        assert!(sender.send_request(request).await.is_err(), "the connection goes with its task");
        let after = support::get(&server, "/fine").await;
        relay.wait_for(3);
        support::settle(&client).await;

        assert_eq!(after, (StatusCode::OK, "fine".to_owned()));
        let events: Vec<Value> = relay.events();
        assert_eq!((events.len(), &events[0]["level"]), (1, &"fatal".into()));
        assert!(events[0]["exception"]["values"][0]["value"].as_str().unwrap().starts_with("the shelf is empty"), "{}", events[0]);
    });
}

#[cfg(all(feature = "reqwest", not(feature = "rustls")))]
#[test]
fn a_dsn_that_needs_tls_is_a_clear_error() {
    let error = tower_sentry::Config::builder().dsn("https://0123456789abcdef0123456789abcdef@sentry.test/1").build().unwrap_err();

    assert!(error.to_string().contains("rustls"), "{error}");
}
