//! What does not leave: credentials, cards, addresses, names.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Scene, donation};

const SECRETS: [&str; 6] =
    ["4242424242424242", "hunter2-hunter2", "c2VjcmV0LWJlYXJlci10b2tlbg", "live-key-93c1e7a2", "whsec-0a1b2c3d4e", "\"737\""];

#[tokio::test]
async fn credentials_are_replaced_with_the_placeholder_of_the_document() {
    let scene = Scene::start().await;
    let mut body = donation("paypal", "25.10");
    body["password"] = "hunter2-hunter2".into();
    body["secret"] = "whsec-0a1b2c3d4e".into();
    let headers = [("X-Api-Key", "live-key-93c1e7a2"), ("Authorization", "Bearer c2VjcmV0LWJlYXJlci10b2tlbg")];

    scene.send(Method::POST, "/api/v1/donations", &headers, &body.to_string()).await;
    scene.flush().await;

    let request = scene.backend.events()[0]["request"].clone();
    let body: Value = serde_json::from_str(request["data"].as_str().unwrap()).unwrap();
    for name in ["x-api-key", "authorization"] {
        assert_eq!(request["headers"][name], "[REDACTED]", "{name}");
    }
    for field in ["password", "card_number", "cvv", "secret"] {
        assert_eq!(body[field], "[REDACTED]", "{field}");
    }
    assert_eq!(body["amount"], "25.10", "what is no secret stays");
    let bytes = scene.backend.bytes();
    assert!(bytes.contains("Initiated paypal charge"));
    for secret in SECRETS {
        assert!(!bytes.contains(secret), "{secret} left");
    }
}

#[tokio::test]
async fn nothing_about_the_person_leaves_but_what_the_code_sets() {
    let scene = Scene::start().await;

    scene.send(Method::POST, "/api/v1/donations", &[("x-forwarded-for", "203.0.113.77")], &donation("paypal", "1").to_string()).await;
    scene.get("/dashboard/404").await;
    scene.flush().await;

    let event = &scene.backend.events()[0];
    assert_eq!(event["user"], json!({ "id": "donor-42", "email": "jane@example.org" }));
    assert!(event.get("server_name").is_none());
    for receiver in scene.receivers() {
        let bytes = receiver.bytes();
        assert!(!bytes.contains("203.0.113.77") && !bytes.contains("client.address") && !bytes.contains("ip_address"));
    }
    assert!(scene.dashboard.events()[0].get("user").is_none());
}
