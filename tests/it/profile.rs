//! Profiles of transactions, as they arrive. Each test has a process of its own: the signals are those of the process.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower_sentry::incoming::RouteOptions;
use tower_sentry::protocol::{DiscardReason, TraceLifecycle};
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Config, ConfigBuilder, Counts, ProfileLifecycle, Scope, SentryLayer, TracingLayer};
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{self, Answer, Received, Relay, Server, in_child, patience, said_in_child, until};

/// A secret that fits into the fifteen characters of a thread's name.
const SECRET: &str = "token=8f14e45fc";

/// The nanoseconds of processor time that this thread has used.
fn cpu_time() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// Work that is profiled uses the processor for this many milliseconds: 75 signals, where none is lost. A system may send fewer, because its
/// clock ticks seldom or another machine takes its time. So tests ask for a small part of them.
const LONG: u64 = 750;
/// The samples that are asked for.
const FEW: usize = 10;

/// Uses the processor for this time, whatever else runs on the machine.
macro_rules! burner {
    ($name:ident) => {
        #[inline(never)]
        fn $name(millis: u64) {
            let end = cpu_time() + millis * 1_000_000;
            while cpu_time() < end {
                let mut number = black_box(millis);
                for step in 0..400_000_u64 {
                    number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
                }
                black_box(number);
            }
        }
    };
}
burner!(price_of_basket);
burner!(burn_in_one);
burner!(burn_in_two);

fn client(relay: &Relay, change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Client {
    Client::from(change(support::config(relay).profiles_sample_rate(1.0)).build().unwrap())
}

/// Waits until the profiler takes samples: it reads the tables of the program first.
async fn ready(client: &Client) {
    let (begun, latest) = (client.stats().profiles.sent, Instant::now() + patience());
    while client.stats().profiles.sent == begun {
        assert!(Instant::now() < latest, "in vain: a transaction has a profile");
        client.transaction("warm-up").run_infallible(async { price_of_basket(50) }).await;
        client.flush(patience()).await.unwrap();
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The transactions with this name, with the headers and payloads that follow in the same envelope.
fn sent(relay: &Relay, name: &str) -> Vec<(Value, Vec<(Value, Value)>)> {
    let envelopes = relay.received();
    let parsed = envelopes.iter().map(Received::items).filter(|(_, items)| items[0].0["type"] == "transaction");
    parsed.map(|(_, mut items)| (items.remove(0).1, items)).filter(|(transaction, _)| transaction["transaction"] == name).collect()
}

/// The one profile in an envelope.
fn profile(items: &[(Value, Value)]) -> Option<&Value> {
    let profiles: Vec<_> = items.iter().filter(|(header, _)| header["type"] == "profile").collect();
    assert!(profiles.len() <= 1, "{profiles:?}");
    profiles.first().map(|(_, payload)| payload)
}

/// The functions of each sample, innermost first.
fn stacks(profile: &Value) -> Vec<Vec<String>> {
    let content = &profile["profile"];
    let function = |frame: &Value| {
        let frame = &content["frames"][usize::try_from(frame.as_u64().unwrap()).unwrap()];
        frame["function"].as_str().unwrap_or_default().to_owned()
    };
    let stack = |sample: &Value| {
        let stack = &content["stacks"][usize::try_from(sample["stack_id"].as_u64().unwrap()).unwrap()];
        stack.as_array().unwrap().iter().map(function).collect()
    };
    content["samples"].as_array().unwrap().iter().map(stack).collect()
}

fn with(stacks: &[Vec<String>], function: &str) -> usize {
    stacks.iter().filter(|stack| stack.iter().any(|name| name.contains(function))).count()
}

#[tokio::test]
async fn all() {
    if in_child("profile::all", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = client(&relay, |config| config.release("shop@1.4.0").environment("staging"));
    ready(&client).await;
    async fn basket() {
        price_of_basket(LONG);
    }
    let server = Server::start(Router::new().route("/basket", get(basket)).layer(SentryLayer::new(&client))).await;

    support::get(&server, "/basket").await;
    support::settle(&client).await;

    let sent = sent(&relay, "GET /basket");
    let [(transaction, items)] = &sent[..] else { panic!("one transaction: {sent:?}") };
    let profile = profile(items).expect("a profile beside it");
    let (header, _) = items.iter().find(|(header, _)| header["type"] == "profile").unwrap();
    assert_eq!(header["platform"], profile["platform"]);
    assert_eq!((&profile["version"], &profile["platform"]), (&json!("1"), &json!("rust")));
    assert_eq!(transaction["contexts"]["profile"], json!({"profile_id": profile["event_id"]}));
    let of = &profile["transaction"];
    assert_eq!((&of["id"], &of["trace_id"]), (&transaction["event_id"], &transaction["contexts"]["trace"]["trace_id"]));
    assert_eq!((&of["name"], &of["active_thread_id"]), (&transaction["transaction"], &json!("1")));
    assert_eq!((&profile["release"], &profile["environment"]), (&json!("shop@1.4.0"), &json!("staging")));
    assert_eq!(profile["device"]["architecture"], std::env::consts::ARCH);
    assert!(profile["os"]["name"].is_string() && profile["os"]["version"].is_string(), "{}", profile["os"]);
    assert!(profile.get("debug_meta").is_none(), "an image of Linux makes a profile invalid");

    let stacks = stacks(profile);
    assert!((FEW..300).contains(&stacks.len()), "101 in a second of processor time: {}", stacks.len());
    assert!(with(&stacks, "price_of_basket") * 2 > stacks.len(), "{stacks:?}");
    let busy = stacks.iter().find(|stack| stack.iter().any(|name| name.contains("price_of_basket"))).unwrap();
    let place = |function: &str| busy.iter().position(|name| name.contains(function)).unwrap_or_else(|| panic!("{function}: {busy:?}"));
    let in_order = [place("price_of_basket"), place("basket::{{closure}}"), place("tokio::runtime")];
    assert!(in_order.is_sorted(), "the innermost call comes first: {busy:?}");
    assert!(!busy.iter().any(|name| name.contains("pprof") || name.contains("signal_handler")), "{busy:?}");
    let frames = profile["profile"]["frames"].as_array().unwrap();
    let own = frames.iter().find(|frame| frame["function"].as_str().is_some_and(|name| name.contains("price_of_basket"))).unwrap();
    assert_eq!((&own["in_app"], own["filename"].as_str().unwrap().ends_with("profile.rs")), (&json!(true), true), "{own}");
    let tokio = frames.iter().find(|frame| frame["function"].as_str().is_some_and(|name| name.starts_with("tokio::runtime")));
    assert_eq!(tokio.expect("the runtime's calls are there")["in_app"], false);

    let samples = profile["profile"]["samples"].as_array().unwrap();
    let elapsed: Vec<_> = samples.iter().map(|sample| sample["elapsed_since_start_ns"].as_str().unwrap().parse::<u64>().unwrap()).collect();
    let seconds = transaction["timestamp"].as_f64().unwrap() - transaction["start_timestamp"].as_f64().unwrap();
    assert!(elapsed.is_sorted() && *elapsed.last().unwrap() as f64 <= (seconds + 1.0) * 1e9, "{seconds} {elapsed:?}");
    assert!(samples.iter().all(|sample| sample["thread_id"] == "1"), "one thread has polled it");
    assert_eq!(profile["profile"]["thread_metadata"], json!({"1": {"name": "profile::all"}}));
}

#[tokio::test]
async fn what_is_not_sampled_has_no_profile() {
    if in_child("profile::what_is_not_sampled_has_no_profile", &[]) {
        return;
    }
    let relay = Relay::start();
    // This one has the profiler run.
    let profiled = client(&relay, |config| config);
    ready(&profiled).await;
    let never = client(&relay, |config| config.profiles_sample_rate(0.0));
    let unset = support::client(&relay);
    let unsampled = client(&relay, |config| config.traces_sample_rate(0.000_001));
    let fail = || async {
        price_of_basket(60);
        StatusCode::INTERNAL_SERVER_ERROR
    };

    for client in [&never, &unset] {
        client.transaction("plain").run_infallible(async { price_of_basket(60) }).await;
        support::settle(client).await;
    }
    let server = Server::start(Router::new().route("/kept", get(fail)).layer(SentryLayer::new(&unsampled))).await;
    support::get(&server, "/kept").await;
    support::settle(&unsampled).await;

    let sent = [sent(&relay, "plain"), sent(&relay, "GET /kept")].concat();
    assert_eq!(sent.len(), 3);
    for (transaction, items) in &sent {
        assert!(profile(items).is_none() && transaction["contexts"].get("profile").is_none(), "{transaction}");
    }
    for client in [&never, &unset, &unsampled] {
        assert_eq!(client.stats().profiles, Counts::default());
    }
}

#[test]
fn two_requests_at_a_time_have_the_samples_of_their_own_threads() {
    if in_child("profile::two_requests_at_a_time_have_the_samples_of_their_own_threads", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    runtime().block_on(ready(&client));
    let (both, done) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let serve = |path: &'static str, burn: fn(u64)| {
        let (client, both, done) = (&client, Arc::clone(&both), Arc::clone(&done));
        let handler = move || async move {
            both.wait();
            burn(LONG);
            done.wait();
        };
        move || {
            runtime().block_on(async {
                let server = Server::start(Router::new().route(path, get(handler)).layer(SentryLayer::new(client))).await;
                support::get(&server, path).await;
            });
        }
    };

    std::thread::scope(|scope| {
        scope.spawn(serve("/one", burn_in_one));
        scope.spawn(serve("/two", burn_in_two));
    });
    runtime().block_on(support::settle(&client));

    for (name, own, other) in [("GET /one", "burn_in_one", "burn_in_two"), ("GET /two", "burn_in_two", "burn_in_one")] {
        let sent = sent(&relay, name);
        let stacks = stacks(profile(&sent[0].1).expect("a profile"));
        assert!(with(&stacks, own) > FEW, "{name}: {stacks:?}");
        assert_eq!(with(&stacks, other), 0, "{name}: {stacks:?}");
    }
}

#[tokio::test]
async fn a_transaction_that_hardly_uses_the_processor_has_no_profile_and_that_is_counted() {
    if in_child("profile::a_transaction_that_hardly_uses_the_processor_has_no_profile_and_that_is_counted", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    ready(&client).await;
    let before = client.stats().profiles.dropped_total();

    client.transaction("idle").run_infallible(async {}).await;
    support::settle(&client).await;

    let sent = sent(&relay, "idle");
    assert!(profile(&sent[0].1).is_none() && sent[0].0["contexts"].get("profile").is_none(), "{sent:?}");
    assert_eq!(client.stats().profiles.dropped, [(DiscardReason::InsufficientData, before + 1)]);
    let reported = relay.reported();
    let of_profiles = reported.iter().filter(|(reason, category, _)| reason == "insufficient_data" && category == "profile");
    assert_eq!(of_profiles.map(|(_, _, count)| count).sum::<u64>(), before + 1, "{reported:?}");
}

#[test]
fn a_process_that_is_profiled_by_others_has_no_profiles_and_one_warning() {
    let name = "profile::a_process_that_is_profiled_by_others_has_no_profiles_and_one_warning";
    if let Some(said) = said_in_child(name, &[]) {
        let warning = "no profiles are taken: another part of this process uses `pprof`";
        assert_eq!(said.matches(warning).count(), 1, "{said}");
        return;
    }
    let relay = Relay::start();
    // The first signal allocates, so it must not interrupt an allocation.
    let first = pprof::ProfilerGuardBuilder::default().frequency(1).build().unwrap();
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGPROF).unwrap();
    drop(first);
    let theirs = pprof::ProfilerGuardBuilder::default().frequency(997).build().unwrap();
    let client = client(&relay, |config| config);
    let runtime = runtime();

    for _ in 0..3 {
        runtime.block_on(client.transaction("work").run_infallible(async { price_of_basket(LONG) }));
    }
    runtime.block_on(support::settle(&client));

    let sent = sent(&relay, "work");
    assert!(sent.len() == 3 && sent.iter().all(|(_, items)| profile(items).is_none()), "{sent:?}");
    assert_eq!(client.stats().profiles.dropped, [(DiscardReason::InsufficientData, 3)]);
    let found = theirs.report().build().unwrap();
    let samples: isize = found.data.values().sum();
    assert!(samples > 10, "their profiler goes on: {samples}");
}

#[tokio::test]
async fn a_rate_limit_of_profiles_leaves_their_transactions() {
    if in_child("profile::a_rate_limit_of_profiles_leaves_their_transactions", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    ready(&client).await;
    let dropped = client.stats().profiles.dropped_total();
    relay.answer_next(Answer::Status(200, vec![("x-sentry-rate-limits", "600:profile:organization".to_owned())]));
    client.transaction("the limit").run_infallible(async {}).await;
    client.flush(patience()).await.unwrap();

    client.transaction("limited").run_infallible(async { price_of_basket(LONG) }).await;
    support::settle(&client).await;

    let sent = sent(&relay, "limited");
    assert!(profile(&sent[0].1).is_none() && sent[0].0["contexts"].get("profile").is_none(), "{sent:?}");
    let dropped_now = client.stats().profiles.dropped;
    assert!(dropped_now.contains(&(DiscardReason::RatelimitBackoff, 1)), "{dropped_now:?}");
    assert_eq!(client.stats().profiles.dropped_total(), dropped + 2);
}

#[tokio::test]
async fn a_profile_goes_with_its_transaction_through_hooks_and_is_dropped_with_it() {
    if in_child("profile::a_profile_goes_with_its_transaction_through_hooks_and_is_dropped_with_it", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = client(&relay, |config| {
        config.ignore_transaction_statuses([404]).before_send_transaction(|mut transaction| {
            transaction.name = format!("{} (seen)", transaction.name);
            (!transaction.name.starts_with("unwanted")).then_some(transaction)
        })
    });
    ready(&client).await;
    let quiet = || async {
        price_of_basket(LONG);
    };
    let sensitive = RouteOptions::new().sensitive();
    let layer = SentryLayer::new(&client).route("/secret", sensitive);
    let gone = || async { StatusCode::NOT_FOUND };
    let server = Server::start(Router::new().route("/secret", get(quiet)).route("/gone", get(gone)).layer(layer)).await;

    for name in ["wanted", "unwanted"] {
        client.transaction(name).run_infallible(async { price_of_basket(LONG) }).await;
    }
    support::get(&server, "/secret").await;
    support::get(&server, "/gone").await;
    support::settle(&client).await;

    for name in ["wanted (seen)", "GET /secret (seen)"] {
        let sent = sent(&relay, name);
        let (transaction, items) = &sent[0];
        let profile = profile(items).expect("a profile");
        assert_eq!(transaction["contexts"]["profile"]["profile_id"], profile["event_id"]);
        assert_eq!(profile["transaction"]["id"], transaction["event_id"]);
        assert_eq!(profile["transaction"]["name"], name, "the hook may have removed a secret");
    }
    let dropped = client.stats().profiles.dropped;
    assert!(dropped.contains(&(DiscardReason::BeforeSend, 1)), "{dropped:?}");
    assert!(dropped.contains(&(DiscardReason::EventProcessor, 1)), "of a transaction that is not sent: {dropped:?}");
}

#[test]
fn secrets_in_names_of_threads_and_transactions_do_not_leave() {
    if in_child("profile::secrets_in_names_of_threads_and_transactions_do_not_leave", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    let work = || {
        runtime().block_on(async {
            ready(&client).await;
            client.transaction(format!("import {SECRET}")).run_infallible(async { price_of_basket(LONG) }).await;
            support::settle(&client).await;
        });
    };

    std::thread::scope(|scope| std::thread::Builder::new().name(SECRET.to_owned()).spawn_scoped(scope, work).unwrap().join().unwrap());

    let profiles = relay.payloads("profile");
    let names: BTreeSet<_> = profiles.iter().map(|profile| profile["profile"]["thread_metadata"]["1"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["token=[Filtered]"]), "the name was there, and was hidden");
    let text = relay.received().iter().map(|received| String::from_utf8_lossy(&received.envelope).into_owned()).collect::<String>();
    assert!(!text.contains("8f14e45f"), "a secret has left");
    assert!(profiles.iter().any(|profile| profile["transaction"]["name"] == "import token=[Filtered]"), "{names:?}");
}

#[tokio::test]
async fn the_signals_stop_when_nothing_was_profiled_for_a_while() {
    if in_child("profile::the_signals_stop_when_nothing_was_profiled_for_a_while", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = client(&relay, |config| config);
    ready(&client).await;

    // While they run, others cannot start their own.
    assert!(matches!(pprof::ProfilerGuard::new(1), Err(pprof::Error::Running)));
    until("the signals have stopped", || pprof::ProfilerGuard::new(1).is_ok()).await;
}

/// A client of a process whose session is profiled.
fn of_session(relay: &Relay, lifecycle: ProfileLifecycle) -> Client {
    Client::from(
        support::config(relay).profile_session_sample_rate(1.0).profile_lifecycle(lifecycle).release("shop@1.4.0").build().unwrap(),
    )
}

/// Waits until the profiler has sent a chunk more.
async fn chunk(client: &Client, before: u64) {
    let settled = || {
        let chunks = client.stats().profile_chunks;
        chunks.sent + chunks.dropped_total() > before
    };
    until("a chunk is sent or counted", settled).await;
}

/// Runs sessions until a chunk was sent: the profiler reads the tables of the program first.
async fn ready_for_sessions(client: &Client, mut session: impl AsyncFnMut()) {
    let latest = Instant::now() + patience();
    while client.stats().profile_chunks.sent == 0 {
        assert!(Instant::now() < latest, "in vain: a session has samples");
        let before = client.stats().profile_chunks.captured;
        session().await;
        chunk(client, before).await;
    }
}

/// The chunks of the session that this transaction was in. They all have its id.
fn chunks_of(relay: &Relay, transaction: &Value) -> Vec<Value> {
    let profiler_id = &transaction["contexts"]["profile"]["profiler_id"];
    assert!(profiler_id.is_string(), "{transaction}");
    relay.payloads("profile_chunk").into_iter().filter(|chunk| chunk["profiler_id"] == *profiler_id).collect()
}

/// The seconds since the epoch.
fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[tokio::test]
async fn a_session_has_all_threads_between_its_start_and_its_stop() {
    if in_child("profile::a_session_has_all_threads_between_its_start_and_its_stop", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = of_session(&relay, ProfileLifecycle::Manual);
    client.transaction("before").run_infallible(async {}).await;
    ready_for_sessions(&client, async || {
        client.start_profiler();
        burn_in_one(100);
        client.stop_profiler();
    })
    .await;

    let before = (client.stats().profile_chunks.captured, wall_clock());
    client.start_profiler();
    std::thread::scope(|scope| {
        std::thread::Builder::new().name("second".to_owned()).spawn_scoped(scope, || burn_in_two(LONG)).unwrap();
        let work = async {
            burn_in_one(LONG);
            tower_sentry::capture_message(tower_sentry::Level::Error, "inside");
        };
        client.transaction("inside").run_infallible(work).now_or_never().unwrap();
    });
    client.stop_profiler();
    let after = wall_clock();
    burn_in_one(100);
    chunk(&client, before.0).await;
    support::settle(&client).await;

    let envelopes = relay.received();
    let alone: Vec<_> = envelopes.iter().map(Received::items).filter(|(_, items)| items[0].0["type"] == "profile_chunk").collect();
    let (header, items) = alone.last().unwrap();
    assert!(header.get("trace").is_none() && header.get("event_id").is_none() && items.len() == 1, "{header}");
    let (item, chunk) = &items[0];
    assert_eq!((&item["platform"], &chunk["platform"], &chunk["version"]), (&json!("rust"), &json!("rust"), &json!("2")));
    assert_eq!((&chunk["release"], &chunk["client_sdk"]["name"]), (&json!("shop@1.4.0"), &json!("tower.sentry")));
    assert_eq!(chunk["chunk_id"].as_str().unwrap().len(), 32);
    let inside = sent(&relay, "inside").pop().unwrap().0;
    assert_eq!(inside["contexts"]["profile"], json!({"profiler_id": chunk["profiler_id"]}), "{alone:?}");
    assert_eq!(relay.events().last().unwrap()["contexts"]["profile"]["profiler_id"], chunk["profiler_id"]);
    assert!(sent(&relay, "before")[0].0["contexts"].get("profile").is_none());
    assert!(relay.payloads("profile").is_empty(), "a session has no profiles of transactions");
    // A machine that is slow enough has more than one chunk of it.
    let chunks = chunks_of(&relay, &inside);
    let stacks: Vec<_> = chunks.iter().flat_map(stacks).collect();
    assert!(with(&stacks, "burn_in_one") > FEW && with(&stacks, "burn_in_two") > FEW, "{stacks:?}");
    let samples = chunks.iter().flat_map(|chunk| chunk["profile"]["samples"].as_array().unwrap());
    let times: Vec<_> = samples.map(|sample| sample["timestamp"].as_f64().unwrap()).collect();
    let [start, end] = ["start_timestamp", "timestamp"].map(|name| inside[name].as_f64().unwrap());
    assert!(times.is_sorted() && times.iter().any(|time| (start..=end).contains(time)), "{start} {end} {times:?}");
    // Times are written in microseconds.
    let whole = before.1 - 0.001..=after + 0.001;
    assert!(times.iter().all(|time| whole.contains(time)), "{whole:?} {times:?}");
    let threads = chunks.iter().flat_map(|chunk| chunk["profile"]["thread_metadata"].as_object().unwrap().values());
    let names: BTreeSet<_> = threads.filter_map(|thread| thread["name"].as_str()).collect();
    assert!(names.contains("second"), "{names:?}");
}

#[tokio::test]
async fn a_session_runs_while_sampled_transactions_do_and_a_shutdown_takes_its_end() {
    if in_child("profile::a_session_runs_while_sampled_transactions_do_and_a_shutdown_takes_its_end", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = of_session(&relay, ProfileLifecycle::Trace);
    ready_for_sessions(&client, async || client.transaction("work").run_infallible(async { burn_in_one(100) }).await).await;
    let before = client.stats().profile_chunks.captured;

    let open = client.transaction("open").run_infallible(async {
        tower_sentry::capture_message(tower_sentry::Level::Error, "open");
        burn_in_two(LONG);
        std::future::pending::<()>().await;
    });
    let mut open = Box::pin(open);
    assert!((&mut open).now_or_never().is_none());
    support::settle(&client).await;

    assert!(client.stats().profile_chunks.captured > before, "what an open transaction has up to the shutdown");
    let open = relay.events().pop().unwrap();
    let found: Vec<_> = chunks_of(&relay, &open).iter().flat_map(stacks).collect();
    assert!(with(&found, "burn_in_two") > FEW, "{found:?}");
    let works = sent(&relay, "work");
    assert!(works.iter().any(|(work, _)| !chunks_of(&relay, work).is_empty()), "{works:?}");
}

#[tokio::test]
async fn a_task_that_goes_on_does_not_keep_the_session_of_its_request_going() {
    if in_child("profile::a_task_that_goes_on_does_not_keep_the_session_of_its_request_going", &[]) {
        return;
    }
    let relay = Relay::start();
    let client = of_session(&relay, ProfileLifecycle::Trace);

    let work = async { Some(tokio::spawn(Scope::current().bind(std::future::pending::<()>()))) };
    let task = client.transaction("work").run_infallible(work).await.unwrap();
    client.transaction("next").run_infallible(async {}).await;

    assert!(!task.is_finished(), "it still has the scope");
    task.abort();
    support::settle(&client).await;
    let session = |name: &str| sent(&relay, name)[0].0["contexts"]["profile"]["profiler_id"].clone();
    assert!(session("work").is_string() && session("next").is_string());
    assert_ne!(session("work"), session("next"), "the first session has ended with its transaction");
}

#[tokio::test]
async fn a_client_that_closes_leaves_the_session_and_the_chunks_of_another() {
    if in_child("profile::a_client_that_closes_leaves_the_session_and_the_chunks_of_another", &[]) {
        return;
    }
    let relay = Relay::start();
    let [first, closed, dropped] = [(); 3].map(|()| of_session(&relay, ProfileLifecycle::Manual));
    first.start_profiler();
    closed.start_profiler();

    support::settle(&closed).await;
    drop(dropped);
    first.transaction("work").run_infallible(async {}).await;
    first.stop_profiler();
    chunk(&first, 0).await;
    support::settle(&first).await;

    assert_eq!(closed.stats().profile_chunks, Counts::default());
    let work = sent(&relay, "work").pop().unwrap().0;
    assert!(work["contexts"]["profile"]["profiler_id"].is_string(), "the session goes on: {work}");
}

#[tokio::test]
async fn without_a_share_of_sessions_none_is_profiled() {
    if in_child("profile::without_a_share_of_sessions_none_is_profiled", &[]) {
        return;
    }
    let relay = Relay::start();
    let none = support::client(&relay);
    let unlucky = Client::from(support::config(&relay).profile_session_sample_rate(1e-9).build().unwrap());

    for client in [&none, &unlucky] {
        client.start_profiler();
        client.transaction("work").run_infallible(async { burn_in_one(50) }).await;
        client.stop_profiler();
        support::settle(client).await;
        assert_eq!(client.stats().profile_chunks, Counts::default());
    }

    assert!(sent(&relay, "work").iter().all(|(transaction, _)| transaction["contexts"].get("profile").is_none()));
}

#[test]
fn shares_of_transactions_and_of_sessions_are_never_mixed() {
    let config = |variables: &[(&'static str, &'static str)]| Config::builder().from_vars(variables.iter().copied()).build();
    let both = [("SENTRY_PROFILES_SAMPLE_RATE", "0.5"), ("SENTRY_PROFILE_SESSION_SAMPLE_RATE", "0.25")];

    let of_both = config(&both).unwrap();
    let of_session = config(&both[1..]).unwrap();
    let beyond = Config::builder().profile_session_sample_rate(1.5).build().unwrap_err();

    assert_eq!(of_both.warnings(), ["profile_session_sample_rate has no effect: profiles_sample_rate is set"]);
    assert!(of_session.warnings().is_empty());
    let row = |config: &Config, name: &str| {
        let text = config.to_string();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row(&of_both, "profiles_sample_rate"), "0.5 SENTRY_PROFILES_SAMPLE_RATE");
    assert_eq!(row(&of_session, "profiles_sample_rate"), "none default");
    assert_eq!(row(&of_session, "profile_session_sample_rate"), "0.25 SENTRY_PROFILE_SESSION_SAMPLE_RATE");
    assert_eq!(beyond.to_string(), "profile_session_sample_rate: expected a number from 0.0 to 1.0, found '1.5'");
}

#[test]
fn streamed_spans_have_no_profile_beside_them_and_a_warning_says_so() {
    let config = Config::builder().dsn("http://key@127.0.0.1:9/1").trace_lifecycle(TraceLifecycle::Stream).profiles_sample_rate(1.0);
    let config = config.profile_session_sample_rate(1.0).build().unwrap();

    let [warning] = config.warnings() else { panic!("{:?}", config.warnings()) };
    assert!(warning.starts_with("profiles_sample_rate has no effect with trace_lifecycle `stream`"), "{warning}");
}

/// The times of the polls of a span separate what it computed from what it waited for.
#[tokio::test]
async fn cpu_vs_wait() {
    let (client, captured) = tower_sentry::test::client();
    let layer = TracingLayer::new(&client).poll_times(true);
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let clock = HandClock::start();
    let work = async {
        clock.advance(Duration::from_millis(50));
        // Another task runs meanwhile.
        tokio::task::yield_now().await;
    };
    let others = async { clock.advance(Duration::from_millis(50)) };
    let both = async { futures_util::join!(work.instrument(info_span!("render")), others) };
    client.transaction("work").run_infallible(both).await;

    let transaction = &captured.transactions()[0];
    let number = |name: &str| transaction.spans[0].data[name].as_f64().unwrap();
    assert_eq!((number("tower_sentry.busy_ms"), number("tower_sentry.idle_ms")), (50.0, 50.0));
    support::settle(&client).await;
}
