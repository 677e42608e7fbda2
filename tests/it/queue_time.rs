//! A limit of concurrency: how long a request waits before the layer sees it, and which arrangement shows the wait.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use tokio::sync::Notify;
use tower::limit::ConcurrencyLimitLayer;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};
use tower_sentry::test::HandClock;
use tower_sentry::{Client, SentryLayer};

use crate::support::{self, Relay};

type Arranged = BoxCloneService<Request<Body>, StatusCode, BoxError>;

/// A layer and a limit of one request at a time, around a handler that waits at `/first`.
fn arranged(arrangement: usize, client: &Client, release: &Arc<Notify>) -> Arranged {
    let release = Arc::clone(release);
    let handler = move |request: Request<Body>| {
        let release = Arc::clone(&release);
        async move {
            if request.uri().path() == "/first" {
                release.notified().await;
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    };
    let sentry = SentryLayer::new(client).name(|head| Some(head.uri().path().to_owned()));
    let limit = ConcurrencyLimitLayer::new(1);
    let service = tower::service_fn(handler);
    let routes = || Router::new().fallback_service(service.clone());
    match arrangement {
        0 => boxed(ServiceBuilder::new().layer(sentry).layer(limit).service(service)),
        1 => boxed(ServiceBuilder::new().layer(sentry).buffer(8).layer(limit).service(service)),
        2 => boxed(routes().layer(limit).layer(sentry)),
        3 => boxed(routes().layer((sentry, limit))),
        _ => boxed(ServiceBuilder::new().layer(limit).layer(sentry).service(service)),
    }
}

fn boxed<S, B>(service: S) -> Arranged
where
    S: tower::Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    BoxCloneService::new(service.map_response(|response| response.status()).map_err(Into::into))
}

/// Lets the tasks of the runtime run: the worker of a buffer.
async fn others() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_wait_for_the_service_to_be_ready_is_timed_where_the_layer_sees_the_request_later() {
    // The wait before the call and the duration of the request that waited, and whether one that left while it waited is recorded.
    let rows = [(Some(250.0), 0, false), (None, 250, true), (None, 250, true), (Some(250.0), 0, false), (None, 0, false)];
    for (arrangement, (queue, took, is_seen)) in rows.into_iter().enumerate() {
        let relay = Relay::start();
        let client = support::client(&relay);
        let clock = HandClock::start();
        let release = Arc::new(Notify::new());
        let service = arranged(arrangement, &client, &release);
        let ask = |path: &str| Box::pin(service.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()));

        let mut first = ask("/first");
        assert!(futures_util::poll!(&mut first).is_pending());
        others().await;
        let (mut leaves, mut waits) = (ask("/leaves"), ask("/waits"));
        assert!(futures_util::poll!(&mut leaves).is_pending() && futures_util::poll!(&mut waits).is_pending());
        others().await;
        drop(leaves);
        clock.advance(Duration::from_millis(250));
        release.notify_one();
        assert!(first.await.unwrap().is_success() && waits.await.unwrap().is_success());
        drop((service, clock));
        others().await;
        support::settle(&client).await;

        let transactions = relay.transactions();
        let named = |name: &str| transactions.iter().find(|transaction| transaction["transaction"] == name);
        let waited = named("/waits").unwrap();
        let duration = waited["timestamp"].as_f64().unwrap() - waited["start_timestamp"].as_f64().unwrap();
        let seen = named("/leaves").map(|left| &left["contexts"]["trace"]["status"]);
        assert_eq!(waited["contexts"]["trace"]["data"]["tower_sentry.queue_ms"].as_f64(), queue, "arrangement {arrangement}");
        assert_eq!((duration * 1e3).round() as i64, took, "arrangement {arrangement}");
        assert_eq!(seen.map(|status| status == "cancelled"), is_seen.then_some(true), "arrangement {arrangement}");
        assert_eq!(named("/first").unwrap()["contexts"]["trace"]["data"].get("tower_sentry.queue_ms"), None);
    }
}
