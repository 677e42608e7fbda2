//! A sensitive route: nothing of its requests leaves but what the code says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::{Attachment, SpanLink, TraceId};
use tower_sentry::{Breadcrumb, CaptureError, Client, ConfigBuilder, Level, Scope, SentryLayer, User};
use tracing::{info, info_span};

use crate::canaries::{Canaries, Kind};
use crate::support::{self, Relay};

/// A text for each place where a request or its handler may put one.
async fn handler(State(canaries): State<Canaries>) -> (StatusCode, CaptureError) {
    let text = |place: &str| canaries.harmless(place);
    let scope = Scope::current();
    scope.set_user(User::id(text("the user's id")).email(text("an address")).field("plan", text("a field of the user")));
    scope.set_tag("tag", text("a tag")).set_context("context", json!({ "a": text("a context") })).set_extra("extra", text("an extra"));
    scope.set_fingerprint([text("a fingerprint")]).transaction().set_name(text("the name"));
    scope.add_breadcrumb(Breadcrumb::new(text("a breadcrumb")).field("data", text("data of a breadcrumb")));
    scope.add_attachment(Attachment::new("notes.txt", text("an attachment")));
    info!(field = text("a field of a log"), "{}", text("a log"));
    drop(info_span!("a span", field = text("a field of a span"), otel.name = text("the name of a span")).entered());
    let within = async {
        let span = Scope::current().span();
        span.set_attribute("sentry.op", text("the kind of a span"))
            .set_name(text("a span's late name"))
            .set_attribute("note", [text("an attribute of a span")]);
        span.add_link(SpanLink::new(TraceId::new(), span.id().unwrap()).attribute("note", text("a link of a span")));
    };
    tower_sentry::span("db.query", text("a span of our own"), async {}).await;
    tower_sentry::span("task", "renamed", within).await;
    let transaction = scope.transaction();
    transaction.set_attribute("note", text("an attribute of the transaction")).set_attribute("sentry.op", text("the kind of work"));
    transaction.set_measurement(text("a measurement"), 7.0, text("a unit"));
    transaction.add_link(SpanLink::new(TraceId::new(), transaction.id().unwrap()).attribute("note", text("a link")));
    tower_sentry::capture_message(Level::Warning, text("a message"));
    tracing::error!(field = text("a field of an error"), "{}", text("a logged error"));
    (StatusCode::INTERNAL_SERVER_ERROR, CaptureError::new(std::io::Error::other(text("an error"))))
}

async fn crash(State(canaries): State<Canaries>) {
    panic!("{}", canaries.harmless("a panic"));
}

/// What left of three requests, and where its texts were put.
struct Left {
    relay: Relay,
    canaries: Canaries,
}

impl Left {
    async fn of(options: RouteOptions, settings: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        support::subscribe();
        let (relay, canaries) = (Relay::start(), Canaries::default());
        let config = support::config(&relay).enable_logs(true).panic_hook(true).tag("service", "clinic");
        let client = Client::from(settings(config).build().unwrap());
        let layer = SentryLayer::new(&client).route("/patients/{id}", options.clone()).route("/crash", options);
        let app = Router::new()
            .route("/patients/{id}", post(handler))
            .route("/crash", post(crash))
            .with_state(canaries.clone())
            .layer(layer)
            .layer(CatchPanicLayer::new());
        for path in [format!("/patients/{}", canaries.harmless("the path")), "/crash".to_owned(), "/elsewhere".to_owned()] {
            let request = Request::post(format!("{path}?page={}", canaries.harmless("the query")));
            let request = request.header("accept", canaries.harmless("a header")).header("host", "clinic.example");
            drop(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
        }
        support::settle(&client).await;
        let sent = client.stats();
        assert_eq!((sent.errors.dropped_total(), sent.transactions.dropped_total()), (0, 0));
        Self { relay, canaries }
    }

    fn found(&self) -> BTreeSet<String> {
        let envelopes: Vec<_> = self.relay.received().into_iter().map(|received| received.envelope).collect();
        self.canaries.found(Kind::Harmless, &envelopes)
    }
}

#[tokio::test]
async fn nothing_of_a_request_leaves_but_what_the_code_says() {
    let ordinary = Left::of(RouteOptions::new(), |config| config).await;
    assert_eq!(ordinary.found(), ordinary.canaries.planted(Kind::Harmless), "each text would be found");

    for has_hooks in [false, true] {
        let sensitive = Left::of(RouteOptions::new().sensitive(), |config| {
            if has_hooks { config.before_send(Some).before_send_transaction(Some) } else { config }
        })
        .await;

        // Those of the third request, whose route is not sensitive.
        assert_eq!(sensitive.found(), BTreeSet::from(["the query".to_owned(), "a header".to_owned()]));
        let (events, transactions) = (sensitive.relay.events(), sensitive.relay.transactions());
        let kinds: Vec<_> = events.iter().map(|event| &event["exception"]["values"][0]["type"]).collect();
        assert_eq!(kinds, [&Value::Null, &Value::Null, &"io::Error".into(), &"panic".into()]);
        let error = &events[2];
        assert_eq!((&error["request"], &error["transaction"]), (&json!({ "method": "POST" }), &"POST /patients/{id}".into()));
        assert_eq!(error["contexts"]["response"], json!({ "status_code": 500 }));
        assert!(error["exception"]["values"][0]["stacktrace"]["frames"].is_array() || error["fingerprint"].is_array(), "{error}");
        let shown = &transactions[0];
        assert_eq!(shown["contexts"]["response"], json!({ "status_code": 500 }));
        assert_eq!(shown["contexts"]["trace"]["status"], "internal_error");
        let kinds: Vec<_> = shown["spans"].as_array().unwrap().iter().map(|span| &span["op"]).collect();
        assert_eq!(kinds, [&json!("function"), &json!("db.query"), &Value::Null]);
    }
}

#[tokio::test]
async fn a_hook_sees_nothing_of_a_sensitive_route() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let (events, transactions) = (Arc::clone(&shown), Arc::clone(&shown));
    let left = Left::of(RouteOptions::new().sensitive(), |config| {
        config
            .before_send(move |event| {
                events.lock().unwrap().push(serde_json::to_vec(&event).unwrap());
                Some(event)
            })
            .before_send_transaction(move |transaction| {
                transactions.lock().unwrap().push(serde_json::to_vec(&transaction).unwrap());
                Some(transaction)
            })
    })
    .await;

    let shown = shown.lock().unwrap();
    assert_eq!(shown.len(), 7);
    // Those of the third request, whose route is not sensitive.
    assert_eq!(left.canaries.found(Kind::Harmless, &shown), BTreeSet::from(["the query".to_owned(), "a header".to_owned()]));
}

#[tokio::test]
async fn a_request_around_a_sensitive_one_is_as_sensitive() {
    support::subscribe();
    let (relay, canaries) = (Relay::start(), Canaries::default());
    let client = Client::from(support::config(&relay).build().unwrap());
    let layer = SentryLayer::new(&client).route("/patients/{id}", RouteOptions::new().sensitive());
    let inner = Router::new().route("/patients/{id}", post(handler)).with_state(canaries.clone()).layer(layer.clone());
    let batch = |State(canaries): State<Canaries>| async move {
        let request = Request::post(format!("/patients/{}", canaries.harmless("the inner path"))).body(Body::empty()).unwrap();
        inner.oneshot(request).await.unwrap().status()
    };
    let app = Router::new().route("/batch", post(batch)).with_state(canaries.clone()).layer(layer);

    drop(app.oneshot(Request::post("/batch").body(Body::empty()).unwrap()).await.unwrap());
    support::settle(&client).await;

    let envelopes: Vec<_> = relay.received().into_iter().map(|received| received.envelope).collect();
    assert_eq!(canaries.found(Kind::Harmless, &envelopes), BTreeSet::new());
    assert_eq!((relay.events().len(), relay.transactions().len()), (3, 1));
}

#[tokio::test]
async fn the_context_of_the_trace_has_the_route_and_not_the_chosen_name() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).build().unwrap());
    for (options, name) in [(RouteOptions::new().sensitive(), "POST%20%2Fpatients%2F%7Bid%7D"), (RouteOptions::new(), "file%20of%20Jane")] {
        let told = || async {
            let scope = Scope::current();
            scope.transaction().set_name("file of Jane");
            scope.trace_meta_tags().to_string()
        };
        let app = Router::new().route("/patients/{id}", post(told)).layer(SentryLayer::new(&client).route("/patients/{id}", options));

        let response = app.oneshot(Request::post("/patients/7").body(Body::empty()).unwrap()).await.unwrap();

        let page = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8_lossy(&page);
        assert_eq!(text.matches(&format!("sentry-transaction={name}")).count(), 1, "{text}");
    }
}
