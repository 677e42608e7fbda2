//! The doctor of `examples/doctor.rs`, on set-ups that work and on broken ones.

use std::time::Duration;

use tower_sentry::{Config, ConfigBuilder};

use crate::support::{self, Answer, Relay, in_child};

#[path = "../../examples/doctor.rs"]
#[expect(dead_code, reason = "its `main` is not run here")]
mod example;

use example::{Finding, Verdict};

fn config(relay: &Relay) -> ConfigBuilder {
    support::config(relay)
}

/// What is bad, by its step.
fn bad(findings: &[Finding]) -> Vec<(&'static str, String)> {
    findings.iter().filter(|finding| finding.verdict == Verdict::Bad).map(|finding| (finding.step, finding.text.clone())).collect()
}

/// Runs the doctor, and returns the step that is bad beside the test event, with its sentence.
async fn diagnosis(config: ConfigBuilder) -> (&'static str, String) {
    let mut bad = bad(&example::examine(config.panic_hook(false)).await);
    bad.retain(|(step, _)| *step != "test event");
    assert_eq!(bad.len(), 1, "{bad:?}");
    bad.remove(0)
}

/// A test event goes to the default client of its process.
fn in_own_process(name: &str, test: impl Future<Output = ()>) {
    if in_child(&format!("doctor::{name}"), &[]) {
        return;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_set_up_that_works_is_good_in_each_step() {
    in_own_process("a_set_up_that_works_is_good_in_each_step", async {
        let relay = Relay::start();

        let findings = example::examine(config(&relay)).await;

        assert_eq!(bad(&findings), []);
        let good: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Good).map(|finding| finding.step).collect();
        assert_eq!(good, ["DSN", "DNS", "TCP", "clock", "authorisation", "limits", "test event"]);
        assert_eq!(relay.events().len(), 1);
        let notes: String = findings.iter().filter(|finding| finding.verdict == Verdict::Note).map(ToString::to_string).collect();
        assert!(notes.contains("`traces_sample_rate` limits transactions only: every error is sent"), "{notes}");
        assert!(notes.contains("clear text"), "{notes}");
    });
}

#[tokio::test]
async fn a_dsn_that_is_missing_or_wrong_is_named() {
    let (step, text) = diagnosis(Config::builder()).await;
    assert_eq!((step, text.starts_with("no DSN is set")), ("DSN", true), "{text}");

    let (step, text) = diagnosis(Config::builder().dsn("https://sentry.test/1")).await;
    assert_eq!((step, text.contains("public key")), ("configuration", true), "{text}");
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_is_named() {
    // No name has a label of 64 letters, so no name server is asked.
    let name = format!("{}.test", "a".repeat(64));

    let (step, text) = diagnosis(support::to(format!("http://key@{name}/1"))).await;

    assert_eq!((step, text.contains(&name)), ("DNS", true), "{text}");
}

#[tokio::test]
async fn a_port_that_refuses_connections_is_named() {
    let port = support::closed_port();

    let (step, text) = diagnosis(support::to(format!("http://key@{}/1", port.local_addr().unwrap()))).await;

    assert_eq!((step, text.contains("refused")), ("TCP", true), "{text}");
}

#[cfg(feature = "rustls")]
#[test]
fn a_server_that_does_not_speak_tls_is_named() {
    in_own_process("a_server_that_does_not_speak_tls_is_named", async {
        let relay = Relay::start();

        let (step, text) = diagnosis(support::to(relay.dsn().replace("http:", "https:"))).await;

        assert_eq!((step, text.contains("`ca_certificate`")), ("TLS", true), "{text}");
    });
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    in_own_process("a_server_that_does_not_answer_is_named", async {
        let relay = Relay::start();
        relay.answer_all(Answer::Never);

        let (step, text) = diagnosis(config(&relay).request_timeout(Duration::from_millis(50))).await;

        assert_eq!((step, text.contains("is this Sentry's port?")), ("HTTP", true), "{text}");
    });
}

#[test]
fn a_refused_key_is_named() {
    in_own_process("a_refused_key_is_named", async {
        let relay = Relay::start();
        relay.answer_all(Answer::Status(403, vec![("x-sentry-error", "ProjectId".to_owned())]));

        let (step, text) = diagnosis(config(&relay)).await;

        assert_eq!(
            (step, text.contains("the server answered 403 Forbidden (x-sentry-error: ProjectId)")),
            ("authorisation", true),
            "{text}"
        );
    });
}

#[test]
fn a_quota_that_is_spent_is_named() {
    in_own_process("a_quota_that_is_spent_is_named", async {
        let relay = Relay::start();
        relay.answer_all(Answer::Status(429, vec![("x-sentry-rate-limits", "3600:error:organization".to_owned())]));

        let (step, text) = diagnosis(config(&relay)).await;

        assert_eq!((step, text.contains("nothing of the category 'error' for 3")), ("limits", true), "{text}");
    });
}

#[test]
fn a_clock_that_is_wrong_is_named() {
    in_own_process("a_clock_that_is_wrong_is_named", async {
        let relay = Relay::start();
        let tomorrow = std::time::SystemTime::now() + Duration::from_secs(24 * 3600);
        relay.answer_all(Answer::Status(200, vec![("date", httpdate::fmt_http_date(tomorrow))]));

        let (step, text) = diagnosis(config(&relay)).await;

        assert_eq!((step, text.contains("clock is -86")), ("clock", true), "{text}");
    });
}
