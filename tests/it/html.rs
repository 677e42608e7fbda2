//! The trace for a page.

use axum::Router;
use axum::body::Body;
use axum::response::Html;
use axum::routing::get;
use http::Request;
use tower::ServiceExt as _;
use tower_sentry::{Client, Scope, SentryLayer};

use crate::support::{self, Relay, Server};

#[tokio::test]
async fn meta() {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).environment("it's \"<b>\" & more").build().unwrap());
    let page = || async { Html(format!("<!doctype html><html><head>{}</head></html>", Scope::current().trace_meta_tags())) };
    let app = Router::new().route("/", get(page)).layer(SentryLayer::new(&client));

    let (_, html) = support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let content = |name: &str| {
        let start = format!("<meta name=\"{name}\" content=\"");
        let rest = html.split_once(&start).unwrap_or_else(|| panic!("no {name} in {html}")).1;
        rest.split_once("\">").unwrap().0.to_owned()
    };
    let trace = relay.transactions()[0]["contexts"]["trace"].clone();
    let expected = format!("{}-{}-1", trace["trace_id"].as_str().unwrap(), trace["span_id"].as_str().unwrap());
    assert_eq!(content("sentry-trace"), expected);
    assert!(content("baggage").contains("sentry-environment=it%27s%20%22%3Cb%3E%22%20%26%20more"), "{html}");
    assert_eq!(Scope::current().trace_meta_tags().to_string(), "", "nothing outside of a request");
}

#[tokio::test]
async fn a_trace_without_baggage_has_no_tag_for_it() {
    let (client, _) = tower_sentry::test::client();
    let app = Router::new().route("/", get(|| async { Scope::current().trace_meta_tags().to_string() })).layer(SentryLayer::new(&client));
    let request = Request::get("/").header("sentry-trace", "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1");

    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();

    let html = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
    let html = std::str::from_utf8(&html).unwrap();
    assert!(html.starts_with("<meta name=\"sentry-trace\" content=\"771a43a4192642f0b136d5159a501700-"), "{html}");
    assert_eq!(html.matches("<meta ").count(), 1, "{html}");
}

#[cfg(feature = "browser")]
mod snippet {
    use html5gum::{DefaultEmitter, Token, Tokenizer};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tower_sentry::EventId;
    use tower_sentry::html::{Browser, ErrorPage};

    use super::*;

    const DSN: &str = "https://0123456789abcdef0123456789abcdef@sentry.example/43";

    /// An element, its attributes and the text in it, as a browser sees them.
    type Element = (String, Vec<(String, String)>, String);

    fn elements(html: &str) -> Vec<Element> {
        let mut emitter = DefaultEmitter::default();
        // As a browser does in a script.
        emitter.naively_switch_states(true);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut elements: Vec<Element> = Vec::new();
        for token in Tokenizer::new_with_emitter(html, emitter) {
            match token.unwrap() {
                Token::StartTag(tag) => {
                    let attributes = tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
                    elements.push((text(&tag.name), attributes, String::new()));
                }
                Token::String(within) => elements.last_mut().unwrap().2.push_str(&text(&within)),
                _ => {}
            }
        }
        elements
    }

    fn attribute<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
        element.1.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The object behind this text in a script.
    fn object(script: &str, before: &str) -> Value {
        let rest = script.split_once(before).unwrap_or_else(|| panic!("no {before} in {script}")).1;
        serde_json::Deserializer::from_str(rest).into_iter().next().unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_page_has_the_trace_of_its_request_and_all_settings() {
        let relay = Relay::start();
        let client =
            Client::from(support::config(&relay).environment("staging").release("shop@1").traces_sample_rate(0.25).build().unwrap());
        let browser = Browser::new("https://0123456789abcdef0123456789abcdef:secret@sentry.example/43")
            .script("/static/sentry.js?v=1&w=2")
            .integrity("sha384-abc")
            .tunnel("/t")
            .replay_session_sample_rate(0.1)
            .replay_on_error_sample_rate(1.0)
            .block_all_media(false)
            .trace_propagation_targets(["api.shop.example"])
            .tag("host_origin", "shop")
            .build()
            .unwrap();
        let page = move || async move {
            let snippet = Scope::current().page_snippet(&browser).user_id("7").nonce("r4nd0m");
            let trace = Scope::current().trace_id().unwrap();
            Html(format!("<!doctype html><html><head>{snippet}</head><body>{trace}</body></html>"))
        };
        let app = Router::new().route("/", get(page)).layer(SentryLayer::new(&client));

        let (_, html) = support::get(&Server::start(app).await, "/").await;

        let elements = elements(&html);
        let names: Vec<_> = elements.iter().map(|element| element.0.as_str()).collect();
        assert_eq!(names, ["html", "head", "meta", "meta", "script", "script", "body"], "{html}");
        let [.., trace, baggage, bundle, script, body] = elements.as_slice() else { panic!("{html}") };
        assert_eq!(attribute(trace, "name"), Some("sentry-trace"));
        assert!(attribute(trace, "content").unwrap().starts_with(&body.2));
        assert_eq!(attribute(baggage, "name"), Some("baggage"));
        let attributes = ["src", "integrity", "crossorigin", "nonce"].map(|name| attribute(bundle, name));
        assert_eq!(attributes, [Some("/static/sentry.js?v=1&w=2"), Some("sha384-abc"), Some("anonymous"), Some("r4nd0m")]);
        assert_eq!(attribute(script, "nonce"), Some("r4nd0m"));
        let expected = json!({
            "dsn": DSN,
            "tunnel": "/t",
            "release": "shop@1",
            "environment": "staging",
            "tracesSampleRate": 0.25,
            "replaysSessionSampleRate": 0.1,
            "replaysOnErrorSampleRate": 1.0,
            "tracePropagationTargets": ["api.shop.example"],
            "initialScope": { "tags": { "host_origin": "shop" }, "user": { "id": "7" } },
        });
        assert_eq!(object(&script.2, "var o="), expected);
        assert_eq!(object(&script.2, "S.replayIntegration("), json!({ "maskAllText": true, "blockAllMedia": false }));
    }

    #[test]
    fn an_invalid_dsn_leaves_the_page_without_a_script() {
        let snippet = Scope::current().page_snippet(&Browser::new("sentry.example").script("/sentry.js"));

        assert_eq!(snippet.to_string(), "");
        assert!(Browser::new("sentry.example").build().unwrap_err().is_dsn());
    }

    #[test]
    fn without_rates_there_is_no_replay() {
        let script = Scope::current().page_snippet(&Browser::new(DSN).replay_session_sample_rate(0.0)).to_string();

        assert!(!script.contains("replayIntegration"), "{script}");
        assert!(script.contains("browserTracingIntegration"), "{script}");
    }

    /// Texts that would leave their place, if anything did. HTML itself changes NUL and CR.
    fn text() -> impl Strategy<Value = String> {
        let parts = prop_oneof![
            "[^\r\0]{0,5}",
            Just("</script>".to_owned()),
            Just("</SCRIPT >".to_owned()),
            Just("<!--<script>".to_owned()),
            Just("]]>".to_owned()),
            Just("\"'`><".to_owned()),
            Just("&quot;&lt;&#0;".to_owned()),
            Just("\\u003c\\\"\u{2028}\u{2029}".to_owned()),
            Just("${alert(1)}".to_owned()),
        ];
        proptest::collection::vec(parts, 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(one in text(), two in text(), three in text(), nonce in text()) {
            let browser = Browser::new(DSN)
                .script(one.clone())
                .integrity(two.clone())
                .tunnel(two.clone())
                .release(three.clone())
                .environment(one.clone())
                .traces_sample_rate(0.5)
                .trace_propagation_targets([two.clone()])
                .tag(one.clone(), three.clone());
            let event_id = EventId::new();

            let snippet = Scope::current().page_snippet(&browser).user_id(two.clone()).nonce(nonce.clone()).report_dialog(event_id);

            let all = elements(&format!("<head>{snippet}</head>"));
            prop_assert_eq!(all.iter().map(|element| element.0.as_str()).collect::<Vec<_>>(), ["head", "script", "script"]);
            prop_assert_eq!(attribute(&all[1], "src"), Some(one.as_str()));
            prop_assert_eq!(attribute(&all[1], "integrity"), Some(two.as_str()));
            prop_assert_eq!(attribute(&all[2], "nonce"), Some(nonce.as_str()));
            prop_assert_eq!(all[2].1.len(), 1);
            let expected = json!({
                "dsn": DSN,
                "tunnel": two,
                "release": three,
                "environment": one,
                "tracesSampleRate": 0.5,
                "tracePropagationTargets": [two],
                "initialScope": { "tags": { one.as_str(): three }, "user": { "id": two } },
            });
            prop_assert_eq!(object(&all[2].2, "var o="), expected);
            let dialog = format!("S.showReportDialog({{eventId:\"{event_id}\"}})");
            prop_assert!(all[2].2.contains(&dialog), "{}", all[2].2);
            prop_assert_eq!(all[2].2.split_once("S.init(o);").unwrap().1, format!("if(S.showReportDialog){dialog};}})(window.Sentry)"));

            let page = ErrorPage::new(event_id).title(one.clone()).feedback(two.clone()).snippet(snippet);
            let all = elements(&page.to_string());
            let inputs: Vec<_> = all.iter().filter(|element| matches!(element.0.as_str(), "input" | "textarea")).filter_map(|element| attribute(element, "name")).collect();
            prop_assert_eq!(inputs, ["event_id", "message", "name", "email", "screenshot"]);
            prop_assert_eq!(all.iter().filter(|element| element.0 == "script").count(), 2);
            let found = |name: &str| all.iter().find(|element| element.0 == name).unwrap();
            prop_assert_eq!(&found("h1").2, &one);
            prop_assert_eq!(attribute(found("form"), "action"), Some(two.as_str()));
        }
    }

    #[test]
    fn an_error_page_without_an_id_names_none() {
        let page = ErrorPage::new(EventId::nil()).feedback("/feedback").to_string();

        assert!(!page.contains("event_id") && !page.contains("has the id"), "{page}");
    }
}
