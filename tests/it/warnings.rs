//! What the crate says about itself, and where: nothing is lost without a word, and nothing is said twice.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::protocol::Monitor;
use tower_sentry::{Client, Config, ConfigBuilder, Level, Scope, SentryLayer, TracingLayer};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::support::{self, Relay, said_in_child};

const CASE: &str = "WARNINGS_CASE";

fn case() -> String {
    std::env::var(CASE).unwrap_or_default()
}

#[test]
fn a_warning_that_no_layer_shows_goes_to_standard_error() {
    let name = "warnings::a_warning_that_no_layer_shows_goes_to_standard_error";
    let mut is_parent = false;
    // Which filter the application has, and whether its log shows our warnings.
    for (filter, is_shown) in [("none", true), ("global", false), ("of the layer", false), ("ours too", true)] {
        if let Some(said) = said_in_child(name, &[(CASE, filter)]) {
            is_parent = true;
            let counts = ["events wait in memory", "items dropped: 60"].map(|line| said.matches(line).count());
            assert_eq!(counts, [1, 1], "{filter}: {said}");
            let of_ours = said.matches("tower_sentry: warning: ").count();
            assert_eq!(of_ours, if is_shown { 0 } else { 2 }, "{filter}: {said}");
        }
    }
    if is_parent {
        return;
    }
    let port = support::closed_port();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/42", port.local_addr().unwrap());
    let sentry = support::to(dsn).panic_hook(false).shutdown_timeout(Duration::from_secs(1)).init().unwrap();
    let filter: Targets = "shop=debug,tower_http=debug".parse().unwrap();
    macro_rules! log {
        () => {
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stdout)
        };
    }
    let ours = TracingLayer::new(&sentry);
    match case().as_str() {
        "global" => tracing_subscriber::registry().with(filter).with(log!()).with(ours).init(),
        "of the layer" => tracing_subscriber::registry().with(log!().with_filter(filter)).with(ours).init(),
        "ours too" => {
            let filter = filter.with_target("tower_sentry", tracing::Level::WARN);
            tracing_subscriber::registry().with(log!().with_filter(filter)).with(ours).init();
        }
        _ => tracing_subscriber::registry().with(log!()).with(ours).init(),
    }

    for number in 0..60 {
        tower_sentry::capture_message(Level::Error, format!("the stock of shelf {number} is low"));
    }
    drop(sentry);
}

/// An application that drops its guard too early, as in the function that builds its router.
fn app(relay: &Relay) -> Router {
    let sentry = support::config(relay).init().unwrap();
    Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&sentry))
}

#[test]
fn a_guard_that_is_dropped_too_early_is_named_once() {
    let name = "warnings::a_guard_that_is_dropped_too_early_is_named_once";
    let mut is_parent = false;
    for (what, times) in [("early", 1), ("at the end", 0)] {
        if let Some(said) = said_in_child(name, &[(CASE, what)]) {
            is_parent = true;
            assert_eq!(said.matches("keep it until the server has stopped").count(), times, "{what}: {said}");
        }
    }
    if is_parent {
        return;
    }
    let relay = Relay::start();
    let visit = async |app: Router| drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if case() == "early" {
        let app = app(&relay);
        for _ in 0..3 {
            runtime.block_on(visit(app.clone()));
        }
        assert!(relay.transactions().is_empty());
    } else {
        let sentry = support::config(&relay).init().unwrap();
        let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&sentry));
        runtime.block_on(visit(app.clone()));
        // A request that is still served when the process ends.
        let open = runtime.block_on(app.oneshot(Request::get("/").body(Body::empty()).unwrap())).unwrap();
        drop(sentry);
        drop(open);
        assert_eq!(relay.transactions().len(), 1);
    }
}

#[test]
fn a_variable_that_the_code_overrides_is_named() {
    const DSN: &str = "https://0123456789abcdef0123456789abcdef@sentry.example/1";
    type Set = fn(ConfigBuilder) -> ConfigBuilder;
    let rows: [(&str, &str, &str, Set); 8] = [
        ("dsn", "SENTRY_DSN", DSN, |builder| builder.dsn("")),
        ("environment", "SENTRY_ENVIRONMENT", "dev", |builder| builder.environment("staging")),
        ("release", "SENTRY_RELEASE", "shop@1.4.0", |builder| builder.release("shop@1.5.0")),
        ("traces_sample_rate", "SENTRY_TRACES_SAMPLE_RATE", "1.0", |builder| builder.traces_sample_rate(0.1)),
        ("send_default_pii", "SENTRY_SEND_DEFAULT_PII", "1", |builder| builder.send_default_pii(false)),
        ("spotlight", "SENTRY_SPOTLIGHT", "1", |builder| builder.spotlight("http://localhost:1/stream")),
        ("spool_dir", "SENTRY_SPOOL_DIR", "/tmp/x", |builder| builder.spool_dir("/tmp/y")),
        ("debug", "SENTRY_DEBUG", "1", |builder| builder.debug(false)),
    ];
    for (setting, variable, value, set) in rows {
        let config = |set: Set| {
            let builder = Config::builder().from_vars([("SENTRY_DSN", DSN), (variable, value)]);
            set(builder).build().unwrap().warnings().to_vec()
        };
        assert_eq!(config(set), [format!("{variable} has no effect: `{setting}` is set in the code")]);
        assert_eq!(config(|builder| builder), [""; 0], "{setting}");
    }
    // Not only ours.
    let config = Config::builder().from_vars([("GIT_COMMIT", "12e0413"), ("ENVIRONMENT", "dev")]);
    assert_eq!(config.release("shop@1.5.0").environment("staging").build().unwrap().warnings(), [""; 0]);
}

#[test]
fn each_start_line_says_where_its_client_sends() {
    let name = "warnings::each_start_line_says_where_its_client_sends";
    if let Some(said) = said_in_child(name, &[]) {
        let lines: Vec<_> = said.lines().filter_map(|line| line.split_once("INFO tower_sentry: ")).map(|(_, line)| line).collect();
        let on = "Sentry initialized for environment 'production', sends to";
        let path = std::env::temp_dir().join("tower-sentry-start-line.log");
        let mut expected = [
            format!("{on} http://***@127.0.0.1:9/1"),
            format!("{on} http://***@127.0.0.1:9/2 (client 2 of this process)"),
            format!("{on} http://***@127.0.0.1:9/2 (client 3 of this process)"),
            format!("{on} a transport of your own (client 4 of this process)"),
            format!("payments: {on} http://***@127.0.0.1:9/2"),
            format!("Sentry is off: no DSN is set; only the security log '{}' is written", path.display()),
        ];
        expected.sort();
        let mut lines = lines;
        lines.sort_unstable();
        assert_eq!(lines, expected, "{said}");
        return;
    }
    tracing_subscriber::fmt().with_ansi(false).init();
    let path = std::env::temp_dir().join("tower-sentry-start-line.log");
    let started = [
        support::to("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1"),
        support::to("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/2"),
        support::to("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/2"),
        Config::builder().transport(|_: &[u8]| {}),
        support::to("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/2").client_name("payments"),
        Config::builder().dsn(" ").security_log(&path),
    ]
    .map(|builder| Client::from(builder.panic_hook(false).shutdown_timeout(Duration::ZERO).build().unwrap()));
    // The exporters have said it before they answer.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for client in &started {
        runtime.block_on(client.flush(support::patience())).unwrap();
    }
    assert_eq!(started[4].stats().client_name, "payments");
    assert_eq!(started[0].stats().client_name, "");
}

#[test]
fn the_name_of_a_client_is_checked() {
    for name in ["", "two\nlines", &"x".repeat(65)] {
        let error = Config::builder().dsn("http://key@127.0.0.1:9/1").client_name(name).build().unwrap_err();
        assert!(error.to_string().starts_with("client_name: expected 1 to 64 characters"), "{error}");
    }
}

#[test]
fn data_that_is_set_outside_of_any_work_is_explained_once() {
    let name = "warnings::data_that_is_set_outside_of_any_work_is_explained_once";
    let mut is_parent = false;
    for (what, times) in [("outside", 1), ("bound", 0), ("in a job", 0), ("quiet", 0)] {
        if let Some(said) = said_in_child(name, &[(CASE, what)]) {
            is_parent = true;
            assert_eq!(said.matches("data is set on a scope outside any request or job").count(), times, "{what}: {said}");
        }
    }
    if is_parent {
        return;
    }
    let relay = Relay::start();
    let sentry = support::config(&relay).debug(case() != "quiet").init().unwrap();
    let work = || async {
        for number in 0..3 {
            Scope::current().set_tag("shelf", number);
        }
        tower_sentry::capture_message(Level::Warning, "the stock is low");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match case().as_str() {
            "bound" => Scope::current().bind(work()).await,
            "in a job" => sentry.transaction("import").run_infallible(work()).await,
            _ => work().await,
        }
        sentry.flush(support::patience()).await.unwrap();
    });
    let has_tag = relay.events()[0]["tags"]["shelf"] == "2";
    assert_eq!(has_tag, matches!(case().as_str(), "bound" | "in a job"));
}

#[test]
fn a_schedule_that_servers_refuse_is_a_warning() {
    let name = "warnings::a_schedule_that_servers_refuse_is_a_warning";
    if let Some(said) = said_in_child(name, &[]) {
        let line = "the schedule of the monitor 'nightly' is invalid: expected five fields: minute, hour, day, month and weekday";
        assert_eq!(said.matches(line).count(), 1, "{said}");
        assert!(!said.contains("hourly"), "{said}");
        return;
    }
    let client = Client::from(Config::builder().transport(|_: &[u8]| {}).build().unwrap());
    let run = |monitor, schedule| {
        futures_util::FutureExt::now_or_never(client.check_in(monitor, schedule).run_infallible(async {})).unwrap();
    };

    run("hourly", Monitor::crontab("@hourly"));
    run("nightly", Monitor::crontab("at two"));

    assert_eq!(client.stats().check_ins.captured, 4, "they are sent nevertheless");
}
