//! The exporter: shared, bounded, patient, exact.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::future::join_all;
use http::Request;
use tower::ServiceExt as _;
use tower_sentry::protocol::{self, DiscardReason};
use tower_sentry::{Client, Config, ConfigBuilder, Level, Scope, SentryLayer, TracingLayer};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{self, Answer, Relay, Server, patience};

#[cfg(feature = "test")]
mod spans_v2;

/// Captures a message on the client's account, outside any request.
fn app(client: &Client) -> Router {
    let message = || async {
        tower_sentry::capture_message(Level::Error, "noted");
        "ok"
    };
    Router::new().route("/message", get(message)).route("/plain/{number}", get(|| async { "ok" })).layer(SentryLayer::new(client))
}

/// Many kilobytes, compressed too.
fn large(client: &Client) -> Router {
    let handler = || async {
        Scope::current().set_context("large", (0..20_000).map(|number| format!("{number} ")).collect::<String>().split_at(60_000).0);
    };
    Router::new().route("/large", get(handler)).layer(SentryLayer::new(client))
}

fn exporters() -> usize {
    let names =
        std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "tower-sentry").count()
}

#[test]
fn shared() {
    if support::in_child("export::shared", &[]) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let relay = Relay::start();
        let config = support::config(&relay).build().unwrap();
        let mut servers = Vec::new();
        for _ in 0..8 {
            let number = |axum::extract::Path((layer, number)): axum::extract::Path<(u32, u32)>| async move {
                Scope::current().set_tag("layer", layer).set_tag("number", number);
            };
            servers
                .push(Server::start(Router::new().route("/{layer}/{number}", get(number)).layer(SentryLayer::new(config.clone()))).await);
        }

        join_all(servers.iter().enumerate().map(|(layer, server)| async move {
            for number in 0..100 {
                support::get(server, &format!("/{layer}/{number}")).await;
            }
        }))
        .await;
        // Counted while it runs: a thread has its name only once it has begun.
        relay.wait_for(1);
        assert_eq!(exporters(), 1);
        let client = Client::from(&config);
        support::settle(&client).await;

        assert_eq!(client.stats().transactions.sent, 800);
        // Several requests are on the wire at once, so they are ordered by when each was handed to it.
        let mut sent: Vec<_> = relay
            .received()
            .iter()
            .flat_map(|received| {
                let (header, items) = received.items();
                items
                    .into_iter()
                    .filter(|(item, _)| item["type"] == "transaction")
                    .map(move |(_, payload)| (header["sent_at"].as_str().unwrap().to_owned(), payload))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(sent.len(), 800);
        sent.sort_by(|(a, _), (b, _)| a.cmp(b));
        for layer in 0..8 {
            let of_layer = sent.iter().filter(|(_, payload)| payload["tags"]["layer"] == layer.to_string());
            let times: Vec<_> =
                of_layer.map(|(at, payload)| (at.clone(), payload["tags"]["number"].as_str().unwrap().parse::<u32>().unwrap())).collect();
            let is_ordered = times.iter().all(|(at, number)| times.iter().all(|(later, other)| number >= other || at <= later));
            assert!(is_ordered && times.len() == 100, "layer {layer}: {times:?}");
        }
    });
}

#[tokio::test]
async fn the_request_to_the_server_is_as_specified() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let server = Server::start(app(&client)).await;

    support::get(&server, "/message").await;
    support::settle(&client).await;

    for received in relay.received() {
        let header = |name: &str| received.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(received.path, "/api/42/envelope/");
        assert_eq!(header("content-type").as_deref(), Some("application/x-sentry-envelope"));
        let auth = format!(
            "Sentry sentry_version=7, sentry_client=tower-sentry/{}, sentry_key=0123456789abcdef0123456789abcdef",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(header("x-sentry-auth"), Some(auth));
        assert_eq!(header("content-length"), Some(received.raw.len().to_string()));
        assert!(header("user-agent").unwrap().starts_with("tower.sentry/"));
        let (envelope, items) = received.items();
        assert!(envelope["sent_at"].as_str().unwrap().ends_with('Z') && envelope["event_id"].is_string(), "{envelope}");
        assert_eq!(items[0].1["event_id"], envelope["event_id"]);
        assert!(!received.envelope.ends_with(b"\n"));
    }
    assert!(relay.received().iter().any(|received| received.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip")));
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn without_compression_an_envelope_travels_as_it_is() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).http_compression(false).build().unwrap());
    let server = Server::start(large(&client)).await;

    support::get(&server, "/large").await;
    support::settle(&client).await;

    let all = relay.received();
    let [received] = &all[..] else { panic!("one envelope") };
    assert!(received.raw.len() > 10_000 && received.raw == received.envelope);
    assert_eq!((received.headers.get("content-encoding"), relay.transactions().len()), (None, 1));
}

#[tokio::test]
async fn limits_of_the_server_are_kept_per_category() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let server = Server::start(app(&client)).await;
    relay.answer_next(Answer::Status(200, vec![("x-sentry-rate-limits", "600:transaction:organization".to_owned())]));

    support::get(&server, "/plain/1").await;
    client.flush(patience()).await.unwrap();
    support::get(&server, "/message").await;
    support::settle(&client).await;

    assert_eq!((relay.transactions().len(), relay.events().len()), (1, 1));
    assert_eq!(client.stats().transactions.dropped, [(DiscardReason::RatelimitBackoff, 1)]);
    assert!(relay.reported().contains(&("ratelimit_backoff".into(), "transaction".into(), 1)), "{:?}", relay.reported());
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    for (code, reason, is_reported) in [
        (400, DiscardReason::SendError, true),
        (401, DiscardReason::SendError, true),
        (413, DiscardReason::SendError, true),
        (500, DiscardReason::SendError, true),
        (302, DiscardReason::SendError, true),
        (429, DiscardReason::RatelimitBackoff, false),
    ] {
        let relay = Relay::start();
        let client = support::client(&relay);
        let server = Server::start(app(&client)).await;
        relay.answer_next(Answer::Status(code, vec![("retry-after", "0".to_owned()), ("location", "/elsewhere".to_owned())]));

        support::get(&server, "/plain/1").await;
        client.flush(patience()).await.unwrap();
        support::get(&server, "/plain/2").await;
        support::settle(&client).await;

        assert_eq!(client.stats().transactions.dropped, [(reason, 1)], "{code}");
        assert_eq!(client.stats().transactions.sent, 1, "{code}");
        assert_eq!(relay.reported().iter().any(|(_, category, count)| category == "transaction" && *count == 1), is_reported, "{code}");
        assert!(relay.received().iter().all(|received| received.path == "/api/42/envelope/"), "redirects are not followed");
    }
}

#[tokio::test]
async fn a_server_that_comes_back_gets_what_waited() {
    let port = support::closed_port();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/1", port.local_addr().unwrap());
    let client = Client::from(support::to(dsn).traces_sample_rate(1.0).panic_hook(false).build().unwrap());
    let server = Server::start(app(&client)).await;

    support::get(&server, "/message").await;
    // Refused at least once before the flush gives up.
    let late = client.flush(Duration::from_millis(100)).await;
    assert_eq!(late.unwrap_err().left(), 2);
    assert_eq!((client.stats().transactions.waiting(), client.stats().errors.waiting()), (1, 1));
    let relay = Relay::start_at(port);

    // By itself: no flush, no request.
    relay.wait_for(2);
    support::settle(&client).await;
    assert_eq!((relay.transactions().len(), relay.events().len()), (1, 1), "each once");
    assert_eq!((client.stats().transactions.sent, client.stats().errors.sent), (1, 1));
}

#[tokio::test]
async fn what_a_server_that_stays_away_did_not_get_is_counted_at_the_end() {
    let port = support::closed_port();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/1", port.local_addr().unwrap());
    let client = Client::from(support::to(dsn).traces_sample_rate(1.0).panic_hook(false).build().unwrap());
    let server = Server::start(app(&client)).await;
    support::get(&server, "/message").await;

    let error = client.shutdown(Duration::from_millis(50)).await.unwrap_err();

    assert_eq!(error.left(), 2);
    support::until("both are counted", || client.stats().transactions.waiting() + client.stats().errors.waiting() == 0).await;
    let stats = client.stats();
    for counts in [&stats.transactions, &stats.errors, &stats.spans] {
        assert_eq!((counts.sent, counts.dropped.as_slice()), (0, &[(DiscardReason::NetworkError, 1)][..]));
    }
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_no_request_waits() {
    let relay = Relay::start();
    relay.answer_all(Answer::Never);
    let config =
        support::config(&relay).queue_items(10).request_timeout(Duration::from_secs(3600)).shutdown_timeout(Duration::from_millis(10));
    let client = Client::from(config.build().unwrap());
    let server = Server::start(app(&client)).await;

    // Four are on the wire, and stay there: from now on the exporter takes nothing from the queue.
    for number in 0..4 {
        support::get(&server, &format!("/plain/{number}")).await;
    }
    relay.wait_for(4);
    for number in 4..100 {
        support::get(&server, &format!("/plain/{number}")).await;
    }
    let stats = client.stats().transactions;
    let error = client.shutdown(Duration::from_millis(50)).await.unwrap_err();

    assert_eq!((stats.captured, stats.dropped.as_slice()), (100, &[(DiscardReason::QueueOverflow, 86)][..]), "ten wait in the queue");
    assert_eq!(error.left(), 14);
    support::until("all are counted", || client.stats().transactions.waiting() == 0).await;
    let after = client.stats();
    assert_eq!((after.transactions.sent, after.transactions.dropped_total()), (0, 100), "{after:?}");
    let rows = [(DiscardReason::NetworkError, 14), (DiscardReason::QueueOverflow, 86)];
    assert_eq!(
        (after.transactions.dropped.as_slice(), after.spans.dropped.as_slice()),
        (&rows[..], &rows[..]),
        "each root is a span as well"
    );
}

#[tokio::test]
async fn a_slow_server_is_waited_for_and_a_silent_one_is_not() {
    let (slow, silent) = (Relay::start(), Relay::start());
    slow.answer_all(Answer::Late(Duration::from_millis(100)));
    silent.answer_all(Answer::Never);
    let of = |relay: &Relay, timeout| Client::from(support::config(relay).request_timeout(timeout).build().unwrap());
    // The one that answers has all the time that a busy machine may need.
    let (patient, impatient) = (of(&slow, patience()), of(&silent, Duration::from_millis(100)));

    for client in [&patient, &impatient] {
        support::get(&Server::start(app(client)).await, "/plain/1").await;
    }
    patient.shutdown(patience()).await.unwrap();
    // A second attempt: the first was given up.
    silent.wait_for(2);
    let result = impatient.shutdown(Duration::from_millis(100)).await;

    assert_eq!(patient.stats().transactions.sent, 1);
    assert_eq!(slow.received().len(), 1, "asked once");
    assert_eq!(result.unwrap_err().left(), 1);
    support::until("it is counted", || impatient.stats().transactions.waiting() == 0).await;
    assert_eq!(impatient.stats().transactions.dropped, [(DiscardReason::NetworkError, 1)]);
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn spotlight_gets_a_copy_without_a_dsn() {
    let sidecar = Relay::start();
    let url = sidecar.dsn().replace("0123456789abcdef0123456789abcdef@", "").replace("/42", "/stream");
    let client = Client::from(Config::builder().spotlight(url).traces_sample_rate(1.0).panic_hook(false).build().unwrap());
    let server = Server::start(app(&client)).await;

    support::get(&server, "/message").await;
    support::settle(&client).await;

    assert_eq!((sidecar.transactions().len(), sidecar.events().len()), (1, 1));
    for received in sidecar.received() {
        assert_eq!((received.path.as_str(), received.headers.get("x-sentry-auth")), ("/stream", None));
    }
}

#[tokio::test]
async fn envelopes_that_the_server_chokes_on_do_not_hold_up_the_rest() {
    let relay = Relay::start();
    // Resets whoever sends more than this.
    relay.choke_above(5_000);
    let client = support::client(&relay);
    let app = app(&client).merge(large(&client));
    let server = Server::start(app).await;

    // More than are kept aside, in three rounds: while nothing is answered, each attempt costs a pause.
    for round in 1..=3 {
        for _ in 0..3 {
            support::get(&server, "/large").await;
        }
        relay.wait_for_choking(1);
        for number in 0..2 {
            support::get(&server, &format!("/plain/{number}")).await;
        }
        support::until("the small ones are sent", || client.stats().transactions.sent == 2 * round).await;
    }
    // Given up by now, or at the end of the wait: the test does not care which.
    let _ = client.shutdown(Duration::ZERO).await;
    support::until("the large ones are counted", || client.stats().transactions.waiting() == 0).await;
    assert_eq!(client.stats().transactions.dropped, [(DiscardReason::NetworkError, 9)]);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_pauses_after_failures() {
    let relay = Relay::start();
    relay.choke_above(0);
    let client = support::client(&relay);
    let server = Server::start(app(&client)).await;

    support::get(&server, "/plain/1").await;
    // From the second on each pause takes from one second to two, in a shutdown at most 200 ms: half a minute has room for at most 30 of the long ones.
    relay.wait_for_choking(2);
    let shutdown = client.shutdown(Duration::from_secs(3600));
    let last = async {
        let of_thread = relay.clone();
        tokio::task::spawn_blocking(move || of_thread.wait_for_choking_within(Duration::from_secs(30), 2 + 31)).await.unwrap();
        relay.choke_above(usize::MAX);
    };
    let (shutdown, ()) = tokio::join!(shutdown, last);

    shutdown.unwrap();
    assert_eq!(client.stats().transactions.sent, 1);
}

#[tokio::test]
async fn a_limit_holds_for_what_waits_for_another_attempt() {
    let relay = Relay::start();
    relay.choke_above(5_000);
    relay.answer_all(Answer::Status(429, vec![("retry-after", "3600".to_owned())]));
    let client = support::client(&relay);
    let app = app(&client).merge(large(&client));
    let server = Server::start(app).await;

    support::get(&server, "/large").await;
    relay.wait_for_choking(1);
    support::get(&server, "/plain/1").await;
    client.flush(patience()).await.unwrap();
    relay.choke_above(usize::MAX);

    assert_eq!(relay.transactions().len(), 1, "the other was not tried once there was a limit");
    let dropped = client.stats().transactions.dropped;
    assert_eq!(dropped, [(DiscardReason::RatelimitBackoff, 2)]);
}

#[tokio::test]
async fn a_flush_under_traffic_waits_only_for_what_came_before_it() {
    let relay = Relay::start();
    relay.answer_all(Answer::Late(Duration::from_millis(20)));
    let client = support::client(&relay);
    let server = Arc::new(Server::start(app(&client)).await);
    support::get(&server, "/plain/0").await;

    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let traffic = tokio::spawn(async move {
        while stopped.try_recv().is_err() {
            support::get(&server, "/plain/1").await;
        }
    });
    client.flush(patience()).await.unwrap();

    stop.send(()).unwrap();
    traffic.await.unwrap();
    support::settle(&client).await;
}

#[tokio::test]
async fn memory_that_users_fill_counts_against_the_limit_of_the_queue() {
    let relay = Relay::start();
    relay.answer_all(Answer::Never);
    let client = Client::from(support::config(&relay).queue_bytes(1024 * 1024).build().unwrap());
    let large = || async {
        Scope::current().set_context("large", "x ".repeat(100_000));
    };
    let server = Server::start(Router::new().route("/", get(large)).layer(SentryLayer::new(&client))).await;

    for _ in 0..30 {
        support::get(&server, "/").await;
    }

    let stats = client.stats().transactions;
    let overflow = stats.dropped.iter().find(|(reason, _)| *reason == DiscardReason::QueueOverflow).map_or(0, |(_, count)| *count);
    // Five of 200 KB fit, four are on the wire.
    assert!(overflow >= 20, "{stats:?}");
    client.shutdown(Duration::from_millis(10)).await.unwrap_err();
}

#[tokio::test]
async fn a_transport_of_ones_own_gets_every_envelope_and_may_panic() {
    let (envelopes, received) = std::sync::mpsc::channel();
    let mut is_first = true;
    let calls = std::sync::Mutex::new(move |envelope: &[u8]| {
        assert!(!std::mem::take(&mut is_first), "a fault of the user's");
        envelopes.send(envelope.to_vec()).unwrap();
    });
    let transport = move |envelope: &[u8]| (calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(envelope);
    let client = Client::from(Config::builder().transport(transport).panic_hook(false).traces_sample_rate(1.0).build().unwrap());
    let app = Router::new().route("/", get(|| async { "hello" })).layer(SentryLayer::new(&client));

    for _ in 0..3 {
        app.clone().oneshot(Request::get("/?token=abc").body(Body::empty()).unwrap()).await.unwrap();
        client.flush(patience()).await.unwrap();
    }

    let stats = client.stats().transactions;
    assert_eq!((stats.captured, stats.sent, stats.dropped.as_slice()), (3, 2, &[(DiscardReason::SendError, 1)][..]));
    let received: Vec<_> = received.try_iter().collect();
    let kinds: Vec<_> = received.iter().flat_map(|envelope| support::items(envelope).1).map(|(item, _)| item["type"].clone()).collect();
    assert_eq!(kinds, ["client_report", "transaction", "transaction"], "what was lost is told");
    let envelope = String::from_utf8(received[1].clone()).unwrap();
    assert!(envelope.contains("\"query_string\":\"token=[Filtered]\""), "{envelope}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_handshake_is_part_of_the_time_to_connect() {
    // Takes connections and says nothing, so that no TLS comes about.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dsn = format!("https://0123456789abcdef0123456789abcdef@127.0.0.1:{}/1", silent.local_addr().unwrap().port());
    let config = Config::builder().dsn(dsn).traces_sample_rate(1.0).panic_hook(false).shutdown_timeout(Duration::ZERO);
    let config = config
        .connect_timeout(Duration::from_millis(50))
        .first_byte_timeout(Duration::from_secs(3600))
        .request_timeout(Duration::from_secs(3600));
    let client = Client::from(config.build().unwrap());

    client.transaction("work").run(async {}).await;

    // The second attempt: the first has ended.
    let attempts = async { (silent.accept().await.unwrap(), silent.accept().await.unwrap()) };
    tokio::time::timeout(patience(), attempts).await.expect("two attempts");
}

#[tokio::test]
async fn a_machine_without_certificates_reaches_a_relay_without_tls() {
    let name = "export::a_machine_without_certificates_reaches_a_relay_without_tls";
    if support::in_child(name, &[("SSL_CERT_FILE", "/none"), ("SSL_CERT_DIR", "/none")]) {
        return;
    }
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).request_timeout(Duration::MAX).build().unwrap());
    let server = Server::start(app(&client)).await;

    support::get(&server, "/message").await;
    support::settle(&client).await;

    assert_eq!((relay.events().len(), client.stats().errors.sent), (1, 1));
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_machine_without_certificates_says_so_and_the_rest_goes_on() {
    let name = "export::a_machine_without_certificates_says_so_and_the_rest_goes_on";
    if let Some(said) = support::said_in_child(name, &[("SENTRY_DEBUG", "1"), ("SSL_CERT_FILE", "/none"), ("SSL_CERT_DIR", "/none")]) {
        assert!(said.contains("nothing can be sent for now: TLS could not be set up: "), "{said}");
        return;
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("security-without-a-way.log");
    let _ = std::fs::remove_file(&path);
    let dsn = "https://0123456789abcdef0123456789abcdef@localhost/1";
    let config = Config::builder().dsn(dsn).security_log(&path).debug(true).panic_hook(false).traces_sample_rate(1.0);
    let client = Client::from(config.build().unwrap());
    let log = tracing_subscriber::registry().with(TracingLayer::new(&client));
    tracing::subscriber::with_default(log, || tracing::warn!(target: "security", "sign-in refused"));
    let server = Server::start(app(&client)).await;

    support::get(&server, "/message").await;
    let line = || std::fs::read_to_string(&path).unwrap_or_default();
    support::until("the line is written", || line().contains("sign-in refused")).await;
    client.shutdown(Duration::from_millis(100)).await.unwrap_err();
    support::until("all are counted", || client.stats().waiting() == 0).await;

    let stats = client.stats();
    for counts in [&stats.errors, &stats.transactions, &stats.spans] {
        assert_eq!((counts.sent, counts.dropped.as_slice()), (0, &[(DiscardReason::NetworkError, 1)][..]));
    }
}

#[cfg(feature = "rustls")]
#[test]
fn init_without_certificates_is_an_error_with_the_reason() {
    let name = "export::init_without_certificates_is_an_error_with_the_reason";
    if support::in_child(name, &[("SSL_CERT_FILE", "/none"), ("SSL_CERT_DIR", "/none")]) {
        return;
    }
    const TLS: &str = "https://0123456789abcdef0123456789abcdef@localhost/1";
    let init = |builder: ConfigBuilder| builder.panic_hook(false).shutdown_timeout(Duration::ZERO).init();

    let error = init(Config::builder().dsn(TLS)).unwrap_err();
    let with_reason = format!("{error:#}");
    assert!(error.is_exporter() && with_reason.starts_with("TLS could not be set up: ") && with_reason.len() > 40, "{with_reason}");
    let of_spotlight = init(Config::builder().spotlight("https://localhost/stream")).unwrap_err();
    assert!(of_spotlight.is_exporter(), "{of_spotlight:#}");

    // What needs no authority of the platform starts.
    let authority = support::tls::CA.as_bytes();
    for builder in [
        Config::builder().dsn(TLS).ca_certificate(authority),
        Config::builder().dsn(TLS).transport(|_: &[u8]| {}),
        Config::builder().dsn(TLS.replace("https", "http")),
        Config::builder(),
    ] {
        assert!(init(builder).is_ok());
    }
}

#[cfg(feature = "reqwest")]
#[test]
fn init_with_a_proxy_that_cannot_be_read_is_an_error_with_the_reason() {
    let name = "export::init_with_a_proxy_that_cannot_be_read_is_an_error_with_the_reason";
    if support::in_child(name, &[("HTTPS_PROXY", "http://me:pa55@proxy.test:99999"), ("http_proxy", ""), ("HTTP_PROXY", "")]) {
        return;
    }
    let dsn = "https://0123456789abcdef0123456789abcdef@sentry.test/1";

    let error = Config::builder().dsn(dsn).panic_hook(false).init().unwrap_err();

    let text = format!("{error:#}");
    assert!(error.is_setting() && text.starts_with("HTTPS_PROXY: expected a proxy's URL") && !text.contains("pa55"), "{text}");
}

/// A server that takes each request, answers with these bytes and hangs up; and how many requests there were.
fn answers_with(bytes: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let taken = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if support::take_request(&mut stream) {
                taken.fetch_add(1, Ordering::Relaxed);
                // Who goes away early gets no answer.
                let _ = std::io::Write::write_all(&mut stream, bytes);
            }
        }
    });
    (address, count)
}

/// A client of the server at an address.
fn client_of(address: SocketAddr) -> Client {
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{address}/1");
    Client::from(support::to(dsn).traces_sample_rate(1.0).panic_hook(false).build().unwrap())
}

/// A request is served, and waits in vain for its server, which is known to have failed when `has_failed` says so.
async fn is_lost_and_counted(client: &Client, has_failed: impl FnMut() -> bool) {
    let server = Server::start(app(client)).await;
    assert_eq!(support::get(&server, "/plain/1").await.0, 200, "whatever the other server does");
    support::until("an attempt has failed", has_failed).await;
    assert_eq!(client.stats().transactions.waiting(), 1, "there may be another time");

    assert_eq!(client.shutdown(Duration::from_millis(50)).await.unwrap_err().left(), 1);
    support::until("it is counted", || client.stats().waiting() == 0).await;

    let transactions = client.stats().transactions;
    assert_eq!((transactions.sent, transactions.dropped.as_slice()), (0, &[(DiscardReason::NetworkError, 1)][..]));
}

#[tokio::test]
async fn hostile_server() {
    use DiscardReason::{RatelimitBackoff, SendError};

    // Refusals with an answer: one attempt each.
    for (code, expected) in [
        (200, (1, vec![])),
        (401, (0, vec![(SendError, 1)])),
        (413, (0, vec![(SendError, 1)])),
        (429, (0, vec![(RatelimitBackoff, 1)])),
        (500, (0, vec![(SendError, 1)])),
    ] {
        let relay = Relay::start();
        relay.answer_all(Answer::status(code));
        let client = support::client(&relay);
        let server = Server::start(app(&client)).await;
        support::get(&server, "/plain/1").await;
        // Whatever the answer, nothing is left to be done.
        client.shutdown(patience()).await.unwrap();
        let transactions = client.stats().transactions;
        assert_eq!((transactions.sent, transactions.dropped), expected, "{code}");
        assert_eq!(relay.transactions().len(), 1, "{code}: read by a foreign parser, and not sent again");
    }
    // No answer that could be read, or none at all. With a second attempt the first has failed.
    for bytes in [&b"\x16\x03\x01 garbage \xff\r\n\r\n"[..], b"HTTP/1.1 2", b""] {
        let (address, count) = answers_with(bytes);
        is_lost_and_counted(&client_of(address), || count.load(Ordering::Relaxed) >= 2).await;
    }
    let silent = Relay::start();
    silent.answer_all(Answer::Never);
    let impatient = Client::from(support::config(&silent).request_timeout(Duration::from_millis(50)).build().unwrap());
    is_lost_and_counted(&impatient, || silent.received().len() >= 2).await;
    let refusing = support::closed_port();
    is_lost_and_counted(&client_of(refusing.local_addr().unwrap()), || true).await;
    // A slow answer is as good as a quick one.
    let slow = Relay::start();
    slow.answer_all(Answer::Late(Duration::from_millis(100)));
    let patient = Client::from(support::config(&slow).request_timeout(Duration::from_secs(3600)).build().unwrap());
    support::get(&Server::start(app(&patient)).await, "/plain/1").await;
    support::settle(&patient).await;
    assert_eq!((slow.transactions().len(), patient.stats().transactions.sent), (1, 1));

    // A limit for one category leaves the others open.
    let relay = Relay::start();
    relay.answer_next(Answer::Status(429, vec![("x-sentry-rate-limits", "600:transaction;session:key, 600:nonsense:key".to_owned())]));
    let client = support::client(&relay);
    let server = Server::start(app(&client)).await;
    support::get(&server, "/plain/1").await;
    client.flush(patience()).await.unwrap();
    for _ in 0..3 {
        support::get(&server, "/message").await;
    }
    support::settle(&client).await;
    let stats = client.stats();
    assert_eq!((relay.events().len(), stats.errors.sent), (3, 3));
    assert_eq!((relay.transactions().len(), stats.transactions.dropped), (1, vec![(RatelimitBackoff, 4)]));

    // A server that hangs holds all four attempts; requests are served as before, and what waited arrives once it answers.
    let relay = Relay::start();
    relay.answer_all(Answer::Held);
    let client = Client::from(support::config(&relay).request_timeout(Duration::from_secs(3600)).build().unwrap());
    let server = Server::start(app(&client)).await;
    for number in 0..4 {
        support::get(&server, &format!("/plain/{number}")).await;
    }
    relay.wait_for(4);
    for number in 4..100 {
        assert_eq!(support::get(&server, &format!("/plain/{number}")).await.0, 200);
    }
    let while_it_hangs = (client.stats().transactions.captured, client.stats().transactions.sent, relay.received().len());
    relay.release();
    support::settle(&client).await;
    assert_eq!(while_it_hangs, (100, 0, 4), "all were served while nothing moved");
    assert_eq!((relay.transactions().len(), client.stats().transactions.sent), (100, 100));
}

/// In an optimised build a million; without optimisation as many as a busy machine does in a few seconds.
const ITEMS: u64 = if cfg!(debug_assertions) { 40_000 } else { 1_000_000 };

/// One round of everything that is counted.
async fn everything(client: &Client) {
    let work = async {
        tower_sentry::span("task", "step", async {}).await;
        tracing::info!("a line");
        Scope::current().with(|scope| {
            scope.add_attachment(protocol::Attachment::new("note.txt", "four".to_owned()));
            scope.capture_message(Level::Error, "noted");
        });
        Scope::current().capture_feedback(protocol::Feedback::new("the cart was empty"));
    };
    let run = client.check_in("nightly", protocol::Monitor::crontab("5 2 * * *")).run(client.transaction("work").run(work));
    run.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conservation() {
    support::subscribe();
    let relay = Relay::start();
    // The server takes some, refuses some, and later hangs up without an answer.
    let answers = [200, 200, 500, 413, 429];
    for code in answers.into_iter().cycle().take(1000) {
        relay.answer_next(Answer::Status(code, vec![("retry-after", "0".to_owned())]));
    }
    let config = support::config(&relay).queue_items(100).enable_logs(true).request_timeout(Duration::from_secs(3600));
    let client = Client::from(config.build().unwrap());
    // Spans and bytes ride on others.
    let items = |client: &Client| {
        let counts = support::categories(&client.stats())
            .map(|(kind, counts)| if matches!(kind, "span" | "attachment") { 0 } else { counts.captured });
        counts.iter().sum::<u64>()
    };

    // Each kind while there is room, then all that two threads can make.
    for _ in 0..15 {
        everything(&client).await;
    }
    client.flush(patience()).await.unwrap();
    let producers: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                while items(&client) < ITEMS {
                    everything(&client).await;
                    // The main task has its turn.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    support::until("a third", || items(&client) >= ITEMS / 3).await;
    relay.choke_above(0);
    support::until("a half", || items(&client) >= ITEMS / 2).await;
    relay.choke_above(usize::MAX);
    let _ = client.shutdown(Duration::from_millis(200)).await;
    for producer in producers {
        producer.await.unwrap();
    }
    support::until("nothing waits", || client.stats().waiting() == 0).await;

    let stats = client.stats();
    let received = relay.received();
    let accepted = received.iter().enumerate().filter(|(number, _)| *number >= 1000 || answers[number % answers.len()] == 200);
    // `sentry-types` does not know all that a client report counts.
    let kinds = |envelope: &[u8]| support::items(envelope).1.into_iter().map(|(item, _)| item["type"].clone()).collect::<Vec<_>>();
    let accepted: Vec<_> = accepted.flat_map(|(_, received)| kinds(&received.envelope)).collect();
    for (kind, counts) in support::categories(&stats) {
        assert_eq!(counts.captured, counts.sent + counts.dropped_total(), "{kind}: {counts:?}");
        let dropped = |reason| counts.dropped.iter().any(|(other, _)| *other == reason);
        if matches!(kind, "event" | "transaction" | "check_in" | "feedback") {
            assert!(counts.sent > 0 && dropped(DiscardReason::SendError) && dropped(DiscardReason::QueueOverflow), "{kind}: {counts:?}");
            let arrived = accepted.iter().filter(|item| **item == kind).count() as u64;
            // Answers to the last four may have come too late.
            assert!((counts.sent..=counts.sent + 4).contains(&arrived), "{kind}: {arrived} arrived, {counts:?}");
        }
    }
    assert!(items(&client) >= ITEMS);
}

#[cfg(all(feature = "axum", feature = "otlp", feature = "test"))]
#[tokio::test]
async fn otlp_same_ids() {
    use std::collections::BTreeMap;

    use tracing::Instrument as _;

    use crate::otlp::{attributes, spans};

    support::subscribe();
    let (relay, collector) = (Relay::start(), Relay::start());
    let client = Client::from(support::config(&relay).otlp(tower_sentry::otlp::Otlp::new(collector.url())).build().unwrap());
    let handler = || async {
        let work = async { tower_sentry::span("db.query", "SELECT 1", async {}).await };
        work.instrument(tracing::info_span!("load", user.plan = "gold")).await;
    };
    let server = Server::start(Router::new().route("/users/{id}", get(handler)).layer(SentryLayer::new(&client))).await;
    let incoming = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1";
    for number in 0..10 {
        let mut request = Request::get(format!("/users/{number}"));
        if number == 0 {
            request = request.header("sentry-trace", incoming);
        }
        support::request(&server, request).await;
    }
    support::settle(&client).await;

    // Of each span: its trace, its parent, its start and its end in microseconds.
    type Facts = (String, String, u64, u64);
    let micros = |time: &serde_json::Value| (time.as_f64().unwrap() * 1e6).round() as u64;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut in_sentry: BTreeMap<String, Facts> = BTreeMap::new();
    for transaction in relay.transactions() {
        let trace = &transaction["contexts"]["trace"];
        let times = |span: &serde_json::Value| (micros(&span["start_timestamp"]), micros(&span["timestamp"]));
        let (start, end) = times(&transaction);
        in_sentry.insert(text(&trace["span_id"]), (text(&trace["trace_id"]), text(&trace["parent_span_id"]), start, end));
        for span in transaction["spans"].as_array().unwrap() {
            let (start, end) = times(span);
            in_sentry.insert(text(&span["span_id"]), (text(&span["trace_id"]), text(&span["parent_span_id"]), start, end));
        }
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let spans = spans(&collector);
    let in_otlp: BTreeMap<String, Facts> = spans
        .iter()
        .map(|span| {
            let times = [span.start_time_unix_nano, span.end_time_unix_nano].map(|nanos| nanos / 1_000);
            (hex(&span.span_id), (hex(&span.trace_id), hex(&span.parent_span_id), times[0], times[1]))
        })
        .collect();
    assert_eq!((in_sentry.len(), in_otlp.len(), spans.len()), (30, 30, 30));
    assert_eq!(in_sentry, in_otlp);
    assert!(in_otlp.values().any(|(trace, parent, ..)| format!("{trace}-{parent}-1") == incoming));
    // All names are OpenTelemetry's, ours, Sentry's, or the application's own.
    let known = [
        "code.file.path",
        "code.line.number",
        "code.namespace",
        "db.query.text",
        "http.request.method",
        "http.response.body.size",
        "http.response.status_code",
        "http.route",
        "network.protocol.version",
        "server.address",
        "server.port",
        "url.path",
        "url.scheme",
        "user.plan",
        "user_agent.original",
    ];
    for (name, _) in spans.iter().flat_map(|span| attributes(&span.attributes)) {
        assert!(known.contains(&&*name) || name.starts_with("sentry.") || name.starts_with("tower_sentry."), "{name}");
    }
}
