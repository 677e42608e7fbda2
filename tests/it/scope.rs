//! Who and what a request is for: never another request's.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tower_sentry::protocol::{Attachment, Feedback};
use tower_sentry::{Breadcrumb, Level, Scope, SentryLayer, User};
use tracing::{Instrument as _, info_span};

use crate::support::{self, Relay, Server};

const USERS: usize = 64;

/// What is captured says where; the tag and the breadcrumbs must be those of the same user.
fn says(place: &str) {
    tower_sentry::capture_message(Level::Warning, place);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn isolation_64() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let barrier = Arc::new(Barrier::new(USERS));

    #[tracing::instrument(skip_all)]
    async fn authenticate(user: &str) {
        // The official SDK loses what is set before the first await of an instrumented function.
        Scope::current().set_user(User::id(user)).set_tag("account", user);
        tokio::task::yield_now().await;
        tracing::info!(user, "authenticated");
    }
    async fn auth(request: Request, next: Next) -> Response {
        let user = request.uri().path().rsplit('/').next().unwrap().to_owned();
        authenticate(&user).await;
        says("middleware");
        next.run(request).await
    }
    let handler = move |Path(user): Path<String>| {
        let barrier = Arc::clone(&barrier);
        async move {
            Scope::current().add_breadcrumb(Breadcrumb::new(user.clone()).category("by-hand"));
            says("before");
            barrier.wait().await;
            says("after");
            let spawned = tokio::spawn(async { says("spawned") }.instrument(info_span!("job")));
            let bound = tokio::spawn(Scope::current().bind(async { says("bound") }));
            let scope = Scope::current();
            let blocking = tokio::task::spawn_blocking(move || scope.enter(|| says("blocking")));
            spawned.await.unwrap();
            bound.await.unwrap();
            blocking.await.unwrap();
            let frames = futures_util::stream::unfold(0, |at| async move {
                tokio::task::yield_now().await;
                says("body");
                (at < 1).then(|| (Ok::<_, std::io::Error>("frame"), at + 1))
            });
            Body::from_stream(frames)
        }
    };
    let app = Router::new().route("/users/{id}", get(handler)).layer(from_fn(auth)).layer(SentryLayer::new(&client));
    let server = Server::start(app).await;

    let asked: Vec<_> = (0..USERS).map(|user| format!("/users/u{user}")).collect();
    futures_util::future::join_all(asked.iter().map(|path| support::get(&server, path))).await;
    support::settle(&client).await;

    let places = ["middleware", "before", "after", "spawned", "bound", "blocking", "body", "body"];
    let events = relay.events();
    assert_eq!(events.len(), USERS * places.len());
    let mut by_trace: HashMap<String, Vec<&Value>> = HashMap::new();
    for event in &events {
        by_trace.entry(event["contexts"]["trace"]["trace_id"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    assert_eq!(by_trace.len(), USERS);
    for transaction in relay.transactions() {
        let user = transaction["user"]["id"].as_str().unwrap();
        assert_eq!(transaction["tags"]["account"], user);
        let mut seen = Vec::new();
        for event in &by_trace[transaction["contexts"]["trace"]["trace_id"].as_str().unwrap()] {
            assert_eq!((&event["user"]["id"], &event["tags"]["account"]), (&user.into(), &user.into()), "{}", event["logentry"]["message"]);
            assert_eq!(event["request"]["url"], format!("http://shop.example/users/{user}"));
            for crumb in event["breadcrumbs"]["values"].as_array().unwrap() {
                let whose = if crumb["category"] == "by-hand" { &crumb["message"] } else { &crumb["data"]["user"] };
                assert_eq!(whose, user, "{crumb}");
            }
            seen.push(event["logentry"]["message"].as_str().unwrap());
        }
        seen.sort_unstable();
        let mut expected = places;
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }
}

/// The events of one request to a handler, by their messages.
async fn events_of<F>(handler: impl Fn() -> F + Clone + Send + Sync + 'static) -> (HashMap<String, Value>, Value)
where
    F: Future<Output = ()> + Send,
{
    let relay = Relay::start();
    let client = support::client(&relay);
    let app = Router::new().route("/{id}", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/7").await;
    support::settle(&client).await;
    let named = |event: Value| (event["logentry"]["message"].as_str().unwrap().to_owned(), event);
    (relay.events().into_iter().map(named).collect(), relay.transactions().remove(0))
}

#[tokio::test]
async fn what_is_set_in_a_nested_scope_stays_there() {
    let (events, transaction) = events_of(|| async {
        Scope::current().set_user(User::id(42)).set_tag("plan", "gold");
        let handle = Scope::current().with(|scope| {
            scope.set_tag("plan", "none").clear_user().set_level(Level::Fatal);
            Scope::current().set_tag("warehouse", "eu-1");
            says("inside");
            scope.with(|_| {
                Scope::current().set_tag("plan", "deep");
                says("deep");
            });
            says("inside again");
            scope.clone()
        });
        says("outside");
        tokio::spawn(handle.bind(async { says("carried away") })).await.unwrap();
        let unwound =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Scope::current().with(|_| std::panic::resume_unwind(Box::new(())))));
        assert!(unwound.is_err());
        says("after an unwinding");
    })
    .await;

    let shown = |name: &str| {
        let event = &events[name];
        (event["tags"].to_string(), event["user"]["id"].as_str().map(str::to_owned), event["level"].as_str().unwrap().to_owned())
    };
    let inside = (r#"{"plan":"none","warehouse":"eu-1"}"#.to_owned(), None, "fatal".to_owned());
    let outside = (r#"{"plan":"gold"}"#.to_owned(), Some("42".to_owned()), "warning".to_owned());
    assert_eq!(shown("inside"), inside);
    assert_eq!(shown("deep"), (r#"{"plan":"deep","warehouse":"eu-1"}"#.to_owned(), None, "fatal".to_owned()));
    assert_eq!(shown("inside again"), inside);
    assert_eq!(shown("carried away"), inside);
    assert_eq!(shown("outside"), outside);
    assert_eq!(shown("after an unwinding"), outside);
    assert_eq!(transaction["tags"], json!({"plan": "gold"}));
}

#[tokio::test]
async fn clear_forgets_what_was_set_and_nothing_else() {
    let (events, transaction) = events_of(|| async {
        let scope = Scope::current();
        scope.set_user(User::id(42)).set_tag("plan", "gold").set_context("order", json!({"id": 7})).set_extra("attempt", 2);
        scope.set_fingerprint(["one", "two"]).add_breadcrumb(Breadcrumb::new("a step"));
        scope.set_tag("gone", "soon").remove_tag("gone").set_context("gone", 1).remove_context("gone");
        scope.set_transaction_name("checkout");
        says("whole");
        scope.clear();
        says("bare");
    })
    .await;

    let whole = &events["whole"];
    assert_eq!(
        (&whole["tags"], &whole["extra"], &whole["fingerprint"]),
        (&json!({"plan": "gold"}), &json!({"attempt": 2}), &json!(["one", "two"]))
    );
    assert_eq!((&whole["contexts"]["order"], whole["contexts"].get("gone")), (&json!({"id": 7}), None));
    let bare = &events["bare"];
    for gone in ["user", "tags", "extra", "fingerprint", "breadcrumbs"] {
        assert_eq!(bare.get(gone), None, "{gone}");
    }
    assert_eq!((bare["contexts"].get("order"), &bare["request"]["method"]), (None, &"GET".into()));
    for named in [whole, bare, &transaction] {
        assert_eq!((&named["transaction"], &named["transaction_info"]["source"]), (&"checkout".into(), &"custom".into()));
    }
    assert_eq!(transaction["contexts"]["trace"]["data"]["http.route"], "/{id}", "the route is known all the same");
}

#[tokio::test]
async fn files_ride_on_events_and_are_redacted() {
    let relay = Relay::start();
    let client = tower_sentry::Client::from(support::config(&relay).max_attachment_size(1000).build().unwrap());
    let handler = || async {
        Scope::current().with(|scope| {
            scope.add_attachment(
                Attachment::new("order.json", br#"{"item":7,"api_key":"canary-1"}"#.to_vec()).content_type("application/json"),
            );
            scope.add_attachment(Attachment::new("notes.txt", "password=canary-2 and a line\nmore".to_owned()));
            scope.add_attachment(Attachment::new("picture.bin", vec![0xff, 0x00, b'\n', 0xfe]));
            scope.add_attachment(Attachment::new("huge.bin", vec![0; 1001]));
            says("with files");
        });
        says("without");
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let mut with_files = 0;
    for received in relay.received() {
        let (header, items) = received.items();
        let files: Vec<_> = items.iter().filter(|(item, _)| item["type"] == "attachment").collect();
        if items[0].1["logentry"]["message"] != "with files" {
            assert!(files.is_empty());
            continue;
        }
        with_files += 1;
        assert_eq!(header["event_id"], items[0].1["event_id"]);
        let shown: Vec<_> = files.iter().map(|(item, payload)| (item["filename"].as_str().unwrap(), payload.as_str().unwrap())).collect();
        assert_eq!(shown[0], ("order.json", r#"{"api_key":"[Filtered]","item":7}"#));
        assert_eq!(shown[1], ("notes.txt", "password=[Filtered] and a line\nmore"));
        assert_eq!((shown[2].0, shown.len()), ("picture.bin", 3));
        assert_eq!(files[0].0["content_type"], "application/json");
    }
    assert_eq!(with_files, 1);
    let stats = client.stats();
    assert_eq!((stats.attachment_bytes.sent, stats.attachment_bytes.dropped_total()), (31 + 33 + 4, 1001));
    assert!(relay.reported().contains(&("buffer_overflow".to_owned(), "attachment".to_owned(), 1001)));
}

#[tokio::test]
async fn what_a_user_says_is_linked_to_the_event() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let handler = || async {
        let told = tower_sentry::capture_error(&std::io::Error::other("the cart is gone"));
        let long = "ä".repeat(5000);
        Scope::current().capture_feedback(Feedback::new(long).event_id(told).name("Jane").email("jane@example.com"));
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let (event, said) = (&relay.events()[0], &relay.payloads("feedback")[0]);
    let feedback = &said["contexts"]["feedback"];
    assert_eq!((&feedback["associated_event_id"], &feedback["contact_email"]), (&event["event_id"], &"jane@example.com".into()));
    assert_eq!(feedback["message"].as_str().unwrap().chars().count(), 4096, "servers drop a longer one");
    assert_eq!(said["contexts"]["trace"]["trace_id"], event["contexts"]["trace"]["trace_id"]);
    assert_eq!((client.stats().feedback.sent, &said["type"]), (1, &"feedback".into()));
}
