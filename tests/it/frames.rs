//! The frames of an event: there from the first failure on, with the place on top and without the runtime.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::{CaptureError, Client, ConfigBuilder, Scope, SentryLayer};

use crate::support::{self, Relay, in_child};

#[derive(Debug)]
struct OrderError;

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the order could not be placed")
    }
}

impl std::error::Error for OrderError {}

fn outermost(event: &Value) -> &Value {
    event["exception"]["values"].as_array().unwrap().last().unwrap()
}

fn frames(event: &Value) -> Vec<Value> {
    outermost(event)["stacktrace"]["frames"].as_array().cloned().unwrap_or_default()
}

fn functions(event: &Value) -> Vec<String> {
    frames(event).iter().map(|frame| frame["function"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The events of requests to these paths, in their order.
fn events(routes: Router, config: ConfigBuilder, relay: &Relay, paths: &[&str]) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::from(config.build().unwrap());
        let server = support::Server::start(routes.layer(CatchPanicLayer::new()).layer(SentryLayer::new(&client))).await;
        for path in paths {
            support::get(&server, path).await;
        }
        support::settle(&client).await;
        let mut events = relay.events();
        let place = |event: &Value| paths.iter().position(|path| event["request"]["url"].as_str().unwrap().ends_with(path));
        events.sort_by_key(place);
        events
    })
}

#[test]
fn the_first_failures_of_a_process_all_have_frames_and_are_one_issue() {
    if in_child("frames::the_first_failures_of_a_process_all_have_frames_and_are_one_issue", &[]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    #[inline(never)]
    fn crash() -> StatusCode {
        panic!("the shelf is empty")
    }
    let relay = Relay::start();
    let paths: Vec<_> = (0..40).map(|number| format!("/{}/{number}", if number % 2 == 0 { "panic" } else { "error" })).collect();
    let routes = Router::new()
        .route("/panic/{number}", get(|| async { crash() }))
        .route("/error/{number}", get(|| async { (StatusCode::BAD_GATEWAY, CaptureError::new(OrderError)) }));

    // The exporter reads the debug information meanwhile: in this binary that takes longer than all of the requests.
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let events = events(routes, support::config(&relay).panic_hook(true), &relay, &paths);

    assert_eq!(events.len(), 40);
    for (kind, own) in [(0, "::crash"), (1, "::{{closure}}")] {
        let of_kind: Vec<_> = events.iter().skip(kind).step_by(2).collect();
        let mut fingerprints: Vec<_> = of_kind.iter().map(|event| event["fingerprint"].to_string()).collect();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), 1, "{fingerprints:?}");
        for event in of_kind {
            assert!(functions(event).last().unwrap().ends_with(own), "{event:#}");
        }
    }
}

#[test]
fn the_innermost_frame_is_the_place_of_the_call() {
    if in_child("frames::the_innermost_frame_is_the_place_of_the_call", &[("RUST_BACKTRACE", "0")]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    async fn question_mark() -> Result<(), CaptureError> {
        let order: Result<(), anyhow::Error> = Err(anyhow::anyhow!("no order"));
        order? /* by `?` */;
        Ok(())
    }
    #[track_caller]
    fn must(order: Option<u32>) -> u32 {
        order.expect("an order")
    }
    fn failed(error: CaptureError) -> Response {
        (StatusCode::BAD_GATEWAY, error).into_response()
    }
    fn fail_plainly() {
        panic!("plainly")
    }
    fn order() -> Option<u32> {
        std::hint::black_box(None)
    }
    let scope = || async {
        let scope = Scope::current();
        scope.capture_error(&OrderError);
    };
    let chain = || async {
        let text = order().map(|number| number + 1).filter(|number| *number > 1).unwrap(); // after three lines
        text.to_string()
    };
    let slice = || async {
        let shelf = std::hint::black_box(vec![1]);
        shelf[std::hint::black_box(7)].to_string()
    };
    let caught = || async {
        // What catches is near to the panic.
        drop(std::panic::catch_unwind(|| panic!("inside")));
    };
    let rows: [(&str, axum::routing::MethodRouter, &str); 10] = [
        (
            "/function",
            get(|| async { tower_sentry::capture_error(&OrderError).to_string() }),
            "tower_sentry::capture_error(&OrderError).to_string()",
        ),
        ("/scope", get(scope), "scope.capture_error(&OrderError);"),
        ("/new", get(|| async { failed(CaptureError::new(OrderError)) }), "failed(CaptureError::new(OrderError))"),
        ("/boxed", get(|| async { failed(CaptureError::from_boxed(OrderError.into())) }), "CaptureError::from_boxed(OrderError.into())"),
        ("/question", get(question_mark), "order? /* by `?` */"),
        ("/panic", get(|| async { fail_plainly() }), "panic!(\"plainly\")"),
        ("/chain", get(chain), "// after three lines"),
        ("/helper", get(|| async { must(order()).to_string() }), "must(order())"),
        ("/slice", get(slice), "shelf[std::hint::black_box(7)]"),
        ("/caught", get(caught), "panic!(\"inside\")"),
    ];
    let expected: Vec<_> = rows.iter().map(|(path, _, line)| (*path, *line)).collect();
    let routes = rows.into_iter().fold(Router::new(), |routes, (path, handler, _)| routes.route(path, handler));
    let relay = Relay::start();
    let paths: Vec<_> = expected.iter().map(|(path, _)| *path).collect();
    let events = events(routes, support::config(&relay).panic_hook(true), &relay, &paths);

    assert_eq!(events.len(), paths.len());
    for ((path, line), event) in expected.iter().zip(&events) {
        let frames = frames(event);
        let innermost = frames.last().unwrap();
        assert!(innermost["context_line"].as_str().unwrap().contains(line), "{path}: {innermost:#}");
        assert_eq!((&innermost["in_app"], &innermost["filename"]), (&true.into(), &"tests/it/frames.rs".into()), "{path}");
        assert!(innermost["function"].as_str().is_some_and(|name| name.starts_with("it::")), "{path}: {innermost:#}");
        assert!(!outermost(event)["value"].as_str().unwrap().contains(".rs:"), "{path}: the place is in the message");
    }
}

#[test]
fn frames_that_say_nothing_are_left_out_unless_they_are_asked_for() {
    if in_child("frames::frames_that_say_nothing_are_left_out_unless_they_are_asked_for", &[]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    #[inline(never)]
    fn crash() -> StatusCode {
        panic!("the shelf is empty")
    }
    async fn middleware(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
        next.run(request).await
    }
    let routes = || Router::new().route("/", get(|| async { crash() })).layer(axum::middleware::from_fn(middleware));
    let of = |change: fn(ConfigBuilder) -> ConfigBuilder| {
        let relay = Relay::start();
        let events = events(routes(), change(support::config(&relay).panic_hook(true)), &relay, &["/"]);
        events.into_iter().next().unwrap()
    };

    let (trimmed, whole) = (of(|config| config), of(|config| config.trim_backtraces(false)));

    let (kept, all) = (functions(&trimmed), functions(&whole));
    // The middleware is the outermost code of the application in the request.
    assert!(kept[0].contains("::middleware") && kept.last().unwrap().ends_with("::crash"), "{kept:#?}");
    for silent in ["core::panicking", "tokio::runtime", "tower_sentry"] {
        let is_silent = |name: &String| name.trim_start_matches('<').starts_with(silent);
        assert!(!kept.iter().any(is_silent), "{silent}: {kept:#?}");
        assert!(all.iter().any(is_silent), "{silent}: {all:#?}");
    }
    assert!(all.len() > 2 * kept.len() && all.len() <= 100, "{} of {}", kept.len(), all.len());
    let size = |event: &Value| event.to_string().len();
    assert!(size(&whole) > 2 * size(&trimmed), "{} of {} bytes", size(&trimmed), size(&whole));
    assert_eq!(trimmed["fingerprint"], whole["fingerprint"]);
}

#[tokio::test]
async fn an_error_that_a_job_returns_has_the_place_where_the_job_was_started() {
    let relay = Relay::start();
    let client = support::client(&relay);

    let job = client.transaction("import").run(async { Err::<(), _>(OrderError) });
    assert!(job.await.is_err());

    support::settle(&client).await;
    let (events, line) = (relay.events(), line!() - 4);
    let frames = frames(&events[0]);
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!(
        (&frames[0]["filename"], &frames[0]["lineno"], &frames[0]["in_app"]),
        (&"tests/it/frames.rs".into(), &line.into(), &true.into())
    );
}

/// Calls itself, and then captures an error far below its caller.
fn deep(calls: u32) {
    // A request is polled below the frames of a runtime; a few of these calls go as deep.
    let _stack = std::hint::black_box([0_u8; 4096]);
    match calls.checked_sub(1) {
        Some(calls) => std::hint::black_box(deep as fn(u32))(calls),
        None => drop(std::hint::black_box(tower_sentry::capture_error(&OrderError))),
    }
}

#[inline(never)]
fn afterwards(work: impl FnOnce()) {
    work();
}

#[test]
fn what_runs_after_a_request_has_all_of_its_own_frames() {
    if in_child("frames::what_runs_after_a_request_has_all_of_its_own_frames", &[]) {
        return;
    }
    let relay = Relay::start();
    let guard = support::config(&relay).init().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let handler = || async move { sender.send(Scope::current()).unwrap() };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&guard));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = http::Request::get("/").body(axum::body::Body::empty()).unwrap();
    drop(runtime.block_on(tower::ServiceExt::oneshot(app, request)));
    let scope = receiver.recv().unwrap();

    afterwards(|| deep(60));
    afterwards(|| scope.enter(|| deep(60)));
    runtime.block_on(guard.flush(support::patience())).unwrap();

    let events = relay.events();
    assert_eq!(events.len(), 2);
    for event in events {
        let functions = functions(&event);
        assert!(functions.iter().any(|name| name.ends_with("::afterwards")), "{functions:#?}");
    }
}
