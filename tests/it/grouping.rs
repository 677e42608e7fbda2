//! Which events the server shows as one issue: the default fingerprint.

use std::error::Error;
use std::fmt;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::{CaptureError, Client, Level, Scope, SentryLayer};

use crate::support::{self, Relay, in_child};

const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

#[derive(Debug)]
struct OrderError(u64);

#[derive(Debug)]
struct CartError(u64);

/// The error of a whole application.
#[derive(Debug)]
enum AppError {
    Database(OrderError),
    OutOfStock(u64),
    Refused { order: u64 },
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {} cannot be loaded", self.0)
    }
}

impl fmt::Display for CartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cart {} cannot be loaded", self.0)
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(_) => f.write_str("the database failed"),
            Self::OutOfStock(id) | Self::Refused { order: id } => write!(f, "order {id} failed"),
        }
    }
}

impl Error for OrderError {}
impl Error for CartError {}
impl Error for AppError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if let Self::Database(cause) = self { Some(cause) } else { None }
    }
}

/// The one place that all errors of the application pass through.
impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        (FAILED, CaptureError::new(self)).into_response()
    }
}

/// An error of `anyhow` that passes through one place, too.
#[cfg(feature = "anyhow")]
struct Whole(anyhow::Error);

#[cfg(feature = "anyhow")]
impl IntoResponse for Whole {
    fn into_response(self) -> Response {
        (FAILED, CaptureError::from(self.0)).into_response()
    }
}

fn panics(id: u64) {
    let panics = std::hint::black_box(true);
    assert!(!panics, "shelf {id} is empty");
}

fn returned<E: Error + Send + Sync + 'static>(error: E) -> Response {
    (FAILED, CaptureError::new(error)).into_response()
}

fn load(id: u64) -> Result<(), OrderError> {
    Err(OrderError(id))
}

fn captured(id: u64) {
    tower_sentry::capture_error(&OrderError(id));
}

fn logged(id: u64) {
    tracing::error!("failed to get user {id}");
}

#[cfg(feature = "anyhow")]
async fn anyhow_response(kind: &str, id: u64) -> Response {
    use anyhow::{Context as _, anyhow};
    let whole = |error: anyhow::Error| Whole(error).into_response();
    let questioned = async {
        match kind {
            "line" => Err::<(), _>(anyhow!("order {id} is gone"))?,
            "other-line" => Err::<(), _>(anyhow!("order {id} was lost"))?,
            _ => {}
        }
        Ok::<_, CaptureError>(StatusCode::OK)
    };
    match kind {
        "literal" => whole(anyhow!("no stock")),
        "other-literal" => whole(anyhow!("no such row")),
        "formatted" => whole(anyhow!("order {id} is gone")),
        "context" => whole(load(id).context("placing the order").unwrap_err()),
        "other-context" => whole(load(id).context("showing the order").unwrap_err()),
        _ => questioned.await.into_response(),
    }
}

/// Fails in one way. The last part of the path is an id.
async fn fail(kind: &str, id: u64) -> Response {
    let fine = || "ok".into_response();
    match kind {
        "panic" => panics(id),
        "panic-caught" => drop(std::panic::catch_unwind(|| panics(id))),
        "panic-two" => {
            let two = std::hint::black_box(id) > 100;
            assert!(two, "the first of two");
        }
        "panic-other" => {
            let two = std::hint::black_box(id) > 100;
            assert!(two, "the second of two");
        }
        "panic-error" => std::panic::panic_any(std::io::Error::other(id.to_string())),
        "panic-thread" => drop(std::thread::spawn(move || panics(id)).join()),
        "panic-resumed" => std::panic::resume_unwind(Box::new(id)),
        "returned-here" => return (FAILED, CaptureError::new(OrderError(id))).into_response(),
        "returned-there" => return (FAILED, CaptureError::new(OrderError(id))).into_response(),
        "helper-order" => return returned(OrderError(id)),
        "helper-cart" => return returned(CartError(id)),
        "app-database" => return AppError::Database(OrderError(id)).into_response(),
        "app-stock" => return AppError::OutOfStock(id).into_response(),
        "app-refused" => return AppError::Refused { order: id }.into_response(),
        "mapped" => {
            let error = load(id).map_err(CaptureError::new).unwrap_err();
            return (FAILED, error).into_response();
        }
        "captured" => captured(id),
        "captured-elsewhere" => drop(tower_sentry::capture_error(&OrderError(id))),
        "logged-and-returned" => {
            let error = OrderError(id);
            tracing::error!(error = &error as &dyn Error, "order {id} failed");
            return returned(error);
        }
        "log" => logged(id),
        "log-elsewhere" => tracing::error!("failed to get user {id}"),
        "log-error" => tracing::error!(error = &OrderError(id) as &dyn Error, "failed"),
        "log-crate" => log::error!("failed to get user {id}"),
        "log-crate-elsewhere" => log::error!("failed to get user {id}"),
        "log-text" => tracing::error!(error = %OrderError(id), "failed"),
        "500" => return FAILED.into_response(),
        "503" => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "message" => drop(tower_sentry::capture_message(Level::Error, format!("order {id} is late"))),
        "message-elsewhere" => drop(tower_sentry::capture_message(Level::Error, format!("order {id} is late"))),
        "own" => {
            Scope::current().set_fingerprint(["orders"]);
            captured(id);
        }
        "named" => {
            Scope::current().transaction().set_name(format!("order {id}"));
            return FAILED.into_response();
        }
        #[cfg(feature = "anyhow")]
        other => return anyhow_response(other, id).await,
        #[cfg(not(feature = "anyhow"))]
        other => unreachable!("{other}"),
    }
    fine()
}

/// Each way to fail has its own route twice: `/a/{kind}` and `/b/{kind}`, with an id.
fn app(client: &Client) -> Router {
    let fails = |axum::extract::Path((kind, id)): axum::extract::Path<(String, u64)>| async move { fail(&kind, id).await };
    let routes = ["a", "b"].iter().fold(Router::new(), |routes, folder| routes.route(&format!("/{folder}/{{kind}}/{{id}}"), get(fails)));
    routes.layer(CatchPanicLayer::new()).layer(SentryLayer::new(client))
}

/// The fingerprint of what a request reports.
async fn fingerprint(app: &Router, client: &Client, relay: &Relay, path: &str) -> Value {
    let before = relay.events().len();
    drop(app.clone().oneshot(Request::get(format!("/{path}")).body(Body::empty()).unwrap()).await.unwrap());
    client.flush(support::patience()).await.unwrap();
    let events = relay.events();
    let [event] = events.get(before..).unwrap() else { panic!("{path}: {:?}", events.get(before..)) };
    event["fingerprint"].clone()
}

const SAME: bool = true;
const OTHER: bool = false;

/// Two requests, and whether their events are one issue.
const PAIRS: &[(&str, &str, bool)] = &[
    // A panic is known by its place.
    ("a/panic/1", "a/panic/2", SAME),
    ("a/panic/1", "b/panic/1", SAME),
    ("a/panic/1", "a/panic-caught/1", SAME),
    ("a/panic/1", "a/panic-thread/1", SAME),
    ("a/panic/1", "a/panic-two/1", OTHER),
    ("a/panic-two/1", "a/panic-other/1", OTHER),
    ("a/panic-error/1", "a/panic-error/2", SAME),
    ("a/panic-resumed/1", "a/panic-resumed/2", SAME),
    ("a/panic-resumed/1", "b/panic-resumed/1", OTHER),
    // An error of a response: its types, its place, the route.
    ("a/returned-here/1", "a/returned-here/2", SAME),
    ("a/returned-here/1", "a/returned-there/1", OTHER),
    ("a/helper-order/1", "a/helper-order/2", SAME),
    ("a/helper-order/1", "a/helper-cart/1", OTHER),
    ("a/helper-order/1", "b/helper-order/1", OTHER),
    ("a/helper-order/1", "a/logged-and-returned/1", SAME),
    ("a/app-database/1", "a/app-database/2", SAME),
    ("a/app-database/1", "b/app-database/1", OTHER),
    ("a/app-stock/1", "a/app-stock/2", SAME),
    ("a/app-stock/1", "a/app-refused/1", OTHER),
    ("a/app-stock/1", "a/app-database/1", OTHER),
    ("a/mapped/1", "a/mapped/2", SAME),
    ("a/mapped/1", "b/mapped/1", OTHER),
    // An error that is captured: its types and its place.
    ("a/captured/1", "a/captured/2", SAME),
    ("a/captured/1", "b/captured/1", SAME),
    ("a/captured/1", "a/captured-elsewhere/1", OTHER),
    ("a/captured/1", "a/returned-here/1", OTHER),
    // A log: its callsite and the route.
    ("a/log/1", "a/log/2", SAME),
    ("a/log/1", "b/log/1", OTHER),
    ("a/log/1", "a/log-elsewhere/1", OTHER),
    ("a/log-crate/1", "a/log-crate/2", SAME),
    ("a/log-crate/1", "a/log-crate-elsewhere/1", OTHER),
    ("a/log-error/1", "a/log-error/2", SAME),
    ("a/log-text/1", "a/log-text/2", SAME),
    ("a/log-text/1", "a/log-error/1", OTHER),
    // A failed response: the route and the status.
    ("a/500/1", "a/500/2", SAME),
    ("a/500/1", "a/503/1", OTHER),
    ("a/500/1", "b/500/1", OTHER),
    ("a/500/1", "a/named/1", SAME),
    ("a/named/1", "a/named/2", SAME),
    // A message: its place.
    ("a/message/1", "a/message/2", SAME),
    ("a/message/1", "a/message-elsewhere/1", OTHER),
    // A fingerprint of the user's.
    ("a/own/1", "b/own/2", SAME),
    ("a/own/1", "a/captured/1", OTHER),
];

/// Errors of `anyhow` without a stack trace: a literal is a text of the program.
#[cfg(feature = "anyhow")]
const ANYHOW_PAIRS: &[(&str, &str, bool)] = &[
    ("a/literal/1", "a/literal/2", SAME),
    ("a/literal/1", "a/other-literal/1", OTHER),
    ("a/formatted/1", "a/formatted/2", SAME),
    ("a/literal/1", "a/formatted/1", OTHER),
    ("a/context/1", "a/context/2", SAME),
    ("a/context/1", "a/other-context/1", OTHER),
    ("a/line/1", "a/line/2", SAME),
    ("a/line/1", "a/other-line/1", OTHER),
];
#[cfg(not(feature = "anyhow"))]
const ANYHOW_PAIRS: &[(&str, &str, bool)] = &[];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn one_failure_is_one_issue_and_two_are_two() {
    if in_child("grouping::one_failure_is_one_issue_and_two_are_two", &[("RUST_BACKTRACE", "0"), ("RUST_LIB_BACKTRACE", "0")]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
    let app = app(&client);

    runtime().block_on(async {
        let mut wrong = Vec::new();
        for (one, other, is_same) in PAIRS.iter().chain(ANYHOW_PAIRS) {
            let [one_is, other_is] = [fingerprint(&app, &client, &relay, one).await, fingerprint(&app, &client, &relay, other).await];
            assert!(one_is.as_array().is_some_and(|parts| !parts.is_empty()), "{one} has no fingerprint");
            if (one_is == other_is) != *is_same {
                wrong.push(format!("{one} {one_is}\n{other} {other_is}"));
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
        assert!(PAIRS.len() >= 40, "{}", PAIRS.len());
    });
}

#[test]
fn a_fingerprint_says_what_and_where_and_holds_no_text() {
    if in_child("grouping::a_fingerprint_says_what_and_where_and_holds_no_text", &[]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
    let app = app(&client);
    let rows: [(&str, &[&str]); 8] = [
        ("a/panic/7", &["panic", "tests/it/grouping.rs:_:_"]),
        ("a/app-database/7", &["it::grouping::AppError", "OrderError", "Database", "tests/it/grouping.rs:_:_", "GET /a/{kind}/{id}"]),
        ("a/mapped/7", &["it::grouping::OrderError", "GET /a/{kind}/{id}"]),
        ("a/captured/7", &["it::grouping::OrderError", "tests/it/grouping.rs:_:_"]),
        ("a/log/7", &["it::grouping", "tests/it/grouping.rs:_", "GET /a/{kind}/{id}"]),
        ("a/log-crate/7", &["it::grouping", "tests/it/grouping.rs:_", "GET /a/{kind}/{id}"]),
        ("a/500/7", &["GET /a/{kind}/{id}", "answered 500"]),
        ("a/message/7", &["message", "tests/it/grouping.rs:_:_"]),
    ];

    runtime().block_on(async {
        for (path, expected) in rows {
            let parts = fingerprint(&app, &client, &relay, path).await;
            let shown: Vec<_> = parts.as_array().unwrap().iter().map(|part| without_numbers(part.as_str().unwrap())).collect();
            assert_eq!(shown, expected, "{path}");
        }
    });
}

/// Shows the line and the column of a place as `_`.
fn without_numbers(part: &str) -> String {
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    part.split(':').map(|text| if is_number(&text) { "_" } else { text }).collect::<Vec<_>>().join(":")
}

#[test]
fn a_burst_of_one_failure_right_after_the_start_is_one_issue() {
    if in_child("grouping::a_burst_of_one_failure_right_after_the_start_is_one_issue", &[]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
    let app = app(&client);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();

    runtime.block_on(async {
        for kind in ["panic", "helper-order", "captured"] {
            let visits = (0..200).map(|id| {
                let request = Request::get(format!("/a/{kind}/{id}")).body(Body::empty()).unwrap();
                tokio::spawn(app.clone().oneshot(request))
            });
            for visit in visits.collect::<Vec<_>>() {
                drop(visit.await.unwrap().unwrap());
            }
        }
        support::settle(&client).await;
    });

    let mut issues: Vec<_> = relay.events().iter().map(|event| event["fingerprint"].to_string()).collect();
    assert_eq!(issues.len(), 600);
    issues.sort_unstable();
    issues.dedup();
    assert_eq!(issues.len(), 3, "{issues:#?}");
}

#[cfg(feature = "anyhow")]
#[test]
fn errors_of_anyhow_with_a_trace_are_known_by_the_function_that_made_them() {
    if in_child("grouping::errors_of_anyhow_with_a_trace_are_known_by_the_function_that_made_them", &[("RUST_LIB_BACKTRACE", "1")]) {
        return;
    }
    use anyhow::Context as _;
    #[inline(never)]
    fn load(id: u64) -> anyhow::Result<()> {
        Err(OrderError(id)).with_context(|| format!("order {id}"))
    }
    #[inline(never)]
    fn save(id: u64) -> anyhow::Result<()> {
        Err(OrderError(id)).with_context(|| format!("order {id}"))
    }
    async fn handler(axum::extract::Path((kind, id)): axum::extract::Path<(String, u64)>) -> Response {
        tokio::task::yield_now().await;
        Whole(if kind == "load" { load(id) } else { save(id) }.unwrap_err()).into_response()
    }
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/{kind}/{id}", get(handler)).layer(SentryLayer::new(&client));

    runtime().block_on(async {
        let one = fingerprint(&app, &client, &relay, "load/1").await;

        assert!(one.to_string().contains("load\""), "{one}");
        assert_eq!(one, fingerprint(&app, &client, &relay, "load/2").await);
        assert_ne!(one, fingerprint(&app, &client, &relay, "save/1").await);
    });
}

#[tokio::test]
async fn errors_of_jobs_are_known_by_their_types_and_the_job() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let run = async |name: &'static str, id: u64| drop(client.transaction(name).run(async move { Err::<(), _>(OrderError(id)) }).await);
    let cart = async { Err::<(), _>(CartError(1)) };

    for id in 0..50 {
        run("load", id).await;
    }
    run("save", 1).await;
    drop(client.transaction("load").run(cart).await);
    support::settle(&client).await;

    let mut issues: Vec<_> = relay.events().iter().map(|event| event["fingerprint"].to_string()).collect();
    assert_eq!(issues.len(), 52);
    issues.sort_unstable();
    issues.dedup();
    let expected =
        [r#"["it::grouping::CartError","load"]"#, r#"["it::grouping::OrderError","load"]"#, r#"["it::grouping::OrderError","save"]"#];
    assert_eq!(issues, expected);
}
