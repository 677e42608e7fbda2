//! What is beyond a limit of size is shortened or left out, marked, and counted.

use std::collections::BTreeMap;
use std::future::Future;

use serde_json::{Value, json};
use tower_sentry::{Breadcrumb, Level, Scope, User};

use crate::support::{self, Relay};

/// The transaction and the event of a job that does `work` and captures a message, and how many values were truncated.
async fn outcome(work: impl Future<Output = ()>) -> (Value, Value, u64) {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let work = async {
        work.await;
        tower_sentry::capture_message(Level::Info, "end");
    };
    client.transaction("work").run_infallible(work).await;
    support::settle(&client).await;
    (relay.transactions().remove(0), relay.events().pop().unwrap(), client.stats().truncated)
}

fn long(length: usize) -> String {
    // Words: one long run of letters would be taken for a token.
    let mut text = "word ".repeat(length / 5 + 1);
    text.truncate(length);
    text
}

#[tokio::test]
async fn a_long_log_line_stays_a_breadcrumb_with_all_its_fields() {
    for length in [4_050, 4_090, 4_100, 8_192, 8_193, 100_000] {
        let text = long(length);
        let (_, event, truncated) = outcome(async { tracing::info!(order = 7, body = text, "{text}") }).await;

        let crumb = &event["breadcrumbs"]["values"][0];
        let shown = ["/message", "/data/body"].map(|place| crumb.pointer(place).unwrap().as_str().unwrap().to_owned());
        assert_eq!(crumb["data"]["order"], 7, "{length}");
        assert!(
            shown.iter().all(|shown| shown.len() > 1000 && shown.ends_with('…') && shown.starts_with("word word")),
            "{length}: {crumb}"
        );
        assert_eq!(crumb["data"]["tower_sentry.truncated"], 2, "{length}");
        // Only what the limit of a field cuts is cut for spans and logs too.
        assert_eq!(truncated, if length > 8_192 { 2 } else { 0 }, "{length}");
    }
}

#[tokio::test]
async fn a_long_field_of_a_span_is_marked_and_counted() {
    let work = async { drop(tracing::info_span!("work", order = 7, sql = long(9_000), note = "short").entered()) };
    let (transaction, _, truncated) = outcome(work).await;

    let data = &transaction["spans"][0]["data"];
    let sql = data["sql"].as_str().unwrap();
    assert!((8_150..=8_192).contains(&sql.len()) && sql.ends_with('…'), "{} bytes", sql.len());
    assert_eq!((&data["order"], &data["note"], &data["tower_sentry.truncated"]), (&json!(7), &json!("short"), &json!(1)));
    assert_eq!(truncated, 1);
}

#[tokio::test]
async fn fields_beyond_the_memory_of_a_request_are_counted() {
    let work = async {
        for number in 0..200 {
            drop(tracing::info_span!("query", number, sql = long(8_000)).entered());
        }
    };
    let (transaction, _, truncated) = outcome(work).await;

    let spans = transaction["spans"].as_array().unwrap();
    let fields = spans.iter().map(|span| u64::from(span["data"].get("sql").is_some()) + u64::from(span["data"].get("number").is_some()));
    let dropped = 400 - fields.sum::<u64>();
    assert_eq!(spans.len(), 200);
    assert!(dropped > 100);
    assert_eq!(transaction["contexts"]["trace"]["data"]["tower_sentry.dropped_fields"], dropped);
    // Together with ids and names, the fields are more than servers accept, so texts are shortened.
    let shortened = transaction["contexts"]["tower_sentry"]["truncated"].as_u64().unwrap();
    assert_eq!((truncated, transaction.to_string().len() <= 1024 * 1024), (dropped + shortened, true));
}

#[tokio::test]
async fn a_user_with_a_large_field_is_still_the_user() {
    let work = async {
        Scope::current().set_user(User::id("before").username("jane"));
        Scope::current().set_user(User::id("after").username("joe").field("basket", long(300_000)));
    };
    let (transaction, event, truncated) = outcome(work).await;

    for payload in [transaction, event] {
        assert_eq!((&payload["user"]["id"], &payload["contexts"]["tower_sentry"]["truncated"]), (&json!("after"), &json!(1)));
        assert_eq!(payload["user"].get("basket"), None);
    }
    assert_eq!(truncated, 1);
}

#[tokio::test]
async fn a_mark_stands_for_a_value_without_room() {
    let work = async {
        let scope = Scope::current();
        scope.set_extra("note", long(300_000)).set_context("order", json!({"lines": long(300_000)})).set_tag("path", long(300_000));
        scope.add_breadcrumb(Breadcrumb::new("charged").field("answer", long(300_000)));
        scope.with(|nested| {
            nested.set_extra("other", long(300_000));
            tower_sentry::capture_message(Level::Info, "inner");
        });
        // What is small still has room.
        scope.set_extra("small", 7);
    };
    let (_, event, truncated) = outcome(work).await;

    let mark = |bytes| json!(format!("[left out: {bytes} bytes]"));
    assert_eq!((&event["extra"]["note"], &event["extra"]["small"]), (&mark(300_002), &json!(7)));
    assert_eq!((&event["contexts"]["order"]["value"], &event["tags"]["path"]), (&mark(300_012), &mark(300_000)));
    let crumb = &event["breadcrumbs"]["values"][0];
    assert_eq!((&crumb["message"], &crumb["data"]), (&json!("charged"), &json!({"tower_sentry.truncated": mark(300_020)})));
    assert_eq!((&event["contexts"]["tower_sentry"]["truncated"], truncated), (&json!(4), 5));
}

#[tokio::test]
async fn values_that_json_does_not_have_become_text() {
    let work = async {
        let by_pair = BTreeMap::from([((1, 2), "a pair")]);
        Scope::current().set_context("numbers", BTreeMap::from([("large", u128::MAX), ("small", 7)]));
        Scope::current().set_context("pairs", by_pair).set_extra("ratio", f64::NAN).set_extra("rate", f32::INFINITY);
        tracing::info!(ratio = f64::NAN, "computed");
    };
    let (_, event, _) = outcome(work).await;

    assert_eq!(event["contexts"]["numbers"], json!({"large": u128::MAX.to_string(), "small": 7}));
    assert_eq!(event["contexts"]["pairs"], json!({"[1,2]": "a pair"}));
    assert_eq!((&event["extra"]["ratio"], &event["extra"]["rate"]), (&json!("NaN"), &json!("inf")));
    assert_eq!(event["breadcrumbs"]["values"][0]["data"]["ratio"], "NaN");
}
