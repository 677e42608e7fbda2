//! A server that stands for a project of Sentry: it takes envelopes over a socket, and keeps their bytes.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::Value;
use tokio::sync::watch;

/// How long a test waits for something that must arrive.
pub const PATIENCE: Duration = Duration::from_secs(60);

type Envelopes = watch::Sender<Vec<Vec<u8>>>;

pub struct Project {
    address: SocketAddr,
    envelopes: Arc<Envelopes>,
}

impl Project {
    pub async fn start() -> Self {
        let envelopes = Arc::new(Envelopes::default());
        let app = Router::new().route("/api/7/envelope/", post(receive)).with_state(Arc::clone(&envelopes));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, envelopes }
    }

    pub fn dsn(&self) -> String {
        format!("http://0123456789abcdef0123456789abcdef@{}/7", self.address)
    }

    /// All envelopes, decompressed.
    pub fn raw(&self) -> Vec<Vec<u8>> {
        self.envelopes.borrow().clone()
    }

    /// The payloads of this kind, in the order in which they have arrived.
    pub fn items(&self, kind: &str) -> Vec<Value> {
        let items = self.raw().into_iter().flat_map(|envelope| items(&envelope));
        items.filter(|(of, _)| of == kind).map(|(_, payload)| payload).collect()
    }

    /// Waits until such an item has arrived.
    pub async fn wait_for(&self, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        let find = |envelopes: &[Vec<u8>]| envelopes.iter().flat_map(|envelope| items(envelope)).find(|(kind, item)| wanted(kind, item));
        let mut envelopes = self.envelopes.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, envelopes.wait_for(|envelopes| find(envelopes).is_some())).await;
        find(&arrived.expect("an item in time").expect("the project")).expect("an item").1
    }

    /// Fails if one of these texts has arrived.
    pub fn assert_no_secret(&self, secrets: &[String]) {
        let received = self.raw();
        assert!(!secrets.is_empty() && !received.is_empty());
        for secret in secrets {
            assert!(secret.len() >= 16, "{secret} may be there by chance");
            let leak = received.iter().find(|envelope| String::from_utf8_lossy(envelope).contains(secret.as_str()));
            assert!(leak.is_none(), "{secret} is in {}", String::from_utf8_lossy(leak.unwrap()));
        }
    }
}

async fn receive(State(envelopes): State<Arc<Envelopes>>, headers: HeaderMap, body: Bytes) -> &'static str {
    let mut envelope = Vec::new();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut envelope).unwrap();
    } else {
        envelope.extend_from_slice(&body);
    }
    envelopes.send_modify(|all| all.push(envelope));
    "{}"
}

/// The kind and payload of each item that is JSON.
fn items(envelope: &[u8]) -> Vec<(String, Value)> {
    fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        *rest = rest.get(end + 1..).unwrap_or_default();
        line
    }
    let mut rest = envelope;
    serde_json::from_slice::<Value>(line(&mut rest)).unwrap();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let header: Value = serde_json::from_slice(line(&mut rest)).unwrap();
        let (payload, after) = rest.split_at(header["length"].as_u64().unwrap() as usize);
        rest = after.strip_prefix(b"\n").unwrap_or(after);
        if let Ok(payload) = serde_json::from_slice(payload) {
            items.push((header["type"].as_str().unwrap().to_owned(), payload));
        }
    }
    items
}

pub fn name(item: &Value) -> &str {
    item["transaction"].as_str().unwrap_or_default()
}

pub fn trace_id(item: &Value) -> &str {
    item["contexts"]["trace"]["trace_id"].as_str().unwrap_or_default()
}
