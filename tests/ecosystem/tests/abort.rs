//! A panic that aborts the process is delivered first.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Command;

#[test]
fn a_panic_that_aborts_is_delivered_first() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "abort", "--package", "abort", "--message-format", "json"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let messages = String::from_utf8_lossy(&build.stdout).into_owned();
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = artifacts.filter_map(|message| message["executable"].as_str().map(str::to_owned)).last().unwrap();

    let run = Command::new(program).output().unwrap();

    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&run.status), Some(6), "{run:?}");
    let sent = String::from_utf8_lossy(&run.stdout);
    assert!(sent.contains("still well") && sent.contains("the shelf is empty") && sent.contains("abort::main"), "{sent}");
}
