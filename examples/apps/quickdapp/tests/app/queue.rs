//! The queue and its worker: what fails, what cannot be read, and workers that die.

use serde_json::{Value, json};
use sqlx::Row as _;

use crate::dapp::{Dapp, Wallet};
use crate::project::{Project, trace_id};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_is_tried_again_and_is_one_event_of_the_worker() {
    let (server, worker) = (Project::start().await, Project::start().await);
    let dapp = Dapp::start(&[("SENTRY_DSN", &server.dsn()), ("SENTRY_WORKER_DSN", &worker.dsn())]).await;
    let wallet = Wallet::new();

    let page = dapp.open_page().await;
    let session = dapp.sign_in(&page, &wallet).await;
    let token = dapp.deploy(&page, &session, "FARTOOLONG").await;
    let failure = dapp.end_of(&page, &session, token).await["failure"].clone();
    dapp.stop().await;

    assert_eq!(failure, "a symbol has at most 8 letters, this one has 10");
    let mut attempts = worker.items("transaction");
    attempts.sort_by_key(|job| job["tags"]["job.attempt"].to_string());
    let statuses: Vec<_> = attempts.iter().map(|job| (&job["tags"]["job.attempt"], &job["contexts"]["trace"]["status"])).collect();
    let failed = json!("internal_error");
    assert_eq!(statuses, [(&json!("1"), &failed), (&json!("2"), &failed), (&json!("3"), &failed)]);
    let events = worker.items("event");
    assert_eq!(events.len(), 1, "{events:?}");
    let chain: Vec<_> = events[0]["exception"]["values"].as_array().unwrap().iter().map(|error| &error["type"]).collect();
    assert_eq!(chain, ["SymbolTooLong", "DeployError"]);
    assert_eq!((trace_id(&events[0]), &events[0]["user"]["id"]), (page.trace_id.as_str(), &json!(wallet.address().to_lowercase())));
    assert_eq!(server.items("event"), [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_an_event_and_the_worker_goes_on() {
    let (server, worker) = (Project::start().await, Project::start().await);
    let dapp = Dapp::start(&[("SENTRY_DSN", &server.dsn()), ("SENTRY_WORKER_DSN", &worker.dsn())]).await;
    let page = dapp.open_page().await;
    let session = dapp.sign_in(&page, &Wallet::new()).await;
    let mut database = dapp.database().await;
    let rows = ["(1, 'no JSON')", "(1, '{}')", "('yesterday', '{}')", "(-9223372036854775808, 'no JSON')"];
    let insert = format!("INSERT INTO jobs (queued_at, payload) VALUES {}", rows.join(", "));
    sqlx::query(&insert).execute(&mut database).await.unwrap();

    let token = dapp.deploy(&page, &session, "QDP").await;
    let end = dapp.end_of(&page, &session, token).await;
    let states = sqlx::query("SELECT state FROM jobs ORDER BY id").fetch_all(&mut database).await.unwrap();
    dapp.stop().await;

    assert!(end["contract"].is_string(), "{end}");
    let states: Vec<String> = states.iter().map(|row| row.get(0)).collect();
    assert_eq!(states[..4], ["failed"; 4]);
    let events = worker.items("event");
    let mut ids: Vec<_> = events.iter().map(|event| event["tags"]["job.id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2", "3", "4"], "{events:?}");
    for event in &events {
        let outermost = event["exception"]["values"].as_array().unwrap().last().unwrap();
        assert_eq!((&event["transaction"], &outermost["value"]), (&json!("token.deploy"), &json!("a job in the queue cannot be read")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_dies_is_tried_again_until_its_attempts_are_used_up() {
    let project = Project::start().await;
    let dsn = project.dsn();
    let variables = [("SENTRY_DSN", dsn.as_str())];
    let mut dapp = Dapp::start(&variables).await;
    dapp.kill_worker().await;
    let page = dapp.open_page().await;
    let session = dapp.sign_in(&page, &Wallet::new()).await;
    let (first, last) = (dapp.deploy(&page, &session, "ONE").await, dapp.deploy(&page, &session, "TWO").await);
    // As a worker leaves them that was killed during the first attempt of one and the last attempt of the other.
    let mut database = dapp.database().await;
    for (token, attempt) in [(first, 1), (last, 3)] {
        let killed = sqlx::query("UPDATE jobs SET state = 'running', attempt = ? WHERE json_extract(payload, '$.token') = ?");
        let changed = killed.bind(attempt).bind(token as i64).execute(&mut database).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }

    dapp.start_worker(&variables);
    let ends = [dapp.end_of(&page, &session, first).await, dapp.end_of(&page, &session, last).await];
    dapp.stop().await;

    assert!(ends[0]["contract"].is_string(), "{}", ends[0]);
    assert_eq!(ends[1]["failure"], "the token was not deployed");
    let events = project.items("event");
    assert_eq!(events.len(), 1, "{events:?}");
    let texts: Vec<_> = events[0]["exception"]["values"].as_array().unwrap().iter().map(|error| &error["value"]).collect();
    assert_eq!(texts, ["a worker was killed during the last attempt of a job"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_marked_as_failed_only_after_its_user_can_read_it() {
    let variables = [("SENTRY_DSN", "")];
    let mut dapp = Dapp::start(&variables).await;
    dapp.kill_worker().await;
    let page = dapp.open_page().await;
    let session = dapp.sign_in(&page, &Wallet::new()).await;
    let token = dapp.deploy(&page, &session, "QDP").await;
    let mut database = dapp.database().await;
    for change in [
        "UPDATE jobs SET state = 'running', attempt = 3",
        "CREATE TRIGGER away BEFORE UPDATE ON tokens BEGIN SELECT RAISE(FAIL, 'the disk is full'); END",
    ] {
        sqlx::query(change).execute(&mut database).await.unwrap();
    }

    dapp.start_worker(&variables);
    dapp.worker_fails().await;
    sqlx::query("DROP TRIGGER away").execute(&mut database).await.unwrap();
    dapp.start_worker(&variables);
    let end = dapp.end_of(&page, &session, token).await;
    dapp.stop().await;

    assert_eq!(end["failure"], "the token was not deployed");
}
