//! How fast texts are searched for secrets: `cargo bench --bench redaction`.
//!
//! Each line has the throughput on one kind of text, without secrets and with them, and how often
//! the search takes the time in which `serde_json` writes the same text. The ratio hardly depends on
//! the machine. `-- --check` fails if texts twice as long take more than three times as long; `-- JSON`
//! measures that kind alone.
#![expect(clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss, reason = "a program for developers")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tower_sentry::redaction::Redaction;

/// Texts as services write them. The first have no secrets.
const KINDS: [(&str, &[&str]); 6] = [
    (
        "sentences",
        &[
            "connection to the warehouse was lost after three attempts, so the order waits for the next run. ",
            "the customer has changed the address of delivery; the shelf is empty until Monday morning. ",
        ],
    ),
    (
        "log lines",
        &[
            "2026-11-29T10:15:42.118Z INFO shop::cart: item added cart=4711 item=12 quantity=3 took=1.2ms\n",
            "2026-11-29T10:15:43.004Z WARN shop::stock: slow answer host=stock-3.internal:8080 attempt=2 status=504\n",
        ],
    ),
    (
        "JSON",
        &[
            r#"{"order":4711,"items":[{"name":"lamp","price":19.5,"in_stock":true},{"name":"shade","price":4}],"note":null}"#,
            r#"{"customer":{"city":"Bremen","language":"de"},"page":2,"sort":"price","filters":["red","wood"]}"#,
        ],
    ),
    (
        "queries",
        &[
            "SELECT o.id, o.total, c.city FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.state = $1 ORDER BY o.id; ",
            "UPDATE stock SET quantity = quantity - $1, changed_at = now() WHERE item_id = $2 AND quantity >= $1; ",
        ],
    ),
    (
        "URLs",
        &[
            "https://shop.example/catalogue/lamps/4711?page=2&sort=price&color=red ",
            "GET /api/v2/orders/8f14e45f/items?limit=50&after=120 from https://app.shop.example/checkout ",
        ],
    ),
    (
        "with secrets",
        &[
            "sign-in failed: password=hunter2-hunter2 for user jane, retried with Authorization: Bearer abcdefghijklmnop123 ",
            "cannot reach postgres://shop:s3cr3t-s3cr3t@db.internal:5432/shop after 3 attempts; the order waits. ",
        ],
    ),
];

/// A text of about `bytes` bytes.
fn text(lines: &[&str], bytes: usize) -> String {
    lines
        .iter()
        .copied()
        .cycle()
        .scan(0, |len, line| {
            (*len < bytes).then(|| {
                *len += line.len();
                line
            })
        })
        .collect()
}

/// The shortest time of several rounds, for one call.
fn fastest(mut work: impl FnMut()) -> Duration {
    let mut round = || {
        let begun = Instant::now();
        (0..8).for_each(|_| work());
        begun.elapsed() / 8
    };
    (0..25).map(|_| round()).min().expect("more than one round")
}

fn main() {
    let rules = Redaction::default();
    let search = |text: &str| fastest(|| drop(black_box(rules.explain(black_box(text)))));
    println!("| text | MB/s | us per KiB | times serde_json | times as long for twice the text |\n|---|---:|---:|---:|---:|");
    let mut is_linear = true;
    let wanted: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (kind, lines) in KINDS.into_iter().filter(|(kind, _)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == kind)) {
        let (text, twice) = (text(lines, 256 * 1024), text(lines, 512 * 1024));
        let (took, took_twice) = (search(&text), search(&twice));
        let written = fastest(|| drop(black_box(serde_json::to_vec(black_box(&text)))));
        let speed = text.len() as f64 / took.as_secs_f64() / 1e6;
        let each = took.as_secs_f64() * 1e6 * 1024.0 / text.len() as f64;
        let growth = took_twice.as_secs_f64() / took.as_secs_f64();
        is_linear &= growth <= 3.0;
        println!("| {kind} | {speed:.0} | {each:.2} | {:.1} | {growth:.2} |", took.as_secs_f64() / written.as_secs_f64());
    }
    if std::env::args().any(|argument| argument == "--check") {
        assert!(is_linear, "the time is not linear");
    }
}
