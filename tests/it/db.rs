//! Databases and caches: queries without their values, slow ones, those that are asked again and again, hits and misses.

use std::time::Duration;

use serde_json::Value;
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Config};

use crate::support::{self, Relay};

/// The transaction of some work with a clock that goes by hand.
async fn recorded<F: Future<Output = ()>>(work: impl FnOnce(HandClock) -> F) -> Value {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let clock = HandClock::start();
    client.transaction("work").run(work(clock)).await;
    support::settle(&client).await;
    relay.transactions().remove(0)
}

fn spans(transaction: &Value) -> &Vec<Value> {
    transaction["spans"].as_array().unwrap()
}

fn millis(span: &Value) -> u64 {
    let time = |name: &str| span[name].as_f64().unwrap();
    ((time("timestamp") - time("start_timestamp")) * 1e3).round() as u64
}

async fn query(clock: &HandClock, sql: &'static str, took: u64) {
    tower_sentry::span("db.query", sql, async { clock.advance(Duration::from_millis(took)) }).await;
}

#[tokio::test]
async fn slow() {
    let sql = "SELECT * FROM storage_storedfile WHERE owner_id = 1 AND path LIKE '%test%'";
    let transaction = recorded(|clock| async move {
        query(&clock, sql, 450).await;
        query(&clock, sql, 90).await;
        tower_sentry::span("compute", "hash", async { clock.advance(Duration::from_secs(1)) }).await;
    })
    .await;

    let seen: Vec<_> = spans(&transaction)
        .iter()
        .map(|span| (span["description"].as_str().unwrap(), millis(span), span["data"]["tower_sentry.slow"] == true))
        .collect();
    let plain = "SELECT * FROM storage_storedfile WHERE owner_id = ? AND path LIKE ?";
    assert_eq!(seen, [(plain, 450, true), (plain, 90, false), ("hash", 1000, false)]);

    let (client, captured) =
        tower_sentry::test::client_with(Config::builder().traces_sample_rate(1.0).slow_query_threshold(Duration::from_millis(80)));
    let clock = HandClock::start();
    client.transaction("work").run(query(&clock, sql, 90)).await;
    assert_eq!(captured.transactions()[0].spans[0].data["tower_sentry.slow"], true, "the threshold is settable");
}

#[tokio::test]
async fn n_plus_one() {
    let of = |transaction: &Value| {
        let data = &transaction["contexts"]["trace"]["data"];
        (data["tower_sentry.n_plus_one.query"].as_str().map(str::to_owned), data["tower_sentry.n_plus_one.count"].as_u64())
    };
    let item = "SELECT * FROM items WHERE order_id = 7";
    let found = (Some("SELECT * FROM items WHERE order_id = ?".to_owned()), Some(5));
    let repeat = |count: u32, took: u64| {
        recorded(move |clock| async move {
            for _ in 0..count {
                query(&clock, item, took).await;
            }
        })
    };

    assert_eq!(of(&repeat(5, 11).await), found);
    assert_eq!(of(&repeat(4, 100).await), (None, None), "four are few");
    assert_eq!(of(&repeat(5, 10).await), (None, None), "50 ms are short");
    let interleaved = recorded(|clock| async move {
        for _ in 0..5 {
            query(&clock, item, 11).await;
            query(&clock, "SELECT 1", 1).await;
        }
    });
    assert_eq!(of(&interleaved.await), found);
    let parallel = recorded(|clock| async move {
        let wait = |number: u32| {
            tower_sentry::span("db.query", item, async move {
                for _ in 0..number {
                    tokio::task::yield_now().await;
                }
            })
        };
        let tick = async {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_millis(100));
        };
        futures_util::join!(wait(2), wait(2), wait(2), wait(2), wait(2), tick);
    });
    let parallel = parallel.await;
    assert_eq!(spans(&parallel).iter().map(millis).collect::<Vec<_>>(), [100; 5]);
    assert_eq!(of(&parallel), (None, None), "asked at once");

    let apart = recorded(|clock| async move {
        for _ in 0..5 {
            tower_sentry::span("task", "one of several", query(&clock, item, 11)).await;
        }
    });
    assert_eq!(of(&apart.await), (None, None), "each under a span of its own");

    // Beyond the cap rows are not in the order of time.
    let (client, captured) = tower_sentry::test::client_with(Config::builder().traces_sample_rate(1.0).max_spans(50));
    let clock = HandClock::start();
    let many = async {
        for _ in 0..200 {
            query(&clock, item, 11).await;
        }
    };
    client.transaction("work").run(many).await;
    drop(clock);
    assert_eq!(captured.transactions()[0].contexts.trace.as_ref().unwrap().data["tower_sentry.n_plus_one.count"], 50);

    // What Sentry's own detector reads: consecutive siblings of one text, each with `db` as its op, more than 50 ms in all.
    let transaction = repeat(6, 20).await;
    let root = &transaction["contexts"]["trace"]["span_id"];
    assert!(spans(&transaction).iter().all(|span| span["op"] == "db.query" && span["parent_span_id"] == *root));
    assert!(spans(&transaction).windows(2).all(|pair| pair[0]["timestamp"].as_f64() <= pair[1]["start_timestamp"].as_f64()));
    support::settle(&client).await;
}

#[tokio::test]
async fn cache() {
    let transaction = recorded(|clock| async move {
        let look = |key: &'static str, took: u64, found: Option<u32>| {
            let clock = &clock;
            tower_sentry::cache::get(key, async move {
                clock.advance(Duration::from_millis(took));
                found
            })
        };
        assert_eq!(look("user_profile_42", 2, Some(7)).await, Some(7));
        if look("user_profile_43", 0, None).await.is_none() {
            query(&clock, "SELECT * FROM profiles WHERE id = $1", 25).await;
        }
        let broken: Result<Option<u32>, ()> = tower_sentry::cache::get("broken", async { Err(()) }).await;
        assert!(broken.is_err());
    })
    .await;

    let seen: Vec<_> = spans(&transaction)
        .iter()
        .map(|span| format!("{} {} {} {} {}", span["op"], span["description"], span["data"]["cache.hit"], millis(span), span["status"]))
        .collect();
    assert_eq!(
        seen,
        [
            r#""cache.get" "user_profile_42" true 2 "ok""#,
            r#""cache.get" "user_profile_43" false 0 "ok""#,
            r#""db.query" "SELECT * FROM profiles WHERE id = $1" null 25 "ok""#,
            r#""cache.get" "broken" null 0 "internal_error""#,
        ]
    );
    assert_eq!(spans(&transaction)[0]["data"]["cache.key"], serde_json::json!(["user_profile_42"]));
}

#[tokio::test]
async fn queries_that_are_over_are_spans_of_what_asked_them() {
    #[tracing::instrument]
    async fn load() {
        let short = tracing::field::debug("a");
        tracing::debug!(target: "sqlx::query", summary = "SELECT * FROM users …", db.statement = "\n\nSELECT * FROM users WHERE id = 42\n",
            rows_affected = 0_u64, rows_returned = 1_u64, elapsed = short, elapsed_secs = 0.025_f64);
        tracing::debug!(target: "sqlx::query", summary = "DELETE FROM t", db.statement = "", elapsed_secs = 0.001_f64);
        tracing::debug!(target: "shop::other", elapsed_secs = 1.0_f64, db.statement = "not of a driver, below the level");
        tracing::info!(target: "shop::other", elapsed_secs = 0.002_f64, db.query.text = "SELECT 'canary'", db.system.name = "sqlite");
        tracing::info!(elapsed_secs = 1.0_f64, "no query");
    }
    let transaction = recorded(|clock| async move {
        clock.advance(Duration::from_millis(30));
        load().await;
    })
    .await;

    assert_eq!(
        support::tree(&transaction),
        "work [task] ok\n  load [function] ok\n    SELECT * FROM users WHERE id = ? [db.query] ok\n    DELETE FROM t [db.query] ok\n    \
         SELECT ? [db.query] ok\n"
    );
    let [_, users, delete, own] = &**spans(&transaction) else { panic!("four spans") };
    assert_eq!((millis(users), millis(delete), millis(own)), (25, 1, 2));
    assert_eq!(
        (&users["data"]["db.query.text"], &delete["data"]["db.query.text"]),
        (&"SELECT * FROM users WHERE id = ?".into(), &"DELETE FROM t".into())
    );
    assert_eq!((&users["data"]["rows_returned"], users["data"].get("elapsed_secs")), (&1.into(), None));
    assert!(!transaction.to_string().contains("canary"));
}

#[tokio::test]
async fn values_of_queries_leave_nowhere() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).enable_logs(true).build().unwrap());
    let work = async {
        // Beside a name of their own, whatever the attribute is called.
        tracing::info_span!("a", sentry.name = "load", db.statement = "SELECT 'canary'").in_scope(|| ());
        tracing::info_span!("b", sentry.op = "task", db.query.text = "SELECT 'canary'").in_scope(|| ());
        tracing::info_span!("c", sentry.name = "load", db.query.summary = "SELECT 'canary'").in_scope(|| ());
        tracing::info!(db.statement = "SELECT 'canary'", db.query.summary = "SELECT 'canary'", "a breadcrumb and a log");
        tracing::error!(db.query.text = "SELECT 'canary'", "an event");
    };

    client.transaction("work").run(work).await;
    support::settle(&client).await;

    let (transaction, event, logs) = (&relay.transactions()[0], &relay.events()[0], relay.payloads("log"));
    let data = |place: usize, name: &str| spans(transaction)[place]["data"][name].clone();
    assert_eq!([data(0, "db.statement"), data(1, "db.query.text"), data(2, "db.query.summary")], ["SELECT ?"; 3]);
    assert_eq!(event["contexts"]["fields"]["db.query.text"], "SELECT ?");
    let crumb = &event["breadcrumbs"]["values"][0]["data"];
    assert_eq!((&crumb["db.statement"], &crumb["db.query.summary"]), (&"SELECT ?".into(), &"SELECT ?".into()));
    let logged = logs.iter().flat_map(|container| container["items"].as_array().unwrap()).map(|log| &log["attributes"]);
    let texts: Vec<_> = ["db.statement", "db.query.summary", "db.query.text"]
        .iter()
        .flat_map(|name| logged.clone().map(move |attributes| attributes[name]["value"].clone()).filter(|text| !text.is_null()))
        .collect();
    assert_eq!(texts, ["SELECT ?"; 3]);
    assert!(!relay.received().iter().any(|received| String::from_utf8_lossy(&received.envelope).contains("canary")));
}

#[tokio::test]
async fn a_query_never_begins_before_the_work_it_is_of() {
    let transaction = recorded(|clock| async move {
        clock.advance(Duration::from_millis(5));
        tracing::info!(elapsed_secs = 1.0_f64, db.query.text = "SELECT 1");
    })
    .await;

    let query = &spans(&transaction)[0];
    assert_eq!(millis(query), 5);
    assert_eq!(query["start_timestamp"], transaction["start_timestamp"]);
    assert_eq!(query["data"].get("tower_sentry.slow"), None, "it is no slower than it is shown");
}

#[test]
fn a_client_of_the_kit_is_a_client() {
    let (client, captured) = tower_sentry::test::client();

    assert!(Client::is_enabled(&client));
    assert_eq!(captured.tree(), "");
}
