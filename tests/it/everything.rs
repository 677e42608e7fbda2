//! One of everything that a user can set, at ten times its limit: each cut is marked in what arrives, and counted.

use std::error::Error;
use std::fmt;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sentry::protocol::{Attachment, Feedback, Monitor};
use tower_sentry::{Breadcrumb, Client, Level, Scope, SentryLayer, User};

use crate::support::{self, Relay};

fn long(length: usize) -> String {
    // Words: one long run of letters would be taken for a token.
    let mut text = "word ".repeat(length / 5 + 1);
    text.truncate(length);
    text
}

/// An error with this many causes, each of which says a lot.
#[derive(Debug)]
struct Talkative(Option<Box<Self>>);

impl fmt::Display for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&long(80 * 1024))
    }
}

impl Error for Talkative {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|cause| cause as _)
    }
}

/// Sets and reports one of everything, each at ten times its limit or more.
async fn everything() -> StatusCode {
    let scope = Scope::current();
    let beyond = || long(2560 * 1024);
    scope.set_user(User::id(beyond()).email(beyond()).username(beyond()).field("basket", beyond()));
    scope.set_tag("tag", beyond()).set_context("context", json!({ "lines": beyond() })).set_extra("extra", beyond());
    scope.set_fingerprint([beyond()]).transaction().set_name(long(80 * 1024));
    for number in 0..1_000 {
        tracing::info!(number, "a step");
    }
    scope.add_breadcrumb(Breadcrumb::new(beyond()).field("answer", beyond()));
    scope.add_attachment(Attachment::new("large.txt", long(10 * 1024 * 1024)));
    tracing::info!(body = long(80 * 1024), "{}", long(80 * 1024));
    drop(tracing::info_span!("a span", field = long(80 * 1024)).entered());
    tower_sentry::span("task", long(80 * 1024), async {}).await;
    for number in 0..10_000 {
        drop(tracing::info_span!("one of many", number).entered());
    }
    scope.capture_feedback(Feedback::new(long(40 * 1024)).name(beyond()).email(beyond()).url(beyond()));
    tower_sentry::capture_message(Level::Info, beyond());
    let error = (0..110).fold(None, |cause, _| Some(Box::new(Talkative(cause)))).unwrap();
    tower_sentry::capture_error(&*error);
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tokio::test]
async fn one_of_everything_at_ten_times_its_limit_is_cut_marked_and_counted() {
    support::subscribe();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).enable_logs(true).queue_bytes(64 * 1024 * 1024).build().unwrap());
    let app = Router::new().route("/{*path}", get(everything)).layer(SentryLayer::new(&client));
    let target = format!("/{}?page={}", "a/".repeat(10_000), "b+".repeat(20_000));
    let mut request = Request::get(target).header("host", "shop.example");
    for number in 0..500 {
        request = request.header("x-many", number);
    }
    request = request.header("baggage", format!("a={}", "b ".repeat(40_000)));
    let mut request = request.body(Body::empty()).unwrap();
    request.headers_mut().insert("accept", long(10 * 1024).parse().unwrap());
    let monitor = Monitor::crontab(long(1000 * 1024)).timezone(long(1000 * 1024));

    client.check_in("n".repeat(500), monitor).run_infallible(async { drop(app.oneshot(request).await.unwrap()) }).await;
    support::settle(&client).await;

    let is_cut = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).ends_with('…');
    let is_left_out = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("[left out: "));
    let transaction = &relay.transactions()[0];
    let events = relay.events();
    let [message, error] = &events[..] else { panic!("{} events", events.len()) };
    for payload in [transaction, message, error] {
        let name = &payload["type"];
        assert!(is_cut(&payload["transaction"]), "{name}");
        assert!(is_cut(&payload["request"]["url"]) && is_cut(&payload["request"]["query_string"]), "{name}");
        assert!(is_cut(&payload["user"]["id"]) && payload["user"].get("basket").is_none(), "{name}");
        assert!(is_left_out(&payload["tags"]["tag"]) && is_left_out(&payload["contexts"]["context"]["value"]), "{name}");
        assert!(payload.to_string().len() <= 1024 * 1024, "{name}");
    }
    let truncated = |payload: &Value| payload["contexts"]["tower_sentry"]["truncated"].as_u64().unwrap();
    for event in [message, error] {
        assert!(is_left_out(&event["extra"]["extra"]));
        assert_eq!(event["contexts"]["tower_sentry"]["dropped_breadcrumbs"], 902);
        let crumbs = event["breadcrumbs"]["values"].as_array().unwrap();
        assert!(crumbs.iter().any(|crumb| crumb["message"].as_str().is_some_and(|text| text.starts_with("word") && text.ends_with('…'))));
        assert!(crumbs.iter().any(|crumb| is_left_out(&crumb["data"]["tower_sentry.truncated"])));
    }
    assert!(is_cut(&message["logentry"]["message"]));
    let causes = error["exception"]["values"].as_array().unwrap();
    assert!(causes.len() == 11 && causes.iter().all(|cause| is_cut(&cause["value"])));
    assert_eq!(causes[0]["mechanism"]["data"]["tower_sentry.truncated"], "further causes are left out");

    let spans = transaction["spans"].as_array().unwrap();
    assert!(spans.iter().any(|span| span["data"].get("field").is_some_and(is_cut) && span["data"]["tower_sentry.truncated"] == 1));
    assert!(spans.iter().any(|span| is_cut(&span["description"])));
    assert_eq!((spans.len(), &transaction["contexts"]["trace"]["data"]["tower_sentry.dropped_spans"]), (1000, &json!(9_002)));

    let logs = relay.payloads("log");
    let mut logs = logs.iter().flat_map(|container| container["items"].as_array().unwrap());
    let log = logs.find(|log| log["attributes"].get("body").is_some()).unwrap();
    assert!(is_cut(&log["body"]) && is_cut(&log["attributes"]["body"]["value"]));
    let feedback = &relay.payloads("feedback")[0]["contexts"];
    assert!(["message", "name", "contact_email", "url"].iter().all(|field| is_cut(&feedback["feedback"][field])));
    let check_in = &relay.payloads("check_in")[0];
    assert_eq!(check_in["monitor_slug"], "n".repeat(50), "as servers do");
    assert!(is_cut(&check_in["monitor_config"]["timezone"]) && is_cut(&check_in["monitor_config"]["schedule"]["value"]));

    let stats = client.stats();
    let of_scope = truncated(transaction);
    assert_eq!((truncated(message) - of_scope, truncated(error) - of_scope, truncated(&json!({ "contexts": feedback }))), (1, 12, 3));
    // The scope, the message, the error and its causes, the fields of the breadcrumb, of the log and of the span, feedback, the
    // check-in and the name of its monitor.
    assert_eq!(stats.truncated, of_scope + 1 + 12 + 2 + 2 + 1 + 4 + 2 + 1);
    assert_eq!(stats.dropped_breadcrumbs, 902 * 2);
    assert_eq!((stats.spans.dropped_total(), stats.attachment_bytes.dropped_total()), (9_002, 10 * 1024 * 1024));
    assert_eq!((stats.errors.sent, stats.transactions.sent, stats.feedback.sent, stats.check_ins.sent), (2, 1, 1, 2));
}
