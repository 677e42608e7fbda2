//! One failure, reported in every order: it is one event, and each id that was handed out is known.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::mpsc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower::ServiceExt as _;
use tower_sentry::test::Captured;
use tower_sentry::{CaptureError, Client, EventId, Scope, SentryLayer, capture_error};
use tracing::error;

use crate::support;

/// An error whose text says which order it belongs to.
#[derive(Clone, Debug)]
struct OrderError(String);

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "order {} failed", self.0)
    }
}

impl Error for OrderError {}

/// What is done with an error, one letter each: the log of its text, the log of the error, a capture, an id that is announced.
const STEPS: [char; 4] = ['t', 'e', 'c', 'a'];

/// All orders of at most three steps.
fn orders() -> Vec<String> {
    let mut orders = vec![String::new()];
    let mut from = 0;
    for _ in 0..3 {
        let to = orders.len();
        for place in from..to {
            orders.extend(STEPS.map(|step| format!("{}{step}", orders[place])));
        }
        from = to;
    }
    orders
}

/// What a failure did.
#[derive(Default)]
struct Done {
    handed_out: Vec<EventId>,
    announced: Vec<CaptureError>,
}

impl Done {
    /// Does the steps of an order. Each position has its own places in the code.
    fn order(error: &OrderError) -> Self {
        let mut done = Self::default();
        macro_rules! step {
            ($position:expr) => {
                match error.0.chars().nth($position) {
                    Some('t') => error!(error = %error, "by text"),
                    Some('e') => error!(error = error as &dyn Error, "by chain"),
                    Some('c') => done.handed_out.push(capture_error(error)),
                    Some('a') => {
                        let announced = CaptureError::new(error.clone());
                        done.handed_out.push(announced.event_id());
                        done.announced.push(announced);
                    }
                    _ => {}
                }
            };
        }
        step!(0);
        step!(1);
        step!(2);
        done
    }

    /// The response of a handler that returns the error.
    fn response(self, error: &OrderError) -> (Vec<EventId>, Response) {
        let Self { mut handed_out, mut announced } = self;
        let returned = announced.pop().unwrap_or_else(|| CaptureError::new(error.clone()));
        handed_out.push(returned.event_id());
        (handed_out, (StatusCode::INTERNAL_SERVER_ERROR, returned).into_response())
    }
}

fn count(order: &str, steps: &str) -> usize {
    order.chars().filter(|step| steps.contains(*step)).count()
}

/// The events of an order: one, but logs that only show a text prove nothing about each other.
fn events_of(order: &str, end: End) -> usize {
    if end == End::Returned || count(order, "ec") > 0 { 1 } else { count(order, "t") }
}

/// How a failure ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Handled,
    Returned,
}

/// The figures of one failure.
struct Outcome {
    name: String,
    handed_out: Vec<EventId>,
    reports: usize,
    /// How many events it becomes.
    events: usize,
}

/// Checks each failure against what arrived.
async fn check(client: &Client, captured: &Captured, outcomes: Vec<Outcome>) {
    support::settle(client).await;
    let events = captured.events();
    let mut missing = BTreeSet::new();
    for Outcome { name, handed_out, events: expected, .. } in &outcomes {
        let order = name.split(' ').next_back().unwrap();
        let text = OrderError(order.to_owned()).to_string();
        let is_own = |event: &&tower_sentry::protocol::Event| {
            let log = event.contexts.other.get("fields").and_then(|fields| fields["error"].as_str()) == Some(&text);
            log || event.exception.values.iter().any(|error| error.value.as_deref() == Some(&text))
        };
        let own: Vec<_> = events.iter().filter(is_own).collect();
        assert_eq!(own.len(), *expected, "{name}");
        let has_error = own.iter().any(|event| event.exception.values.iter().any(|error| error.kind.as_deref() == Some("OrderError")));
        assert_eq!(
            has_error,
            !own.is_empty() && (count(order, "ec") > 0 || name.starts_with("Returned")),
            "{name}: it has the error if one report had it"
        );
        missing.extend(handed_out.iter().filter(|id| own.iter().all(|event| event.event_id != **id)).copied());
    }
    let stats = client.stats();
    assert_eq!(missing.len() as u64, stats.errors.dropped_total(), "an id without an event is counted: {missing:?}");
    let reports: usize = outcomes.iter().map(|outcome| outcome.reports).sum();
    assert_eq!(stats.errors.sent + stats.merged_reports, reports as u64, "each report is in an event: {stats:?}");
    let ids: BTreeSet<_> = events.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), events.len(), "no id belongs to two events");
}

#[tokio::test]
async fn in_a_request() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let mut outcomes = Vec::new();
    for end in [End::Handled, End::Returned] {
        for order in orders() {
            let order = format!("{order}{}", if end == End::Handled { "." } else { "!" });
            let (ids, handed_out) = mpsc::channel();
            let error = OrderError(order.clone());
            let handler = move || async move {
                let done = Done::order(&error);
                let (handed_out, response) = match end {
                    End::Handled => (done.handed_out, StatusCode::NOT_FOUND.into_response()),
                    End::Returned => done.response(&error),
                };
                ids.send(handed_out).unwrap();
                response
            };
            let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
            drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());

            let reports = count(&order, "tec") + usize::from(end == End::Returned);
            let handed_out = handed_out.recv().unwrap();
            outcomes.push(Outcome { name: format!("{end:?} {order}"), handed_out, reports, events: events_of(&order, end) });
        }
    }

    assert!(outcomes.len() > 150);
    check(&client, &captured, outcomes).await;
}

#[tokio::test]
async fn in_a_bound_task() {
    support::subscribe();
    // The task runs before the head of its request, or after its end.
    for is_early in [true, false] {
        let (client, captured) = tower_sentry::test::client();
        let mut outcomes = Vec::new();
        for order in orders() {
            let (tasks, bound) = mpsc::channel();
            let error = OrderError(order.clone());
            let handler = move || async move {
                let task = Scope::current().bind(async move { Done::order(&error).handed_out });
                let task = if is_early {
                    futures_util::future::Either::Left(std::future::ready(task.await))
                } else {
                    futures_util::future::Either::Right(task)
                };
                tasks.send(task).unwrap();
            };
            let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
            drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());

            let handed_out = bound.recv().unwrap().await;
            let reports = count(&order, "tec");
            // After the head, each capture has an event.
            let events = events_of(&order, End::Handled).max(if is_early { 0 } else { count(&order, "c") });
            outcomes.push(Outcome { name: format!("Handled {order}"), handed_out, reports, events });
        }

        check(&client, &captured, outcomes).await;
    }
}

#[tokio::test]
async fn in_a_job() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let mut outcomes = Vec::new();
    for end in [End::Handled, End::Returned] {
        for order in orders() {
            let order = format!("{order}{}", if end == End::Handled { "." } else { "!" });
            let error = OrderError(order.clone());
            let mut handed_out = Vec::new();
            let work = async {
                handed_out = Done::order(&error).handed_out;
                tokio::task::yield_now().await;
                if end == End::Returned { Err(error.clone()) } else { Ok(()) }
            };
            assert_eq!(client.transaction("job").run(work).await.is_err(), end == End::Returned);

            let reports = count(&order, "tec") + usize::from(end == End::Returned);
            let events = events_of(&order, end).max(count(&order, "c"));
            outcomes.push(Outcome { name: format!("{end:?} {order}"), handed_out, reports, events });
        }
    }

    check(&client, &captured, outcomes).await;
}

/// What a handler does between the announcement of an id and its return.
type Between = fn(&OrderError) -> Option<EventId>;

#[tokio::test]
async fn two_ids_that_were_handed_out_are_two_events() {
    support::subscribe();
    // Too many ids were announced since, so the first one is not remembered.
    let explicit: Between = |error| Some(capture_error(error));
    let logs: Between = |error| {
        error!("{error}");
        None
    };
    for (between, expected) in [(explicit, 2), (logs, 1)] {
        let (client, captured) = tower_sentry::test::client();
        let (ids, handed_out) = mpsc::channel();
        let handler = move || async move {
            let error = OrderError("first".to_owned());
            let announced = CaptureError::new(error.clone());
            let others: Vec<_> = (0..9).map(|number| CaptureError::new(OrderError(number.to_string()))).collect();
            let meanwhile = between(&error);
            drop(others);
            ids.send((announced.event_id(), meanwhile)).unwrap();
            (StatusCode::INTERNAL_SERVER_ERROR, announced).into_response()
        };
        let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client).event_header("x-error-id"));
        let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        let header = response.headers()["x-error-id"].to_str().unwrap().to_owned();
        drop(response);
        support::settle(&client).await;

        let (announced, returned) = handed_out.recv().unwrap();
        let sent: BTreeSet<_> = captured.events().iter().map(|event| event.event_id).collect();
        let known: BTreeSet<_> = returned.into_iter().chain([announced]).collect();
        assert_eq!((sent.len(), &sent), (expected, &known));
        assert!(sent.iter().any(|id| id.to_string() == header), "the header has the id of an event");
        assert_eq!(client.stats().errors.dropped_total(), 0, "the ids of the others were not asked for");
    }
}
