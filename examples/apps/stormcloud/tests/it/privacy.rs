//! Who is named, and what never leaves.

use axum::http::{StatusCode, header};
use serde_json::json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::{Cloud, planted};

#[tokio::test]
async fn an_event_names_id_username_and_staff_of_its_user_and_nothing_else() {
    let cloud = Cloud::start().await;
    cloud.post("/api/v1/files/test.txt/upload/", "a text").await;
    cloud.send(cloud.service.bob(), "POST", "/api/v1/files/test.txt/upload/", "a text").await;
    std::fs::remove_dir_all(cloud.path("files")).unwrap();

    for key in [cloud.service.alice(), cloud.service.bob()] {
        cloud.send(key, "POST", "/api/v1/files/test.txt/upload/", "a text").await;
    }
    cloud.settle(&[]).await;

    let events = cloud.receiver.events();
    let users: Vec<_> = events.iter().map(|event| event["user"].clone()).collect();
    let alice = json!({ "id": "42", "username": "alice", "is_staff": false });
    assert_eq!(users, [alice, json!({ "id": "43", "username": "bob", "is_staff": true })]);
    let tag = |name: &str| events[0]["tags"][name].as_str().unwrap();
    let tags = [tag("request_path"), tag("request_method"), tag("storage_backend")];
    assert_eq!(tags, ["/api/v1/files/test.txt/upload/", "POST", "local"]);
}

#[tokio::test]
async fn the_authorization_header_and_the_secrets_of_a_body_are_filtered() {
    let cloud = Cloud::start().await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    let options = SqliteConnectOptions::new().filename(cloud.path("stormcloud.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::query("DROP TABLE share_link").execute(&mut connection).await.unwrap();

    let mut body = json!({ "days": 7 });
    for (number, name) in (1..).zip(["password", "api_key", "token", "secret"]) {
        body[name] = planted(number).into();
    }
    // `{"key": "theme"}` is harmless: in JSON, this name needs a value that looks like a key.
    body["key"] = cloud.service.bob().into();
    let reply = cloud.post(&format!("/api/v1/files/document.pdf/share/?token={}", planted(6)), &body.to_string()).await;
    cloud.settle(&[]).await;

    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    let event = &cloud.receiver.events()[0];
    assert_eq!(event["request"]["headers"]["authorization"], "[Filtered]");
    let data: serde_json::Value = serde_json::from_str(event["request"]["data"].as_str().unwrap()).unwrap();
    let hidden = json!({ "password": "[Filtered]", "api_key": "[Filtered]", "token": "[Filtered]", "secret": "[Filtered]", "key": "[Filtered]", "days": 7 });
    assert_eq!(data, hidden);
    assert_eq!(event["request"]["query_string"], "token=[Filtered]");
}

#[tokio::test]
async fn a_share_link_that_fails_gives_neither_its_token_nor_its_password_away() {
    let cloud = Cloud::start().await;
    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    let reply = cloud.post("/api/v1/files/document.pdf/share/", &json!({ "password": planted(7) }).to_string()).await;
    let reply: serde_json::Value = serde_json::from_str(&reply.text).unwrap();
    let url = reply["url"].as_str().unwrap();
    let token = url.trim_end_matches('/').rsplit('/').next().unwrap();
    assert_eq!(cloud.open_link(url, &planted(8)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(cloud.open_link(url, &planted(7)).await.text, "a document");
    std::fs::remove_dir_all(cloud.path("files")).unwrap();

    assert_eq!(cloud.open_link(url, &planted(7)).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    // Searches for the passwords as well.
    cloud.settle(&[token]).await;

    let event = &cloud.receiver.events()[0];
    assert_eq!(token.len(), 64);
    assert!(event["request"]["url"].as_str().unwrap().contains("/api/v1/share/["), "{}", event["request"]["url"]);
    assert_eq!(event["request"]["headers"]["x-share-password"], "[Filtered]");
    let log: Vec<_> = cloud.security_log().iter().map(|line| line["message"].clone()).collect();
    assert_eq!(log, ["file uploaded", "share link made", "wrong password of a share link"]);
}

#[tokio::test]
async fn without_redaction_the_search_finds_the_secrets() {
    let cloud = Cloud::monitored(|settings| settings, |config| config.redaction(tower_sentry::test::unredacted())).await;
    let secret = planted(9);

    cloud.get(&format!("/api/v1/users/42/?token={secret}")).await;
    cloud.sentry.shutdown(crate::support::PATIENCE).await.unwrap();

    assert!(cloud.receiver.text().contains(&secret));
}

#[tokio::test]
async fn no_cookie_is_set_and_none_leaves() {
    let cloud = Cloud::start().await;

    let reply = cloud.get("/api/v1/users/42/").await;
    // Searches for the cookie of the request as well.
    cloud.settle(&[]).await;

    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers.get(header::SET_COOKIE), None);
    assert_eq!(cloud.receiver.transactions().len(), 1);
}

#[tokio::test]
async fn security_events_are_in_their_file_with_their_user_and_without_keys() {
    let cloud = Cloud::start().await;
    let wrong = "0123456789abcdef".repeat(4);

    cloud.post("/api/v1/files/document.pdf/upload/", "a document").await;
    let refused = cloud.send(&wrong, "GET", "/api/v1/files/document.pdf/download/", "").await;
    cloud.settle(&[&wrong]).await;

    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let lines = cloud.security_log();
    let seen: Vec<_> = lines.iter().map(|line| (line["message"].as_str().unwrap(), line["user_id"].as_str())).collect();
    assert_eq!(seen, [("file uploaded", Some("42")), ("authentication failed", None)]);
    let text = std::fs::read_to_string(cloud.path("logs/security.log")).unwrap();
    assert!(!text.contains(&wrong) && !text.contains(cloud.service.alice()));
}
