//! Items that are larger than servers accept: they lose as little as possible, and say what.

use serde_json::{Value, json};
use tower_sentry::{Client, Level, Scope};

use crate::support::{self, Relay};

/// The item limit of Sentry's servers.
const LIMIT: usize = 1024 * 1024;

/// Words in which nothing is a secret. `letters` are what the text consists of: some need an escape in JSON, or several bytes.
fn text(length: usize, letters: &str) -> String {
    let mut text = format!("{letters} ").repeat(length / (letters.len() + 1) + 1);
    let end = (0..=length).rev().find(|at| text.is_char_boundary(*at)).unwrap();
    text.truncate(end);
    text
}

/// The only item of this type that arrived, with its header.
fn arrived(relay: &Relay, kind: &str) -> (Value, Value) {
    let mut items: Vec<_> =
        relay.received().into_iter().flat_map(|received| received.items().1).filter(|(header, _)| header["type"] == kind).collect();
    assert_eq!(items.len(), 1, "one {kind}");
    let (header, payload) = items.remove(0);
    let limit = if kind == "check_in" { 100 * 1024 } else { LIMIT };
    let length = usize::try_from(header["length"].as_u64().unwrap()).unwrap();
    assert!(length <= limit, "{length} bytes");
    (header, payload)
}

async fn transaction_of(spans: usize, length: usize, letters: &str) -> (Value, Value, tower_sentry::Stats) {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let work = async {
        for number in 0..spans {
            let query = format!("SELECT {number} {}", text(length, letters));
            let span = tracing::info_span!("query", sentry.op = "db", db.query.text = query, number);
            drop(span.entered());
        }
    };
    client.transaction("import").run_infallible(work).await;
    support::settle(&client).await;
    let (header, transaction) = arrived(&relay, "transaction");
    (header, transaction, client.stats())
}

#[tokio::test]
async fn a_thousand_long_queries_keep_all_their_spans() {
    for letters in ["größe", "\"quoted\"\n"] {
        let (header, transaction, stats) = transaction_of(1000, 400, letters).await;

        let spans = transaction["spans"].as_array().unwrap();
        let texts = spans.iter().map(|span| span["data"]["db.query.text"].as_str().unwrap());
        assert_eq!((spans.len(), &header["span_count"]), (1000, &json!(1000)), "{letters}");
        assert!(texts.clone().all(|text| text.starts_with("SELECT ") && text.ends_with('…')), "{letters}");
        assert_eq!(transaction["contexts"]["tower_sentry"]["truncated"], stats.truncated, "{letters}");
        assert!(stats.truncated >= 1000, "{letters}: {}", stats.truncated);
        assert_eq!((stats.spans.sent, stats.spans.dropped_total()), (1001, 0), "{letters}");
    }
}

#[tokio::test]
async fn short_spans_go_where_shorter_texts_are_not_enough() {
    support::subscribe();
    let relay = Relay::start();
    let client = support::client(&relay);
    let work = async {
        for number in 0..100_u64 {
            let outer = tracing::info_span!("outer", number).entered();
            for _ in 0..9 {
                // Numbers cannot be shortened.
                let big = u64::MAX / 3;
                drop(
                    tracing::info_span!(
                        "inner",
                        a_long_name_of_a_number_1 = big,
                        a_long_name_of_a_number_2 = big,
                        a_long_name_of_a_number_3 = big,
                        a_long_name_of_a_number_4 = big,
                        a_long_name_of_a_number_5 = big,
                        a_long_name_of_a_number_6 = big,
                        a_long_name_of_a_number_7 = big,
                        a_long_name_of_a_number_8 = big,
                        a_long_name_of_a_number_9 = big,
                        b_long_name_of_a_number_1 = big,
                        b_long_name_of_a_number_2 = big,
                        b_long_name_of_a_number_3 = big,
                        b_long_name_of_a_number_4 = big,
                        b_long_name_of_a_number_5 = big,
                        b_long_name_of_a_number_6 = big,
                        b_long_name_of_a_number_7 = big,
                        b_long_name_of_a_number_8 = big,
                        b_long_name_of_a_number_9 = big
                    )
                    .entered(),
                );
            }
            drop(outer);
        }
    };
    client.transaction("import").run_infallible(work).await;
    support::settle(&client).await;
    let (header, transaction) = arrived(&relay, "transaction");

    let spans = transaction["spans"].as_array().unwrap();
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| span["span_id"].as_str().unwrap()).collect();
    let root = transaction["contexts"]["trace"]["span_id"].as_str().unwrap();
    let dropped = 1000 - spans.len();
    assert!((50..600).contains(&dropped), "{dropped}");
    assert_eq!(header["span_count"], spans.len());
    assert!(spans.iter().map(|span| span["parent_span_id"].as_str().unwrap()).all(|parent| parent == root || ids.contains(parent)));
    assert_eq!(spans.iter().filter(|span| span["description"] == "outer").count(), 100, "spans with children stay");
    assert_eq!(transaction["contexts"]["trace"]["data"]["tower_sentry.dropped_spans"], dropped);
    let stats = client.stats();
    assert_eq!(stats.spans.dropped, [(tower_sentry::protocol::DiscardReason::BufferOverflow, dropped as u64)]);
    assert_eq!((stats.transactions.sent, stats.spans.sent), (1, spans.len() as u64 + 1));
}

/// A client whose hook makes each event large.
fn hooked(relay: &Relay, change: impl Fn(&mut tower_sentry::protocol::Event) + Send + Sync + 'static) -> Client {
    let hook = move |mut event: tower_sentry::protocol::Event| {
        change(&mut event);
        Some(event)
    };
    Client::from(support::config(relay).before_send(hook).build().unwrap())
}

#[tokio::test]
async fn whatever_a_hook_puts_into_an_event_it_arrives_with_its_trace() {
    type Change = fn(&mut tower_sentry::protocol::Event);
    fn nested(depth: usize) -> Value {
        if depth == 0 { json!(1) } else { (0..60).map(|number| (number.to_string(), nested(depth - 1))).collect() }
    }
    let changes: [(&str, Change); 6] = [
        ("a text", |event| drop(event.extra.insert("note".to_owned(), text(LIMIT + 1000, "größe").into()))),
        ("a list", |event| drop(event.extra.insert("list".to_owned(), vec![12345; LIMIT / 4].into()))),
        ("a map", |event| {
            let list = vec![1_234_567_890; 150];
            drop(event.extra.insert("map".to_owned(), (0..1_200).map(|number| (format!("key {number}"), list.clone())).collect()));
        }),
        ("a tree", |event| drop(event.extra.insert("tree".to_owned(), nested(3)))),
        ("a key", |event| drop(event.tags.insert(text(2 * LIMIT, "key"), "value".to_owned()))),
        ("breadcrumbs", |event| {
            let crumb = tower_sentry::Breadcrumb::new(text(160, "step"));
            event.breadcrumbs.values = vec![crumb; 6_000];
            event.breadcrumbs.values.push(tower_sentry::Breadcrumb::new("the last step"));
        }),
    ];
    for (what, change) in changes {
        let relay = Relay::start();
        let client = hooked(&relay, change);
        let work = async {
            tower_sentry::capture_message(Level::Warning, "the stock is low");
        };
        client.transaction("import").run_infallible(work).await;
        support::settle(&client).await;

        let (_, event) = arrived(&relay, "event");
        let truncated = client.stats().truncated;
        assert_eq!(
            (&event["logentry"]["message"], event["contexts"]["trace"]["trace_id"].is_string()),
            (&json!("the stock is low"), true),
            "{what}"
        );
        assert!(truncated > 0 && event["contexts"]["tower_sentry"]["truncated"] == truncated, "{what}: {truncated}");
        if what == "breadcrumbs" {
            assert_eq!(event["breadcrumbs"]["values"].as_array().unwrap().last().unwrap()["message"], "the last step");
        }
        assert_eq!((client.stats().errors.sent, client.stats().errors.dropped_total()), (1, 0), "{what}");
    }
}

#[tokio::test]
async fn process_wide_tags_of_any_length_do_not_cost_the_events() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).tag("deployment", text(3 * LIMIT, "word")).tag("region", "eu-1").build().unwrap());
    let work = async {
        Scope::current().set_tag("plan", "gold");
        tower_sentry::capture_message(Level::Warning, "the stock is low");
    };
    client.transaction("import").run_infallible(work).await;
    support::settle(&client).await;

    for kind in ["transaction", "event"] {
        let (_, payload) = arrived(&relay, kind);
        assert_eq!((&payload["tags"]["region"], &payload["tags"]["plan"]), (&json!("eu-1"), &json!("gold")), "{kind}");
        assert!(payload["tags"]["deployment"].as_str().unwrap().ends_with('…'), "{kind}");
        assert_eq!(payload["contexts"]["tower_sentry"]["truncated"], 1, "{kind}");
    }
    assert_eq!(client.stats().truncated, 2);
}

#[tokio::test]
async fn feedback_and_check_ins_are_no_larger_than_servers_accept() {
    use tower_sentry::protocol::{Feedback, Monitor};

    let relay = Relay::start();
    let client = support::client(&relay);
    let long = || text(3 * LIMIT, "word");
    let work = async {
        Scope::current()
            .capture_feedback(Feedback::new("it broke").name(long()).email(long()).url(format!("https://shop.example/{}", long())));
    };
    client.transaction("import").run_infallible(work).await;
    let monitor = Monitor::crontab("5 2 * * *").timezone(text(200 * 1024, "Europe"));
    client.check_in("nightly", monitor).run_infallible(async {}).await;
    support::settle(&client).await;

    let (_, feedback) = arrived(&relay, "feedback");
    assert_eq!(feedback["contexts"]["feedback"]["message"], "it broke");
    assert_eq!(feedback["contexts"]["tower_sentry"]["truncated"], 3);
    let check_ins = relay.payloads("check_in");
    assert_eq!(check_ins.iter().map(|check_in| check_in["status"].as_str().unwrap()).collect::<Vec<_>>(), ["in_progress", "ok"]);
    assert!(check_ins.iter().all(|check_in| check_in.to_string().len() <= 100 * 1024));
    assert!(check_ins[0]["monitor_config"]["timezone"].as_str().unwrap().ends_with('…'));
    assert_eq!((client.stats().truncated, client.stats().feedback.sent, client.stats().check_ins.sent), (4, 1, 2));
}

#[tokio::test]
async fn logs_are_sent_before_they_are_too_large_together() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).enable_logs(true).queue_bytes(64 * LIMIT).build().unwrap());
    let long = text(8_000, "a \u{1}");
    let work = async {
        for number in 0..100 {
            let long = &*long;
            tracing::info!(
                number,
                a = long,
                b = long,
                c = long,
                d = long,
                e = long,
                f = long,
                g = long,
                h = long,
                i = long,
                j = long,
                k = long,
                l = long,
                m = long,
                n = long,
                o = long,
                p = long,
                q = long,
                r = long,
                s = long,
                t = long,
                u = long,
                v = long,
                "imported"
            );
        }
    };
    client.transaction("import").run_infallible(work).await;
    support::settle(&client).await;

    let items = relay.received().into_iter().flat_map(|received| received.items().1).filter(|(header, _)| header["type"] == "log");
    let mut logs = 0;
    for (header, payload) in items {
        assert!(header["length"].as_u64().unwrap() <= 12 * 1024 * 1024);
        assert_eq!(header["item_count"], payload["items"].as_array().unwrap().len());
        logs += payload["items"].as_array().unwrap().len();
    }
    assert_eq!((logs, client.stats().logs.sent), (100, 100));
}
