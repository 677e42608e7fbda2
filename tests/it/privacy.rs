//! Canaries: secrets that are random per run, searched in every byte that left.

use axum::Router;
use axum::http::Request;
use axum::routing::get;
use serde_json::Value;
use tower_sentry::redaction::Redaction;
use tower_sentry::{Client, Scope, SentryLayer, User};
use tracing::{info, instrument};

use crate::support::{self, Relay, Server};

/// A secret nobody else has.
fn canary(place: &str) -> String {
    format!("canary{}{}", place, tower_sentry::protocol::TraceId::new())
}

/// The forms in which a secret might leave.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let percent = secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    [secret.to_owned(), hex, percent, base64(secret.as_bytes())].into_iter().map(String::into_bytes).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Without the tail, whose form depends on what follows.
    let whole = bytes.chunks_exact(3).flat_map(|triple| {
        let bits = u32::from(triple[0]) << 16 | u32::from(triple[1]) << 8 | u32::from(triple[2]);
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]))
    });
    whole.collect()
}

fn leaked<'a>(relay: &Relay, canaries: &'a [String]) -> Vec<&'a str> {
    let received = relay.received();
    let holds = |secret: &str| {
        forms(secret).iter().any(|form| received.iter().any(|received| received.envelope.windows(form.len()).any(|window| window == form)))
    };
    canaries.iter().map(String::as_str).filter(|secret| holds(secret)).collect()
}

const HEADERS: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-amz-security-token",
    "x-my-secret",
    "x-session-id",
    "x-forwarded-for",
    "x-real-ip",
    "x-internal-thing",
];

const PARAMETERS: [&str; 9] = ["token", "api_key", "apiKey", "access_token", "password", "sig", "X-Amz-Signature", "code", "sessionid"];

/// Sends secrets in every place of a request, and through everything a handler can record.
async fn visit(client: &Client) -> (Vec<String>, Vec<String>) {
    #[instrument]
    async fn login(user: &str, password: &str, api_key: &str) {
        info!(token = password, "logging in with password={password}");
    }
    #[derive(Debug)]
    struct Credentials {
        #[expect(dead_code, reason = "read by Debug")]
        secret: String,
    }
    #[instrument]
    async fn connect(client: Credentials) {
        drop(client);
    }
    support::subscribe();
    let inside: Vec<_> = ["argument", "key", "debug", "tag", "context", "user", "message", "url"].map(canary).into();
    let given = inside.clone();
    let handler = move || {
        let given = given.clone();
        async move {
            login("jane", &given[0], &given[1]).await;
            connect(Credentials { secret: given[2].clone() }).await;
            let scope = Scope::current();
            scope.set_tag("session", &given[3]).set_context("account", serde_json::json!({"deep": [{"cardNumber": given[4]}]}));
            scope.set_user(User::id(42).field("auth_token", given[5].clone()));
            let error = std::io::Error::other(format!("postgres://app:{}@db/shop refused, Authorization: Bearer {}", given[7], given[6]));
            tower_sentry::capture_error(&error);
            "ok"
        }
    };
    let server = Server::start(Router::new().route("/x", get(handler)).layer(SentryLayer::new(client))).await;
    let mut canaries = inside;
    let query: Vec<_> =
        PARAMETERS.iter().map(|name| (name, canary("query"))).map(|(name, secret)| (format!("{name}={secret}"), secret)).collect();
    let pairs: Vec<_> = query.iter().map(|(pair, _)| pair.as_str()).collect();
    let mut request = Request::get(format!("/x?{}&page=kept", pairs.join("&")));
    canaries.extend(query.iter().map(|(_, secret)| secret.clone()));
    for name in HEADERS {
        let secret = canary("header");
        // Behind `Bearer` its shape alone would give it away.
        let is_known = name != "x-internal-thing";
        request = request.header(name, if is_known { format!("Bearer {secret}") } else { secret.clone() });
        canaries.push(secret);
    }
    let harmless = vec![canary("agent")];
    request = request.header("user-agent", &harmless[0]);
    support::request(&server, request).await;
    support::settle(client).await;
    (canaries, harmless)
}

#[tokio::test]
async fn no_canary_leaves_in_any_form() {
    let relay = Relay::start();
    let rules = Redaction::default().header("x-internal-thing");
    let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());

    let (canaries, harmless) = visit(&client).await;

    assert_eq!((relay.transactions().len(), relay.events().len()), (1, 1));
    assert_eq!(leaked(&relay, &canaries), [""; 0]);
    // The control: what is no secret is found by the same search, and the names of what was filtered are there.
    assert_eq!(leaked(&relay, &harmless).len(), 1);
    let request = &relay.transactions()[0]["request"];
    for name in HEADERS {
        assert_eq!(request["headers"][name], "[Filtered]", "{name}");
    }
    assert!(request["query_string"].as_str().unwrap().ends_with("&page=kept"), "{request}");
}

#[tokio::test]
async fn an_own_rule_is_what_hides_an_own_header() {
    let relay = Relay::start();
    let client = support::client(&relay);

    let (canaries, _) = visit(&client).await;

    assert_eq!(leaked(&relay, &canaries).len(), 1, "without the rule, only `x-internal-thing` is unknown");
}

#[tokio::test]
async fn an_own_rule_hides_what_we_name_ourselves_with_and_without_a_hook() {
    let rules = || Redaction::default().field("url.path").field("server.address");
    for hooked in [false, true] {
        let relay = Relay::start();
        let mut config = support::config(&relay).redaction(rules());
        if hooked {
            config = config.before_send_transaction(Some);
        }
        let client = Client::from(config.build().unwrap());
        let app = Router::new().route("/reset/{id}", get(|| async { "ok" })).layer(SentryLayer::new(&client));

        support::get(&Server::start(app).await, "/reset/abc").await;
        support::settle(&client).await;

        let data = &relay.transactions()[0]["contexts"]["trace"]["data"];
        assert_eq!((&data["url.path"], &data["server.address"]), (&"[Filtered]".into(), &"[Filtered]".into()), "with a hook: {hooked}");
    }
}

#[tokio::test]
async fn placeholders_are_settable() {
    let relay = Relay::start();
    let rules = Redaction::default().placeholder("[REDACTED]").token_placeholder("[LONG]").header("x-internal-thing");
    let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());

    visit(&client).await;

    let request = &relay.transactions()[0]["request"];
    assert_eq!(request["headers"]["authorization"], "[REDACTED]");
    // The lines of code around a frame are those of this file, which has the word in it.
    let without_code = |mut event: Value| {
        event.as_object_mut().unwrap().remove("exception");
        event.to_string()
    };
    assert!(!relay.events().into_iter().map(without_code).any(|event| event.contains("[Filtered]")));
    assert!(!relay.transactions().iter().any(|transaction| transaction.to_string().contains("[Filtered]")));
}

#[tokio::test]
async fn hooks_come_before_redaction_and_fail_closed() {
    let relay = Relay::start();
    let put_in = canary("hook");
    let secret = put_in.clone();
    let config = support::config(&relay)
        .before_send(move |mut event| {
            event.tags.insert("password".to_owned(), secret.clone());
            Some(event)
        })
        .before_send_transaction(|transaction| panic!("a hook of {}", transaction.name));
    let client = Client::from(config.build().unwrap());

    let (mut canaries, harmless) = visit(&client).await;
    canaries.push(put_in);

    assert_eq!(relay.events()[0]["tags"]["password"], "[Filtered]");
    let bare = &relay.transactions()[0];
    assert_eq!((&bare["transaction"], bare.get("request"), bare.get("user")), (&"GET /x".into(), None, None));
    assert!(bare["spans"].as_array().unwrap().iter().all(|span| span.get("data").is_none() && span.get("description").is_none()), "{bare}");
    assert_eq!(leaked(&relay, &canaries).len(), 1, "the header that no rule knows, in the event");
    assert_eq!(leaked(&relay, &harmless).len(), 1, "the event's own request");
}

#[tokio::test]
async fn what_a_hook_drops_is_counted() {
    let relay = Relay::start();
    let config = support::config(&relay).before_send(|_| None).before_send_transaction(|mut transaction| {
        transaction.spans.clear();
        Some(transaction)
    });
    let client = Client::from(config.build().unwrap());

    visit(&client).await;

    let stats = client.stats();
    assert_eq!((stats.errors.sent, stats.errors.dropped_total()), (0, 1));
    assert_eq!((stats.spans.sent, stats.spans.dropped_total()), (1, 2), "the root stays, two spans were taken out");
    let mut reported = relay.reported();
    reported.sort();
    assert_eq!(reported, [("before_send".into(), "error".into(), 1), ("before_send".into(), "span".into(), 2)]);
}

#[tokio::test]
async fn trusted_proxy() {
    use axum::extract::ConnectInfo;
    use axum::routing::get;
    use std::net::SocketAddr;

    let forged = "6.6.6.6, 203.0.113.7";
    let rows = [(false, 1, None), (true, 0, Some("192.0.2.9")), (true, 1, Some("203.0.113.7")), (true, 2, Some("6.6.6.6"))];
    for (pii, hops, expected) in rows {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).send_default_pii(pii).trusted_hops(hops).build().unwrap());
        let capture = || async { tower_sentry::capture_message(tower_sentry::Level::Error, "noted").to_string() };
        let app = Router::new().route("/", get(capture)).layer(SentryLayer::new(&client));
        let mut request = axum::extract::Request::get("/").header("x-forwarded-for", forged).body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 9], 4711))));

        drop(tower::ServiceExt::oneshot(app, request).await.unwrap());
        support::settle(&client).await;

        let expected = expected.map_or(Value::Null, Value::from);
        let (transaction, event) = (&relay.transactions()[0], &relay.events()[0]);
        assert_eq!((&transaction["user"]["ip_address"], &event["user"]["ip_address"]), (&expected, &expected), "PII {pii}, {hops} hops");
        assert_eq!(transaction["contexts"]["trace"]["data"]["client.address"], expected);
        let leaves = transaction.to_string().contains("203.0.113.7");
        assert_eq!(leaves, pii, "no address leaves while PII is off");
    }
}

#[tokio::test]
async fn a_secret_parameter_is_hidden_whatever_the_request_is_called() {
    #[instrument(skip_all)]
    async fn reset() -> http::StatusCode {
        http::StatusCode::INTERNAL_SERVER_ERROR
    }
    support::subscribe();
    let routes = || Router::new().route("/reset/{token}", get(reset));
    for by_handler in [true, false] {
        let relay = Relay::start();
        let client = support::client(&relay);
        let layer = SentryLayer::new(&client);
        let app = if by_handler {
            routes().layer(layer.name_by_handler())
        } else {
            let hook = routes().route_layer(tower_sentry::incoming::RouteNameLayer);
            Router::new().fallback_service(tower::Layer::layer(&layer.name(|_| Some("named".to_owned())), hook))
        };

        support::get(&Server::start(app).await, "/reset/hunter2pass").await;
        support::settle(&client).await;

        let (transaction, event) = (relay.transactions()[0].to_string(), relay.events()[0].to_string());
        assert!(transaction.contains("/reset/[Filtered]") && event.contains("/reset/[Filtered]"), "{transaction}");
        assert!(!transaction.contains("hunter2pass") && !event.contains("hunter2pass"), "{transaction}\n{event}");
    }
}
