//! The test kit of users.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use tower::ServiceExt as _;
use tower_sentry::test::{Captured, HandClock, Leak, LeakCheck, Leaks};
use tower_sentry::{Client, Level, Scope, SentryLayer, User};

use crate::support::{self, in_child};

const TESTS: u64 = 200;

#[tracing::instrument(skip_all)]
async fn load_user(number: u64) -> &'static str {
    Scope::current().set_user(User::id(number)).set_tag("number", number);
    tokio::task::yield_now().await;
    tracing::info!(number, "loading");
    tower_sentry::capture_message(Level::Error, format!("message {number}"));
    "Jane"
}

/// What one of the tests of a user records.
fn one_test(number: u64, together: &Barrier) -> (Client, Captured) {
    together.wait();
    let (client, captured) = tower_sentry::test::client();
    let clock = HandClock::start();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handler = move || async move { load_user(number).await };
    let app = Router::new().route("/users/{id}", get(handler)).layer(SentryLayer::new(&client));
    let request = Request::get(format!("/users/{number}")).body(Body::empty()).unwrap();

    runtime.block_on(async {
        let response = app.oneshot(request).await.unwrap();
        clock.advance(Duration::from_millis(number));
        axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    });
    (client, captured)
}

#[test]
fn parallel_200() {
    // The subscriber of the kit is for the whole process.
    if in_child("kit::parallel_200", &[]) {
        return;
    }
    tower_sentry::test::subscribe();
    let together = Arc::new(Barrier::new(usize::try_from(TESTS).unwrap()));

    let tests = (0..TESTS).map(|number| {
        let together = Arc::clone(&together);
        std::thread::spawn(move || one_test(number, &together))
    });
    let running: Vec<_> = tests.collect();
    // Looked at when all have recorded.
    let recorded: Vec<_> = running.into_iter().map(|test| test.join().unwrap()).collect();

    for (number, (client, captured)) in recorded.iter().enumerate() {
        let expected = format!("GET /users/{{id}} [http.server] ok {number} ms\n  load_user [function] ok 0 ms\n");
        assert_eq!(captured.timed_tree(), expected);
        let (events, transaction) = (captured.events(), &captured.transactions()[0]);
        let [event] = &events[..] else { panic!("one event: {events:?}") };
        assert_eq!(event.logentry.as_ref().unwrap().message, Some(format!("message {number}")));
        assert_eq!(event.breadcrumbs.values.len(), 1, "the steps of this test alone");
        let number = number.to_string();
        for (user, tags) in [(&event.user, &event.tags), (&transaction.user, &transaction.tags)] {
            assert_eq!((user.as_ref().unwrap().id.as_ref(), tags.get("number")), (Some(&number), Some(&number)));
        }
        let stats = client.stats();
        assert_eq!((stats.transactions.captured, stats.errors.captured, stats.spans.captured), (1, 1, 2));
    }
}

#[derive(serde::Deserialize)]
struct Login {
    password: String,
}

#[tracing::instrument(skip_all, fields(attempt = login.password))]
async fn leaky(axum::Json(login): axum::Json<Login>) {}

#[tracing::instrument(skip_all, fields(password = login.password))]
async fn clean(axum::Json(login): axum::Json<Login>) {
    Scope::current().set_tag("session", login.password);
}

async fn leaks_of(check: LeakCheck, login: axum::routing::MethodRouter) -> Leaks {
    support::subscribe();
    check
        .json("POST /login", r#"{"password":"{secret}"}"#)
        .form("POST /form?token={secret}", "password={secret}")
        .request("GET /reset/{secret}")
        .run(|sentry| {
            Router::new()
                .route("/login", login)
                .route("/form", axum::routing::post(async |body: String| drop(body)))
                .route("/reset/{token}", get(|| async {}))
                .layer(SentryLayer::new(sentry))
        })
        .await
}

#[tokio::test]
async fn a_leak_is_found_with_its_field_and_its_line() {
    let leaks = leaks_of(LeakCheck::new(), axum::routing::post(leaky)).await;

    let found: Vec<_> = leaks.found().collect();
    assert_eq!(found.len(), 6, "once for each encoding: {leaks}");
    for leak in found {
        assert!(leak.secret().starts_with("the JSON text of POST /login"), "{leak}");
        assert_eq!(leak.field(), "transaction: spans[0].data.attempt");
        assert!(leak.line().is_some_and(|line| line.starts_with("tests/it/kit.rs:")), "{leak}");
    }
    assert!(std::panic::catch_unwind(|| leaks.assert_none()).is_err());
}

#[tokio::test]
async fn a_service_without_a_leak_passes_and_fails_without_redaction() {
    let leaks = leaks_of(LeakCheck::new(), axum::routing::post(clean)).await;
    leaks.assert_none();
    assert_eq!(leaks.secrets(), 6 * (4 + 5 + 4));

    let unredacted = tower_sentry::Config::builder().redaction(tower_sentry::test::unredacted());
    let leaks = leaks_of(LeakCheck::new().settings(unredacted), axum::routing::post(clean)).await;

    let fields: std::collections::BTreeSet<_> = leaks.found().map(Leak::field).collect();
    for place in ["spans[0].data.password", "tags.session", "request.query_string", "request.url", "request.headers.cookie"] {
        assert!(fields.iter().any(|field| field.ends_with(place)), "{place}: {leaks}");
    }
}

#[tokio::test]
async fn a_request_that_reaches_no_code_proves_nothing() {
    support::subscribe();
    let leaks = LeakCheck::new().request("GET /nowhere").run(|sentry| Router::new().layer(SentryLayer::new(sentry))).await;

    assert!(leaks.found().next().is_none());
    assert!(std::panic::catch_unwind(|| leaks.assert_none()).is_err());
    assert!(leaks.to_string().contains("GET /nowhere (plain) was answered with 404"), "{leaks}");
}
