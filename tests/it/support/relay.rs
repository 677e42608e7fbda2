//! A server that stands for Sentry: keeps raw bytes, parses them with code that is not ours, and can be told how to answer.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sentry_types::protocol::v7::Envelope;
use serde_json::Value;
use tokio::sync::watch;

use super::patience;

/// How to answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// At once.
    Status(u16, Vec<(&'static str, String)>),
    /// At once with 200, and with these bytes as the body.
    Body(Vec<u8>),
    /// After a while.
    Late(Duration),
    /// Take the request and say nothing, for ever.
    Never,
    /// Take the request and say nothing until [`Relay::release`].
    Held,
}

impl Answer {
    pub fn status(code: u16) -> Self {
        Self::Status(code, Vec::new())
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: hyper::HeaderMap,
    pub path: String,
    /// As on the wire.
    pub raw: Vec<u8>,
    /// Decompressed.
    pub envelope: Vec<u8>,
}

impl Received {
    /// The items, which `sentry-types` reads too, or this fails.
    pub fn items(&self) -> (Value, Vec<(Value, Value)>) {
        let (header, items) = items(&self.envelope);
        for (item, payload) in &items {
            foreign_read(item, payload.clone());
        }
        (header, items)
    }
}

/// The header of an envelope, and the header and payload of each item, by a parser that is not ours.
pub fn items(envelope: &[u8]) -> (Value, Vec<(Value, Value)>) {
    fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        *rest = rest.get(end + 1..).unwrap_or_default();
        line
    }
    let mut rest = envelope;
    let header = serde_json::from_slice(line(&mut rest)).unwrap();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let item: Value = serde_json::from_slice(line(&mut rest)).unwrap();
        let (payload, after) = rest.split_at(usize::try_from(item["length"].as_u64().unwrap()).unwrap());
        assert!(after.is_empty() || after.starts_with(b"\n"), "the length of an item");
        rest = after.get(1..).unwrap_or_default();
        let payload = match item["type"].as_str() {
            Some("attachment") => Value::from(String::from_utf8_lossy(payload)),
            _ => serde_json::from_slice(payload).unwrap(),
        };
        items.push((item, payload));
    }
    (header, items)
}

/// The payloads of one type in these envelopes.
pub fn payloads_in(envelopes: &[Vec<u8>], kind: &str) -> Vec<Value> {
    let items = envelopes.iter().flat_map(|envelope| items(envelope).1);
    items.filter(|(item, _)| item["type"] == kind).map(|(_, payload)| payload).collect()
}

/// Reads a payload with the official types. They know the end of a transaction only as RFC 3339, where the protocol (and every
/// server) prefers a number, and ELF images only as `symbolic`: these forms are translated for them, and nothing else.
fn foreign_read(item: &Value, mut payload: Value) {
    fn translate(value: &mut Value) {
        let nanos = Duration::from_secs_f64(value["timestamp"].as_f64().unwrap());
        value["timestamp"] = humantime::format_rfc3339_micros(std::time::UNIX_EPOCH + nanos).to_string().into();
    }
    for image in payload.pointer_mut("/debug_meta/images").and_then(Value::as_array_mut).into_iter().flatten() {
        (image["type"], image["id"], image["name"]) = ("symbolic".into(), image["debug_id"].clone(), image["code_file"].clone());
    }
    // They know neither what users say nor their files' bytes as JSON, nor profiles.
    // Nor streamed spans: `export::spans_v2` reads them by the protocol's table.
    if matches!(item["type"].as_str(), Some("feedback" | "attachment" | "profile" | "profile_chunk" | "span")) {
        return;
    }
    // Nor the status that Relay's protocol calls `unknown` (theirs is the older `unknown_error`).
    if payload.pointer("/contexts/trace/status").is_some_and(|status| status == "unknown") {
        payload["contexts"]["trace"]["status"] = "unknown_error".into();
    }
    // Nor lists as attributes of logs and metrics.
    for entry in payload.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        for attribute in entry["attributes"].as_object_mut().into_iter().flat_map(|attributes| attributes.values_mut()) {
            if attribute["type"] == "array" {
                *attribute = serde_json::json!({"type": "string", "value": attribute["value"].to_string()});
            }
        }
    }
    // Nor the newer reasons of the protocol.
    for row in payload.get_mut("discarded_events").and_then(Value::as_array_mut).into_iter().flatten() {
        if row["reason"] == "backpressure" || row["reason"] == "invalid" || row["reason"] == "insufficient_data" {
            row["reason"] = "sample_rate".into();
        }
        if row["category"] == "profile" || row["category"] == "profile_chunk" {
            row["category"] = "transaction".into();
        }
    }
    if item["type"] == "transaction" {
        translate(&mut payload);
        payload["spans"].as_array_mut().unwrap().iter_mut().for_each(translate);
    }
    let payload = payload.to_string();
    let mut header = item.clone();
    header["length"] = payload.len().into();
    let envelope = format!("{{}}\n{header}\n{payload}");
    Envelope::from_slice(envelope.as_bytes()).unwrap_or_else(|error| panic!("sentry-types refuses it: {error:?}\n{payload}"));
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    answers: VecDeque<Answer>,
    default: Option<Answer>,
    connections: usize,
    limit: Option<usize>,
    choked: usize,
}

/// The relay; it lives as long as the test.
#[derive(Clone)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
    release: Arc<watch::Sender<bool>>,
    released: watch::Receiver<bool>,
}

impl Relay {
    /// Listens on a free port, on a thread of its own.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::serve_on(listener)
    }

    /// The same on a port that was [closed](super::closed_port) until now.
    pub fn start_at(port: tokio::net::TcpSocket) -> Self {
        Self::serve_on(port.listen(64).unwrap().into_std().unwrap())
    }

    fn serve_on(listener: std::net::TcpListener) -> Self {
        let (release, released) = watch::channel(false);
        let relay = Self { address: listener.local_addr().unwrap(), state: Arc::default(), release: Arc::new(release), released };
        let of_thread = relay.clone();
        // Here, and not on the thread: a test may leave no file descriptors to the threads that it starts.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).unwrap()
        };
        std::thread::spawn(move || runtime.block_on(of_thread.serve(listener)));
        relay
    }

    async fn serve(self, listener: tokio::net::TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            self.state.0.lock().unwrap().connections += 1;
            let relay = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| relay.clone().take(request));
                // A client that goes away is the client's affair.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return Ok(Response::default()) };
        let raw = body.to_bytes().to_vec();
        let is_choked = self.state.0.lock().unwrap().limit.is_some_and(|limit| raw.len() > limit);
        if is_choked {
            self.state.0.lock().unwrap().choked += 1;
            self.state.1.notify_all();
            // An error of the service ends the connection without an answer.
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        let mut envelope = Vec::new();
        if parts.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
            flate2::read::GzDecoder::new(raw.as_slice()).read_to_end(&mut envelope).unwrap();
        } else {
            envelope.clone_from(&raw);
        }
        let answer = {
            let mut state = self.state.0.lock().unwrap();
            state.received.push(Received { headers: parts.headers, path: parts.uri.path().to_owned(), raw, envelope });
            self.state.1.notify_all();
            let default = state.default.clone();
            state.answers.pop_front().or(default).unwrap_or_else(|| Answer::status(200))
        };
        match answer {
            Answer::Status(code, headers) => {
                let mut response = Response::builder().status(code);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                Ok(response.body(Full::from("{}")).unwrap())
            }
            Answer::Body(body) => Ok(Response::new(Full::from(body))),
            Answer::Late(duration) => {
                tokio::time::sleep(duration).await;
                Ok(Response::new(Full::from("{}")))
            }
            Answer::Never => std::future::pending().await,
            Answer::Held => {
                let _ = self.released.clone().wait_for(|is_released| *is_released).await;
                Ok(Response::new(Full::from("{}")))
            }
        }
    }

    /// Its address without a path and without a key.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn dsn(&self) -> String {
        format!("http://0123456789abcdef0123456789abcdef@{}/42", self.address)
    }

    /// Answers the next request like this, and those after it as before.
    pub fn answer_next(&self, answer: Answer) {
        self.state.0.lock().unwrap().answers.push_back(answer);
    }

    /// Answers everything like this from now on.
    pub fn answer_all(&self, answer: Answer) {
        self.state.0.lock().unwrap().default = Some(answer);
    }

    /// Answers all that is held, and whatever comes from now on, with 200.
    pub fn release(&self) {
        self.state.0.lock().unwrap().default = None;
        self.release.send_replace(true);
    }

    /// Ends the connection of whoever sends more than this, without an answer.
    pub fn choke_above(&self, bytes: usize) {
        self.state.0.lock().unwrap().limit = Some(bytes);
    }

    /// Waits until so many were too large.
    pub fn wait_for_choking(&self, count: usize) {
        self.wait_for_choking_within(patience(), count);
    }

    /// The same, where the time that it takes is what is tested.
    pub fn wait_for_choking_within(&self, time: Duration, count: usize) {
        let state = self.state.0.lock().unwrap();
        let (_state, timeout) = self.state.1.wait_timeout_while(state, time, |state| state.choked < count).unwrap();
        assert!(!timeout.timed_out());
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        self.state.0.lock().unwrap().connections
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.0.lock().unwrap().received.clone()
    }

    /// Hands out what has arrived so far, and forgets it.
    pub fn take_envelopes(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.0.lock().unwrap().received)
    }

    /// Waits until there are `count` requests.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let latest = Instant::now() + patience();
        let mut state = self.state.0.lock().unwrap();
        while state.received.len() < count {
            let left = latest.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "only {} of {count} envelopes arrived", state.received.len());
            state = self.state.1.wait_timeout(state, left).unwrap().0;
        }
        state.received.clone()
    }

    /// The payloads of one item type that have arrived.
    pub fn payloads(&self, kind: &str) -> Vec<Value> {
        let items = self.received().into_iter().flat_map(|received| received.items().1);
        items.filter(|(header, _)| header["type"] == kind).map(|(_, payload)| payload).collect()
    }

    /// In the order they ended: several are on the wire at once, so that of their arrival is by chance.
    pub fn transactions(&self) -> Vec<Value> {
        self.by_time("transaction")
    }

    /// In the order they were captured.
    pub fn events(&self) -> Vec<Value> {
        self.by_time("event")
    }

    fn by_time(&self, kind: &str) -> Vec<Value> {
        let mut payloads = self.payloads(kind);
        payloads.sort_by(|one, other| one["timestamp"].as_f64().partial_cmp(&other["timestamp"].as_f64()).unwrap());
        payloads
    }

    /// The rows of all client reports: reason, category, quantity.
    pub fn reported(&self) -> Vec<(String, String, u64)> {
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        let rows = self.payloads("client_report").into_iter().flat_map(|report| report["discarded_events"].as_array().unwrap().clone());
        rows.map(|row| (text(&row, "reason"), text(&row, "category"), row["quantity"].as_u64().unwrap())).collect()
    }
}
