//! Spans: from `tracing`, from middleware, by hand; parents across awaits and tasks.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use futures_util::FutureExt as _;
use futures_util::future::join;
use serde_json::json;
use tower_http::cors::CorsLayer;
use tower_http::trace::TraceLayer;
use tower_sentry::protocol::{SpanLink, SpanStatus};
use tower_sentry::{Client, Scope, SentryLayer, SpanLayer};
use tracing::{Instrument as _, debug_span, error, info_span, instrument, warn};

use crate::support::{self, Relay, Server, tree};

/// The tree of the one request of `app`.
async fn recorded(relay: &Relay, client: &Client, app: Router) -> String {
    support::subscribe();
    let server = Server::start(app.layer(SentryLayer::new(client))).await;
    support::get(&server, "/").await;
    support::settle(client).await;
    let transactions = relay.transactions();
    assert_eq!(transactions.len(), 1);
    tree(&transactions[0])
}

fn harness() -> (Relay, Client) {
    let relay = Relay::start();
    let client = support::client(&relay);
    (relay, client)
}

#[instrument]
async fn query() {
    tokio::task::yield_now().await;
}

#[instrument(fields(sentry.op = "cache.get", sentry.name = "cart"))]
async fn lookup() {
    query().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn middleware_auth_handler_and_query_nest() {
    #[instrument(fields(sentry.op = "auth"))]
    async fn authenticate() {
        tokio::task::yield_now().await;
    }
    async fn auth(request: axum::extract::Request, next: Next) -> axum::response::Response {
        authenticate().await;
        next.run(request).await
    }
    #[instrument]
    async fn handler() {
        lookup().await;
    }
    let (relay, client) = harness();
    let app = Router::new()
        .route("/", get(handler))
        .layer(SpanLayer::new("auth", from_fn(auth)).op("auth"))
        .layer(SpanLayer::new("middleware.cors", CorsLayer::permissive()));

    let tree = recorded(&relay, &client, app).await;

    assert_eq!(
        tree,
        "GET / [http.server] ok\n  middleware.cors [middleware] ok\n    auth [auth] ok\n      authenticate [auth] ok\n      handler [function] ok\n        cart [cache.get] ok\n          query [function] ok\n"
    );
    let cors = &relay.transactions()[0]["spans"][0]["data"];
    assert!(cors["middleware.before_ms"].is_number() && cors["middleware.after_ms"].is_number(), "{cors}");
}

#[tokio::test]
async fn concurrent_work_gives_siblings() {
    #[instrument]
    async fn handler() {
        join(lookup(), tower_sentry::span("db.query", "SELECT 1", query())).await;
    }
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    assert_eq!(
        tree,
        "GET / [http.server] ok\n  handler [function] ok\n    cart [cache.get] ok\n      query [function] ok\n    SELECT ? [db.query] ok\n      query [function] ok\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spawned_work_finds_home() {
    #[instrument]
    async fn handler() {
        let born_here = tokio::spawn(async { query().await }.instrument(info_span!("rebuild")));
        let bound = tokio::spawn(Scope::current().bind(async { tower_sentry::span("task", "bound", query()).await }));
        let scope = Scope::current();
        let blocking = tokio::task::spawn_blocking(move || scope.enter(|| info_span!("resize").in_scope(|| ())));
        let (a, b) = join(born_here, bound).await;
        (a.unwrap(), b.unwrap(), blocking.await.unwrap());
    }
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    let mut lines: Vec<_> = tree.lines().skip(2).collect();
    lines.sort_unstable();
    let mut expected = [
        "    rebuild [function] ok",
        "      query [function] ok",
        "    bound [task] ok",
        "      query [function] ok",
        "    resize [function] ok",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected, "{tree}");
}

#[tokio::test]
async fn spans_below_the_level_and_spans_entered_twice_keep_their_place() {
    #[instrument]
    async fn handler() {
        let own = tower_sentry::span("task", "own", async {
            query().instrument(debug_span!("below the level")).await;
            let inside = async { tower_sentry::span("task", "inner", async {}).instrument(debug_span!("below the level")).await };
            inside.instrument(info_span!("traced")).await;
        });
        own.await;
        let moved = async {
            async {}.in_current_span().await;
            query().await;
        };
        tokio::spawn(moved.instrument(info_span!("moved"))).await.unwrap();
    }
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    assert_eq!(
        tree,
        "GET / [http.server] ok\n  handler [function] ok\n    own [task] ok\n      query [function] ok\n      traced [function] ok\n        inner [task] ok\n    moved [function] ok\n      query [function] ok\n"
    );
}

#[tokio::test]
async fn levels_and_foreign_spans_leave_no_hole() {
    async fn handler() {
        async { query().await }.instrument(debug_span!("below the level")).await;
        async { error!("it failed") }.instrument(info_span!("failing", otel.name = "fails")).await;
        async { warn!("only a warning") }.instrument(info_span!("fine", late = tracing::field::Empty)).await;
    }
    let (relay, client) = harness();
    let app = Router::new().route("/", get(handler)).layer(TraceLayer::new_for_http());

    let tree = recorded(&relay, &client, app).await;

    assert_eq!(tree, "GET / [http.server] ok\n  query [function] ok\n  fails [function] internal_error\n  fine [function] ok\n");
}

#[tokio::test]
async fn fields_become_attributes_and_late_ones_win() {
    async fn handler() {
        let span = info_span!("work", count = 1_u64, ratio = 0.5, found = true, who = "me", debug = ?Some(1), late = tracing::field::Empty);
        span.record("late", "first");
        span.record("late", "second");
        let _inside = span.enter();
    }
    let (relay, client) = harness();
    recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    let mut data = relay.transactions()[0]["spans"][0]["data"].clone();
    let line = data.as_object_mut().unwrap().remove("code.line.number").unwrap();
    assert!(line.is_u64());
    let expected = serde_json::json!({
        "count": 1, "ratio": 0.5, "found": true, "who": "me", "debug": "Some(1)", "late": "second",
        "code.namespace": "it::spans", "code.file.path": "tests/it/spans.rs"
    });
    assert_eq!(data, expected);
}

/// What a handler, an instrumented function and a middleware set on their spans and on the transaction, on the wire.
#[tokio::test]
async fn handle() {
    async fn middleware(request: axum::extract::Request, next: Next) -> axum::response::Response {
        Scope::current().span().set_op("auth").set_name("checks the session").set_attribute("session.age", 3.5);
        next.run(request).await
    }
    #[instrument(fields(table = tracing::field::Empty))]
    async fn load() -> Vec<&'static str> {
        let rows = vec!["tea", "milk"];
        tokio::task::yield_now().await;
        tracing::Span::current().record("table", "cart");
        let span = Scope::current().span();
        span.set_attribute("rows", rows.len()).set_attribute("names", &rows).set_attribute("cached", false);
        span.set_op("db.query").set_name("SELECT name FROM cart WHERE id = 7").set_status(SpanStatus::DeadlineExceeded);
        rows
    }
    async fn handler(scope: Scope) {
        load().await;
        let transaction = scope.transaction();
        transaction.set_name("checkout").set_op("shop.checkout").set_status(SpanStatus::Aborted);
        transaction.set_attribute("items", 2).set_attribute("coupons", ["a", "b"]).set_measurement("basket.value", 12.5, "euro");
        let sender = HashMap::from([("sentry-trace".to_owned(), "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1".to_owned())]);
        transaction.add_link(SpanLink::from_headers(&sender).unwrap().attribute("sentry.link.type", "previous_trace"));
    }
    let (relay, client) = harness();
    let app = Router::new().route("/", get(handler)).layer(SpanLayer::new("auth", from_fn(middleware)));

    let tree = recorded(&relay, &client, app).await;

    assert_eq!(
        tree,
        "checkout [shop.checkout] aborted\n  checks the session [auth] ok\n    SELECT name FROM cart WHERE id = ? [db.query] deadline_exceeded\n"
    );
    let transaction = &relay.transactions()[0];
    assert_eq!(transaction["measurements"], json!({"basket.value": {"value": 12.5, "unit": "euro"}}));
    let link = json!({
        "trace_id": "771a43a4192642f0b136d5159a501700", "span_id": "b0e6f15b45c36b12", "sampled": true,
        "attributes": {"sentry.link.type": "previous_trace"}
    });
    assert_eq!(transaction["contexts"]["trace"]["links"], json!([link]));
    let mut foreign = transaction.clone();
    // These types read the end of a span only as a text.
    foreign.as_object_mut().unwrap().remove("timestamp");
    foreign["spans"].as_array_mut().unwrap().iter_mut().for_each(|span| _ = span.as_object_mut().unwrap().remove("timestamp"));
    let read: sentry_types::protocol::v7::Transaction<'static> = serde_json::from_value(foreign).unwrap();
    let Some(sentry_types::protocol::v7::Context::Trace(root)) = read.contexts.get("trace") else { panic!("no trace") };
    assert_eq!((root.op.as_deref(), root.status), (Some("shop.checkout"), Some(sentry_types::protocol::v7::SpanStatus::Aborted)));
    assert_eq!((&root.data["items"], &root.data["coupons"]), (&2.into(), &["a", "b"].into()));
    assert_eq!(read.spans[0].data["session.age"], 3.5);
    let load = &read.spans[1];
    assert_eq!((load.op.as_deref(), load.status), (Some("db.query"), Some(sentry_types::protocol::v7::SpanStatus::DeadlineExceeded)));
    assert_eq!((&load.data["rows"], &load.data["names"]), (&2.into(), &["tea", "milk"].into()));
    assert_eq!((&load.data["cached"], &load.data["table"]), (&false.into(), &"cart".into()));
}

#[tokio::test]
async fn events_name_the_span_they_were_captured_in() {
    #[instrument]
    async fn inside() {
        tower_sentry::capture_message(tower_sentry::Level::Warning, "traced");
        tower_sentry::span("task", "own", async { tower_sentry::capture_message(tower_sentry::Level::Warning, "own") }).await;
    }
    let (relay, client) = harness();
    recorded(&relay, &client, Router::new().route("/", get(|| async { inside().await }))).await;

    let spans = relay.transactions()[0]["spans"].as_array().unwrap().clone();
    for (message, span) in [("traced", "inside"), ("own", "own")] {
        let event = relay.events().into_iter().find(|event| event["logentry"]["message"] == message).unwrap();
        let span = spans.iter().find(|other| other["description"] == span).unwrap();
        assert_eq!(event["contexts"]["trace"]["span_id"], span["span_id"], "{message}");
    }
}

#[tokio::test]
async fn cap_counts_loss() {
    async fn handler() {
        for _ in 0..5000 {
            info_span!("one of many").in_scope(|| ());
        }
    }
    let (relay, client) = harness();
    recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    let transaction = &relay.transactions()[0];
    assert_eq!(transaction["spans"].as_array().unwrap().len(), 1000);
    assert_eq!(transaction["contexts"]["trace"]["data"]["tower_sentry.dropped_spans"], 4000);
    let stats = client.stats();
    assert_eq!((stats.spans.captured, stats.spans.sent, stats.spans.dropped_total()), (5001, 1001, 4000));
}

#[tokio::test]
async fn the_cap_keeps_the_slow_the_failed_and_what_others_hang_on() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let clock = tower_sentry::test::HandClock::start();
    let many = async {
        for number in 0..5000_u32 {
            match number % 1000 {
                10 => tower_sentry::span("db.query", format!("slow {number}"), async { clock.advance(Duration::from_millis(20)) }).await,
                20 => info_span!("failed", number).in_scope(|| tracing::error!("no")),
                30 => {
                    tower_sentry::span("task", format!("parent {number}"), tower_sentry::span("task", format!("child {number}"), async {}))
                        .await;
                }
                40 => info_span!("with late fields", number = tracing::field::Empty).record("number", number).in_scope(|| ()),
                _ => info_span!("fast", unset = tracing::field::Empty).in_scope(|| clock.advance(Duration::from_micros(10))),
            }
        }
    };
    client.transaction("many").run(many).await;

    let transaction = &captured.transactions()[0];
    assert_eq!(transaction.spans.len(), 1000);
    let ids: HashMap<_, _> = transaction.spans.iter().map(|span| (span.span_id, span)).collect();
    assert_eq!(ids.len(), 1000);
    let named = |start: &str| {
        let name = |span: &tower_sentry::protocol::Span| span.description.clone().unwrap_or_default();
        transaction.spans.iter().map(name).filter(|name| name.starts_with(start)).collect::<Vec<_>>()
    };
    assert_eq!(named("slow").len(), 5, "{:?}", named("slow"));
    assert_eq!(named("failed").len(), 5);
    assert_eq!(named("parent").len(), 5);
    for span in &transaction.spans {
        let (name, late) = (span.description.as_deref().unwrap_or_default(), span.data.contains_key("number"));
        assert!(late == matches!(name, "failed" | "with late fields"), "{span:?}");
        assert!(!span.data.contains_key("unset"), "fields of the span that was here before: {span:?}");
        if let Some(number) = name.strip_prefix("child ") {
            let parent = ids[&span.parent_span_id.unwrap()];
            assert_eq!(parent.description.as_deref(), Some(&*format!("parent {number}")));
        }
    }
    let trace = transaction.contexts.trace.as_ref().unwrap();
    assert_eq!(trace.data["tower_sentry.dropped_spans"], 4005, "5 parents have 5 children");
    support::settle(&client).await;
}

#[tokio::test]
async fn concurrent_parents() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    #[tracing::instrument]
    async fn leaf(yields: u32) {
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    }
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..100 {
        let yields: [u32; 6] = std::array::from_fn(|_| random.u32(0..6));
        let branch = |name: &'static str, first: u32, second: u32| {
            async move {
                leaf(first).await;
                leaf(second).await;
            }
            .instrument(info_span!("branch", sentry.name = name))
        };
        let work = async {
            futures_util::join!(branch("one", yields[0], yields[1]), tower_sentry::span("task", "two", leaf(yields[2])));
            let mut unordered: futures_util::stream::FuturesUnordered<_> =
                yields[3..5].iter().copied().map(|yields| branch("unordered", yields, yields)).collect();
            while futures_util::StreamExt::next(&mut unordered).await.is_some() {}
            tokio::select! {
                () = branch("selected", 0, 0) => {}
                () = branch("left behind", yields[5] + 1, 100) => {}
            }
        };
        client.transaction("joined").run(work).await;
    }

    let branch = |name: &str| format!("  {name} [function] ok\n    leaf [function] ok\n    leaf [function] ok\n");
    let whole = |tree: &str| {
        for once in [branch("one"), branch("selected")] {
            assert_eq!(tree.matches(&once).count(), 1, "{tree}");
        }
        assert_eq!(tree.matches(&branch("unordered")).count(), 2, "{tree}");
        assert_eq!(tree.matches("  two [task] ok\n    leaf [function] ok\n").count(), 1, "{tree}");
    };
    let tree = captured.tree();
    let trees: Vec<_> = tree.split("joined [task] ok\n").skip(1).collect();
    assert_eq!(trees.len(), 100);
    trees.into_iter().for_each(whole);
    support::settle(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn spawn_keeps_parent() {
    support::subscribe();
    let (client, captured) = tower_sentry::test::client();
    let work = async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            tasks.spawn(async { tokio::task::yield_now().await }.instrument(info_span!("of a set")));
        }
        let spawned = tokio::spawn(
            async {
                tower_sentry::span("task", "inside", async {
                    let scope = Scope::current();
                    tokio::task::spawn_blocking(move || scope.enter(|| info_span!("blocking").in_scope(|| ()))).await.unwrap();
                })
                .await;
            }
            .instrument(info_span!("spawned")),
        );
        let bound = tokio::spawn(Scope::current().bind(async { info_span!("bound").in_scope(|| ()) }));
        let plain = tokio::spawn(async { info_span!("orphan").in_scope(|| ()) });
        while tasks.join_next().await.is_some() {}
        for task in [spawned, bound, plain] {
            task.await.unwrap();
        }
    };
    client.transaction("web").run(tower_sentry::span("task", "handler", work)).await;

    let tree = captured.tree();
    let lines: Vec<_> = tree.lines().collect();
    assert_eq!(lines[..2], ["web [task] ok", "  handler [task] ok"]);
    assert_eq!(lines.iter().filter(|line| **line == "    of a set [function] ok").count(), 4, "{tree}");
    assert!(tree.contains("    spawned [function] ok\n      inside [task] ok\n        blocking [function] ok\n"), "{tree}");
    assert!(tree.contains("    bound [function] ok\n") && !tree.contains("orphan"), "{tree}");
    support::settle(&client).await;
}

#[test]
fn a_debug_that_logs_does_not_deadlock() {
    // A global subscriber, since a thread's own hides re-entrancy; a process of its own, since a deadlock would hold all tests.
    if support::in_child("spans::a_debug_that_logs_does_not_deadlock", &[]) {
        return;
    }
    struct Talks;
    impl std::fmt::Debug for Talks {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info_span!("inside debug").in_scope(|| warn!("talking"));
            Scope::current().set_tag("talked", true);
            f.write_str("Talks")
        }
    }
    async fn handler() {
        let span = info_span!("work", who = ?Talks, late = tracing::field::Empty);
        span.record("late", tracing::field::debug(Talks));
        tracing::info!(who = ?Talks, "event");
        Scope::current().set_tag("shown", format!("{Talks:?}"));
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (relay, client) = harness();
        let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;
        assert_eq!(tree.matches("inside debug").count(), 4, "{tree}");
        assert_eq!(relay.transactions()[0]["tags"]["talked"], "true");
    });
}

#[tokio::test]
async fn other_layers_see_what_they_saw_before() {
    use tracing_subscriber::prelude::*;

    #[derive(Clone, Default)]
    struct Count(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Count {
        fn on_new_span(&self, _: &tracing::span::Attributes<'_>, _: &tracing::Id, _: tracing_subscriber::layer::Context<'_, S>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let (_relay, client) = harness();
    let seen = Count::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone()).with(tower_sentry::TracingLayer::new(&client));

    tracing::subscriber::with_default(subscriber, || {
        drop((tracing::trace_span!("trace"), debug_span!("debug"), info_span!("info")));
    });

    assert_eq!(seen.0.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_kind_of_work_with_odd_letters_is_readable_all_the_same() {
    let (relay, client) = harness();
    let handler = || tower_sentry::span("say \"hi\"\n", "greeting", async {});

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    assert_eq!(tree, "GET / [http.server] ok\n  greeting [say \"hi\"\n] ok\n");
}

#[tokio::test]
async fn our_own_spans_are_parents_however_deep() {
    fn nested(depth: u32, work: &mut dyn FnMut()) {
        match depth {
            0 => work(),
            _ => info_span!("level").in_scope(|| nested(depth - 1, work)),
        }
    }
    let handler = || async {
        nested(70, &mut || {
            let own = tower_sentry::span("function", "own", async {
                let innermost = tower_sentry::span("function", "innermost", async {});
                info_span!("inner").in_scope(|| futures_util::FutureExt::now_or_never(innermost).unwrap());
                tower_sentry::span("function", "second", async {}).await;
            });
            futures_util::FutureExt::now_or_never(own).unwrap();
        });
    };
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    let indent = |name: &str| tree.lines().find(|line| line.contains(name)).unwrap().find(|letter| letter != ' ').unwrap() / 2;
    assert_eq!((indent("own ["), indent("inner ["), indent("innermost ["), indent("second [")), (71, 72, 73, 72), "{tree}");
}

#[tokio::test]
async fn a_guard_that_is_dropped_in_a_nested_scope_is_gone() {
    let handler = || async {
        let span = info_span!("left");
        let guard = span.clone().entered();
        Scope::current().enter(|| drop(guard));
        info_span!("after").in_scope(|| ());
        drop(span);
    };
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    assert_eq!(tree, "GET / [http.server] ok\n  left [function] ok\n  after [function] ok\n");
}

#[tokio::test]
async fn an_explicit_parent_is_the_parent_wherever_the_span_begins() {
    let handler = || async {
        let outer = info_span!("outer");
        let below_the_level = debug_span!(parent: &outer, "below the level");
        info_span!("elsewhere").in_scope(|| {
            info_span!(parent: &outer, "of outer").in_scope(|| ());
            info_span!(parent: &below_the_level, "of outer, over a span that is not recorded").in_scope(|| ());
            info_span!(parent: None, "of the root").in_scope(|| ());
            info_span!("where it begins").in_scope(|| ());
        });
    };
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    let line = |depth: usize, name: &str| format!("{}{name} [function] ok\n", "  ".repeat(depth));
    let expected = [
        line(1, "outer"),
        line(2, "of outer"),
        line(2, "of outer, over a span that is not recorded"),
        line(1, "elsewhere"),
        line(2, "where it begins"),
        line(1, "of the root"),
    ];
    assert_eq!(tree, format!("GET / [http.server] ok\n{}", expected.concat()));
}

#[tokio::test]
async fn a_span_that_is_left_out_of_order_is_not_a_parent_any_more() {
    let handler = || async {
        // They stay open after they are left.
        let (first, second) = (info_span!("first"), info_span!("second"));
        let (in_first, in_second) = (first.enter(), second.enter());
        drop(in_first);
        info_span!("inside second").in_scope(|| ());
        drop(in_second);
        info_span!("after both").in_scope(|| ());
    };
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    let spans = "  first [function] ok\n  second [function] ok\n    inside second [function] ok\n  after both [function] ok\n";
    assert_eq!(tree, format!("GET / [http.server] ok\n{spans}"));
}

#[tokio::test]
async fn our_own_span_says_whether_its_work_panicked_or_was_dropped() {
    let handler = || async {
        let broken = tower_sentry::span("task", "broken", async { std::panic::resume_unwind(Box::new(())) }.map(|(): ()| ()));
        assert!(std::panic::AssertUnwindSafe(broken).catch_unwind().await.is_err());
        assert_eq!(tower_sentry::span("task", "left", std::future::pending::<()>()).now_or_never(), None);
    };
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    assert_eq!(tree, "GET / [http.server] ok\n  broken [task] internal_error\n  left [task] cancelled\n");
}

#[tokio::test]
async fn a_dropped_future_is_cancelled_as_a_span_of_ours_and_tracing_cannot_tell_it_from_a_finished_one() {
    #[instrument]
    async fn waits() {
        std::future::pending::<()>().await;
    }
    #[instrument]
    async fn finishes() {
        query().await;
    }
    async fn handler() {
        tokio::select! {
            biased;
            () = waits() => {}
            () = tower_sentry::span("task", "left", waits()) => {}
            () = tokio::task::yield_now() => {}
        }
        // Finished long before it is dropped.
        let finished = tower_sentry::span("task", "finished", finishes());
        tokio::pin!(finished);
        finished.as_mut().await;
        let traced = finishes();
        tokio::pin!(traced);
        traced.as_mut().await;
        tokio::task::yield_now().await;
    }
    let (relay, client) = harness();

    let tree = recorded(&relay, &client, Router::new().route("/", get(handler))).await;

    let expected = [
        "GET / [http.server] ok",
        "  waits [function] ok",
        "  left [task] cancelled",
        "    waits [function] ok",
        "  finished [task] ok",
        "    finishes [function] ok",
        "      query [function] ok",
        "  finishes [function] ok",
        "    query [function] ok",
    ];
    assert_eq!(tree.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn spans_after_the_end_are_counted_and_those_without_a_home_are_named() {
    let name = "spans::spans_after_the_end_are_counted_and_those_without_a_home_are_named";
    if let Some(said) = support::said_in_child(name, &[("SENTRY_DEBUG", "1")]) {
        for (span, why) in [("query", "outside of any request"), ("late", "after its request"), ("later", "after its request")] {
            let line = format!("the span '{span}' is not recorded: it began {why}");
            assert_eq!(said.matches(&line).count(), 1, "{line} in {said}");
        }
        return;
    }
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(1.0).debug(true).build().unwrap());
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let (done, is_done) = tokio::sync::oneshot::channel();
    let work = std::sync::Arc::new(std::sync::Mutex::new(Some((is_over, done))));
    let handler = async move || {
        let (is_over, done) = work.lock().unwrap().take().unwrap();
        // Nobody carries the scope there.
        tokio::spawn(async { join(query(), query()).await }).await.unwrap();
        let late = async move {
            is_over.await.unwrap();
            info_span!("late").in_scope(|| ());
            tower_sentry::span("task", "later", async {}).await;
            done.send(()).unwrap();
        };
        tokio::spawn(Scope::current().bind(late));
    };

    support::subscribe();
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(&client))).await;

    support::get(&server, "/").await;
    client.flush(support::patience()).await.unwrap();
    over.send(()).unwrap();
    is_done.await.unwrap();
    support::settle(&client).await;

    assert_eq!(tree(&relay.transactions()[0]), "GET / [http.server] ok\n");
    assert_eq!(client.stats().spans.dropped, [(tower_sentry::protocol::DiscardReason::BufferOverflow, 2)]);
}
