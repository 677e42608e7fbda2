//! Plays the texts through an application, and searches what leaves.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::{Router, http};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_sentry::protocol::Attachment;
use tower_sentry::redaction::Redaction;
use tower_sentry::{Breadcrumb, Config, Level, Scope, SentryLayer, User};
use tracing::Instrument as _;

use super::case::{Case, Place};
use crate::support;

/// What was seen of a text.
pub struct Seen {
    pub case: Case,
    /// The secret, or the half of one, that left.
    pub leaked: Option<String>,
    /// The harmless words that did not arrive.
    pub lost: Vec<String>,
    /// What arrived at the place.
    pub near: Option<String>,
}

/// Texts in one process of the exporter: fewer than its queue takes.
const BATCH: usize = 200;

pub async fn play(cases: Vec<Case>, rules: Redaction) -> Vec<Seen> {
    support::subscribe();
    let mut seen = Vec::new();
    for batch in cases.chunks(BATCH) {
        let (client, captured) = tower_sentry::test::client_with(
            Config::builder().traces_sample_rate(1.0).max_events_per_issue(u32::MAX).redaction(rules.clone()),
        );
        let app: Router = Router::new().fallback(handler).layer(SentryLayer::new(&client));
        for (number, case) in batch.iter().enumerate() {
            let request = request(number, case);
            drop(app.clone().oneshot(request).await.unwrap());
        }
        let mut arrived = vec![Vec::new(); batch.len()];
        for envelope in captured.envelopes() {
            read(&envelope, &mut arrived);
        }
        seen.extend(batch.iter().zip(arrived).map(|(case, texts)| judge(case.clone(), &texts)));
    }
    seen
}

/// The request that brings a text, or that runs into the code with it.
fn request(number: usize, case: &Case) -> Request {
    let text = case.text();
    let uri = match case.place {
        Place::Query => {
            format!("/search?page=2&{}={text}&sort=price", case.name)
        }
        Place::Path => text.clone(),
        _ => "/".to_owned(),
    };
    let mut request = http::Request::get(uri);
    match case.place {
        Place::Header => request = request.header(case.name.as_str(), text),
        Place::Cookie => request = request.header("cookie", format!("theme=dark-blue; {}={text}; lang=en-GB", case.name)),
        _ => {}
    }
    request.extension(Arc::new(case.clone())).extension(number).body(Body::empty()).unwrap()
}

async fn handler(Extension(case): Extension<Arc<Case>>, Extension(number): Extension<usize>) {
    let scope = Scope::current();
    scope.set_tag("case", number);
    let text = case.text();
    let mut message = "noted".to_owned();
    match case.place {
        Place::Message => message = text,
        Place::Cause => _ = scope.capture_error(&Failure(text)),
        Place::Tag => _ = scope.set_tag(case.name.clone(), text),
        Place::Json => _ = scope.set_context("facts", &case.value),
        Place::Extra => _ = scope.set_extra("facts", &case.value),
        Place::Attachment => _ = scope.add_attachment(Attachment::new("facts.json", text)),
        Place::SpanField => async {}.instrument(tracing::info_span!("step", note = %text)).await,
        Place::SpanName => tower_sentry::span("task", text, async {}).await,
        Place::Crumb => _ = scope.add_breadcrumb(Breadcrumb::new("a step").field(case.name.clone(), text)),
        Place::User => _ = scope.set_user(User::id(7).field(case.name.clone(), text)),
        Place::Sql(system) => async {}.instrument(tracing::info_span!("query", db.system.name = system, db.query.text = %text)).await,
        Place::Header | Place::Cookie | Place::Query | Place::Path => {}
    }
    scope.capture_message(Level::Error, message);
}

/// An error with a cause.
#[derive(Debug)]
struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job failed")
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text is that of the cause.
        Some(Box::leak(Box::new(std::io::Error::other(self.0.clone()))))
    }
}

/// Adds the texts of an envelope to those of its case.
fn read(envelope: &[u8], arrived: &mut [Vec<String>]) {
    let items = support::items(envelope).1;
    let Some(number) = items.iter().find_map(|(_, payload)| payload["tags"]["case"].as_str()?.parse::<usize>().ok()) else { return };
    for (_, payload) in &items {
        texts(payload, &mut arrived[number]);
    }
}

fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, out)),
        Value::Object(values) => {
            for (name, value) in values {
                out.push(name.clone());
                texts(value, out);
            }
        }
        other => out.push(other.to_string()),
    }
}

fn judge(case: Case, texts: &[String]) -> Seen {
    assert!(!texts.is_empty(), "nothing arrived of {case:?}");
    let decoded: Vec<String> =
        texts.iter().filter(|text| text.contains('%')).map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned()).collect();
    let twice: Vec<String> = decoded.iter().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned()).collect();
    let is_there = |word: &str| texts.iter().chain(&decoded).chain(&twice).any(|text| text.contains(word));
    let is_alone = |word: &str| texts.iter().chain(&decoded).chain(&twice).any(|text| has_word(text, word));
    let leaked =
        case.secrets.iter().flat_map(|secret| parts(secret)).find(|part| if part.len() < 6 { is_alone(part) } else { is_there(part) });
    let lost: Vec<String> = case.kept.iter().filter(|word| !is_there(word)).cloned().collect();
    let near = lost.first().and_then(|_| {
        let marks = ["[Filtered]", "[REDACTED"];
        texts.iter().find(|text| marks.iter().any(|mark| text.contains(mark))).cloned()
    });
    Seen { case, leaked, lost, near }
}

/// Whether `word` stands in a text with neither a letter nor a digit beside it. The three digits of a card's code are also somewhere
/// in the digits of a moment, of an identifier or of a duration, by chance.
fn has_word(text: &str, word: &str) -> bool {
    let is_end = |beside: Option<char>| !beside.is_some_and(char::is_alphanumeric);
    let ends = |at: usize| is_end(text[..at].chars().next_back()) && is_end(text[at + word.len()..].chars().next());
    text.parse::<f64>().map_or_else(|_| text.match_indices(word).any(|(at, _)| ends(at)), |_| text == word)
}

/// A secret, and the halves of a long one: what is cut in two leaks as well.
fn parts(secret: &str) -> Vec<String> {
    let mut parts = vec![secret.to_owned()];
    let letters: Vec<char> = secret.chars().collect();
    if letters.len() >= 32 {
        parts.extend(letters.chunks(letters.len().div_ceil(2)).map(|half| half.iter().collect()));
    }
    parts
}
