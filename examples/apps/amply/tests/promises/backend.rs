//! Donations: scopes, tags, contexts, users, breadcrumbs, messages, names, and the four projects.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tower_sentry::Preset;

use crate::support::{PATIENCE, Scene, donation};

#[tokio::test]
async fn each_of_the_four_projects_gets_its_own_only() {
    let scene = Scene::start().await;

    scene.get("/api/v1/organisations/8").await;
    scene.get("/dashboard/404").await;
    scene.get("/").await;
    scene.get("/widgets/8").await;
    scene.flush().await;

    let expected = [
        ("amply-backend", 'b', vec!["amply::organisations::show", "amply::organisations::show"], 0),
        ("amply-dashboard", 'd', vec!["GET /dashboard/{organisation}"], 1),
        ("amply-public", 'a', vec!["GET /"], 0),
        ("amply-widgets", 'c', vec!["GET /widgets/{organisation}"], 1),
    ];
    for ((project, key, names, errors), receiver) in expected.into_iter().zip(scene.receivers()) {
        let release = format!("{project}@{}", env!("CARGO_PKG_VERSION"));
        let transactions = receiver.transactions();
        let found: Vec<_> = transactions.iter().map(|transaction| transaction["transaction"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{project}");
        let events = receiver.events();
        assert_eq!(events.len(), errors, "{project}");
        for payload in transactions.iter().chain(&events) {
            assert_eq!((&payload["release"], &payload["environment"]), (&json!(release), &json!("staging")));
        }
        let auth = format!("sentry_key={}", key.to_string().repeat(32));
        assert!(receiver.headers().iter().all(|headers| headers["x-sentry-auth"].to_str().unwrap().contains(&auth)), "{project}");
    }
}

#[tokio::test]
async fn a_failed_donation_is_one_event_with_all_that_its_scope_knows() {
    let scene = Scene::start().await;

    let (status, body) = scene.donate(&donation("paypal", "25.10")).await;
    scene.flush().await;

    assert_eq!((status, body.as_str()), (StatusCode::BAD_GATEWAY, r#"{"error":"the donation was not charged"}"#));
    let events = scene.backend.events();
    assert_eq!(events.len(), 1, "it was captured, and returned: {events:#?}");
    let event = &events[0];
    let tags = json!({ "organisation_id": "7", "donation_type": "monthly", "payment_provider": "paypal", "domain": "payment" });
    assert_eq!(event["tags"], tags);
    assert_eq!(event["user"], json!({ "id": "donor-42", "email": "jane@example.org" }));
    assert_eq!(event["contexts"]["donation"], json!({ "organisation_id": 7, "amount": "25.10", "currency": "EUR" }));
    let crumbs = event["breadcrumbs"]["values"].as_array().unwrap();
    let crumb = crumbs.iter().find(|crumb| crumb["category"] == "payment").unwrap();
    assert_eq!((&crumb["message"], &crumb["level"]), (&json!("Initiated paypal charge"), &json!("info")));
    assert_eq!(crumb["data"], json!({ "amount": "25.10", "currency": "EUR" }));
    let chain: Vec<_> = event["exception"]["values"].as_array().unwrap().iter().rev().map(|error| error["value"].clone()).collect();
    let texts = ["the donation was not charged", "the payment provider failed", "the other service answered 503 Service Unavailable"];
    assert_eq!(chain, texts);
}

/// "You should see the test error appear within seconds": nothing here flushes, and the service goes on.
#[tokio::test]
async fn an_event_is_there_soon_although_nothing_flushes() {
    let scene = Scene::start().await;

    scene.donate(&donation("paypal", "25.10")).await;
    let events = scene.backend.wait_for("event", 1).await;

    assert_eq!(events[0]["transaction"], "amply::donations::create");
}

#[tokio::test]
async fn a_provider_that_never_answers_is_an_error_after_its_time() {
    let silent = Router::new().route("/{provider}/charges", post(std::future::pending::<()>));
    let silent = amply::stand_in::serve(silent).await.unwrap();
    let scene = Scene::changed(Preset::Staging, silent, |settings| settings.call_timeout = Duration::from_millis(10)).await;

    let body = donation("stripe", "10");
    let answered = tokio::time::timeout(PATIENCE, scene.donate(&body)).await;
    scene.flush().await;

    assert_eq!(answered.expect("an answer in time").0, StatusCode::BAD_GATEWAY);
    let innermost = &scene.backend.events()[0]["exception"]["values"][0];
    assert_eq!(innermost["value"], "the other service did not answer in time");
}

/// Owners are assigned by the path of a file.
#[tokio::test]
async fn frames_have_the_path_of_their_file() {
    let scene = Scene::start().await;

    scene.donate(&donation("paypal", "25.10")).await;
    scene.flush().await;

    let errors = scene.backend.events()[0]["exception"]["values"].as_array().unwrap().clone();
    let frames = errors.iter().filter_map(|error| error["stacktrace"]["frames"].as_array()).flatten();
    let own: Vec<_> = frames.filter(|frame| frame["in_app"] == true).map(|frame| frame["filename"].clone()).collect();
    assert!(own.contains(&json!("examples/apps/amply/src/donations.rs")), "{own:?}");
}

#[tokio::test]
async fn the_tags_of_a_donation_end_with_it() {
    let scene = Scene::start().await;

    scene.donate(&donation("stripe", "25000")).await;
    scene.flush().await;

    // The message is from inside; the transaction ends outside.
    assert_eq!(scene.backend.events()[0]["tags"]["donation_type"], "monthly");
    let transaction = &scene.backend.transactions()[0];
    assert!(transaction["tags"].get("donation_type").is_none(), "{}", transaction["tags"]);
    assert!(transaction["contexts"].get("donation").is_none());
}

#[tokio::test]
async fn an_unusual_donation_is_a_message_with_its_level() {
    let scene = Scene::start().await;

    let usual = scene.donate(&donation("stripe", "9999.99")).await;
    let unusual = scene.donate(&donation("stripe", "10000")).await;
    scene.flush().await;

    assert_eq!((usual.0, unusual.0), (StatusCode::CREATED, StatusCode::CREATED));
    let events = scene.backend.events();
    let found: Vec<_> = events.iter().map(|event| (&event["level"], &event["logentry"]["message"])).collect();
    assert_eq!(found, [(&json!("warning"), &json!("Unusual activity detected"))]);
}

#[tokio::test]
async fn a_declined_card_and_a_wrong_amount_are_no_errors_of_the_service() {
    let scene = Scene::start().await;

    let mut declined = donation("stripe", "10");
    declined["card_number"] = amply::stand_in::DECLINED_CARD.into();
    let (status, _) = scene.donate(&declined).await;
    let wrong = [donation("stripe", "ten"), donation("stripe", "-25"), donation("stripe", "NaN"), donation("../admin", "10")];
    for donation in &wrong {
        assert_eq!(scene.donate(donation).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{donation}");
    }
    scene.flush().await;

    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(scene.backend.events(), [] as [Value; 0]);
    assert_eq!(scene.backend.transactions().len(), 1 + wrong.len());
}

/// `FastApiIntegration(transaction_style="endpoint")` and `SqlalchemyIntegration`.
#[tokio::test]
async fn a_donation_is_named_by_its_handler_and_shows_its_charge_and_its_query() {
    let scene = Scene::start().await;

    scene.donate(&donation("stripe", "10")).await;
    scene.flush().await;

    let transaction = &scene.backend.transactions()[0];
    assert_eq!(transaction["transaction"], "amply::donations::create");
    assert_eq!(transaction["transaction_info"]["source"], "view");
    let spans = transaction["spans"].as_array().unwrap();
    let ops: Vec<_> = spans.iter().map(|span| span["op"].as_str().unwrap()).collect();
    assert!(ops.contains(&"payment") && ops.contains(&"http.client"), "{ops:?}");
    let query = spans.iter().find(|span| span["op"] == "db.query").unwrap_or_else(|| panic!("no query in {ops:?}"));
    assert_eq!(query["description"], "INSERT INTO entries (organisation_id, amount, currency, charge) VALUES (?, ?, ?, ?)");
}
