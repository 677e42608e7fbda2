//! What becomes an event, and what does not.

use axum::http::StatusCode;
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::Cloud;

/// Type and text of the outermost error.
fn outermost(event: &Value) -> (&str, &str) {
    let value = event["exception"]["values"].as_array().unwrap().last().unwrap();
    (value["type"].as_str().unwrap(), value["value"].as_str().unwrap())
}

#[tokio::test]
async fn the_debug_route_fails_in_three_ways_and_its_key_does_not_leave() {
    let cloud = Cloud::with(|settings| settings.variables([("DEBUG", "True")])).await;

    let mut replies = Vec::new();
    for kind in ["division", "value", "api_key"] {
        replies.push(cloud.get(&format!("/api/v1/debug/sentry-test/?type={kind}")).await);
    }
    // The answer ends with the start of the key.
    let key = replies[2].text.trim_end().rsplit(' ').next().unwrap().to_owned();
    cloud.settle(&[&key]).await;

    let events = cloud.receiver.events();
    let expected = [
        ("DivisionError", "division by zero"),
        ("ValueError", "expected a number, found 'seven'"),
        ("AuthenticationError", "Failed to authenticate with key: [REDACTED_TOKEN]"),
    ];
    assert_eq!(events.iter().map(outermost).collect::<Vec<_>>(), expected);
    assert!(replies.iter().all(|reply| reply.status == StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(key.len(), 8);
}

#[tokio::test]
async fn a_panic_is_one_fatal_event_and_the_service_goes_on() {
    let cloud = Cloud::with(|settings| settings.variables([("DEBUG", "True")])).await;

    let panicked = cloud.get("/api/v1/debug/sentry-test/?type=panic").await;
    let after = cloud.get("/api/v1/users/42/").await;
    cloud.settle(&[]).await;

    assert_eq!((panicked.status, after.status), (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::OK));
    let events = cloud.receiver.events();
    assert_eq!((events.len(), &events[0]["level"]), (1, &"fatal".into()));
    assert_eq!(outermost(&events[0]).1, "the debug route was asked to panic");
}

#[tokio::test]
async fn the_debug_route_is_there_only_with_debug_and_outside_of_production() {
    for (debug, environment, expected) in [
        ("True", "staging", StatusCode::INTERNAL_SERVER_ERROR),
        ("True", "production", StatusCode::NOT_FOUND),
        ("False", "staging", StatusCode::NOT_FOUND),
    ] {
        let cloud = Cloud::with(|settings| settings.variables([("DEBUG", debug), ("ENVIRONMENT", environment)])).await;

        let reply = cloud.get("/api/v1/debug/sentry-test/?type=division").await;
        cloud.settle(&[]).await;

        assert_eq!(reply.status, expected, "{debug} in {environment}");
    }
}

#[tokio::test]
async fn a_lost_file_is_an_event_with_its_chain_its_request_and_its_steps() {
    let cloud = Cloud::start().await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    std::fs::remove_dir_all(cloud.path("files")).unwrap();

    let reply = cloud.get("/api/v1/files/document.pdf/download/?page=2").await;
    cloud.settle(&[]).await;

    let event = &cloud.receiver.events()[0];
    assert_eq!(cloud.receiver.events().len(), 1);
    assert_eq!(outermost(event).0, "io::Error");
    assert!(reply.text.contains(event["event_id"].as_str().unwrap()), "{}", reply.text);
    assert_eq!((&event["request"]["method"], &event["request"]["query_string"]), (&"GET".into(), &"page=2".into()));
    assert!(event["request"]["url"].as_str().unwrap().ends_with("/api/v1/files/document.pdf/download/"));
    assert_eq!((&event["release"], &event["environment"]), (&"4f2a9c1".into(), &"staging".into()));
    // The innermost frame is the place of the `?`.
    let frames = event["exception"]["values"][0]["stacktrace"]["frames"].as_array().unwrap();
    assert!(frames.last().unwrap()["filename"].as_str().unwrap().ends_with("src/files.rs"), "{frames:?}");
}

#[tokio::test]
async fn an_error_has_the_log_lines_before_it() {
    let cloud = Cloud::start().await;
    std::fs::remove_dir_all(cloud.path("files")).unwrap();
    std::fs::write(cloud.path("files"), "in the way").unwrap();

    cloud.send("wrong", "GET", "/api/v1/files/document.pdf/download/", "").await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    cloud.settle(&[]).await;

    let events = cloud.receiver.events();
    assert_eq!(events.len(), 1);
    // Of its own request only: the refusal before belongs to another one.
    let crumbs = events[0]["breadcrumbs"]["values"].as_array().unwrap();
    let crumbs: Vec<_> = crumbs.iter().map(|crumb| (crumb["level"].as_str().unwrap(), crumb["message"].as_str().unwrap())).collect();
    assert_eq!(crumbs, [("info", "storing a file"), ("info", "answered")]);
    assert_eq!(events[0]["tags"]["file_type"], "pdf");
}

#[tokio::test]
async fn expired_links_and_throttled_clients_are_neither_events_nor_transactions() {
    let cloud = Cloud::with(|settings| settings.throttled(2)).await;

    let mut statuses = Vec::new();
    for target in ["/api/v1/share/expired/", "/api/v1/users/42/", "/api/v1/users/42/"] {
        statuses.push(cloud.get(target).await.status.as_u16());
    }
    cloud.settle(&[]).await;

    assert_eq!(statuses, [404, 200, 429]);
    assert!(cloud.receiver.events().is_empty());
    let names: Vec<_> = cloud.receiver.transactions().iter().map(|transaction| transaction["transaction"].clone()).collect();
    assert_eq!(names, ["GET /api/v1/users/{id}/"]);
}

#[tokio::test]
async fn a_share_link_is_gone_after_its_days() {
    let cloud = Cloud::start().await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    let mut urls = Vec::new();
    for body in ["{}", r#"{"days": 30}"#] {
        let reply: Value = serde_json::from_str(&cloud.post("/api/v1/files/document.pdf/share/", body).await.text).unwrap();
        urls.push(reply["url"].as_str().unwrap().to_owned());
    }
    let refused = [r#"{"days": 0}"#, r#"{"days": 31}"#];
    for body in refused {
        let reply = cloud.post("/api/v1/files/document.pdf/share/", body).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    let options = SqliteConnectOptions::new().filename(cloud.path("stormcloud.db"));
    let mut connection = options.connect().await.unwrap();
    let lifetimes: Vec<i64> = sqlx::query_scalar("SELECT (expires_at - unixepoch() + 3600) / 86400 FROM share_link ORDER BY 1")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let before = cloud.open_link(&urls[0], "").await;
    // Eight days later.
    sqlx::query("UPDATE share_link SET expires_at = expires_at - 8 * 86400").execute(&mut connection).await.unwrap();

    let after = [cloud.open_link(&urls[0], "").await, cloud.open_link(&urls[1], "").await];
    cloud.post("/api/v1/files/document.pdf/share/", "{}").await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM share_link").fetch_one(&mut connection).await.unwrap();
    cloud.settle(&[]).await;

    assert_eq!(lifetimes, [7, 30]);
    assert_eq!(before.status, StatusCode::OK);
    assert_eq!(after.map(|reply| reply.status), [StatusCode::NOT_FOUND, StatusCode::OK]);
    assert_eq!(left, 2, "the expired one is removed");
    assert!(cloud.receiver.events().is_empty());
}

#[tokio::test]
async fn a_database_that_is_closed_for_a_deployment_is_no_event() {
    let cloud = Cloud::start().await;
    cloud.service.close_database().await;

    let reply = cloud.get("/api/v1/users/42/").await;
    cloud.settle(&[]).await;

    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(cloud.receiver.events().is_empty(), "{:?}", cloud.receiver.events());
    assert_eq!(cloud.sentry.stats().errors.dropped_total(), 1);
}

#[tokio::test]
async fn two_hundred_equal_errors_are_ten_events_and_one_that_says_how_many() {
    let cloud = Cloud::start().await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    std::fs::remove_dir_all(cloud.path("files")).unwrap();

    for _ in 0..200 {
        cloud.get("/api/v1/files/document.pdf/download/").await;
    }
    cloud.settle(&[]).await;

    let events = cloud.receiver.events();
    let suppressed: Vec<_> = events.iter().filter_map(|event| event["tags"]["tower_sentry.suppressed"].as_str()).collect();
    assert_eq!((events.len(), suppressed), (11, vec!["189"]));
}

#[tokio::test]
async fn an_error_that_is_captured_does_not_end_the_request() {
    let cloud = Cloud::start().await;
    // A folder in the place of the preview cannot be removed as a file.
    std::fs::create_dir_all(cloud.path("previews/1/in the way")).unwrap();

    let reply = cloud.post("/api/v1/files/holiday.mp4/upload/", "a film").await;
    cloud.settle(&[]).await;

    assert_eq!(reply.status, StatusCode::CREATED);
    let events = cloud.receiver.events();
    let of_request: Vec<_> = events.iter().filter(|event| event["transaction"] == "POST /api/v1/files/{name}/upload/").collect();
    assert_eq!(of_request.len(), 1);
    assert_eq!((&of_request[0]["tags"]["file_type"], &of_request[0]["level"]), (&"mp4".into(), &"error".into()));
}
