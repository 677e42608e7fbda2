//! The forms in which code has its errors: typed, boxed, wrapped, borrowed, in a result, or of a type that is not an error.

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::Value;
use tower_sentry::{CaptureError, Client, ConfigBuilder, ResultExt as _, SentryLayer, TracingLayer};
use tracing_subscriber::prelude::*;

use crate::support::{self, Relay, Shown, in_child};

#[derive(Debug)]
enum StockError {
    Empty,
    Pool(PoolError),
}

#[derive(Debug)]
struct PoolError(u8);

impl fmt::Display for StockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no stock"),
            Self::Pool(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {} is closed", self.0)
    }
}

/// Transparent for the pool's error, which is in no chain then.
impl std::error::Error for StockError {}

impl std::error::Error for PoolError {}

/// Reports a failure by each of the functions, one after the other, in a request each.
fn events(relay: &Relay, config: ConfigBuilder, reports: &[fn()]) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::from(config.build().unwrap());
        for report in reports {
            client.transaction("stock").run_infallible(async { report() }).await;
        }
        support::settle(&client).await;
        relay.events()
    })
}

fn outermost(event: &Value) -> &Value {
    event["exception"]["values"].as_array().unwrap().last().unwrap()
}

/// The type, the message and the line of an event.
fn facts(event: &Value) -> (String, String, u64) {
    let (error, text) = (outermost(event), |value: &Value| value.as_str().unwrap().to_owned());
    let frames = error["stacktrace"]["frames"].as_array().unwrap();
    (text(&error["type"]), text(&error["value"]), frames.last().unwrap()["lineno"].as_u64().unwrap())
}

fn is_source_line(line: u64, text: &str) -> bool {
    include_str!("error_forms.rs").lines().nth(usize::try_from(line).unwrap() - 1).unwrap().contains(text)
}

#[test]
fn an_error_is_captured_in_each_form_with_its_type_and_the_place_of_the_call() {
    let relay = Relay::start();
    let reports: [fn(); 8] = [
        || _ = tower_sentry::capture_error(&StockError::Empty),                 // place 0
        || _ = tower_sentry::capture_error(&anyhow::Error::from(PoolError(1))), // place 1
        || _ = tower_sentry::capture_anyhow(&anyhow::anyhow!("no stock")),      // place 2
        || _ = tower_sentry::capture_eyre(&eyre::Report::from(PoolError(3))),   // place 3
        || _ = tower_sentry::capture_error(&Box::<dyn std::error::Error + Send + Sync>::from(PoolError(4))), // place 4
        || _ = Err::<(), _>(StockError::Empty).capture(),                       // place 5
        || _ = Err::<(), _>(anyhow::Error::from(PoolError(6))).capture(),       // place 6
        || _ = Err::<(), _>("no stock").capture(),                              // place 7
    ];

    let events = events(&relay, support::config(&relay), &reports);

    let of = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
    let expected = [
        of("StockError", "no stock"),
        of("PoolError", "pool 1 is closed"),
        of("Error", "no stock"),
        of("PoolError", "pool 3 is closed"),
        of("PoolError", "pool 4 is closed"),
        of("StockError", "no stock"),
        of("PoolError", "pool 6 is closed"),
        of("Error", "no stock"),
    ];
    assert_eq!(events.len(), expected.len());
    for (number, (event, expected)) in events.iter().zip(expected).enumerate() {
        let (kind, text, line) = facts(event);
        assert_eq!((kind, text), expected);
        assert!(is_source_line(line, &format!("// place {number}")), "{number}: line {line}");
    }
    let fingerprint = |event: &Value| event["fingerprint"].as_array().unwrap().clone();
    assert!(fingerprint(&events[2]).contains(&"no stock".into()), "a literal is a part of the issue");
    assert!(fingerprint(&events[5]).contains(&"Empty".into()), "the variant is a part of the issue");
    assert_eq!(outermost(&events[5])["module"], "it::error_forms", "the type is exact");
}

#[test]
fn capture_returns_the_result_and_a_later_report_of_it_is_the_same_event() {
    let relay = Relay::start();
    let report = || {
        let result = Err::<(), _>(StockError::Pool(PoolError(7))).capture();
        tower_sentry::Scope::current().set_tag("text", result.as_ref().unwrap_err().to_string());
        assert_eq!(Ok::<_, StockError>(7).capture().unwrap(), 7);
        result
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = support::client(&relay);
        let failed = client.transaction("stock").run(async { report() }).await;
        assert!(failed.is_err());
        support::settle(&client).await;
    });

    assert_eq!(relay.events().len(), 1);
    assert_eq!(relay.transactions()[0]["tags"]["text"], "pool 7 is closed");
}

#[test]
fn the_error_inside_an_io_error_a_box_or_an_arc_gives_the_type() {
    let relay = Relay::start();
    let reports: [fn(); 6] = [
        || _ = tower_sentry::capture_error(&io::Error::other(PoolError(0))),
        || _ = tower_sentry::capture_error(&io::Error::new(io::ErrorKind::TimedOut, io::Error::other(PoolError(1)))),
        || _ = tower_sentry::capture_error(&Arc::new(Box::new(PoolError(2)))),
        || _ = tower_sentry::capture_error(&Arc::<dyn std::error::Error + Send + Sync>::from(Box::from(PoolError(3)))),
        || _ = tower_sentry::capture_error(&io::Error::other("a text")),
        || _ = tower_sentry::capture_error(&anyhow::Error::from(io::Error::other(PoolError(5))).context("no stock")),
    ];

    let events = events(&relay, support::config(&relay), &reports);

    let kinds: Vec<_> = events.iter().map(|event| event["exception"]["values"][0]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["PoolError", "PoolError", "PoolError", "PoolError", "io::Error", "PoolError"]);
    assert_eq!(outermost(&events[2])["module"], "it::error_forms", "the type is exact");
}

#[test]
fn a_rule_sees_wrapped_types_and_variants() {
    let reports: [fn(); 5] = [
        || _ = tower_sentry::capture_error(&StockError::Empty),
        || _ = tower_sentry::capture_error(&StockError::Pool(PoolError(1))),
        || _ = tower_sentry::capture_error(&io::Error::other(PoolError(2))),
        || _ = tower_sentry::capture_error(&io::Error::other("a text")),
        || _ = tower_sentry::capture_error(&Arc::new(StockError::Empty)),
    ];
    let rows = [
        (vec!["StockError"], 2),
        (vec!["StockError::Empty"], 3),
        (vec!["it::error_forms::StockError::Pool"], 4),
        (vec!["PoolError"], 3),
        (vec!["io::Error"], 3),
        (vec!["std::io::error::Error"], 3),
        (vec!["Stock", "Error", "Custom"], 5),
    ];

    for (rule, left) in rows {
        let relay = Relay::start();
        let events = events(&relay, support::config(&relay).ignore_error_types(rule.clone()), &reports);

        assert_eq!(events.len(), left, "{rule:?}");
    }
}

/// Not an error of the standard library's trait.
struct Refusal {
    code: u16,
}

async fn refuse() -> Response {
    let refusal = Refusal { code: 51 };
    let text = format_args!("refused with {} password=hunter2", refusal.code).to_string();
    (StatusCode::BAD_GATEWAY, CaptureError::from_message::<Refusal>(text)).into_response()
}

async fn fail_on_the_way() -> Result<(), CaptureError> {
    Err(anyhow::Error::from(PoolError(1)))? // place of the conversion
}

async fn fail_boxed() -> Result<(), CaptureError> {
    Err::<(), _>(Box::<dyn std::error::Error + Send + Sync>::from(PoolError(2)))?; // place of the box
    Ok(())
}

fn closed() -> Result<(), PoolError> {
    Err(PoolError(4))
}

fn app() -> Router {
    Router::new()
        .route("/refuse", get(refuse))
        .route("/fail", get(fail_on_the_way))
        .route("/boxed", get(fail_boxed))
        .route("/handed", get(|| async { closed().map_err(CaptureError::new) }))
        .route("/absent", get(|| async { (StatusCode::NOT_FOUND, CaptureError::new(PoolError(3))) }))
        .route("/made", get(|| async { CaptureError::new(anyhow::anyhow!("made of anyhow")) }))
}

#[test]
fn a_type_that_is_not_an_error_is_reported_with_its_name_message_and_place() {
    if in_child("error_forms::a_type_that_is_not_an_error_is_reported_with_its_name_message_and_place", &[]) {
        return;
    }
    let relay = Relay::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = support::client(&relay);
        let server = support::Server::start(app().layer(SentryLayer::new(&client))).await;
        for path in ["/refuse", "/fail", "/boxed", "/made"] {
            support::get(&server, path).await;
        }
        support::settle(&client).await;
    });

    let mut events = relay.events();
    events.sort_by_key(|event| event["transaction"].as_str().unwrap().to_owned());
    let [boxed, fail, made, refuse] = events.as_slice() else { panic!("{events:?}") };
    let (kind, text, line) = facts(refuse);
    assert_eq!((kind.as_str(), text.as_str()), ("Refusal", "refused with 51 password=[Filtered]"));
    assert_eq!(outermost(refuse)["module"], "it::error_forms");
    assert!(is_source_line(line, "from_message::<Refusal>"), "line {line}");
    assert!(is_source_line(facts(fail).2, "// place of the conversion"), "{fail}");
    assert!(is_source_line(facts(boxed).2, "// place of the box"), "{boxed}");
    assert_eq!(facts(made).1, "made of anyhow");
}

#[test]
fn the_error_of_a_failed_response_is_in_the_local_log_once_and_no_second_event() {
    if in_child("error_forms::the_error_of_a_failed_response_is_in_the_local_log_once_and_no_second_event", &[("RUST_BACKTRACE", "0")]) {
        return;
    }
    let (relay, outer_relay, shown) = (Relay::start(), Relay::start(), Shown::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, outer) = (support::client(&relay), support::client(&outer_relay));
        let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(shown.clone());
        tracing_subscriber::registry().with(log).with(TracingLayer::new(&client)).init();
        let app = app().layer(SentryLayer::new(&client).log_errors(true).log_span()).layer(SentryLayer::new(&outer).log_errors(true));
        let server = support::Server::start(app).await;
        for path in ["/refuse", "/fail", "/handed", "/absent"] {
            support::get(&server, path).await;
        }
        support::settle(&client).await;
        support::settle(&outer).await;
    });

    let said = shown.text();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("ERROR")).collect();
    let [refused, failed, handed] = lines.as_slice() else { panic!("{said}") };
    assert!(refused.contains("refused with 51 password=[Filtered]") && refused.contains("error_type=\"Refusal\""), "{refused}");
    assert!(refused.contains("place=tests/it/error_forms.rs:") && refused.contains("trace_id="), "{refused}");
    assert!(failed.contains("pool 1 is closed") && failed.contains("error_type=\"PoolError\""), "{failed}");
    assert!(handed.contains("place=library/core/src/"), "no folder of the machine that built it: {handed}");
    assert_eq!((relay.events().len(), outer_relay.events().len()), (3, 3));
    assert!(relay.events().iter().all(|event| event.get("breadcrumbs").is_none()), "our own line is not a step of the request");
}

#[test]
fn errors_are_in_the_local_log_while_monitoring_is_off() {
    if in_child("error_forms::errors_are_in_the_local_log_while_monitoring_is_off", &[]) {
        return;
    }
    let shown = Shown::default();
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(shown.clone());
    tracing_subscriber::registry().with(log).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let off = tower_sentry::Config::builder().build().unwrap();
        let server = support::Server::start(app().layer(SentryLayer::new(off).log_errors(true))).await;
        for path in ["/refuse", "/absent"] {
            support::get(&server, path).await;
        }
    });

    let said = shown.text();
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
    assert!(said.contains("refused with 51 password=[Filtered]"), "{said}");
}
