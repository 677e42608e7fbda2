//! Checkpoints and webhooks.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{Method, StatusCode};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower_sentry::Preset;

use crate::support::{Scene, donation};

/// The spans directly below this one, as `op: description`.
fn children(transaction: &Value, parent: &Value) -> Vec<String> {
    let spans = transaction["spans"].as_array().unwrap();
    let below = spans.iter().filter(|span| span["parent_span_id"] == *parent);
    below.map(|span| format!("{}: {}", span["op"].as_str().unwrap(), span["description"].as_str().unwrap_or_default())).collect()
}

fn named<'a>(transactions: &'a [Value], name: &str) -> Vec<&'a Value> {
    transactions.iter().filter(|transaction| transaction["transaction"] == name).collect()
}

#[tokio::test]
async fn a_checkpoint_is_a_task_with_its_four_steps() {
    let (stored, mut storage) = mpsc::unbounded_channel();
    let put_checkpoint = move |Json(checkpoint): Json<Value>| async move {
        stored.send(checkpoint).unwrap();
        Json(json!({}))
    };
    let stand_in = Router::new()
        .route("/{provider}/charges", axum::routing::post(|| async { Json(json!({ "id": "ch_1" })) }))
        .route("/checkpoints/{root}", put(put_checkpoint));
    let scene = Scene::with(Preset::Staging, amply::stand_in::serve(stand_in).await.unwrap()).await;
    for amount in ["1", "2", "3"] {
        scene.donate(&donation("stripe", amount)).await;
    }

    let (status, _) = scene.send(Method::POST, "/api/v1/checkpoints", &[], "").await;
    // The three donations, the request and the task.
    let transactions = scene.backend.wait_for("transaction", 5).await;

    assert_eq!(status, StatusCode::ACCEPTED);
    let task = named(&transactions, "generate_checkpoint")[0];
    let root = &task["contexts"]["trace"];
    assert_eq!((&root["op"], &root["status"]), (&json!("task"), &json!("ok")));
    let steps = children(task, &root["span_id"]);
    let expected = ["db: fetch entries", "compute: compute merkle root", "sign: sign checkpoint", "upload: upload to S3"];
    assert_eq!(steps[..4], expected);
    let step = |op: &str| task["spans"].as_array().unwrap().iter().find(|span| span["op"] == op).unwrap()["span_id"].clone();
    assert!(children(task, &step("upload"))[0].starts_with("http.client: PUT "), "the upload is a request");
    let checkpoint = storage.recv().await.unwrap();
    assert_eq!((&checkpoint["entries"], checkpoint["root"].as_str().unwrap().len()), (&json!(3), 64));
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_stored_is_an_event_of_the_task() {
    // This storage has no `/checkpoints`.
    let scene = Scene::with(Preset::Staging, amply::stand_in::serve(Router::new()).await.unwrap()).await;

    scene.send(Method::POST, "/api/v1/checkpoints", &[], "").await;
    let events = scene.backend.wait_for("event", 1).await;

    assert_eq!(events[0]["transaction"], "generate_checkpoint");
    let outer = events[0]["exception"]["values"].as_array().unwrap().last().unwrap();
    assert_eq!((&outer["type"], &outer["value"]), (&json!("CheckpointError"), &json!("the checkpoint cannot be stored")));
}

#[tokio::test]
async fn a_webhook_that_fails_is_tried_four_times_and_is_one_event() {
    let scene = Scene::start().await;

    let body = r#"{"webhook_id":"wh_1","charge":"ch_unknown"}"#;
    let (status, _) = scene.send(Method::POST, "/api/v1/webhooks/stripe", &[], body).await;
    let transactions = scene.backend.wait_for("transaction", 5).await;
    scene.flush().await;

    assert_eq!(status, StatusCode::ACCEPTED);
    let jobs = named(&transactions, "process_webhook");
    let mut attempts: Vec<_> = jobs.iter().map(|job| job["tags"]["job.attempt"].as_str().unwrap()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, ["1", "2", "3", "4"]);
    let events = scene.backend.events();
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!((&events[0]["transaction"], &events[0]["tags"]["job.attempt"]), (&json!("process_webhook"), &json!("4")));
    assert_eq!(events[0]["tags"]["payment_provider"], "stripe");
    // The request, its four attempts and the event are one trace.
    let traces: HashSet<_> = transactions.iter().chain(&events).map(|payload| &payload["contexts"]["trace"]["trace_id"]).collect();
    assert_eq!(traces.len(), 1);
    for job in jobs {
        let trace = &job["contexts"]["trace"];
        assert_eq!((&trace["op"], &trace["status"]), (&json!("queue.process"), &json!("internal_error")));
        assert_eq!(trace["data"]["messaging.message.id"], "wh_1");
    }
}

#[tokio::test]
async fn a_webhook_whose_second_attempt_succeeds_is_no_event() {
    let calls = Arc::new(AtomicU32::new(0));
    let confirm = move || {
        let is_known = calls.fetch_add(1, Ordering::Relaxed) > 0;
        async move { Json(json!({ "status": if is_known { "succeeded" } else { "pending" } })) }
    };
    let stand_in = Router::new().route("/{provider}/charges/{id}", get(confirm));
    let scene = Scene::with(Preset::Staging, amply::stand_in::serve(stand_in).await.unwrap()).await;

    let body = r#"{"webhook_id":"wh_2","charge":"ch_2"}"#;
    scene.send(Method::POST, "/api/v1/webhooks/stripe", &[], body).await;
    let transactions = scene.backend.wait_for("transaction", 3).await;
    scene.flush().await;

    let mut ends: Vec<_> = named(&transactions, "process_webhook")
        .iter()
        .map(|job| (job["tags"]["job.attempt"].as_str().unwrap(), job["contexts"]["trace"]["status"].as_str().unwrap()))
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, [("1", "internal_error"), ("2", "ok")]);
    assert_eq!(scene.backend.events(), [] as [Value; 0]);
}
