//! Structured logs, and the file of security events.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::Value;
use tower_sentry::protocol::DiscardReason;
use tower_sentry::{Client, Config, Scope, SentryLayer, TracingLayer, User};
use tracing_subscriber::prelude::*;

use crate::support::{self, Answer, Received, Relay, Server, Shown, in_child, patience};

fn attribute<'a>(log: &'a Value, name: &str) -> &'a Value {
    &log["attributes"][name]["value"]
}

#[tokio::test]
async fn events_are_sent_as_logs_where_asked_for() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).enable_logs(true).release("shop@1.4.0").build().unwrap());
    let quiet = Relay::start();
    let other = support::client(&quiet);
    #[tracing::instrument]
    async fn charge() {
        tracing::warn!(order = 7, amount = 12.5, big = u64::MAX, fine = true, api_key = "canary-1", "charging with token=canary-2");
    }
    let handler = || async {
        Scope::current().set_user(User::id(42));
        charge().await;
    };
    let app = |client: &Client| {
        Router::new().route("/", get(handler)).layer(SentryLayer::new(client).ignore(["/quiet"])).route("/quiet", get(handler))
    };
    let server = Server::start(app(&client)).await;

    support::get(&server, "/").await;
    support::get(&Server::start(app(&other)).await, "/").await;
    support::settle(&client).await;
    support::settle(&other).await;

    let received = relay.received();
    let logs: Vec<_> = received.iter().flat_map(|received| received.items().1).filter(|(item, _)| item["type"] == "log").collect();
    let (item, container) = &logs[0];
    assert_eq!((logs.len(), &item["item_count"], &container["version"]), (1, &1.into(), &2.into()));
    assert_eq!(item["content_type"], "application/vnd.sentry.items.log+json");
    let log = &container["items"][0];
    let transaction = &relay.transactions()[0];
    let span = &transaction["spans"].as_array().unwrap().iter().find(|span| span["description"] == "charge").unwrap()["span_id"];
    assert_eq!((&log["level"], &log["severity_number"], &log["span_id"]), (&"warn".into(), &13.into(), span));
    assert_eq!((&log["trace_id"], &log["body"]), (&transaction["contexts"]["trace"]["trace_id"], &"charging with token=[Filtered]".into()));
    let typed = |name: &str| (log["attributes"][name]["type"].as_str().unwrap(), attribute(log, name).clone());
    assert_eq!(typed("order"), ("integer", 7.into()));
    assert_eq!(typed("amount"), ("double", 12.5.into()));
    assert_eq!(typed("big"), ("string", u64::MAX.to_string().into()), "beyond what a server reads as an integer");
    assert_eq!(typed("fine"), ("boolean", true.into()));
    assert_eq!(typed("api_key"), ("string", "[Filtered]".into()));
    assert_eq!((attribute(log, "user.id"), attribute(log, "sentry.release")), (&"42".into(), &"shop@1.4.0".into()));
    assert_eq!((attribute(log, "logger.name"), attribute(log, "sentry.origin")), (&"it::logs".into(), &"auto.log.tracing".into()));
    assert!(quiet.payloads("log").is_empty(), "off by default");
    assert!(!received.iter().any(|received| String::from_utf8_lossy(&received.envelope).contains("canary")));
    // No trace in the header: the protocol forbids it for logs.
    let headers = received.iter().map(Received::items).filter(|(_, items)| items[0].0["type"] == "log");
    assert!(headers.into_iter().all(|(header, _)| header.get("trace").is_none()));
}

#[tokio::test]
async fn a_hundred_logs_share_an_envelope_and_those_beyond_a_thousand_are_counted() {
    support::subscribe();
    let relay = Relay::start();
    // Nobody answers at first: what is not on its way waits.
    relay.answer_all(Answer::Held);
    let config = support::config(&relay).enable_logs(true).request_timeout(Duration::from_secs(3600));
    let client = Client::from(config.build().unwrap());
    let handler = || async { (0..5000).for_each(|number| tracing::info!(number, "many")) };
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(&client))).await;

    support::get(&server, "/").await;
    relay.wait_for(1);
    relay.release();
    support::settle(&client).await;

    let counts: Vec<_> = relay.payloads("log").iter().map(|container| container["items"].as_array().unwrap().len()).collect();
    assert!(counts.iter().all(|count| *count <= 100), "{counts:?}");
    let logs = client.stats().logs;
    // A thousand in the queue, and at most four hundred on the wire and a hundred that are gathered for each time that it was looked at.
    assert!(logs.captured == 5000 && (1000..4000).contains(&logs.sent), "{logs:?}");
    assert_eq!(logs.dropped, [(DiscardReason::BufferOverflow, 5000 - logs.sent)]);
    assert!(relay.reported().contains(&("buffer_overflow".to_owned(), "log_item".to_owned(), 5000 - logs.sent)));
}

#[tokio::test]
async fn a_log_has_the_user_of_its_scope_and_each_name_once() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).enable_logs(true).build().unwrap());
    let handler = || async {
        Scope::current().set_user(User::id("outer"));
        Scope::current().with(|scope| {
            scope.set_user(User::id("inner"));
            tracing::info!(url.query = "code=canary&page=2", logger.name = "mine", elapsed_secs = 2.5, "inside");
        });
        tracing::info!("outside");
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(&client))).await;

    support::get(&server, "/").await;
    support::settle(&client).await;

    let raw = relay.received().iter().map(|received| String::from_utf8_lossy(&received.envelope).into_owned()).collect::<String>();
    assert!(!raw.contains("canary"));
    assert_eq!(raw.matches("\"logger.name\"").count(), 2, "once for each log");
    let container = &relay.payloads("log")[0];
    let [inside, outside] = &**container["items"].as_array().unwrap() else { panic!("two logs: {container}") };
    assert_eq!((attribute(inside, "user.id"), attribute(outside, "user.id")), (&"inner".into(), &"outer".into()));
    assert_eq!((attribute(inside, "logger.name"), attribute(outside, "logger.name")), (&"mine".into(), &"it::logs".into()));
    assert_eq!((attribute(inside, "url.query"), attribute(inside, "elapsed_secs")), (&"code=[Filtered]&page=2".into(), &2.5.into()));
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn security_events_reach_their_file_whatever_the_network_does() {
    if in_child("logs::security_events_reach_their_file_whatever_the_network_does", &[]) {
        return;
    }
    let folder = folder("security");
    let path = folder.join("security.log");
    // Open to others before.
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    // Nobody listens there: the listener is gone again.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{dead}/1");
    let shutdown = Duration::from_millis(100);
    let guard = support::to(dsn).security_log(&path).shutdown_timeout(shutdown).init().unwrap();
    let shown = Shown::default();
    let fmt = tracing_subscriber::fmt::layer().with_writer(shown.clone());
    tracing_subscriber::registry().with(fmt).with(TracingLayer::new(&guard)).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let handler = || async {
            Scope::current().set_user(User::id(42));
            tracing::debug!(target: "security", attempt = 3, password = "canary-1", "sign-in refused");
            tracing::info!("not of security");
        };
        let app = Router::new().route("/", get(handler)).route("/healthz", get(handler));
        let server = Server::start(app.layer(SentryLayer::new(&guard).ignore(["/healthz"]))).await;
        support::get(&server, "/").await;
        support::get(&server, "/healthz").await;
    });
    for number in 0..1000 {
        tracing::warn!(target: "security::audit", number, "token=canary-2");
    }
    // The server is away, so the guard's drop gives up at once; the file does not depend on either.
    runtime.block_on(support::until("all lines are written", || std::fs::read_to_string(&path).unwrap().matches('\n').count() == 1002));
    drop(guard);

    let lines = lines(&path);
    let first = &lines[0];
    assert_eq!((&first["message"], &first["level"], &first["target"]), (&"sign-in refused".into(), &"debug".into(), &"security".into()));
    assert_eq!((&first["fields"]["attempt"], &first["fields"]["password"]), (&3.into(), &"[Filtered]".into()));
    assert_eq!((&first["user_id"], first["trace_id"].as_str().unwrap().len()), (&"42".into(), 32));
    assert_eq!((0..1000).collect::<Vec<_>>(), lines[2..].iter().map(|line| line["fields"]["number"].as_i64().unwrap()).collect::<Vec<_>>());
    assert!(!std::fs::read_to_string(&path).unwrap().contains("canary"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(shown.text().matches("token=canary-2").count(), 1000, "the application's own log has everything");
}

#[test]
fn a_security_log_rotates_and_needs_no_dsn() {
    if in_child("logs::a_security_log_rotates_and_needs_no_dsn", &[]) {
        return;
    }
    let folder = folder("rotation");
    let path = folder.join("security.log");
    let guard = Config::builder().security_log(&path).init().unwrap();
    tracing_subscriber::registry().with(TracingLayer::new(&guard)).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let long = "x ".repeat(3000);

    // 6 KB each: 25 MB make three files.
    for batch in 0..4000_u64 {
        tracing::info!(target: "security", batch, long, "a long one");
        if batch % 500 == 0 {
            runtime.block_on(guard.flush(patience())).unwrap();
        }
    }
    drop(guard);

    let batches = |name: &str| lines(&folder.join(name)).iter().map(|line| line["fields"]["batch"].as_u64().unwrap()).collect::<Vec<_>>();
    let all: Vec<_> = ["security.log.2", "security.log.1", "security.log"].into_iter().flat_map(batches).collect();
    assert_eq!(all, (0..4000).collect::<Vec<_>>());
    assert!(std::fs::metadata(folder.join("security.log.1")).unwrap().len() < 11 * 1024 * 1024);
}

#[test]
fn a_security_log_that_cannot_be_put_aside_goes_on() {
    if in_child("logs::a_security_log_that_cannot_be_put_aside_goes_on", &[]) {
        return;
    }
    let folder = folder("stuck");
    // Something is in the way of the last names.
    std::fs::create_dir_all(folder.join("security.log.4/in the way")).unwrap();
    std::fs::create_dir_all(folder.join("security.log.5/in the way")).unwrap();
    let guard = Config::builder().security_log(folder.join("security.log")).init().unwrap();
    tracing_subscriber::registry().with(TracingLayer::new(&guard)).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let long = "x ".repeat(3000);

    for batch in 0..2500_u64 {
        tracing::info!(target: "security", batch, long, "a long one");
        if batch % 500 == 0 {
            runtime.block_on(guard.flush(patience())).unwrap();
        }
    }
    drop(guard);

    let batches: Vec<_> = lines(&folder.join("security.log")).iter().map(|line| line["fields"]["batch"].as_u64().unwrap()).collect();
    assert_eq!(batches, (0..2500).collect::<Vec<_>>());
}

#[test]
fn a_security_log_never_replaces_a_device() {
    let error = Config::builder().security_log("/dev/null").build().unwrap_err();

    assert_eq!(error.to_string(), "security_log: expected a file, found something else at '/dev/null'");
}

#[tokio::test]
async fn a_security_log_makes_its_folder() {
    let folder = folder("made");
    let path = folder.join("one/two/security.log");
    let client = Client::from(Config::builder().security_log(&path).panic_hook(false).build().unwrap());

    note(&client, "security");
    support::settle(&client).await;

    assert_eq!(lines(&path).len(), 1);
    let mode = |path: &Path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_security_log_whose_folder_cannot_be_made_is_a_warning() {
    if let Some(said) = support::said_in_child("logs::a_security_log_whose_folder_cannot_be_made_is_a_warning", &[]) {
        assert!(said.contains("the security log /dev/null/security.log cannot be written"), "{said}");
        return;
    }
    let guard = Config::builder().security_log("/dev/null/security.log").debug(true).init().unwrap();

    tracing::subscriber::with_default(tracing_subscriber::registry().with(TracingLayer::new(&guard)), || {
        tracing::warn!(target: "security", "sign-in refused");
    });
    drop(guard);
}

/// One line for the file of security events.
fn note(client: &Client, target: &'static str) {
    let log = tracing_subscriber::registry().with(TracingLayer::new(client));
    tracing::subscriber::with_default(log, || {
        if target == "security" {
            tracing::warn!(target: "security", "by default");
        } else {
            tracing::warn!(target: "shop::audit", "where asked for");
        }
    });
}

/// A client whose security log is a pipe without a reader: opening it hangs, as a broken disk does.
fn with_hanging_disk(relay: &Relay, name: &str) -> (Client, PathBuf) {
    let path = folder(name).join("security.log");
    let client = Client::from(support::config(relay).security_log(&path).build().unwrap());
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    (client, path)
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_nothing_but_the_security_log() {
    const LINES: u64 = 10_500;
    let relay = Relay::start();
    let (client, path) = with_hanging_disk(&relay, "hangs");
    let log = tracing::Dispatch::new(tracing_subscriber::registry().with(TracingLayer::new(&client)));
    let many = |lines| tracing::dispatcher::with_default(&log, || (0..lines).for_each(|number| tracing::warn!(target: "security", number)));

    many(1);
    client.transaction("work").run(async {}).await;
    support::until("the rest is sent", || client.stats().transactions.sent == 1).await;
    let flushed = client.flush(Duration::from_millis(50)).await;
    many(LINES - 1);
    let lost = client.stats().lost_security_lines;

    assert_eq!(flushed.unwrap_err().left(), 1, "the line");
    assert!((200..=500).contains(&lost), "10,000 wait, and a few are in hand: {lost}");

    // Repaired: what hangs ends, and the path is free.
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    let _reader = std::fs::File::open(aside).unwrap();
    client.flush(patience()).await.unwrap();

    let lines = lines(&path);
    let mentioned: u64 = lines.iter().filter_map(|line| line["lost_lines"].as_u64()).sum();
    let written = lines.iter().filter(|line| line["fields"]["number"].is_u64()).count() as u64;
    assert_eq!(client.stats().lost_security_lines, lost + 1, "and the one that hung");
    assert_eq!((written, mentioned), (LINES - lost - 1, lost + 1));
}

#[tokio::test]
async fn a_shutdown_does_not_wait_longer_for_a_disk_that_hangs() {
    let relay = Relay::start();
    let (client, _) = with_hanging_disk(&relay, "hangs-on");
    note(&client, "security");
    note(&client, "security");

    let left = client.shutdown(Duration::from_millis(50)).await.unwrap_err().left();
    note(&client, "security");

    assert_eq!((left, client.stats().lost_security_lines), (2, 3));
}

#[test]
fn security_events_are_written_while_a_hook_blocks() {
    if in_child("logs::security_events_are_written_while_a_hook_blocks", &[]) {
        return;
    }
    let path = folder("hook").join("security.log");
    let (started, has_started) = std::sync::mpsc::channel();
    let hook = move |_| {
        started.send(()).unwrap();
        std::thread::park_timeout(Duration::from_secs(24 * 3600));
        None
    };
    let config = Config::builder().transport(|_: &[u8]| {}).before_send(hook).security_log(&path).panic_hook(false);
    let guard = config.shutdown_timeout(Duration::ZERO).init().unwrap();
    tower_sentry::capture_message(tower_sentry::Level::Error, "noted");
    has_started.recv_timeout(patience()).unwrap();

    note(&guard, "security");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let is_written = || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("by default"));
    runtime.block_on(support::until("the line is written", is_written));
}

#[tokio::test]
async fn a_restart_goes_on_where_the_security_log_ended() {
    let path = folder("restart").join("security.log");
    std::fs::write(&path, "{\"message\":\"of an earlier run\"}\n").unwrap();

    for _ in 0..2 {
        let client = Client::from(Config::builder().security_log(&path).panic_hook(false).build().unwrap());
        note(&client, "security");
        client.shutdown(patience()).await.unwrap();
    }

    let messages: Vec<_> = lines(&path).iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["of an earlier run", "by default", "by default"]);
}

#[tokio::test]
async fn the_security_log_takes_the_target_that_is_set() {
    for (target, expected) in [(None, "by default"), (Some("shop::audit"), "where asked for")] {
        let path = folder(expected).join("security.log");
        let mut config = Config::builder().security_log(&path).panic_hook(false);
        if let Some(target) = target {
            config = config.security_target(target);
        }
        let client = Client::from(config.build().unwrap());

        note(&client, "security");
        note(&client, "shop::audit");
        client.shutdown(patience()).await.unwrap();

        let messages: Vec<_> = lines(&path).iter().map(|line| line["message"].clone()).collect();
        assert_eq!(messages, [expected]);
    }
}

#[test]
fn what_is_logged_while_logs_are_sent_is_not_sent_as_a_log() {
    if in_child("logs::what_is_logged_while_logs_are_sent_is_not_sent_as_a_log", &[]) {
        return;
    }
    let (envelopes, sent) = std::sync::mpsc::channel();
    // Each envelope makes a line, as an HTTP client's own logs do.
    let transport = move |envelope: &[u8]| {
        tracing::info!("an envelope of {} bytes", envelope.len());
        envelopes.send(envelope.to_vec()).unwrap();
    };
    let guard = Config::builder().transport(transport).enable_logs(true).panic_hook(false).init().unwrap();
    let shown = Shown::default();
    let fmt = tracing_subscriber::fmt::layer().with_writer(shown.clone());
    tracing_subscriber::registry().with(fmt).with(TracingLayer::new(&guard)).init();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    tracing::info!("the only one");
    for _ in 0..3 {
        runtime.block_on(guard.flush(patience())).unwrap();
    }

    assert_eq!((guard.stats().logs.captured, sent.try_iter().count()), (1, 1));
    assert_eq!(shown.text().matches("an envelope of ").count(), 1, "the application's own log has it");
}
