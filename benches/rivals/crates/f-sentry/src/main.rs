//! The official SDK, driven by `tests/faults`: its DSN is the argument, and each line of standard input a command.
//!
//! The answer to each is a line: whether it succeeded, the milliseconds it took, and the memory of the process in MiB.

use std::io::BufRead as _;
use std::time::{Duration, Instant};

fn main() {
    let dsn = std::env::args().nth(1).expect("expected a DSN");
    let _guard = sentry::init(sentry::ClientOptions::new().dsn(&dsn).traces_sample_rate(1.0).shutdown_timeout(Duration::ZERO));
    let client = sentry::Hub::current().client().expect("sentry::init has made one");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line of text");
        let words: Vec<_> = line.split(' ').collect();
        let number = |place: usize| -> u64 { words[place].parse().expect("a number") };
        let begun = Instant::now();
        // At most `a_second` of them; 0 means as fast as possible.
        let pace = |count: u64, a_second: u64, send: fn(u64)| {
            for number in 0..count {
                if a_second > 0 {
                    let due = begun + Duration::from_secs_f64(number as f64 / a_second as f64);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                send(number);
            }
            true
        };
        let ok = match words[0] {
            "errors" => pace(number(1), number(2), |number| {
                sentry::capture_message(&format!("message {number}"), sentry::Level::Error);
            }),
            "transactions" => pace(number(1), number(2), |_| sentry::start_transaction(sentry::TransactionContext::new("work", "task")).finish()),
            "flush" => client.flush(Some(Duration::from_millis(number(1)))),
            "close" => client.close(Some(Duration::from_millis(number(1)))),
            other => panic!("unknown command {other}"),
        };
        println!("{ok} {} {:.1}", begun.elapsed().as_millis(), memory());
    }
}

fn memory() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).expect("a number") * 4.0 / 1024.0
}
