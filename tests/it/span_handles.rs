//! Handles of spans: what they change, until when, and where they change nothing.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::future::join;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_http::cors::CorsLayer;
use tower_sentry::protocol::{AttributeValue, Span, SpanLink, SpanStatus, TraceContext, Transaction};
use tower_sentry::scope::SpanHandle;
use tower_sentry::test::{Captured, HandClock, client, client_with};
use tower_sentry::{Client, Config, Level, Scope, SentryLayer, SpanLayer, span, span_sync};
use tracing::field::Empty;
use tracing::{Instrument as _, error, info_span, instrument};

use crate::support::{self, in_child};

/// The only transaction, with the client that sent it.
async fn one(client: &Client, captured: &Captured) -> Transaction {
    support::settle(client).await;
    let mut transactions = captured.transactions();
    assert_eq!(transactions.len(), 1);
    transactions.remove(0)
}

/// The transaction of a job that does `work`.
async fn job(work: impl Future<Output = ()>) -> Transaction {
    support::subscribe();
    let (client, captured) = client();
    client.transaction("work").run_infallible(work).await;
    one(&client, &captured).await
}

fn root(transaction: &Transaction) -> &TraceContext {
    transaction.contexts.trace.as_ref().unwrap()
}

fn described(span: &Span) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{} [{}] {}", text(&span.description), text(&span.op), span.status.unwrap())
}

fn running() -> SpanHandle {
    Scope::current().span()
}

#[test]
fn a_handle_may_go_anywhere() {
    fn goes_anywhere<T: Clone + Debug + Send + Sync + 'static>() {}
    goes_anywhere::<SpanHandle>();
}

#[tokio::test]
async fn fields_that_describe_a_span_count_late() {
    type Begin = fn() -> tracing::Span;
    let rows: [(Begin, &str, &str, &str); 9] = [
        (|| info_span!("plain", sentry.op = Empty), "sentry.op", "cache.get", "plain [cache.get] ok"),
        (|| info_span!("plain", sentry.op = "early"), "sentry.op", "cache.get", "plain [cache.get] ok"),
        (|| info_span!("plain", sentry.name = Empty), "sentry.name", "cart", "cart [function] ok"),
        (|| info_span!("plain", otel.name = "early"), "otel.name", "cart", "cart [function] ok"),
        (|| info_span!("plain", otel.kind = Empty, http.request.method = "GET"), "otel.kind", "client", "plain [http.client] ok"),
        (|| info_span!("plain", otel.status_code = Empty), "otel.status_code", "ERROR", "plain [function] internal_error"),
        (|| info_span!("plain", sentry.status = "ok"), "sentry.status", "not_found", "plain [function] not_found"),
        (|| info_span!("plain", message = Empty), "message", "loads the cart", "loads the cart [function] ok"),
        (|| info_span!("plain", message = Empty, otel.name = "cart"), "message", "loads the cart", "cart [function] ok"),
    ];

    let transaction = job(async {
        for (begin, field, value, _) in rows {
            begin().record(field, value);
        }
        drop(info_span!("plain", "loads cart {}", 7));
    })
    .await;

    let expected = rows.iter().map(|(.., expected)| *expected).chain(["loads cart 7 [function] ok"]);
    assert_eq!(transaction.spans.iter().map(described).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(transaction.spans.iter().all(|span| span.data.keys().all(|name| !name.starts_with("sentry.") && name != "message")));
}

#[tokio::test]
async fn a_change_counts_after_the_span_but_not_after_the_request() {
    support::subscribe();
    let (client, captured) = client();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&kept);
    let handler = move || async move {
        let closed = info_span!("closed").in_scope(running);
        let own = span("task", "own", async { running() }).await;
        for (number, handle) in [&closed, &own].into_iter().enumerate() {
            handle.set_attribute("late", number).set_name(format!("span {number}")).set_op("late").set_status(SpanStatus::Aborted);
        }
        inside.lock().unwrap().extend([closed, own, Scope::current().transaction()]);
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());

    let kept = std::mem::take(&mut *kept.lock().unwrap());
    let ids: Vec<_> = kept.iter().map(|handle| (handle.trace_id(), handle.id())).collect();
    // The handles still exist, and their request has been sent.
    assert_eq!(captured.transactions().len(), 1);
    for handle in &kept {
        handle.set_attribute("too", "late").set_op("too.late").set_status(SpanStatus::DataLoss).set_measurement("late", 1.0, "none");
        handle.add_link(SpanLink::new(handle.trace_id().unwrap(), handle.id().unwrap())).set_name("too late");
    }
    // The thread's next request is another one.
    client.transaction("next").run_infallible(async {}).await;
    assert_eq!(ids, kept.iter().map(|handle| (handle.trace_id(), handle.id())).collect::<Vec<_>>(), "ids stay");
    drop(kept);
    support::settle(&client).await;
    assert_eq!(captured.tree(), "GET / [http.server] ok\n  span 0 [late] aborted\n  span 1 [late] aborted\nnext [task] ok\n");
    let transaction = captured.transactions().remove(0);
    assert_eq!(transaction.spans.iter().map(|span| &span.data["late"]).collect::<Vec<_>>(), [0, 1]);
    let root = root(&transaction);
    let expected = [transaction.spans[0].span_id, transaction.spans[1].span_id, root.span_id].map(|id| (Some(root.trace_id), Some(id)));
    assert_eq!(ids, expected);
    assert!(!format!("{:?}", captured.transactions()).contains("too"));
}

#[tokio::test]
async fn outside_of_requests_and_while_monitoring_is_off_a_handle_is_inert() {
    let change = |handle: &SpanHandle| {
        assert_eq!((handle.id(), handle.trace_id()), (None, None));
        handle.set_attribute("rows", 7).set_name("work").set_op("task").set_status(SpanStatus::Ok).set_measurement("rows", 7.0, "none");
        handle.add_link(SpanLink::new(tower_sentry::protocol::TraceId::new(), tower_sentry::protocol::SpanId::new()));
    };
    change(&running());
    change(&Scope::current().transaction());

    let off = Client::from(Config::builder().build().unwrap());
    off.transaction("work").run_infallible(async { change(&running()) }).await;
}

#[tokio::test]
async fn what_is_set_of_the_status_is_sent_however_the_span_ends() {
    support::subscribe();
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).panic_hook(false));
    let set = |status| _ = running().set_status(status);
    let work = async {
        async { set(SpanStatus::Ok) }.instrument(info_span!("ok", otel.status_code = "ERROR")).await;
        info_span!("logs").in_scope(|| {
            set(SpanStatus::Ok);
            error!("tried again");
        });
        span("task", "own", async { set(SpanStatus::NotFound) }).await;
        span_sync("task", "sync", || set(SpanStatus::Aborted));
        let panics = std::panic::catch_unwind(|| {
            span_sync("task", "says ok and panics", || {
                set(SpanStatus::Ok);
                panic!("a fault");
            })
        });
        assert!(panics.is_err());
        let panics = std::panic::catch_unwind(|| span_sync("task", "panics", || panic!("a fault")));
        assert!(panics.is_err());
        Scope::current().transaction().set_status(SpanStatus::DataLoss);
    };

    client.transaction("work").run_infallible(work).await;

    support::settle(&client).await;
    let tree = "work [task] data_loss\n  ok [function] ok\n  logs [function] ok\n  own [task] not_found\n  sync [task] aborted\n  \
                says ok and panics [task] ok\n  panics [task] internal_error\n";
    assert_eq!(captured.tree(), tree);
}

#[tokio::test]
async fn a_request_inside_a_request_has_a_span_of_its_own() {
    let (client, captured) = client();
    let part = || async {
        running().set_attribute("part", 7).set_status(SpanStatus::Aborted);
        Scope::current().transaction().set_attribute("batch", true);
    };
    let inner = Router::new().route("/part", get(part)).layer(SentryLayer::new(&client));
    let batch = move || async move {
        drop(inner.oneshot(Request::get("/part").body(Body::empty()).unwrap()).await.unwrap());
    };
    let app = Router::new().route("/batch", get(batch)).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get("/batch").body(Body::empty()).unwrap()).await.unwrap());

    let transaction = one(&client, &captured).await;
    assert_eq!(captured.tree(), "GET /batch [http.server] ok\n  GET /part [http.server] aborted\n");
    assert_eq!((&transaction.spans[0].data["part"], &root(&transaction).data["batch"]), (&7.into(), &true.into()));
}

#[tokio::test]
async fn the_running_span_is_that_of_the_place_and_not_of_the_handle() {
    #[instrument(skip_all)]
    async fn handler(scope: Scope) {
        scope.span().set_attribute("in", "the handler");
        scope.with(|scope| _ = scope.span().set_attribute("also in", "a nested scope"));
        let elsewhere = tokio::task::spawn_blocking({
            let scope = Scope::current();
            move || scope.span().id()
        });
        assert_eq!(elsewhere.await.unwrap(), running().id(), "where it is not current, it is the span of the handle");
        span("task", "inner", async { _ = scope.span().set_attribute("in", "the inner span") }).await;
        let spawned = tokio::spawn(scope.bind(async { span_sync("task", "spawned", || ()) }));
        spawned.await.unwrap();
    }
    support::subscribe();
    let (client, captured) = client();
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());

    let transaction = one(&client, &captured).await;
    let tree = "GET / [http.server] ok\n  handler [function] ok\n    inner [task] ok\n    spawned [task] ok\n";
    assert_eq!(captured.tree(), tree);
    assert_eq!(
        (&transaction.spans[0].data["in"], &transaction.spans[0].data["also in"]),
        (&"the handler".into(), &"a nested scope".into())
    );
    assert_eq!(transaction.spans[1].data["in"], "the inner span");
}

#[tokio::test]
async fn values_keep_their_types_and_long_ones_are_marked() {
    support::subscribe();
    let (client, captured) = client();
    let long = "word ".repeat(2_000);
    let work = span("task", "typed", async {
        let span = running();
        span.set_attribute("text", "käse").set_attribute("owned", "a".to_owned()).set_attribute("flag", true);
        span.set_attribute("small", -7_i8).set_attribute("size", 7_usize).set_attribute("ratio", 0.5_f32).set_attribute("none", f64::NAN);
        span.set_attribute("huge", u64::MAX).set_attribute("again", 1).set_attribute("again", "last");
        span.set_attribute("texts", vec!["a".to_owned()]).set_attribute("numbers", &[1, 2][..]).set_attribute("flags", [true, false]);
        span.set_attribute("mixed", AttributeValue::List(vec![1.into(), "two".into(), AttributeValue::from([3])]));
        span.set_attribute("empty", Vec::<u64>::new()).set_attribute("lines", vec!["word ".repeat(100); 50]);
    });
    let work = work.attribute("before", 7).attribute("names", ["a", "b"]);
    client.transaction("work").run_infallible(work).await;

    let mut data = one(&client, &captured).await.spans.remove(0).data;
    let lines = data.remove("lines").unwrap();
    assert!((10..50).contains(&lines.as_array().unwrap().len()), "{lines}");
    let expected = json!({
        "text": "käse", "owned": "a", "flag": true, "small": -7, "size": 7, "ratio": 0.5, "none": "NaN", "huge": "18446744073709551615",
        "again": "last", "texts": ["a"], "numbers": [1, 2], "flags": [true, false], "mixed": [1, "two", "[3]"], "empty": [],
        "before": 7, "names": ["a", "b"], "tower_sentry.truncated": 1,
    });
    assert_eq!(Value::Object(data), expected);
    assert_eq!(client.stats().truncated, 1);

    let cut = job(async {
        running().set_attribute("long", &long).set_name("import");
        span("task", "named", async { _ = running().set_name(&long) }).await;
    })
    .await;
    let texts = [root(&cut).data["long"].as_str(), cut.spans[0].description.as_deref()].map(Option::unwrap);
    assert!(texts.iter().all(|text| text.len() <= 8192 && text.len() > 8000 && text.ends_with('…')));
    assert_eq!(
        (&cut.name, &root(&cut).data["tower_sentry.truncated"], &cut.spans[0].data["tower_sentry.truncated"]),
        (&"import".to_owned(), &1.into(), &1.into())
    );
}

#[tokio::test]
async fn what_has_no_room_is_left_out_and_counted() {
    support::subscribe();
    let (client, captured) = client();
    let work = async {
        let (transaction, long) = (Scope::current().transaction(), "word ".repeat(1_600));
        for number in 0..200 {
            transaction.set_attribute(format!("text {number}"), &long);
        }
        transaction.set_measurement("not a name", 1.0, "none").set_measurement("infinite", f64::INFINITY, "none");
        let link = SpanLink::new(transaction.trace_id().unwrap(), transaction.id().unwrap());
        transaction.add_link(link.attribute("note", long));
    };
    client.transaction("work").run_infallible(work).await;

    let transaction = one(&client, &captured).await;
    let root = root(&transaction);
    let (texts, dropped) = (root.data.keys().filter(|name| name.starts_with("text ")).count(), &root.data["tower_sentry.dropped_fields"]);
    assert!((100..200).contains(&texts), "{texts}");
    assert_eq!(*dropped, 200 - texts + 3);
    assert!(transaction.measurements.is_empty() && root.links[0].attributes.is_empty());
    assert!(client.stats().truncated >= 200 - texts as u64 + 3);
}

#[tokio::test]
async fn a_secret_in_a_unit_a_link_or_a_long_text_is_hidden() {
    let secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    let transaction = job(async {
        let transaction = Scope::current().transaction();
        transaction.set_measurement("size", 7.0, secret).set_measurement("other", 7.0, format!("{}{secret}", "x".repeat(40)));
        transaction.set_attribute("note", format!("{}{secret}", "word ".repeat(1_634)));
        let link = SpanLink::new(transaction.trace_id().unwrap(), transaction.id().unwrap());
        transaction.add_link(link.attribute("password", "hunter2").attribute("note", secret));
    })
    .await;

    let sent = serde_json::to_string(&transaction).unwrap();
    assert_eq!(transaction.measurements["size"].unit.as_deref(), Some("[REDACTED_TOKEN]"), "{sent}");
    assert_eq!(
        Value::Object(root(&transaction).links[0].attributes.clone()),
        json!({"password": "[Filtered]", "note": "[REDACTED_TOKEN]"})
    );
    assert!(!sent.contains("ghp_") && transaction.measurements.len() == 1, "half a token has no shape: {sent}");
}

#[tokio::test]
async fn a_span_with_a_handle_keeps_its_place_at_the_limit() {
    support::subscribe();
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).max_spans(2));
    let clock = HandClock::start();
    let work = async {
        let scope = Scope::current();
        // The shortest span gives way first.
        let handle = info_span!("first").in_scope(|| scope.span());
        (0..20).for_each(|_| info_span!("other").in_scope(|| clock.advance(Duration::from_millis(1))));
        handle.set_attribute("of", "the first");
    };
    client.transaction("work").run_infallible(work).await;

    let spans = one(&client, &captured).await.spans;
    let shown: Vec<_> = spans.iter().map(|span| (span.description.as_deref(), span.data.get("of").and_then(Value::as_str))).collect();
    assert_eq!(shown, [(Some("first"), Some("the first")), (Some("other"), None)]);
}

#[tokio::test]
async fn links_and_measurements_stay_with_their_request() {
    let (client, captured) = client();
    for round in 0..3 {
        let work = async {
            let transaction = Scope::current().transaction();
            if round != 1 {
                let link = SpanLink::new(transaction.trace_id().unwrap(), transaction.id().unwrap());
                transaction.add_link(link).set_measurement("round", f64::from(round), "none");
            }
        };
        client.transaction("work").run_infallible(work).await;
        client.flush(support::patience()).await.unwrap();
    }

    let transactions = captured.transactions();
    let value = |transaction: &Transaction| transaction.measurements.get("round").map(|measurement| measurement.value);
    let shown = transactions.iter().map(|transaction| (root(transaction).links.len(), value(transaction)));
    assert_eq!(shown.collect::<Vec<_>>(), [(1, Some(0.0)), (0, None), (1, Some(2.0))]);
}

#[tokio::test]
async fn the_applications_attribute_stands_in_the_place_of_ours() {
    async fn handler() {
        Scope::current().transaction().set_attribute("http.route", "mine").set_attribute("sentry.sample_rate", 0.01);
        running().set_attribute("middleware.before_ms", "mine");
        info_span!("traced").in_scope(|| _ = running().set_attribute("code.namespace", "mine"));
    }
    support::subscribe();
    let (client, captured) = client();
    let app =
        Router::new().route("/", get(handler)).layer(SpanLayer::new("cors", CorsLayer::permissive())).layer(SentryLayer::new(&client));

    drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap());

    support::settle(&client).await;
    let sent = String::from_utf8(captured.envelopes().concat()).unwrap();
    for attribute in
        [r#""http.route":"mine""#, r#""sentry.sample_rate":1.0"#, r#""middleware.before_ms":"mine""#, r#""code.namespace":"mine""#]
    {
        assert!(sent.contains(attribute), "{attribute} in {sent}");
        let (name, _) = attribute.split_once(':').unwrap();
        assert_eq!(sent.matches(name).count(), 1, "JSON must not repeat a key: {name}");
    }
}

#[tokio::test]
async fn a_span_that_becomes_a_query_has_no_values_and_counts_as_one() {
    support::subscribe();
    let (client, captured) = client();
    let clock = HandClock::start();
    let query = || {
        running().set_op("db.query").set_name("SELECT name FROM users WHERE id = 7").set_attribute("db.query.text", "SELECT 7");
        clock.advance(Duration::from_millis(20));
    };
    let work = async {
        (0..5).for_each(|_| info_span!("traced").in_scope(query));
        span_sync("task", "own", query);
        let by_attribute = || _ = running().set_attribute("db.statement", "DELETE FROM cart WHERE id = 7");
        info_span!("by attribute").in_scope(by_attribute);
        span_sync("queue.publish", "mail", || _ = running().set_attribute("messaging.system", "redis"));
    };
    client.transaction("work").run_infallible(work).await;

    let transaction = one(&client, &captured).await;
    let (last, queries) = transaction.spans.split_last().unwrap();
    assert_eq!(described(last), "mail [queue.publish] ok", "the op that is given counts before a derived one");
    let (by_attribute, queries) = queries.split_last().unwrap();
    assert_eq!(described(by_attribute), "DELETE FROM cart WHERE id = ? [db.query] ok");
    for query in queries {
        assert_eq!(described(query), "SELECT name FROM users WHERE id = ? [db.query] ok");
        assert_eq!(query.data["db.query.text"], "SELECT ?");
    }
    let data = &root(&transaction).data;
    assert_eq!((&data["tower_sentry.n_plus_one.query"], &data["tower_sentry.n_plus_one.count"]), (&"SELECT ?".into(), &5.into()));
}

#[tokio::test]
async fn a_hook_sees_what_is_set_and_may_change_it() {
    let hook = |mut transaction: Transaction| {
        let root = transaction.contexts.trace.as_mut()?;
        assert_eq!((root.op.as_deref(), root.status, &root.data["rows"]), (Some("import"), Some(SpanStatus::Aborted), &7.into()));
        root.links[0].attributes.insert("seen".to_owned(), true.into());
        transaction.measurements.get_mut("rows")?.value += 1.0;
        assert_eq!(transaction.spans[0].links.len(), 1);
        Some(transaction)
    };
    let (client, captured) = client_with(Config::builder().traces_sample_rate(1.0).before_send_transaction(hook));
    let work = async {
        let transaction = Scope::current().transaction();
        transaction.set_op("import").set_status(SpanStatus::Aborted).set_attribute("rows", 7).set_measurement("rows", 7.0, "row");
        let link = SpanLink::new(transaction.trace_id().unwrap(), transaction.id().unwrap());
        transaction.add_link(link.clone());
        span("task", "linked", async { _ = running().add_link(link) }).await;
    };
    client.transaction("work").run_infallible(work).await;

    let transaction = one(&client, &captured).await;
    let root = root(&transaction);
    assert_eq!((root.links.len(), &root.links[0].attributes["seen"], transaction.measurements["rows"].value), (1, &true.into(), 8.0));
    assert_eq!(transaction.spans[0].links[0].span_id, root.span_id);
}

#[test]
fn handles_allocate_nothing_where_nothing_is_recorded() {
    if in_child("span_handles::handles_allocate_nothing_where_nothing_is_recorded", &[]) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sink = || Config::builder().transport(|_: &[u8]| ()).panic_hook(false);
    let clients = [sink().traces_sample_rate(0.0), sink().traces_sample_rate(0.0).keep_failed(false), Config::builder()];
    let count = |client: &Client, sets: usize| {
        let work = async {
            let set = || {
                let handle = running();
                handle.set_attribute("rows", 7).set_attribute("table", "users").set_attribute("tables", ["cart", "item"]);
                handle.set_op("db.query").set_status(SpanStatus::Ok).set_measurement("rows", 7.0, "row");
                Scope::current().transaction().set_attribute("table", "users");
            };
            set();
            allocation_counter::measure(|| (0..sets).for_each(|_| set())).count_total
        };
        runtime.block_on(client.transaction("work").run_infallible(work))
    };
    for (number, config) in clients.into_iter().enumerate() {
        assert_eq!(count(&Client::from(config.build().unwrap()), 1_000), 0, "client {number}");
    }

    // Where they are recorded, they are written into memory that the record has already.
    let recorded = Client::from(sink().traces_sample_rate(1.0).build().unwrap());
    let texts = async {
        let handle = running();
        (0..100).for_each(|_| _ = handle.set_attribute("table", "users"));
        let more = || (0..10).for_each(|_| _ = handle.set_attribute("table", "users").set_status(SpanStatus::Ok));
        allocation_counter::measure(more).count_total
    };
    assert!(runtime.block_on(recorded.transaction("work").run_infallible(texts)) <= 2, "the vectors grow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nested_scope_of_a_future_holds_across_awaits_and_is_not_seen_beside_it() {
    struct SaysSo(&'static str);
    impl Drop for SaysSo {
        fn drop(&mut self) {
            tower_sentry::capture_message(Level::Info, self.0);
        }
    }
    let says = |text: &str| _ = tower_sentry::capture_message(Level::Info, text);
    async fn handler(says: impl Fn(&str) + Copy + Send + Sync + 'static) {
        Scope::current().set_tag("plan", "gold");
        let text = "borrowed".to_owned();
        let nested = Scope::current().with_async(async |scope| {
            scope.set_tag("warehouse", "eu-1");
            tokio::task::yield_now().await;
            Scope::current().set_tag("aisle", &text);
            tokio::task::yield_now().await;
            says("nested");
            let deeper = scope.with_async(|scope| {
                scope.set_tag("aisle", "deep");
                async move {
                    tokio::task::yield_now().await;
                    says("deep");
                }
            });
            deeper.await;
            says("nested again");
        });
        let beside = async {
            for _ in 0..6 {
                says("beside");
                tokio::task::yield_now().await;
            }
        };
        join(nested, beside).await;
        says("after");
        let mut dropped = Box::pin(Scope::current().with_async(async |scope| {
            scope.set_tag("warehouse", "eu-2");
            let _cleans_up = SaysSo("cleaned up");
            std::future::pending::<()>().await;
        }));
        assert!(futures_util::poll!(&mut dropped).is_pending());
        says("while it waits");
        drop(dropped);
        says("at the end");
    }
    let (client, captured) = client();
    let app = Router::new().route("/", get(move || handler(says))).layer(SentryLayer::new(&client));

    // Sends the future to another thread, as a server does.
    tokio::spawn(async { drop(app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap()) }).await.unwrap();

    support::settle(&client).await;
    let message = |event: &tower_sentry::protocol::Event| event.logentry.as_ref().and_then(|entry| entry.message.clone()).unwrap();
    let mut shown: Vec<_> = captured.events().iter().map(|event| format!("{}: {:?}", message(event), event.tags)).collect();
    shown.dedup();
    shown.sort_unstable();
    shown.dedup();
    let plain = r#"{"plan": "gold"}"#;
    let nested = r#"{"aisle": "borrowed", "plan": "gold", "warehouse": "eu-1"}"#;
    let mut expected = [
        format!("nested: {nested}"),
        r#"deep: {"aisle": "deep", "plan": "gold", "warehouse": "eu-1"}"#.to_owned(),
        format!("nested again: {nested}"),
        format!("beside: {plain}"),
        format!("after: {plain}"),
        format!("while it waits: {plain}"),
        r#"cleaned up: {"plan": "gold", "warehouse": "eu-2"}"#.to_owned(),
        format!("at the end: {plain}"),
    ];
    expected.sort_unstable();
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_bound_closure_runs_and_is_dropped_in_its_request() {
    struct Cleans;
    impl Drop for Cleans {
        fn drop(&mut self) {
            span_sync("task", "cleans up", || ());
        }
    }
    let (client, captured) = client();
    let work = span("task", "outer", async {
        let resized = Scope::current().bind_sync(|| span_sync("image.resize", "thumbnail", || 7));
        assert_eq!(tokio::task::spawn_blocking(resized).await.unwrap(), 7);
        let cleans = Cleans;
        let never_runs = Scope::current().bind_sync(move || drop(cleans));
        std::thread::spawn(move || drop(never_runs)).join().unwrap();
    });
    client.transaction("work").run_infallible(work).await;

    let tree = "work [task] ok\n  outer [task] ok\n    thumbnail [image.resize] ok\n    cleans up [task] ok\n";
    assert_eq!(captured.tree(), tree);
    support::settle(&client).await;
}

#[test]
fn a_closure_that_only_makes_a_future_is_named_with_debug_on() {
    let name = "span_handles::a_closure_that_only_makes_a_future_is_named_with_debug_on";
    let Some(said) = support::said_in_child(name, &[("SENTRY_DEBUG", "1")]) else {
        let sink = Config::builder().from_env().transport(|_: &[u8]| ()).traces_sample_rate(1.0).panic_hook(false);
        let client = Client::from(sink.build().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(client.transaction("work").run_infallible(async {
            span_sync("task", "only a future", || async {}).await;
            assert_eq!(span_sync("task", "whole", || 7), 7);
        }));
        return;
    };
    assert!(said.contains("the span 'only a future' ends before its work") && !said.contains("'whole'"), "{said}");
}
