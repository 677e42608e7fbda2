//! Events that the application builds itself, and what their scope adds to them.

use serde_json::{Value, json};
use tower_sentry::protocol::{Event, Exception, Frame, LogEntry, Stacktrace, Timestamp};
use tower_sentry::{Breadcrumb, Client, ConfigBuilder, Level, Scope, User};

use crate::support::{self, Relay, in_child};

/// Captures events in a job that has a user, a tag, a context and a step, and returns what arrives.
async fn arrived(relay: &Relay, client: &Client, events: Vec<Event>) -> Vec<Value> {
    support::subscribe();
    let work = async {
        let scope = Scope::current();
        scope.set_user(User::id(42)).set_tag("plan", "gold").set_tag("shard", "of the scope");
        scope.set_context("order", json!({"id": 7})).add_breadcrumb(Breadcrumb::new("of the scope"));
        for event in events {
            let (id, given) = (event.event_id, tower_sentry::capture_event(event));
            assert_eq!(given, id);
        }
    };
    client.transaction("import").run(work).await;
    support::settle(client).await;
    relay.events()
}

fn client(relay: &Relay, with: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Client {
    Client::from(with(support::config(relay).release("shop@1.2.3").environment("staging")).build().unwrap())
}

/// An event with everything that a scope may have too.
fn whole() -> Event {
    let mut event = Event::new(Level::Warning);
    event.timestamp = Timestamp::from_nanos(1_700_000_000_500_000_000);
    event.logger = Some("billing".to_owned());
    event.server_name = Some("legacy-1".to_owned());
    event.release = Some("billing@7".to_owned());
    event.transaction = Some("nightly".to_owned());
    event.user = Some(User::id(7));
    event.tags.insert("shard".to_owned(), "of the event".to_owned());
    event.contexts.other.insert("invoice".to_owned(), json!({"id": 9, "password": "hunter2-canary"}));
    event.extra.insert("attempts".to_owned(), json!(3));
    event.breadcrumbs.values.push(Breadcrumb::new("of the event"));
    event.fingerprint = vec!["invoice".to_owned()];
    let mut frame = Frame::default();
    frame.function = Some("billing.charge".to_owned());
    frame.lineno = Some(12);
    let mut cause = Exception::default();
    (cause.kind, cause.value) = (Some("Timeout".to_owned()), Some("after 3 s".to_owned()));
    let mut error = Exception::default();
    (error.kind, error.value) = (Some("ChargeFailed".to_owned()), Some("token=hunter2-canary".to_owned()));
    let mut trace = Stacktrace::default();
    trace.frames = vec![frame];
    error.stacktrace = Some(trace);
    event.exception.values = vec![cause, error];
    event
}

#[tokio::test]
async fn what_it_has_stands_and_the_scope_adds_the_rest() {
    let relay = Relay::start();
    let events = arrived(&relay, &client(&relay, |config| config), vec![whole()]).await;

    let [event] = &events[..] else { panic!("{events:?}") };
    let expected = json!({
        "timestamp": 1_700_000_000.5, "level": "warning", "logger": "billing", "server_name": "legacy-1", "release": "billing@7",
        "environment": "staging", "transaction": "nightly", "user": {"id": "7"}, "tags": {"plan": "gold", "shard": "of the event"},
        "extra": {"attempts": 3}, "fingerprint": ["invoice"],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&event[name], value, "{name}");
    }
    assert_eq!(
        (&event["contexts"]["order"], &event["contexts"]["invoice"]),
        (&json!({"id": 7}), &json!({"id": 9, "password": "[Filtered]"}))
    );
    assert_eq!(event["contexts"]["trace"]["op"], "task", "it is in the trace of the job: {}", event["contexts"]["trace"]);
    let steps: Vec<_> = event["breadcrumbs"]["values"].as_array().unwrap().iter().map(|step| &step["message"]).collect();
    assert_eq!(steps, ["of the scope", "of the event"]);
    let [cause, error] = &event["exception"]["values"].as_array().unwrap()[..] else { panic!("{event}") };
    assert_eq!((&cause["type"], &cause["value"]), (&json!("Timeout"), &json!("after 3 s")));
    assert_eq!((&error["type"], &error["value"]), (&json!("ChargeFailed"), &json!("token=[Filtered]")));
    assert_eq!((&error["mechanism"]["type"], &error["mechanism"]["handled"]), (&json!("generic"), &json!(true)));
    assert_eq!(error["stacktrace"]["frames"], json!([{"function": "billing.charge", "lineno": 12}]));
    assert!(relay.received().iter().all(|received| !String::from_utf8_lossy(&received.envelope).contains("hunter2-canary")));
}

#[tokio::test]
async fn without_frames_it_has_the_place_of_the_call() {
    let relay = Relay::start();
    let mut told = Event::new(Level::Info);
    told.logentry = Some("the cache is cold".into());
    let mut failed = Event::new(Level::Error);
    let mut error = Exception::default();
    (error.kind, error.value) = (Some("ChargeFailed".to_owned()), Some("no answer".to_owned()));
    failed.exception.values.push(error);

    let events = arrived(&relay, &client(&relay, |config| config), vec![told, failed]).await;

    let of = |level: &str| events.iter().find(|event| event["level"] == level).unwrap();
    assert_eq!(of("info")["logentry"]["message"], "the cache is cold");
    assert!(of("info")["fingerprint"][1].as_str().unwrap().starts_with("tests/it/given_events.rs:"), "{}", of("info")["fingerprint"]);
    let frames = of("error")["exception"]["values"][0]["stacktrace"]["frames"].as_array().unwrap();
    assert_eq!(frames.last().unwrap()["filename"], "tests/it/given_events.rs");
}

#[tokio::test]
async fn hooks_rules_and_limits_see_it_as_any_event() {
    let relay = Relay::start();
    let with = |config: ConfigBuilder| {
        let config = config.ignore_error_types(["Ignored"]).max_events_per_issue(3);
        config.before_send(|mut event| {
            event.extra.insert("hook".to_owned(), json!(event.logger.clone()));
            Some(event)
        })
    };
    let client = client(&relay, with);
    let mut ignored = Event::new(Level::Error);
    let mut error = Exception::default();
    error.kind = Some("Ignored".to_owned());
    ignored.exception.values.push(error);
    let of_issue = |number: u64| {
        let mut event = whole();
        event.event_id = tower_sentry::protocol::EventId::new();
        event.timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000 + number * 1_000_000);
        // Another issue, if the fingerprint did not say that it is the same.
        event.exception.values[1].kind = Some(format!("ChargeFailed{number}"));
        let mut text = LogEntry::default();
        text.formatted = Some(format!("text {number}"));
        event.logentry = Some(text);
        event
    };
    let mut events: Vec<_> = (0..10).map(of_issue).collect();
    events.push(ignored);

    let events = arrived(&relay, &client, events).await;

    // Three, and one that says how many more there were.
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(events[0]["logentry"], json!({"message": "text 0", "formatted": "text 0"}));
    assert!(events.iter().all(|event| event["extra"]["hook"] == "billing" && event["fingerprint"] == json!(["invoice"])));
    assert_eq!(client.stats().errors.dropped.iter().map(|row| row.1).sum::<u64>(), 7);
}

#[cfg(feature = "axum")]
/// All texts of an event that its builder could have taken from a request.
fn secret() -> Event {
    let mut event = whole();
    let text = || Some("canary-of-the-event".to_owned());
    (event.logger, event.server_name, event.release, event.environment, event.transaction) = (text(), text(), text(), text(), text());
    event.logentry = text().map(Into::into);
    for error in &mut event.exception.values {
        (error.kind, error.value, error.module) = (text(), text(), text());
    }
    let frame = &mut event.exception.values[1].stacktrace.as_mut().unwrap().frames[0];
    (frame.function, frame.context_line) = (text(), text());
    frame.other.insert("vars".to_owned(), json!({"name": text()}));
    event.tags.insert("tag".to_owned(), text().unwrap());
    event.extra.insert("extra".to_owned(), json!(text()));
    event.contexts.other.insert("context".to_owned(), json!({"name": text()}));
    event.fingerprint = text().into_iter().collect();
    event
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn nothing_of_it_leaves_a_sensitive_route() {
    use axum::routing::get;
    use tower::ServiceExt as _;
    use tower_sentry::SentryLayer;
    use tower_sentry::incoming::RouteOptions;

    for (is_sensitive, panics) in [(true, false), (false, true), (false, false)] {
        let relay = Relay::start();
        let with = |config: ConfigBuilder| if panics { config.before_send(|_| panic!("a hook")) } else { config };
        let client = client(&relay, with);
        let options = if is_sensitive { RouteOptions::new().sensitive() } else { RouteOptions::new() };
        let capture = || async { tower_sentry::capture_event(secret()).to_string() };
        let app = axum::Router::new().route("/", get(capture)).layer(SentryLayer::new(&client).route("/", options));

        app.oneshot(http::Request::get("/").body(axum::body::Body::empty()).unwrap()).await.unwrap();
        support::settle(&client).await;

        assert_eq!(relay.events().len(), 1);
        let has_left = relay.received().iter().any(|received| String::from_utf8_lossy(&received.envelope).contains("canary-of-the-event"));
        assert_eq!(has_left, !is_sensitive && !panics, "sensitive: {is_sensitive}, the hook panics: {panics}");
    }
}

#[tokio::test]
async fn it_is_an_event_of_its_own_whatever_it_quotes() {
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    let work = async {
        let error = std::io::Error::other("the shelf of order 7 is empty");
        let first = tower_sentry::capture_error(&error);
        let mut quoting = Event::new(Level::Error);
        quoting.logentry = Some("the shelf of order 7 is empty".into());
        let (id, given) = (quoting.event_id, tower_sentry::capture_event(quoting));
        assert!(given == id && given != first);
    };

    client.transaction("import").run(work).await;
    support::settle(&client).await;

    assert_eq!(relay.events().len(), 2);
}

#[test]
fn without_a_client_it_has_no_id() {
    // In a process of its own: what is outside of a request belongs to any client.
    if in_child("given_events::without_a_client_it_has_no_id", &[]) {
        return;
    }
    assert!(tower_sentry::capture_event(whole()).is_nil());
}
