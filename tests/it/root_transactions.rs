//! Spans outside any request, which are transactions if the user wants that.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sentry::test::Captured;
use tower_sentry::{Client, Scope, SentryLayer, TracingLayer, User};
use tracing::{Instrument as _, Span, debug_span, error, field, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{self, Relay};

const TRACE: &str = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1";

/// Runs `work` with a layer that makes transactions of such spans.
fn with_layer(change: impl FnOnce(TracingLayer) -> TracingLayer, work: impl FnOnce(&Client)) -> Captured {
    let (client, captured) = tower_sentry::test::client();
    let layer = change(TracingLayer::new(&client).root_transactions(true));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || work(&client));
    captured
}

fn captured(work: impl FnOnce(&Client)) -> Captured {
    with_layer(|layer| layer, work)
}

fn trace(transaction: &Value) -> &Value {
    &transaction["contexts"]["trace"]
}

fn names(transactions: &[Value]) -> Vec<&str> {
    transactions.iter().filter_map(|transaction| transaction["transaction"].as_str()).collect()
}

fn spans(transaction: &Value) -> usize {
    transaction["spans"].as_array().unwrap().len()
}

fn json_of(captured: &Captured) -> Vec<Value> {
    captured.transactions().iter().map(|transaction| serde_json::to_value(transaction).unwrap()).collect()
}

#[tokio::test]
async fn the_span_of_a_worker_is_a_transaction_on_the_wire() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let layer = TracingLayer::new(&client).root_transactions(true);
    {
        let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let work = info_span!("send_mails", sentry.op = "queue.process", sentry.trace = TRACE, queue = "mail", sent = field::Empty);
        let run = async {
            Scope::current().set_user(User::id("worker"));
            info_span!("connect", peer = "smtp").in_scope(|| {});
            tokio::task::yield_now().await;
            tower_sentry::span("db.query", "SELECT 1", async {}).await;
            Span::current().record("sent", 7);
            error!("one mail is left");
        };
        run.instrument(work).await;
    }
    support::settle(&client).await;

    let transactions = relay.transactions();
    let (all, events) = (names(&transactions), relay.events());
    assert_eq!(all, ["send_mails"]);
    let root = trace(&transactions[0]);
    assert_eq!(
        (&root["op"], &root["status"], &root["origin"]),
        (&json!("queue.process"), &json!("internal_error"), &json!("auto.function.tracing"))
    );
    assert_eq!((&root["trace_id"], &root["parent_span_id"]), (&json!(&TRACE[..32]), &json!(&TRACE[33..49])));
    assert_eq!((&root["data"]["queue"], &root["data"]["sent"]), (&json!("mail"), &json!(7)));
    assert_eq!(root["data"]["code.namespace"], json!(module_path!()));
    assert!(root["data"]["code.line.number"].as_u64().is_some_and(|line| line > 0), "{root}");
    let spans: Vec<_> =
        transactions[0]["spans"].as_array().unwrap().iter().map(|span| (&span["description"], &span["parent_span_id"])).collect();
    assert_eq!(spans, [(&json!("connect"), &root["span_id"]), (&json!("SELECT ?"), &root["span_id"])]);
    assert_eq!((events.len(), &events[0]["user"]["id"], &trace(&events[0])["trace_id"]), (1, &json!("worker"), &root["trace_id"]));
    assert_eq!(events[0]["transaction"], json!("send_mails"));
}

#[test]
fn a_span_outside_is_a_transaction_only_where_nothing_else_is_current() {
    let captured = captured(|client| {
        let outer = info_span!("outer");
        outer.in_scope(|| info_span!("inner").in_scope(|| {}));
        info_span!(parent: &outer, "by parent").in_scope(|| {});
        // Carried to another thread.
        let thread = std::thread::spawn({
            let outer = outer.clone();
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            move || tracing::dispatcher::with_default(&dispatch, || outer.in_scope(|| info_span!("on a thread").in_scope(|| {})))
        });
        thread.join().unwrap();
        drop(outer);
        // Below the level, and its child, which has nothing around it then.
        debug_span!("quiet").in_scope(|| info_span!("alone").in_scope(|| {}));
        let job = client.transaction("job").run_infallible(async { info_span!("in a job").in_scope(|| {}) });
        futures_util::future::FutureExt::now_or_never(job).unwrap();
        info_span!("empty");
    });

    assert_eq!(
        captured.tree(),
        "outer [task] ok\n  inner [function] ok\n  by parent [function] ok\n  on a thread [function] ok\n\
         alone [task] ok\njob [task] ok\n  in a job [function] ok\nempty [task] ok\n"
    );
}

#[test]
fn names_and_statuses_are_those_that_the_span_says_last() {
    let captured = captured(|_| {
        info_span!("first", otel.name = "by otel", sentry.name = "by sentry").in_scope(|| {});
        info_span!("second", otel.name = "by otel").in_scope(|| {});
        let renamed = info_span!("third", sentry.name = field::Empty, sentry.status = field::Empty);
        renamed.record("sentry.name", "late").record("sentry.status", "not_found");
        drop(renamed);
        let named = info_span!("third", sentry.name = "by sentry", otel.name = field::Empty);
        named.record("otel.name", "late, by otel");
        drop(named);
        let by_hand = info_span!("fourth");
        by_hand.in_scope(|| {
            Scope::current().transaction().set_name("by hand").set_op("import");
        });
        drop(by_hand);
        let panics = AssertUnwindSafe(|| info_span!("fifth").in_scope(|| std::panic::resume_unwind(Box::new("a panic"))));
        assert!(catch_unwind(panics).is_err());
    });

    assert_eq!(
        captured.tree(),
        "by sentry [task] ok\nby otel [task] ok\nlate [task] not_found\nby sentry [task] ok\nby hand [import] ok\nfifth [task] internal_error\n"
    );
}

#[test]
fn without_the_setting_or_where_a_rule_says_no_there_is_none() {
    let off = with_layer(|layer| layer.root_transactions(false), |_| info_span!("work").in_scope(|| {}));
    let filtered = with_layer(|layer| layer.span_filter(|span| span.name() != "work"), |_| info_span!("work").in_scope(|| {}));
    let exclusive = with_layer(TracingLayer::exclusive, |_| {
        debug_span!("quiet").in_scope(|| info_span!("work").in_scope(|| info_span!("part").in_scope(|| {})));
    });

    assert_eq!((off.transactions().len(), filtered.transactions().len()), (0, 0));
    assert_eq!(exclusive.tree(), "work [task] ok\n  part [function] ok\n");
}

#[test]
fn the_sampler_sees_its_name_and_its_op() {
    let relay = Relay::start();
    let config = support::config(&relay).keep_failed(false);
    let client = Client::from(
        config.traces_sampler(|work| (work.job() == Some("kept") && work.op() == "cron").then_some(1.0).or(Some(0.0))).build().unwrap(),
    );
    let layer = TracingLayer::new(&client).root_transactions(true);

    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        info_span!("kept", sentry.op = "cron").in_scope(|| {});
        info_span!("kept").in_scope(|| {});
        info_span!("dropped", sentry.op = "cron").in_scope(|| info_span!("part").in_scope(|| {}));
    });
    tokio::runtime::Runtime::new().unwrap().block_on(support::settle(&client));

    assert_eq!(names(&relay.transactions()), ["kept"]);
}

/// A request to a router that records, with `layer` in the subscriber.
async fn visit(client: &Client, handler: impl Fn() + Clone + Send + Sync + 'static) {
    let handler = get(async move || handler());
    let app = Router::new().route("/", handler).layer(SentryLayer::new(client));
    let response = app.oneshot(http::Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    axum::body::to_bytes(response.into_body(), 100).await.unwrap();
}

#[tokio::test]
async fn work_inside_such_a_span_has_a_transaction_and_a_trace_of_its_own() {
    let (client, captured) = tower_sentry::test::client();
    let layer = TracingLayer::new(&client).root_transactions(true);
    {
        let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let work = async {
            visit(&client, || info_span!("part").in_scope(|| {})).await;
            client.transaction("job").run_infallible(async {}).await;
        };
        work.instrument(info_span!("main_loop")).await;
    }

    let transactions = json_of(&captured);
    assert_eq!(captured.tree(), "GET / [http.server] ok\n  part [function] ok\njob [task] ok\nmain_loop [task] ok\n");
    let traces: HashSet<_> = transactions.iter().map(|transaction| trace(transaction)["trace_id"].as_str()).collect();
    assert_eq!(traces.len(), 3, "each has its own decision, too");
}

#[tokio::test]
async fn a_span_that_a_cache_keeps_takes_nothing_of_the_requests_that_enter_it() {
    let (client, captured) = tower_sentry::test::client();
    let layer = TracingLayer::new(&client).root_transactions(true);
    {
        let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let kept = info_span!("cache");
        let in_request = kept.clone();
        visit(&client, move || {
            in_request.in_scope(|| {
                Scope::current().set_user(User::id("ann"));
                info_span!("part").in_scope(|| error!("of the request"));
            });
        })
        .await;
        kept.in_scope(|| error!("of the cache"));
    }

    assert_eq!(captured.tree(), "GET / [http.server] ok\n  part [function] internal_error\ncache [task] internal_error\n");
    let mut events: Vec<_> = captured.events().iter().map(|event| (event.transaction.clone(), event.user.is_some())).collect();
    events.sort();
    assert_eq!(events, [(Some("GET /".to_owned()), true), (Some("cache".to_owned()), false)]);
}

#[test]
fn a_root_inside_a_root_and_a_span_of_the_sampler_are_what_they_say() {
    let relay = Relay::start();
    let config = support::config(&relay).traces_sampler(|_| {
        info_span!("look-up of the rate").in_scope(|| {});
        1.0
    });
    let client = Client::from(config.build().unwrap());
    let layer = TracingLayer::new(&client).root_transactions(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        runtime.block_on(visit(&client, || {}));
        info_span!("loop").in_scope(|| {
            info_span!(parent: None, "message", sentry.trace = TRACE).in_scope(|| info_span!("part").in_scope(|| {}));
        });
    });
    runtime.block_on(support::settle(&client));

    let transactions = relay.transactions();
    assert_eq!(names(&transactions), ["GET /", "message", "loop"]);
    assert_eq!(trace(&transactions[1])["trace_id"], json!(&TRACE[..32]));
    assert_eq!((spans(&transactions[1]), spans(&transactions[2])), (1, 0));
}

#[test]
fn a_failed_status_keeps_a_transaction_that_was_not_sampled() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).traces_sample_rate(0.0).traces_sampler(|_| Some(0.0)).build().unwrap());
    let kept = Client::from(support::config(&relay).traces_sample_rate(1e-9).build().unwrap());
    for client in [&client, &kept] {
        let layer = TracingLayer::new(client).root_transactions(true);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            info_span!("fine").in_scope(|| {});
            info_span!("not found", sentry.status = "not_found").in_scope(|| {});
            info_span!("by otel", otel.status_code = "ERROR").in_scope(|| {});
            let late = info_span!("late", sentry.status = field::Empty);
            late.record("sentry.status", "unavailable");
        });
        tokio::runtime::Runtime::new().unwrap().block_on(support::settle(client));
    }

    assert_eq!(names(&relay.transactions()), ["by otel", "late"], "a rate of zero is final");
}

#[test]
fn a_layer_that_is_replaced_ends_the_transactions_of_its_open_spans() {
    let (client, captured) = tower_sentry::test::client();
    let layer = || TracingLayer::new(&client).root_transactions(true);
    let (reloaded, handle) = tracing_subscriber::reload::Layer::new(layer());

    tracing::subscriber::with_default(tracing_subscriber::registry().with(reloaded), || {
        let open = info_span!("open");
        open.in_scope(|| info_span!("part").in_scope(|| {}));
        handle.reload(layer()).unwrap();
        drop(open);
        info_span!("next").in_scope(|| {});
    });

    assert_eq!(captured.tree(), "open [task] ok\n  part [function] ok\nnext [task] ok\n");
}

#[test]
fn a_debug_that_panics_harms_nothing() {
    struct Rude;
    impl std::fmt::Debug for Rude {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            std::panic::resume_unwind(Box::new("rude"))
        }
    }
    let captured = captured(|_| {
        info_span!("work", sentry.name = ?Rude).in_scope(|| {});
    });

    let transactions = json_of(&captured);
    let all = names(&transactions);
    assert!(all.len() == 1 && all[0].contains("panicked"), "{all:?}");
}
