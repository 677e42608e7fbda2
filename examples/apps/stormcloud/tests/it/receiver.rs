//! A server that stands for Sentry: it keeps every envelope that it gets.

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::Value;

/// Lives as long as the runtime of the test.
#[derive(Clone)]
pub struct Receiver {
    dsn: String,
    envelopes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/42", listener.local_addr().unwrap());
        let receiver = Self { dsn, envelopes: Arc::default() };
        let envelopes = Arc::clone(&receiver.envelopes);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            let mut envelope = Vec::new();
            if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
                flate2::read::GzDecoder::new(&*body).read_to_end(&mut envelope).unwrap();
            } else {
                envelope.extend_from_slice(&body);
            }
            envelopes.lock().unwrap().push(envelope);
            "{}"
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(take)).into_future());
        receiver
    }

    pub fn dsn(&self) -> &str {
        &self.dsn
    }

    /// All bytes that arrived.
    pub fn text(&self) -> String {
        self.envelopes.lock().unwrap().iter().map(|envelope| String::from_utf8_lossy(envelope).into_owned()).collect()
    }

    /// The payloads of one kind, in the order in which they began.
    pub fn payloads(&self, kind: &str) -> Vec<Value> {
        let envelopes = self.envelopes.lock().unwrap();
        let of_kind = envelopes.iter().flat_map(|envelope| items(envelope)).filter(|(item, _)| item["type"] == kind);
        let mut payloads: Vec<_> = of_kind.map(|(_, payload)| payload).collect();
        let began = |payload: &Value| payload["start_timestamp"].as_f64().or(payload["timestamp"].as_f64());
        payloads.sort_by(|one, other| began(one).partial_cmp(&began(other)).unwrap());
        payloads
    }

    pub fn events(&self) -> Vec<Value> {
        self.payloads("event")
    }

    pub fn transactions(&self) -> Vec<Value> {
        self.payloads("transaction")
    }
}

/// The header and the payload of each item.
fn items(envelope: &[u8]) -> Vec<(Value, Value)> {
    let mut lines = envelope.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
    let mut items = Vec::new();
    // Payloads of JSON have no line breaks.
    while let (Some(header), Some(payload)) = (lines.next(), lines.next()) {
        let header: Value = serde_json::from_slice(header).unwrap();
        assert_eq!(header["length"], payload.len());
        items.push((header, serde_json::from_slice(payload).unwrap()));
    }
    items
}

/// The spans of a transaction as an indented tree, with their milliseconds.
pub fn tree(transaction: &Value) -> String {
    fn below(out: &mut String, spans: &[Value], parent: &Value, depth: usize) {
        for span in spans.iter().filter(|span| span["parent_span_id"] == *parent) {
            let text = |name: &str| span[name].as_str().unwrap_or("-");
            out.push_str(&format!("{}{} [{}] {} ms\n", "  ".repeat(depth), text("description"), text("op"), millis(span)));
            below(out, spans, &span["span_id"], depth + 1);
        }
    }
    let mut out = format!("{} {} ms\n", transaction["transaction"].as_str().unwrap_or("-"), millis(transaction));
    below(&mut out, transaction["spans"].as_array().unwrap(), &transaction["contexts"]["trace"]["span_id"], 1);
    out
}

pub fn millis(span: &Value) -> u64 {
    let time = |name: &str| span[name].as_f64().unwrap();
    ((time("timestamp") - time("start_timestamp")) * 1e3).round() as u64
}

/// The spans whose description is this.
pub fn spans<'a>(transaction: &'a Value, description: &str) -> Vec<&'a Value> {
    transaction["spans"].as_array().unwrap().iter().filter(|span| span["description"] == description).collect()
}
