//! The other side: a receiver of envelopes on a real socket, and Amply itself on another one.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amply::Amply;
use amply::monitoring::{Dsns, Settings};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::post;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tower_sentry::Preset;

/// The longest wait for something that should happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Receiver {
    pub dsn: String,
    state: Arc<Envelopes>,
}

#[derive(Default)]
struct Envelopes {
    received: Mutex<Vec<(HeaderMap, Vec<u8>)>>,
    changed: watch::Sender<()>,
}

impl Receiver {
    /// A project with this key on a free port. It has a thread of its own, and so answers what is sent after a test.
    pub fn start(key: char) -> Self {
        let state = Arc::<Envelopes>::default();
        let routes = Router::new().route("/api/{project}/envelope/", post(keep)).with_state(Arc::clone(&state));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let serving = async { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), routes).await };
        std::thread::spawn(move || runtime.block_on(serving));
        let key = key.to_string().repeat(32);
        Self { dsn: format!("http://{key}@{address}/1"), state }
    }

    /// All bytes, unpacked, as text.
    pub fn bytes(&self) -> String {
        self.state.received.lock().unwrap().iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// Whether an envelope has these bytes in it.
    pub fn has(&self, part: &[u8]) -> bool {
        self.state.received.lock().unwrap().iter().any(|(_, bytes)| bytes.windows(part.len()).any(|found| found == part))
    }

    pub fn headers(&self) -> Vec<HeaderMap> {
        self.state.received.lock().unwrap().iter().map(|(headers, _)| headers.clone()).collect()
    }

    /// The header of the envelope, the type and the payload of each item.
    pub fn items(&self) -> Vec<(Value, String, Value)> {
        self.state.received.lock().unwrap().iter().flat_map(|(_, bytes)| items(bytes)).collect()
    }

    pub fn payloads(&self, kind: &str) -> Vec<Value> {
        self.items().into_iter().filter(|(_, found, _)| found == kind).map(|(_, _, payload)| payload).collect()
    }

    pub fn events(&self) -> Vec<Value> {
        self.payloads("event")
    }

    pub fn transactions(&self) -> Vec<Value> {
        self.payloads("transaction")
    }

    /// How many transactions were not sampled, by the reports of the client.
    pub fn unsampled(&self) -> u64 {
        let rows = self.payloads("client_report").into_iter().flat_map(|report| report["discarded_events"].as_array().unwrap().clone());
        rows.filter(|row| row["reason"] == "sample_rate" && row["category"] == "transaction")
            .map(|row| row["quantity"].as_u64().unwrap())
            .sum()
    }

    /// Waits until so many of these have arrived.
    pub async fn wait_for(&self, kind: &str, count: usize) -> Vec<Value> {
        let mut changed = self.state.changed.subscribe();
        let arrival = async {
            while self.payloads(kind).len() < count {
                changed.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, arrival).await;
        let payloads = self.payloads(kind);
        assert!(in_time.is_ok(), "{} of {count} {kind}s arrived", payloads.len());
        payloads
    }
}

async fn keep(State(state): State<Arc<Envelopes>>, headers: HeaderMap, body: Bytes) -> &'static str {
    let mut envelope = Vec::new();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(&*body).read_to_end(&mut envelope).unwrap();
    } else {
        envelope.extend_from_slice(&body);
    }
    state.received.lock().unwrap().push((headers, envelope));
    state.changed.send_replace(());
    "{}"
}

/// Reads an envelope: a line of JSON, then for each item a line of JSON and its bytes.
fn items(mut rest: &[u8]) -> Vec<(Value, String, Value)> {
    let mut line = |length: Option<u64>| {
        let end = length.map_or_else(|| rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()), |length| length as usize);
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix(b"\n").unwrap_or(after);
        line
    };
    let header: Value = serde_json::from_slice(line(None)).unwrap();
    let mut items = Vec::new();
    loop {
        let item = line(None);
        if item.is_empty() {
            return items;
        }
        let item: Value = serde_json::from_slice(item).unwrap();
        // Attachments need not be JSON.
        let payload = serde_json::from_slice(line(item["length"].as_u64())).unwrap_or_default();
        items.push((header.clone(), item["type"].as_str().unwrap().to_owned(), payload));
    }
}

/// Amply with its four projects, each with a receiver of its own.
pub struct Scene {
    pub amply: Amply,
    pub backend: Receiver,
    pub dashboard: Receiver,
    pub public: Receiver,
    pub widgets: Receiver,
    pub alerts: mpsc::Receiver<String>,
}

impl Scene {
    /// In staging, so that all transactions are sent.
    pub async fn start() -> Self {
        Self::with(Preset::Staging, amply::stand_in::start().await.unwrap()).await
    }

    /// With payment providers and a storage at this address.
    pub async fn with(environment: Preset, stand_in: String) -> Self {
        Self::changed(environment, stand_in, |_| {}).await
    }

    pub async fn changed(environment: Preset, stand_in: String, change: impl FnOnce(&mut Settings)) -> Self {
        tower_sentry::test::subscribe();
        let [backend, dashboard, public, widgets] = ['b', 'd', 'a', 'c'].map(Receiver::start);
        let dsn = |receiver: &Receiver| Some(receiver.dsn.clone());
        let (alerts, fired) = mpsc::channel(100);
        let mut settings = Settings {
            environment,
            dsns: Dsns { backend: dsn(&backend), dashboard: dsn(&dashboard), public: dsn(&public), widgets: dsn(&widgets) },
            browser_sdk: b"window.Sentry={}".to_vec(),
            spotlight: None,
            alerts,
            payments: stand_in.clone(),
            storage: stand_in,
            retry_after: Duration::ZERO,
            most_jobs: 100,
            address: "127.0.0.1:0".to_owned(),
            trusts_proxy: true,
            call_timeout: PATIENCE,
            grace: PATIENCE,
        };
        change(&mut settings);
        let amply = Amply::start(&settings).await.unwrap();
        Self { amply, backend, dashboard, public, widgets, alerts: fired }
    }

    pub fn receivers(&self) -> [&Receiver; 4] {
        [&self.backend, &self.dashboard, &self.public, &self.widgets]
    }

    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (StatusCode, String) {
        send(self.amply.address(), method, path, headers, body.as_ref()).await
    }

    pub async fn donate(&self, donation: &Value) -> (StatusCode, String) {
        self.send(Method::POST, "/api/v1/donations", &[], donation.to_string()).await
    }

    /// Waits until everything so far has been received.
    pub async fn flush(&self) {
        for client in self.amply.clients().all() {
            client.flush(PATIENCE).await.unwrap();
        }
    }

    /// The alerts so far.
    pub fn fired(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.alerts.try_recv().ok()).collect()
    }
}

/// Sends a request over a socket.
pub async fn send(address: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.starts_with(b"{") && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let response = http.request(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The headers of a request that continues a trace. Its `sample_rand` decides whether it is sampled: if it is below the rate.
pub fn continued(sample_rand: &str) -> Vec<(&'static str, String)> {
    let trace = "771a43a4192642f0b136d5159a501700";
    let baggage = format!("sentry-trace_id={trace},sentry-public_key={},sentry-sample_rand={sample_rand}", "0".repeat(32));
    vec![("sentry-trace", format!("{trace}-b0e6f15b45c36b12")), ("baggage", baggage)]
}

/// A donation; a provider `paypal` fails.
pub fn donation(provider: &str, amount: &str) -> Value {
    serde_json::json!({
        "organisation_id": 7,
        "donation_type": "monthly",
        "amount": amount,
        "currency": "EUR",
        "payment_provider": provider,
        "card_number": "4242424242424242",
        "cvv": "737",
        "user": { "id": "donor-42", "email": "jane@example.org", "name": "Jane Doe" },
    })
}
