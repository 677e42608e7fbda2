//! The hooks: what each of them sees, changes and drops, and what becomes of it on the wire.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::{Value, json};
use tower_sentry::protocol::{Attachment, LogAttribute};
use tower_sentry::{Breadcrumb, CaptureError, Client, ConfigBuilder, Level, Scope, SentryLayer, User};

use crate::support::{self, Relay, Server};

#[derive(Debug)]
struct DbError {
    code: &'static str,
    source: Option<Box<Self>>,
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the database refused: {}", self.code)
    }
}

impl Error for DbError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.source.as_ref()?)
    }
}

const fn db(code: &'static str) -> DbError {
    DbError { code, source: None }
}

fn client(relay: &Relay, with: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Client {
    Client::from(with(support::config(relay).traces_sample_rate(1.0)).build().unwrap())
}

/// Runs work as a job of a client, and delivers what it captures.
async fn run(client: &Client, work: impl Future<Output = ()>) {
    support::subscribe();
    client.transaction("work").run(work).await;
    support::settle(client).await;
}

fn sorted(mut rows: Vec<(String, String, u64)>) -> Vec<(String, String, u64)> {
    rows.sort();
    rows
}

fn row(reason: &str, category: &str, quantity: u64) -> (String, String, u64) {
    (reason.to_owned(), category.to_owned(), quantity)
}

fn steps(event: &Value) -> Vec<&str> {
    let steps = event["breadcrumbs"]["values"].as_array();
    steps.into_iter().flatten().map(|step| step["message"].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn before_breadcrumb_changes_and_drops_steps_of_both_kinds_before_they_are_redacted() {
    let relay = Relay::start();
    let client = client(&relay, |config| {
        config.before_breadcrumb(|mut step| {
            let message = step.message.take().unwrap_or_default();
            if message.contains("poll") {
                return None;
            }
            if message.contains("changed") {
                step.data.insert("password".to_owned(), "hunter2".into());
                step.category = Some("of a hook".to_owned());
                step.message = Some(format!("{message}, token=hunter2"));
            } else {
                step.message = Some(message);
            }
            Some(step)
        })
    });

    run(&client, async {
        let scope = Scope::current();
        scope.add_breadcrumb(Breadcrumb::new("poll"));
        scope.add_breadcrumb(Breadcrumb::new("manual"));
        scope.add_breadcrumb(Breadcrumb::new("manual, changed"));
        tracing::info!("poll again");
        tracing::info!(order = 7, "logged");
        tracing::warn!(order = 8, "logged, changed");
        tracing::error!("an error, changed");
        tower_sentry::capture_message(Level::Info, "end");
    })
    .await;

    let events = relay.events();
    let before = ["manual", "manual, changed, token=[Filtered]", "logged", "logged, changed, token=[Filtered]"];
    let error = events.iter().find(|event| event["level"] == "error").unwrap();
    let end = events.iter().find(|event| event["level"] == "info").unwrap();
    assert_eq!(steps(error), before, "its own line is not one of the steps that led to it");
    assert_eq!(steps(end), [&before[..], &["an error, changed, token=[Filtered]"]].concat());
    let step = |place: usize| &end["breadcrumbs"]["values"][place];
    assert_eq!((&step(2)["category"], &step(2)["data"]), (&"it::hooks".into(), &json!({"order": 7})));
    assert_eq!((&step(3)["category"], &step(3)["data"]), (&"of a hook".into(), &json!({"order": 8, "password": "[Filtered]"})));
    assert_eq!(client.stats().dropped_breadcrumbs, 2);
}

#[tokio::test]
async fn before_send_log_changes_and_drops_logs_before_they_are_redacted() {
    let relay = Relay::start();
    let client = client(&relay, |config| {
        config.enable_logs(true).before_send_log(|mut log| {
            assert!(log.body != "panics", "a fault");
            log.attributes.insert("password".to_owned(), LogAttribute::new("hunter2"));
            log.attributes.insert("region".to_owned(), LogAttribute::new("eu-1"));
            log.body.push_str(", token=hunter2");
            Some(log).filter(|log| !log.body.starts_with("noise"))
        })
    });

    run(&client, async {
        tracing::info!(order = 7, "charging");
        tracing::info!("noise");
        tracing::warn!(card = "a text", "panics");
    })
    .await;

    let container = &relay.payloads("log")[0];
    let logs = container["items"].as_array().unwrap();
    assert_eq!((logs.len(), &container["version"]), (2, &2.into()));
    let (first, second) = (&logs[0], &logs[1]);
    assert_eq!((&first["body"], &first["level"]), (&"charging, token=[Filtered]".into(), &"info".into()));
    let attribute = |name: &str| &first["attributes"][name];
    assert_eq!(attribute("order"), &json!({"type": "integer", "value": 7}));
    assert_eq!(attribute("region"), &json!({"type": "string", "value": "eu-1"}));
    assert_eq!(attribute("password"), &json!({"type": "string", "value": "[Filtered]"}));
    assert_eq!(attribute("logger.name")["value"], "it::hooks");
    let withheld = json!("the contents were withheld: before_send_log panicked");
    assert_eq!((&second["body"], &second["level"], &second["attributes"]), (&withheld, &"warn".into(), &json!({})));
    assert_eq!(second["trace_id"], relay.transactions()[0]["contexts"]["trace"]["trace_id"]);
    let reported = sorted(relay.reported());
    assert_eq!((&reported[1], reported.len()), (&row("before_send", "log_item", 1), 2), "{reported:?}");
    assert_eq!((client.stats().logs.sent, client.stats().logs.dropped_total()), (2, 1));
}

#[tokio::test]
async fn before_send_span_drops_a_span_and_those_below_it_move_up() {
    let relay = Relay::start();
    let client = client(&relay, |config| {
        let config = config.before_send_span(|mut span| {
            span.data.insert("password".to_owned(), "hunter2".into());
            match span.description.as_deref() {
                Some("panics") => panic!("a fault"),
                Some("dropped" | "dropped inside") => None,
                _ => Some(span),
            }
        });
        config.before_send_transaction(|mut transaction| {
            let seen = transaction.spans.len().to_string();
            transaction.tags.insert("spans".to_owned(), seen);
            Some(transaction)
        })
    });

    run(&client, async {
        let leaf = tower_sentry::span("task", "leaf", async {});
        let inside = tower_sentry::span("task", "dropped inside", leaf);
        let dropped = tower_sentry::span("task", "dropped", inside);
        tower_sentry::span("task", "outer", dropped).await;
        tower_sentry::span("task", "panics", async {}).await;
    })
    .await;

    let transaction = &relay.transactions()[0];
    assert_eq!(support::tree(transaction), "work [task] ok\n  outer [task] ok\n    leaf [task] ok\n  - [task] ok\n");
    assert_eq!((&transaction["tags"]["spans"], &transaction["spans"][0]["data"]["password"]), (&"3".into(), &"[Filtered]".into()));
    assert_eq!(relay.reported(), [row("before_send", "span", 2)]);
    let spans = client.stats().spans;
    assert_eq!((spans.captured, spans.sent, spans.dropped_total()), (6, 4, 2), "the root counts as one");
}

#[tokio::test]
async fn the_name_that_a_hook_gives_is_the_one_in_the_header_of_the_envelope() {
    let relay = Relay::start();
    let client = client(&relay, |config| {
        let config = config.before_send(|mut event| {
            event.transaction = (event.level == Level::Info).then(|| "by before_send".to_owned());
            Some(event)
        });
        config.before_send_transaction(|mut transaction| {
            transaction.name = "by before_send_transaction".to_owned();
            Some(transaction)
        })
    });

    run(&client, async {
        tower_sentry::capture_message(Level::Info, "kept");
        tower_sentry::capture_message(Level::Error, "without");
    })
    .await;

    let mut names: Vec<_> = relay.received().iter().map(|received| received.items().0["trace"]["transaction"].to_string()).collect();
    names.sort();
    assert_eq!(names, ["\"by before_send\"", "\"by before_send_transaction\"", "null"]);
}

#[tokio::test]
async fn events_pass_the_processors_of_their_scope_then_those_of_the_client_then_before_send() {
    let relay = Relay::start();
    let note = |name: &'static str| {
        move |mut event: tower_sentry::protocol::Event| {
            let order = event.tags.entry("order".to_owned()).or_default();
            order.push_str(name);
            let drops = event.tags.get("drop").is_some_and(|by| by == name);
            Some(event).filter(|_| !drops)
        }
    };
    let client = client(&relay, |config| config.before_send(note("s")).add_event_processor(note("1")).add_event_processor(note("2")));

    run(&client, async {
        let scope = Scope::current();
        tower_sentry::capture_message(Level::Info, "plain");
        scope.with(|inner| {
            inner.add_event_processor(note("a")).add_event_processor(note("b"));
            tower_sentry::capture_message(Level::Info, "inside");
            for by in ["a", "2", "s"] {
                inner.set_tag("drop", by);
                tower_sentry::capture_message(Level::Info, format!("dropped by {by}"));
            }
        });
        tower_sentry::capture_message(Level::Info, "outside again");
        scope.with(|inner| {
            inner.add_event_processor(|_| panic!("a fault"));
            tower_sentry::capture_message(Level::Info, "a secret");
        });
        for _ in 0..20 {
            scope.add_event_processor(note("x"));
        }
        tower_sentry::capture_message(Level::Info, "many");
        scope.clear();
        tower_sentry::capture_message(Level::Info, "cleared");
    })
    .await;

    let seen: Vec<_> = relay
        .events()
        .iter()
        .map(|event| (event["logentry"]["message"].as_str().unwrap().to_owned(), event["tags"]["order"].as_str().map(str::to_owned)))
        .collect();
    let told = |message: &str, order: &str| (message.to_owned(), Some(order.to_owned()));
    let expected = [
        told("plain", "12s"),
        told("inside", "ab12s"),
        told("outside again", "12s"),
        ("the contents were withheld: a hook panicked".to_owned(), None),
        told("many", &format!("{}12s", "x".repeat(16))),
        told("cleared", "12s"),
    ];
    assert_eq!(seen, expected);
    let reported = sorted(relay.reported()).into_iter().filter(|(_, category, _)| category == "error").collect::<Vec<_>>();
    let count = |reason: &str| reported.iter().filter(|(other, ..)| other == reason).map(|(.., count)| count).sum::<u64>();
    assert_eq!((count("event_processor"), count("before_send")), (2, 1), "{reported:?}");
}

/// Notes the code of each database error, and ignores one.
fn noting(config: ConfigBuilder) -> ConfigBuilder {
    config.before_capture(|hint| {
        let Some(error) = hint.downcast_ref::<DbError>() else { return };
        let request = hint.request();
        if error.code == "23505" {
            hint.ignore();
        }
        hint.set_tag("sqlstate", error.code).set_context("db", json!({"code": error.code, "password": "hunter2"}));
        hint.set_extra("method", request.and_then(|request| request.method).unwrap_or_default());
    })
}

#[tokio::test]
async fn before_capture_sees_the_original_error_however_it_is_reported() {
    let relay = Relay::start();
    let client = client(&relay, noting);
    let handler = |how: &'static str| async move {
        match how {
            "captured" => drop(tower_sentry::capture_error(&db("captured"))),
            "logged" => tracing::error!(error = &db("logged") as &dyn Error, "it failed"),
            "nested" => drop(tower_sentry::capture_error(&DbError { code: "outer", source: Some(Box::new(db("23505"))) })),
            "ignored" => return (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(db("23505"))).into_response(),
            _ => return (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(db("returned"))).into_response(),
        }
        tower_sentry::capture_message(Level::Info, "another event of the request");
        StatusCode::OK.into_response()
    };
    let mut app = Router::new();
    for how in ["captured", "logged", "returned", "ignored"] {
        app = app.route(&format!("/{how}"), get(move || handler(how)));
    }
    support::subscribe();
    let server = Server::start(app.layer(SentryLayer::new(&client))).await;

    for how in ["captured", "logged", "returned", "ignored"] {
        support::get(&server, &format!("/{how}")).await;
    }
    let _: Result<(), DbError> = client.transaction("work").run(async { Err(db("of a job")) }).await;
    support::settle(&client).await;

    let events = relay.events();
    let noted: Vec<_> = events
        .iter()
        .filter(|event| event["level"] == "error")
        .map(|event| {
            let code = event["tags"]["sqlstate"].as_str().unwrap_or("-");
            assert_eq!(event["contexts"]["db"], json!({"code": code, "password": "[Filtered]"}));
            (code, event["extra"]["method"].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(noted, [("captured", "GET"), ("logged", "GET"), ("returned", "GET"), ("of a job", "")]);
    let others: Vec<_> = events.iter().filter(|event| event["level"] == "info").collect();
    assert!(others.len() == 2 && others.iter().all(|event| event.get("tags").is_none() && event["contexts"].get("db").is_none()));
    let ignored = relay.reported().into_iter().filter(|(_, category, _)| category == "error").collect::<Vec<_>>();
    assert_eq!(ignored, [row("event_processor", "error", 1)]);
}

#[tokio::test]
async fn what_before_capture_sets_belongs_to_one_event_also_if_the_failure_is_reported_twice() {
    let relay = Relay::start();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let client = client(&relay, |config| {
        config.before_capture(move |hint| {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            assert!(hint.error().unwrap().to_string().starts_with("the database refused"));
            hint.set_tag(format!("run-{run}"), "yes").set_tag("plan", "of the hook").set_level(Level::Fatal).set_fingerprint(["db"]);
            hint.add_attachment(Attachment::new("query.sql", b"SELECT 1".to_vec()));
            hint.add_attachment(Attachment::new("large.bin", vec![0; 2 << 20]));
        })
    });

    run(&client, async {
        let scope = Scope::current();
        scope.set_user(User::id(42)).set_tag("plan", "of the scope");
        let error = db("40001");
        tracing::error!(error = &error as &dyn Error, "it failed");
        tower_sentry::capture_error(&error);
    })
    .await;

    let event = &relay.events()[0];
    assert_eq!((relay.events().len(), runs.load(Ordering::Relaxed)), (1, 2));
    assert_eq!(event["tags"], json!({"plan": "of the hook", "run-0": "yes", "run-1": "yes"}));
    assert_eq!((&event["level"], &event["fingerprint"], &event["user"]["id"]), (&"fatal".into(), &json!(["db"]), &"42".into()));
    assert_eq!(relay.payloads("attachment"), ["SELECT 1"]);
    assert!(client.stats().truncated >= 2, "the large file, for each report");
    assert!(relay.transactions()[0].get("tags").is_none_or(|tags| tags.get("run-0").is_none()));
}

#[tokio::test]
async fn a_hook_that_has_panicked_ten_times_is_off_and_what_it_would_remove_is_dropped() {
    let relay = Relay::start();
    let runs = Arc::new(Mutex::new([0_u32; 4]));
    let fault = |place: usize| {
        let runs = Arc::clone(&runs);
        move || {
            runs.lock().unwrap()[place] += 1;
            std::panic::resume_unwind(Box::new("a fault"));
        }
    };
    let (of_steps, of_logs, of_spans, of_errors) = (fault(0), fault(1), fault(2), fault(3));
    let client = client(&relay, |config| {
        let config = config.enable_logs(true).before_breadcrumb(move |step| {
            of_steps();
            Some(step)
        });
        let config = config.before_send_log(move |log| {
            of_logs();
            Some(log)
        });
        let config = config.before_send_span(move |span| {
            of_spans();
            Some(span)
        });
        config.before_capture(move |_| of_errors())
    });

    run(&client, async {
        for _ in 0..12 {
            Scope::current().add_breadcrumb(Breadcrumb::new("a step"));
            tracing::info!(target: "quiet", "a log");
            tower_sentry::span("task", "a span", async {}).await;
            tower_sentry::capture_error(&db("40001"));
        }
    })
    .await;

    assert_eq!(*runs.lock().unwrap(), [10; 4]);
    let events = relay.events();
    assert_eq!((events.len(), events.iter().filter(|event| event.get("breadcrumbs").is_some()).count()), (12, 0));
    assert_eq!(client.stats().dropped_breadcrumbs, 24, "twelve of each kind");
    let logs: Vec<_> = relay.payloads("log").iter().flat_map(|container| container["items"].as_array().unwrap().clone()).collect();
    assert_eq!((logs.len(), client.stats().logs.dropped_total()), (10, 2));
    assert_eq!((relay.transactions()[0]["spans"].as_array().unwrap().len(), client.stats().spans.dropped_total()), (10, 2));
    assert_eq!(relay.transactions()[0]["contexts"]["trace"]["status"], "ok", "a hook's panic is not the work's");
}

#[tokio::test]
async fn what_a_hook_records_itself_does_not_run_it_again() {
    let relay = Relay::start();
    let runs = Arc::new(AtomicU32::new(0));
    let (of_steps, of_errors) = (Arc::clone(&runs), Arc::clone(&runs));
    let client = client(&relay, |config| {
        let config = config.before_breadcrumb(move |step| {
            of_steps.fetch_add(1, Ordering::Relaxed);
            tracing::info!("inside the hook");
            Scope::current().add_breadcrumb(Breadcrumb::new("inside the hook"));
            Some(step)
        });
        config.before_capture(move |hint| {
            of_errors.fetch_add(100, Ordering::Relaxed);
            tower_sentry::capture_error(&db("inside the hook"));
            hint.set_tag("hook", "yes");
        })
    });

    run(&client, async {
        Scope::current().add_breadcrumb(Breadcrumb::new("a step"));
        tower_sentry::capture_error(&db("outside"));
    })
    .await;

    let events = relay.events();
    let values: Vec<_> =
        events.iter().map(|event| (event["exception"]["values"][0]["value"].as_str().unwrap(), event.get("tags"))).collect();
    assert!(values.contains(&("the database refused: inside the hook", None)), "{values:?}");
    assert!(values.contains(&("the database refused: outside", Some(&json!({"hook": "yes"})))), "{values:?}");
    assert_eq!((events.len(), runs.load(Ordering::Relaxed), steps(&events[0])), (2, 101, vec!["a step"]));
}
