//! A server that hangs, resets, is slow or is away, as told.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What it does with a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behaviour {
    /// The share of requests that never get an answer.
    pub hangs: f64,
    /// The share of requests whose connection is reset.
    pub resets: f64,
    pub latency: Duration,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    /// How often each event or transaction was read.
    seen: HashMap<String, u64>,
    answered: HashSet<String>,
    last: Option<Instant>,
}

/// The server, on a thread of its own.
pub struct FaultServer {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
    /// Whether it listens.
    is_there: watch::Sender<bool>,
}

impl FaultServer {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let state = Arc::new((Mutex::new(State { behaviour, ..State::default() }), Condvar::new()));
        let (is_there, watched) = watch::channel(true);
        let of_thread = Arc::clone(&state);
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(address, &of_thread, watched, &ready));
        });
        is_ready.recv().unwrap();
        Self { address, state, is_there }
    }

    pub fn dsn(&self) -> String {
        format!("http://0123456789abcdef0123456789abcdef@{}/42", self.address)
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.state.0.lock().unwrap().behaviour = behaviour;
    }

    /// Whether it listens.
    pub fn is_there(&self) -> bool {
        *self.is_there.borrow()
    }

    /// Refuses connections, and ends those that are open.
    pub fn go_away(&self) {
        self.is_there.send(false).unwrap();
    }

    pub fn come_back(&self) {
        self.is_there.send(true).unwrap();
    }

    /// Waits for the next envelope, and returns when it came.
    pub fn wait_for_one_more(&self, time: Duration) -> Option<Instant> {
        let begun = Instant::now();
        let state = self.state.0.lock().unwrap();
        let waited = self.state.1.wait_timeout_while(state, time, |state| state.last.is_none_or(|last| last < begun)).unwrap();
        waited.0.last.filter(|_| !waited.1.timed_out())
    }

    /// How often each event or transaction was read, answered or not.
    pub fn seen(&self) -> HashMap<String, u64> {
        self.state.0.lock().unwrap().seen.clone()
    }

    /// The events and transactions that got an answer.
    pub fn answered(&self) -> HashSet<String> {
        self.state.0.lock().unwrap().answered.clone()
    }
}

async fn serve(
    address: SocketAddr,
    state: &Arc<(Mutex<State>, Condvar)>,
    mut is_there: watch::Receiver<bool>,
    ready: &std::sync::mpsc::Sender<()>,
) {
    loop {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let _ = ready.send(());
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let state = Arc::clone(state);
                    connections.spawn(async move {
                        let _ = connection(accepted.unwrap().0, &state).await;
                    });
                }
                gone = is_there.wait_for(|is_there| !*is_there) => {
                    if gone.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
        drop((listener, connections));
        if is_there.wait_for(|is_there| *is_there).await.is_err() {
            return;
        }
    }
}

async fn connection(mut stream: TcpStream, state: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some((id, length)) = request(&mut stream, &mut read).await? else { return Ok(()) };
        read.drain(..length);
        let behaviour = state.0.lock().unwrap().behaviour;
        if fastrand::f64() < behaviour.resets {
            stream.set_zero_linger()?;
            return Ok(());
        }
        let is_hanging = fastrand::f64() < behaviour.hangs;
        {
            let mut locked = state.0.lock().unwrap();
            if let Some(id) = &id {
                *locked.seen.entry(id.clone()).or_default() += 1;
            }
            locked.last = Some(Instant::now());
            state.1.notify_all();
        }
        if is_hanging {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(behaviour.latency).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await?;
        if let Some(id) = id {
            state.0.lock().unwrap().answered.insert(id);
        }
    }
}

/// Reads one request. Returns the id of its event or transaction, and its length.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> std::io::Result<Option<(Option<String>, usize)>> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_lowercase();
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()));
            let length = end + 4 + header("content-length:").and_then(|text| text.parse::<usize>().ok()).unwrap_or_default();
            if let Some(body) = read.get(end + 4..length) {
                let mut envelope = Vec::new();
                if header("content-encoding:").is_some() {
                    flate2::read::GzDecoder::new(body).read_to_end(&mut envelope)?;
                } else {
                    envelope.extend_from_slice(body);
                }
                let first = envelope.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let header: Value = serde_json::from_slice(first)?;
                return Ok(Some((header["event_id"].as_str().map(str::to_owned), length)));
            }
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}
