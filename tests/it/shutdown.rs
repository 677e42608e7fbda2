//! The end: what was captured arrives, or is counted; nobody waits longer than they said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use futures_util::future::join_all;
use tower_sentry::protocol::{DiscardReason, TraceLifecycle};
use tower_sentry::{Client, Config, Level, SentryLayer};

use crate::support::{self, Answer, Http2, Relay, Server, in_child};

#[tokio::test]
async fn the_drop_of_the_last_client_delivers() {
    let relay = Relay::start();
    let config = support::config(&relay).shutdown_timeout(support::patience()).build().unwrap();
    let layer = SentryLayer::new(config);
    let service = tower::Layer::layer(&layer, Router::new().route("/", get(|| async { "ok" })));
    drop(layer);

    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(service, request).await.unwrap();
    drop(response);

    assert_eq!(relay.transactions().len(), 1, "the drop waited for it");
}

#[test]
fn the_drop_of_the_guard_delivers_events_outside_requests() {
    if in_child("shutdown::the_drop_of_the_guard_delivers_events_outside_requests", &[]) {
        return;
    }
    let relay = Relay::start();
    let guard = support::config(&relay).tag("process", "test").shutdown_timeout(support::patience()).init().unwrap();

    let id = tower_sentry::capture_message(Level::Error, "no request here");
    drop(guard);

    let event = &relay.events()[0];
    assert_eq!((&event["event_id"], &event["tags"]["process"]), (&id.to_string().into(), &"test".into()));
    assert_eq!((event.get("request"), event.get("transaction")), (None, None));
    assert!(event["contexts"]["trace"]["trace_id"].is_string(), "the trace context is always there");
}

#[tokio::test]
async fn drops_and_shutdowns_keep_their_time_when_the_server_says_nothing() {
    let relay = Relay::start();
    relay.answer_all(Answer::Never);
    let client = Client::from(support::config(&relay).shutdown_timeout(Duration::from_millis(200)).build().unwrap());
    let server = Server::start(Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client))).await;
    support::get(&server, "/").await;

    let begun = Instant::now();
    client.shutdown(Duration::from_millis(200)).await.unwrap_err();
    client.shutdown(Duration::from_millis(200)).await.unwrap();
    drop(client);

    // The server would hold us for ever; a request may take ten seconds.
    assert!(begun.elapsed() < support::patience(), "{:?}", begun.elapsed());
}

#[test]
fn flushing_works_in_any_runtime_and_in_none() {
    let relay = Relay::start();
    let client = support::client(&relay);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async { client.flush(support::patience()).await.unwrap() });

    // Without any runtime: a waker of its own.
    let waiting = std::thread::spawn(move || {
        let mut future = Box::pin(client.flush(support::patience()));
        let this = std::thread::current();
        let waker = std::task::Waker::from(Arc::new(Unpark(this)));
        let mut cx = std::task::Context::from_waker(&waker);
        while future.as_mut().poll(&mut cx).is_pending() {
            std::thread::park();
        }
    });

    waiting.join().unwrap();
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[tokio::test]
async fn a_slow_transport_is_not_called_again_after_the_shutdown() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    // Each call waits until the test lets it go.
    let transport = move |_: &[u8]| {
        let _ = held.lock().unwrap().recv();
    };
    let client = Client::from(Config::builder().transport(transport).panic_hook(false).traces_sample_rate(1.0).build().unwrap());
    let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
    for _ in 0..10 {
        drop(tower::ServiceExt::oneshot(app.clone(), Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
    }

    release.send(()).unwrap();
    support::until("the first is sent", || client.stats().transactions.sent == 1).await;
    let late = client.shutdown(Duration::from_millis(200)).await.unwrap_err();
    let at_return = client.stats().transactions;
    // The call that was under way when the time was over ends now.
    drop(release);
    // Waits for the end.
    let _ = client.flush(support::patience()).await;

    let stats = client.stats().transactions;
    assert_eq!(late.left(), 9);
    assert_eq!((stats.captured, stats.sent, stats.dropped_total()), (10, 1, 9), "{stats:?}");
    assert_eq!(at_return, stats, "the accounts are final when the shutdown returns");
}

#[tokio::test]
async fn what_is_dropped_later_does_not_stand_for_what_was_captured_before() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).ignore_error_messages(["ignored"]).build().unwrap());
    relay.answer_all(Answer::Held);
    let capture = |text: &'static str| {
        client.transaction("work").sample_rate(0.0).run(async move {
            let _ = tower_sentry::capture_message(Level::Error, text);
        })
    };
    capture("real").await;
    capture("real, too").await;
    relay.wait_for(2);

    let mut flush = Box::pin(client.flush(Duration::from_secs(3600)));
    assert!(futures_util::poll!(&mut flush).is_pending());
    for _ in 0..20 {
        capture("ignored").await;
    }
    support::until("the ignored are dropped", || client.stats().errors.dropped_total() == 20).await;

    assert!(futures_util::poll!(&mut flush).is_pending(), "two events wait for an answer");
    relay.release();
    flush.await.unwrap();
    assert_eq!(client.stats().errors.sent, 2);
}

#[tokio::test]
async fn a_shutdown_says_what_it_drops_however_fast_the_exporter_ends() {
    // Nothing listens on this port.
    let config = || support::to("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1".to_owned()).panic_hook(false).build().unwrap();

    // The exporter has often ended before the caller looks for its answer.
    for _ in 0..300 {
        let client = Client::from(config());
        client.transaction("work").sample_rate(0.0).run_infallible(async { tower_sentry::capture_message(Level::Error, "0") }).await;
        support::until("the exporter sleeps after a failure", || client.health().last_failure.is_some()).await;
        let ended = client.shutdown(Duration::ZERO).await;
        assert_eq!(ended.map_err(|error| error.left()), Err(1));
        assert_eq!(client.stats().errors.dropped_total(), 1);
    }
}

#[tokio::test]
async fn streamed_spans_that_wait_and_are_dropped_are_counted() {
    // Nothing listens on this port.
    let config = support::to("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1".to_owned()).trace_lifecycle(TraceLifecycle::Stream);
    let client = Client::from(config.build().unwrap());
    let work = tower_sentry::span("task", "step", async {});
    client.transaction("work").sample_rate(1.0).run_infallible(work).await;
    support::until("an attempt has failed", || client.health().last_failure.is_some()).await;
    assert_eq!((client.stats().waiting(), client.health().waiting), (2, 2));
    assert_eq!(client.flush(Duration::ZERO).await.map_err(|error| error.left()), Err(2));

    let ended = client.shutdown(Duration::ZERO).await;

    assert_eq!(ended.map_err(|error| error.left()), Err(2));
    let stats = client.stats();
    assert_eq!((stats.waiting(), stats.spans.dropped), (0, vec![(DiscardReason::NetworkError, 2)]));
}

#[tokio::test]
async fn what_comes_after_a_shutdown_is_counted_as_dropped() {
    let relay = Relay::start();
    let client = support::client(&relay);
    client.transaction("before").run(async {}).await;

    client.shutdown(support::patience()).await.unwrap();
    client.transaction("after").run(async {}).await;

    let stats = client.stats();
    for counts in [&stats.transactions, &stats.spans] {
        assert_eq!((counts.captured, counts.sent, counts.dropped.as_slice()), (2, 1, &[(DiscardReason::QueueOverflow, 1)][..]));
    }
    assert_eq!(relay.transactions().len(), 1);
}

#[test]
fn the_drop_of_the_guard_ends_the_exporter_whatever_handles_there_are() {
    if in_child("shutdown::the_drop_of_the_guard_ends_the_exporter_whatever_handles_there_are", &[]) {
        return;
    }
    let relay = Relay::start();
    let guard = support::config(&relay).shutdown_timeout(support::patience()).init().unwrap();
    let handle = Client::from(&guard);

    drop(guard);
    tower_sentry::capture_message(Level::Error, "too late");

    let errors = handle.stats().errors;
    assert_eq!((errors.captured, errors.dropped.as_slice()), (1, &[(DiscardReason::QueueOverflow, 1)][..]));
}

#[test]
fn a_second_configuration_that_is_off_silences_nothing() {
    if in_child("shutdown::a_second_configuration_that_is_off_silences_nothing", &[]) {
        return;
    }
    let relay = Relay::start();
    let guard = support::config(&relay).shutdown_timeout(support::patience()).init().unwrap();

    let off = Client::from(Config::builder().build().unwrap());
    let also_off = Config::builder().init().unwrap();
    tower_sentry::capture_message(Level::Error, "outside of any request");
    drop(guard);

    assert!(!off.is_enabled() && !also_off.is_enabled());
    assert_eq!(relay.events().len(), 1);
}

/// A thousand requests that have all begun, and wait; and the way to let them end.
async fn in_flight(client: &Client) -> (Vec<tokio::task::JoinHandle<StatusCode>>, tokio::sync::watch::Sender<bool>) {
    let (open, gate) = tokio::sync::watch::channel(false);
    let begun = Arc::new(AtomicUsize::new(0));
    let of_handler = Arc::clone(&begun);
    let wait = move || {
        let (mut gate, begun) = (gate.clone(), Arc::clone(&of_handler));
        async move {
            begun.fetch_add(1, Ordering::Relaxed);
            gate.wait_for(|is_open| *is_open).await.unwrap();
            "done"
        }
    };
    let server = Server::start(Router::new().route("/wait", get(wait)).layer(SentryLayer::new(client))).await;
    let mut requests = Vec::new();
    for _ in 0..10 {
        let connection = Http2::connect(&server).await;
        requests.extend((0..100).map(|_| {
            let mut connection = connection.clone();
            tokio::spawn(async move { connection.get("/wait").await })
        }));
    }
    support::until("all have begun", || begun.load(Ordering::Relaxed) == 1000).await;
    (requests, open)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain() {
    // After the last response; and in the midst of them.
    for is_graceful in [true, false] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).request_timeout(Duration::from_secs(3600)).build().unwrap());
        let (requests, open) = in_flight(&client).await;

        open.send(true).unwrap();
        if is_graceful {
            assert!(join_all(requests).await.into_iter().all(|status| status.unwrap() == StatusCode::OK));
            client.shutdown(3 * support::patience()).await.unwrap();
        } else {
            let (shutdown, statuses) = tokio::join!(client.shutdown(3 * support::patience()), join_all(requests));
            assert!(statuses.into_iter().all(|status| status.unwrap() == StatusCode::OK), "no request is harmed");
            shutdown.unwrap();
        }

        // The last of them may end a moment after its response.
        support::until("each is counted", || client.stats().transactions.captured == 1000).await;
        support::until("each has arrived or is dropped", || client.stats().waiting() == 0).await;
        let stats = client.stats();
        for counts in [&stats.transactions, &stats.spans] {
            assert_eq!((counts.captured, counts.sent + counts.dropped_total()), (1000, 1000), "{counts:?}");
        }
        assert_eq!(relay.transactions().len() as u64, stats.transactions.sent, "what counts as sent is there");
        assert!(!is_graceful || stats.transactions.sent == 1000, "{stats:?}");
    }
}
