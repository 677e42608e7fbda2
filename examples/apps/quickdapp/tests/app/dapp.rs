//! The application as child processes, and a client that does what the page does.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use quickdapp::server::Site;
use quickdapp::store::Store;
use quickdapp::{server, wallet};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::project::PATIENCE;

pub struct Dapp {
    processes: Vec<Child>,
    output: Output,
    address: String,
    http: Client<HttpConnector, Full<axum::body::Bytes>>,
    database: Option<PathBuf>,
}

/// What all processes have written.
#[derive(Clone, Default)]
struct Output {
    lines: Arc<Mutex<String>>,
    readers: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
}

impl Output {
    /// Waits until the processes have closed their outputs.
    async fn all(&self) -> String {
        let readers = std::mem::take(&mut *self.readers.lock().unwrap());
        for reader in readers {
            reader.await.unwrap();
        }
        self.lines.lock().unwrap().clone()
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: axum::http::HeaderMap,
    pub text: String,
}

/// A page in a browser, with the trace in its head.
pub struct OpenPage {
    pub text: String,
    pub trace_id: String,
    trace: Vec<(&'static str, String)>,
}

/// The cookie of a browser.
pub struct Session(String);

impl Session {
    /// The secret in the cookie.
    pub fn token(&self) -> String {
        self.0.strip_prefix("session=").unwrap().to_owned()
    }
}

impl Dapp {
    /// A server and a worker with a new database, in this environment.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let database = new_database();
        let path = database.to_str().unwrap();
        let with_database = [variables, &[("QUICKDAPP_DATABASE", path)]].concat();
        let mut dapp = Self::run(&["server", "--stop-at-eof"], &with_database).await;
        dapp.database = Some(database);
        dapp.start_worker(variables);
        dapp
    }

    /// One process, which starts the other one.
    pub async fn start_both(variables: &[(&str, &str)]) -> Self {
        Self::run(&["--stop-at-eof"], variables).await
    }

    /// Runs a process that ends by itself, and returns whether it succeeded and what it has written.
    pub async fn ends(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
        let output = Output::default();
        let mut process = spawn(arguments, variables, &output, None);
        // `wait` would close the standard input, and that ends the process as well.
        let _input = process.stdin.take();
        let ended = tokio::time::timeout(PATIENCE, process.wait()).await.expect("the process ends").unwrap();
        (ended.success(), output.all().await)
    }

    /// A server inside this process, which records nothing.
    pub async fn in_process(site: Site) -> Self {
        // It is dropped with the runtime of the test.
        Self::stoppable(site, std::future::pending(), PATIENCE).await.0
    }

    /// The same with a way to stop it, and what says that it has ended.
    pub async fn stoppable(
        site: Site,
        stop: impl Future<Output = ()> + Send + 'static,
        grace: Duration,
    ) -> (Self, tokio::task::JoinHandle<std::io::Result<()>>) {
        let database = new_database();
        let store = Store::open(&database).await.unwrap();
        let app = server::router(tower_sentry::Client::default(), store, site).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(server::serve(listener, app, stop, grace));
        let http = Client::builder(TokioExecutor::new()).build_http();
        (Self { processes: Vec::new(), output: Output::default(), address, http, database: Some(database) }, serving)
    }

    /// A connection to its database.
    pub async fn database(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.database.as_ref().unwrap()).busy_timeout(PATIENCE);
        options.connect().await.unwrap()
    }

    /// Sends the head of a request and no body. Returns once a handler waits for the body.
    pub async fn hang(&self) -> TcpStream {
        let host = self.address.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(host).await.unwrap();
        let head = "POST /api/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        stream.write_all(format!("{head}content-length: 10\r\nexpect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&answer));
        stream
    }

    /// Kills the worker, as the system does that has no memory left.
    pub async fn kill_worker(&mut self) {
        self.processes.pop().unwrap().kill().await.unwrap();
    }

    /// Waits until the worker has failed.
    pub async fn worker_fails(&mut self) {
        let mut worker = self.processes.pop().unwrap();
        let _input = worker.stdin.take();
        let ended = tokio::time::timeout(PATIENCE, worker.wait()).await.expect("the worker ends").unwrap();
        assert!(!ended.success(), "{}", self.output.lines.lock().unwrap());
    }

    /// Starts a worker.
    pub fn start_worker(&mut self, variables: &[(&str, &str)]) {
        let database = self.database.as_ref().unwrap().to_str().unwrap().to_owned();
        let variables = [variables, &[("QUICKDAPP_DATABASE", &database)]].concat();
        self.processes.push(spawn(&["worker", "--stop-at-eof"], &variables, &self.output, None));
    }

    async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let output = Output::default();
        let (found, mut address) = mpsc::unbounded_channel();
        let process = spawn(arguments, variables, &output, Some(found));
        let address = tokio::time::timeout(PATIENCE, address.recv()).await.ok().flatten();
        let address = address.unwrap_or_else(|| panic!("the server does not start: {}", output.lines.lock().unwrap()));
        Self { processes: vec![process], output, address, http: Client::builder(TokioExecutor::new()).build_http(), database: None }
    }

    /// Ends the processes in order, and returns what they have written.
    pub async fn stop(mut self) -> String {
        for process in &mut self.processes {
            drop(process.stdin.take());
        }
        for process in &mut self.processes {
            let ended = tokio::time::timeout(PATIENCE, process.wait()).await.expect("the process ends").unwrap();
            assert!(ended.success(), "{ended}: {}", self.output.lines.lock().unwrap());
        }
        if let Some(database) = &self.database {
            std::fs::remove_file(database).unwrap();
        }
        self.output.all().await
    }

    /// Ends the processes as an orchestrator does: with SIGTERM. Their standard inputs stay open.
    #[cfg(unix)]
    pub async fn terminate(mut self) {
        for process in &mut self.processes {
            let _input = process.stdin.take();
            let killed = Command::new("kill").arg(process.id().unwrap().to_string()).status().await.unwrap();
            assert!(killed.success());
            let ended = tokio::time::timeout(PATIENCE, process.wait()).await.expect("the process ends").unwrap();
            assert!(ended.success(), "{ended}: {}", self.output.lines.lock().unwrap());
        }
    }

    pub async fn open_page(&self) -> OpenPage {
        self.read_page(self.request("GET", "/", &[], Vec::new()).await)
    }

    pub async fn open_page_as(&self, session: &Session) -> OpenPage {
        self.read_page(self.request("GET", "/", &[("cookie", &session.0)], Vec::new()).await)
    }

    fn read_page(&self, answer: Answer) -> OpenPage {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let meta = |name: &str| {
            let (_, rest) = answer.text.split_once(&format!(r#"<meta name="{name}" content=""#))?;
            Some(rest.split_once('"')?.0.replace("&amp;", "&"))
        };
        let trace: Vec<_> = ["sentry-trace", "baggage"].into_iter().filter_map(|name| Some((name, meta(name)?))).collect();
        let trace_id = trace.first().map(|(_, value)| value.split('-').next().unwrap().to_owned()).unwrap_or_default();
        OpenPage { trace_id, trace, text: answer.text }
    }

    /// What a wallet sends to sign in.
    pub async fn signed(&self, page: &OpenPage, wallet: &Wallet) -> Value {
        wallet.sign(&self.challenge(page, wallet).await)
    }

    /// What a wallet has to sign.
    pub async fn challenge(&self, page: &OpenPage, wallet: &Wallet) -> Value {
        let answer = self.post(page, None, "/api/challenge", &json!({ "wallet": wallet.address() })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    }

    /// The origin of the server.
    pub fn origin(&self) -> &str {
        self.address.trim_end_matches('/')
    }

    pub async fn sign_in(&self, page: &OpenPage, wallet: &Wallet) -> Session {
        let answer = self.post(page, None, "/api/sign-in", &self.signed(page, wallet).await).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Session(answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned())
    }

    pub async fn sign_out(&self, page: &OpenPage, session: &Session) {
        assert_eq!(self.post(page, Some(session), "/api/sign-out", &Value::Null).await.status, 200);
    }

    /// Orders a token, and returns its id.
    pub async fn deploy(&self, page: &OpenPage, session: &Session, symbol: &str) -> u64 {
        let answer = self.post(page, Some(session), "/api/tokens", &json!({ "symbol": symbol })).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        serde_json::from_str::<Value>(&answer.text).unwrap()["token"].as_u64().unwrap()
    }

    /// Asks until the token is deployed or has failed, as the page does.
    pub async fn end_of(&self, page: &OpenPage, session: &Session, token: u64) -> Value {
        let ask = async {
            loop {
                let headers = self.headers(page, Some(session));
                let answer = self.request("GET", &format!("/api/tokens/{token}"), &headers, Vec::new()).await;
                let token: Value = serde_json::from_str(&answer.text).unwrap();
                if token["contract"].is_string() || token["failure"].is_string() {
                    return token;
                }
                // Nothing tells a page that its token is there.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ask).await.expect("the worker does the job")
    }

    pub async fn post(&self, page: &OpenPage, session: Option<&Session>, path: &str, body: &Value) -> Answer {
        let headers = [&self.headers(page, session)[..], &[("content-type", "application/json")]].concat();
        self.request("POST", path, &headers, body.to_string().into_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], Vec::new()).await
    }

    /// Sends an envelope as the browser's SDK does.
    pub async fn send(&self, path: &str, envelope: Vec<u8>) -> Answer {
        self.request("POST", path, &[], envelope).await
    }

    fn headers<'a>(&self, page: &'a OpenPage, session: Option<&'a Session>) -> Vec<(&'static str, &'a str)> {
        let cookie = session.map(|session| ("cookie", session.0.as_str()));
        page.trace.iter().map(|(name, value)| (*name, value.as_str())).chain(cookie).collect()
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.address.trim_end_matches('/')));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.http.request(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }
}

/// A file that does not exist.
fn new_database() -> PathBuf {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let database = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}.sqlite", std::process::id()));
    let _ = std::fs::remove_file(&database);
    database
}

fn spawn(arguments: &[&str], variables: &[(&str, &str)], output: &Output, address: Option<mpsc::UnboundedSender<String>>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickdapp"));
    // The settings of the developer must not change what is tested.
    for (name, _) in std::env::vars_os() {
        let is_ours =
            |name: &str| name.contains("SENTRY_") || name.starts_with("QUICKDAPP_") || ["ENVIRONMENT", "GIT_COMMIT"].contains(&name);
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(variables.iter().copied()).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let readers = [
        tokio::spawn(read(child.stdout.take().unwrap(), Arc::clone(&output.lines), address)),
        tokio::spawn(read(child.stderr.take().unwrap(), Arc::clone(&output.lines), None)),
    ];
    output.readers.lock().unwrap().extend(readers);
    child
}

async fn read(stream: impl AsyncRead + Unpin, output: Arc<Mutex<String>>, address: Option<mpsc::UnboundedSender<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let (Some(address), Some(found)) = (&address, line.strip_prefix("QuickDapp: ")) {
            address.send(found.to_owned()).unwrap();
        }
        *output.lock().unwrap() += &format!("{line}\n");
    }
}

/// A wallet with a key of its own.
pub struct Wallet {
    keys: EcdsaKeyPair,
    signatures: Mutex<Vec<String>>,
}

impl Wallet {
    /// A new wallet whose address has a letter, so that upper and lower case differ.
    pub fn new() -> Self {
        let random = SystemRandom::new();
        loop {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let keys = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
            let wallet = Self { keys, signatures: Mutex::default() };
            if wallet.address().contains(char::is_uppercase) {
                return wallet;
            }
        }
    }

    /// As wallets write it: not in lower case.
    pub fn address(&self) -> String {
        wallet::address(self.keys.public_key().as_ref()).to_uppercase().replace("0X", "0x")
    }

    pub fn sign(&self, challenge: &Value) -> Value {
        let (nonce, text) = (challenge["nonce"].as_str().unwrap(), challenge["text"].as_str().unwrap());
        let signature = wallet::hex(self.keys.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref());
        self.signatures.lock().unwrap().extend([nonce.to_owned(), signature.clone()]);
        json!({ "wallet": self.address(), "nonce": nonce, "publicKey": wallet::hex(self.keys.public_key().as_ref()), "signature": signature })
    }

    /// The nonces and signatures that it has given away. No project may receive one.
    pub fn signatures(&self) -> Vec<String> {
        self.signatures.lock().unwrap().clone()
    }
}
