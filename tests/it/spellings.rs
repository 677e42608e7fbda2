//! Secrets as users and programs spell them, each at its place in a request: what leaves is searched. Beside them, harmless texts that look alike.
//!
//! A line of `spellings.txt` is a place, the name of its field, and the text behind ` | `, with `«…»` around each secret. A text without
//! these signs arrives as it is.

use axum::body::{Body, Bytes};
use axum::routing::any;
use axum::{Router, http};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_sentry::incoming::BodyLayer;
use tower_sentry::protocol::{Attachment, Feedback};
use tower_sentry::redaction::Redaction;
use tower_sentry::{Breadcrumb, Config, Level, Scope, SentryLayer, User};
use tracing::Instrument as _;

use crate::support;

/// A text at its place.
#[derive(Clone, Debug)]
struct Row {
    place: String,
    name: String,
    /// The text without its signs.
    text: String,
    secrets: Vec<String>,
    /// What stands around the secrets.
    others: Vec<String>,
}

impl Row {
    fn read(line: &str) -> Self {
        let (place, text) = line.split_once(" | ").unwrap();
        let (place, name) = place.split_once(' ').unwrap_or((place, "note"));
        let mut row = Self { place: place.into(), name: name.into(), text: String::new(), secrets: Vec::new(), others: Vec::new() };
        let text = if row.is_json() { text.to_owned() } else { unescaped(text) };
        for (number, part) in text.split(['«', '»']).enumerate() {
            row.text.push_str(part);
            if number % 2 == 1 { &mut row.secrets } else { &mut row.others }.push(part.to_owned());
        }
        row
    }

    /// Whether the text is JSON, whose escapes are its own.
    fn is_json(&self) -> bool {
        matches!(self.place.as_str(), "json" | "jextra" | "jbody")
    }

    /// The request that brings the text, or that runs into the code with it.
    fn request(&self) -> http::Request<Body> {
        let Self { place, name, text, .. } = self;
        let uri = match place.as_str() {
            "query" => format!("/search?page=2&{name}={text}&sort=price"),
            "path" => text.clone(),
            _ => "/".to_owned(),
        };
        let request = http::Request::post(uri).header("host", "shop.example");
        let typed = |request: http::request::Builder, kind: &str| request.header("content-type", kind);
        let (request, body) = match place.as_str() {
            "header" => (request.header(name.as_str(), text.as_str()), String::new()),
            "cookie" => (request.header("cookie", format!("theme=dark-blue; {name}={text}; lang=en-GB")), String::new()),
            "cookies" => (request.header("cookie", text.as_str()), String::new()),
            "form" => (typed(request, "application/x-www-form-urlencoded"), format!("page=2&{name}={text}&sort=price")),
            "jbody" => (typed(request, "application/json"), text.clone()),
            "body" => (typed(request, name), text.clone()),
            "part" => {
                let part = |name: &str, text: &str| format!("--b1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
                (typed(request, "multipart/form-data; boundary=b1"), part("page", "2") + &part(name, text) + "--b1--\r\n")
            }
            _ => (request, String::new()),
        };
        request.body(Body::from(body)).unwrap()
    }

    /// What the application does with the text.
    async fn record(self) {
        let scope = Scope::current();
        let Self { place, name, text, .. } = self;
        let value = || serde_json::from_str::<Value>(&text).unwrap();
        let mut message = "noted".to_owned();
        match place.as_str() {
            "message" => message = text,
            "cause" => _ = scope.capture_error(&std::io::Error::other(text)),
            "tag" => _ = scope.set_tag(name, text),
            "context" => _ = scope.set_context("facts", json!({ name: text })),
            "json" => _ = scope.set_context("facts", value()),
            "extra" => _ = scope.set_extra(name, text),
            "jextra" => _ = scope.set_extra(name, value()),
            "crumb" => _ = scope.add_breadcrumb(Breadcrumb::new("a step").field(name, text)),
            "crumbtext" => _ = scope.add_breadcrumb(Breadcrumb::new(text)),
            "user" => _ = scope.set_user(User::id(7).field(name, text)),
            "span" => async {}.instrument(tracing::info_span!("step", note = %text)).await,
            "attr" => tower_sentry::span("task", "step", async {}).attribute(Box::leak(name.into_boxed_str()), text).await,
            "spanname" => tower_sentry::span("task", text, async {}).await,
            "log" => tracing::info!(note = %text, "a log"),
            "logtext" => tracing::info!("{text}"),
            "feedback" => _ = scope.capture_feedback(Feedback::new(text)),
            "attachment" => _ = scope.add_attachment(Attachment::new(name, text)),
            "txname" => _ = scope.transaction().set_name(text),
            "fingerprint" => _ = scope.set_fingerprint([text]),
            "header" | "query" | "path" | "cookie" | "cookies" | "form" | "jbody" | "body" | "part" => {}
            other => {
                let system = other.strip_prefix("sql:").unwrap().to_owned();
                async {}.instrument(tracing::info_span!("query", db.system.name = system, db.query.text = %text)).await;
            }
        }
        scope.capture_message(Level::Error, message);
    }

    /// The texts that leave.
    async fn played(&self, rules: Redaction) -> Vec<String> {
        let (client, captured) =
            tower_sentry::test::client_with(Config::builder().traces_sample_rate(1.0).enable_logs(true).redaction(rules));
        let row = self.clone();
        let handler = move |_: Bytes| {
            let row = row.clone();
            async move {
                row.record().await;
                http::StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let app: Router =
            Router::new().fallback(any(handler)).layer(BodyLayer::new().max_request_body_size(16 * 1024)).layer(SentryLayer::new(&client));
        let response = app.oneshot(self.request()).await.unwrap();
        drop(response.into_body().collect().await);
        let mut found = Vec::new();
        for envelope in captured.envelopes() {
            let (header, items) = support::items(&envelope);
            texts(&header, &mut found);
            for (_, payload) in &items {
                texts(payload, &mut found);
            }
        }
        // A body, or a file of JSON, is a text.
        let inner: Vec<Value> =
            found.iter().filter_map(|text| serde_json::from_str(text).ok()).filter(|value| !Value::is_number(value)).collect();
        for value in &inner {
            texts(value, &mut found);
        }
        for _ in 0..2 {
            let decoded: Vec<_> = found
                .iter()
                .filter(|text| text.contains('%'))
                .map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned())
                .collect();
            found.extend(decoded);
        }
        found
    }

    /// What has left that should not, or has not arrived.
    async fn wrong(&self) -> Option<String> {
        let found = self.played(Redaction::default()).await;
        let is_there = |part: &str| found.iter().any(|text| text.contains(part));
        if let Some(leaked) = self.secrets.iter().find(|secret| is_there(secret)) {
            return Some(format!("left: {leaked} of {self:?}"));
        }
        let mut harmless = Vec::new();
        if !self.secrets.is_empty() {
            let words = self.others.iter().flat_map(|part| part.split(|letter: char| !letter.is_alphanumeric()));
            harmless.extend(words.filter(|word| word.len() >= 4 && word.chars().all(char::is_lowercase)).map(str::to_owned));
        } else if self.is_json() {
            texts(&serde_json::from_str(&self.text).unwrap(), &mut harmless);
        } else {
            harmless.push(self.text.clone());
        }
        harmless.into_iter().find(|word| !is_there(word)).map(|word| format!("hidden: {word} of {self:?}"))
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.push(match (letter, letters.as_str().chars().next()) {
            ('\\', Some('n' | 'r' | 't' | '\\')) => match letters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                _ => '\\',
            },
            _ => letter,
        });
    }
    out
}

fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, out)),
        Value::Object(values) => values.iter().for_each(|(name, value)| {
            out.push(name.clone());
            texts(value, out);
        }),
        other => out.push(other.to_string()),
    }
}

/// The rows below a head of the file.
fn rows(head: &str) -> Vec<Row> {
    let lines = include_str!("spellings.txt").lines().skip_while(|line| line.strip_prefix("# ") != Some(head)).skip(1);
    let rows: Vec<_> = lines.take_while(|line| !line.starts_with("# ")).map(Row::read).collect();
    assert!(rows.len() >= 10, "{head}");
    rows
}

async fn assert_right(rows: Vec<Row>) {
    support::subscribe();
    let mut wrong = Vec::new();
    for row in rows {
        wrong.extend(row.wrong().await);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn what_follows_a_mark_of_ours_is_judged() {
    assert_right(rows("what follows a mark")).await;
}

#[tokio::test]
async fn private_keys_are_hidden_whole() {
    assert_right(rows("private keys")).await;
}

#[tokio::test]
async fn values_in_quotes_lists_and_tables_belong_to_their_names() {
    assert_right(rows("values in quotes, lists and tables")).await;
}

#[tokio::test]
async fn headers_are_judged_by_their_names_like_fields() {
    assert_right(rows("headers by their names")).await;
}

#[tokio::test]
async fn headers_of_proxies_name_no_person() {
    assert_right(rows("persons in headers")).await;
}

#[tokio::test]
async fn percent_encoded_texts_are_judged_and_keep_their_form() {
    assert_right(rows("percent-encoded")).await;
}

#[tokio::test]
async fn cards_and_accounts_are_hidden_by_their_check_digits() {
    assert_right(rows("cards and accounts")).await;
}

#[tokio::test]
async fn statements_lose_their_values_and_keep_their_columns() {
    assert_right(rows("statements")).await;
}

#[tokio::test]
async fn webhooks_and_signed_addresses_lose_their_secret_part() {
    assert_right(rows("webhooks and signed addresses")).await;
}

#[tokio::test]
async fn commands_addresses_and_codes_lose_their_secrets() {
    assert_right(rows("commands, addresses and codes")).await;
}

#[tokio::test]
async fn paths_lose_their_tokens_and_keep_their_ids() {
    assert_right(rows("paths")).await;
}

#[tokio::test]
async fn cookies_and_traces_are_judged_one_by_one() {
    assert_right(rows("cookies and traces")).await;
}

#[tokio::test]
async fn hashes_of_passwords_are_hidden_by_their_form() {
    assert_right(rows("hashes of passwords")).await;
}

#[tokio::test]
async fn fields_are_judged_in_attributes_json_and_queries() {
    assert_right(rows("fields of telemetry, JSON and queries")).await;
}

#[tokio::test]
async fn harmless_values_and_digests_stay() {
    assert_right(rows("harmless values and digests")).await;
}

/// Half a token has no shape by which a rule could know it.
#[tokio::test]
async fn no_half_of_a_secret_is_left_at_the_limit_of_a_text() {
    const LIMITS: [usize; 3] = [1024, 4096, 8192];
    let secrets = ["«ghp_01234»«56789abcdefghij0123456789abcdef»", "password=«hunQer2x»«9zzQyyxxww»", "«41111111»«11111111»"];
    let places =
        ["header x-note", "query q", "spanname", "txname", "feedback", "message", "tag note", "span", "extra note", "crumbtext", "log"];
    let mut rows = Vec::new();
    for place in places {
        for (limit, secret) in LIMITS.iter().flat_map(|limit| secrets.map(|secret| (limit, secret))) {
            // The limit cuts the secret behind one of its first letters, or before its last.
            for before in [8, 12, 24] {
                let is_query = place.starts_with("query");
                let (word, blank) = if is_query { ("a-word-", "%20") } else { ("a word ", " ") };
                let filler: String = word.chars().cycle().take(limit - before).collect();
                if is_query && secret.starts_with("password") {
                    continue;
                }
                let behind = if is_query { "" } else { " and more words of the text" };
                let mut row = Row::read(&format!("{place} | {filler}{blank}{secret}{behind}"));
                row.others.clear();
                rows.push(row);
            }
        }
    }

    assert_right(rows).await;
}

#[tokio::test]
async fn without_redaction_the_secrets_leave() {
    support::subscribe();
    let (mut secrets, mut left) = (0, 0);
    for head in ["what follows a mark", "private keys", "commands, addresses and codes", "paths"] {
        for row in rows(head).iter().filter(|row| !row.secrets.is_empty()) {
            let found = row.played(tower_sentry::test::unredacted()).await;
            secrets += row.secrets.len();
            left += row.secrets.iter().filter(|secret| found.iter().any(|text| text.contains(*secret))).count();
        }
    }
    assert!(left * 10 >= secrets * 9, "{left} of {secrets}");
}
