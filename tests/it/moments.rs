//! An error has the data of the moment of its capture, also if that is the cleanup of dropped work.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use futures_util::stream;
use serde_json::Value;
use tower::{Layer as _, Service as _, ServiceExt as _};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::{Breadcrumb, Client, Config, Level, Scope, SentryLayer, SpanLayer, User};

use crate::support;

fn client() -> (Client, tower_sentry::test::Captured) {
    tower_sentry::test::client_with(Config::builder().traces_sample_rate(1.0))
}

fn shown(captured: &tower_sentry::test::Captured) -> Vec<Value> {
    captured.events().iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

fn message(event: &Value) -> &str {
    event["logentry"]["message"].as_str().or_else(|| event["exception"]["values"][0]["value"].as_str()).unwrap()
}

async fn ask(app: Router, path: &str) -> StatusCode {
    app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn what_is_set_after_an_error_is_not_on_its_event() {
    let (client, captured) = client();
    support::subscribe();
    let handler = || async {
        let scope = Scope::current();
        scope.set_user(User::id("first")).set_tag("step", "one").set_context("order", serde_json::json!({"id": 1}));
        scope.add_breadcrumb(Breadcrumb::new("before"));
        tower_sentry::capture_error(&std::io::Error::other("no stock"));
        scope.clear_user();
        scope.set_tag("step", "two").set_context("order", serde_json::json!({"id": 2})).set_level(Level::Info);
        for number in 0..120 {
            tracing::info!("line {number}");
        }
        StatusCode::OK
    };
    let app = Router::new().route("/orders/{id}", get(handler)).layer(SentryLayer::new(&client));

    assert_eq!(ask(app, "/orders/7").await, 200);
    support::settle(&client).await;

    let events = shown(&captured);
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((&event["user"]["id"], &event["tags"]["step"]), (&"first".into(), &"one".into()));
    assert_eq!((&event["contexts"]["order"]["id"], &event["level"]), (&1.into(), &"error".into()));
    let breadcrumbs: Vec<_> = event["breadcrumbs"]["values"].as_array().unwrap().iter().map(|crumb| &crumb["message"]).collect();
    assert_eq!(breadcrumbs, ["before"]);
    // The name and the status describe the whole request.
    assert_eq!((&event["transaction"], &event["contexts"]["response"]["status_code"]), (&"GET /orders/{id}".into(), &200.into()));
}

#[tokio::test]
async fn each_error_of_a_loop_has_its_own_user() {
    let (client, captured) = client();
    support::subscribe();
    let handler = || async {
        for number in 0..5 {
            Scope::current().set_user(User::id(number));
            tracing::error!("item {number} is broken");
        }
    };
    let app = Router::new().route("/batch", get(handler)).layer(SentryLayer::new(&client));

    ask(app, "/batch").await;
    support::settle(&client).await;

    let seen: Vec<_> = shown(&captured).iter().map(|event| (message(event).to_owned(), event["user"]["id"].clone())).collect();
    let expected: Vec<_> = (0..5).map(|number| (format!("item {number} is broken"), Value::from(number.to_string()))).collect();
    assert_eq!(seen, expected);
}

/// Reports while it is dropped, as a transaction of a database does that was not committed.
struct Cleanup(&'static str);

impl Drop for Cleanup {
    fn drop(&mut self) {
        tracing::error!("{}: rolled back", self.0);
        tower_sentry::capture_message(Level::Warning, format!("{}: noted", self.0));
    }
}

/// Polls the work once and drops it.
fn abandon<F: Future>(work: F) {
    let mut work = pin!(work);
    assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Never ends, and cleans up when it is dropped.
async fn hang(name: &'static str) {
    let _cleanup = Cleanup(name);
    Scope::current().set_user(User::id(name));
    pending::<()>().await;
}

#[tokio::test]
async fn cleanup_of_dropped_work_belongs_to_its_request_or_job() {
    let (client, captured) = client();
    support::subscribe();
    let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let plain = Router::new().route("/handler", get(|| hang("handler"))).layer(SentryLayer::new(&client));
    abandon(plain.oneshot(request("/handler")));

    let spanned = Router::new()
        .route("/middleware", get(|| hang("middleware")))
        .layer(SpanLayer::new("middleware.wait", tower::layer::util::Identity::new()))
        .layer(SentryLayer::new(&client));
    abandon(spanned.oneshot(request("/middleware")));

    let own_span = || tower_sentry::span("db.query", "SELECT 1", hang("span"));
    let own_span = Router::new().route("/span", get(own_span)).layer(SentryLayer::new(&client));
    abandon(own_span.oneshot(request("/span")));

    let body = || async {
        Scope::current().set_user(User::id("body"));
        let cleanup = Cleanup("body");
        let frames = stream::unfold((cleanup, 0), |(cleanup, number)| async move {
            if number > 0 {
                pending::<()>().await;
            }
            Some((Ok::<_, Infallible>(Bytes::from_static(b"frame")), (cleanup, number + 1)))
        });
        Body::from_stream(frames)
    };
    let streaming = Router::new().route("/body", get(body)).layer(SentryLayer::new(&client));
    let mut response = streaming.oneshot(request("/body")).await.unwrap();
    let frame = std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(response.body_mut()), cx)).await;
    assert!(frame.is_some());
    drop(response);

    let (out, bound) = std::sync::mpsc::channel::<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>();
    let binds = move || {
        let out = out.clone();
        async move { out.send(Box::pin(Scope::current().bind(hang("bound")))).unwrap() }
    };
    ask(Router::new().route("/bound", get(binds)).layer(SentryLayer::new(&client)), "/bound").await;
    // Dropped where nothing is current.
    abandon(bound.recv().unwrap());

    abandon(client.transaction("transaction").run_infallible(hang("transaction")));
    let hanging = tower::service_fn(|()| async {
        hang("job").await;
        Ok::<_, Infallible>(())
    });
    abandon(JobLayer::new(&client, |(): &()| JobInfo::new("job")).layer(hanging).call(()));
    support::settle(&client).await;

    let events = shown(&captured);
    for (name, transaction) in [
        ("handler", "GET /handler"),
        ("middleware", "GET /middleware"),
        ("span", "GET /span"),
        ("body", "GET /body"),
        ("bound", "GET /bound"),
        ("transaction", "transaction"),
        ("job", "job"),
    ] {
        for what in ["rolled back", "noted"] {
            let text = format!("{name}: {what}");
            let found: Vec<_> = events.iter().filter(|event| message(event) == text).collect();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((&found[0]["transaction"], &found[0]["user"]["id"]), (&transaction.into(), &name.into()), "{text}");
        }
    }
    assert_eq!(events.len(), 14);
}

#[tokio::test]
async fn a_body_that_is_dropped_unread_is_still_judged_by_its_length() {
    let (client, captured) = client();
    let app = Router::new().route("/", get(|| async { "never read" })).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());

    assert_eq!(captured.tree(), "GET / [http.server] ok\n");
}

#[tokio::test]
async fn a_panic_in_a_poll_is_still_a_crash_after_the_cleanup() {
    let (client, captured) = client();
    support::subscribe();
    let handler = || async {
        let _cleanup = Cleanup("panicking");
        if Scope::current().trace_id().is_some() {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    let mut future = Box::pin(app.oneshot(Request::get("/").body(Body::empty()).unwrap()));
    let mut poll = |()| -> Poll<_> { future.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(drop) };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(()))).is_err());
    drop(future);
    support::settle(&client).await;

    assert!(captured.tree().starts_with("GET / [http.server] internal_error"), "{}", captured.tree());
}

#[tokio::test]
async fn a_flush_sends_what_a_hung_request_has_captured() {
    let (client, captured) = client();
    support::subscribe();
    let (wake, woken) = tokio::sync::oneshot::channel::<()>();
    let woken = std::sync::Arc::new(tokio::sync::Mutex::new(Some(woken)));
    let (ids, seen) = std::sync::mpsc::channel();
    let handler = move || {
        let (ids, woken) = (ids.clone(), std::sync::Arc::clone(&woken));
        async move {
            Scope::current().set_user(User::id("waits"));
            ids.send(tower_sentry::capture_error(&std::io::Error::other("no stock"))).unwrap();
            tracing::error!("the shelf is empty");
            let woken = woken.lock().await.take().unwrap();
            woken.await.unwrap();
            (StatusCode::INTERNAL_SERVER_ERROR, tower_sentry::CaptureError::new(std::io::Error::other("no stock")))
        }
    };
    let app = Router::new().route("/orders/{id}", get(handler)).layer(SentryLayer::new(&client));
    let mut response = Box::pin(app.oneshot(Request::get("/orders/7").body(Body::empty()).unwrap()));
    assert!(response.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    assert_eq!((client.stats().errors.captured, client.stats().errors.waiting()), (2, 2), "counted at once");
    client.flush(support::patience()).await.unwrap();

    let events = shown(&captured);
    let texts: Vec<_> = events.iter().map(message).collect();
    assert_eq!(texts, ["no stock", "the shelf is empty"]);
    assert_eq!((&events[0]["user"]["id"], &events[0]["transaction"]), (&"waits".into(), &"GET /orders/{id}".into()));
    assert_eq!(events[0]["event_id"], seen.try_recv().unwrap().to_string());
    assert_eq!(client.stats().errors.waiting(), 0);

    // The same failure is returned afterwards: it is known already.
    wake.send(()).unwrap();
    assert_eq!(response.await.unwrap().status(), 500);
    support::settle(&client).await;

    assert_eq!(captured.events().len(), 2);
    assert_eq!((client.stats().errors.captured, client.stats().errors.sent), (2, 2));
}

#[tokio::test]
async fn a_shutdown_sends_what_a_hung_request_has_captured() {
    let (client, captured) = client();
    let handler = || async {
        tower_sentry::capture_error(&std::io::Error::other("no stock"));
        pending::<StatusCode>().await
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
    let mut hung = Box::pin(app.oneshot(Request::get("/").body(Body::empty()).unwrap()));
    assert!(hung.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    client.shutdown(support::patience()).await.unwrap();
    drop(hung);

    assert_eq!(captured.events().len(), 1);
    let errors = client.stats().errors;
    assert_eq!((errors.captured, errors.sent, errors.dropped_total()), (1, 1, 0));
}
