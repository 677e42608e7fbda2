//! A service that has traces of OpenTelemetry already: both have one trace id.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use opentelemetry::global;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::ServiceExt as _;
use tower_sentry::{SentryLayer, TracingLayer};
use tracing::{Instrument as _, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

const CALLER: &str = "00-0123456789abcdef0123456789abcdef-00f067aa0ba902b7-01";

/// The ids of OpenTelemetry around this place.
fn ids() -> (String, String) {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    (span.trace_id().to_string(), span.span_id().to_string())
}

#[tokio::test]
async fn a_transaction_is_a_child_of_the_span_of_opentelemetry_around_it() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let (sentry, captured) = tower_sentry::test::client();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")))
        .with(TracingLayer::new(&sentry));
    let _default = tracing::subscriber::set_default(subscriber);
    let layer = SentryLayer::new(&sentry).trace_from(|_| {
        let mut headers = HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&Span::current().context(), &mut headers));
        headers
    });
    let app = Router::new().route("/", get(|| async { info_span!("part").in_scope(|| ids().0) })).layer(layer);
    let send = |request: Request<Body>| {
        let app = app.clone();
        async move { axum::body::to_bytes(app.oneshot(request).await.unwrap().into_body(), 100).await.unwrap() }
    };

    // A span of OpenTelemetry that continues the caller's trace, one that begins a trace, and none.
    let headers = HashMap::from([("traceparent".to_owned(), CALLER.to_owned())]);
    let continues = info_span!("continues");
    continues.set_parent(global::get_text_map_propagator(|propagator| propagator.extract(&headers))).unwrap();
    let begins = info_span!("begins");
    let spans = [continues, begins].map(|span| (span.in_scope(ids), span));
    let mut answers = Vec::new();
    for (_, span) in &spans {
        answers.push(send(Request::get("/").body(Body::empty()).unwrap()).instrument(span.clone()).await);
    }
    send(Request::get("/").header("traceparent", CALLER).body(Body::empty()).unwrap()).await;

    let transactions = captured.transactions();
    let found: Vec<_> = transactions.iter().filter_map(|transaction| transaction.contexts.trace.as_ref()).collect();
    assert_eq!(found.len(), 3);
    for (((trace_id, span_id), _), (trace, answer)) in spans.iter().zip(found.iter().zip(&answers)) {
        assert_eq!((trace.trace_id.to_string(), trace.parent_span_id.map(|id| id.to_string())), (trace_id.clone(), Some(span_id.clone())));
        assert_eq!(answer.as_ref(), trace_id.as_bytes(), "the spans inside have the same trace in OpenTelemetry");
    }
    assert_eq!(spans[0].0.0, CALLER[3..35], "the caller's trace went through");
    assert_ne!(spans[1].0.0, CALLER[3..35]);
    assert_eq!(found[2].trace_id.to_string(), CALLER[3..35], "without such a span, the headers count");
}
