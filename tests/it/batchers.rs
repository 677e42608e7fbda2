//! A span of one request that is entered in the work of another one: what is reported inside it belongs to its own request.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use futures_util::future::join;
use tokio::sync::{Mutex, mpsc, oneshot};
use tower_sentry::{Client, Level, Scope, SentryLayer, User};
use tracing::{Instrument as _, Span, debug_span, error, info_span};

use crate::support::{self, Relay, Server, tree};

/// What a request gives to the batcher, and waits for.
struct Item {
    span: Span,
    /// Below the level of the layer.
    unrecorded: Span,
    scope: Scope,
    done: oneshot::Sender<()>,
}

fn report(what: &str) {
    tower_sentry::capture_error(&io::Error::other(what.to_owned()));
}

async fn reports(what: &'static str) {
    report(&format!("{what}, first"));
    tokio::task::yield_now().await;
    report(&format!("{what}, later"));
}

/// Bob's request: it hands its spans over and waits.
async fn bob(items: mpsc::Sender<Item>) {
    Scope::current().set_user(User::id("bob"));
    let (done, is_done) = oneshot::channel();
    let span = info_span!("item");
    let unrecorded = span.in_scope(|| debug_span!("unrecorded"));
    let item = Item { span: span.clone(), unrecorded, scope: Scope::current(), done };
    assert!(items.send(item).await.is_ok());
    is_done.await.unwrap();
    drop(span);
}

/// What is done with Bob's spans, wherever that is. Each report says whose it is.
async fn batch(item: &Item, own: &'static str) {
    let Item { span, unrecorded, scope, .. } = item;
    let mine = info_span!("mine");
    span.in_scope(|| report("bob: in a closure"));
    report(&format!("{own}: after a closure"));
    unrecorded.in_scope(|| report("bob: in a span that is not recorded"));
    // Futures side by side in one task.
    join(reports("bob: a future").instrument(span.clone()), reports(if own == "ann" { "ann: beside it" } else { "-: beside it" })).await;
    mine.in_scope(|| {
        span.in_scope(|| {
            // A span that is born outside any request changes nothing.
            let whose = if own == "ann" { own } else { "bob" };
            mine.in_scope(|| report(&format!("{whose}: in a span of the batcher again")));
            report("bob: back in his");
            span.in_scope(|| report("bob: entered twice"));
            report("bob: entered once more");
            scope.enter(|| report("bob: his scope in his span"));
            report("bob: after his scope");
        });
        report(&format!("{own}: back in its own"));
    });
    // Left out of order.
    let (first, second) = (span.enter(), mine.enter());
    drop(first);
    report(&format!("{own}: in the second"));
    drop(second);
    report(&format!("{own}: after both"));
    let (first, second) = (mine.enter(), span.enter());
    drop(first);
    report("bob: in the second");
    drop(second);
    report(&format!("{own}: after both, the other way round"));
    let guard = span.clone().entered();
    scope.enter(|| drop(guard));
    report(&format!("{own}: after a guard that was dropped elsewhere"));
    // Explicit parents, and events with one.
    info_span!(parent: span, "below").in_scope(|| report("bob: below an explicit parent"));
    debug_span!(parent: span, "below, unrecorded").in_scope(|| report("bob: below it, not recorded"));
    info_span!(parent: unrecorded, "below an unrecorded one").in_scope(|| report("bob: below one that is not recorded"));
    info_span!(parent: None, "at the root").in_scope(|| report(&format!("{own}: without a parent")));
    error!(parent: span, "bob: an event of his span");
    error!(parent: unrecorded, "bob: an event of his other span");
    // No membership.
    let follower = info_span!("follower");
    follower.follows_from(span);
    follower.in_scope(|| report(&format!("{own}: follows from his")));
    // A disabled span is the current one; one of ours inside his is his.
    span.in_scope(|| Span::none().or_current().in_scope(|| report("bob: or the current span")));
    tower_sentry::span("task", "ours", async { report("bob: a span of ours") }).instrument(span.clone()).await;
    // Work that is spawned there.
    let spawned = span.in_scope(|| tokio::spawn(reports("bob: spawned").in_current_span()));
    spawned.await.unwrap();
    let bound = span.in_scope(|| tokio::spawn(Scope::current().bind(reports("bob: bound"))));
    bound.await.unwrap();
    let scope = span.in_scope(Scope::current);
    tokio::task::spawn_blocking(move || scope.enter(|| report("bob: blocking"))).await.unwrap();
    report(&format!("{own}: at the end"));
}

/// Ann's request is the batcher.
async fn ann(items: Arc<Mutex<mpsc::Receiver<Item>>>) {
    Scope::current().set_user(User::id("ann"));
    let item = items.lock().await.recv().await.unwrap();
    let work = info_span!("work");
    batch(&item, "ann").instrument(work).await;
    item.done.send(()).unwrap();
}

fn service(client: &Client) -> Router {
    let (items, receiver) = mpsc::channel(1);
    let receiver = Arc::new(Mutex::new(receiver));
    let bob = move || bob(items.clone());
    // A task of its own, outside of any request.
    let worker = move || {
        let (items, mut receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let item: Item = receiver.recv().await.unwrap();
            batch(&item, "-").await;
            item.done.send(()).unwrap();
        });
        self::bob(items)
    };
    Router::new()
        .route("/bob", get(bob))
        .route("/ann", get(move || ann(receiver)))
        .route("/worker", get(worker))
        .layer(SentryLayer::new(client))
}

/// What was reported, and what is wrong with it: each text begins with the user that it must have.
fn wrong(relay: &Relay, bobs: &str) -> (usize, Vec<String>) {
    let events = relay.events();
    let traces: BTreeMap<_, _> =
        events.iter().map(|event| (event["transaction"].clone().to_string(), event["contexts"]["trace"]["trace_id"].clone())).collect();
    let wrong = events.iter().filter_map(|event| {
        let text = event["exception"]["values"][0]["value"].as_str().or_else(|| event["logentry"]["message"].as_str()).unwrap();
        let expected = text.split(':').next().unwrap();
        let user = event["user"]["id"].as_str().unwrap_or("-");
        let name = event["transaction"].as_str().unwrap_or("-");
        let expected_name = match expected {
            "bob" => bobs,
            "ann" => "GET /ann",
            _ => "-",
        };
        let is_of_trace = traces[&event["transaction"].to_string()] == event["contexts"]["trace"]["trace_id"];
        // What belongs to no request has a trace of its own.
        let is_right = user == expected && name == expected_name && (is_of_trace || expected == "-");
        (!is_right).then(|| format!("{text} -> {user} {name}"))
    });
    (events.len(), wrong.collect())
}

const RATES: [(f64, bool); 3] = [(1.0, true), (0.0, true), (1e-9, false)];

#[tokio::test]
async fn what_is_reported_in_a_span_of_another_request_belongs_to_that_request() {
    support::subscribe();
    for (rate, keeps) in RATES {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).traces_sample_rate(rate).keep_failed(keeps).build().unwrap());
        let server = Server::start(service(&client)).await;

        let (ann, bob) = join(support::get(&server, "/ann"), support::get(&server, "/bob")).await;

        assert!(ann.0.is_success() && bob.0.is_success());
        support::settle(&client).await;
        assert_eq!(wrong(&relay, "GET /bob"), (34, vec![]), "at a rate of {rate}");
        if rate > 0.5 {
            let trees: Vec<_> = relay.transactions().iter().map(tree).collect();
            let of = |name: &str| trees.iter().find(|tree| tree.starts_with(name)).unwrap().replace(" [function]", "");
            assert_eq!(
                of("GET /bob"),
                "GET /bob [http.server] ok\n  item internal_error\n    below ok\n    below an unrecorded one ok\n    ours [task] ok\n"
            );
            assert_eq!(of("GET /ann"), "GET /ann [http.server] ok\n  work ok\n    mine ok\n    follower ok\n  at the root ok\n");
        }
    }
}

#[tokio::test]
async fn so_does_what_a_task_outside_of_requests_reports() {
    // What belongs to no request would go to another test's client.
    if support::in_child("batchers::so_does_what_a_task_outside_of_requests_reports", &[]) {
        return;
    }
    support::subscribe();
    for (rate, keeps) in RATES {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).traces_sample_rate(rate).keep_failed(keeps).build().unwrap());
        let server = Server::start(service(&client)).await;

        assert!(support::get(&server, "/worker").await.0.is_success());

        support::settle(&client).await;
        assert_eq!(wrong(&relay, "GET /worker"), (34, vec![]), "at a rate of {rate}");
        if rate > 0.5 {
            let tree = tree(&relay.transactions()[0]).replace(" [function]", "");
            assert_eq!(
                tree,
                "GET /worker [http.server] ok\n  item internal_error\n    below ok\n    below an unrecorded one ok\n    ours [task] ok\n"
            );
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_guard_of_another_requests_span_that_is_held_over_an_await_ends_with_the_poll() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let (give, given) = oneshot::channel::<Span>();
    let (done, is_done) = oneshot::channel::<()>();
    let bob = client.transaction("bob").run_infallible(async {
        Scope::current().set_user(User::id("bob"));
        give.send(info_span!("item")).unwrap();
        is_done.await.unwrap();
        report("bob: in his own work");
    });
    let ann = client.transaction("ann").run_infallible(async {
        Scope::current().set_user(User::id("ann"));
        let span = given.await.unwrap();
        let guard = span.enter();
        report("bob: before the await");
        tokio::task::yield_now().await;
        report("ann: after the await");
        drop(guard);
        report("ann: after the guard");
        span.in_scope(|| report("bob: again"));
        done.send(()).unwrap();
    });
    let carol = client.transaction("carol").run_infallible(async {
        Scope::current().set_user(User::id("carol"));
        for _ in 0..3 {
            report("carol: meanwhile");
            tokio::task::yield_now().await;
        }
        tower_sentry::capture_message(Level::Warning, "carol: at the end");
    });

    join(join(bob, ann), carol).await;

    support::settle(&client).await;
    let mut found: Vec<_> = relay
        .events()
        .iter()
        .map(|event| {
            let text = event["exception"]["values"][0]["value"].as_str().or_else(|| event["logentry"]["message"].as_str()).unwrap();
            (
                text.split(':').next().unwrap().to_owned(),
                event["user"]["id"].as_str().unwrap_or("-").to_owned(),
                event["transaction"].as_str().unwrap_or("-").to_owned(),
            )
        })
        .collect();
    found.sort();
    found.dedup();
    let own = |name: &str| (name.to_owned(), name.to_owned(), name.to_owned());
    assert_eq!(found, [own("ann"), own("bob"), own("carol")]);
    assert_eq!(relay.transactions().len(), 3);
}
