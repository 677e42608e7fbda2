//! The dashboard in the browser, and the widgets.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tower_sentry::Preset;

use crate::support::Scene;

#[tokio::test]
async fn the_page_sets_up_the_browser_as_the_document_says() {
    let scene = Scene::start().await;

    let (status, page) = scene.get("/dashboard/7").await;
    scene.flush().await;

    assert_eq!(status, StatusCode::OK);
    let (_, options) = page.split_once("var o=").unwrap();
    let (options, rest) = options.split_once(";o.integrations=[];").unwrap();
    let options: Value = serde_json::from_str(options).unwrap();
    let expected = json!({
        "dsn": scene.dashboard.dsn,
        "tunnel": "/t",
        "release": format!("amply-dashboard@{}", env!("CARGO_PKG_VERSION")),
        "environment": "staging",
        "tracesSampleRate": 1.0,
        "replaysSessionSampleRate": 0.1,
        "replaysOnErrorSampleRate": 1.0,
        "tracePropagationTargets": ["localhost", "api.amply-impact.org"],
        "initialScope": { "tags": {} },
    });
    assert_eq!(options, expected);
    assert!(rest.contains(r#"S.replayIntegration({"maskAllText":true,"blockAllMedia":true})"#), "{rest}");
    let trace = &scene.dashboard.transactions()[0]["contexts"]["trace"]["trace_id"];
    assert!(page.contains(&format!("<meta name=\"sentry-trace\" content=\"{}-", trace.as_str().unwrap())), "{page}");
}

#[tokio::test]
async fn the_page_comes_with_the_sdk_and_shows_how_it_was_made() {
    let scene = Scene::start().await;

    let (_, page) = scene.get("/dashboard/7").await;
    let (status, sdk) = scene.get("/static/sentry.js").await;
    scene.flush().await;

    assert!(page.contains("<script src=\"/static/sentry.js\""));
    assert_eq!((status, sdk.as_str()), (StatusCode::OK, "window.Sentry={}"));
    let transactions = scene.dashboard.transactions();
    assert_eq!(transactions.len(), 1, "the script is not recorded");
    let spans = transactions[0]["spans"].as_array().unwrap();
    let steps: Vec<_> = spans.iter().map(|span| (span["op"].as_str().unwrap(), span["description"].as_str().unwrap())).collect();
    assert!(steps.contains(&("http", "Fetch organisation data")) && steps.contains(&("render", "Render dashboard")), "{steps:?}");
}

/// `fallback` and `showDialog` of the document's error boundary.
#[tokio::test]
async fn the_page_of_an_error_asks_what_happened_and_the_answer_belongs_to_the_error() {
    let scene = Scene::start().await;

    let (status, page) = scene.get("/dashboard/404").await;
    scene.flush().await;
    let event_id = scene.dashboard.events()[0]["event_id"].as_str().unwrap().to_owned();
    let said = json!({ "message": "I only wanted my report", "event_id": event_id }).to_string();
    let (thanks, _) = scene.send(Method::POST, "/feedback", &[], &said).await;
    scene.flush().await;

    assert_eq!((status, thanks), (StatusCode::BAD_GATEWAY, StatusCode::OK));
    assert!(page.contains(&format!("showReportDialog({{eventId:\"{event_id}\"}})")), "{page}");
    let feedback = &scene.dashboard.payloads("feedback")[0]["contexts"]["feedback"];
    assert_eq!((&feedback["message"], &feedback["associated_event_id"]), (&json!("I only wanted my report"), &json!(event_id)));
    assert!(scene.backend.payloads("feedback").is_empty());
}

#[tokio::test]
async fn what_the_browser_reports_goes_to_the_project_of_the_dashboard_without_its_secrets() {
    let scene = Scene::start().await;
    let envelope = |dsn: &str| {
        let event = json!({
            "event_id": "0123456789abcdef0123456789abcdef",
            "message": "the cart is gone",
            "request": { "data": { "password": "hunter2-hunter2", "cardNumber": "4242424242424242", "page": 2 } },
        });
        format!("{}\n{}\n{event}\n", json!({ "dsn": dsn }), json!({ "type": "event" }))
    };
    let post = async |dsn: &str| scene.send(Method::POST, "/t", &[("content-type", "text/plain")], &envelope(dsn)).await.0;

    let own = post(&scene.dashboard.dsn).await;
    let foreign = post(&scene.backend.dsn).await;

    assert_eq!((own, foreign), (StatusCode::OK, StatusCode::FORBIDDEN));
    let data = scene.dashboard.events()[0]["request"]["data"].clone();
    assert_eq!(data, json!({ "password": "[REDACTED]", "cardNumber": "[REDACTED]", "page": 2 }));
    assert!(scene.backend.events().is_empty());
    assert!(!scene.dashboard.bytes().contains("hunter2"));
}

#[tokio::test]
async fn a_replay_arrives_with_its_bytes() {
    let scene = Scene::start().await;
    let recording: Vec<u8> = b"{\"segment_id\":0}\n".iter().copied().chain((0..5000_u32).map(|byte| (byte * 31 % 251) as u8)).collect();
    let head = json!({ "dsn": scene.dashboard.dsn });
    let item = json!({ "type": "replay_recording", "length": recording.len() });
    let envelope = [format!("{head}\n{item}\n").as_bytes(), &recording, b"\n"].concat();

    let (status, _) = scene.send(Method::POST, "/t", &[("content-type", "text/plain")], &envelope).await;

    assert_eq!(status, StatusCode::OK);
    assert!(scene.dashboard.has(&recording));
}

#[tokio::test]
async fn of_widgets_one_request_in_a_hundred_is_sent_and_every_error() {
    const REQUESTS: u64 = 1000;
    let scene = Scene::with(Preset::Production, amply::stand_in::start().await.unwrap()).await;

    for _ in 0..REQUESTS {
        assert_eq!(scene.get("/widgets/7").await.0, StatusCode::OK);
    }
    for _ in 0..5 {
        let (status, _) = scene.send(Method::GET, "/widgets/8", &[("origin", "https://books.example")], "").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    scene.flush().await;

    let events = scene.widgets.events();
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| event["tags"]["host_origin"] == "https://books.example"));
    let transactions = scene.widgets.transactions();
    let sampled = transactions.iter().filter(|transaction| transaction["contexts"]["trace"]["status"] == "ok").count() as u64;
    // Of a thousand, ten are expected. Forty is ten standard deviations away.
    assert!(sampled < 40, "{sampled}");
    assert_eq!(scene.widgets.unsampled() + transactions.len() as u64, REQUESTS + 5, "each is sent or counted");
}
