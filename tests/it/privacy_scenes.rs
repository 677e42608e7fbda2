//! Requests with secrets in every place where a client or an application may put one.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::routing::get;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower_sentry::protocol::{Attachment, Feedback, SpanLink, TraceId};
use tower_sentry::redaction::Redaction;
use tower_sentry::{Breadcrumb, Client, ConfigBuilder, Level, Scope, SentryLayer, User};
use tracing::{info, info_span, instrument};

use crate::canaries::{Canaries, Kind, Wire, base64};
use crate::support::{self, Relay, Server};

#[derive(Clone, Copy, Debug)]
pub enum Scene {
    /// Credentials in headers, as clients spell them.
    Headers,
    /// Values under secret names.
    FieldNames,
    /// Secrets by their shape alone.
    Shapes,
    /// What `#[instrument]` records by itself.
    InstrumentArgs,
    /// Whom a request comes from.
    Pii,
    /// Texts that no rule knows, for hooks that fail.
    Plain,
}

/// What left in a scene.
pub struct Sent {
    pub relay: Relay,
    pub canaries: Canaries,
    /// Every byte of the wire, and every envelope without its compression.
    bytes: Vec<Vec<u8>>,
}

impl Sent {
    /// The places of the secrets that left.
    pub fn leaked(&self, kind: Kind) -> BTreeSet<String> {
        self.canaries.found(kind, &self.bytes)
    }

    /// All events and transactions.
    pub fn payloads(&self) -> Vec<Value> {
        [self.relay.events(), self.relay.transactions()].concat()
    }
}

/// Plays a scene with these rules.
pub async fn play(scene: Scene, rules: Redaction) -> Sent {
    play_with(scene, |config| config.redaction(rules)).await
}

/// Plays a scene with these settings; returns when everything has left.
pub async fn play_with(scene: Scene, settings: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Sent {
    support::subscribe();
    let relay = Relay::start();
    let wire = Wire::before(&relay);
    let client = Client::from(settings(support::config(&relay).dsn(wire.dsn()).enable_logs(true)).build().unwrap());
    let canaries = Canaries::default();
    match scene {
        Scene::Headers => headers(&client, &canaries).await,
        Scene::FieldNames => field_names(&client, &canaries).await,
        Scene::Shapes => shapes(&client, &canaries).await,
        Scene::InstrumentArgs => instrument_args(&client, &canaries).await,
        Scene::Pii => pii(&client, &canaries).await,
        Scene::Plain => plain(&client, &canaries).await,
    }
    support::settle(&client).await;
    let bytes = relay.received().into_iter().map(|received| received.envelope).chain(wire.bytes()).collect();
    Sent { relay, canaries, bytes }
}

/// Headers that are a credential as a whole.
pub const CREDENTIALS: [&str; 12] = [
    "Authorization",
    "PROXY-AUTHORIZATION",
    "Set-Cookie",
    "X-Api-Key",
    "Api-Key",
    "Token",
    "X-CSRF-Token",
    "X-XSRF-TOKEN",
    "X-Auth-Token",
    "x-access-token",
    "X-Authorization",
    "X-Amz-Security-Token",
];

/// Headers that are secret by a word in their name.
pub const NAMED: [&str; 20] = [
    // Without a name, a cookie is hidden as a whole.
    "Cookie",
    "cookie",
    "X_API_KEY",
    "ApiKey",
    "X-Monkey",
    "X-OAuth",
    "X-My-Token",
    "X-My-Secret",
    "X-User-Password",
    "X-Passwd",
    "X-PWD",
    "X-Goog-IAP-JWT-Assertion",
    "X-Bearer",
    "SSO-State",
    "X-Saml",
    "X-Csrf",
    "X-Xsrf",
    "X-Credentials",
    "X-Identity",
    "Connect.Sid",
];

async fn headers(client: &Client, canaries: &Canaries) {
    let answer = canaries.withheld("the response's set-cookie");
    let handler = move || {
        let answer = answer.clone();
        async move {
            tower_sentry::capture_message(Level::Error, "noted");
            ([(SET_COOKIE, answer)], "ok")
        }
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(client))).await;
    let names = || CREDENTIALS.iter().map(|name| (name, true)).chain(NAMED.iter().map(|name| (name, false)));
    let secret = |name: &str, version: &str, is_credential: bool| {
        let place = format!("{name} over {version}");
        if is_credential { canaries.withheld(place) } else { canaries.secret(place) }
    };

    // By hand, since clients write names in lower case.
    let mut head = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n".to_owned();
    for (name, is_credential) in names() {
        head.push_str(&format!("{name}: {}\r\n", secret(name, "HTTP/1.1", is_credential)));
    }
    head.push_str(&format!("User-Agent: {}\r\n\r\n", canaries.harmless("user-agent")));
    raw(TcpStream::connect(server.address).await.unwrap(), &head).await;
    let mut request = Request::get("http://shop.example/");
    for (name, is_credential) in names() {
        request = request.header(*name, secret(name, "HTTP/2", is_credential));
    }
    http2(&server, request.body(Body::empty()).unwrap()).await;
}

/// Sends a request as it is, and reads the answer to its end.
async fn raw(mut stream: TcpStream, head: &str) {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn http2(server: &Server, request: Request) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
}

/// The seeds' keys and their kin, in many spellings.
pub const NAMES: [&str; 48] = [
    "password",
    "PASSWORD",
    "userPassword",
    "db-password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "db_pass",
    "dbPw",
    "api_key",
    "apiKey",
    "API-KEY",
    "X-Api-Key",
    "token",
    "access_token",
    "refreshToken",
    "id-token",
    "secret",
    "client-secret",
    "key",
    "private_key",
    "credentials",
    "card_number",
    "cardNumber",
    "Card-Number",
    "credit-card",
    "security_code",
    "cvv",
    "cvc",
    "pin",
    "otp",
    "totp",
    "ssn",
    "iban",
    "salt",
    "saml",
    "bearer",
    "cookie",
    "cookies",
    "session_id",
    "PHPSESSID",
    "connect.sid",
    "csrf_token",
    "jwt",
    "auth",
    "Authorization",
    "signature",
];

async fn field_names(client: &Client, canaries: &Canaries) {
    let planted = canaries.clone();
    let handler = move || {
        let canaries = planted.clone();
        async move {
            let under = |place: &str, name: &str| canaries.secret(format!("{name} in {place}"));
            let object = |place: &str| NAMES.iter().map(|name| ((*name).to_owned(), Value::from(under(place, name)))).collect::<Value>();
            let form = |place: &str| NAMES.map(|name| format!("{name}={}", under(place, name))).join("&");
            let scope = Scope::current();
            let (mut user, mut crumb) = (User::id(42), Breadcrumb::new("a step"));
            for name in NAMES {
                scope.set_tag(name, under("a tag", name)).set_extra(name, under("extra", name));
                user = user.field(name, under("the user", name));
                crumb = crumb.field(name, under("a breadcrumb", name));
                let late = async { _ = Scope::current().span().set_attribute(name, under("a span that runs", name)) };
                tower_sentry::span("task", "late", late).await;
                tower_sentry::span("task", "step", async {}).attribute(name, under("a span", name)).await;
                let transaction = scope.transaction();
                transaction.set_attribute(name, [under("the transaction", name)]);
                let link = SpanLink::new(TraceId::new(), transaction.id().unwrap());
                transaction.add_link(link.attribute(name, under("a link", name)));
            }
            scope.set_user(user).add_breadcrumb(crumb);
            let deep = (0..10).fold(object("a context"), |inner, _| json!({ "inner": [inner] }));
            scope.set_context("account", deep);
            scope.set_context("sent", json!({ "form": form("a form"), "json": object("JSON in a text").to_string() }));
            scope.add_attachment(Attachment::new("order.json", object("a file of JSON").to_string()));
            scope.add_attachment(Attachment::new("notes.txt", NAMES.map(|name| format!("{name}: {}", under("a file", name))).join("\n")));
            static_fields(&canaries);
            tower_sentry::capture_message(Level::Error, "noted");
        }
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(client))).await;
    let parameters = ["code", "sig", "X-Amz-Signature"].iter().chain(&NAMES);
    let query = parameters.map(|name| format!("{name}={}", canaries.secret(format!("{name} in the query"))));
    let query = query.collect::<Vec<_>>().join("&");
    support::get(&server, &format!("/?{query}&page={}", canaries.harmless("page in the query"))).await;
}

/// The seeds' keys as fields of a span, of an event inside it, and of a structured log.
fn static_fields(canaries: &Canaries) {
    let of = |place: &str| canaries.secret(format!("a static field: {place}"));
    let span = info_span!(
        "pay",
        password = of("password"),
        api_key = of("api_key"),
        token = of("token"),
        secret = of("secret"),
        key = of("key"),
        card_number = of("card_number"),
        cvv = of("cvv"),
        deep.cardNumber = of("cardNumber")
    );
    span.in_scope(|| info!(password = of("a log"), user.api_key = of("a log's api_key"), "paid"));
}

/// A secret by its shape, from a canary.
type Shape = fn(&str) -> String;

const SHAPES: [(&str, Shape); 17] = [
    ("a long token", |secret| format!("got {secret:x<64} from there")),
    ("Bearer", |secret| format!("sent Bearer {secret} to upstream")),
    ("Basic", |secret| format!("sent Basic {} to upstream", base64(format!("user:{secret}").as_bytes(), 0))),
    ("a JWT", |secret| format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", base64(secret.as_bytes(), 0))),
    ("PEM", |secret| format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----")),
    ("PEM that was cut off", |secret| format!("-----BEGIN PRIVATE KEY-----\n{secret}")),
    ("a password in a URL", |secret| format!("postgres://app:{secret}@db:5432/shop refused")),
    ("a password with an @", |secret| format!("postgres://app:p@{secret}@db:5432/shop refused")),
    ("a key of GitHub", |secret| format!("ghp_{secret}")),
    ("a key of AWS", |secret| format!("key AKIA{secret} refused")),
    ("a key of Doppler", |secret| format!("dp.pt.{secret}")),
    ("a pair", |secret| format!("login with password={secret} failed")),
    ("Debug", |secret| format!("Login {{ user: \"me\", password: \"{secret}\", age: 3 }}")),
    ("a wrapper in Debug", |secret| format!("Login {{ token: Some(Token(\"{secret}\")), age: 3 }}")),
    ("a webhook", |secret| format!("POST https://hooks.slack.com/services/{secret}")),
    ("a target", |secret| format!("/callback?code={secret}&state=1")),
    ("cookies", |secret| format!("Cookie: theme=\"{secret}\"; lang=de")),
];

async fn shapes(client: &Client, canaries: &Canaries) {
    for (shape, write) in SHAPES {
        let planted = canaries.clone();
        let text = move |place: &str| write(&planted.secret(format!("{shape} in {place}")));
        write_everywhere(client, true, text).await;
    }
    let planted = canaries.clone();
    let card = move |place: &str| planted.plant(Kind::Secret, format!("a card in {place}"), card());
    write_everywhere(client, true, card).await;
}

/// A card number that Luhn's sum makes one.
fn card() -> String {
    let mut digits = (0..15).map(|place| if place == 0 { 4 } else { fastrand::u32(0..10) }).collect::<Vec<_>>();
    let sum =
        digits.iter().enumerate().map(|(place, digit)| if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { *digit }).sum::<u32>();
    digits.push((10 - sum % 10) % 10);
    digits.into_iter().filter_map(|digit| char::from_digit(digit, 10)).collect()
}

/// One request in which each place that takes a text has one, none of them under a secret name.
async fn write_everywhere(client: &Client, with_feedback: bool, text: impl Fn(&str) -> String + Clone + Send + Sync + 'static) {
    let given = text.clone();
    let handler = move || {
        let text = given.clone();
        async move {
            let scope = Scope::current();
            scope.transaction().set_name(text("the transaction's name"));
            scope.set_tag("note", text("a tag")).set_extra("note", text("extra")).set_fingerprint([text("the fingerprint")]);
            scope.set_user(User::id(text("the user's id")).field("note", text("a field of the user")));
            scope.set_context("order", json!({ "note": text("a context"), text("a key"): 1 }));
            scope.add_breadcrumb(Breadcrumb::new(text("a breadcrumb")).field("note", text("a field of a breadcrumb")));
            scope.add_attachment(Attachment::new(text("a file's name"), text("a file")));
            let late = async {
                let span = Scope::current().span();
                span.set_attribute("late note", text("a late field of a span")).set_attribute("sentry.op", text("the kind of a span"));
                span.set_attribute("notes", [7.to_string(), text("an item of a list")]);
                span.add_link(SpanLink::new(TraceId::new(), span.id().unwrap()).attribute("note", text("a link")));
            };
            tower_sentry::span("task", text("a span"), late).attribute("note", text("a field of a span")).await;
            let renamed = async { _ = Scope::current().span().set_name(text("the late name of a span")) };
            tower_sentry::span("task", "renamed", renamed).await;
            let transaction = scope.transaction();
            transaction.set_attribute("note", text("a field of the transaction"));
            info!(note = text("a field of a log"), "{}", text("a log"));
            if with_feedback {
                let said = Feedback::new(text("feedback")).name(text("the name in feedback")).url(text("the URL in feedback"));
                scope.capture_feedback(said);
            }
            tower_sentry::capture_message(Level::Error, text("a message"));
            tower_sentry::capture_error(&std::io::Error::other(text("an error")));
        }
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(client))).await;
    let request = Request::get("/").header("x-note", text("a header").replace('\n', " "));
    assert_eq!(support::request(&server, request).await.0, 200, "the request is unharmed");
}

async fn instrument_args(client: &Client, canaries: &Canaries) {
    #[derive(Debug)]
    struct Secret<T>(T);
    #[derive(Debug)]
    #[expect(dead_code, reason = "read by Debug")]
    struct HttpClient {
        base: String,
        token: String,
        signing: Option<Signing>,
        headers: HeaderMap,
    }
    #[derive(Debug)]
    #[expect(dead_code, reason = "read by Debug")]
    struct Signing {
        private_key: Secret<String>,
    }
    #[instrument]
    async fn login(user: &str, password: String) {
        info!(user, "logged in");
        drop(password);
    }
    #[instrument]
    async fn connect(client: HttpClient) {
        drop(client);
    }
    #[instrument]
    async fn unlock(key: Secret<String>, token: Secret<Option<u32>>) {
        drop((key, token));
    }
    #[instrument(err)]
    async fn fail(dsn: &str) -> Result<(), std::io::Error> {
        Err(std::io::Error::other(format!("{dsn} refused")))
    }
    let planted = canaries.clone();
    let handler = move || {
        let canaries = planted.clone();
        async move {
            login(&canaries.harmless("an argument without a secret"), canaries.secret("an argument `password`")).await;
            let mut headers = HeaderMap::new();
            headers.insert("authorization", canaries.secret("a header in Debug").parse().unwrap());
            headers.insert("x-api-key", canaries.secret("another header in Debug").parse().unwrap());
            let base = format!("https://me:{}@api.example", canaries.secret("a URL in Debug"));
            let signing = Some(Signing { private_key: Secret(canaries.secret("a wrapper inside of Debug")) });
            connect(HttpClient { base, token: canaries.secret("a field of Debug"), signing, headers }).await;
            unlock(Secret(canaries.secret("a wrapper")), Secret(Some(7))).await;
            fail(&format!("redis://:{}@cache", canaries.secret("an error that is returned"))).await.unwrap_err();
        }
    };
    let server = Server::start(Router::new().route("/", get(handler)).layer(SentryLayer::new(client))).await;
    support::get(&server, "/").await;
}

/// Headers that may name a person or an address.
pub const PERSONAL: [&str; 11] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "remote-addr",
    "x-user",
    "x-user-name",
    "x-email",
    "via",
    "from",
];

async fn pii(client: &Client, canaries: &Canaries) {
    let handler = || async { tower_sentry::capture_message(Level::Error, "noted").to_string() };
    let app = Router::new().route("/", get(handler)).layer(SentryLayer::new(client));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).into_future());
    let mut head = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n".to_owned();
    for name in PERSONAL {
        head.push_str(&format!("{name}: {}\r\n", canaries.secret(name)));
    }
    head.push_str(&format!("Cookie: tracker={}\r\n\r\n", canaries.withheld("cookie")));
    // An address of this machine that no other test uses.
    let socket = TcpSocket::new_v4().unwrap();
    let from = SocketAddr::from(([127, fastrand::u8(100..250), fastrand::u8(100..250), fastrand::u8(100..250)], 0));
    socket.bind(from).unwrap();
    canaries.plant(Kind::Peer, "the peer", from.ip().to_string());
    raw(socket.connect(address).await.unwrap(), &head).await;
}

async fn plain(client: &Client, canaries: &Canaries) {
    let planted = canaries.clone();
    // What users say goes past the hooks.
    write_everywhere(client, false, move |place| planted.secret(place)).await;
}
