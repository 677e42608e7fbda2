//! Serves on loopback, makes a few requests to itself, and shows what is recorded of them.
//!
//! `cargo run -p stormcloud` prints to the console; see README.md for the rest.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use stormcloud::{Pace, Service, Settings, Tree};
use tower_sentry::TracingLayer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// The share of sampled requests that have a profile.
const PROFILES: &str = "SENTRY_PROFILES_SAMPLE_RATE";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let stop = stormcloud::stop_signal()?;
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let own_folder = std::env::var_os("STORMCLOUD_FOLDER").map(PathBuf::from);
    let folder = own_folder.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("stormcloud-{}", std::process::id())));
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut settings = Settings::new(&folder).variables(variables).paced(Pace::of_the_document());
    // The document's default. Its memory is not worth it where nothing is sent.
    if settings.is_sent() && std::env::var_os(PROFILES).is_none() {
        settings = settings.variables([(PROFILES, "0.1")]);
    }
    if has("--spotlight") {
        settings = settings.variables([("SENTRY_SPOTLIGHT", "1")]);
    }
    if has("--nested") {
        settings = settings.shown_as(Tree::Nested);
    }

    let sentry = settings.monitoring().init()?;
    // The log of the service is on standard error, beside what the console shows of monitoring.
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(log).with(TracingLayer::new(&sentry)).init();

    let service = Service::start(&settings, &sentry).await?;
    let address = service.address();
    println!("Storm Cloud on http://{address}");
    println!("{}", if settings.is_sent() { "sends to SENTRY_DSN" } else { "no SENTRY_DSN: what is recorded is printed below" });
    let serving = async {
        tour::take(&service, if settings.is_sent() { None } else { Some(&sentry) }).await?;
        if has("--once") {
            return Ok::<_, Box<dyn Error + Send + Sync>>(());
        }
        println!("\nserving until Ctrl-C. Try:");
        println!("  curl -H 'Authorization: Bearer {}' http://{address}/api/v1/files/document.pdf/download/", service.alice());
        println!(
            "  curl 'http://{address}/api/v1/debug/sentry-test/?type=division'   (outside of production, with DEBUG=1 or without a DSN)"
        );
        std::future::pending().await
    };
    tokio::select! {
        toured = serving => toured?,
        () = stop => {}
    }
    service.stop().await?;
    // After the last response, so that nothing is captured later.
    if let Err(error) = sentry.shutdown(Duration::from_secs(5)).await {
        // A server that is away is no failure of this service.
        eprintln!("not everything was delivered: {error}");
    }
    println!("\n{}:\n{}", settings.security_log().display(), tokio::fs::read_to_string(settings.security_log()).await?);
    if own_folder.is_none() {
        tokio::fs::remove_dir_all(&folder).await?;
    }
    Ok(())
}

/// Requests from a client without monitoring.
mod tour {
    use std::error::Error;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use hyper_util::rt::TokioIo;
    use stormcloud::Service;
    use tower_sentry::Client;

    const REQUESTS: [(&str, &str, &str); 9] = [
        ("POST", "/api/v1/files/document.pdf/upload/", "a document"),
        ("GET", "/api/v1/files/document.pdf/download/", ""),
        ("GET", "/api/v1/files/?q=test", ""),
        ("GET", "/api/v1/users/42/", ""),
        ("GET", "/api/v1/users/42/", ""),
        ("POST", "/api/v1/files/document.pdf/share/", r#"{"password": "hunter2-of-the-tour"}"#),
        ("GET", "/api/v1/share/expired/", ""),
        ("GET", "/api/v1/debug/sentry-test/?type=value", ""),
        ("GET", "/api/v1/debug/sentry-test/?type=api_key", ""),
    ];

    /// Sends them one after the other. A console shows each before the next one begins.
    pub(crate) async fn take(service: &Service, console: Option<&Client>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let unknown = "0123456789abcdef".repeat(4);
        let refused = (unknown.as_str(), "GET", "/api/v1/files/document.pdf/download/", "");
        for (key, method, target, body) in
            REQUESTS.map(|(method, target, body)| (service.alice(), method, target, body)).into_iter().chain([refused])
        {
            send(service, key, method, target, body).await?;
            if let Some(sentry) = console {
                // Spotlight may be away: the tour goes on.
                let _ = sentry.flush(Duration::from_secs(5)).await;
            }
        }
        Ok(())
    }

    async fn send(
        service: &Service,
        key: &str,
        method: &str,
        target: &str,
        body: &'static str,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let stream = tokio::net::TcpStream::connect(service.address()).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "storm.example")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(Body::from(body))?;
        sender.send_request(request).await?.into_body().collect().await?;
        Ok(())
    }
}
