//! Ways to a server: proxies, Spotlight, and answers that no server should give.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use tower_sentry::{Client, Config};

use crate::support::{self, Answer, Relay, in_child, patience};

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_server_on_this_machine_is_reached_past_the_proxy() {
    let nobody = support::closed_port();
    let proxy = format!("http://{}", nobody.local_addr().unwrap());
    let name = "delivery::a_server_on_this_machine_is_reached_past_the_proxy";
    if in_child(name, &[("HTTP_PROXY", &proxy), ("ALL_PROXY", &proxy), ("NO_PROXY", "")]) {
        return;
    }
    for host in ["127.0.0.1", "localhost"] {
        let relay = Relay::start();
        let dsn = relay.dsn().replace("127.0.0.1", host);
        let client = Client::from(Config::builder().dsn(dsn).traces_sample_rate(1.0).panic_hook(false).build().unwrap());

        client.transaction("work").run(async {}).await;
        support::settle(&client).await;

        assert_eq!((relay.transactions().len(), client.stats().transactions.sent), (1, 1), "{host}");
    }
}

#[tokio::test]
async fn a_proxy_that_forwards_gets_its_password_and_its_own_refusals_lose_nothing() {
    // The proxy is here, and the exporter in the child.
    let proxy = Relay::start();
    for code in [407, 502, 504] {
        proxy.answer_next(Answer::status(code));
    }
    let url = proxy.dsn().replace(KEY, "me:pa55").replace("/42", "");
    let name = "delivery::a_proxy_that_forwards_gets_its_password_and_its_own_refusals_lose_nothing";
    if in_child(name, &[("HTTP_PROXY", &url), ("NO_PROXY", "")]) {
        let received = proxy.received();
        assert_eq!((received.len(), proxy.transactions().len()), (4, 4), "until the proxy has asked the server");
        for request in received {
            let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!((header("host"), request.path.as_str()), (Some("sentry.test".to_owned()), "/api/1/envelope/"));
            assert_eq!(header("proxy-authorization").as_deref(), Some("Basic bWU6cGE1NQ=="));
        }
        return;
    }
    let config = Config::builder().dsn(format!("http://{KEY}@sentry.test/1")).traces_sample_rate(1.0).panic_hook(false);
    let client = Client::from(config.build().unwrap());

    client.transaction("work").run(async {}).await;
    support::settle(&client).await;

    let transactions = client.stats().transactions;
    assert_eq!((transactions.sent, transactions.dropped_total()), (1, 0), "{transactions:?}");
}

#[tokio::test]
async fn spotlight_gets_a_copy_of_what_the_server_gets() {
    let (relay, sidecar) = (Relay::start(), Relay::start());
    let url = sidecar.dsn().replace(&format!("{KEY}@"), "").replace("/42", "/stream");
    let client = Client::from(support::config(&relay).spotlight(url).build().unwrap());

    let work = async {
        tower_sentry::capture_message(tower_sentry::Level::Error, "noted");
    };
    client.transaction("work").run(work).await;
    support::settle(&client).await;

    for server in [&relay, &sidecar] {
        assert_eq!((server.transactions().len(), server.events().len()), (1, 1));
    }
    assert!(sidecar.received().iter().all(|received| received.headers.get("x-sentry-auth").is_none()), "the key is the server's alone");
    assert_eq!((client.stats().transactions.sent, client.stats().errors.sent), (1, 1), "a copy does not count");
}

#[tokio::test]
async fn spotlight_gets_every_copy_although_it_is_slow_and_the_server_is_closed() {
    let (relay, sidecar) = (Relay::start(), Relay::start());
    let limits = vec![("x-sentry-rate-limits", "600:transaction:organization".to_owned())];
    relay.answer_all(Answer::Status(200, limits));
    sidecar.answer_all(Answer::Held);
    let url = sidecar.dsn().replace(&format!("{KEY}@"), "").replace("/42", "/stream");
    let client = Client::from(support::config(&relay).request_timeout(Duration::from_secs(3600)).spotlight(url).build().unwrap());

    for _ in 0..50 {
        client.transaction("work").run(async {}).await;
    }
    support::until("the server has or refuses all", || client.stats().transactions.waiting() == 0).await;
    sidecar.release();
    support::settle(&client).await;

    assert_eq!(sidecar.transactions().len(), 50);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("http://{KEY}@{}/1", listener.local_addr().unwrap());
    let endless = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        assert!(support::take_request(&mut stream));
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = [&b"1000\r\n"[..], &[b'x'; 0x1000], b"\r\n"].concat();
        // Until the other side hangs up.
        while sent.is_ok() {
            sent = stream.write_all(&chunk);
        }
    });
    let config = Config::builder().dsn(dsn).traces_sample_rate(1.0).panic_hook(false).request_timeout(Duration::from_secs(3600));
    let client = Client::from(config.build().unwrap());

    client.transaction("work").run(async {}).await;
    client.flush(patience()).await.unwrap();

    assert_eq!(client.stats().transactions.sent, 1, "the answer has begun with 200");
    support::until("the connection is closed", || endless.is_finished()).await;
}

#[tokio::test]
async fn an_answer_whose_body_never_comes_counts_and_is_not_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("http://{KEY}@{}/1", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        assert!(support::take_request(&mut stream));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").unwrap();
        // Until the other side hangs up.
        assert!(!support::take_request(&mut stream));
    });
    let config = Config::builder().dsn(dsn).traces_sample_rate(1.0).panic_hook(false).request_timeout(Duration::from_secs(3));
    let client = Client::from(config.build().unwrap());

    client.transaction("work").run(async {}).await;
    client.flush(patience()).await.unwrap();

    assert_eq!((client.stats().transactions.sent, client.stats().transactions.dropped_total()), (1, 0));
    support::until("the connection is closed", || server.is_finished()).await;
}
