//! Faults of the code around the exporter: hooks, transports and layers that panic, capture or wait. They harm the exporter only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};
use tower_sentry::protocol::DiscardReason;
use tower_sentry::transport::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use tower_sentry::{Client, Config, Level};
use tracing_subscriber::prelude::*;

use crate::support::{self, Answer, Relay, in_child, patience, said_in_child};

/// Captures a message, and no transaction.
async fn report(client: &Client, text: &'static str) {
    let work = async {
        tower_sentry::capture_message(Level::Error, text);
    };
    client.transaction("work").sample_rate(0.0).run(work).await;
}

#[tokio::test]
async fn what_a_hook_captures_is_dropped_and_counted_and_causes_nothing() {
    let relay = Relay::start();
    let calls = Arc::new(AtomicUsize::new(0));
    let of_hook = Arc::clone(&calls);
    let here: Arc<OnceLock<Client>> = Arc::default();
    let inside = Arc::clone(&here);
    let hook = move |event| {
        of_hook.fetch_add(1, Ordering::Relaxed);
        let client = inside.get().unwrap().clone();
        report(&client, "from inside").now_or_never().unwrap();
        client.transaction("inside").run(async {}).now_or_never().unwrap();
        Some(event)
    };
    let client = Client::from(support::config(&relay).before_send(hook).build().unwrap());
    let _ = here.set(client.clone());

    for _ in 0..3 {
        report(&client, "from outside").await;
    }
    support::settle(&client).await;

    let stats = client.stats();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert_eq!((stats.errors.sent, stats.errors.dropped), (3, vec![(DiscardReason::BeforeSend, 3)]));
    // Six held only the messages, and were not sampled.
    let unsampled = (DiscardReason::SampleRate, 6);
    assert_eq!((stats.transactions.sent, stats.transactions.dropped), (0, vec![(DiscardReason::BeforeSend, 3), unsampled]));
    assert_eq!(relay.events().len(), 3);
}

#[tokio::test]
async fn a_hook_cannot_wait_for_the_exporter() {
    let relay = Relay::start();
    let here: Arc<OnceLock<Client>> = Arc::default();
    let inside = Arc::clone(&here);
    let (told, answers) = std::sync::mpsc::channel();
    let hook = move |event| {
        let client = inside.get().unwrap().clone();
        told.send(client.flush(Duration::from_secs(3600)).now_or_never()).unwrap();
        Some(event)
    };
    let client = Client::from(support::config(&relay).before_send(hook).build().unwrap());
    let _ = here.set(client.clone());

    report(&client, "noted").await;
    support::settle(&client).await;

    assert_eq!(answers.recv_timeout(patience()).unwrap().expect("at once").unwrap_err().left(), 1, "the event that the hook sees");
    assert_eq!(client.stats().errors.sent, 1);
}

#[tokio::test]
async fn a_hook_that_panics_ten_times_is_off_and_nothing_passes_it() {
    let relay = Relay::start();
    let calls = Arc::new(AtomicUsize::new(0));
    let of_hook = Arc::clone(&calls);
    let hook = move |_| {
        of_hook.fetch_add(1, Ordering::Relaxed);
        panic!("a fault of the hook")
    };
    let client = Client::from(support::config(&relay).before_send(hook).build().unwrap());

    for _ in 0..15 {
        report(&client, "my secret").await;
    }
    support::settle(&client).await;

    assert_eq!(calls.load(Ordering::Relaxed), 10);
    let errors = client.stats().errors;
    assert_eq!((errors.sent, errors.dropped), (10, vec![(DiscardReason::BeforeSend, 5)]));
    assert!(relay.events().iter().all(|event| !event.to_string().contains("my secret")));
}

/// An error whose text cannot be shown, or that cannot be dropped.
#[derive(Debug)]
struct Hostile {
    text: bool,
    drop: bool,
}

impl std::fmt::Display for Hostile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        assert!(!self.text, "a fault of Display");
        f.write_str("hostile")
    }
}

impl std::error::Error for Hostile {}

impl Drop for Hostile {
    fn drop(&mut self) {
        assert!(!self.drop, "a fault of Drop");
    }
}

/// A transport that panics where it should not, a number of times.
struct Panicking {
    left: AtomicUsize,
    how: fn() -> TransportError,
    in_gzip: bool,
}

impl Panicking {
    fn is_due(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl Transport for Panicking {
    fn send(&self, _: EnvelopeRequest) -> BoxFuture<'_, Result<TransportResponse, TransportError>> {
        let answer = if !self.in_gzip && self.is_due() {
            Err((self.how)())
        } else {
            Ok(TransportResponse::new(StatusCode::OK, HeaderMap::new(), ""))
        };
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }

    fn accepts_gzip(&self) -> bool {
        assert!(!self.in_gzip || !self.is_due(), "a fault of accepts_gzip");
        true
    }
}

#[tokio::test]
async fn a_transport_that_panics_anywhere_loses_nothing_else() {
    let cases: [(fn() -> TransportError, bool); 3] = [
        (|| TransportError::interrupted(Hostile { text: true, drop: false }), false),
        (|| TransportError::unreachable(Hostile { text: false, drop: true }), false),
        (TransportError::timed_out, true),
    ];
    for (number, (how, in_gzip)) in cases.into_iter().enumerate() {
        let transport = Panicking { left: AtomicUsize::new(2), how, in_gzip };
        let client = Client::from(Config::builder().transport(transport).panic_hook(false).build().unwrap());

        for _ in 0..5 {
            report(&client, "noted").await;
        }
        support::settle(&client).await;

        assert_eq!((client.stats().errors.sent, client.stats().errors.dropped_total()), (5, 0), "case {number}");
    }
}

/// Panics at every warning of ours.
struct PanicsAtWarnings;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for PanicsAtWarnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        assert!(event.metadata().target() != "tower_sentry", "a fault of the application's layer");
    }
}

#[test]
fn a_layer_of_the_application_that_panics_at_our_messages_harms_nothing() {
    let name = "faults::a_layer_of_the_application_that_panics_at_our_messages_harms_nothing";
    if let Some(said) = said_in_child(name, &[]) {
        assert!(said.contains("tower_sentry: warning: the server answered 500"), "it goes to standard error instead: {said}");
        return;
    }
    tracing_subscriber::registry().with(PanicsAtWarnings).init();
    let relay = Relay::start();
    relay.answer_next(Answer::status(500));
    let client = support::client(&relay);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    runtime.block_on(async {
        for _ in 0..3 {
            report(&client, "noted").await;
            client.flush(patience()).await.unwrap();
        }
        support::settle(&client).await;
    });

    let errors = client.stats().errors;
    assert_eq!((errors.sent, errors.dropped), (2, vec![(DiscardReason::SendError, 1)]));
}

#[test]
fn a_service_starts_although_no_thread_can_be_started() {
    let name = "faults::a_service_starts_although_no_thread_can_be_started";
    // No process can have a stack of this size.
    if let Some(said) = said_in_child(name, &[("RUST_MIN_STACK", "9000000000000000000")]) {
        assert!(said.contains("nothing is recorded: the exporter's thread could not be started"), "{said}");
        return;
    }
    // In a runtime: a runtime of ours that is dropped here would panic.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let sentry = support::to("http://key@127.0.0.1:9/1").panic_hook(false).init().unwrap();

        assert!(!sentry.is_enabled());
        sentry.shutdown(Duration::from_secs(3600)).await.unwrap();
    });
}

#[test]
fn the_drop_of_the_guard_waits_once_for_a_hook_that_blocks() {
    if in_child("faults::the_drop_of_the_guard_waits_once_for_a_hook_that_blocks", &[]) {
        return;
    }
    let (started, has_started) = std::sync::mpsc::channel();
    let hook = move |_| {
        started.send(()).unwrap();
        // Longer than any test.
        std::thread::park_timeout(Duration::from_secs(24 * 3600));
        None
    };
    let limit = Duration::from_secs(3);
    let sentry = Config::builder().transport(|_: &[u8]| {}).before_send(hook).panic_hook(false).shutdown_timeout(limit).init().unwrap();
    tower_sentry::capture_message(Level::Error, "noted");
    has_started.recv_timeout(patience()).unwrap();

    // The guard has the last handle, so its drop is also that of the client.
    let begun = std::time::Instant::now();
    drop(sentry);

    // Twice would be six seconds.
    assert!(begun.elapsed() < 2 * limit, "{:?}", begun.elapsed());
}

/// A value that cannot be shown.
struct Unshowable;

impl std::fmt::Debug for Unshowable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unshowable { id: 7")?;
        panic!("a fault of Debug")
    }
}

impl std::fmt::Display for Unshowable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("a fault of Display")
    }
}

#[tokio::test]
async fn a_field_whose_debug_or_display_panics_harms_no_request() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);

    let work = async {
        let _span = tracing::info_span!("step", order = ?Unshowable).entered();
        tracing::info!(order = ?Unshowable, customer = %Unshowable, "charging");
        tracing::info!("charging {Unshowable}");
        tower_sentry::capture_message(Level::Error, "noted");
        "the answer"
    };
    let answer = client.transaction("work").run_infallible(work).await;
    support::settle(&client).await;

    assert_eq!(answer, "the answer");
    let mark = " [the rest is missing: its Debug or Display panicked]";
    let crumbs = relay.events()[0]["breadcrumbs"]["values"].clone();
    assert_eq!(crumbs[0]["data"]["order"], format!("Unshowable {{ id: 7{mark}"));
    assert_eq!(crumbs[0]["data"]["customer"], mark);
    assert_eq!(crumbs[1]["message"], format!("charging {mark}"));
    assert!(relay.transactions()[0]["spans"][0]["data"].to_string().contains(mark));
}
