//! Other layers beside ours: as spans, with a tag that says how it went, and with the scope of the request.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::middleware::{Next, from_fn, map_response};
use axum::response::Response;
use axum::routing::get;
use futures_util::future::Either;
use http::{Request, StatusCode};
use serde_json::Value;
use tower::layer::layer_fn;
use tower::{BoxError, Layer as _, Service, ServiceExt as _};
use tower_sentry::protocol::SpanStatus;
use tower_sentry::{Scope, SentryLayer, SpanLayer, User};

use crate::support::{self, Relay};

/// Lets a request in, sends it away or breaks, as its path says.
#[derive(Clone, Debug)]
struct Door<S>(S);

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response, Error = BoxError>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Either<S::Future, Ready<Result<Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.uri().path() {
            "/away" => Either::Right(ready(Ok(answer(StatusCode::FORBIDDEN)))),
            "/stuck" => Either::Right(ready(Err("the door is stuck".into()))),
            _ => Either::Left(self.0.call(request)),
        }
    }
}

fn answer(status: StatusCode) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// The service behind the door.
async fn room(request: Request<Body>) -> Result<Response, BoxError> {
    match request.uri().path() {
        "/in/broken" => Err("the room is gone".into()),
        "/in/fails" => Ok(answer(StatusCode::INTERNAL_SERVER_ERROR)),
        "/in/waits" => std::future::pending().await,
        _ => Ok(answer(StatusCode::OK)),
    }
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn the_span_and_the_tag_of_a_middleware_say_whether_it_let_in_sent_away_or_failed() {
    let rows = [
        ("/in", "passed", SpanStatus::Ok, Ok(200)),
        ("/in/fails", "passed", SpanStatus::Ok, Ok(500)),
        ("/away", "stopped", SpanStatus::Ok, Ok(403)),
        ("/stuck", "failed", SpanStatus::InternalError, Err("the door is stuck")),
        ("/in/broken", "failed", SpanStatus::InternalError, Err("the room is gone")),
    ];

    for (path, outcome, status, expected) in rows {
        let (client, captured) = tower_sentry::test::client();
        let door = SpanLayer::new("the door", layer_fn(Door)).op("auth").outcome_tag("door");
        let service = SentryLayer::new(&client).layer(door.layer(tower::service_fn(room)));

        let answered = service.oneshot(request(path)).await.map(|response| response.status().as_u16()).map_err(|error| error.to_string());

        assert_eq!(answered, expected.map_err(str::to_owned), "{path}: what the middleware says goes on unchanged");
        let transaction = &captured.transactions()[0];
        let span = &transaction.spans[0];
        assert_eq!(
            (span.description.as_deref(), span.op.as_deref(), span.status),
            (Some("the door"), Some("auth"), Some(status)),
            "{path}"
        );
        assert_eq!(transaction.tags["door"], outcome, "{path}");
    }
}

#[tokio::test]
async fn each_of_two_middlewares_has_a_tag_of_its_own() {
    let (client, captured) = tower_sentry::test::client();
    let door = |name: &'static str| SpanLayer::new(name, layer_fn(Door)).outcome_tag(name);
    let always_in = SpanLayer::new("gate", layer_fn(|inner| inner)).outcome_tag("gate");
    let service = SentryLayer::new(&client).layer(always_in.layer(door("door").layer(tower::service_fn(room))));

    service.oneshot(request("/away")).await.unwrap();

    let tags = &captured.transactions()[0].tags;
    assert_eq!((tags["gate"].as_str(), tags["door"].as_str()), ("passed", "stopped"));
    assert_eq!(captured.tree(), "GET <unmatched> [http.server] permission_denied\n  gate [middleware] ok\n    door [middleware] ok\n");
    support::settle(&client).await;
}

#[tokio::test]
async fn a_middleware_that_is_dropped_is_cancelled_and_has_no_outcome() {
    let (client, captured) = tower_sentry::test::client();
    let door = SpanLayer::new("door", layer_fn(Door)).outcome_tag("door");
    let service = SentryLayer::new(&client).layer(door.layer(tower::service_fn(room)));

    let mut future = Box::pin(service.oneshot(request("/in/waits")));
    assert!(futures_util::poll!(&mut future).is_pending());
    drop(future);

    assert_eq!(captured.tree(), "GET <unmatched> [http.server] cancelled\n  door [middleware] cancelled\n");
    assert_eq!(captured.transactions()[0].tags.get("door"), None);
    support::settle(&client).await;
}

#[tokio::test]
async fn outside_of_a_request_a_middleware_works_as_if_it_were_bare() {
    let plain = tower::service_fn(|number: u32| async move { Ok::<_, Infallible>(number + 1) });
    let service = SpanLayer::new("door", layer_fn(|inner| inner)).outcome_tag("door").layer(plain);

    assert_eq!(service.oneshot(6).await, Ok(7));
}

#[tokio::test]
async fn the_span_of_a_second_layer_has_the_status_of_its_own_response() {
    let (client, captured) = tower_sentry::test::client();
    let fine = async |mut response: Response| {
        *response.status_mut() = StatusCode::OK;
        response
    };
    let answer = |Path(code): Path<u16>| async move { StatusCode::from_u16(code).unwrap() };
    let inner = Router::new().route("/{code}", get(answer)).layer(SentryLayer::new(&client));
    let app = inner.layer(map_response(fine)).layer(SentryLayer::new(&client));
    let rows = [(204, "ok"), (404, "not_found"), (500, "internal_error"), (503, "unavailable")];

    for (code, _) in rows {
        drop(app.clone().oneshot(Request::get(format!("/{code}")).body(Body::empty()).unwrap()).await.unwrap());
    }

    let expected = rows.map(|(_, status)| format!("GET /{{code}} [http.server] ok\n  GET /{{code}} [http.server] {status}\n"));
    assert_eq!(captured.tree(), expected.concat());
    support::settle(&client).await;
}

#[tokio::test]
async fn the_scope_that_is_extracted_is_the_one_of_the_request() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let at_the_door = async |scope: Scope, request: Request<Body>, next: Next| {
        scope.set_tag("door", request.uri().path());
        next.run(request).await
    };
    let handler = |scope: Scope, Path(who): Path<String>| async move {
        scope.set_user(User::id(&who)).set_tag("plan", &who);
        tokio::task::yield_now().await;
        tower_sentry::capture_error(&std::io::Error::other("the disk is full"));
    };
    let app = Router::new().route("/{who}", get(handler)).layer(from_fn(at_the_door)).layer(SentryLayer::new(&client));
    let visit =
        async |app: &Router, path: &str| app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status();

    // Both are served at the same time.
    tokio::join!(visit(&app, "/ann"), visit(&app, "/ben"));
    support::settle(&client).await;

    for documents in [relay.transactions(), relay.events()] {
        let told = |document: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            [text(&document["user"]["id"]), text(&document["tags"]["plan"]), text(&document["tags"]["door"])].join(" ")
        };
        let mut told: Vec<_> = documents.iter().map(told).collect();
        told.sort();
        assert_eq!(told, ["ann ann /ann", "ben ben /ben"]);
    }
}

#[tokio::test]
async fn without_a_layer_the_scope_that_is_extracted_takes_what_it_gets() {
    let handler = |scope: Scope| async move {
        scope.set_user(User::id("eve")).set_tag("plan", "gold");
        "ok"
    };
    let app = Router::new().route("/", get(handler));

    assert_eq!(app.oneshot(request("/")).await.unwrap().status(), StatusCode::OK);
}
