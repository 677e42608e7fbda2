use super::*;

const TRANSACTION: &[u8] = include_bytes!("../../../tests/fixtures/valid/07-transaction.envelope");
const EVENT: &[u8] = include_bytes!("../../../tests/fixtures/valid/01-event-error-full.envelope");
const PLAIN: Look = Look { has_colors: false, width: None, is_brief: false };

/// An envelope of one item.
fn envelope(kind: &str, payload: &Value) -> Vec<u8> {
    format!("{{}}\n{{\"type\":\"{kind}\"}}\n{payload}\n").into_bytes()
}

/// A transaction of a second: a failed span in its first quarter, and a slow query in its third.
fn second() -> Vec<u8> {
    let span = |id: &str, op: &str, start: f64, end: f64, status: &str, data: Value| {
        serde_json::json!({
            "span_id": id, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "parent_span_id": "00f067aa0ba902b7", "op": op,
            "description": "step", "start_timestamp": start, "timestamp": end, "status": status, "data": data,
        })
    };
    let long = "x".repeat(30);
    envelope(
        "transaction",
        &serde_json::json!({
            "event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0", "type": "transaction", "transaction": "GET /cart", "platform": "native",
            "transaction_info": {"source": "route"}, "start_timestamp": 100.0, "timestamp": 101.0, "contexts": {"trace": {
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "op": "http.server", "status": "ok",
            }},
            "spans": [
                span("0000000000000001", "auth", 100.0, 100.25, "internal_error", serde_json::json!({})),
                span("0000000000000002", "db.query", 100.5, 100.75, "ok", serde_json::json!({"tower_sentry.slow": true, "a": long, "b": long})),
            ],
        }),
    )
}

#[test]
fn a_transaction_is_a_tree_and_an_error_a_story() {
    let (transaction, event) = (render(TRANSACTION, PLAIN), render(EVENT, PLAIN));

    assert_eq!(
        transaction,
        "GET /cart/{id} [http.server] ok 200 412.34 ms\n\
         └─ SELECT * FROM cart WHERE id = $1 [db.query] 40.00 ms  db.operation.name=\"SELECT\"  db.query.text=\"SELECT * FROM cart WHERE id = $1\"  db.system.name=\"postgresql\"\n   \
         └─ cart:7 [cache.get] 10.00 ms  cache.hit=true  cache.item_size=58  cache.key=[\"cart:7\"]\n  \
         measurements: http.server.request.time_in_queue=3.5 millisecond\n  \
         request: GET https://shop.example/cart/7\n\n"
    );
    assert!(
        event.contains(
            "  CartError: backend unavailable\n    caused by io::Error: connection refused\n    at shop::cart::load (src/cart.rs:88)\n"
        ),
        "{event}"
    );
}

#[test]
fn a_terminal_shows_when_each_span_ran_and_folds_what_is_too_long() {
    let shown = render(&second(), Look { width: Some(90), ..PLAIN });

    let long = "x".repeat(30);
    assert_eq!(
        shown,
        format!(
            "1000.00 ms ━━━━━━━━━━━━━━━━━━━━ GET /cart [http.server] ok\n \
             250.00 ms ━━━━━                ├─ step [auth] internal_error\n \
             250.00 ms           ━━━━━      └─ step [db.query]  a=\"{long}\"\n\
             {:39}b=\"{long}\"\n\
             {:39}tower_sentry.slow=true\n\n",
            "", ""
        )
    );
}

#[test]
fn odd_times_keep_their_columns() {
    let of = |end: f64| {
        let mut transaction: Value = serde_json::from_slice(second().split(|byte| *byte == b'\n').nth(2).unwrap()).unwrap();
        transaction["timestamp"] = end.into();
        render(&envelope("transaction", &transaction), Look { width: Some(90), ..PLAIN })
    };

    assert!(of(161.0).starts_with("   61.00 s ━━━━━━━━━━━━━━━━━━━━ GET /cart"), "{}", of(161.0));
    // A hook may have moved its end before its start.
    assert!(of(99.0).starts_with("   0.00 ms "), "{}", of(99.0));
}

#[test]
fn colours_mark_what_failed_and_what_was_slow() {
    let shown = render(&second(), Look { has_colors: true, width: Some(90), ..PLAIN });

    let (red, yellow, reset) = ("\u{1b}[31m", "\u{1b}[33m", "\u{1b}[0m");
    assert!(shown.contains(&format!("{red}step{reset}")) && shown.contains(&format!("{red} internal_error{reset}")), "{shown}");
    assert!(shown.contains(&format!("{yellow}step{reset}")) && shown.contains(&format!("{yellow}          ━━━━━     {reset}")), "{shown}");
    let event = render(EVENT, Look { has_colors: true, ..PLAIN });
    assert!(event.starts_with(&format!("{red}✗ error in")), "{event}");
}

#[test]
fn a_brief_console_has_a_line_for_each() {
    let brief = Look { is_brief: true, ..PLAIN };

    assert_eq!(render(TRANSACTION, brief), "GET /cart/{id} [http.server] ok 200 412.34 ms\n");
    let event = render(EVENT, brief);
    assert!(event.contains(": CartError: backend unavailable  [") && event.lines().count() == 1, "{event}");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let evil = "a\u{1b}[31mb\nc";
    let event = serde_json::json!({
        "event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0", "timestamp": 1.0, "platform": "native", "transaction": evil, "logentry": {"message": evil},
        "exception": {"values": [{"type": evil, "value": evil, "stacktrace": {"frames": [{"function": evil}]}}]},
        "breadcrumbs": {"values": [{"timestamp": 1.0, "message": evil, "data": {evil: 1}}]}, "tags": {"tag": evil}, "user": {"id": evil},
        "request": {"url": evil, "headers": {"x": evil}},
    });
    let mut transaction: Value = serde_json::from_slice(second().split(|byte| *byte == b'\n').nth(2).unwrap()).unwrap();
    transaction["transaction"] = evil.into();
    transaction["spans"][0]["description"] = evil.into();
    transaction["spans"][1]["data"][evil] = evil.into();
    transaction["contexts"]["trace"]["op"] = evil.into();
    transaction["contexts"]["trace"]["data"] =
        serde_json::json!({"tower_sentry.cancelled": evil, "http.response.status_code": "\u{9b}31m"});

    for look in [PLAIN, Look { width: Some(90), ..PLAIN }, Look { is_brief: true, ..PLAIN }] {
        let shown = render(&envelope("event", &event), look) + &render(&envelope("transaction", &transaction), look);
        assert!(!shown.contains(['\u{1b}', '\u{9b}']) && !shown.lines().any(|line| line.starts_with('c')), "{shown}");
        assert!(shown.contains("a\\u{1b}[31mb\\nc"), "{shown}");
    }
}

#[test]
fn streamed_spans_are_a_tree_whose_request_may_still_run() {
    let span = |id: &str, parent: &str, name: &str, is_segment: bool, end: f64| {
        let text = |text: &str| serde_json::json!({"type": "string", "value": text});
        serde_json::json!({
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": id, "parent_span_id": parent, "name": name, "status": "ok",
            "is_segment": is_segment, "start_timestamp": 100.0, "end_timestamp": end, "attributes": {
                "sentry.segment.id": text("00f067aa0ba902b7"), "sentry.segment.name": text("GET /cart/{id}"), "sentry.op": text("task"),
                "os.name": text("Linux"), "url.full": text("https://shop.example/cart/7"), "http.request.method": text("GET"),
                "user.id": text("42"), "basket": {"type": "integer", "value": 3},
            },
        })
    };
    let step = span("0000000000000001", "00f067aa0ba902b7", "step", false, 100.25);
    let whole = span("00f067aa0ba902b7", "0000000000000009", "GET /cart/{id}", true, 100.5);
    let shown = |spans: &[Value]| render(&envelope("span", &serde_json::json!({"version": 2, "items": spans})), PLAIN);

    let attributes = "basket=3  http.request.method=\"GET\"  os.name=\"Linux\"  url.full=\"https://shop.example/cart/7\"  user.id=\"42\"";
    let line = format!("\u{2514}\u{2500} step [task] 250.00 ms  {attributes}\n");
    assert_eq!(shown(std::slice::from_ref(&step)), format!("GET /cart/{{id}} [default] unknown 250.00 ms\n{line}\n"));
    assert_eq!(
        shown(&[whole, step]),
        format!(
            "GET /cart/{{id}} [task] ok 500.00 ms\n{line}  attributes: basket=3\n  request: GET https://shop.example/cart/7\n  user: 42\n\n"
        )
    );
}
