//! What a job logs and returns: one event, with all that is known.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt as _;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer};
use tower_sentry::protocol::{DiscardReason, Event};
use tower_sentry::test::Captured;
use tower_sentry::{Client, Scope};
use tracing::{error, instrument};

use crate::support::{self, Relay, in_child};

#[derive(Clone, Debug)]
struct TaskError(&'static str);

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for TaskError {}

const FAILED: TaskError = TaskError("not found");

fn types(event: &Event) -> Vec<&str> {
    event.exception.values.iter().rev().map(|error| error.kind.as_deref().unwrap()).collect()
}

fn message(event: &Event) -> Option<String> {
    let event = serde_json::to_value(event).unwrap();
    event["logentry"]["message"].as_str().map(str::to_owned)
}

/// The events of a job that logs an error and returns it, and how many reports were merged.
async fn failed<F: Future<Output = Result<(), TaskError>>>(work: F) -> (Vec<Event>, u64) {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    assert!(client.transaction("job").run(work).await.is_err());
    support::settle(&client).await;
    (captured.events(), client.stats().merged_reports)
}

#[tokio::test]
async fn a_logged_error_that_is_returned_is_one_event_with_its_type() {
    #[instrument(err)]
    async fn inner() -> Result<(), TaskError> {
        tokio::task::yield_now().await;
        Err(FAILED)
    }
    #[instrument(err(Debug))]
    async fn outer() -> Result<(), TaskError> {
        inner().await
    }
    let rows = [
        failed(async {
            error!(result = %FAILED, "task.failed");
            Err(FAILED)
        })
        .await,
        failed(async {
            error!("{FAILED}");
            tokio::task::yield_now().await;
            Err(FAILED)
        })
        .await,
        failed(async {
            error!(error = &FAILED as &dyn Error, "task.failed");
            Err(FAILED)
        })
        .await,
        failed(inner()).await,
    ];
    let both = failed(outer()).await;

    for (events, merged) in rows {
        assert_eq!((events.len(), merged), (1, 1), "{events:?}");
        assert_eq!(types(&events[0]), ["TaskError"]);
        let exception = &events[0].exception.values[0];
        assert_eq!((exception.module.as_deref(), &exception.mechanism.as_ref().unwrap().handled), (Some("it::job_errors"), &Some(false)));
        assert!(message(&events[0]).is_some(), "it has the message of the log");
    }
    assert_eq!((both.0.len(), both.1), (1, 2));
}

#[tokio::test]
async fn an_error_with_another_text_than_the_log_is_an_event() {
    let (events, merged) = failed(async {
        error!("page 3 not found");
        Err(FAILED)
    })
    .await;

    assert_eq!((events.len(), merged), (2, 0));
    assert_eq!((message(&events[0]).as_deref(), types(&events[1])), (Some("page 3 not found"), vec!["TaskError"]));
}

#[tokio::test]
async fn a_context_that_a_job_adds_is_in_the_event_of_its_log() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let work = async {
        Scope::current().set_tag("step", "first");
        error!(error = &FAILED as &dyn Error, "task.failed");
        Scope::current().set_tag("step", "second");
        Err::<(), _>(anyhow::Error::new(FAILED).context("loading the page"))
    };

    assert!(client.transaction("job").run(work).await.is_err());
    support::settle(&client).await;

    let events = captured.events();
    assert_eq!((events.len(), client.stats().merged_reports), (1, 1));
    let texts: Vec<_> = events[0].exception.values.iter().rev().map(|error| error.value.as_deref().unwrap()).collect();
    assert_eq!(texts, ["loading the page", "not found"]);
    assert_eq!(events[0].tags["step"], "first", "the event is that of the first report");
}

#[tokio::test]
async fn a_hundred_failed_jobs_are_a_hundred_events_of_one_kind() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let fails = |number: u32| async move {
        let error = std::io::Error::other(format!("task {number} failed"));
        error!(result = %error, "task.failed");
        Err::<(), _>(error)
    };

    for number in 0..100 {
        assert!(client.transaction("job").run(fails(number)).await.is_err());
    }
    support::settle(&client).await;

    let events = captured.events();
    let kinds: std::collections::BTreeSet<_> =
        events.iter().map(|event| (types(event).join(" "), event.transaction.clone(), format!("{:?}", event.fingerprint))).collect();
    assert_eq!((events.len(), kinds.len(), client.stats().merged_reports), (100, 1, 100), "{kinds:?}");
}

/// A job of these attempts, in which `work` runs and the error is returned.
async fn attempts(of: &[u32], work: fn()) -> (Client, Captured) {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let layer = JobLayer::new(&client, |attempt: &u32| JobInfo::new("job").attempt(*attempt, 3)).report_last_attempt_only();
    let mut service = ServiceBuilder::new().layer(layer).service(service_fn(move |_: u32| async move {
        work();
        tokio::task::yield_now().await;
        Err::<(), _>(FAILED)
    }));
    for attempt in of {
        assert!(service.ready().await.unwrap().call(*attempt).await.is_err());
    }
    support::settle(&client).await;
    (client, captured)
}

#[tokio::test]
async fn only_the_last_attempt_is_reported_also_if_each_is_logged() {
    let rows: [fn(); 3] =
        [|| error!(result = %FAILED, "task.failed"), || error!(error = &FAILED as &dyn Error, "task.failed"), || error!(error = ?FAILED)];
    for log in rows {
        let (client, captured) = attempts(&[1, 2, 3], log).await;

        let events = captured.events();
        let attempts: Vec<_> = events.iter().map(|event| (types(event), event.tags["job.attempt"].clone())).collect();
        assert_eq!(attempts, [(vec!["TaskError"], "3".into())]);
        assert_eq!(client.stats().errors.dropped, [(DiscardReason::EventProcessor, 2)], "two logs");
    }
}

#[tokio::test]
async fn what_else_an_attempt_reports_is_sent() {
    let (_, captured) = attempts(&[1], || {
        error!("the cache is gone");
        tower_sentry::capture_error(&FAILED);
    })
    .await;

    let events = captured.events();
    assert_eq!(events.iter().map(types).collect::<Vec<_>>(), [vec![], vec!["TaskError"]]);
}

#[tokio::test]
async fn what_a_job_logs_arrives_while_it_goes_on() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let work = async {
        error!("{FAILED}");
        gone.await.unwrap();
        Err::<(), _>(FAILED)
    };
    let mut job = Box::pin(client.transaction("consumer").run(work));
    assert!(job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    // Nothing flushes it.
    relay.wait_for(1);
    assert_eq!((relay.events().len(), client.stats().errors.captured), (1, 1));

    // It is too late for the log to get the error.
    go.send(()).unwrap();
    assert!(job.await.is_err());
    support::settle(&client).await;
    assert_eq!((relay.events().len(), client.stats().merged_reports), (2, 0));
}

#[tokio::test]
async fn a_flush_sends_what_waits_and_the_returned_error_is_still_known() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let work = async {
        error!("{FAILED}");
        client.flush(support::patience()).await.unwrap();
        assert_eq!(captured.events().len(), 1);
        Err::<(), _>(FAILED)
    };

    assert!(client.transaction("job").run(work).await.is_err());
    support::settle(&client).await;

    assert_eq!((captured.events().len(), client.stats().merged_reports), (1, 1));
}

#[tokio::test]
async fn what_a_job_logs_is_not_lost_however_it_ends() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let mut dropped = Box::pin(client.transaction("dropped").run(async {
        error!("before the drop");
        pending::<()>().await;
    }));
    assert!(matches!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    drop(dropped);
    let unwinds = client.transaction("unwinds").run(async {
        error!("before the panic");
        if tokio::task::try_id().is_none() {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    });
    assert!(std::panic::AssertUnwindSafe(unwinds).catch_unwind().await.is_err());
    let late = client.transaction("late").run(async {
        error!("before the shutdown");
        client.shutdown(support::patience()).await.unwrap();
        error!("after the shutdown");
    });
    late.await;

    let messages: Vec<_> = captured.events().iter().filter_map(message).collect();
    assert_eq!(messages, ["before the drop", "before the panic", "before the shutdown"]);
    let errors = client.stats().errors;
    assert_eq!((errors.captured, errors.sent, errors.dropped_total()), (4, 3, 1), "{errors:?}");
}

#[test]
fn a_caught_panic_that_becomes_an_error_is_one_event() {
    if in_child("job_errors::a_caught_panic_that_becomes_an_error_is_one_event", &[]) {
        return;
    }
    use axum::http::{Request, StatusCode};
    use axum::response::IntoResponse as _;
    type Caught = Box<dyn std::any::Any + Send>;
    fn text(caught: &Caught) -> String {
        caught.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned())
    }
    async fn crash() {
        tokio::task::yield_now().await;
        std::panic::panic_any("the shelf is empty");
    }
    std::panic::set_hook(Box::new(|_| {}));
    support::subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).panic_hook(true).build().unwrap());
        let caught = || std::panic::AssertUnwindSafe(crash()).catch_unwind();
        let job = |name: &'static str| client.transaction(name);
        let plain = job("plain").run(async { caught().await.map_err(|caught| text(&caught)) });
        let framed = job("framed").run(async { caught().await.map_err(|caught| format!("the job panicked: {}", text(&caught))) });
        let spawned = job("spawned").run(async { tokio::spawn(Scope::current().bind(crash())).await });
        assert!(plain.await.is_err() && framed.await.is_err() && spawned.await.is_err());
        let other = job("other").run(async {
            drop(caught().await);
            Err::<(), _>("the order could not be stored")
        });
        assert!(other.await.is_err());
        let respond = |caught: Caught| {
            let error = tower_sentry::CaptureError::from_boxed(text(&caught).into());
            (StatusCode::INTERNAL_SERVER_ERROR, error).into_response()
        };
        let app = axum::Router::new()
            .route("/", axum::routing::get(crash))
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(respond))
            .layer(tower_sentry::SentryLayer::new(&client));
        let response = app.oneshot(Request::get("/").body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
        support::settle(&client).await;

        let mut seen: Vec<_> = relay
            .events()
            .iter()
            .map(|event| {
                format!("{} {}", event["transaction"].as_str().unwrap(), event["exception"]["values"][0]["type"].as_str().unwrap())
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, ["GET / panic", "framed panic", "other Error", "other panic", "plain panic", "spawned panic"]);
        assert_eq!(client.stats().merged_reports, 4);
    });
}
