//! The seam below the queue: transports of one's own, and the settings of ours.

use std::future::pending;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tower_sentry::protocol::DiscardReason;
use tower_sentry::transport::{BoxFuture, EnvelopeRequest, Transport, TransportError, TransportResponse};
use tower_sentry::{Client, Config, ConfigBuilder, Scope};

use crate::support::{self, patience};

const DSN: &str = "http://0123456789abcdef0123456789abcdef@sentry.test/42";

type Sent = Result<TransportResponse, TransportError>;

/// How the next request is answered.
enum Next {
    Answer(u16, Option<(&'static str, &'static str)>),
    Unreachable,
    Interrupted,
    Panic,
    Never,
}

/// Keeps what it is asked to send, and answers as the test says, with 200 in the end.
#[derive(Clone, Default)]
struct Scripted {
    requests: Arc<Mutex<Vec<EnvelopeRequest>>>,
    answers: Arc<Mutex<Vec<Next>>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Next>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    fn requests(&self) -> Vec<EnvelopeRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// The types of the items, as they are on the wire.
    fn kinds(&self) -> Vec<String> {
        let envelopes = self.requests().into_iter().map(|request| plain(&request));
        let kind = |item: &serde_json::Value| item["type"].as_str().unwrap().to_owned();
        envelopes.flat_map(|envelope| support::items(&envelope).1.into_iter().map(|(item, _)| kind(&item)).collect::<Vec<_>>()).collect()
    }
}

impl Transport for Scripted {
    fn send(&self, request: EnvelopeRequest) -> BoxFuture<'_, Sent> {
        self.requests.lock().unwrap().push(request);
        let next = self.answers.lock().unwrap().pop().unwrap_or(Next::Answer(200, None));
        Box::pin(async move {
            // As with a network, there is no answer at once.
            tokio::task::yield_now().await;
            match next {
                Next::Answer(code, header) => {
                    let headers = header.into_iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
                    Ok(TransportResponse::new(StatusCode::from_u16(code).unwrap(), headers.collect::<HeaderMap>(), "{}"))
                }
                Next::Unreachable => Err(TransportError::unreachable("the line is dead")),
                Next::Interrupted => Err(TransportError::interrupted("cut off")),
                Next::Panic => panic!("a fault of the transport"),
                Next::Never => pending().await,
            }
        })
    }
}

/// The envelope in a request.
fn plain(request: &EnvelopeRequest) -> Vec<u8> {
    let mut bytes = Vec::new();
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) => {
            assert_eq!(encoding, "gzip");
            flate2::read::GzDecoder::new(&request.body()[..]).read_to_end(&mut bytes).unwrap();
        }
        None => bytes.extend_from_slice(request.body()),
    }
    bytes
}

fn config(transport: &Scripted) -> ConfigBuilder {
    Config::builder().dsn(DSN).transport(transport.clone()).traces_sample_rate(1.0).panic_hook(false)
}

async fn work(client: &Client) {
    let note = async {
        Scope::current().set_context("note", "x ".repeat(1000));
    };
    client.transaction("work").run(note).await;
}

#[tokio::test]
async fn a_transport_gets_requests_that_are_ready_to_be_posted() {
    let transport = Scripted::default();
    let client = Client::from(config(&transport).build().unwrap());

    work(&client).await;
    support::settle(&client).await;

    let requests = transport.requests();
    let auth = format!(
        "Sentry sentry_version=7, sentry_client=tower-sentry/{}, sentry_key=0123456789abcdef0123456789abcdef",
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in [
        ("content-type", "application/x-sentry-envelope"),
        ("content-encoding", "gzip"),
        ("user-agent", concat!("tower.sentry/", env!("CARGO_PKG_VERSION"))),
        ("x-sentry-auth", &auth),
    ] {
        assert_eq!(requests[0].headers()[name], value);
    }
    assert!(!format!("{:?}", requests[0]).contains("0123456789abcdef"), "the key is not for logs");
    assert_eq!(transport.kinds(), ["transaction"]);
    let request = requests[0].clone().into_http().unwrap();
    assert_eq!((request.method().as_str(), request.uri().to_string()), ("POST", "http://sentry.test/api/42/envelope/".to_owned()));
}

#[tokio::test]
async fn a_transport_without_a_dsn_gets_no_address_and_no_key() {
    let transport = Scripted::default();
    let client = Client::from(Config::builder().transport(transport.clone()).traces_sample_rate(1.0).panic_hook(false).build().unwrap());

    work(&client).await;
    support::settle(&client).await;

    let request = transport.requests().remove(0);
    assert_eq!((request.url(), request.headers().get("x-sentry-auth")), (None, None));
    assert!(request.into_http().is_none());
}

#[tokio::test]
async fn the_answers_of_a_transport_count_like_those_over_http() {
    use DiscardReason::{RatelimitBackoff, SendError};

    for (next, dropped, sent) in [
        (Next::Answer(200, None), vec![], 2),
        (Next::Answer(413, None), vec![(SendError, 1)], 1),
        (Next::Answer(500, None), vec![(SendError, 1)], 1),
        (Next::Panic, vec![(SendError, 1)], 1),
        (Next::Answer(429, Some(("retry-after", "3600"))), vec![(RatelimitBackoff, 2)], 0),
        (Next::Answer(200, Some(("x-sentry-rate-limits", "600:transaction:organization"))), vec![(RatelimitBackoff, 1)], 1),
        (Next::Unreachable, vec![], 2),
        (Next::Interrupted, vec![], 2),
    ] {
        let transport = Scripted::answering([next]);
        let client = Client::from(config(&transport).build().unwrap());

        work(&client).await;
        client.flush(patience()).await.unwrap();
        work(&client).await;
        support::settle(&client).await;

        let transactions = client.stats().transactions;
        assert_eq!((transactions.dropped, transactions.sent), (dropped, sent));
    }
}

#[tokio::test]
async fn a_transport_that_does_not_answer_is_given_up_after_the_request_timeout() {
    let transport = Scripted::answering([Next::Never]);
    let client = Client::from(config(&transport).request_timeout(Duration::from_millis(50)).build().unwrap());

    work(&client).await;
    support::settle(&client).await;

    assert_eq!(transport.kinds(), ["transaction"; 2], "asked again");
    assert_eq!((client.stats().transactions.sent, client.stats().transactions.dropped_total()), (1, 0));
}

#[tokio::test]
async fn a_new_connection_is_asked_for_after_one_that_broke() {
    let transport = Scripted::answering([Next::Interrupted]);
    let client = Client::from(config(&transport).build().unwrap());

    work(&client).await;
    // Not a shutdown: it asks for new connections.
    client.flush(patience()).await.unwrap();
    support::settle(&client).await;
    let asked: Vec<_> = transport.requests().iter().map(EnvelopeRequest::needs_new_connection).collect();

    assert_eq!(asked, [false, true]);
}

#[cfg(not(feature = "reqwest"))]
#[test]
fn without_reqwest_a_dsn_needs_a_transport() {
    let error = Config::builder().dsn(DSN).build().unwrap_err();

    assert_eq!(error.to_string(), "dsn: sending needs the feature `reqwest` of tower-sentry, or a transport of your own");
    assert!(Config::builder().dsn(DSN).transport(Scripted::default()).build().is_ok());
}

#[cfg(feature = "reqwest")]
mod over_reqwest {
    use super::*;
    use crate::support::Relay;

    #[cfg(feature = "rustls")]
    #[tokio::test]
    async fn a_client_of_ones_own_sends_with_its_own_headers() {
        let relay = Relay::start();
        let of_mine = HeaderMap::from_iter([(header::VIA, HeaderValue::from_static("mine"))]);
        let own = support::http_client().default_headers(of_mine).build().unwrap();
        let client = Client::from(support::config(&relay).http_client(own).build().unwrap());

        work(&client).await;
        support::settle(&client).await;

        let received = relay.received().remove(0);
        assert_eq!(received.headers["via"], "mine");
        assert!(received.headers["x-sentry-auth"].to_str().unwrap().contains("sentry_key=0123456789abcdef"));
        assert_eq!(client.stats().transactions.sent, 1);
    }

    #[tokio::test]
    async fn a_proxy_of_the_settings_is_used_whatever_the_environment_says() {
        let name = "transport::over_reqwest::a_proxy_of_the_settings_is_used_whatever_the_environment_says";
        if support::in_child(name, &[("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")]) {
            return;
        }
        let proxy = Relay::start();
        let url = proxy.dsn().replace("0123456789abcdef0123456789abcdef", "me:pa55").replace("/42", "");
        let config = Config::builder().dsn(DSN).proxy(url).traces_sample_rate(1.0).panic_hook(false);
        assert!(!config.clone().build().unwrap().to_string().contains("pa55"));
        let client = Client::from(config.build().unwrap());

        work(&client).await;
        support::settle(&client).await;

        let received = proxy.received().remove(0);
        assert_eq!((&received.headers["host"], received.path.as_str()), (&"sentry.test".parse().unwrap(), "/api/42/envelope/"));
        assert_eq!(received.headers["proxy-authorization"], "Basic bWU6cGE1NQ==");
    }

    #[tokio::test]
    async fn a_blank_proxy_switches_the_one_of_the_environment_off() {
        let name = "transport::over_reqwest::a_blank_proxy_switches_the_one_of_the_environment_off";
        if support::in_child(name, &[("HTTP_PROXY", "gopher://proxy.test"), ("NO_PROXY", "")]) {
            return;
        }
        assert!(Config::builder().dsn(DSN).build().is_err());
        assert!(Config::builder().dsn(DSN).proxy("").build().is_ok());
    }

    #[test]
    fn a_proxy_that_cannot_be_read_is_an_error_of_build() {
        let name = "transport::over_reqwest::a_proxy_that_cannot_be_read_is_an_error_of_build";
        if support::in_child(name, &[("HTTP_PROXY", "socks://me:pa55@proxy.test:1"), ("ALL_PROXY", "http://me:pa55@proxy.test:99999")]) {
            return;
        }
        let https = DSN.replace("http:", "https:");
        let of = |dsn: &str| Config::builder().dsn(dsn);
        let mut rows = vec![
            (of(DSN), "HTTP_PROXY: expected a proxy's URL"),
            (of(DSN).proxy("socks4://me:pa55@proxy.test"), "proxy: expected a proxy's URL"),
        ];
        if cfg!(feature = "rustls") {
            rows.push((of(&https), "ALL_PROXY: expected a proxy's URL"));
        }

        for (config, expected) in rows {
            let error = config.build().unwrap_err();
            assert!(error.is_setting() && error.to_string().starts_with(expected), "{error}");
            assert!(!error.to_string().contains("pa55"), "{error}");
        }
        // It does not matter to who does not use it.
        for config in [Config::builder(), Config::builder().console(true), of("http://key@localhost/1"), of(DSN).transport(|_: &[u8]| ())] {
            assert!(config.build().is_ok());
        }
    }
}

#[cfg(feature = "rustls")]
mod over_tls {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::support::tls::{self, Clients};

    fn to(address: std::net::SocketAddr) -> ConfigBuilder {
        let dsn = format!("https://0123456789abcdef0123456789abcdef@localhost:{}/42", address.port());
        Config::builder().dsn(dsn).traces_sample_rate(1.0).panic_hook(false)
    }

    #[tokio::test]
    async fn an_authority_of_ones_own_is_trusted_when_it_is_named() {
        let (address, count) = tls::server(&Clients::Any);
        let stranger = Client::from(to(address).shutdown_timeout(Duration::ZERO).build().unwrap());
        let trusting = Client::from(to(address).ca_certificate(tls::CA).build().unwrap());

        work(&stranger).await;
        work(&trusting).await;
        support::settle(&trusting).await;

        assert_eq!((trusting.stats().transactions.sent, count.load(Ordering::Relaxed)), (1, 1));
        // The stranger's attempt has failed or is about to: it is dropped and counted now.
        let _ = stranger.shutdown(Duration::ZERO).await;
        support::until("it is counted", || stranger.stats().waiting() == 0).await;
        assert_eq!(stranger.stats().transactions.dropped, [(DiscardReason::NetworkError, 1)]);
    }

    #[tokio::test]
    async fn a_client_of_ones_own_shows_its_certificate() {
        let (address, count) = tls::server(&Clients::Known);
        let own = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls::client_with_certificate()).build().unwrap();
        let unknown = Client::from(to(address).ca_certificate(tls::CA).shutdown_timeout(Duration::ZERO).build().unwrap());
        let known = Client::from(to(address).http_client(own).build().unwrap());

        work(&unknown).await;
        work(&known).await;
        support::settle(&known).await;

        assert_eq!((known.stats().transactions.sent, count.load(Ordering::Relaxed)), (1, 1));
        let _ = unknown.shutdown(Duration::ZERO).await;
        support::until("it is counted", || unknown.stats().waiting() == 0).await;
        assert_eq!(unknown.stats().transactions.sent, 0);
    }

    #[tokio::test]
    async fn tls_neither_needs_nor_installs_a_provider_for_the_process() {
        if support::in_child("transport::over_tls::tls_neither_needs_nor_installs_a_provider_for_the_process", &[]) {
            return;
        }
        let (address, _) = tls::server(&Clients::Any);
        let client = Client::from(to(address).ca_certificate(tls::CA).build().unwrap());

        work(&client).await;
        support::settle(&client).await;

        assert_eq!(client.stats().transactions.sent, 1);
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }

    #[test]
    fn certificates_that_cannot_be_read_are_an_error_of_build() {
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
        let of = |pem: &str| Config::builder().dsn(DSN).ca_certificate(pem);

        for (pem, found) in [("", "none"), ("a text", "none"), (garbage, "one that cannot be read"), (broken, "text that is not valid PEM")]
        {
            let error = of(pem).build().unwrap_err();
            assert_eq!(error.to_string(), format!("ca_certificate: expected certificates in PEM, found {found}"));
        }
        let bundle = [tls::CA, tls::CA].concat();
        assert!(of(&bundle).build().unwrap().to_string().contains("2 of your own"));
    }

    #[test]
    fn settings_of_our_client_beside_a_client_of_ones_own_are_an_error_of_build() {
        let own = || Config::builder().dsn(DSN).http_client(support::http_client().build().unwrap());

        assert!(own().build().is_ok());
        for (config, setting) in [(own().proxy("http://proxy.test"), "`proxy`"), (own().ca_certificate(tls::CA), "`ca_certificate`")] {
            let error = config.build().unwrap_err().to_string();
            assert!(error.starts_with("http_client: expected no ") && error.contains(setting), "{error}");
        }
    }
}
