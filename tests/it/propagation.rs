//! Traces that come in from others.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _};
use tower_sentry::{Client, Scope, SentryLayer};

use crate::support::{self, Relay};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";
const OTHER: &str = "0123456789abcdef0123456789abcdef";
const SPAN: &str = "b0e6f15b45c36b12";

/// The transaction of a request with these headers, and its envelope's context; none if it was not sampled.
async fn serve(headers: &[(&str, String)]) -> Option<(Value, Value)> {
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    drop(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
    support::settle(&client).await;
    let transaction = relay.transactions().pop()?;
    let header = relay.received().iter().map(|received| received.items().0).find(|header| header.get("event_id").is_some()).unwrap();
    Some((transaction["contexts"]["trace"].clone(), header["trace"].clone()))
}

#[tokio::test]
async fn incoming() {
    let sentry = |flag: &str| ("sentry-trace", format!("{TRACE}-{SPAN}{flag}"));
    let w3c = |flag: &str| ("traceparent", format!("00-{OTHER}-{SPAN}-{flag}"));
    let baggage = |text: &str| ("baggage", text.to_owned());
    let frozen = format!("sentry-trace_id={TRACE},sentry-public_key={OTHER},sentry-sample_rand=0.112233,sentry-sampled=true,vendor=1");
    // Headers; whose trace it is; whether the envelope has a context.
    let rows: [(&[(&str, String)], Option<&str>, Option<bool>); 10] = [
        (&[], None, Some(true)),
        (&[sentry("-1")], Some(TRACE), Some(false)),
        (&[sentry("")], Some(TRACE), Some(false)),
        (&[sentry("-0")], Some(TRACE), None),
        (&[sentry("-1"), w3c("00")], Some(TRACE), Some(false)),
        (&[w3c("01")], Some(OTHER), Some(false)),
        (&[w3c("00")], Some(OTHER), Some(false)),
        (&[("sentry-trace", "nonsense".to_owned()), w3c("01")], Some(OTHER), Some(false)),
        (&[baggage(&frozen)], None, Some(true)),
        (&[sentry("-1"), baggage(&frozen)], Some(TRACE), Some(true)),
    ];

    for (headers, trace_id, has_context) in rows {
        let served = serve(headers).await;
        assert_eq!(served.is_some(), has_context.is_some(), "{headers:?}");
        let Some((trace, context)) = served else { continue };
        match trace_id {
            Some(id) => assert_eq!((&trace["trace_id"], &trace["parent_span_id"]), (&id.into(), &SPAN.into()), "{headers:?}"),
            None => assert!(trace["trace_id"] != TRACE && trace.get("parent_span_id").is_none(), "{headers:?}"),
        }
        assert_eq!(Some(context.is_object()), has_context, "{headers:?}");
        if headers.len() == 2 && context.is_object() {
            assert_eq!((&context["sample_rand"], &context["public_key"]), (&"0.112233".into(), &OTHER.into()), "as it came in");
        }
    }
}

#[tokio::test]
async fn a_trace_of_another_organisation_is_not_continued() {
    for (org, continues) in [("1", true), ("2", false)] {
        let (seen, envelopes) = std::sync::mpsc::channel();
        let seen = Mutex::new(seen);
        let config = tower_sentry::Config::builder()
            .dsn(format!("http://{OTHER}@o1.ingest.sentry.io/42"))
            .traces_sample_rate(1.0)
            .panic_hook(false)
            .transport(move |envelope: &[u8]| seen.lock().unwrap().send(envelope.to_vec()).unwrap());
        let client = Client::from(config.build().unwrap());
        let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
        let request =
            Request::get("/").header("sentry-trace", format!("{TRACE}-{SPAN}-1")).header("baggage", format!("sentry-org_id={org}"));

        drop(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
        support::settle(&client).await;

        let envelope = envelopes.recv().unwrap();
        let (_, transaction) = &support::items(&envelope).1[0];
        assert_eq!(transaction["contexts"]["trace"]["trace_id"] == TRACE, continues, "organisation {org}");
    }
}

#[tokio::test]
async fn an_incoming_claim_about_our_decision_is_replaced() {
    use tower_sentry::TrustParent;
    use tower_sentry::incoming::RouteOptions;

    let forged =
        format!("sentry-trace_id={TRACE},sentry-public_key={OTHER},sentry-sampled=false,sentry-sample_rate=0.0001,sentry-release=forged");
    for (trust, flag, own_rate, context) in [
        // Nothing of a trace that is not trusted but its ids.
        (TrustParent::Never, "0", None, None),
        // The flag and the baggage disagree: the flag is what we follow.
        (TrustParent::Always, "1", None, Some(("true", "1"))),
        // A rate of our own wins over the flag.
        (TrustParent::Always, "0", Some(1.0), Some(("true", "1"))),
    ] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).trust_parent(trust).build().unwrap());
        let options = own_rate.map_or_else(RouteOptions::new, |rate| RouteOptions::new().sample_rate(rate));
        let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client).route("/", options));
        let request = Request::get("/").header("sentry-trace", format!("{TRACE}-{SPAN}-{flag}")).header("baggage", &forged);

        drop(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
        support::settle(&client).await;

        let transaction = &relay.transactions()[0];
        assert_eq!(ids(transaction).0, TRACE);
        let header = relay.received()[0].items().0;
        let said = header.get("trace").map(|trace| (trace["sampled"].as_str().unwrap(), trace["sample_rate"].as_str().unwrap()));
        assert_eq!(said, context, "{trust:?} {flag} {own_rate:?}");
    }
}

#[tokio::test]
async fn no_secret_of_a_name_goes_to_other_services() {
    let (client, _) = tower_sentry::test::client_with(tower_sentry::Config::builder().dsn(format!("http://{OTHER}@127.0.0.1:1/1")));
    let mut headers = HashMap::from([("Baggage".to_owned(), "vendor=1".to_owned()), ("Sentry-Trace".to_owned(), "old".to_owned())]);
    let work = async {
        let scope = Scope::current();
        scope.transaction().set_name("reset with Bearer abcdef0123456789");
        scope.inject(&mut headers);
    };
    client.transaction("work").run(work).await;

    assert!(
        headers["baggage"].starts_with("vendor=1,")
            && headers["baggage"].contains("sentry-transaction=reset%20with%20Bearer%20%5BFiltered%5D"),
        "{headers:?}"
    );
    assert_eq!(headers.len(), 2, "one of each, whatever its case was: {headers:?}");
}

#[tokio::test]
async fn a_baggage_that_is_too_long_is_marked_and_counted() {
    let ours = |length: usize| format!("sentry-release={}", "x".repeat(length - "sentry-release=".len()));
    let carrier =
        |baggage: String| HashMap::from([("sentry-trace".to_owned(), format!("{TRACE}-{SPAN}-1")), ("baggage".to_owned(), baggage)]);
    // The baggage that comes in, that of the request to another service, and whether members are left out.
    let rows = [
        (ours(8192), String::new(), false),
        (ours(8193), String::new(), true),
        (ours(700_000), String::new(), true),
        (format!("{}sentry-release=65th", "a=1,".repeat(64)), String::new(), true),
        (ours(100), "vendor=1".to_owned(), false),
        (ours(100), format!("vendor={}", "x".repeat(8100)), true),
    ];

    for (number, (incoming, outgoing, is_cut)) in rows.into_iter().enumerate() {
        let relay = Relay::start();
        let client = support::client(&relay);
        let mut next = carrier(outgoing);
        let work = async {
            // Twice: it counts once.
            Scope::current().inject(&mut next);
            Scope::current().inject(&mut next);
        };
        client.transaction("work").continue_trace(&carrier(incoming)).run(work).await;
        support::settle(&client).await;

        let mark = relay.transactions()[0]["contexts"]["trace"]["data"]["tower_sentry.cut_baggage"].clone();
        assert_eq!((mark == true, client.stats().truncated), (is_cut, u64::from(is_cut)), "row {number}");
        assert!(next["sentry-trace"].starts_with(TRACE), "the trace goes on");
    }
}

/// The ids of a transaction: trace, its own span, its parent.
fn ids(transaction: &Value) -> (String, String, String) {
    let trace = &transaction["contexts"]["trace"];
    let text = |name: &str| trace[name].as_str().unwrap_or_default().to_owned();
    (text("trace_id"), text("span_id"), text("parent_span_id"))
}

#[tokio::test]
async fn two_services_and_a_worker_are_one_trace_that_a_foreign_client_began() {
    use HashMap;

    use hyper_util::client::legacy::Client as HttpClient;
    use hyper_util::rt::TokioExecutor;
    use tower_sentry::Scope;
    use tower_sentry::outgoing::OutgoingLayer;

    let relay = Relay::start();
    // Each of them would sample another share by itself: the client's decision holds for all.
    let service = |release: &str, rate: f64| {
        let config = support::config(&relay).release(release).traces_sample_rate(rate).trace_propagation_targets(["127.0.0.1"]);
        Client::from(config.build().unwrap())
    };
    let (shop, stock, worker) = (service("shop@1", 0.5), service("stock@1", 0.001), service("worker@1", 0.001));
    let (queue, mut jobs) = tokio::sync::mpsc::unbounded_channel::<HashMap<String, String>>();
    let reserve = move || {
        let queue = queue.clone();
        async move {
            let mut headers = HashMap::new();
            Scope::current().inject(&mut headers);
            queue.send(headers).unwrap();
        }
    };
    let stock_server = support::Server::start(Router::new().route("/reserve", get(reserve)).layer(SentryLayer::new(&stock))).await;
    let address = stock_server.address;
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build_http();
    let order = move || {
        let mut client = tower::ServiceBuilder::new().layer(OutgoingLayer::new()).service(http.clone());
        async move {
            let request = Request::get(format!("http://{address}/reserve")).body(Body::empty()).unwrap();
            tower::Service::call(&mut client, request).await.unwrap().status()
        }
    };
    let shop_server = support::Server::start(Router::new().route("/orders", get(order)).layer(SentryLayer::new(&shop))).await;

    for (flag, sampled) in [("1", true), ("0", false)] {
        // A foreign client: plain bytes on a socket.
        let mut stream = tokio::net::TcpStream::connect(shop_server.address).await.unwrap();
        let baggage = format!(
            "sentry-trace_id={TRACE},sentry-public_key={OTHER},sentry-sample_rate=0.25,sentry-sample_rand=0.100000,sentry-sampled={sampled}"
        );
        let head = format!(
            "GET /orders HTTP/1.1\r\nhost: shop\r\nsentry-trace: {TRACE}-{SPAN}-{flag}\r\nbaggage: {baggage}\r\nconnection: close\r\n\r\n"
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let headers = jobs.recv().await.unwrap();
        worker.transaction("ship").op("queue.process").continue_trace(&headers).run(async {}).await;
    }
    for client in [&shop, &stock, &worker] {
        support::settle(client).await;
    }

    let transactions = relay.transactions();
    let of = |name: &str| transactions.iter().find(|transaction| transaction["transaction"] == name).unwrap();
    assert_eq!(transactions.len(), 3, "the second trace was not sampled by whoever began it, so by nobody");
    let (orders, reserved, job) = (of("GET /orders"), of("GET /reserve"), of("ship"));
    let call = orders["spans"][0]["span_id"].as_str().unwrap().to_owned();
    assert_eq!(ids(orders).0, TRACE);
    assert_eq!(ids(orders).2, SPAN);
    assert_eq!((ids(reserved).0, ids(reserved).2), (TRACE.to_owned(), call));
    assert_eq!((ids(job).0, ids(job).2), (TRACE.to_owned(), ids(reserved).1));
    for received in relay.received() {
        let (header, items) = received.items();
        if items[0].0["type"] == "transaction" {
            assert_eq!((&header["trace"]["sample_rand"], &header["trace"]["sampled"]), (&"0.100000".into(), &"true".into()));
        }
    }
}

#[tokio::test]
async fn a_decision_that_the_caller_left_to_us_is_in_the_trace_header() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(0.25).build().unwrap());
    let calls = Arc::new(Mutex::new(HashMap::new()));
    let told = Arc::clone(&calls);
    let handler = move || async move { Scope::current().inject(&mut *told.lock().unwrap()) };
    let app: Router = Router::new().route("/orders", get(handler)).layer(SentryLayer::new(&client));

    let baggage = format!("sentry-trace_id={TRACE},sentry-public_key={OTHER},sentry-sample_rand=0.100000,sentry-release=other");
    let request = Request::get("/orders").header("sentry-trace", format!("{TRACE}-{SPAN}")).header("baggage", baggage);
    app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    support::settle(&client).await;

    let (header, _) = relay.received()[0].items();
    let expected = serde_json::json!({
        "trace_id": TRACE, "public_key": OTHER, "sample_rand": "0.100000", "release": "other", "sampled": "true", "sample_rate": "0.25",
    });
    assert_eq!(header["trace"], expected);
    let calls = calls.lock().unwrap();
    assert!(calls["sentry-trace"].ends_with("-1"), "{calls:?}");
    assert!(calls["baggage"].contains("sentry-sampled=true") && calls["baggage"].contains("sentry-sample_rate=0.25"), "{calls:?}");
}

#[test]
fn whatever_headers_say_they_are_read_or_refused() {
    use tower_sentry::job::JobInfo;

    const PIECES: [&str; 24] = [
        TRACE,
        OTHER,
        SPAN,
        "-",
        "-1",
        "-0",
        "00-",
        "ff-",
        "01",
        ",",
        ";",
        "=",
        "%",
        "%41",
        "%ff",
        "sentry-",
        "sentry-trace_id=",
        "sentry-sample_rand=",
        "0.5",
        "sampled",
        "é",
        "\u{0}",
        " ",
        "\"",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    // Anything, or something good with a piece put in somewhere, or nothing.
    let mut text = |good: &str, most: usize| {
        let mut pieces: Vec<&str> = (0..random.usize(..=most)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
        if random.bool() {
            pieces.truncate(random.usize(..2));
            let (head, tail) = good.split_at(random.usize(..=good.len()));
            pieces.insert(0, head);
            pieces.push(tail);
        }
        pieces.concat()
    };
    let (good, w3c) = (format!("{TRACE}-{SPAN}-1"), format!("00-{OTHER}-{SPAN}-01"));
    let mut continued = 0;
    for _ in 0..100_000 {
        let headers = [("Sentry-Trace", text(&good, 5)), ("traceparent", text(&w3c, 6)), ("baggage", text("sentry-sampled=true", 40))];
        let headers: HashMap<String, String> = headers.map(|(name, value)| (name.to_owned(), value)).into();
        continued += u32::from(format!("{:?}", JobInfo::new("fuzzed").continue_trace(&headers)).contains("trace_id: "));
    }
    // Some are good by chance, or nothing was tried.
    assert!((10_000..90_000).contains(&continued), "{continued}");
}

#[tokio::test]
async fn a_function_of_the_layer_may_know_the_trace_better_than_the_headers() {
    const KNOWN: &str = "11111111111111111111111111111111-2222222222222222-1";
    const SENT: &str = "33333333333333333333333333333333-4444444444444444-1";
    let (client, captured) = tower_sentry::test::client();
    let layer = SentryLayer::new(&client).trace_from(|head| {
        assert!(head.uri().path() != "/panics", "a function of the user");
        let known = (head.uri().path() == "/known").then(|| ("sentry-trace".to_owned(), KNOWN.to_owned()));
        known.into_iter().collect::<HashMap<_, _>>()
    });
    let service = layer.layer(tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(http::Response::new(Body::empty())) }));

    for path in ["/known", "/unknown", "/panics"] {
        let request = Request::get(path).header("sentry-trace", SENT).body(Body::empty()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
    }

    let transactions = captured.transactions();
    let traces: Vec<_> = transactions.iter().filter_map(|transaction| transaction.contexts.trace.as_ref()).collect();
    let ids: Vec<_> = traces.iter().map(|trace| (trace.trace_id.to_string(), trace.parent_span_id.unwrap().to_string())).collect();
    let [known, sent] = [KNOWN, SENT].map(|header| (header[..32].to_owned(), header[33..49].to_owned()));
    assert_eq!(ids, [known, sent.clone(), sent]);
}
