//! The service in this process, with a client for it and a receiver of what it reports.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use stormcloud::{Pace, Service, Settings};
use tower_sentry::test::HandClock;
use tower_sentry::{Client, Config, ConfigBuilder, TracingLayer};
use tracing_subscriber::prelude::*;

use crate::receiver::Receiver;

/// The longest wait of a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cloud {
    pub service: Service,
    pub sentry: Client,
    pub receiver: Receiver,
    pub folder: tempfile::TempDir,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Cloud {
    /// A service of the environment `staging` that records all requests.
    pub async fn start() -> Self {
        Self::with(|settings| settings).await
    }

    pub async fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        Self::monitored(change, |config| config).await
    }

    pub async fn monitored(change: impl FnOnce(Settings) -> Settings, watch: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        subscribe();
        let receiver = Receiver::start().await;
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new(folder.path()).variables([
            ("SENTRY_DSN", receiver.dsn()),
            ("SENTRY_TRACES_SAMPLE_RATE", "1.0"),
            ("ENVIRONMENT", "staging"),
            ("GIT_COMMIT", "4f2a9c1"),
        ]);
        let settings = change(settings);
        let sentry = Client::from(watch(settings.monitoring()).build().unwrap());
        let service = Service::start(&settings, &sentry).await.unwrap();
        Self { service, sentry, receiver, folder }
    }

    /// A GET with the key of alice.
    pub async fn get(&self, target: &str) -> Reply {
        self.send(self.service.alice(), "GET", target, "").await
    }

    /// A POST with the key of alice.
    pub async fn post(&self, target: &str, body: &str) -> Reply {
        self.send(self.service.alice(), "POST", target, body).await
    }

    /// With this video.
    pub async fn uploaded(self, name: &str) -> Self {
        let reply = self.post(&format!("/api/v1/files/{name}/upload/"), "a film").await;
        assert_eq!(reply.status, StatusCode::CREATED);
        self
    }

    pub async fn send(&self, key: &str, method: &str, target: &str, body: &str) -> Reply {
        self.send_with(key, method, target, body, None).await
    }

    /// A GET without a key, by a user who got a link.
    pub async fn open_link(&self, target: &str, password: &str) -> Reply {
        self.send_with("", "GET", target, "", Some(password)).await
    }

    async fn send_with(&self, key: &str, method: &str, target: &str, body: &str, password: Option<&str>) -> Reply {
        let stream = tokio::net::TcpStream::connect(self.service.address()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = password.into_iter().fold(Request::builder(), |request, password| request.header("x-share-password", password));
        let request = request
            .method(method)
            .uri(target)
            .header("host", "storm.example")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("cookie", format!("sessionid={}", planted(0)))
            .header("x-forwarded-for", "203.0.113.77")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// What the folder of the service has under this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of the security log.
    pub fn security_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("logs/security.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Delivers everything, and searches all bytes that arrived for what must not leave.
    pub async fn settle(&self, secrets: &[&str]) {
        self.sentry.shutdown(PATIENCE).await.unwrap();
        let sent = self.receiver.text();
        // Those of `planted` are searched for in every test.
        let planted = ["plan", "ted-"].concat();
        let always = [self.service.alice(), self.service.bob(), &planted, "203.0.113.77"];
        for secret in always.iter().chain(secrets) {
            if let Some((before, after)) = sent.split_once(secret) {
                let before: String = before.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
                panic!("{secret} has left: {before}{secret}{}", after.chars().take(100).collect::<String>());
            }
        }
    }
}

/// A secret that stands in no source file: events show the lines around their frames.
pub fn planted(number: u32) -> String {
    format!("{}-{number}x9q", ["plan", "ted"].concat())
}

/// One subscriber for all tests: spans and events go to the client of the request that is current.
pub fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let off = Config::builder().build().unwrap();
        tracing_subscriber::registry().with(TracingLayer::new(off)).init();
    });
}

thread_local! {
    static CLOCK: RefCell<Option<HandClock>> = const { RefCell::new(None) };
}

/// The times of the document, by a clock that stands still in between. A test and its service share one thread.
pub fn by_hand() -> Pace {
    pace(|_| true)
}

/// The same for the times that are chosen. Other parts take no time.
pub fn pace(chosen: impl Fn(u128) -> bool + Send + Sync + 'static) -> Pace {
    CLOCK.with(|clock| {
        // The one before must be gone: its drop lets the real clock go on.
        clock.borrow_mut().take();
        *clock.borrow_mut() = Some(HandClock::start());
    });
    Pace::by(move |time| {
        if chosen(time.as_millis()) {
            CLOCK.with(|clock| clock.borrow().as_ref().unwrap().advance(time));
        }
        std::future::ready(())
    })
}
