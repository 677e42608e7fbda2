//! The routes for the browser: what arrives at the server of a project, and what does not.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;
use tower_sentry::browser::{self, BrowserRoutes};
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Level, SentryLayer};

use crate::support::{self, Answer, Received, Relay, Server, patience};

const SECRET: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

/// The answer of a route.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

/// One POST on a connection of its own.
async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answered {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    answered(sender.send_request(request(path, headers, body)).await.unwrap()).await
}

fn request(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path).header("host", "shop.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn answered<B: hyper::body::Body<Error: std::fmt::Debug>>(response: hyper::Response<B>) -> Answered {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answered { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&body).into_owned() }
}

/// The routes of a client whose project is that of the relay.
fn routes(relay: &Relay) -> BrowserRoutes {
    browser::routes(&support::client(relay)).requests_in_all(u32::MAX)
}

async fn serve(routes: BrowserRoutes) -> Server {
    Server::start(routes.build().unwrap()).await
}

fn item(kind: &str, payload: &[u8]) -> Vec<u8> {
    let header = format!("{{\"type\":\"{kind}\",\"length\":{}}}\n", payload.len());
    [header.as_bytes(), payload, b"\n"].concat()
}

fn envelope(dsn: &str, items: &[Vec<u8>]) -> Vec<u8> {
    let header = json!({ "dsn": dsn, "event_id": "4c79f60c11214eb38604f4ae0781bfb2", "sdk": { "name": "sentry.javascript.browser", "version": "10.0.0" } });
    [format!("{header}\n").into_bytes(), items.concat()].concat()
}

fn event(text: &str) -> Vec<u8> {
    let event = json!({
        "event_id": "4c79f60c11214eb38604f4ae0781bfb2",
        "timestamp": 1_795_168_800.25,
        "platform": "javascript",
        "message": text,
        "request": { "url": format!("https://shop.example/cart?token={SECRET}"), "headers": { "User-Agent": "Firefox/140" } },
        "extra": { "filler": "the same words again and again, ".repeat(60) },
    });
    item("event", event.to_string().as_bytes())
}

/// A replay whose recording is not text, as the SDK compresses it.
fn replay(size: usize) -> Vec<Vec<u8>> {
    let recording: Vec<u8> = (0..size).map(|place| (place * 31 % 251) as u8).collect();
    let about = json!({ "type": "replay_event", "replay_id": "4c79f60c11214eb38604f4ae0781bfb2", "segment_id": 0, "urls": [format!("https://h/?token={SECRET}")] });
    vec![item("replay_event", about.to_string().as_bytes()), item("replay_recording", &recording)]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What came through the tunnel: nothing else has a DSN in its header.
fn tunnelled(relay: &Relay) -> Vec<Received> {
    let has_dsn = |received: &Received| {
        received.envelope.split(|byte| *byte == b'\n').next().is_some_and(|line| line.windows(6).any(|part| part == b"\"dsn\":"))
    };
    relay.received().into_iter().filter(has_dsn).collect()
}

#[tokio::test]
async fn all() {
    let relay = Relay::start();
    let server = serve(routes(&relay)).await;
    let user_feedback = item("feedback", format!("{{\"contexts\":{{\"feedback\":{{\"message\":\"{SECRET}\"}}}}}}").as_bytes());
    let passed: [(&str, Vec<u8>); 3] = [
        ("a replay", envelope(&relay.dsn(), &replay(50_000))),
        ("feedback", envelope(&relay.dsn(), &[user_feedback, item("attachment", b"\x89PNG\n\xff")])),
        ("a session", envelope(&relay.dsn(), &[item("session", br#"{"sid":"1","status":"ok"}"#)])),
    ];

    for (what, given) in &passed {
        assert_eq!(post(&server, "/t", &[], given.clone()).await.status, 200, "{what}");
        let packed = gzip(given);
        assert_eq!(post(&server, "/t", &[("content-encoding", "gzip")], packed.clone()).await.status, 200, "{what}");
        let [.., plain, zipped] =
            tunnelled(&relay).try_into().unwrap_or_else(|all: Vec<Received>| [all[all.len() - 2].clone(), all[all.len() - 1].clone()]);
        assert_eq!((&plain.raw, plain.headers.get("content-encoding")), (given, None), "{what}");
        assert_eq!((&zipped.raw, zipped.headers["content-encoding"].as_bytes()), (&packed, &b"gzip"[..]), "{what}");
    }

    let given = envelope(&relay.dsn(), &[event(&format!("charged with {SECRET}"))]);
    for (headers, body) in [(vec![], given.clone()), (vec![("content-encoding", "gzip")], gzip(&given))] {
        let answer = post(&server, "/t", &headers, body).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "{}"));
        let received = tunnelled(&relay).pop().unwrap();
        assert_eq!(received.headers["content-encoding"], "gzip");
        assert_eq!(
            (received.path.as_str(), received.headers["content-type"].as_bytes()),
            ("/api/42/envelope/", &b"application/x-sentry-envelope"[..])
        );
        assert!(received.headers["x-sentry-auth"].to_str().unwrap().contains("sentry_key=0123456789abcdef0123456789abcdef"));
        for absent in ["cookie", "authorization", "x-forwarded-for", "forwarded"] {
            assert_eq!(received.headers.get(absent), None);
        }
        let (header, items) = received.items();
        assert_eq!(header["dsn"], relay.dsn());
        let event = &items[0].1;
        assert_eq!(event["message"], "charged with [REDACTED_TOKEN]");
        assert_eq!(event["request"]["headers"]["User-Agent"], "Firefox/140");
        assert_eq!(event["timestamp"], 1_795_168_800.25);
        assert!(!String::from_utf8_lossy(&received.envelope).contains(SECRET));
    }
}

#[tokio::test]
async fn the_redaction_of_events_can_be_switched_off() {
    let relay = Relay::start();
    let server = serve(routes(&relay).redact(false)).await;
    let given = envelope(&relay.dsn(), &[event(SECRET)]);

    let answer = post(&server, "/t", &[("cookie", "session=1"), ("authorization", "Bearer 1")], given.clone()).await;

    assert_eq!(answer.status, 200);
    let received = &tunnelled(&relay)[0];
    assert_eq!(received.raw, given);
    assert_eq!((received.headers.get("cookie"), received.headers.get("authorization")), (None, None));
}

/// DSNs that are like the listed one, or that two parsers may read differently.
fn hostile_dsns(listed: SocketAddr, foreign: SocketAddr) -> Vec<String> {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let (own, other) = (listed.to_string(), foreign.to_string());
    let mut dsns = vec![
        String::new(),
        "null".to_owned(),
        format!("http://{KEY}@{own}/42/"),
        format!(" http://{KEY}@{own}/42"),
        format!("http://{KEY}@{own}/42\n"),
        format!("http://{KEY}:secret@{own}/42"),
        format!("http://{KEY}@{own}/42?host={other}"),
        format!("http://{KEY}@{own}/42#@{other}/42"),
        format!("HTTP://{KEY}@{own}/42"),
        format!("https://{KEY}@{own}/42"),
        format!("ftp://{KEY}@{own}/42"),
        format!("//{KEY}@{own}/42"),
        format!("http:{KEY}@{own}/42"),
        format!("http:\\\\{KEY}@{own}\\42"),
        format!("http://{}@{own}/42", KEY.to_uppercase()),
        format!("http://{}0@{own}/42", KEY),
        format!("http://@{own}/42"),
        format!("http://{own}/42"),
        format!("http://{KEY}@[::1]:{}/42", foreign.port()),
        format!("http://{KEY}@[::ffff:127.0.0.1]:{}/42", foreign.port()),
        format!("http://{KEY}@2130706433:{}/42", foreign.port()),
        format!("http://{KEY}@0x7f.1:{}/42", foreign.port()),
        format!("http://{KEY}@127.1:{}/42", foreign.port()),
        format!("http://{KEY}@127.0.0.1.:{}/42", listed.port()),
        format!("http://{KEY}@localhost:{}/42", listed.port()),
        format!("http://{KEY}@\u{ff11}27.0.0.1:{}/42", listed.port()),
    ];
    for project in [
        "41",
        "43",
        "042",
        "42x",
        "4 2",
        "%34%32",
        "42%00",
        "../42",
        "42/..",
        "42/envelope",
        "api/42/envelope/",
        "\u{ff14}\u{ff12}",
        "-42",
        "4.2e1",
    ] {
        dsns.push(format!("http://{KEY}@{own}/{project}"));
        dsns.push(format!("http://{KEY}@{own}//{project}"));
        dsns.push(format!("http://{KEY}@{own}/sub/{project}"));
    }
    // The foreign server, hidden beside the listed one in each way that comes to mind.
    let joints = [
        "@", "#@", "?@", "/@", "\\@", "%40", "%2f@", ":@", ":80@", ";@", ",", " ", "\t", "\n", "\r\n", "\0", "&@", "|", ".", "..", "%00",
        "%0d%0a", "\u{2024}", "\u{3002}", "\u{ff0e}", "\u{2044}", "\u{200b}", "//", "\\\\", "\u{202e}",
    ];
    for joint in joints {
        for (first, second) in [(&own, &other), (&other, &own), (&other, &other)] {
            for end in ["/42", "/42/", "/42?", "/42#", "\\42", "/api/42", "", "/%34%32", "/42/42", "/42\u{0}", "/42 "] {
                dsns.push(format!("http://{KEY}@{first}{joint}{second}{end}"));
            }
        }
    }
    dsns.extend((0..=65_535).step_by(997).filter(|port| *port != listed.port()).map(|port| format!("http://{KEY}@127.0.0.1:{port}/42")));
    dsns.push(format!("http://{KEY}@{other}/42"));
    dsns
}

#[tokio::test]
async fn a_thousand_hostile_dsns_are_refused_and_reach_no_foreign_host() {
    let (relay, foreign) = (Relay::start(), Relay::start());
    let router: Router = routes(&relay).build().unwrap();
    let address = |relay: &Relay| relay.dsn().rsplit(['@', '/']).nth(1).unwrap().parse().unwrap();
    let dsns = hostile_dsns(address(&relay), address(&foreign));
    assert!(dsns.len() > 1000, "only {}", dsns.len());

    for dsn in &dsns {
        let response = router.clone().oneshot(request("/t", &[], envelope(dsn, &[event("hello")]))).await.unwrap();
        assert_eq!(response.status(), 403, "{dsn:?}");
    }
    let control = router.oneshot(request("/t", &[], envelope(&relay.dsn(), &[event("hello")]))).await.unwrap();

    assert_eq!(control.status(), 200, "the listed one passes");
    assert_eq!((foreign.connections(), tunnelled(&relay).len()), (0, 1));
}

#[tokio::test]
async fn a_listed_dsn_has_its_own_server_and_the_host_is_not_that_of_the_request() {
    let (relay, second) = (Relay::start(), Relay::start());
    let server = serve(routes(&relay).allow_dsn(second.dsn())).await;

    let answer = post(&server, "/t", &[("x-forwarded-host", "evil.example")], envelope(&second.dsn(), &[event("hello")])).await;

    assert_eq!(answer.status, 200);
    assert_eq!((tunnelled(&relay).len(), tunnelled(&second).len()), (0, 1));
}

#[tokio::test]
async fn what_the_server_says_about_its_limits_reaches_the_browser() {
    let relay = Relay::start();
    let server = serve(routes(&relay)).await;
    let headers = vec![
        ("retry-after", "60".to_owned()),
        ("x-sentry-rate-limits", "60:error:organization".to_owned()),
        ("set-cookie", "a=b".to_owned()),
    ];
    relay.answer_next(Answer::Status(429, headers));
    relay.answer_next(Answer::Status(307, vec![("location", "http://evil.example/".to_owned())]));
    let given = envelope(&relay.dsn(), &[event("hello")]);

    let limited = post(&server, "/t", &[], given.clone()).await;
    let moved = post(&server, "/t", &[], given).await;

    assert_eq!(limited.status, 429);
    assert_eq!(
        (limited.headers["retry-after"].as_bytes(), limited.headers["x-sentry-rate-limits"].as_bytes()),
        (&b"60"[..], &b"60:error:organization"[..])
    );
    assert_eq!(limited.headers.get("set-cookie"), None);
    assert_eq!((moved.status, moved.headers.get("location")), (StatusCode::BAD_GATEWAY, None));
    assert_eq!(tunnelled(&relay).len(), 2, "none is sent again");
}

#[tokio::test]
async fn each_kind_has_its_own_limit_of_size() {
    let relay = Relay::start();
    let server = serve(routes(&relay).max_envelope_bytes(100_000).max_replay_bytes(500_000)).await;
    let large = event(&"x".repeat(100_000));
    let hidden = [replay(200_000), vec![event(SECRET)]].concat();
    let rows = [
        ("a large event", envelope(&relay.dsn(), &[large]), 413),
        ("a large attachment", envelope(&relay.dsn(), &[event("hello"), item("attachment", &vec![7; 100_000])]), 413),
        ("a replay", envelope(&relay.dsn(), &replay(400_000)), 200),
        ("a large replay", envelope(&relay.dsn(), &replay(500_000)), 413),
        ("an event behind a replay", envelope(&relay.dsn(), &hidden), 413),
        ("a line without an end", format!("{{\"dsn\":\"{}\"", "x".repeat(200_000)).into_bytes(), 400),
    ];

    for (what, given, expected) in rows {
        for (headers, body) in [(vec![], given.clone()), (vec![("content-encoding", "gzip")], gzip(&given))] {
            assert_eq!(post(&server, "/t", &headers, body).await.status, expected, "{what} {headers:?}");
        }
    }
    let bomb = gzip(&envelope(&relay.dsn(), &[item("replay_recording", &vec![0; 30_000_000])]));
    assert!(bomb.len() < 100_000);
    assert_eq!(post(&server, "/t", &[("content-encoding", "gzip")], bomb).await.status, 413);
    let whole: Vec<_> = tunnelled(&relay).into_iter().map(|received| received.envelope.len()).collect();
    assert_eq!(whole, [envelope(&relay.dsn(), &replay(400_000)).len(); 2]);
}

/// Reads from a socket until enough bytes have come.
async fn read_at_least(stream: &mut tokio::net::TcpStream, count: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < count {
        let more = tokio::time::timeout(patience(), stream.read_buf(&mut read)).await.unwrap().unwrap();
        assert!(more > 0, "the connection ends after {} bytes", read.len());
    }
    read
}

#[tokio::test]
async fn a_large_replay_is_sent_while_it_arrives() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/42", upstream.local_addr().unwrap());
    let client = Client::from(support::to(&dsn).panic_hook(false).build().unwrap());
    let server = serve(browser::routes(&client)).await;
    let given = envelope(&dsn, &replay(3_000_000));
    let (first, rest) = given.split_at(2_000_000);

    let mut browser = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /t HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {}\r\n\r\n", given.len());
    browser.write_all(head.as_bytes()).await.unwrap();
    browser.write_all(first).await.unwrap();
    let (mut stream, _) = tokio::time::timeout(patience(), upstream.accept()).await.unwrap().unwrap();
    let before = read_at_least(&mut stream, 1_500_000).await;
    browser.write_all(rest).await.unwrap();
    let mut arrived = before;
    while !arrived.ends_with(b"0\r\n\r\n") {
        arrived.extend(read_at_least(&mut stream, 1).await);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();

    let answer = read_at_least(&mut browser, 12).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let (_, mut chunks) = arrived.split_at(arrived.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4);
    let mut body = Vec::new();
    loop {
        let (size, rest) = chunks.split_at(chunks.windows(2).position(|part| part == b"\r\n").unwrap());
        let size = usize::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[2..2 + size]);
        chunks = &rest[4 + size..];
    }
    assert_eq!(body.len(), given.len());
    assert!(body == given, "the bytes are the same");
}

#[tokio::test]
async fn a_client_has_a_limit_of_its_own() {
    let clock = HandClock::start();
    let relay = Relay::start();
    let client = Client::from(support::config(&relay).trusted_hops(1).build().unwrap());
    let router: Router =
        browser::routes(&client).requests_per_client(60).requests_in_all(180).forward_client_address(true).build().unwrap();
    let given = envelope(&relay.dsn(), &[item("session", b"{}")]);
    let send = async |address: &str, count: usize| {
        let mut statuses = Vec::new();
        for _ in 0..count {
            let mut request = request("/t", &[("x-forwarded-for", address)], given.clone());
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 4711))));
            statuses.push(answered(router.clone().oneshot(request).await.unwrap()).await);
        }
        statuses
    };
    let passed = |answers: &[Answered]| answers.iter().filter(|answer| answer.status == 200).count();

    let first = send("203.0.113.7", 13).await;
    assert_eq!(passed(&first), 10, "a sixth of a minute's requests at once");
    let refused = &first[12];
    assert_eq!((refused.status, refused.headers["retry-after"].as_bytes()), (StatusCode::TOO_MANY_REQUESTS, &b"1"[..]));
    assert_eq!(passed(&send("6.6.6.6, 203.0.113.7", 3).await), 0, "what a client adds itself does not count");
    assert_eq!(passed(&send("203.0.113.8", 13).await), 10);
    assert_eq!(passed(&send("203.0.113.9", 20).await), 10);
    assert_eq!(passed(&send("203.0.113.10", 5).await), 0, "all together have their limit");
    clock.advance(Duration::from_secs(2));
    assert_eq!(passed(&send("203.0.113.7", 5).await), 2);

    let received = tunnelled(&relay);
    assert_eq!(received.len(), 32);
    assert_eq!(received[0].headers["x-forwarded-for"], "203.0.113.7");
}

#[tokio::test]
async fn the_address_of_a_client_is_sent_only_where_it_is_asked_for() {
    let relay = Relay::start();
    for (is_asked_for, expected) in [(false, None), (true, Some("203.0.113.7"))] {
        let router: Router = routes(&relay).forward_client_address(is_asked_for).build().unwrap();
        let mut request = request("/t", &[("x-forwarded-for", "6.6.6.6")], envelope(&relay.dsn(), &[event("hello")]));
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 7], 4711))));

        assert_eq!(router.oneshot(request).await.unwrap().status(), 200);
        let received = tunnelled(&relay).pop().unwrap();
        assert_eq!(received.headers.get("x-forwarded-for").map(|value| value.to_str().unwrap()), expected);
    }
}

#[tokio::test]
async fn only_so_many_requests_are_in_progress_at_once() {
    let relay = Relay::start();
    relay.answer_all(Answer::Held);
    let server = serve(routes(&relay).requests_at_once(2)).await;
    let given = envelope(&relay.dsn(), &[event("hello")]);
    let (one, two) = (post(&server, "/t", &[], given.clone()), post(&server, "/t", &[], given.clone()));
    let third = async {
        support::until("two are in progress", || tunnelled(&relay).len() == 2).await;
        let answer = post(&server, "/t", &[], given.clone()).await;
        relay.release();
        answer
    };

    let (one, two, third) = tokio::join!(one, two, third);

    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!((third.status, third.headers["retry-after"].as_bytes()), (StatusCode::SERVICE_UNAVAILABLE, &b"1"[..]));
    assert_eq!(post(&server, "/t", &[], given).await.status, 200, "a place is free again");
}

#[tokio::test]
async fn what_has_arrived_is_sent_also_if_the_browser_has_gone() {
    // A large one is redacted on another thread.
    for text in ["hello".to_owned(), "long ".repeat(20_000)] {
        let relay = Relay::start();
        relay.answer_all(Answer::Held);
        let router: Router = routes(&relay).requests_at_once(1).build().unwrap();
        let given = envelope(&relay.dsn(), &[event(&text)]);

        // The first poll reads the whole body. Then the request is dropped, as a server does with a closed connection.
        let mut serving = Box::pin(router.clone().oneshot(request("/t", &[], given.clone())));
        std::future::poll_fn(|cx| {
            assert!(serving.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(serving);

        let second = router.oneshot(request("/t", &[], given)).await.unwrap();
        assert_eq!(second.status(), 503, "its place stays taken");
        support::until("the envelope arrives", || tunnelled(&relay).len() == 1).await;
        relay.release();
    }
}

#[tokio::test]
async fn compressed_bytes_without_a_meaning_do_not_wait_for_one() {
    let relay = Relay::start();
    let router: Router = routes(&relay).max_envelope_bytes(100_000).max_replay_bytes(2_000_000).build().unwrap();
    // The header of gzip, and empty blocks of deflate.
    let hollow = [vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], [0, 0, 0, 0xff, 0xff].repeat(300_000)].concat();
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let chunks: Vec<_> = hollow.chunks(10_000).map(<[u8]>::to_vec).collect();
    let body = futures_util::stream::iter(chunks).map(move |chunk| {
        counted.fetch_add(chunk.len(), Ordering::Relaxed);
        Ok::<_, std::convert::Infallible>(chunk)
    });

    let answer = router.oneshot(request("/t", &[("content-encoding", "gzip")], Body::from_stream(body))).await.unwrap();

    assert_eq!(answer.status(), 413);
    let read = read.load(Ordering::Relaxed);
    assert!(read < 200_000, "{read} bytes were kept");
}

#[tokio::test]
async fn the_routes_are_not_recorded() {
    let relay = Relay::start();
    let closed = support::closed_port();
    let dead = format!("http://0123456789abcdef0123456789abcdef@{}/42", closed.local_addr().unwrap());
    let client = Client::from(support::config(&relay).release("shop@1").build().unwrap());
    let added = browser::routes(&client).allow_dsn(&dead).build().unwrap();
    let app: Router = Router::new()
        .route("/shop", axum::routing::get(|| async { "hello" }))
        .merge(added)
        .layer(SentryLayer::new(&client).failed_status_codes(400..=599));
    let server = Server::start(app).await;

    let statuses = [
        post(&server, "/t", &[], envelope(&relay.dsn(), &[event("hello")])).await.status.as_u16(),
        post(&server, "/t", &[], envelope(&dead, &[event("hello")])).await.status.as_u16(),
        post(&server, "/t", &[], "nothing").await.status.as_u16(),
        post(&server, "/feedback", &[("content-type", "application/json")], r#"{"message":"slow"}"#).await.status.as_u16(),
    ];
    support::get(&server, "/shop").await;
    support::settle(&client).await;

    assert_eq!(statuses, [200, 502, 400, 200]);
    let names: Vec<_> = relay.transactions().into_iter().map(|transaction| transaction["transaction"].clone()).collect();
    assert_eq!(names, ["GET /shop"]);
    let own: Vec<_> = relay.received().into_iter().filter(|received| !received.envelope.starts_with(b"{\"dsn\"")).collect();
    let own: Vec<_> = own.iter().flat_map(|received| received.items().1).collect();
    assert!(own.iter().all(|(item, _)| item["type"] != "event"), "{own:?}");
    let sessions: u64 = own
        .iter()
        .filter(|(item, _)| item["type"] == "sessions")
        .map(|(_, sessions)| sessions["aggregates"][0]["exited"].as_u64().unwrap())
        .sum();
    assert_eq!(sessions, 1, "of the shop");
    assert_eq!(client.stats().transactions.dropped_total(), 0);
}

#[tokio::test]
async fn pages_of_other_origins_may_call_only_if_they_are_listed() {
    let relay = Relay::start();
    let server = serve(routes(&relay).allow_origin("https://app.example")).await;
    let given = envelope(&relay.dsn(), &[event("hello")]);
    let json = [("origin", "https://evil.example"), ("content-type", "application/json")];

    let foreign = post(&server, "/t", &json, given.clone()).await;
    let said = post(&server, "/feedback", &json, r#"{"message":"spam"}"#).await;
    let listed = post(&server, "/t", &[("origin", "https://app.example")], given).await;
    let router: Router = routes(&relay).allow_origin("https://app.example").build().unwrap();
    let ask = async |origin: &str| {
        let request = Request::options("/feedback").header("origin", origin).body(Body::empty()).unwrap();
        answered(router.clone().oneshot(request).await.unwrap()).await
    };

    assert_eq!((foreign.status, said.status), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    assert_eq!(foreign.headers.get("access-control-allow-origin"), None);
    assert_eq!((listed.status, listed.headers["access-control-allow-origin"].as_bytes()), (StatusCode::OK, &b"https://app.example"[..]));
    assert_eq!(ask("https://app.example").await.headers["access-control-allow-methods"], "POST");
    assert_eq!(ask("https://evil.example").await.headers.get("access-control-allow-methods"), None);
    assert_eq!(tunnelled(&relay).len(), 1);
}

/// A multipart body of these fields and this file.
fn form(fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(format!("--cut\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
    }
    if let Some((name, bytes)) = file {
        body.extend_from_slice(
            format!("--cut\r\ncontent-disposition: form-data; name=\"screenshot\"; filename=\"{name}\"\r\ncontent-type: image/png\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--cut--\r\n");
    body
}

const MULTIPART: [(&str, &str); 1] = [("content-type", "multipart/form-data; boundary=cut")];

/// The bytes of the attachment in an envelope.
fn attached(received: &Received) -> Vec<u8> {
    let start = received.envelope.windows(22).position(|part| part == b"\"type\":\"attachment\",\"l").unwrap();
    let line = received.envelope[start..].iter().position(|byte| *byte == b'\n').unwrap();
    let header: Value = serde_json::from_slice(&received.envelope[start - 1..start + line]).unwrap();
    let bytes = &received.envelope[start + line + 1..];
    bytes[..header["length"].as_u64().unwrap() as usize].to_vec()
}

#[tokio::test]
async fn feedback() {
    let relay = Relay::start();
    let client = support::client(&relay);
    let server = serve(browser::routes(&client)).await;
    let event_id =
        client.transaction("page").run_infallible(async { tower_sentry::capture_message(Level::Error, "the cart is gone") }).await;
    let screenshot: Vec<u8> = (0..1_500_000_u32).map(|place| (place % 253) as u8 | 0x80).collect();
    let id = event_id.to_string();
    let fields = [
        ("message", "the cart was empty"),
        ("name", "Ann"),
        ("email", "ann@example.com"),
        ("url", "https://shop.example/cart"),
        ("event_id", id.as_str()),
    ];

    let answer = post(&server, "/feedback", &MULTIPART, form(&fields, Some(("C:\\shots\\cart.png", &screenshot)))).await;
    let in_json =
        post(&server, "/feedback", &[("content-type", "application/json")], json!({ "message": "slow", "event_id": id }).to_string()).await;
    let plain = format!("message=caf%C3%A9+closed&event_id={id}");
    let in_plain = post(&server, "/feedback", &[("content-type", "application/x-www-form-urlencoded")], plain).await;
    let large = post(&server, "/feedback", &MULTIPART, form(&fields, Some(("large.png", &vec![0x80; 5_000_000])))).await;
    support::settle(&client).await;

    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "Thank you. Your message was sent.\n"));
    assert_eq!((in_plain.status, large.status), (StatusCode::OK, StatusCode::PAYLOAD_TOO_LARGE));
    let said: Vec<_> =
        relay.received().into_iter().filter(|received| received.items().1.iter().any(|(item, _)| item["type"] == "feedback")).collect();
    assert_eq!(said.len(), 3);
    let mut messages = Vec::new();
    for received in &said {
        let (header, items) = received.items();
        let feedback = &items[0].1["contexts"]["feedback"];
        assert_eq!(feedback["associated_event_id"], id);
        assert_eq!(header["event_id"], items[0].1["event_id"]);
        messages.push(feedback["message"].as_str().unwrap().to_owned());
        if feedback["message"] == "the cart was empty" {
            assert_eq!(
                (&feedback["name"], &feedback["contact_email"], &feedback["url"]),
                (&json!("Ann"), &json!("ann@example.com"), &json!("https://shop.example/cart"))
            );
            let file = &items[1].0;
            assert_eq!((&file["filename"], &file["content_type"]), (&json!("cart.png"), &json!("image/png")));
            assert!(attached(received) == screenshot, "the bytes are the same");
        }
        if feedback["message"] == "slow" {
            assert_eq!(in_json.text, format!("{{\"id\":{}}}", items[0].1["event_id"]));
        }
    }
    messages.sort();
    assert_eq!(messages, ["café closed", "slow", "the cart was empty"]);
    assert_eq!(client.stats().attachment_bytes.sent, screenshot.len() as u64);
}

#[tokio::test]
async fn feedback_that_says_nothing_is_refused() {
    let (client, captured) = tower_sentry::test::client();
    let router: Router = browser::routes(&client).build().unwrap();
    let long = "x".repeat(1001);
    let rows: [(&str, Vec<u8>, u16); 9] = [
        ("application/json", br#"{"message":"  "}"#.to_vec(), 400),
        ("application/json", br#"{"message":7}"#.to_vec(), 400),
        ("application/json", b"message=hello".to_vec(), 400),
        ("application/json", br#"{"message":"hello","event_id":"latest"}"#.to_vec(), 400),
        ("application/json", format!("{{\"message\":\"hello\",\"name\":\"{long}\"}}").into_bytes(), 400),
        ("text/plain", b"hello".to_vec(), 400),
        ("multipart/form-data; boundary=cut", b"--cut\r\nbroken".to_vec(), 400),
        ("multipart/form-data", form(&[("message", "hello")], None), 400),
        ("application/json", vec![b' '; 5_000_000], 413),
    ];

    for (kind, body, expected) in rows {
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let response = router.clone().oneshot(request("/feedback", &[("content-type", kind)], body)).await.unwrap();
        assert_eq!(response.status(), expected, "{kind}: {start}");
    }
    client.flush(patience()).await.unwrap();
    assert_eq!((captured.envelopes().len(), client.stats().feedback.captured), (0, 0));
}

#[test]
fn what_is_set_up_wrongly_is_an_error_of_build() {
    let client = tower_sentry::test::client().0;
    let routes = || browser::routes(&client);
    let error = |routes: BrowserRoutes| routes.build::<()>().unwrap_err().to_string();

    assert!(error(routes().allow_dsn("https://sentry.example/42")).starts_with("allow_dsn: expected a public key"));
    assert!(error(routes().allow_origin("app.example")).starts_with("allow_origin: expected an origin"));
    for path in ["t", "", "/{any}", "/t?x", "/a b", "/ä"] {
        assert!(error(routes().tunnel_path(path)).contains("expected a path"), "{path}");
        assert!(error(routes().feedback_path(path)).contains("expected a path"), "{path}");
    }
    assert!(error(routes().tunnel_path("/feedback")).contains("two different paths"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_body_is_answered(
        bytes in any::<Vec<u8>>(),
        kind in "event|transaction|log|replay_event|attachment|[a-z]{0,5}",
        length in any::<Option<u16>>(),
        is_zipped in any::<bool>(),
        boundary in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = tower_sentry::test::client().0;
            let closed = support::closed_port();
            let dsn = format!("http://0123456789abcdef0123456789abcdef@{}/42", closed.local_addr().unwrap());
            let router: Router = browser::routes(&client).allow_dsn(&dsn).max_envelope_bytes(200).build().unwrap();
            let head = length.map_or_else(|| format!("{{\"type\":\"{kind}\"}}\n"), |length| format!("{{\"type\":\"{kind}\",\"length\":{length}}}\n"));
            let whole = envelope(&dsn, &[[head.as_bytes(), &bytes].concat()]);
            for body in [bytes.clone(), whole, form(&[("message", "x")], Some(("a", &bytes)))] {
                let body = if is_zipped { gzip(&body) } else { body };
                let encoding = if is_zipped { "gzip" } else { "identity" };
                let form = if boundary { "multipart/form-data; boundary=cut" } else { "application/x-www-form-urlencoded" };
                for path in ["/t", "/feedback"] {
                    let headers = [("content-encoding", encoding), ("content-type", form)];
                    let response = router.clone().oneshot(request(path, &headers, Bytes::from(body.clone()))).await.unwrap();
                    let status = response.status().as_u16();
                    assert!(matches!(status, 200 | 400 | 403 | 413 | 415 | 502), "{status}");
                }
            }
        });
    }
}
