//! Work that is no request.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tower::{BoxError, Layer as _, Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sentry::job::{JobInfo, JobLayer, TransactionBuilder};
use tower_sentry::protocol::{IntervalUnit, Monitor};
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Config, Level, Scope, SentryLayer, TracingLayer};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{self, Relay, Server, Shown};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";
const OTHER: &str = "0123456789abcdef0123456789abcdef";
const SPAN: &str = "b0e6f15b45c36b12";

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

/// The headers of a job that a request puts into a queue.
async fn headers_of_a_request(client: &Client) -> HashMap<String, String> {
    let (queue, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let handler = move || {
        let queue = queue.clone();
        async move {
            let push = async {
                let mut headers = HashMap::new();
                Scope::current().inject(&mut headers);
                queue.send(headers).unwrap();
            };
            tower_sentry::span("queue.publish", "mail", push).await;
        }
    };
    let app = axum::Router::new().route("/orders", axum::routing::post(handler)).layer(SentryLayer::new(client));
    let request = http::Request::post("/orders").body(axum::body::Body::empty()).unwrap();
    drop(app.oneshot(request).await.unwrap());
    waiting.recv().await.unwrap()
}

#[tokio::test]
async fn retries() {
    // Only the last attempt is reported; the last attempt succeeds; a request queued the job; the attempts that are issues.
    let rows: [(bool, bool, bool, &[&str]); 6] = [
        (true, true, false, &[]),
        (false, true, false, &["1", "2"]),
        (true, false, false, &["3"]),
        (false, false, false, &["1", "2", "3"]),
        (true, false, true, &["3"]),
        (false, false, true, &["1", "2", "3"]),
    ];
    for (only_last, succeeds, of_request, reported) in rows {
        let (web, relay) = (Relay::start(), Relay::start());
        let (server, client) = (support::client(&web), support::client(&relay));
        let headers = if of_request { headers_of_a_request(&server).await } else { HashMap::new() };
        let layer = JobLayer::new(&client, describe);
        let layer = if only_last { layer.report_last_attempt_only() } else { layer };
        let worker = move |job: Email| async move {
            let result = send(job).await;
            if succeeds { result } else { Err(MailError(std::io::Error::other("no"))) }
        };
        let mut service = ServiceBuilder::new().layer(layer).service(service_fn(worker));

        for attempt in 1..=3 {
            let job = Email { id: 7, attempt, headers: headers.clone() };
            let result = service.ready().await.unwrap().call(job).await;
            assert_eq!(result.is_ok(), succeeds && attempt == 3);
        }
        support::settle(&client).await;
        support::settle(&server).await;

        let row = format!("only the last: {only_last}, succeeds: {succeeds}, of a request: {of_request}");
        let (events, mut transactions) = (relay.events(), relay.transactions());
        let mut attempts: Vec<_> = events.iter().map(|event| event["tags"]["job.attempt"].as_str().unwrap()).collect();
        attempts.sort_unstable();
        assert_eq!((&*attempts, transactions.len()), (reported, 3), "{row}");
        transactions.sort_by_key(|transaction| trace(transaction)["data"]["messaging.message.retry.count"].as_u64());
        let distinct = |name: &str| {
            let ids = transactions.iter().map(|transaction| trace(transaction)[name].as_str().unwrap().to_owned());
            ids.collect::<HashSet<_>>().len()
        };
        assert_eq!((distinct("trace_id"), distinct("span_id")), (if of_request { 1 } else { 3 }, 3), "{row}");
        if of_request {
            let request = &web.transactions()[0];
            assert_eq!(trace(&transactions[0])["trace_id"], trace(request)["trace_id"]);
            for transaction in &transactions {
                assert_eq!(trace(transaction)["parent_span_id"], request["spans"][0]["span_id"], "below the span that queued the job");
            }
        }
        for (attempt, transaction) in (1_u32..).zip(&transactions) {
            let status = if succeeds && attempt == 3 { "ok" } else { "internal_error" };
            assert_eq!(support::tree(transaction), format!("email.send [queue.process] {status}\n  SELECT address [db.query] ok\n"));
            assert_eq!(transaction["transaction_info"]["source"], "task");
            assert_eq!(
                (&transaction["tags"]["job.attempt"], &transaction["tags"]["template"]),
                (&attempt.to_string().into(), &"welcome".into())
            );
            let data = &trace(transaction)["data"];
            assert_eq!(data["messaging.message.retry.count"], attempt - 1, "the first attempt is not a retry");
            assert_eq!((&data["messaging.destination.name"], &data["messaging.message.id"]), (&"mail".into(), &"7".into()));
            assert!(transaction.get("request").is_none());
        }
        for event in &events {
            let values = event["exception"]["values"].as_array().unwrap();
            assert_eq!((&values[1]["type"], &values[1]["module"]), (&"MailError".into(), &"it::jobs".into()));
            assert_eq!(values[1]["mechanism"], json!({"type": "auto.queue.tower", "handled": false, "exception_id": 0}));
            assert_eq!((&event["transaction"], &event["tags"]["template"]), (&"email.send".into(), &"welcome".into()));
            let attempt: usize = event["tags"]["job.attempt"].as_str().unwrap().parse().unwrap();
            assert_eq!(trace(event)["trace_id"], trace(&transactions[attempt - 1])["trace_id"], "{row}");
        }
    }
}

#[tokio::test]
async fn from_the_request_over_the_queue_to_the_worker_it_is_one_trace() {
    let (web, jobs) = (Relay::start(), Relay::start());
    let server = support::client(&web);
    let worker = support::client(&jobs);
    let headers = headers_of_a_request(&server).await;
    let mut service = ServiceBuilder::new().layer(JobLayer::new(&worker, describe)).service(service_fn(send));

    service.ready().await.unwrap().call(Email { id: 7, attempt: 3, headers }).await.unwrap();
    support::settle(&server).await;
    support::settle(&worker).await;

    let (request, job) = (&web.transactions()[0], &jobs.transactions()[0]);
    assert_eq!(trace(request)["trace_id"], trace(job)["trace_id"]);
    assert_eq!(trace(job)["parent_span_id"], request["spans"][0]["span_id"], "the job hangs below the span that put it into the queue");
    let header = |relay: &Relay| relay.received()[0].items().0["trace"].clone();
    assert_eq!(header(&web), header(&jobs), "one context, frozen when it went out");
}

type Attempt = Option<(u32, u32)>;

#[tokio::test]
async fn only_the_last_attempt_is_reported_whatever_the_form_of_the_errors() {
    let (client, captured) = tower_sentry::test::client();
    let describe = |attempt: &Attempt| match attempt {
        Some((attempt, of)) => JobInfo::new("try").attempt(*attempt, *of),
        None => JobInfo::new("try"),
    };
    let layer = JobLayer::new(&client, describe).report_last_attempt_only();
    let fail = |form: &'static str| move |attempt: Attempt| MailError(std::io::Error::other(format!("{form} {attempt:?}")));
    let (of_type, in_box) = (fail("typed"), fail("boxed"));
    let typed = layer.clone().layer(service_fn(move |attempt| std::future::ready(Err::<(), _>(of_type(attempt)))));
    let boxed =
        layer.boxed_errors().clone().layer(service_fn(move |attempt| std::future::ready(Err::<(), BoxError>(in_box(attempt).into()))));

    for attempt in [None, Some((1, 3)), Some((2, 3)), Some((3, 3)), Some((4, 3))] {
        assert!(typed.clone().oneshot(attempt).await.is_err());
        assert!(boxed.clone().oneshot(attempt).await.is_err());
    }

    let events = captured.events();
    let messages: Vec<_> = events.iter().map(|event| event.exception.values[0].value.as_deref().unwrap()).collect();
    let expected = ["typed None", "boxed None", "typed Some((3, 3))", "boxed Some((3, 3))", "typed Some((4, 3))", "boxed Some((4, 3))"];
    assert_eq!(messages, expected, "a job without attempts reports each error");
    let kinds: Vec<_> = events.iter().map(|event| &event.exception.values[1]).map(|error| (&error.kind, error.module.as_deref())).collect();
    let name = Some("MailError".to_owned());
    assert_eq!(kinds[..2], [(&name, Some("it::jobs")), (&name, None)], "a box does not know the module of its error");
    assert_eq!(captured.tree(), "try [queue.process] internal_error\n".repeat(10), "each attempt is a failed transaction");
    support::settle(&client).await;
}

#[tokio::test]
async fn a_failed_job_of_a_trace_that_is_not_sampled_is_kept() {
    let (client, captured) = tower_sentry::test::client();
    let layer = JobLayer::new(&client, describe).report_last_attempt_only();
    let service = ServiceBuilder::new().layer(layer).service(service_fn(send));
    let headers = HashMap::from([("sentry-trace".to_owned(), format!("{TRACE}-{SPAN}-0"))]);

    service.clone().oneshot(Email { id: 1, attempt: 3, headers: headers.clone() }).await.unwrap();
    service.oneshot(Email { id: 2, attempt: 1, headers }).await.unwrap_err();

    assert_eq!(captured.tree(), "email.send [queue.process] internal_error\n  SELECT address [db.query] ok\n");
    let trace = captured.transactions()[0].contexts.trace.clone().unwrap();
    assert_eq!((trace.trace_id.to_string().as_str(), &trace.data["tower_sentry.kept"]), (TRACE, &"failed".into()));
    assert!(captured.events().is_empty(), "it was not the last attempt");
    support::settle(&client).await;
}

#[tokio::test]
async fn a_service_works_in_the_scope_of_its_job_from_the_call_on() {
    let (client, captured) = tower_sentry::test::client();
    let worker = |job: Email| {
        // This runs in `call`, before the future exists.
        Scope::current().set_tag("queue", "mail");
        let early = tower_sentry::span("parse", "headers", async {}).now_or_never();
        async move {
            early.unwrap();
            send(job).await
        }
    };

    let service = ServiceBuilder::new().layer(JobLayer::new(&client, describe)).service(service_fn(worker));
    service.oneshot(Email { id: 7, attempt: 3, ..Email::default() }).await.unwrap();

    assert_eq!(captured.tree(), "email.send [queue.process] ok\n  headers [parse] ok\n  SELECT address [db.query] ok\n");
    assert_eq!(captured.transactions()[0].tags["queue"], "mail");
    support::settle(&client).await;
}

#[tokio::test]
async fn the_headers_of_a_job_say_which_trace_it_continues() {
    let sentry = |name: &'static str| (name, format!("{TRACE}-{SPAN}-1"));
    let w3c = || ("traceparent", format!("00-{OTHER}-{SPAN}-01"));
    let nonsense = || ("sentry-trace", "nonsense".to_owned());
    let baggage = || ("baggage", format!("sentry-trace_id={OTHER}"));
    let rows: [(Vec<(&str, String)>, Option<&str>); 8] = [
        (vec![], None),
        (vec![baggage()], None),
        (vec![nonsense()], None),
        (vec![sentry("sentry-trace")], Some(TRACE)),
        (vec![sentry("Sentry-Trace")], Some(TRACE)),
        (vec![w3c()], Some(OTHER)),
        (vec![w3c(), sentry("sentry-trace"), baggage()], Some(TRACE)),
        (vec![nonsense(), w3c()], Some(OTHER)),
    ];

    for (headers, continued) in rows {
        let (client, captured) = tower_sentry::test::client();
        let map: HashMap<String, String> = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let sorted: BTreeMap<String, String> = map.clone().into_iter().collect();
        let lines: http::HeaderMap = (&map).try_into().unwrap();
        let service = ServiceBuilder::new().layer(JobLayer::new(&client, describe)).service(service_fn(send));
        let jobs = async {
            client.transaction("map").continue_trace(&map).run(async {}).await;
            client.transaction("sorted").continue_trace(&sorted).run(async {}).await;
            client.transaction("lines").continue_trace(&lines).run(async {}).await;
            service.oneshot(Email { id: 7, attempt: 3, headers: map.clone() }).await.unwrap();
        };

        client.transaction("around").run(jobs).await;

        let transactions = captured.transactions();
        let ids = transactions.iter().map(|transaction| transaction.contexts.trace.as_ref().unwrap());
        let ids: Vec<_> = ids.map(|trace| (trace.trace_id.to_string(), trace.span_id, trace.parent_span_id)).collect();
        let [jobs @ .., (around, root, _)] = &*ids else { panic!("five transactions") };
        assert_eq!(jobs.len(), 4);
        let (trace, parent) = continued.map_or_else(|| (around.as_str(), root.to_string()), |trace| (trace, SPAN.to_owned()));
        for (trace_id, _, parent_id) in jobs {
            assert_eq!((trace_id.as_str(), parent_id.map(|id| id.to_string())), (trace, Some(parent.clone())), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_sample_rate_that_is_not_a_share_leaves_the_clients_rate() {
    for (rate, expected) in [(1.0, 4), (0.0, 0)] {
        let (client, captured) = tower_sentry::test::client_with(Config::builder().traces_sample_rate(rate));

        for wrong in [7.0, -0.5, f64::NAN, f64::INFINITY] {
            client.transaction("job").sample_rate(wrong).run(async {}).await;
        }

        assert_eq!(captured.transactions().len(), expected, "the client's rate is {rate}");
    }
}

/// The sessions that arrived: went well, errored, crashed.
fn sessions(relay: &Relay) -> [u64; 3] {
    let minutes = relay.payloads("sessions").into_iter().flat_map(|payload| payload["aggregates"].as_array().unwrap().clone());
    let count = |minute: &Value, name: &str| minute.get(name).and_then(Value::as_u64).unwrap_or(0);
    let counts = minutes.map(|minute| [count(&minute, "exited"), count(&minute, "errored"), count(&minute, "crashed")]);
    counts.fold([0; 3], |sum, minute| std::array::from_fn(|at| sum[at] + minute[at]))
}

#[tokio::test]
async fn jobs_are_sessions_where_the_user_says_so() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").traces_sample_rate(0.0).build().unwrap());
    let crash = |mail: Email| async move {
        assert!(mail.id != 9, "a crash");
        send(mail).await
    };
    let service =
        ServiceBuilder::new().layer(JobLayer::new(&client, |mail: &Email| describe(mail).session(true))).service(service_fn(crash));

    client.transaction("fine").session(true).run(async {}).await;
    client.transaction("no session").run(async {}).await;
    for (id, attempt) in [(7, 3), (7, 1), (9, 1)] {
        let job = std::panic::AssertUnwindSafe(service.clone().oneshot(Email { id, attempt, ..Email::default() }));
        drop(job.catch_unwind().await);
    }
    assert_eq!(client.transaction("cancelled").session(true).run(std::future::pending::<()>()).now_or_never(), None);
    support::settle(&client).await;

    assert_eq!(sessions(&relay), [3, 1, 1], "two that went well and the cancelled one, one error, one panic");
}

#[tokio::test]
async fn the_latest_event_of_a_request_or_job_is_known_to_its_scope() {
    let (client, captured) =
        tower_sentry::test::client_with(Config::builder().ignore_error_types(["Ignored"]).ignore_error_messages(["not worth it"]));
    #[derive(Debug)]
    struct Ignored;
    impl std::fmt::Display for Ignored {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("not worth an event")
        }
    }
    impl std::error::Error for Ignored {}
    let last = || Scope::current().last_event_id();
    client
        .transaction("job")
        .run_infallible(async {
            assert_eq!(last(), None);
            let first = tower_sentry::capture_message(Level::Info, "a message");
            assert_eq!(last(), Some(first));
            let error = std::io::Error::other("no stock");
            let second = Scope::current().with(|_| tower_sentry::capture_error(&error));
            assert_eq!(last(), Some(second));
            tower_sentry::capture_error(&Ignored);
            assert_eq!(last(), Some(second), "no event has that id");
            tower_sentry::capture_message(Level::Warning, "not worth it");
            assert_eq!(last(), Some(second), "nor that one");
        })
        .await;
    client.transaction("another").run_infallible(async { assert_eq!(last(), None) }).await;
    let off = Client::from(Config::builder().build().unwrap());
    off.transaction("off").run_infallible(async { assert_eq!(last(), None) }).await;

    assert_eq!(captured.events().len(), 2);
}

#[test]
fn lines_of_other_layers_say_which_trace_a_job_belongs_to() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let shown = Shown::default();
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(shown.clone());
    let layer = JobLayer::new(&client, |_: &u64| JobInfo::new("mail.send")).log_span();
    let service = ServiceBuilder::new().layer(layer).service(service_fn(|_: u64| async {
        tokio::task::yield_now().await;
        tracing::info!("sending");
        Ok::<_, std::io::Error>(())
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines).with(TracingLayer::new(&client)), || {
        runtime.block_on(async {
            service.oneshot(7).await.unwrap();
            client.transaction("import").log_span().run_infallible(async { tracing::info!("importing") }).await;
            client.transaction("quiet").run_infallible(async { tracing::info!("nothing") }).await;
        });
    });
    runtime.block_on(support::settle(&client));

    let transactions = relay.transactions();
    let line =
        |transaction: &Value, text: &str| format!("job{{trace_id={}}}: it::jobs: {text}", trace(transaction)["trace_id"].as_str().unwrap());
    let text = shown.text();
    assert!(text.contains(&line(&transactions[0], "sending")) && text.contains(&line(&transactions[1], "importing")), "{text}");
    assert!(text.contains(" INFO it::jobs: nothing"), "{text}");
    assert!(transactions.iter().all(|transaction| transaction["spans"] == json!([])), "it is no span of the transaction");
}

#[tokio::test]
async fn jobs_are_not_sessions() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).release("shop@1.4.0").build().unwrap());
    let app = axum::Router::new().route("/", axum::routing::get(|| async { "ok" })).layer(SentryLayer::new(&client));

    client.transaction("fine").run(async {}).await;
    assert!(client.transaction("fails").run(async { Err::<(), _>(std::io::Error::other("no")) }).await.is_err());
    drop(app.oneshot(http::Request::get("/").body(axum::body::Body::empty()).unwrap()).await.unwrap());
    support::settle(&client).await;

    assert_eq!((sessions(&relay), relay.transactions().len()), ([1, 0, 0], 3), "the request alone");
}

#[tokio::test]
async fn without_a_dsn_work_runs_all_the_same() {
    let off = Client::from(Config::builder().build().unwrap());
    let service = ServiceBuilder::new().layer(JobLayer::new(&off, describe)).service(service_fn(send));

    let sent = service.clone().oneshot(Email { id: 7, attempt: 3, ..Email::default() }).await;
    let failed = service.oneshot(Email { id: 7, attempt: 1, ..Email::default() }).await;
    let number =
        off.transaction("count").run_infallible(off.check_in("count", Monitor::crontab("@daily")).run_infallible(async { 7 })).await;

    assert!(sent.is_ok() && failed.is_err() && number == 7);
    assert_eq!((off.stats().transactions.captured, off.stats().check_ins.captured), (0, 0));
}

#[tokio::test]
async fn work_of_any_kind_is_a_transaction() {
    let relay = Relay::start();
    let client = support::client(&relay);

    client.transaction("cleanup").run(async {}).await;
    let number = client.transaction("count").op("cron").run_infallible(async { 7 }).await;
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
    let event = |name: &str| relay.events().into_iter().find(|event| event["transaction"] == name).unwrap();
    let outermost = |name: &str| event(name)["exception"]["values"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&outermost("typed")["type"], &outermost("typed")["module"]), (&"MailError".into(), &"it::jobs".into()));
    assert_eq!((&outermost("boxed")["value"], outermost("boxed").get("module")), (&"no such row".into(), None));
    assert_eq!(outermost("typed")["mechanism"], json!({"type": "manual", "handled": false, "exception_id": 0}));
}

#[tokio::test]
async fn check_in() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).environment("staging").release("shop@1.4.0").build().unwrap());
    let nightly = || client.check_in("Nightly report", Monitor::crontab("5 2 * * *").max_runtime(30).timezone("Europe/Berlin"));
    let clock = HandClock::start();
    let take = |millis| clock.advance(Duration::from_millis(millis));
    let fails = async {
        take(2_250);
        Err::<(), _>(std::io::Error::other("no"))
    };
    let hangs = async {
        take(1_800_000);
        std::future::pending::<()>().await;
    };
    let panics = async {
        take(3);
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new("crash"))
    };

    client.transaction("nightly").run(nightly().run(async { take(90_500) })).await;
    let failed = nightly().run(fails).await;
    let late = tokio::time::timeout(Duration::from_millis(1), nightly().run(hangs)).await;
    let crashed = std::panic::AssertUnwindSafe(nightly().run_infallible(panics)).catch_unwind().await;
    client.check_in("hourly", Monitor::every(1, IntervalUnit::Hour)).run(async {}).await;
    drop(nightly().run(async {}));
    support::settle(&client).await;

    assert!(failed.is_err() && late.is_err() && crashed.is_err());
    let mut by_run: HashMap<String, Vec<Value>> = HashMap::new();
    for check_in in relay.payloads("check_in") {
        assert_eq!((&check_in["environment"], &check_in["release"]), (&"staging".into(), &"shop@1.4.0".into()));
        by_run.entry(check_in["check_in_id"].as_str().unwrap().to_owned()).or_default().push(check_in);
    }
    let mut ends = Vec::new();
    for run in by_run.values() {
        assert_eq!(run.len(), 2);
        let (begin, end) = if run[0]["status"] == "in_progress" { (&run[0], &run[1]) } else { (&run[1], &run[0]) };
        assert_eq!((&begin["status"], begin.get("duration")), (&"in_progress".into(), None));
        assert_eq!(begin["monitor_slug"], end["monitor_slug"]);
        assert!(begin["monitor_config"]["schedule"]["type"].is_string() && end.get("monitor_config").is_none());
        let text = |name: &str| end[name].as_str().unwrap();
        ends.push(format!("{} {} after {} s", text("monitor_slug"), text("status"), end["duration"].as_f64().unwrap()));
    }
    ends.sort_unstable();
    let expected = [
        "hourly ok after 0 s",
        "nightly-report error after 0.003 s",
        "nightly-report error after 1800 s",
        "nightly-report error after 2.25 s",
        "nightly-report ok after 90.5 s",
    ];
    assert_eq!(ends, expected);
    let of_trace: Vec<_> = by_run.values().flatten().filter(|check_in| check_in.get("contexts").is_some()).collect();
    assert_eq!(of_trace.len(), 2, "the begin and the end of the run inside a transaction");
    for check_in in of_trace {
        assert_eq!(check_in["contexts"], json!({"trace": {"trace_id": trace(&relay.transactions()[0])["trace_id"]}}));
    }
    assert_eq!(client.stats().check_ins.sent, 10);
}

#[tokio::test]
async fn the_server_hears_of_a_run_before_it_ends() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let work = async {
        client.flush(support::patience()).await.unwrap();
        relay.payloads("check_in")
    };

    let seen = client.check_in("hourly", Monitor::every(1, IntervalUnit::Hour)).run_infallible(work).await;
    support::settle(&client).await;

    assert_eq!((seen.len(), &seen[0]["status"]), (1, &"in_progress".into()));
    let all = relay.payloads("check_in");
    assert_eq!((all.len(), &all[1]["status"], &all[1]["check_in_id"]), (2, &"ok".into(), &seen[0]["check_in_id"]));
}

#[tokio::test]
async fn the_begin_of_a_run_says_all_that_the_server_should_expect() {
    let full = Monitor::crontab("5 2 * * *").checkin_margin(5).max_runtime(30).timezone("Europe/Berlin");
    let full = full.failure_issue_threshold(2).recovery_threshold(3);
    let interval = |value: u32, unit: &str| json!({"schedule": {"type": "interval", "value": value, "unit": unit}});
    let rows = [
        (
            full,
            json!({
                "schedule": {"type": "crontab", "value": "5 2 * * *"}, "checkin_margin": 5, "max_runtime": 30, "timezone": "Europe/Berlin",
                "failure_issue_threshold": 2, "recovery_threshold": 3
            }),
        ),
        (Monitor::crontab("@hourly"), json!({"schedule": {"type": "crontab", "value": "@hourly"}})),
        (Monitor::every(5, IntervalUnit::Minute), interval(5, "minute")),
        (Monitor::every(1, IntervalUnit::Hour), interval(1, "hour")),
        (Monitor::every(2, IntervalUnit::Day), interval(2, "day")),
        (Monitor::every(3, IntervalUnit::Week), interval(3, "week")),
        (Monitor::every(4, IntervalUnit::Month), interval(4, "month")),
        (Monitor::every(6, IntervalUnit::Year), interval(6, "year")),
    ];
    for (monitor, expected) in rows {
        let relay = Relay::start();
        let client = support::client(&relay);

        client.check_in("report", monitor).run(async {}).await;
        support::settle(&client).await;

        let configs: Vec<_> = relay.payloads("check_in").iter().filter_map(|check_in| check_in.get("monitor_config").cloned()).collect();
        assert_eq!(configs, [expected]);
    }
}

#[tokio::test]
async fn a_worker_has_a_project_of_its_own() {
    let (web, jobs) = (Relay::start(), Relay::start());
    let variables = [("SENTRY_DSN", web.dsn()), ("SENTRY_WORKER_DSN", jobs.dsn()), ("SENTRY_TRACES_SAMPLE_RATE", "1.0".to_owned())];
    let config = |is_worker: bool| {
        let builder = Config::builder().panic_hook(false);
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
    support::settle(&client).await;
}

#[tokio::test]
async fn a_transaction_inside_another_belongs_to_its_trace() {
    let config = Config::builder().traces_sample_rate(1.0);
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
    support::settle(&client).await;
}

#[tokio::test]
async fn each_form_of_an_error_fails_its_work_and_what_cannot_fail_does_not() {
    type AnyError = Box<dyn std::error::Error>;
    let (client, captured) = tower_sentry::test::client();
    let begin = |name: &'static str| client.transaction(name);
    async fn step() -> Result<(), MailError> {
        tokio::task::yield_now().await;
        Err(MailError(std::io::Error::other("no")))
    }
    // The error of the block is that of the function.
    async fn returned(transaction: TransactionBuilder) -> Result<(), MailError> {
        let work = async {
            step().await?;
            Ok(())
        };
        transaction.run(work).await
    }

    let string = begin("string").run(async { Err::<(), _>("no such shelf".to_owned()) }).await;
    let text = begin("text").run(async { Err::<(), _>("no such row") }).await;
    let cow = begin("cow").run(async { Err::<(), _>(std::borrow::Cow::Borrowed("no such cow")) }).await;
    let typed = returned(begin("typed")).await;
    let any: Result<(), AnyError> = begin("any").run(async { Ok(step().await?) }).await;
    let boxed: Result<(), BoxError> = begin("boxed").run(async { Ok(step().await?) }).await;
    let anyhow: anyhow::Result<()> = begin("anyhow").run(async { Ok(step().await?) }).await;
    let (unit, fine) = (begin("unit").run(async {}).await, begin("fine").run(async { Ok::<_, String>(7) }).await);
    let number = begin("number").run_infallible(async { 5 }).await;
    let none = begin("none").run_infallible(async { None::<u32> }).await;
    let ignored = begin("ignored").run_infallible(step()).await;

    assert!(string.is_err() && text.is_err() && cow.is_err());
    assert!(typed.is_err() && any.is_err() && boxed.is_err() && anyhow.is_err() && ignored.is_err());
    assert_eq!((unit, fine, number, none), ((), Ok(7), 5, None));
    let rows = [
        ("string", Some("no such shelf")),
        ("text", Some("no such row")),
        ("cow", Some("no such cow")),
        ("typed", Some("the mail could not be sent")),
        ("any", Some("the mail could not be sent")),
        ("boxed", Some("the mail could not be sent")),
        ("anyhow", Some("the mail could not be sent")),
        ("unit", None),
        ("fine", None),
        ("number", None),
        ("none", None),
        ("ignored", None),
    ];
    let expected: String =
        rows.iter().map(|(name, error)| format!("{name} [task] {}\n", if error.is_some() { "internal_error" } else { "ok" })).collect();
    assert_eq!(captured.tree(), expected);
    let events = captured.events();
    let errors = events.iter().map(|event| (event.transaction.as_deref(), event.exception.values.last().unwrap().value.as_deref()));
    let expected: Vec<_> = rows.iter().filter(|(_, error)| error.is_some()).map(|(name, error)| (Some(*name), *error)).collect();
    assert_eq!(errors.collect::<Vec<_>>(), expected);
    support::settle(&client).await;
}

#[tokio::test]
async fn attributes_of_queues_are_numbers_and_texts() {
    let (client, captured) = tower_sentry::test::client();
    let describe = |(): &()| {
        let info = JobInfo::new("send").op("queue.batch").body_size(512).latency(Duration::from_millis(1500));
        info.system("redis").attribute("messaging.batch", "a")
    };
    let service =
        ServiceBuilder::new().layer(JobLayer::new(&client, describe)).service(service_fn(|()| async { Ok::<_, std::io::Error>(()) }));

    service.oneshot(()).await.unwrap();
    let publish = tower_sentry::span("queue.publish", "mail", async {}).attribute("messaging.destination.name", "mail");
    client.transaction("web").run(publish).await;

    let transactions = captured.transactions();
    assert_eq!(transactions[0].contexts.trace.as_ref().unwrap().op.as_deref(), Some("queue.batch"));
    let data = &transactions[0].contexts.trace.as_ref().unwrap().data;
    assert_eq!((&data["messaging.message.body.size"], &data["messaging.message.receive.latency"]), (&512.into(), &1500.into()));
    assert_eq!((&data["messaging.system"], &data["messaging.batch"]), (&"redis".into(), &"a".into()));
    assert_eq!(transactions[1].spans[0].data["messaging.destination.name"], "mail");
    support::settle(&client).await;
}
