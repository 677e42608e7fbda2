//! Panics: reported once each by the hook, beside whatever hook was there before; and those in hooks of the user's.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_sentry::protocol::{Attachment, DiscardReason};
use tower_sentry::test::client_with;
use tower_sentry::{Breadcrumb, Config, ConfigBuilder, Guard, Level, Scope, SentryLayer, User};

use crate::support::{self, Relay, in_child};

/// Installs our hook before one that only counts, so that expected panics fill no log.
fn init(config: ConfigBuilder) -> (Guard, &'static AtomicUsize) {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    std::panic::set_hook(Box::new(|_| {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }));
    // Reading the names of frames for the first time takes a busy machine seconds.
    (config.shutdown_timeout(support::patience()).init().unwrap(), &CALLS)
}

fn crash(work: impl FnOnce() + std::panic::UnwindSafe) {
    assert!(std::panic::catch_unwind(work).is_err());
}

/// The outermost error of an event.
fn last(event: &Value) -> &Value {
    event["exception"]["values"].as_array().and_then(|values| values.last()).unwrap_or(&Value::Null)
}

/// The texts of the panics that arrived.
fn panics(relay: &Relay) -> Vec<String> {
    relay.events().iter().filter_map(|event| last(event)["value"].as_str().map(str::to_owned)).collect()
}

/// An error that cannot be shown: a second panic inside a hook ends the process.
#[derive(Debug)]
struct Unshown;

impl std::fmt::Display for Unshown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("in Display")
    }
}

impl std::error::Error for Unshown {}

#[test]
fn a_panic_outside_of_requests_is_reported_with_what_it_says() {
    if in_child("panics::a_panic_outside_of_requests_is_reported_with_what_it_says", &[]) {
        return;
    }
    let relay = Relay::start();
    let (guard, _) = init(support::config(&relay).panic_hook(true));
    let shelf = std::hint::black_box(7);

    // Each in turn, on one thread.
    crash(|| panic!("the shelf is empty"));
    crash(move || panic!("shelf {shelf} is empty"));
    crash(move || std::panic::panic_any(shelf));
    crash(|| std::panic::panic_any(Box::<str>::from("a boxed text")));
    crash(|| std::panic::panic_any(std::io::Error::other("the disk is full")));
    crash(|| std::panic::panic_any(Box::<dyn std::error::Error + Send + Sync>::from("a boxed error")));
    crash(|| std::panic::panic_any(Box::<dyn std::error::Error + Send + Sync>::from(Unshown)));
    crash(move || std::panic::panic_any([shelf]));
    std::thread::spawn(|| panic!("in a thread")).join().unwrap_err();
    drop(guard);

    let expected = [
        "the shelf is empty",
        "shelf 7 is empty",
        "7 (i32)",
        "a boxed text",
        "the disk is full",
        "a boxed error",
        "<the error's Display panicked>",
        "the panic's payload is of a type that cannot be shown",
        "in a thread",
    ];
    assert_eq!(panics(&relay), expected);
    let events = relay.events();
    assert!(events.iter().all(|event| event["level"] == "fatal" && event.get("request").is_none()));
    let types: Vec<_> = events[4]["exception"]["values"].as_array().unwrap().iter().map(|value| &value["type"]).collect();
    assert_eq!(types, ["io::Error", "panic"], "the error in the payload is the cause");
    for event in &events {
        assert_eq!(last(event)["mechanism"].get("data"), None);
        let innermost = last(event)["stacktrace"]["frames"].as_array().unwrap().last().unwrap();
        assert_eq!((&innermost["filename"], &innermost["in_app"]), (&"tests/it/panics.rs".into(), &true.into()));
        assert!(innermost["context_line"].as_str().unwrap().contains("panic"), "{innermost}");
        assert!(innermost["colno"].is_u64(), "{innermost}");
    }
}

/// A child of a test, which aborts, sends its events to this relay.
const ABORTS: &str = "TOWER_SENTRY_TEST_ABORTS";

#[test]
fn panics_that_end_the_process_arrive() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("while cleaning up")
        }
    }
    if let Ok(dsn) = std::env::var(ABORTS) {
        let (_guard, _) = init(support::to(dsn).panic_hook(true));
        let _held = PanicsInDrop;
        panic!("the shelf is empty");
    }
    let relay = Relay::start();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "panics::panics_that_end_the_process_arrive"]).env(ABORTS, relay.dsn());

    let output = child.output().unwrap();

    assert!(!output.status.success() && output.status.code().is_none(), "it ended by a signal: {output:?}");
    assert_eq!(panics(&relay), ["the shelf is empty", "while cleaning up"]);
}

#[test]
fn the_hook_that_was_there_before_is_still_called() {
    if in_child("panics::the_hook_that_was_there_before_is_still_called", &[]) {
        return;
    }
    let relay = Relay::start();
    let (guard, calls) = init(support::config(&relay).panic_hook(true));

    crash(|| panic!("the shelf is empty"));
    drop(guard);

    assert_eq!((calls.load(Ordering::Relaxed), panics(&relay).len()), (1, 1));
}

#[test]
fn panics_are_left_alone_where_the_hook_is_off() {
    if in_child("panics::panics_are_left_alone_where_the_hook_is_off", &[]) {
        return;
    }
    let relay = Relay::start();
    let (guard, calls) = init(support::config(&relay).panic_hook(false));

    crash(|| panic!("the shelf is empty"));
    tower_sentry::capture_message(Level::Error, "afterwards");
    drop(guard);

    assert_eq!((calls.load(Ordering::Relaxed), relay.events().len(), panics(&relay).len()), (1, 1, 0));
}

#[test]
fn a_panic_after_the_shutdown_is_counted_and_not_sent() {
    if in_child("panics::a_panic_after_the_shutdown_is_counted_and_not_sent", &[]) {
        return;
    }
    let relay = Relay::start();
    let (guard, calls) = init(support::config(&relay).panic_hook(true));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(guard.shutdown(support::patience())).unwrap();

    crash(|| panic!("the shelf is empty"));

    let errors = guard.stats().errors;
    assert_eq!((errors.captured, errors.dropped.as_slice()), (1, &[(DiscardReason::QueueOverflow, 1)][..]));
    assert_eq!((calls.load(Ordering::Relaxed), relay.received().len()), (1, 0));
}

#[test]
fn a_panic_in_a_hook_is_not_an_event() {
    if in_child("panics::a_panic_in_a_hook_is_not_an_event", &[]) {
        return;
    }
    let relay = Relay::start();
    let (guard, _) =
        init(support::config(&relay).panic_hook(true).before_send(|event| panic!("a fault in the hook for {}", event.event_id)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    tower_sentry::capture_message(Level::Error, "noted");
    runtime.block_on(guard.flush(support::patience())).unwrap();

    assert_eq!((guard.stats().errors.captured, relay.events().len()), (1, 1), "the message alone");
}

/// Words in every place of a request that users fill, none of which looks like a secret.
const PLACES: [&str; 12] = [
    "told-path",
    "told-query",
    "told-agent",
    "told-name",
    "told-user",
    "told-tag",
    "told-context",
    "told-extra",
    "told-step",
    "told-file",
    "told-error",
    "told-span",
];

/// Which of them leave, in all and in the headers of envelopes; the event and the transaction. With `is_told` the trace goes on to another service.
async fn leaves(config: ConfigBuilder, is_told: bool) -> (Vec<&'static str>, Vec<Option<String>>, Value, Value) {
    // A header has a trace for a server only. The lines of code around a frame are those of this file, which has the words in it.
    let dsn = "http://0123456789abcdef0123456789abcdef@sentry.test/1";
    let (client, captured) = client_with(config.dsn(dsn).traces_sample_rate(1.0).include_source_context(false));
    let handler = move || async move {
        let scope = Scope::current();
        scope.transaction().set_name("told-name");
        scope.set_user(User::id("told-user")).set_tag("note", "told-tag");
        scope.set_context("order", serde_json::json!({"note": "told-context"})).set_extra("note", "told-extra");
        scope.add_breadcrumb(Breadcrumb::new("told-step")).set_fingerprint(["a group"]);
        scope.add_attachment(Attachment::new("note.txt", "told-file".to_owned()));
        tower_sentry::span("task", "told-span", async {}).await;
        if is_told {
            scope.inject(&mut std::collections::HashMap::new());
        }
        tower_sentry::capture_error(&std::io::Error::other("told-error"));
    };
    let app = Router::new().route("/orders/{id}", get(handler)).layer(SentryLayer::new(&client));
    let request = Request::get("/orders/told-path?page=told-query").header("user-agent", "told-agent").body(Body::empty()).unwrap();

    let response = app.oneshot(request).await.unwrap();
    axum::body::to_bytes(response.into_body(), 1024).await.unwrap();

    let sent: String = captured.envelopes().iter().map(|envelope| String::from_utf8_lossy(envelope).into_owned()).collect();
    let (event, transaction) = (&captured.events()[0], &captured.transactions()[0]);
    let found = PLACES.into_iter().filter(|word| sent.contains(word)).collect();
    let headers = captured
        .envelopes()
        .iter()
        .map(|envelope| support::items(envelope).0["trace"]["transaction"].as_str().map(str::to_owned))
        .collect();
    (found, headers, serde_json::to_value(event).unwrap(), serde_json::to_value(transaction).unwrap())
}

#[tokio::test]
async fn a_hook_that_panics_lets_ids_times_and_types_through_and_nothing_else() {
    let hooks = || Config::builder().before_send(|_| panic!("a fault")).before_send_transaction(|_| panic!("another"));
    let [told, withheld] = ["told-name", "<withheld>"].map(|name| Some(name.to_owned()));

    let (all, headers, ..) = leaves(Config::builder(), false).await;
    let (_, frozen_headers, ..) = leaves(Config::builder(), true).await;
    let (frozen, bare_frozen_headers, ..) = leaves(hooks(), true).await;
    let (none, bare_headers, event, transaction) = leaves(hooks(), false).await;

    assert_eq!(all, PLACES, "the control: without hooks each of them leaves");
    assert_eq!((&headers, &frozen_headers), (&vec![told.clone(); 2], &vec![told; 2]));
    assert_eq!((none, frozen), (vec![], vec![]));
    assert_eq!((bare_headers, bare_frozen_headers), (vec![withheld; 2], vec![None; 2]));
    assert_eq!((&event["transaction"], &transaction["transaction"]), (&"<withheld>".into(), &"<withheld>".into()));
    let expected = serde_json::json!({"message": "the contents were withheld: a hook panicked"});
    assert_eq!(event["logentry"], expected, "servers refuse one without `message`");
    assert_eq!((&event["exception"]["values"][0]["type"], &event["level"]), (&"io::Error".into(), &"error".into()));
    assert_eq!(event["contexts"]["trace"]["trace_id"], transaction["contexts"]["trace"]["trace_id"]);
    assert_eq!((transaction["spans"].as_array().unwrap().len(), &transaction["spans"][0]["op"]), (1, &"task".into()));
    for gone in ["user", "tags", "extra", "fingerprint", "breadcrumbs", "request"] {
        assert_eq!((event.get(gone), transaction.get(gone)), (None, None), "{gone}");
    }
}

#[tokio::test]
async fn a_name_of_the_program_stays_when_a_hook_panics() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).before_send(|_| panic!("a fault")));
    let handler = || async { tower_sentry::capture_message(Level::Error, "noted").to_string() };
    let app = Router::new().route("/orders/{id}", get(handler)).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get("/orders/7").body(Body::empty()).unwrap()).await.unwrap());

    assert_eq!(captured.events()[0].transaction.as_deref(), Some("GET /orders/{id}"));
    support::settle(&client).await;
}

#[test]
fn a_panic_of_another_thread_that_the_handler_resumes_is_one_event() {
    if in_child("panics::a_panic_of_another_thread_that_the_handler_resumes_is_one_event", &[]) {
        return;
    }
    let relay = Relay::start();
    let (guard, _) = init(support::config(&relay).panic_hook(true));
    let handler = || async {
        let scope = Scope::current();
        let payload = std::thread::spawn(move || scope.enter(|| panic!("no stock"))).join().unwrap_err();
        std::panic::resume_unwind(payload)
    };
    let handler = move || async move {
        let () = handler().await;
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&guard));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    crash(std::panic::AssertUnwindSafe(|| drop(runtime.block_on(app.oneshot(Request::get("/").body(Body::empty()).unwrap())))));
    drop(guard);

    assert_eq!(panics(&relay), ["no stock"]);
}

#[test]
fn a_panic_of_another_thread_that_a_scope_outside_of_requests_resumes_is_one_event() {
    if in_child("panics::a_panic_of_another_thread_that_a_scope_outside_of_requests_resumes_is_one_event", &[]) {
        return;
    }
    let relay = Relay::start();
    let (guard, _) = init(support::config(&relay).panic_hook(true));
    let scope = Scope::current();
    let inside = scope.clone();
    let payload = std::thread::spawn(move || inside.enter(|| panic!("no stock"))).join().unwrap_err();

    crash(std::panic::AssertUnwindSafe(|| scope.enter(|| std::panic::resume_unwind(payload))));
    crash(std::panic::AssertUnwindSafe(|| scope.enter(|| panic!("no room"))));
    drop(guard);

    assert_eq!(panics(&relay), ["no stock", "no room"]);
}
