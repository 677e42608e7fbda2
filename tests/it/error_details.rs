//! What an event tells of an error beside its chain: where it was made, the code around, its binary, and what it is grouped by.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::Value;
use tower_sentry::{CaptureError, Client, Level, SentryLayer};

use crate::support::{self, Relay, in_child};

fn outermost(event: &Value) -> &Value {
    event["exception"]["values"].as_array().unwrap().last().unwrap()
}

fn frames(event: &Value) -> Vec<&Value> {
    outermost(event)["stacktrace"]["frames"].as_array().map(|frames| frames.iter().collect()).unwrap_or_default()
}

/// The events of requests to these paths, one after the other.
fn events(app: Router<Client>, config: tower_sentry::ConfigBuilder, relay: &Relay, paths: &[&str]) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::from(config.build().unwrap());
        let app = app.with_state(client.clone()).layer(SentryLayer::new(&client));
        let server = support::Server::start(app).await;
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

#[derive(Debug)]
struct OrderError(u32);

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "order {} could not be placed", self.0)
    }
}

impl std::error::Error for OrderError {}

fn fail(order: u32) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(OrderError(order))).into_response()
}

#[test]
fn frames_have_the_code_around_them_and_their_binary() {
    if in_child("error_details::frames_have_the_code_around_them_and_their_binary", &[]) {
        return;
    }
    let relay = Relay::start();
    let app = Router::new().route("/", get(|| async { fail(7) }));
    let events = events(app, support::config(&relay).trim_backtraces(false), &relay, &["/"]);

    let frames = frames(&events[0]);
    let own: Vec<_> = frames.iter().filter(|frame| frame["in_app"] == true).collect();
    assert!(own.iter().all(|frame| frame["function"].as_str().unwrap().starts_with("it::")), "{own:?}");
    assert!(own.len() < frames.len() / 4, "{} of {} frames are the application's own", own.len(), frames.len());
    let innermost = own.last().unwrap();
    assert_eq!(innermost["function"], "it::error_details::fail", "the capture is inside it");
    assert!(innermost["context_line"].as_str().unwrap().contains("CaptureError::new(OrderError(order))"), "{innermost}");
    assert_eq!((innermost["pre_context"].as_array().unwrap().len(), innermost["post_context"].as_array().unwrap().len()), (5, 5));
    assert!(frames.iter().all(|frame| frame["in_app"] == true || frame.get("context_line").is_none()));

    assert_eq!(events[0]["exception"]["values"][0]["stacktrace"]["instruction_addr_adjustment"], "none");
    let images = events[0]["debug_meta"]["images"].as_array().unwrap();
    let this = std::env::current_exe().unwrap();
    let image = images.iter().find(|image| image["code_file"] == this.to_str().unwrap()).unwrap();
    let hex = |value: &Value| u64::from_str_radix(value.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap();
    let (start, size) = (hex(&image["image_addr"]), image["image_size"].as_u64().unwrap());
    assert!((start..start + size).contains(&hex(&innermost["instruction_addr"])));
    let all = events[0]["exception"]["values"].as_array().unwrap();
    let addresses: Vec<_> = all
        .iter()
        .flat_map(|value| value["stacktrace"]["frames"].as_array().cloned().unwrap_or_default())
        .map(|frame| hex(&frame["instruction_addr"]))
        .collect();
    for image in images {
        let start = hex(&image["image_addr"]);
        let range = start..start + image["image_size"].as_u64().unwrap();
        assert!(addresses.iter().any(|address| range.contains(address)), "no frame lies in {image}");
    }
    // The tool of the system reads the same id out of the file.
    let notes = std::process::Command::new("readelf").args(["-n", this.to_str().unwrap()]).output().unwrap();
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let build_id = notes.split("Build ID: ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(image["code_id"], build_id);
    assert_eq!(image["type"], "elf");
}

#[test]
fn what_the_user_ignores_makes_no_event_and_is_counted() {
    if in_child("error_details::what_the_user_ignores_makes_no_event_and_is_counted", &[]) {
        return;
    }
    support::subscribe();
    let relay = Relay::start();
    let say = |text: &'static str| move || async move { tower_sentry::capture_message(Level::Error, text).to_string() };
    let app = Router::new()
        .route("/type", get(|| async { fail(1) }))
        .route("/cause", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(std::io::Error::other(OrderError(2)))) }))
        .route("/message", get(say("connection reset by peer")))
        .route("/status", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/target", get(|| async { tracing::error!(target: "shop::noisy::part", "again") }))
        .route("/other-target", get(|| async { tracing::error!(target: "shop::noisy_neighbour", "kept") }))
        .route("/kept", get(say("kept")));
    let config = support::config(&relay)
        .ignore_error_types(["it::error_details::OrderError"])
        .ignore_error_messages(["connection reset"])
        .ignore_error_statuses([503])
        .ignore_error_targets(["shop::noisy"]);
    let events = events(app, config, &relay, &["/type", "/message", "/status", "/target", "/other-target", "/kept"]);

    let urls: Vec<_> = events.iter().map(|event| event["request"]["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["http://shop.example/other-target", "http://shop.example/kept"]);
    let ignored = relay.reported().into_iter().filter(|(reason, category, _)| reason == "event_processor" && category == "error");
    assert_eq!(ignored.map(|(_, _, quantity)| quantity).sum::<u64>(), 4);
}

#[cfg(feature = "anyhow")]
#[test]
fn an_error_of_anyhow_shows_where_it_was_made() {
    if in_child("error_details::an_error_of_anyhow_shows_where_it_was_made", &[("RUST_LIB_BACKTRACE", "1")]) {
        return;
    }
    use anyhow::Context as _;
    #[inline(never)]
    fn read_config() -> anyhow::Result<String> {
        std::fs::read_to_string("/no/such/file").context("the configuration cannot be read")
    }
    async fn show() -> Result<String, CaptureError> {
        tokio::task::yield_now().await;
        Ok(read_config()?)
    }
    let relay = Relay::start();
    let events = events(Router::new().route("/", get(show)), support::config(&relay), &relay, &["/"]);

    let event = &events[0];
    let values: Vec<_> = event["exception"]["values"].as_array().unwrap().iter().map(|value| &value["value"]).collect();
    assert_eq!(values, ["No such file or directory (os error 2)", "the configuration cannot be read"]);
    let frames = frames(event);
    let innermost = frames.last().unwrap();
    assert!(innermost["function"].as_str().unwrap().ends_with("read_config") && innermost["in_app"] == true, "{frames:?}");
    assert!(innermost["instruction_addr"].as_str().unwrap().starts_with("0x"), "{innermost}");
    assert!(innermost["context_line"].as_str().unwrap().contains("/no/such/file"), "{innermost}");
}

#[cfg(feature = "eyre")]
#[test]
fn a_report_of_eyre_shows_at_least_its_place() {
    if in_child("error_details::a_report_of_eyre_shows_at_least_its_place", &[("RUST_BACKTRACE", "0"), ("RUST_LIB_BACKTRACE", "0")]) {
        return;
    }
    async fn show() -> Result<String, CaptureError> {
        let report = eyre::eyre!("the cart is gone");
        Err(report.into())
    }
    let relay = Relay::start();
    let events = events(Router::new().route("/", get(show)), support::config(&relay), &relay, &["/"]);

    let frames = frames(&events[0]);
    assert_eq!(outermost(&events[0])["value"], "the cart is gone");
    assert_eq!((frames.len(), &frames[0]["filename"]), (1, &"tests/it/error_details.rs".into()));
    assert_eq!((&frames[0]["in_app"], frames[0].get("context_line")), (&true.into(), None), "a message could name any file");
}
