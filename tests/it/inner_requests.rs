//! Layers inside layers: a request that another one serves in process, and a layer of another client.

use std::convert::Infallible;
use std::fmt;
use std::io;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _};
use tower_http::catch_panic::CatchPanicLayer;
use tower_sentry::incoming::{RouteNameLayer, RouteOptions};
use tower_sentry::protocol::{Event, SpanStatus};
use tower_sentry::test::{Captured, client, client_with};
use tower_sentry::{CaptureError, Client, Config, Scope, SentryLayer, User};
use tracing::Instrument as _;

use crate::support::{self, in_child};

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn broken(what: &'static str) -> Response {
    CaptureError::new(io::Error::other(what)).into_response()
}

/// A part of a batch: `fine`, or one that fails in its own way.
async fn part(Path(what): Path<String>) -> Response {
    match what.as_str() {
        "error" => broken("the disk is full"),
        "plain" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "captures" => {
            tower_sentry::capture_error(&io::Error::other("the cache is cold"));
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        "missing" => StatusCode::NOT_FOUND.into_response(),
        "panics" => panic!("no such part"),
        "hangs" => std::future::pending().await,
        "stream" => {
            let frames = stream::iter([Ok("first"), Err(io::Error::other("the pipe broke"))]);
            Body::from_stream(frames).into_response()
        }
        _ => "fine".into_response(),
    }
}

fn parts() -> Router {
    Router::new().route("/parts/{what}", get(part))
}

/// Answers 200, whatever its parts answer.
fn batch<S>(parts: S, whats: &'static [&'static str]) -> Router
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let run = move || {
        let parts = parts.clone();
        async move {
            for what in whats {
                let response = parts.clone().oneshot(request(&format!("/parts/{what}"))).await.unwrap();
                // A body that breaks off is the batch's affair.
                let _ = response.into_body().collect().await;
            }
            "done"
        }
    };
    Router::new().route("/batch", get(run))
}

async fn visit(app: Router, path: &str) -> StatusCode {
    let response = app.oneshot(request(path)).await.unwrap();
    let status = response.status();
    let _ = response.into_body().collect().await;
    status
}

/// The name, the text and the status of each event.
fn failures(captured: &Captured) -> Vec<String> {
    captured.events().iter().map(failure).collect()
}

fn failure(event: &Event) -> String {
    let text = match event.exception.values.last() {
        Some(exception) => exception.value.clone(),
        None => event.logentry.as_ref().and_then(|entry| entry.message.clone()),
    };
    format!("{}: {}", event.transaction.as_deref().unwrap_or("-"), text.unwrap_or_default())
}

#[tokio::test]
async fn each_failed_part_of_a_batch_is_reported_by_its_name() {
    for rate in [1.0, 0.0, 1e-9] {
        let (client, captured) = client_with(Config::builder().traces_sample_rate(rate));
        let layer = SentryLayer::new(&client);
        let app = batch(parts().layer(layer.clone()), &["error", "fine", "plain", "captures", "missing"]).layer(layer);

        assert_eq!(visit(app, "/batch").await, StatusCode::OK);

        let expected = [
            "GET /parts/{what}: GET /parts/{what} answered 500",
            "GET /parts/{what}: the cache is cold",
            "GET /parts/{what}: the disk is full",
        ];
        let mut found = failures(&captured);
        found.sort();
        assert_eq!(found, expected, "at rate {rate}");
        // A failed request is kept, except at the final rate zero.
        if rate > 0.0 {
            assert_eq!(
                captured.tree(),
                "GET /batch [http.server] ok\n  GET /parts/{what} [http.server] internal_error\n  GET /parts/{what} [http.server] ok\n  \
                 GET /parts/{what} [http.server] internal_error\n  GET /parts/{what} [http.server] unavailable\n  \
                 GET /parts/{what} [http.server] not_found\n"
            );
            let transaction = &captured.transactions()[0];
            let trace = transaction.contexts.trace.as_ref().unwrap();
            assert!(captured.events().iter().all(|event| event.contexts.trace.as_ref().unwrap().trace_id == trace.trace_id));
            let data = &transaction.spans[4].data;
            let shown = ["http.request.method", "http.route", "http.response.status_code"].map(|name| data[name].clone());
            assert_eq!(serde_json::json!(shown), serde_json::json!(["GET", "/parts/{what}", 404]));
        } else {
            assert_eq!(captured.tree(), "");
        }
        support::settle(&client).await;
    }
}

#[tokio::test]
async fn the_status_of_an_event_is_that_of_its_part() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let app = batch(parts().layer(layer.clone()), &["captures", "plain"]).layer(layer);

    visit(app, "/batch").await;

    let statuses = support::payloads_in(&captured.envelopes(), "event");
    let statuses: Vec<_> = statuses.iter().map(|event| event["contexts"]["response"]["status_code"].clone()).collect();
    assert_eq!(statuses, [503, 500]);
}

#[tokio::test]
async fn the_same_error_in_two_parts_is_two_events_with_two_ids() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client).event_header("x-error-id");
    let inner = parts().layer(layer.clone());
    let (ids, handed_out) = std::sync::mpsc::channel();
    let run = move || {
        let (inner, ids) = (inner.clone(), ids.clone());
        async move {
            for _ in 0..2 {
                let response = inner.clone().oneshot(request("/parts/error")).await.unwrap();
                ids.send(response.headers()["x-error-id"].to_str().unwrap().to_owned()).unwrap();
            }
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    visit(app, "/batch").await;

    let events: Vec<_> = captured.events().iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(events, handed_out.try_iter().collect::<Vec<_>>());
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn an_error_that_the_outer_request_reports_again_is_one_event() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let inner = parts().layer(layer.clone());
    let run = move || {
        let inner = inner.clone();
        async move {
            let _ = inner.oneshot(request("/parts/error")).await;
            broken("the disk is full")
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    assert_eq!(visit(app, "/batch").await, StatusCode::INTERNAL_SERVER_ERROR);

    assert_eq!(failures(&captured), ["GET /parts/{what}: the disk is full"]);
}

#[tokio::test]
async fn a_failure_that_a_middleware_masks_is_reported() {
    for what in ["plain", "error", "captures"] {
        let (client, captured) = client();
        let fine = async |mut response: Response| {
            *response.status_mut() = StatusCode::OK;
            response
        };
        let app = parts().layer(SentryLayer::new(&client)).layer(map_response(fine)).layer(SentryLayer::new(&client));

        assert_eq!(visit(app, &format!("/parts/{what}")).await, StatusCode::OK);

        assert_eq!(captured.events().len(), 1, "{what}");
        assert_eq!(captured.transactions()[0].spans.len(), 1);
    }
}

#[tokio::test]
async fn a_failure_that_passes_two_layers_is_one_event() {
    for what in ["plain", "error", "captures"] {
        let (client, captured) = client();
        let app = parts().layer(SentryLayer::new(&client)).layer(SentryLayer::new(&client));

        assert_ne!(visit(app, &format!("/parts/{what}")).await, StatusCode::OK);

        assert_eq!(captured.events().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_layer_of_another_client_has_its_own_transaction_and_errors() {
    let (outer, of_outer) = client();
    let (inner, of_inner) = client();
    let app = parts().layer(SentryLayer::new(&inner)).layer(SentryLayer::new(&outer));

    for what in ["fine", "error"] {
        visit(app.clone(), &format!("/parts/{what}")).await;
    }

    let tree = "GET /parts/{what} [http.server] ok\nGET /parts/{what} [http.server] internal_error\n";
    assert_eq!((of_outer.tree(), of_inner.tree()), (tree.to_owned(), tree.to_owned()));
    let told = ["GET /parts/{what}: the disk is full"];
    assert_eq!((failures(&of_outer), failures(&of_inner)), (told.map(str::to_owned).into(), told.map(str::to_owned).into()));
    assert_ne!(of_outer.events()[0].event_id, of_inner.events()[0].event_id);
    for (above, below) in of_outer.transactions().iter().zip(&of_inner.transactions()) {
        let (above, below) = (above.contexts.trace.as_ref().unwrap(), below.contexts.trace.as_ref().unwrap());
        assert_eq!((below.trace_id, below.parent_span_id), (above.trace_id, Some(above.span_id)), "one trace");
    }
}

#[tokio::test]
async fn what_another_client_ignores_is_not_ignored_here() {
    let (outer, of_outer) = client();
    let (inner, of_inner) = client();
    let app = parts().layer(SentryLayer::new(&inner)).layer(SentryLayer::new(&outer).ignore(["/parts/{what}"]));

    visit(app, "/parts/plain").await;

    assert_eq!(of_outer.tree() + &failures(&of_outer).concat(), "");
    assert_eq!(of_inner.tree(), "GET /parts/{what} [http.server] internal_error\n");
    assert_eq!(failures(&of_inner), ["GET /parts/{what}: GET /parts/{what} answered 500"]);
}

#[tokio::test]
async fn what_the_inner_layer_ignores_is_as_if_that_layer_were_not_there() {
    let (client, captured) = client();
    let inner = parts().layer(SentryLayer::new(&client).ignore(["/parts/{what}"]));
    let app = batch(inner, &["plain", "captures"]).layer(SentryLayer::new(&client));

    visit(app, "/batch").await;

    assert_eq!(captured.tree(), "GET /batch [http.server] ok\n");
    assert_eq!(failures(&captured), ["GET /batch: the cache is cold"]);
}

#[tokio::test]
async fn the_inner_layer_says_which_of_its_codes_failed() {
    let (client, captured) = client();
    let not_found = RouteOptions::new().failed_status_codes(404);
    let inner = parts().layer(SentryLayer::new(&client).route("/parts/{what}", not_found));
    let app = batch(inner, &["plain", "missing"]).layer(SentryLayer::new(&client));

    visit(app, "/batch").await;

    assert_eq!(failures(&captured), ["GET /parts/{what}: GET /parts/{what} answered 404"]);
}

#[tokio::test]
async fn an_inner_body_that_breaks_off_is_reported() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let app = batch(parts().layer(layer.clone()), &["stream", "fine"]).layer(layer);

    visit(app, "/batch").await;

    assert_eq!(failures(&captured), ["GET /parts/{what}: GET /parts/{what} failed in the body of its response"]);
    let statuses: Vec<_> = captured.transactions()[0].spans.iter().map(|span| span.status).collect();
    assert_eq!(statuses, [Some(SpanStatus::InternalError), Some(SpanStatus::Ok)]);
}

#[tokio::test]
async fn an_inner_stream_lasts_as_long_as_its_body() {
    let (client, captured) = client();
    let (frames, body) = tokio::sync::mpsc::unbounded_channel::<Result<&'static str, Infallible>>();
    let body = std::sync::Mutex::new(Some(body));
    let answer = move || {
        let mut body = body.lock().unwrap().take().unwrap();
        std::future::ready(Body::from_stream(stream::poll_fn(move |cx| body.poll_recv(cx))).into_response())
    };
    let answer = std::sync::Arc::new(answer);
    let app = Router::new().route("/feed", get(move || answer())).layer(SentryLayer::new(&client)).layer(SentryLayer::new(&client));

    let mut body = app.oneshot(request("/feed")).await.unwrap().into_body().into_data_stream();
    for _ in 0..2 {
        frames.send(Ok("tick")).unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "tick");
    }
    drop(body);

    assert_eq!(captured.tree(), "GET /feed [http.server] cancelled\n  GET /feed [http.server] cancelled\n");
}

#[tokio::test]
async fn a_panic_in_a_part_has_its_name() {
    if in_child("inner_requests::a_panic_in_a_part_has_its_name", &[]) {
        return;
    }
    let relay = support::Relay::start();
    let guard = support::config(&relay).panic_hook(true).shutdown_timeout(support::patience()).init().unwrap();
    let layer = SentryLayer::new(&guard);
    let inner = parts().layer(layer.clone()).layer(CatchPanicLayer::new());
    let app = batch(inner, &["panics", "fine"]).layer(layer);

    assert_eq!(visit(app, "/batch").await, StatusCode::OK);
    drop(guard);

    let names: Vec<_> = relay.events().iter().map(|event| event["transaction"].clone()).collect();
    assert_eq!(names, ["GET /parts/{what}"]);
    let tree = support::tree(&relay.transactions()[0]);
    assert_eq!(
        tree,
        "GET /batch [http.server] ok\n  GET /parts/{what} [http.server] internal_error\n  GET /parts/{what} [http.server] ok\n"
    );
}

#[tokio::test]
async fn a_part_that_is_given_up_is_cancelled() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let inner = parts().layer(layer.clone());
    let run = move || {
        let inner = inner.clone();
        async move {
            assert!(Box::pin(inner.oneshot(request("/parts/hangs"))).as_mut().now_or_never().is_none());
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    visit(app, "/batch").await;

    assert_eq!(captured.tree(), "GET /batch [http.server] ok\n  GET /parts/{what} [http.server] cancelled\n");
    assert_eq!(captured.events().len(), 0);
}

#[tokio::test]
async fn the_scope_inside_is_the_one_of_the_outer_request() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let deep = async || {
        Scope::current().set_user(User::id(7)).set_tag("depth", 2);
        tower_sentry::span("db.query", "SELECT user", std::future::ready(())).await;
    };
    let app = Router::new().route("/", get(deep)).layer(layer.clone()).layer(layer);

    visit(app, "/").await;

    let transaction = &captured.transactions()[0];
    assert_eq!(transaction.user.as_ref().unwrap().id.as_deref(), Some("7"));
    assert_eq!(transaction.tags["depth"], "2");
    assert_eq!(captured.tree(), "GET / [http.server] ok\n  GET / [http.server] ok\n    SELECT user [db.query] ok\n");
}

#[tokio::test]
async fn parts_that_run_at_the_same_time_are_not_mixed_up() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let answer = |Path(number): Path<u16>| async move {
        tokio::task::yield_now().await;
        if number.is_multiple_of(2) {
            tower_sentry::capture_error(&Numbered(number));
        }
        tokio::task::yield_now().await;
        StatusCode::from_u16(500 + number).unwrap()
    };
    let inner = Router::new().route("/{number}", get(answer)).layer(layer.clone());
    let run = move || {
        let inner = inner.clone();
        async move {
            let part = |number: u16| inner.clone().oneshot(request(&format!("/{number}")));
            futures_util::future::join_all((0..6).map(part)).await;
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    visit(app, "/batch").await;

    let mut found = failures(&captured);
    found.sort();
    let expected = [
        "GET /{number}: GET /{number} answered 501",
        "GET /{number}: GET /{number} answered 503",
        "GET /{number}: GET /{number} answered 505",
    ];
    let expected = expected.into_iter().chain(["GET /{number}: number 0", "GET /{number}: number 2", "GET /{number}: number 4"]);
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[derive(Debug)]
struct Numbered(u16);

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {}", self.0)
    }
}

impl std::error::Error for Numbered {}

#[tokio::test]
async fn beyond_the_span_limit_failures_are_still_reported() {
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).max_spans(1));
    let layer = SentryLayer::new(&client);
    let app = batch(parts().layer(layer.clone()), &["fine", "plain", "fine"]).layer(layer);

    visit(app, "/batch").await;

    assert_eq!(captured.tree(), "GET /batch [http.server] ok\n  GET /parts/{what} [http.server] ok\n");
    assert_eq!(failures(&captured), ["GET /batch: GET /batch answered 500"]);
    support::settle(&client).await;
}

#[tokio::test]
async fn a_part_that_is_called_in_another_task_has_its_own_transaction_in_the_same_trace() {
    support::subscribe();
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let inner = parts().layer(layer.clone());
    let run = move || {
        let part = |what: &str| inner.clone().oneshot(request(&format!("/parts/{what}")));
        let (plain, bound, instrumented) = (part("fine"), part("plain"), part("missing"));
        async move {
            tokio::spawn(plain).await.unwrap().unwrap();
            tokio::spawn(Scope::current().bind(bound)).await.unwrap().unwrap();
            tokio::spawn(instrumented.instrument(tracing::info_span!("fetch"))).await.unwrap().unwrap();
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    visit(app, "/batch").await;

    let transactions = captured.transactions();
    let of = |status: SpanStatus| {
        let trace = |transaction: &tower_sentry::protocol::Transaction| transaction.contexts.trace.clone().unwrap();
        let name = if status == SpanStatus::Ok { "GET /batch" } else { "GET /parts/{what}" };
        transactions.iter().filter(|found| found.name == name).map(trace).find(|trace| trace.status == Some(status)).unwrap()
    };
    let (batch, bound, instrumented) = (of(SpanStatus::Ok), of(SpanStatus::InternalError), of(SpanStatus::NotFound));
    assert_eq!(transactions.len(), 4);
    assert_eq!((bound.trace_id, bound.parent_span_id), (batch.trace_id, Some(batch.span_id)));
    assert_eq!(
        (instrumented.trace_id, instrumented.parent_span_id),
        (batch.trace_id, Some(transactions.iter().find(|found| found.name == "GET /batch").unwrap().spans[0].span_id))
    );
    assert_eq!(failures(&captured), ["GET /parts/{what}: GET /parts/{what} answered 500"]);
}

#[tokio::test]
async fn a_bound_future_that_the_handler_awaits_itself_is_inside() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let inner = parts().layer(layer.clone());
    let run = move || {
        let part = inner.clone().oneshot(request("/parts/plain"));
        async move {
            Scope::current()
                .with(|scope| {
                    scope.set_tag("warehouse", "eu-1");
                    scope.bind(part)
                })
                .await
                .unwrap();
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    visit(app, "/batch").await;

    assert_eq!(captured.tree(), "GET /batch [http.server] ok\n  GET /parts/{what} [http.server] internal_error\n");
    assert_eq!(captured.events()[0].tags["warehouse"], "eu-1");
}

/// A guard that is held over an await leaves its span entered on the thread.
#[tokio::test]
async fn another_request_of_the_thread_is_not_inside_a_span_that_was_left_entered() {
    // What belongs to no request would go to another test's client.
    if in_child("inner_requests::another_request_of_the_thread_is_not_inside_a_span_that_was_left_entered", &[]) {
        return;
    }
    support::subscribe();
    let (client, captured) = client();
    let (wake, woken) = tokio::sync::oneshot::channel::<()>();
    let handler = |client: Client, name: &'static str| SentryLayer::new(client).name(move |_| Some(name.to_owned()));
    let first = {
        let woken = std::sync::Mutex::new(Some(woken));
        handler(client.clone(), "first").layer(tower::service_fn(move |_: Request<Body>| {
            Scope::current().set_user(User::id("ann"));
            let span = tracing::info_span!("held");
            let woken = woken.lock().unwrap().take().unwrap();
            async move {
                let task = tokio::task::spawn_local(async move {
                    let _entered = span.enter();
                    woken.await.unwrap();
                    tower_sentry::capture_error(&io::Error::other("of ann"));
                });
                task.await.unwrap();
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        }))
    };
    let second = handler(client.clone(), "second").layer(tower::service_fn(|_: Request<Body>| async {
        Scope::current().set_user(User::id("ben"));
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));

    tokio::task::LocalSet::new()
        .run_until(async move {
            let first = tokio::task::spawn_local(first.oneshot(request("/first")));
            // The first request and its task have begun to wait.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            let other = tokio::task::spawn_local(async {
                tower_sentry::capture_error(&io::Error::other("of no request"));
                tracing::info!("of no request");
            });
            other.await.unwrap();
            drop(tokio::task::spawn_local(second.oneshot(request("/second"))).await.unwrap().unwrap());
            wake.send(()).unwrap();
            drop(first.await.unwrap().unwrap());
        })
        .await;

    assert_eq!(captured.tree(), "second [http.server] ok\nfirst [http.server] ok\n  held [function] ok\n");
    let users: Vec<_> = captured.transactions().into_iter().map(|transaction| transaction.user.unwrap().id.unwrap()).collect();
    assert_eq!(users, ["ben", "ann"]);
    assert_eq!(failures(&captured), ["first: of ann"]);
}

#[tokio::test]
async fn an_inner_layer_names_the_request_of_the_one_around_the_router() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let inner = parts().layer(layer.clone());
    let app = Router::new().fallback_service(batch(inner.clone(), &["fine"]).fallback_service(inner)).layer(layer);

    visit(app.clone(), "/parts/fine").await;
    visit(app, "/batch").await;

    assert_eq!(
        captured.tree(),
        "GET /parts/{what} [http.server] ok\n  GET /parts/{what} [http.server] ok\nGET <fallback> [http.server] ok\n  GET /parts/{what} [http.server] ok\n"
    );
}

#[tokio::test]
async fn a_route_name_layer_names_the_inner_request_it_is_in() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client).boxed_body();
    let inner = layer.layer(parts().route_layer(RouteNameLayer));
    let app = batch(inner, &["plain"]).layer(SentryLayer::new(&client));

    visit(app, "/batch").await;

    assert_eq!(captured.tree(), "GET /batch [http.server] ok\n  GET /parts/{what} [http.server] internal_error\n");
    assert_eq!(failures(&captured), ["GET /parts/{what}: GET /parts/{what} answered 500"]);
}

#[tokio::test]
async fn ids_are_handed_out_once_per_part() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client);
    let (ids, handed_out) = std::sync::mpsc::channel();
    let answer = move || {
        let ids = ids.clone();
        async move {
            let error = CaptureError::new(io::Error::other("the disk is full"));
            ids.send(error.event_id()).unwrap();
            // The other part makes its error before this one is reported.
            tokio::task::yield_now().await;
            error
        }
    };
    let inner = Router::new().route("/part", get(answer)).layer(layer.clone());
    let run = move || {
        let part = || inner.clone().oneshot(request("/part"));
        let both = futures_util::future::join(part(), part());
        async move {
            let (one, other) = both.await;
            assert_eq!(
                (one.unwrap().status(), other.unwrap().status()),
                (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::INTERNAL_SERVER_ERROR)
            );
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    visit(app, "/batch").await;

    let events: Vec<_> = captured.events().iter().map(|event| event.event_id).collect();
    assert_eq!(events, handed_out.try_iter().collect::<Vec<_>>());
    assert!(events.len() == 2 && events[0] != events[1]);
}

#[tokio::test]
async fn a_request_inside_a_stream_whose_transaction_was_cut_has_one_of_its_own() {
    let (client, captured) = client();
    let layer = SentryLayer::new(&client).max_duration(std::time::Duration::ZERO);
    let inner = parts().layer(layer.clone());
    let events = move || async move {
        let frames = stream::iter(["one", "two", "three"]).then(move |frame| {
            let inner = inner.clone();
            async move {
                if frame == "three" {
                    inner.oneshot(request("/parts/fine")).await.unwrap();
                }
                Ok::<_, Infallible>(frame)
            }
        });
        Body::from_stream(frames).into_response()
    };
    let app = Router::new().route("/events", get(events)).layer(layer);

    app.oneshot(request("/events")).await.unwrap().into_body().collect().await.unwrap();
    support::settle(&client).await;

    let names: Vec<_> = captured.transactions().into_iter().map(|transaction| transaction.name).collect();
    assert_eq!(names, ["GET /events", "GET /parts/{what}"]);
}

#[tokio::test]
async fn one_error_of_two_parts_is_two_events_wherever_it_is_captured() {
    let (client, captured) = client();
    let one = || async { CaptureError::new(io::Error::other("the disk is full")).into_response() };
    let two = || async { CaptureError::new(io::Error::other("the disk is full")).into_response() };
    let parts = Router::new().route("/parts/one", get(one)).route("/parts/two", get(two)).layer(SentryLayer::new(&client));
    let app = batch(parts, &["one", "two"]).layer(SentryLayer::new(&client));

    app.oneshot(request("/batch")).await.unwrap();
    support::settle(&client).await;

    let names: Vec<_> = captured.events().into_iter().map(|event| event.transaction.unwrap()).collect();
    assert_eq!(names, ["GET /parts/one", "GET /parts/two"]);
}

/// Two panics of one function are two failures, also if the first one left an inner request.
#[tokio::test]
async fn a_panic_after_one_in_a_part_is_an_event_whatever_its_text() {
    if in_child("inner_requests::a_panic_after_one_in_a_part_is_an_event_whatever_its_text", &[]) {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    async fn crash() {
        let crashes = std::hint::black_box(true);
        assert!(!crashes, "no stock");
    }
    let relay = support::Relay::start();
    let guard = support::config(&relay).panic_hook(true).shutdown_timeout(support::patience()).init().unwrap();
    let layer = SentryLayer::new(&guard);
    let inner = Router::new().route("/part", get(crash)).layer(layer.clone()).layer(CatchPanicLayer::new());
    let run = move || {
        let inner = inner.clone();
        async move {
            inner.oneshot(request("/part")).await.unwrap();
            tokio::spawn(Scope::current().bind(crash())).await.unwrap_err();
        }
    };
    let app = Router::new().route("/batch", get(run)).layer(layer);

    visit(app, "/batch").await;
    drop(guard);

    let names: Vec<_> = relay.events().iter().map(|event| event["transaction"].clone()).collect();
    assert_eq!(names, ["GET /part", "GET /batch"]);
}

#[tokio::test]
async fn a_layer_in_a_service_builder_has_the_names_and_failures_of_the_one_below() {
    for what in ["error", "plain", "captures"] {
        let (client, captured) = client();
        let routes = parts().layer(SentryLayer::new(&client));
        let app = ServiceBuilder::new().layer(SentryLayer::new(&client).boxed_body()).layer(CatchPanicLayer::new()).service(routes);

        let response = app.oneshot(request(&format!("/parts/{what}"))).await.unwrap();
        assert!(response.status().is_server_error());
        let _ = response.into_body().collect().await;

        let status = if what == "captures" { "unavailable" } else { "internal_error" };
        let line = format!("GET /parts/{{what}} [http.server] {status}\n");
        assert_eq!(captured.tree(), format!("{line}  {line}"), "{what}");
        let events = captured.events();
        assert_eq!(events.len(), 1, "{what}: {events:?}");
        assert_eq!(events[0].transaction.as_deref(), Some("GET /parts/{what}"));
        support::settle(&client).await;
    }
}

#[tokio::test]
async fn the_layers_of_a_nested_router_have_the_whole_route() {
    let (client, captured) = client();
    let layer = || SentryLayer::new(&client);
    let nested = |what: &str| {
        let path = format!("/api/parts/{what}");
        let both = Router::new().nest("/api", parts().layer(layer())).layer(layer());
        let twice = Router::new()
            .nest("/api", Router::new().nest("/parts", Router::new().route("/{what}", get(part)).layer(layer())).layer(layer()));
        (both, twice, path)
    };

    for what in ["fine", "error", "plain", "stream"] {
        let (both, twice, path) = nested(what);
        visit(both, &path).await;
        visit(twice, &path).await;
    }

    let transactions = captured.transactions();
    let names: Vec<_> = transactions.iter().map(|transaction| transaction.name.as_str()).collect();
    assert_eq!(names, ["GET /api/parts/{what}"; 8]);
    assert!(transactions.iter().all(|transaction| transaction.spans.len() == 1), "one span each: {}", captured.tree());
    let failures = failures(&captured);
    let two = |text: &str| [format!("GET /api/parts/{{what}}: {text}"), format!("GET /api/parts/{{what}}: {text}")];
    let expected = [
        two("the disk is full"),
        two("GET /api/parts/{what} answered 500"),
        two("GET /api/parts/{what} failed in the body of its response"),
    ];
    assert_eq!(failures, expected.concat());
}

#[tokio::test]
async fn the_layers_around_and_in_a_nested_service_report_a_failure_once() {
    let (client, captured) = client();
    let app = Router::new().nest_service("/api", parts().layer(SentryLayer::new(&client))).layer(SentryLayer::new(&client));

    for what in ["fine", "error", "plain"] {
        visit(app.clone(), &format!("/api/parts/{what}")).await;
    }

    let line = |status: &str| format!("GET /api/parts/{{what}} [http.server] {status}\n  GET /api/parts/{{what}} [http.server] {status}\n");
    assert_eq!(captured.tree(), [line("ok"), line("internal_error"), line("internal_error")].concat());
    let expected = ["GET /api/parts/{what}: the disk is full", "GET /api/parts/{what}: GET /api/parts/{what} answered 500"];
    assert_eq!(failures(&captured), expected);
}
