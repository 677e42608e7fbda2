//! The program as a user starts it.

use std::process::{Command, Stdio};

use crate::support::Receiver;

/// What it prints, and its warnings.
fn run(variables: &[(&str, &str)]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amply"));
    command.arg("--once").stdin(Stdio::null());
    let output = in_environment(command, variables).output().unwrap();
    let [shown, warnings] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{}: {warnings}", output.status);
    (shown, warnings)
}

/// The settings of the developer must not change what is tested.
pub fn in_environment(mut command: Command, variables: &[(&str, &str)]) -> Command {
    for (name, _) in std::env::vars_os() {
        let is_ours = |name: &str| name.contains("SENTRY_") || name.starts_with("AMPLY_") || ["ENVIRONMENT", "GIT_COMMIT"].contains(&name);
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    command
}

#[test]
fn without_an_account_it_says_where_to_look_and_shows_the_picture() {
    let (shown, _) = run(&[]);

    let lines = [
        "Amply in development: what it records is printed here.",
        "amply::donations::create [http.server] ok 201",
        "generate_checkpoint [task] ok",
        "process_webhook [queue.process] ok",
        "Unusual activity detected",
        "the donation was not charged",
        "the colour of organisation 8 is not valid",
        "ALERT to Slack #amply-alerts: [development] new issue: ",
    ];
    for line in lines {
        assert!(shown.contains(line), "{line} is not in:\n{shown}");
    }
    for secret in ["4242424242424242", "live-key-93c1e7a2", "c2VjcmV0LWJlYXJlci10b2tlbg"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[test]
fn with_a_dsn_all_parts_report_to_it() {
    let receiver = Receiver::start('e');
    let widgets = Receiver::start('f');

    let (shown, _) = run(&[("SENTRY_DSN", &receiver.dsn), ("WIDGET_SENTRY_DSN", &widgets.dsn), ("ENVIRONMENT", "staging")]);

    assert!(shown.starts_with("Amply in staging: what it records goes to the projects of its DSNs.\n"), "{shown}");
    let has = |name: &str| receiver.transactions().iter().any(|transaction| transaction["transaction"] == name);
    assert!(has("amply::donations::create") && has("GET /dashboard/{organisation}") && has("GET /") && has("generate_checkpoint"));
    assert_eq!((receiver.events().len(), widgets.events().len()), (3, 1), "two of donations, one of the dashboard, one of a widget");
}

#[test]
fn without_its_servers_it_serves_as_before() {
    // A port that refuses connections: it is bound, and does not listen.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let dsn = format!("http://{}@{}/1", "e".repeat(32), port.local_addr().unwrap());

    let (shown, warnings) = run(&[("SENTRY_DSN", &dsn), ("ENVIRONMENT", "staging")]);

    assert!(warnings.contains("the server cannot be reached"), "{warnings}");
    // The tour went on after the first failure: its third request alerts. The exit status says that all had answers.
    assert!(shown.contains("ALERT to Slack #amply-alerts: [staging] new issue: "), "{shown}");
}
