//! The program, as it is started.

use std::path::Path;
use std::process::{Command, Output};

use crate::receiver::Receiver;

/// Runs the tour in a process with these variables alone.
async fn run(folder: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormcloud"));
    command.arg("--once").env_clear().env("STORMCLOUD_FOLDER", folder).envs(variables.iter().copied());
    // Not here: the receiver needs this thread.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_start_line_names_the_environment_and_the_variables_are_read() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let variables = [
        ("SENTRY_DSN", receiver.dsn()),
        ("SENTRY_TRACES_SAMPLE_RATE", "1.0"),
        ("SENTRY_PROFILES_SAMPLE_RATE", "1.0"),
        ("ENVIRONMENT", "staging"),
        ("GIT_COMMIT", "4f2a9c1"),
        ("DEBUG", "True"),
    ];

    let output = run(folder.path(), &variables).await;

    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Sentry initialized for environment 'staging'"), "{said}");
    assert!(!said.contains("SENTRY_PROFILES_SAMPLE_RATE"), "it has its effect, so there is no warning: {said}");
    // A request that waits uses so little of the processor that its profile is counted and not sent.
    let reports = receiver.payloads("client_report");
    let rows = reports.iter().flat_map(|report| report["discarded_events"].as_array().unwrap());
    // A transaction that is left out takes its profile along.
    let too_short = rows.filter(|row| row["category"] == "profile" && row["reason"] == "insufficient_data");
    let too_short: u64 = too_short.map(|row| row["quantity"].as_u64().unwrap()).sum();
    assert_eq!(receiver.payloads("profile").len() as u64 + too_short, receiver.transactions().len() as u64, "one for each request");
    let events = receiver.events();
    let texts: Vec<_> =
        events.iter().map(|event| event["exception"]["values"].as_array().unwrap().last().unwrap()["value"].as_str().unwrap()).collect();
    assert_eq!(texts, ["expected a number, found 'seven'", "Failed to authenticate with key: [REDACTED_TOKEN]"]);
    for payload in events.iter().chain(&receiver.transactions()) {
        assert_eq!((&payload["environment"], &payload["release"]), (&"staging".into(), &"4f2a9c1".into()));
    }
    let sent = receiver.text();
    assert!(["hunter2-of-the-tour", "0123456789abcdef0123456789abcdef0123456789abcdef"].iter().all(|secret| !sent.contains(secret)));
}

#[tokio::test]
async fn without_a_commit_there_is_no_release_and_the_environment_is_production() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());

    let output =
        run(folder.path(), &[("SENTRY_DSN", receiver.dsn()), ("GIT_COMMIT", "unknown"), ("SENTRY_TRACES_SAMPLE_RATE", "1.0")]).await;

    assert!(text(&output.stderr).contains("Sentry initialized for environment 'production'"));
    let transactions = receiver.transactions();
    assert!(!transactions.is_empty());
    assert!(transactions.iter().all(|transaction| transaction["environment"] == "production" && transaction.get("release").is_none()));
}

#[tokio::test]
async fn without_a_dsn_the_console_shows_the_picture_and_the_security_log_is_written() {
    for dsn in [&[][..], &[("SENTRY_DSN", " ")]] {
        let folder = tempfile::tempdir().unwrap();

        let output = run(folder.path(), dsn).await;

        let shown = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        for row in [
            "GET /api/v1/files/{name}/download/",
            "view.file_download [view]",
            "filesystem.read [file.read]",
            "user_profile_42 [cache.get]",
            "Failed to authenticate with key: [REDACTED_TOKEN]",
        ] {
            assert!(shown.contains(row), "no {row}: {shown}");
        }
        // Errors are in the service's own log as well, redacted too.
        let logged = text(&output.stderr);
        assert!(logged.contains("Failed to authenticate with key: [REDACTED_TOKEN]"), "{logged}");
        assert!(!shown.contains("hunter2-of-the-tour") && !logged.contains("hunter2-of-the-tour"));
        let log = std::fs::read_to_string(folder.path().join("logs/security.log")).unwrap();
        assert!(["file uploaded", "share link made", "authentication failed"].iter().all(|line| log.contains(line)), "{log}");
    }
}

#[tokio::test]
async fn spotlight_gets_a_copy_without_a_dsn() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let address = receiver.dsn().split_once('@').unwrap().1;

    run(folder.path(), &[("SENTRY_SPOTLIGHT", &format!("http://{address}"))]).await;

    let names: Vec<_> = receiver.transactions().iter().map(|transaction| transaction["transaction"].clone()).collect();
    assert!(names.contains(&"GET /api/v1/files/{name}/download/".into()), "{names:?}");
    assert_eq!(receiver.events().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_away_changes_no_answer_and_no_line_of_the_security_log() {
    // Bound and not listening: connections are refused, and no other program takes the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/42", closed.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();

    let output = run(folder.path(), &[("SENTRY_DSN", &dsn)]).await;

    assert!(output.status.success(), "{}", text(&output.stderr));
    let log = std::fs::read_to_string(folder.path().join("logs/security.log")).unwrap();
    assert_eq!(log.lines().count(), 3, "{log}");
}
