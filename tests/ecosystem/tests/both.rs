//! The official SDK and this crate in one process, as during a change from one to the other.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Command;

#[test]
fn both_sdks_in_one_process_report_each_failure_once() {
    let run =
        Command::new(env!("CARGO")).args(["run", "--quiet", "--package", "both"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();

    let sent = String::from_utf8_lossy(&run.stdout);
    let count = |line: &str| sent.lines().filter(|sent| *sent == line).count();
    for sdk in ["sentry", "tower-sentry"] {
        for failure in ["placing the order failed", "out of paper", "the shelf is empty"] {
            assert_eq!(count(&format!("{sdk}: event: {failure}")), 1, "{sdk}: {failure}\n{sent}\n{}", String::from_utf8_lossy(&run.stderr));
        }
        assert_eq!(count(&format!("{sdk}: transaction")), 3, "{sdk}\n{sent}");
    }
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(said.matches("the shelf is empty").count(), 1, "the panic is printed once\n{said}");
}
