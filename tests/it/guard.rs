//! Many events of one issue, and many logs of one place, are a few and one that says how many there were.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_sentry::protocol::{Attachment, DiscardReason};
use tower_sentry::sampling::{Budget, BudgetKind, BudgetLevel, BudgetMark, BudgetPeriod};
use tower_sentry::test::{Captured, HandClock, client_with};
use tower_sentry::{Client, Config, Level, Scope, SentryLayer};

use crate::support::{self, Relay, patience};

/// Fails in one place, with another text each time.
fn fail(number: u32) {
    tower_sentry::capture_message(Level::Error, format!("order {number} failed"));
}

fn limited(relay: &Relay, limit: u32) -> Client {
    Client::from(support::config(relay).max_events_per_issue(limit).build().unwrap())
}

/// Work of which no transaction is sent.
async fn run(client: &Client, work: impl Future<Output = ()>) {
    client.transaction("import").sample_rate(0.0).run_infallible(work).await;
}

fn message(event: &Value) -> &str {
    event["logentry"]["message"].as_str().unwrap()
}

/// How many others an event stands for.
fn suppressed(event: &Value) -> Option<u64> {
    let count = event["contexts"]["tower_sentry"].get("suppressed").map(|count| count.as_u64().unwrap());
    let tag = event["tags"].get("tower_sentry.suppressed").map(|tag| tag.as_str().unwrap().parse().unwrap());
    assert_eq!(count, tag, "{event}");
    count
}

/// Whether a time that people read is inside the seconds around.
fn is_between(text: &Value, from: &Value, to: &Value) -> bool {
    let at = humantime::parse_rfc3339(text.as_str().unwrap()).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    // It shows milliseconds.
    (from.as_f64().unwrap() - 0.001..=to.as_f64().unwrap() + 0.001).contains(&at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn flood() {
    const ERRORS: u32 = 134_942;
    const TASKS: u32 = 64;
    let relay = Relay::start();
    let client = limited(&relay, 10);

    let tasks = (0..TASKS).map(|task| {
        let client = client.clone();
        tokio::spawn(async move {
            let work = async {
                for number in (task..ERRORS).step_by(TASKS as usize) {
                    fail(number);
                    if number == ERRORS / 2 {
                        tower_sentry::capture_message(Level::Error, "another");
                    }
                    if number % 256 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            };
            run(&client, work).await;
        })
    });
    futures_util::future::join_all(tasks).await;
    support::settle(&client).await;

    let (others, equal): (Vec<_>, Vec<_>) = relay.events().into_iter().partition(|event| message(event) == "another");
    let summaries: Vec<_> = equal.iter().filter_map(suppressed).collect();
    let passed = equal.len() - summaries.len();
    let dropped: u64 = summaries.iter().sum();
    assert_eq!((others.len(), suppressed(&others[0])), (1, None), "another error is not pushed out");
    // A machine that takes longer than a minute has several.
    assert!(passed <= 10 * summaries.len() && !summaries.is_empty(), "{passed} {summaries:?}");
    assert_eq!(equal.len() as u64 + dropped, u64::from(ERRORS));
    assert_eq!(client.stats().errors.dropped, [(DiscardReason::Backpressure, dropped)]);
    let reported = relay.reported().into_iter().filter(|(reason, category, _)| reason == "backpressure" && category == "error");
    assert_eq!(reported.map(|(_, _, quantity)| quantity).sum::<u64>(), dropped);
}

#[tokio::test]
async fn each_failure_is_an_event_by_default() {
    let (client, captured) = client_with(Config::builder());
    let _clock = HandClock::start();

    run(&client, async { (0..300).for_each(fail) }).await;

    assert_eq!(captured.events().len(), 300);
}

#[tokio::test]
async fn ten_events_of_an_issue_are_sent_in_a_minute() {
    let (client, captured) = client_with(Config::builder().max_events_per_issue(10));
    let _clock = HandClock::start();

    run(&client, async { (0..100).for_each(fail) }).await;

    let events = captured.events();
    assert_eq!(events.len(), 11);
    assert_eq!(events.iter().find_map(|event| event.tags.get("tower_sentry.suppressed")).map(String::as_str), Some("89"));
}

#[tokio::test]
async fn the_end_of_the_minute_says_how_many_there_were_and_when() {
    let relay = Relay::start();
    let client = limited(&relay, 10);
    let clock = HandClock::start();

    run(&client, async { (0..15).for_each(fail) }).await;
    clock.advance(Duration::from_nanos(59_999_999_999));
    run(&client, async { fail(15) }).await;
    relay.wait_for(10);
    support::until("all but one have gone", || client.stats().errors.sent + client.stats().errors.dropped_total() == 15).await;
    clock.advance(Duration::from_nanos(1));
    // Any other event of this thread ends the minute: its clock is the one that stands still.
    run(&client, async { _ = tower_sentry::capture_message(Level::Error, "another") }).await;
    relay.wait_for(12);
    run(&client, async { (16..30).for_each(fail) }).await;
    support::settle(&client).await;

    let events = relay.events();
    let shown: Vec<_> = events.iter().map(|event| (message(event), suppressed(event))).collect();
    let numbers = |from, to| (from..to).map(|number| (format!("order {number} failed"), None));
    let mut expected: Vec<_> = numbers(0, 10).chain([("order 10 failed".to_owned(), Some(5)), ("another".to_owned(), None)]).collect();
    expected.extend(numbers(16, 26).chain([("order 26 failed".to_owned(), Some(3))]));
    assert_eq!(shown, expected.iter().map(|(text, count)| (text.as_str(), *count)).collect::<Vec<_>>());
    let said = &events[10]["contexts"]["tower_sentry"];
    let (first, last) = (&events[10]["timestamp"], &events[11]["timestamp"]);
    assert!(is_between(&said["suppressed_from"], first, first), "{said}");
    assert!(is_between(&said["suppressed_to"], &said_at(&said["suppressed_from"]), last), "{said}");
}

fn said_at(text: &Value) -> Value {
    let at = humantime::parse_rfc3339(text.as_str().unwrap()).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    at.as_secs_f64().into()
}

#[tokio::test]
async fn a_flush_says_how_many_there_were_and_the_minute_goes_on() {
    let relay = Relay::start();
    let client = limited(&relay, 10);
    let _clock = HandClock::start();

    for _ in 0..3 {
        run(&client, async { (0..100).for_each(fail) }).await;
        client.flush(patience()).await.unwrap();
    }
    support::settle(&client).await;

    let counts: Vec<_> = relay.events().iter().map(suppressed).collect();
    assert_eq!(counts.iter().filter(|count| count.is_none()).count(), 10);
    assert_eq!(counts.into_iter().flatten().collect::<Vec<_>>(), [89, 99, 99]);
}

#[tokio::test]
async fn equal_failures_of_one_route_leave_those_of_another_route_their_place() {
    let relay = Relay::start();
    let client = limited(&relay, 10);
    let fails = || async { StatusCode::INTERNAL_SERVER_ERROR };
    let app = Router::new().route("/broken", get(fails)).route("/other", get(fails)).layer(SentryLayer::new(&client));
    let _clock = HandClock::start();

    for path in std::iter::repeat_n("/broken", 1200).chain(["/other"]) {
        drop(app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
    }
    support::settle(&client).await;

    let events = relay.events();
    let of = |route: &str| events.iter().filter(|event| event["transaction"] == route).map(suppressed).collect::<Vec<_>>();
    assert_eq!((of("GET /broken").len(), of("GET /other")), (11, vec![None]));
    assert_eq!(of("GET /broken").into_iter().flatten().collect::<Vec<_>>(), [1189]);
    assert_eq!(client.stats().errors.dropped, [(DiscardReason::Backpressure, 1189)]);
}

#[tokio::test]
async fn what_the_user_tells_apart_is_limited_apart() {
    let relay = Relay::start();
    let client = limited(&relay, 3);
    let _clock = HandClock::start();

    let work = async {
        for number in 0..100 {
            Scope::current().set_fingerprint(["shop", if number % 2 == 0 { "even" } else { "odd" }]);
            fail(number);
        }
    };
    run(&client, work).await;
    support::settle(&client).await;

    let events = relay.events();
    let of = |name: &str| events.iter().filter(|event| event["fingerprint"][1] == name).map(suppressed).collect::<Vec<_>>();
    assert_eq!((of("even"), of("odd")), (vec![None, None, None, Some(46)], vec![None, None, None, Some(46)]));
}

#[tokio::test]
async fn what_waits_has_lost_its_attachments_and_they_are_counted() {
    let relay = Relay::start();
    let client = limited(&relay, 1);
    let _clock = HandClock::start();

    let work = async {
        Scope::current().add_attachment(Attachment::new("note.txt", "four".to_owned()));
        (0..5).for_each(fail);
    };
    run(&client, work).await;
    support::settle(&client).await;

    let bytes = client.stats().attachment_bytes;
    assert_eq!((relay.events().len(), relay.payloads("attachment").len()), (2, 1));
    assert_eq!((bytes.captured, bytes.sent, bytes.dropped), (20, 4, vec![(DiscardReason::Backpressure, 16)]));
}

#[tokio::test]
async fn without_a_limit_everything_is_sent_and_with_none_only_the_number() {
    for (limit, sent, said) in [(u32::MAX, 100, None), (0, 1, Some(99)), (99, 100, None)] {
        let relay = Relay::start();
        let client = limited(&relay, limit);
        let _clock = HandClock::start();

        run(&client, async { (0..100).for_each(fail) }).await;
        support::settle(&client).await;

        let events = relay.events();
        assert_eq!((events.len(), events.iter().find_map(suppressed)), (sent, said), "{limit}");
    }
}

#[tokio::test]
async fn backoff() {
    let port = support::closed_port();
    let address = port.local_addr().unwrap();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{address}/42");
    let config = support::to(dsn).traces_sample_rate(1.0).panic_hook(false).backpressure(true);
    let client = Client::from(config.build().unwrap());
    let ok = || async {
        tower_sentry::span("task", "step", async {}).await;
        "ok"
    };
    let broken = || async {
        Scope::current().transaction().set_attribute("order", 7);
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let app = Router::new().route("/ok", get(ok)).route("/broken", get(broken));
    let app = app.layer(SentryLayer::new(&client));
    let visit = async |path: &str| drop(app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
    let thinned = || client.stats().transactions.dropped.iter().find(|row| row.0 == DiscardReason::Backpressure).map_or(0, |row| row.1);

    // The rate is halved each second; at a thousandth, a hundred in a row are nearly always thinned out.
    visit("/ok").await;
    let (mut visits, mut in_a_row) = (0_u64, 0);
    let latest = std::time::Instant::now() + 3 * patience();
    while in_a_row < 100 {
        assert!(std::time::Instant::now() < latest, "the rate is not halved: {visits} visits, {} thinned out", thinned());
        let before = thinned();
        visit("/ok").await;
        visits += 1;
        in_a_row = if thinned() > before { in_a_row + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The rate is small, but not zero: it may take one of them, and not all.
    for _ in 0..5 {
        visit("/broken").await;
    }
    let relay = Relay::start_at(port);
    relay.wait_for(1);
    support::until("the whole rate is back", || {
        let before = thinned();
        futures_util::FutureExt::now_or_never(visit("/ok")).unwrap();
        thinned() == before
    })
    .await;
    support::settle(&client).await;

    let transactions = relay.transactions();
    let data = |transaction: &Value| transaction["contexts"]["trace"]["data"].clone();
    let kept =
        transactions.iter().find(|transaction| data(transaction)["tower_sentry.kept"] == "failed").expect("a failed request is kept");
    let seen = (kept["transaction"].as_str(), data(kept)["order"].as_u64(), kept["spans"].as_array().map(Vec::len));
    assert_eq!(seen, (Some("GET /broken"), Some(7), Some(0)));
    assert!(relay.events().iter().any(|event| event["transaction"] == "GET /broken"), "errors are not thinned out");
    let reported = relay.reported().into_iter().filter(|(reason, category, _)| reason == "backpressure" && category == "transaction");
    assert_eq!(reported.map(|(_, _, quantity)| quantity).sum::<u64>(), thinned());
}

#[tokio::test]
async fn many_logs_of_one_place_are_a_few_and_their_number() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).enable_logs(true).max_logs_per_callsite(5).build().unwrap());
    let _clock = HandClock::start();

    let work = async {
        for number in 0..1000 {
            tracing::info!(number, "many");
            if number == 500 {
                tracing::info!("another");
            }
        }
        for target in ["one", "two"] {
            (0..7).for_each(|_| log(target));
        }
    };
    run(&client, work).await;
    support::settle(&client).await;

    let logs: Vec<_> = relay.payloads("log").into_iter().flat_map(|logs| logs["items"].as_array().unwrap().clone()).collect();
    let attribute = |log: &Value, name: &str| log["attributes"][name]["value"].clone();
    let of = |body: &str| {
        let of_body = logs.iter().filter(|log| log["body"] == body);
        of_body.map(|log| attribute(log, "tower_sentry.suppressed").as_u64()).collect::<Vec<_>>()
    };
    assert_eq!((of("many"), of("another")), (vec![None, None, None, None, None, Some(994)], vec![None]));
    let last = logs.iter().find(|log| attribute(log, "tower_sentry.suppressed") == 994).unwrap();
    assert_eq!(attribute(last, "number"), 5);
    assert!(is_between(&attribute(last, "tower_sentry.suppressed_from"), &last["timestamp"], &last["timestamp"]));
    // Records of the `log` crate share a few callsites.
    assert_eq!(of("of one"), of("of two"));
    assert_eq!(of("of one").into_iter().flatten().collect::<Vec<_>>(), [1]);
    assert_eq!(client.stats().logs.dropped, [(DiscardReason::Backpressure, 996)]);
}

/// Logs as `log::info!` does where a `LogTracer` is installed.
fn log(target: &str) {
    let record = |args| log::Record::builder().args(args).level(log::Level::Info).target(target).line(Some(7)).build();
    tracing_log::format_trace(&record(format_args!("of {target}"))).unwrap();
}

/// Advances a stopped clock to the first second of a month with 31 days.
fn advance_to_january(clock: &HandClock) {
    let now = std::time::SystemTime::now();
    let year: u32 = humantime::format_rfc3339_seconds(now).to_string()[..4].parse().unwrap();
    let january = humantime::parse_rfc3339(&format!("{}-01-01T00:00:00Z", year + 1)).unwrap();
    // The clock was stopped a moment ago.
    clock.advance(january.duration_since(now).unwrap() + Duration::from_secs(1));
}

#[tokio::test]
async fn per_second() {
    const SECONDS: u32 = 200;
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).budget(Budget::errors().per_second(20)));
    let clock = HandClock::start();

    // Five times as many as allowed, at even distances.
    for second in 0..SECONDS {
        let work = async {
            for number in 0..100 {
                fail(100 * second + number);
                clock.advance(Duration::from_millis(10));
            }
        };
        run(&client, work).await;
        client.flush(patience()).await.unwrap();
    }
    client.transaction("others").run_infallible(async {}).await;
    support::settle(&client).await;

    let errors = client.stats().errors;
    let (sent, expected) = (errors.sent, u64::from(20 * SECONDS));
    assert!(sent.abs_diff(expected) * 100 <= expected, "{sent} of {expected}");
    assert_eq!((errors.captured, captured.events().len() as u64), (u64::from(100 * SECONDS), sent));
    assert_eq!((errors.over_budget, errors.dropped), (errors.captured - sent, vec![(DiscardReason::Backpressure, errors.captured - sent)]));
    assert_eq!(captured.transactions().len(), 1, "they have no budget");
}

type Marks = Arc<Mutex<Vec<BudgetMark>>>;

/// A client with a plan of 5,000 errors a month, as one process after the other has it.
fn planned(folder: &Path, marks: &Marks) -> (Client, Captured) {
    let seen = Arc::clone(marks);
    let config = Config::builder()
        .budget(Budget::errors().per_day(300).per_month(5_000))
        .budget_file(folder.join("budgets.json"))
        .on_budget(move |mark| seen.lock().unwrap().push(mark));
    client_with(config)
}

#[tokio::test]
async fn budget() {
    let folder = tempfile::tempdir().unwrap();
    let marks = Marks::default();
    let clock = HandClock::start();
    advance_to_january(&clock);
    let (mut captured, mut sent, mut over_budget) = (0, Vec::new(), 0);

    // 30 days with 20 errors an hour. A new process begins at each midnight and noon.
    for day in 0..30 {
        let mut of_day = 0;
        for half in 0..2 {
            let (client, _) = planned(folder.path(), &marks);
            for _ in 0..12 {
                run(&client, async { (0..20).for_each(fail) }).await;
                clock.advance(Duration::from_secs(3600));
            }
            support::settle(&client).await;
            let errors = client.stats().errors;
            captured += errors.captured;
            of_day += errors.sent;
            over_budget += errors.over_budget;
            assert_eq!(errors.dropped_total(), errors.over_budget, "{day} {half}");
        }
        sent.push(of_day);
    }

    assert_eq!((captured, sent.iter().sum::<u64>(), over_budget), (14_400, 5_000, 9_400));
    assert_eq!(sent[..18], [[300; 16].as_slice(), &[200, 0]].concat());
    let marks = marks.lock().unwrap();
    let of =
        |period, level| marks.iter().filter(|mark| (mark.period, mark.level) == (period, level)).map(|mark| mark.used).collect::<Vec<_>>();
    assert_eq!(of(BudgetPeriod::Day, BudgetLevel::Soft), [240; 16]);
    assert_eq!(of(BudgetPeriod::Day, BudgetLevel::Hard), [300; 16]);
    assert_eq!(of(BudgetPeriod::Month, BudgetLevel::Soft), [4_000]);
    // Each process says it once.
    assert_eq!(of(BudgetPeriod::Month, BudgetLevel::Hard), [5_000; 28]);
    assert!(marks.iter().all(|mark| mark.kind == BudgetKind::Errors));
}
