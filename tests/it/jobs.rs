//! Work that is no request.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{AnyOutcome, JobInfo, JobLayer};
use tower_sentry::protocol::{IntervalUnit, Monitor};
use tower_sentry::{Client, Level, Scope, SentryLayer};

use crate::support::{self, Relay, Server};

#[derive(Clone, Debug, Default)]
struct Email {
    id: u64,
    attempt: u32,
    headers: HashMap<String, String>,
}

#[derive(Debug)]
struct MailError(std::io::Error);

impl std::fmt::Display for MailError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mail could not be sent")
    }
}

impl std::error::Error for MailError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn describe(job: &Email) -> JobInfo {
    JobInfo::new("email.send").queue("mail").id(job.id).attempt(job.attempt, 3).continue_trace(&job.headers)
}

async fn send(job: Email) -> Result<(), MailError> {
    Scope::current().set_tag("template", "welcome");
    tower_sentry::span("db.query", "SELECT address", tokio::task::yield_now()).await;
    if job.attempt < 3 { Err(MailError(std::io::Error::other("connection refused"))) } else { Ok(()) }
}

fn trace(value: &Value) -> &Value {
    &value["contexts"]["trace"]
}

#[tokio::test]
async fn retries() {
    for (only_last, succeeds, expected) in [(true, true, 0), (false, true, 2), (true, false, 1), (false, false, 3)] {
        let relay = Relay::start();
        let client = support::client(&relay);
        let layer = JobLayer::new(&client, describe);
        let layer = if only_last { layer.report_last_attempt_only() } else { layer };
        let worker = move |job: Email| async move {
            let result = send(job).await;
            if succeeds { result } else { Err(MailError(std::io::Error::other("no"))) }
        };
        let mut service = ServiceBuilder::new().layer(layer).service(service_fn(worker));

        for attempt in 1..=3 {
            let job = Email { id: 7, attempt, headers: HashMap::new() };
            let result = service.ready().await.unwrap().call(job).await;
            assert_eq!(result.is_ok(), succeeds && attempt == 3);
        }
        support::settle(&client).await;

        let (events, mut transactions) = (relay.events(), relay.transactions());
        assert_eq!((events.len(), transactions.len()), (expected, 3), "only the last: {only_last}, succeeds: {succeeds}");
        transactions.sort_by_key(|transaction| trace(transaction)["data"]["messaging.message.retry.count"].as_u64());
        let mut ids: Vec<_> = transactions.iter().map(|transaction| trace(transaction)["trace_id"].to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3, "without headers each attempt is a trace of its own");
        for (attempt, transaction) in (1..).zip(&transactions) {
            let status = if succeeds && attempt == 3 { "ok" } else { "internal_error" };
            assert_eq!(support::tree(transaction), format!("email.send [queue.process] {status}\n  SELECT address [db.query] ok\n"));
            assert_eq!(transaction["transaction_info"]["source"], "task");
            assert_eq!(
                (&transaction["tags"]["job.attempt"], &transaction["tags"]["template"]),
                (&attempt.to_string().into(), &"welcome".into())
            );
            let data = &trace(transaction)["data"];
            assert_eq!((&data["messaging.destination.name"], &data["messaging.message.id"]), (&"mail".into(), &"7".into()));
            assert!(transaction.get("request").is_none());
        }
        for event in &events {
            let values = event["exception"]["values"].as_array().unwrap();
            assert_eq!((&values[1]["type"], &values[1]["module"]), (&"MailError".into(), &"it::jobs".into()));
            assert_eq!(values[1]["mechanism"], serde_json::json!({"type": "auto.queue.tower", "handled": false, "exception_id": 0}));
            assert_eq!((&event["transaction"], &event["tags"]["template"]), (&"email.send".into(), &"welcome".into()));
        }
    }
}

#[tokio::test]
async fn from_the_request_over_the_queue_to_the_worker_it_is_one_trace() {
    let (web, jobs) = (Relay::start(), Relay::start());
    let server = support::client(&web);
    let worker = support::client(&jobs);
    let (queue, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let handler = move || {
        let queue = queue.clone();
        async move {
            let push = async {
                let mut job = Email { id: 7, attempt: 3, ..Email::default() };
                Scope::current().inject(&mut job.headers);
                queue.send(job).unwrap();
            };
            tower_sentry::span("queue.publish", "mail", push).await;
        }
    };
    let app = axum::Router::new().route("/orders", axum::routing::post(handler)).layer(SentryLayer::new(&server));
    let request = http::Request::post("/orders").body(axum::body::Body::empty()).unwrap();
    drop(app.oneshot(request).await.unwrap());
    let mut service = ServiceBuilder::new().layer(JobLayer::new(&worker, describe)).service(service_fn(send));
    service.ready().await.unwrap().call(waiting.recv().await.unwrap()).await.unwrap();
    support::settle(&server).await;
    support::settle(&worker).await;

    let (request, job) = (&web.transactions()[0], &jobs.transactions()[0]);
    assert_eq!(trace(request)["trace_id"], trace(job)["trace_id"]);
    assert_eq!(trace(job)["parent_span_id"], request["spans"][0]["span_id"], "the job hangs below the span that put it into the queue");
    let header = |relay: &Relay| relay.received()[0].items().0["trace"].clone();
    assert_eq!(header(&web), header(&jobs), "one context, frozen when it went out");
}

#[tokio::test]
async fn work_of_any_kind_is_a_transaction() {
    let relay = Relay::start();
    let client = support::client(&relay);

    client.transaction("cleanup").run(async {}).await;
    let number = client.transaction("count").op("cron").run(async { AnyOutcome(7) }).await.0;
    let typed: Result<(), MailError> = client.transaction("typed").run(async { Err(MailError(std::io::Error::other("no"))) }).await;
    let boxed: anyhow::Result<()> = client.transaction("boxed").run(async { Err(anyhow::anyhow!("no such row")) }).await;
    let captured = client.transaction("captured").run(async {
        let error = MailError(std::io::Error::other("seen"));
        tower_sentry::capture_error(&error);
        Err::<(), _>(error)
    });
    let captured = captured.await;
    drop(Box::pin(client.transaction("never polled").run(async {})));
    let mut pending = Box::pin(client.transaction("dropped").run(std::future::pending::<()>()));
    assert!(futures_util::poll!(&mut pending).is_pending());
    drop(pending);
    let unsampled = client.transaction("unsampled").sample_rate(0.0).run(async {
        tower_sentry::capture_message(Level::Info, "errors go all the same");
    });
    unsampled.await;
    async fn unwind() {
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new("crash"))
    }
    let crash = tokio::spawn(client.transaction("crash").run(unwind()));
    assert!(crash.await.is_err());
    support::settle(&client).await;

    assert!(number == 7 && typed.is_err() && boxed.is_err() && captured.is_err());
    let mut seen: Vec<_> = relay.transactions().iter().map(|transaction| support::tree(transaction).trim().to_owned()).collect();
    seen.sort_unstable();
    let expected = [
        "boxed [task] internal_error",
        "captured [task] internal_error",
        "cleanup [task] ok",
        "count [cron] ok",
        "crash [task] internal_error",
        "dropped [task] cancelled",
        "typed [task] internal_error",
    ];
    assert_eq!(seen, expected);
    let mut errors: Vec<_> = relay.events().iter().map(|event| event["transaction"].as_str().unwrap().to_owned()).collect();
    errors.sort_unstable();
    assert_eq!(errors, ["boxed", "captured", "typed", "unsampled"]);
}

#[tokio::test]
async fn check_in() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).environment("staging").release("shop@1.4.0").build().unwrap());
    let nightly = || client.check_in("Nightly report", Monitor::crontab("5 2 * * *").max_runtime(30).timezone("Europe/Berlin"));

    client.transaction("nightly").run(nightly().run(async {})).await;
    let failed: Result<(), std::io::Error> = nightly().run(async { Err(std::io::Error::other("no")) }).await;
    let late = tokio::time::timeout(Duration::from_millis(1), nightly().run(std::future::pending::<()>())).await;
    client.check_in("hourly", Monitor::every(1, IntervalUnit::Hour)).run(async {}).await;
    support::settle(&client).await;

    assert!(failed.is_err() && late.is_err());
    let mut by_run: HashMap<String, Vec<Value>> = HashMap::new();
    for check_in in relay.payloads("check_in") {
        assert_eq!((&check_in["environment"], &check_in["release"]), (&"staging".into(), &"shop@1.4.0".into()));
        by_run.entry(check_in["check_in_id"].as_str().unwrap().to_owned()).or_default().push(check_in);
    }
    let mut ends = Vec::new();
    for run in by_run.values() {
        assert_eq!(run.len(), 2);
        let (begin, end) = if run[0]["status"] == "in_progress" { (&run[0], &run[1]) } else { (&run[1], &run[0]) };
        assert_eq!(begin["status"], "in_progress");
        assert!(begin["monitor_config"]["schedule"]["type"].is_string() && end.get("monitor_config").is_none());
        assert!(end["duration"].as_f64().unwrap() >= 0.0);
        ends.push(format!("{} {}", end["monitor_slug"].as_str().unwrap(), end["status"].as_str().unwrap()));
    }
    ends.sort_unstable();
    assert_eq!(ends, ["hourly ok", "nightly-report error", "nightly-report error", "nightly-report ok"]);
    let of_trace = by_run.values().flatten().find(|check_in| check_in.get("contexts").is_some()).unwrap();
    assert_eq!(trace(of_trace)["trace_id"], trace(&relay.transactions()[0])["trace_id"]);
    assert_eq!(client.stats().check_ins.sent, 8);
}

#[tokio::test]
async fn a_worker_has_a_project_of_its_own() {
    let (web, jobs) = (Relay::start(), Relay::start());
    let variables = [("SENTRY_DSN", web.dsn()), ("SENTRY_WORKER_DSN", jobs.dsn()), ("SENTRY_TRACES_SAMPLE_RATE", "1.0".to_owned())];
    let config = |is_worker: bool| {
        let builder = tower_sentry::Config::builder().panic_hook(false);
        let builder = if is_worker { builder.worker_from_vars(variables.clone()) } else { builder.from_vars(variables.clone()) };
        Client::from(builder.build().unwrap())
    };
    let (server, worker) = (config(false), config(true));
    let app = axum::Router::new().route("/", axum::routing::get(|| async { "ok" })).layer(SentryLayer::new(&server));

    support::get(&Server::start(app).await, "/").await;
    worker.transaction("job").run(async {}).await;
    support::settle(&server).await;
    support::settle(&worker).await;

    let names = |relay: &Relay| relay.transactions().iter().map(|transaction| transaction["transaction"].clone()).collect::<Vec<_>>();
    assert_eq!((names(&web), names(&jobs)), (vec!["GET /".into()], vec!["job".into()]));
}

#[tokio::test]
async fn what_a_job_captures_goes_at_once_with_its_own_scope() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let work = async {
        for number in 0..10 {
            Scope::current().set_tag("item", number);
            tower_sentry::capture_error(&std::io::Error::other("connection refused"));
        }
        client.flush(support::patience()).await.unwrap();
        let seen = relay.events();
        assert_eq!(seen.len(), 10, "while the job goes on");
        let mut items: Vec<_> = seen.iter().map(|event| event["tags"]["item"].as_str().unwrap().to_owned()).collect();
        items.sort_unstable();
        assert_eq!(items, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
        tracing::error!("giving up: the mail could not be sent");
        Err::<(), _>(MailError(std::io::Error::other("no")))
    };

    assert!(client.transaction("consumer").run(work).await.is_err());
    support::settle(&client).await;

    assert_eq!(relay.events().len(), 11, "what was logged and returned is one event");
}

#[tokio::test]
async fn a_job_that_is_cancelled_leaves_cancelled_spans() {
    let (client, captured) = tower_sentry::test::client();
    let never = tower_sentry::span("db.query", "SELECT pg_sleep", std::future::pending::<()>());

    let late = tokio::time::timeout(Duration::from_millis(10), client.transaction("dropped").run(never)).await;

    assert!(late.is_err());
    assert_eq!(captured.tree(), "dropped [task] cancelled\n  SELECT pg_sleep [db.query] cancelled\n");
}

#[tokio::test]
async fn a_transaction_inside_of_another_belongs_to_its_trace() {
    let config = tower_sentry::Config::builder().traces_sample_rate(1.0);
    let (client, captured) = tower_sentry::test::client_with(config);
    let inner = tower_sentry::span("task", "step", client.transaction("inner").sample_rate(1.0).run(async {}));

    client.transaction("outer").run(inner).await;

    let transactions = captured.transactions();
    let trace = |name: &str| {
        let transaction = transactions.iter().find(|transaction| transaction.name == name).unwrap();
        (transaction.contexts.trace.clone().unwrap(), transaction.spans.clone())
    };
    let ((outer, spans), (inner, _)) = (trace("outer"), trace("inner"));
    assert_eq!((inner.trace_id, inner.parent_span_id), (outer.trace_id, Some(spans[0].span_id)));
}

#[tokio::test]
async fn texts_fail_and_what_cannot_fail_does_not() {
    use tower_sentry::job::TextError;

    let (client, captured) = tower_sentry::test::client();

    let number = client.transaction("fine").run(async { TextError(Ok::<_, String>(7)) }).await.0;
    let text = client.transaction("failed").run(async { TextError(Err::<(), _>("no such shelf".to_owned())) }).await.0;
    let _ = client.transaction("any").run(async { AnyOutcome(Some(1)) }).await;

    assert_eq!((number, text), (Ok(7), Err("no such shelf".to_owned())));
    assert_eq!(captured.tree(), "fine [task] ok\nfailed [task] internal_error\nany [task] ok\n");
    assert_eq!(captured.events()[0].exception.values[0].value.as_deref(), Some("no such shelf"));
}

#[tokio::test]
async fn attributes_of_queues_are_numbers_and_texts() {
    let (client, captured) = tower_sentry::test::client();
    let describe = |(): &()| {
        JobInfo::new("send").body_size(512).latency(Duration::from_millis(1500)).system("redis").attribute("messaging.batch", "a")
    };
    let service =
        ServiceBuilder::new().layer(JobLayer::new(&client, describe)).service(service_fn(|()| async { Ok::<_, std::io::Error>(()) }));

    service.oneshot(()).await.unwrap();
    let publish = tower_sentry::span("queue.publish", "mail", async {}).attribute("messaging.destination.name", "mail");
    client.transaction("web").run(publish).await;

    let transactions = captured.transactions();
    let data = &transactions[0].contexts.trace.as_ref().unwrap().data;
    assert_eq!((&data["messaging.message.body.size"], &data["messaging.message.receive.latency"]), (&512.into(), &1500.into()));
    assert_eq!((&data["messaging.system"], &data["messaging.batch"]), (&"redis".into(), &"a".into()));
    assert_eq!(transactions[1].spans[0].data["messaging.destination.name"], "mail");
}
