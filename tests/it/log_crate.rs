//! Records of the `log` crate, which `tracing-log` passes on under the target `log`.

use serde_json::Value;
use tower_sentry::test::{Captured, client_with};
use tower_sentry::{Client, Config, ConfigBuilder};
use tracing::{error, info};

use crate::support::{self, payloads_in};

fn client(settings: ConfigBuilder) -> (Client, Captured) {
    support::subscribe();
    client_with(settings.traces_sample_rate(1.0))
}

/// Logs as `log::error!` and its kin do where a `LogTracer` is installed.
fn log(level: log::Level, target: &str, message: &str) {
    let place = Some("/home/jane/shop/src/orders.rs");
    let record = |args| log::Record::builder().args(args).level(level).target(target).file(place).line(Some(7)).build();
    tracing_log::format_trace(&record(format_args!("{message}"))).unwrap();
}

fn events(captured: &Captured) -> Vec<Value> {
    payloads_in(&captured.envelopes(), "event")
}

#[tokio::test]
async fn an_error_has_the_target_and_the_place_it_was_logged_with() {
    let (client, captured) = client(Config::builder());

    client
        .transaction("work")
        .run(async {
            log(log::Level::Info, "shop::cart", "the cart is open");
            log(log::Level::Error, "shop::orders", "no order");
        })
        .await;

    let event = &events(&captured)[0];
    assert_eq!(event["logger"], "shop::orders");
    let fields = serde_json::json!({ "code.file.path": "shop/src/orders.rs", "code.line.number": 7 });
    assert_eq!(event["contexts"]["fields"], fields, "and no field of `tracing-log`");
    let crumb = &event["breadcrumbs"]["values"][0];
    assert_eq!((&crumb["category"], &crumb["message"]), (&"shop::cart".into(), &"the cart is open".into()));
    assert_eq!(crumb.get("data"), None);
}

#[tokio::test]
async fn our_own_warnings_do_not_come_back() {
    let (client, captured) = client(Config::builder().enable_logs(true));

    client
        .transaction("work")
        .run(async {
            log(log::Level::Warn, "tower_sentry", "the server does not answer");
            log(log::Level::Error, "tower_sentry", "nothing can be sent");
            log(log::Level::Error, "shop", "no order");
        })
        .await;

    let [event] = events(&captured).try_into().unwrap();
    assert_eq!((&event["logentry"]["message"], &event["breadcrumbs"]), (&"no order".into(), &Value::Null));
    let logs = payloads_in(&captured.envelopes(), "log");
    let bodies: Vec<_> = logs.iter().flat_map(|log| log["items"].as_array().unwrap()).map(|log| &log["body"]).collect();
    assert_eq!(bodies, ["no order"]);
}

#[tokio::test]
async fn rules_for_targets_see_the_real_one() {
    let (client, captured) = client(Config::builder().ignore_error_targets(["noisy", "log"]));

    client
        .transaction("work")
        .run(async {
            log(log::Level::Error, "noisy::pool", "not again");
            log(log::Level::Error, "shop::orders", "no order");
            log(log::Level::Error, "tower_http::trace::on_failure", "the layer has seen it");
            error!(target: "log", "of the target `log` itself");
        })
        .await;

    let loggers: Vec<_> = events(&captured).iter().map(|event| event["logger"].clone()).collect();
    assert_eq!(loggers, ["shop::orders"]);
}

#[tokio::test]
async fn a_structured_log_is_named_by_the_real_target() {
    let (client, captured) = client(Config::builder().enable_logs(true));

    client.transaction("work").run(async { log(log::Level::Warn, "shop::orders", "few orders") }).await;

    let logs = payloads_in(&captured.envelopes(), "log");
    let attributes = &logs[0]["items"][0]["attributes"];
    let values = ["logger.name", "code.file.path", "code.line.number"].map(|name| attributes[name]["value"].clone());
    assert_eq!(serde_json::json!(values), serde_json::json!(["shop::orders", "shop/src/orders.rs", 7]));
    assert_eq!(attributes.get("log.target"), None);
}

#[tokio::test]
async fn the_own_log_line_of_an_event_is_not_one_of_its_breadcrumbs() {
    let (client, captured) = client(Config::builder());

    client
        .transaction("work")
        .run(async {
            info!("first");
            error!("second");
            error!("third");
        })
        .await;

    let crumbs = |event: &Value| {
        let crumbs = event["breadcrumbs"]["values"].as_array().unwrap();
        crumbs.iter().map(|crumb| crumb["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(events(&captured).iter().map(crumbs).collect::<Vec<_>>(), [vec!["first"], vec!["first", "second"]]);
}
