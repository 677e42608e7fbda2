//! Settings that change while the process runs: by the application, by a file, and by a signal.
#![expect(clippy::float_cmp, reason = "what is given comes back")]

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use tower::{Layer as _, ServiceExt as _};
use tower_sentry::incoming::{RouteOptions, RouteTable};
use tower_sentry::protocol::DiscardReason;
use tower_sentry::test::{Captured, client_with};
use tower_sentry::{Client, Config, ConfigBuilder, Level, SentryLayer};

use crate::support::{self, Relay, Server, Shown, in_child};

fn app(client: &Client) -> Router {
    Router::new()
        .route("/orders/{id}", get(|| async { "ok" }))
        .route("/checkout/{id}", get(|| async { "paid" }))
        .route("/healthz", get(|| async { "fine" }))
        .route("/fails", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(SentryLayer::new(client).route("/checkout/{id}", RouteOptions::new().sample_rate(0.0)))
}

/// Visits each of these paths, and returns the names of what is sent.
async fn visit(client: &Client, captured: &Captured, paths: &[&str]) -> Vec<String> {
    let before = captured.transactions().len();
    let app = app(client);
    for path in paths {
        drop(app.clone().oneshot(Request::get(*path).body(Body::empty()).unwrap()).await.unwrap());
    }
    captured.transactions()[before..].iter().map(|transaction| transaction.name.clone()).collect()
}

fn config() -> ConfigBuilder {
    Config::builder().traces_sample_rate(0.0).keep_failed(false).panic_hook(false)
}

/// Replaces a file as operators should: by a rename.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// How many transactions are sent so far, and how many are not because of the rate.
fn counts(client: &Client) -> (u64, u64) {
    let transactions = client.stats().transactions;
    let dropped = transactions.dropped.iter().find(|(reason, _)| *reason == DiscardReason::SampleRate);
    (transactions.captured - transactions.dropped_total(), dropped.map_or(0, |(_, count)| *count))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    write(&path, r#"{"traces_sample_rate": 1.0}"#);
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(0.5).queue_items(100_000).settings_file(&path).build().unwrap());
    let server = Arc::new(Server::start(app(&client)).await);
    let (is_over, visits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (server, is_over, visits) = (Arc::clone(&server), Arc::clone(&is_over), Arc::clone(&visits));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    support::get(&server, "/orders/7").await;
                    visits.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let answer = tower::service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(String::new())));
    let own = SentryLayer::new(&client).server_timing().layer(answer);
    let is_sampled = async |path: &str| {
        let response = own.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        visits.fetch_add(1, Ordering::Relaxed);
        response.headers()["server-timing"].to_str().unwrap().ends_with("-1\"")
    };

    for _ in 0..20 {
        for (rate, sampled) in [(0.0, false), (1.0, true)] {
            write(&path, &format!(r#"{{"traces_sample_rate": {rate}, "routes": {{"/healthz": {{"sample_rate": {}}}}}}}"#, 1.0 - rate));
            client.reload().unwrap();
            // The next requests, on this thread.
            assert_eq!((is_sampled("/orders/7").await, is_sampled("/healthz").await), (sampled, !sampled));
        }
        write(&path, r#"{"traces_sample_rate": 7}"#);
        let error = client.reload().unwrap_err().to_string();
        let expected = format!("settings_file '{}': traces_sample_rate: expected a number from 0.0 to 1.0, found '7'", path.display());
        assert_eq!((error, client.live_settings().traces_sample_rate), (expected, 1.0), "the old ones are kept");
        assert!(client.update(|settings| settings.parent_budget = f64::NAN).is_err());
        assert_eq!(client.live_settings().parent_budget, 10.0);
    }
    is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    support::settle(&client).await;

    let transactions = client.stats().transactions;
    let (sent, not_sampled) = counts(&client);
    assert_eq!(transactions.captured, visits.load(Ordering::Relaxed), "each request is in the accounts");
    assert_eq!(sent + not_sampled, transactions.captured, "and is sent, or was not sampled: {transactions:?}");
    assert_eq!(relay.transactions().len() as u64, sent);
}

#[tokio::test]
async fn an_update_counts_for_the_next_request() {
    let (client, captured) = client_with(config());
    let paths = ["/orders/7", "/healthz"];

    assert_eq!(visit(&client, &captured, &paths).await, [""; 0]);
    client.update(|settings| settings.traces_sample_rate = 1.0).unwrap();
    assert_eq!(visit(&client, &captured, &paths).await, ["GET /orders/{id}", "GET /healthz"]);
    client
        .update(|settings| {
            settings.routes.set_route("/healthz", RouteOptions::new().ignore());
        })
        .unwrap();
    assert_eq!(visit(&client, &captured, &paths).await, ["GET /orders/{id}"]);
    client.update(|settings| settings.routes = RouteTable::new()).unwrap();
    assert_eq!(visit(&client, &captured, &paths).await, ["GET /orders/{id}", "GET /healthz"]);
}

#[tokio::test]
async fn an_invalid_update_changes_nothing() {
    let (client, captured) = client_with(config().traces_sample_rate(1.0));
    let error = client.update(|settings| {
        settings.traces_sample_rate = 0.0;
        settings.routes.set_route("/healthz", RouteOptions::new().ignore());
        settings.routes.set_route("/orders/{", RouteOptions::new().ignore());
    });

    assert!(error.unwrap_err().to_string().starts_with("routes: route '/orders/{': "));
    assert_eq!(visit(&client, &captured, &["/orders/7", "/healthz"]).await, ["GET /orders/{id}", "GET /healthz"]);

    let off = Client::from(Config::builder().build().unwrap());
    assert!(off.update(|_| panic!("there is nothing to change")).is_ok() && off.reload().is_ok());
}

#[tokio::test]
async fn budgets_and_limits_of_events_change_as_well() {
    const HARDLY: f64 = 1e-9;
    let (client, captured) = client_with(config().traces_sample_rate(HARDLY).keep_failed(true).keep_failed_budget(0.0).failure_budget(0.0));
    let failing = async || visit(&client, &captured, &["/fails"]).await.len();
    let events = || captured.events().len();

    assert_eq!((failing().await, events()), (0, 0));
    client.update(|settings| (settings.keep_failed_budget, settings.failure_budget) = (5.0, 5.0)).unwrap();
    assert_eq!((failing().await, events()), (1, 1));
    client.update(|settings| settings.error_sample_rate = 0.0).unwrap();
    assert_eq!((failing().await, events()), (1, 1));
    client.update(|settings| (settings.error_sample_rate, settings.max_events_per_issue) = (1.0, 0)).unwrap();
    let many = async {
        for _ in 0..5 {
            tower_sentry::capture_message(Level::Error, "the stock is low");
        }
    };
    client.transaction("import").sample_rate(0.0).run_infallible(many).await;
    assert_eq!(events(), 2, "one says how many others there were");
}

#[tokio::test]
async fn a_row_that_is_given_while_the_process_runs_wins_over_that_of_the_layer() {
    let vars = [("SENTRY_ROUTES", r#"{"/checkout/{id}": {"sample_rate": 1.0}, "/orders/{id}": {"sample_rate": 1.0}}"#)];
    let (client, captured) = client_with(config().from_vars(vars));
    let paths = ["/checkout/7", "/orders/7"];

    assert_eq!(visit(&client, &captured, &paths).await, ["GET /orders/{id}"], "explicit goes before the environment");
    client
        .update(|settings| {
            settings.routes.set_route("/checkout/{id}", RouteOptions::new().sample_rate(1.0));
        })
        .unwrap();
    assert_eq!(visit(&client, &captured, &paths).await, ["GET /checkout/{id}", "GET /orders/{id}"]);
}

#[test]
fn a_variable_without_effect_and_a_bad_row_are_named() {
    let dsn = "https://0123456789abcdef0123456789abcdef@sentry.example/1";
    let build = |json: &str| Config::builder().dsn(dsn).from_vars([("SENTRY_ROUTES", json)]).build();

    let hidden = Config::builder().dsn(dsn).routes(RouteTable::new()).from_vars([("SENTRY_ROUTES", "{}")]).build().unwrap();
    let rows = [
        (r#"{"/search": {"sample_rate": 2}}"#, "SENTRY_ROUTES: route '/search': sample_rate: expected a number from 0.0 to 1.0, found '2'"),
        (r#"{"/search": {"rate": 1}}"#, "SENTRY_ROUTES: route '/search': unknown field `rate`"),
        (r#"{"/search": 1}"#, "SENTRY_ROUTES: route '/search': invalid type"),
        ("yes", "SENTRY_ROUTES: expected an object of routes"),
    ];

    assert_eq!(hidden.warnings(), ["SENTRY_ROUTES has no effect: `routes` is set in the code"]);
    for (json, expected) in rows {
        let error = build(json).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let table = RouteTable::new().route("GET", RouteOptions::new());
    assert!(Config::builder().routes(table).build().unwrap_err().to_string().starts_with("routes: route 'GET': "));
}

#[tokio::test]
async fn a_file_overrides_the_code_and_gives_back_what_it_no_longer_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    write(&path, r#"{"traces_sample_rate": 1.0, "routes": {"/healthz": {"ignore": true}}}"#);
    let table = RouteTable::new().route("/healthz", RouteOptions::new().sample_rate(1.0));
    let (client, captured) = client_with(config().routes(table).settings_file(&path));
    let paths = ["/orders/7", "/healthz"];

    assert_eq!(visit(&client, &captured, &paths).await, ["GET /orders/{id}"]);
    write(&path, "{}");
    client.reload().unwrap();
    assert_eq!(visit(&client, &captured, &paths).await, ["GET /healthz"]);
    client.update(|settings| settings.traces_sample_rate = 1.0).unwrap();
    client.reload().unwrap();
    assert_eq!(visit(&client, &captured, &paths).await, ["GET /healthz"], "a reload undoes an update");
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    let on = || Config::builder().transport(|_: &[u8]| {}).settings_file(&path);
    let error = || format!("{:#}", on().build().unwrap_err());
    let file = format!("settings_file '{}'", path.display());

    assert!(error().starts_with(&format!("{file} cannot be read: ")), "{}", error());
    fs::create_dir(&path).unwrap();
    assert_eq!(error(), format!("{file} cannot be read: it is not a file"));
    fs::remove_dir(&path).unwrap();
    for (text, expected) in [("{", "expected an object of settings"), (r#"{"dsn": ""}"#, "'dsn' is not a setting that may change")] {
        write(&path, text);
        assert!(error().starts_with(&format!("{file}: {expected}")), "{}", error());
    }
    write(&path, &" ".repeat(1024 * 1024 + 1));
    assert_eq!(error(), format!("{file} cannot be read: it has more than 1048576 bytes"));
    assert_eq!(Config::builder().settings_file(&path).build().unwrap().warnings().len(), 1, "a service without monitoring starts");
}

#[tokio::test]
async fn the_exporter_sees_that_the_file_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    write(&path, r#"{"traces_sample_rate": 0.25}"#);
    let (client, _) = client_with(config().settings_file(&path));

    write(&path, r#"{"traces_sample_rate": 0.75}"#);
    support::until("the change is in force", || client.live_settings().traces_sample_rate == 0.75).await;
}

#[tokio::test]
#[cfg(all(target_os = "linux", feature = "signal"))]
async fn a_sighup_makes_the_process_read_its_file() {
    let name = "live::a_sighup_makes_the_process_read_its_file";
    if in_child(name, &[]) {
        return;
    }
    let shown = Shown::default();
    tracing_subscriber::fmt().with_writer(shown.clone()).with_ansi(false).init();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    write(&path, r#"{"traces_sample_rate": 0.25}"#);
    let (client, _) = client_with(config().settings_file(&path).reload_on_sighup(true));
    // Before that, the signal ends the process. SIGHUP is the first bit.
    let is_caught = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & 1 == 1
    };
    support::until("the signal is caught", is_caught).await;
    let hang_up =
        || assert!(std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap().success());

    // The version of the file is that of the last look: only the signal makes the process read it.
    fs::write(&path, r#"{"traces_sample_rate": 0.75}"#).unwrap();
    hang_up();
    support::until("the change is in force", || client.live_settings().traces_sample_rate == 0.75).await;
    fs::write(&path, r#"{"traces_sample_rate": 9.75}"#).unwrap();
    hang_up();
    support::until("the fault is named", || shown.text().contains("the settings stay as they are")).await;
    assert_eq!(shown.text().matches("read again, because of a SIGHUP").count(), 1, "{}", shown.text());
}

#[tokio::test]
async fn transactions_of_ignored_statuses_are_not_sent() {
    let (client, captured) = client_with(config().traces_sample_rate(1.0).keep_failed(true).ignore_transaction_statuses([404, 500]));

    let sent = visit(&client, &captured, &["/orders/7", "/nowhere", "/fails"]).await;

    assert_eq!(sent, ["GET /orders/{id}"]);
    assert_eq!(client.stats().transactions.dropped, [(DiscardReason::EventProcessor, 2)]);
    assert_eq!(captured.events().len(), 1, "errors are still reported");
    assert!(Config::builder().ignore_transaction_statuses([7]).build().is_err());
}
