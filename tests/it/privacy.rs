//! Nothing secret leaves: the scenes of `privacy_scenes` with the built-in rules, with rules of the user's, with hooks, and without redaction.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use serde_json::{Value, json};
use tower_sentry::redaction::Redaction;
use tower_sentry::{Client, Level, Scope, SentryLayer};
use tracing::instrument;

use crate::canaries::Kind;
use crate::privacy_scenes::{CREDENTIALS, NAMED, NAMES, PERSONAL, Scene, Sent, play, play_with};
use crate::support::{self, Relay, Server};

/// No secret has left, and the same search finds what is none.
fn assert_hidden(sent: &Sent) {
    assert_eq!(sent.leaked(Kind::Secret), BTreeSet::new());
    assert_eq!(sent.leaked(Kind::Withheld), BTreeSet::new());
    assert_eq!(sent.leaked(Kind::Harmless), sent.canaries.planted(Kind::Harmless));
}

#[tokio::test]
async fn headers() {
    let sent = play(Scene::Headers, Redaction::default()).await;

    assert_hidden(&sent);
    let payloads = sent.payloads();
    assert_eq!(payloads.len(), 4, "an event and a transaction for each version of HTTP");
    for payload in payloads {
        for name in CREDENTIALS.iter().chain(&NAMED) {
            // Two cookies come in two lines.
            let expected = if name.eq_ignore_ascii_case("cookie") { "[Filtered]; [Filtered]" } else { "[Filtered]" };
            assert_eq!(payload["request"]["headers"][name.to_ascii_lowercase()], expected, "{name}");
        }
    }
}

/// What leaves of one request with a secret of each kind: the transaction and an event.
async fn seen(rules: Redaction) -> (Value, Value) {
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());
    let handler = || async {
        Scope::current().set_tag("password", "hunter2").set_tag("plan", "gold");
        Scope::current().set_context("account", json!({ "cards": [{ "cvv": 123, "holder": "Jane" }, { "a": 1, "pin": 4711 }] }));
        let token = "a1".repeat(32);
        let post = "https://hooks.slack.com/services/T0/B0/x1";
        let text = format!("password=*hunter2 and Bearer abc-def123456 and {token} and {post} and postgres://me:pw@db");
        tower_sentry::capture_message(Level::Error, text);
    };
    let app = Router::new().route("/reset/{token}", get(handler)).layer(SentryLayer::new(&client));
    let request = Request::get("/reset/hunter2?api_key=hunter2&page=2").header("authorization", "hunter2").header("accept", "*/*");
    support::request(&Server::start(app).await, request).await;
    support::settle(&client).await;
    (relay.transactions().remove(0), relay.events().remove(0))
}

#[tokio::test]
async fn placeholders() {
    let rows = [
        (Redaction::default(), "[Filtered]", "[REDACTED_TOKEN]"),
        (Redaction::default().placeholder("[REDACTED]"), "[REDACTED]", "[REDACTED_TOKEN]"),
        (Redaction::default().token_placeholder("[LONG]"), "[Filtered]", "[LONG]"),
        // What a value may begin with, or be made of in part.
        (Redaction::default().placeholder("*").token_placeholder("-"), "*", "-"),
    ];
    for (rules, value, token) in rows {
        let (transaction, event) = seen(rules).await;

        for payload in [&transaction, &event] {
            let request = &payload["request"];
            assert_eq!(request["headers"]["authorization"], value);
            assert_eq!(request["query_string"], format!("api_key={value}&page=2"));
            assert_eq!(request["url"], format!("http://shop.example/reset/{value}"));
            assert_eq!(payload["tags"], json!({ "password": value, "plan": "gold" }));
            assert_eq!(payload["contexts"]["account"]["cards"][0], json!({ "cvv": value, "holder": "Jane" }));
        }
        assert_eq!(
            event["logentry"]["message"],
            format!(
                "password={value} and Bearer {value} and {token} and https://hooks.slack.com/services/{value} and postgres://{value}:{value}@db"
            )
        );
    }

    // A blank text would let a secret's value look as if there were none.
    for blank in ["", " ", "\n"] {
        for rules in [Redaction::default().placeholder(blank), Redaction::default().token_placeholder(blank)] {
            let error = tower_sentry::Config::builder().redaction(rules).build().unwrap_err().to_string();
            assert!(error.contains("placeholder that can be seen"), "{error}");
        }
    }

    let (transaction, event) = seen(Redaction::default().remove_fields()).await;

    for payload in [transaction, event] {
        let headers = payload["request"]["headers"].as_object().unwrap();
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept", "host"]);
        assert_eq!(payload["request"]["query_string"], "api_key=[Filtered]&page=2");
        assert_eq!(payload["tags"], json!({ "plan": "gold" }));
        assert_eq!(payload["contexts"]["account"], json!({ "cards": [{ "holder": "Jane" }, { "a": 1 }] }));
    }
}

#[tokio::test]
async fn field_names() {
    let sent = play(Scene::FieldNames, Redaction::default()).await;

    assert_hidden(&sent);
    let mut payloads = sent.payloads();
    assert_eq!(payloads.len(), 2);
    for payload in &mut payloads {
        let mut deep = payload["contexts"]["account"].take();
        for _ in 0..10 {
            deep = deep["inner"][0].take();
        }
        for name in NAMES {
            assert_eq!(
                (&payload["tags"][name], &payload["user"][name], &deep[name]),
                (&"[Filtered]".into(), &"[Filtered]".into(), &"[Filtered]".into()),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn shapes() {
    let sent = play(Scene::Shapes, Redaction::default()).await;

    assert_hidden(&sent);
    let (short, long) = ("a1".repeat(31) + "a", "a1".repeat(32));
    let mut random = fastrand::Rng::with_seed(20);
    let mut texts: Vec<_> = (0..10_000).map(|_| ordinary(&mut random)).collect();
    texts.push(format!("{short}, {short} and {long}: {long}."));
    let after = through_redaction(&texts).await;
    assert_eq!(after.last().unwrap(), &format!("{short}, {short} and [REDACTED_TOKEN]: [REDACTED_TOKEN]."));
    let changed: Vec<_> = texts.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!(changed.len() <= 1 + 10_000 / 1_000, "{changed:?}");
}

/// These texts as they arrive, a thousand a request.
async fn through_redaction(texts: &[String]) -> Vec<String> {
    let relay = Relay::start();
    let client = support::client(&relay);
    let mut after = Vec::new();
    for some in texts.chunks(1_000).map(<[String]>::to_vec) {
        let handler = move || {
            let some = some.clone();
            async move {
                Scope::current().set_context("texts", some);
                tower_sentry::capture_message(Level::Error, "noted");
            }
        };
        let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));
        support::get(&Server::start(app).await, "/").await;
        client.flush(support::patience()).await.unwrap();
        let event = relay.events().pop().unwrap();
        after.extend(event["contexts"]["texts"]["value"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()));
    }
    support::settle(&client).await;
    after
}

/// A text as applications write them.
fn ordinary(random: &mut fastrand::Rng) -> String {
    const WORDS: [&str; 24] = [
        "order",
        "cart",
        "failed",
        "to",
        "refresh",
        "token",
        "invalid",
        "password",
        "session",
        "expired",
        "connection",
        "refused",
        "user",
        "the",
        "basic",
        "key",
        "shop",
        "timeout",
        "after",
        "author",
        "retry",
        "secret",
        "bearer",
        "card",
    ];
    const FAILURES: [&str; 6] = [
        "failed to refresh token",
        "invalid password",
        "could not load session",
        "duplicate key",
        "no such card",
        "cannot read the secret",
    ];
    const CAUSES: [&str; 5] = ["connection refused", "too short", "no such user", "not found", "timed out"];
    let word = |random: &mut fastrand::Rng| WORDS[random.usize(..WORDS.len())];
    let hex = |random: &mut fastrand::Rng, count: usize| {
        (0..count).map(|_| char::from(b"0123456789abcdef"[random.usize(..16)])).collect::<String>()
    };
    match random.u8(..14) {
        0 => [8, 4, 4, 4, 12].map(|count| hex(random, count)).join("-"),
        1 => hex(random, 40),
        2 => format!("2026-11-20T10:00:{:02}.{:03}Z took {} ms", random.u8(..60), random.u16(..1000), random.u16(..)),
        3 => format!("order {} of user {} took {} ms", random.u32(..), random.u16(..), random.u16(..)),
        4 => format!("SELECT * FROM {}s WHERE {} = $1 LIMIT {}", word(random), word(random), random.u8(..)),
        5 => format!("https://shop.example/{}/{}?page={}&sort=price", word(random), random.u32(..), random.u8(..)),
        6 => format!("{}: {} (os error {})", FAILURES[random.usize(..FAILURES.len())], CAUSES[random.usize(..CAUSES.len())], random.u8(..)),
        7 => format!(
            "/root/.cargo/registry/src/index.crates.io-{}/tokio-1.54.{}/src/{}/mod.rs",
            hex(random, 16),
            random.u8(..),
            word(random)
        ),
        8 => format!("shop::{}::{}::{}", word(random), word(random), word(random)),
        9 => (0..random.usize(3..12)).map(|_| word(random)).collect::<Vec<_>>().join(" "),
        10 => format!("at {} ns", random.u64(1_700_000_000_000_000_000..1_900_000_000_000_000_000)),
        11 => format!("author: {}, keyboard: {}, cache.key=cart:{}", word(random), word(random), random.u16(..)),
        12 => format!("192.0.2.{}:{} says {}", random.u8(..), random.u16(1..), word(random)),
        _ => format!("{}@example.org has {} items in {}.{}.{}", word(random), random.u8(..), random.u8(..), random.u8(..), random.u8(..)),
    }
}

#[tokio::test]
async fn instrument_args() {
    let sent = play(Scene::InstrumentArgs, Redaction::default()).await;

    assert_hidden(&sent);
    let transaction = &sent.relay.transactions()[0];
    let spans = transaction["spans"].as_array().unwrap();
    let named = |name: &str| spans.iter().find(|span| span["description"] == name).unwrap();
    assert_eq!((&named("login")["data"]["password"], &named("unlock")["data"]["key"]), (&"[Filtered]".into(), &"[Filtered]".into()));
    assert!(
        named("connect")["data"]["client"]
            .as_str()
            .unwrap()
            .starts_with("HttpClient { base: \"https://[Filtered]:[Filtered]@api.example\"")
    );
}

#[tokio::test]
async fn pii_off_by_default() {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();

    let sent = play(Scene::Pii, Redaction::default()).await;
    let named = play_with(Scene::Pii, |config| config.send_default_pii(true).server_name(&host)).await;

    assert_hidden(&sent);
    assert_eq!(sent.leaked(Kind::Peer), BTreeSet::new());
    for payload in sent.payloads() {
        assert_eq!((payload.get("user"), payload.get("server_name"), payload.get("env")), (None, None, None), "{payload}");
        assert!(!texts(&payload).contains(&host.as_str()), "{payload}");
        for name in PERSONAL {
            assert_eq!(payload["request"]["headers"][name], "[Filtered]", "{name}");
        }
    }
    // The control: whoever names them gets them, and never a cookie.
    assert_eq!(named.leaked(Kind::Secret), named.canaries.planted(Kind::Secret));
    assert_eq!(named.leaked(Kind::Peer), named.canaries.planted(Kind::Peer));
    assert_eq!(named.leaked(Kind::Withheld), BTreeSet::new());
    assert!(named.payloads().iter().all(|payload| texts(payload).contains(&host.as_str())));
}

/// All texts in a payload.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(values) => values.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn scrubber_panics() {
    let sent = play_with(Scene::Plain, |config| {
        let config = config.before_send(|event| panic!("a hook of {}", event.event_id));
        config.before_send_transaction(|transaction| panic!("a hook of {}", transaction.name)).enable_logs(false)
    })
    .await;

    assert_hidden(&sent);
    let transaction = &sent.relay.transactions()[0];
    assert_eq!((&transaction["transaction"], &transaction["contexts"]["trace"]["op"]), (&"<withheld>".into(), &"http.server".into()));
    let measured = &transaction["measurements"];
    assert!(measured.is_null(), "{measured}");
    for gone in ["request", "user", "tags", "extra"] {
        assert_eq!(transaction.get(gone), None);
    }
    let spans = transaction["spans"].as_array().unwrap();
    let shown = spans.iter().map(|span| (span["op"].as_str(), span.get("data"), span.get("description")));
    assert_eq!(shown.collect::<Vec<_>>(), [(None, None, None), (Some("task"), None, None)], "an op that was set may be a secret");
    let events = sent.relay.events();
    assert_eq!(events.len(), 2, "the message and the error");
    for mut event in events {
        assert_eq!(event["transaction"], "<withheld>");
        assert_eq!(event["logentry"]["message"], "the contents were withheld: a hook panicked");
        assert_eq!(event["contexts"]["trace"]["trace_id"], transaction["contexts"]["trace"]["trace_id"]);
        // Foreign types know the images of ELF only as symbolic ones.
        event.as_object_mut().unwrap().remove("debug_meta");
        let id = event["event_id"].as_str().unwrap().to_owned();
        let read: sentry_types::protocol::v7::Event<'static> = serde_json::from_value(event).unwrap();
        assert_eq!((read.event_id.simple().to_string(), read.level), (id, sentry_types::protocol::v7::Level::Error));
    }
}

#[tokio::test]
async fn controls_fail_without_redaction() {
    for scene in [Scene::Headers, Scene::FieldNames, Scene::Shapes, Scene::InstrumentArgs, Scene::Pii, Scene::Plain] {
        let sent = play(scene, tower_sentry::test::unredacted()).await;

        assert_eq!(sent.leaked(Kind::Secret), sent.canaries.planted(Kind::Secret), "{scene:?}");
        assert!(!sent.leaked(Kind::Secret).is_empty(), "{scene:?}");
        // Cookies are recorded, since each is judged by itself; other credentials are not even recorded.
        let mut withheld = sent.leaked(Kind::Withheld);
        withheld.remove("cookie");
        assert_eq!(withheld, BTreeSet::new(), "not even recorded: {scene:?}");
    }
}

#[tokio::test]
async fn own_rules_hide_what_no_other_rule_does() {
    let own = || Redaction::default().header("X-Internal-Thing").header("x-other-thing").field("Ticket-No");
    let handler = || async {
        Scope::current().set_tag("ticketNo", "swordfish").set_context("trip", json!({ "the_ticket_no": "swordfish" }));
        tower_sentry::capture_message(Level::Error, "no seat for ticket-no: swordfish");
    };
    for (rules, expected) in [(Redaction::default(), "swordfish"), (own(), "[Filtered]")] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());
        let app = Router::new().route("/trips/{ticket_no}", get(handler)).layer(SentryLayer::new(&client));
        let mut request = Request::get("/trips/swordfish?ticketno=swordfish");
        for name in ["x-internal-thing", "X-Other-Thing", "x-ticket-no-2"] {
            request = request.header(name, "swordfish");
        }

        support::request(&Server::start(app).await, request).await;
        support::settle(&client).await;

        assert_eq!(relay.events()[0]["logentry"]["message"], format!("no seat for ticket-no: {expected}"));
        for payload in [relay.transactions().remove(0), relay.events().remove(0)] {
            let request = &payload["request"];
            for name in ["x-internal-thing", "x-other-thing", "x-ticket-no-2"] {
                assert_eq!(request["headers"][name], expected, "{name}");
            }
            assert_eq!((&payload["tags"]["ticketNo"], &payload["contexts"]["trip"]["the_ticket_no"]), (&expected.into(), &expected.into()));
            assert_eq!(
                (&request["url"], &request["query_string"]),
                (&format!("http://shop.example/trips/{expected}").into(), &format!("ticketno={expected}").into())
            );
        }
    }
}

#[tokio::test]
async fn the_name_of_a_context_says_what_it_is_about() {
    let handler = || async {
        let about = json!({ "started": "on monday", "pages": 12345, "password": "swordfish" });
        for name in ["session", "auth", "token", "password"] {
            Scope::current().set_context(name, about.clone());
        }
    };
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).build().unwrap());
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    support::request(&Server::start(app).await, Request::get("/")).await;
    support::settle(&client).await;

    let contexts = &relay.transactions()[0]["contexts"];
    for name in ["session", "auth", "token"] {
        assert_eq!(contexts[name], json!({ "started": "on monday", "pages": 12345, "password": "[Filtered]" }), "{name}");
    }
    assert_eq!(contexts["password"], json!({ "value": "[Filtered]" }));
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
async fn a_hook_never_sees_a_credential() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (of_event, of_transaction) = (Arc::clone(&seen), Arc::clone(&seen));

    let sent = play_with(Scene::Headers, |config| {
        let config = config.redaction(Redaction::default().header("X-Monkey")).before_send(move |event| {
            of_event.lock().unwrap().push(serde_json::to_vec(&event).unwrap());
            Some(event)
        });
        config.before_send_transaction(move |transaction| {
            of_transaction.lock().unwrap().push(serde_json::to_vec(&transaction).unwrap());
            Some(transaction)
        })
    })
    .await;

    assert_hidden(&sent);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert_eq!(sent.canaries.found(Kind::Withheld, &seen), BTreeSet::new());
    let mut others = sent.canaries.planted(Kind::Secret);
    others.retain(|place| !place.starts_with("X-Monkey") && !place.to_ascii_lowercase().starts_with("cookie"));
    assert_eq!(sent.canaries.found(Kind::Secret, &seen), others, "what is hidden later, and the control");
}

#[tokio::test]
async fn what_a_hook_puts_in_is_redacted() {
    let relay = Relay::start();
    let config = support::config(&relay).before_send(|mut event| {
        event.tags.insert("password".to_owned(), "hunter2".to_owned());
        event.extra.insert("note".to_owned(), "token=hunter2".into());
        Some(event)
    });
    let client = Client::from(config.build().unwrap());
    let capture = || async { tower_sentry::capture_message(Level::Error, "noted").to_string() };
    let app = Router::new().route("/", get(capture)).layer(SentryLayer::new(&client));

    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let event = &relay.events()[0];
    assert_eq!((&event["tags"]["password"], &event["extra"]["note"]), (&"[Filtered]".into(), &"token=[Filtered]".into()));
}

#[tokio::test]
async fn what_a_hook_drops_is_counted() {
    let relay = Relay::start();
    let config = support::config(&relay).before_send(|_| None).before_send_transaction(|mut transaction| {
        transaction.spans.clear();
        Some(transaction)
    });
    let client = Client::from(config.build().unwrap());
    let handler = || async {
        tower_sentry::span("task", "one", async {}).await;
        tower_sentry::span("task", "two", async {}).await;
        tower_sentry::capture_message(Level::Error, "noted").to_string()
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

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
    use std::net::SocketAddr;

    let forged = "6.6.6.6, 203.0.113.7";
    let rows = [(false, 1, None), (true, 0, Some("192.0.2.9")), (true, 1, Some("203.0.113.7")), (true, 2, Some("6.6.6.6"))];
    for (pii, hops, expected) in rows {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).send_default_pii(pii).trusted_hops(hops).build().unwrap());
        let capture = || async { tower_sentry::capture_message(Level::Error, "noted").to_string() };
        let app = Router::new().route("/", get(capture)).layer(SentryLayer::new(&client));
        let mut request = Request::get("/").header("x-forwarded-for", forged).body(axum::body::Body::empty()).unwrap();
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
async fn only_the_fields_of_a_user_that_are_named_are_sent() {
    for (rules, plan, nickname) in [
        (Redaction::default(), "gold", "jj"),
        (Redaction::default().user_fields(["plan"]), "gold", "[Filtered]"),
        (Redaction::default().user_fields([""; 0]), "[Filtered]", "[Filtered]"),
    ] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());
        let user = tower_sentry::User::id(7).email("jane@example.org").field("plan", "gold").field("nickname", "jj");
        client.transaction("work").run(async { _ = Scope::current().set_user(user) }).await;
        support::settle(&client).await;

        let sent = &relay.transactions()[0]["user"];
        assert_eq!((&sent["id"], &sent["email"]), (&"7".into(), &"jane@example.org".into()));
        assert_eq!((&sent["plan"], &sent["nickname"]), (&plan.into(), &nickname.into()));
    }
}

#[tokio::test]
async fn strict_rules_hide_persons_in_each_text() {
    for (rules, leaves) in [(Redaction::default(), true), (Redaction::default().strict(), false)] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());
        let work = async {
            let scope = Scope::current();
            scope.set_tag("peer", "10.9.8.7").set_tag("mail", "of jane@example.org");
            scope.set_context("facts", serde_json::json!({ "phone": "+49 30 1234567", "file": "/home/jane/a.txt", "10.9.8.7": 1 }));
            tower_sentry::capture_message(Level::Error, "no answer from 10.9.8.7:443 for jane@example.org");
        };
        client.transaction("work").run(work).await;
        support::settle(&client).await;

        let sent = [relay.events(), relay.transactions()].concat().iter().map(Value::to_string).collect::<String>();
        for person in ["10.9.8.7", "jane", "1234567"] {
            assert_eq!(sent.contains(person), leaves, "{person}: {sent}");
        }
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

#[tokio::test]
async fn a_value_marked_as_sensitive_is_not_recorded() {
    for (rules, shown) in [(Redaction::default().placeholder("[GONE]"), Some("[GONE]")), (Redaction::default().remove_fields(), None)] {
        let relay = Relay::start();
        let client = Client::from(support::config(&relay).redaction(rules).build().unwrap());
        let app = Router::new().route("/", get(|| async { "ok" })).layer(SentryLayer::new(&client));
        let mut value = http::HeaderValue::from_static("plain words");
        value.set_sensitive(true);
        let request = Request::get("/").header("x-note", value).header("x-other", "plain words");

        drop(tower::ServiceExt::oneshot(app, request.body(axum::body::Body::empty()).unwrap()).await.unwrap());
        support::settle(&client).await;

        let headers = &relay.transactions()[0]["request"]["headers"];
        assert_eq!((headers["x-note"].as_str(), headers["x-other"].as_str()), (shown, Some("plain words")));
    }
}

#[tokio::test]
async fn data_of_any_depth_is_sent_as_json_that_parsers_take() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let nested = |levels: usize| (0..levels).fold(json!("leaf"), |inner, _| Value::Array(vec![inner]));
    let handler = move || async move {
        let crumb = tower_sentry::Breadcrumb::new("a step").field("deep", nested(12_000));
        Scope::current().set_context("deep", json!({})).set_extra("deep", nested(200)).add_breadcrumb(crumb);
        Scope::current().set_user(tower_sentry::User::id(7).field("deep", nested(12_000)));
        tower_sentry::capture_message(Level::Error, "noted");
    };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(&client));

    support::get(&Server::start(app).await, "/").await;
    support::settle(&client).await;

    let event = &relay.events()[0];
    for deep in [&event["extra"]["deep"], &event["user"]["deep"], &event["breadcrumbs"]["values"][0]["data"]["deep"]] {
        assert!(deep.to_string().contains("[nested too deep]"), "{deep}");
    }
}
