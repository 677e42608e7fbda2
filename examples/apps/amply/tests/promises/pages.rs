//! The dashboard in the browser, and the widgets.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tower_sentry::Preset;

use crate::support::{Scene, continued};

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
    let scene = Scene::with(Preset::Production, amply::stand_in::start().await.unwrap()).await;

    // The numbers decide, so chance has no part in it.
    for number in ["0.009999", "0.010001", "0.999999"] {
        let headers = continued(number);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(scene.send(Method::GET, "/widgets/7", &headers, "").await.0, StatusCode::OK);
    }
    scene.flush().await;
    let sent: Vec<_> = scene.widgets.items().into_iter().filter(|(_, kind, _)| kind == "transaction").collect();
    for _ in 0..5 {
        assert_eq!(scene.get("/widgets/8").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
    scene.flush().await;

    assert_eq!((sent.len(), scene.widgets.unsampled()), (1, 2), "each is sent or counted");
    let trace = &sent[0].0["trace"];
    assert_eq!((&trace["sample_rate"], &trace["sample_rand"]), (&json!("0.01"), &json!("0.009999")));
    assert_eq!(scene.widgets.events().len(), 5);
}

#[tokio::test]
async fn an_error_of_a_widget_has_the_site_that_it_is_in() {
    let cases: [(&[(&str, &str)], Value); 6] = [
        (&[("origin", "https://books.example")], json!("https://books.example")),
        (&[("referer", "https://jane:secret@books.example:8443/cart/7?token=1")], json!("https://books.example:8443")),
        (&[("origin", "null"), ("referer", "http://books.example/")], json!("http://books.example")),
        (&[("origin", "https://one.example"), ("referer", "https://two.example/")], json!("https://one.example")),
        (&[("referer", "/cart")], Value::Null),
        (&[], Value::Null),
    ];
    for (headers, expected) in cases {
        let scene = Scene::start().await;

        scene.send(Method::GET, "/widgets/8", headers, "").await;
        scene.flush().await;

        assert_eq!(scene.widgets.events()[0]["tags"]["host_origin"], expected, "{headers:?}");
    }
}

#[tokio::test]
async fn what_an_organisation_calls_itself_is_text_in_every_page() {
    let scene = Scene::start().await;

    for path in ["/dashboard/10", "/widgets/10"] {
        let (status, page) = scene.get(path).await;

        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("Cats &amp; &lt;script&gt;alert(&#39;Dogs&#39;)&lt;/script&gt;"), "{page}");
        assert!(!page.contains("<script>alert"), "{page}");
    }
}

#[tokio::test]
async fn the_user_of_the_dashboard_is_in_its_page_and_in_its_errors_if_a_proxy_signs_users_in() {
    for (trusts_proxy, user) in [(true, Some("member-7")), (false, None)] {
        let stand_in = amply::stand_in::start().await.unwrap();
        let scene = Scene::changed(Preset::Staging, stand_in, |settings| settings.trusts_proxy = trusts_proxy).await;
        let headers = [("x-forwarded-user", "member-7")];

        let (_, page) = scene.send(Method::GET, "/dashboard/7", &headers, "").await;
        let (_, error_page) = scene.send(Method::GET, "/dashboard/404", &headers, "").await;
        let (_, signed_out) = scene.get("/dashboard/7").await;
        scene.flush().await;

        for page in [page, error_page] {
            assert_eq!(page.contains(r#""user":{"id":"member-7"}"#), user.is_some(), "{page}");
        }
        assert!(!signed_out.contains("\"user\""), "{signed_out}");
        let users =
            |payloads: Vec<Value>| payloads.iter().map(|payload| payload["user"]["id"].as_str().map(str::to_owned)).collect::<Vec<_>>();
        let user = user.map(str::to_owned);
        assert_eq!(users(scene.dashboard.events()), std::slice::from_ref(&user));
        assert_eq!(users(scene.dashboard.transactions()), [user.clone(), user, None]);
    }
}
