//! A server in your own network: its certificate is of your own authority, and it may ask for one.
//!
//! `SENTRY_DSN=https://… CA_FILE=ca.pem IDENTITY_FILE=cert-and-key.pem cargo run --example authority`
//! sends one message. Without `IDENTITY_FILE`, the service shows no certificate; without
//! `SENTRY_DSN`, nothing is sent.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use tower_sentry::{Config, Level};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = |name| std::env::var(name).ok().map(std::fs::read).transpose();
    let mut config = Config::builder().from_env();
    match (file("CA_FILE")?, file("IDENTITY_FILE")?) {
        (None, _) => {}
        // Our own client, which also trusts this authority.
        (Some(authority), None) => config = config.ca_certificate(authority),
        // A certificate of the service (mTLS) needs a client of the service.
        (Some(authority), Some(identity)) => {
            // reqwest takes the provider of the process. A service with reqwest's feature `rustls`
            // does not need this line.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder()
                .tls_certs_only(reqwest::Certificate::from_pem_bundle(&authority)?)
                .identity(reqwest::Identity::from_pem(&identity)?)
                .redirect(reqwest::redirect::Policy::none())
                .pool_idle_timeout(Duration::from_secs(4))
                .connect_timeout(Duration::from_secs(3))
                .build()?;
            config = config.http_client(client);
        }
    }
    let sentry = config.init()?;
    tower_sentry::capture_message(Level::Info, "hello");
    sentry.shutdown(Duration::from_secs(5)).await?;
    println!("{:?}", sentry.stats().errors);
    Ok(())
}
