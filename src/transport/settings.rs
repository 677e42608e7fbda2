//! The settings of the HTTP transport.

use std::time::Duration;

/// How to reach a server over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct HttpSettings {
    pub(crate) connect_timeout: Duration,
    /// From the start of a request to the head of its answer.
    pub(crate) first_byte_timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// Whether bodies are compressed.
    pub(crate) compression: bool,
    /// Replaces our HTTP client.
    #[cfg(feature = "reqwest")]
    pub(crate) client: Option<reqwest::Client>,
    /// Replaces the proxy from the environment. Blank means no proxy.
    #[cfg(feature = "reqwest")]
    pub(crate) proxy: Option<String>,
    /// Authorities that are trusted besides those of the platform.
    #[cfg(feature = "rustls")]
    pub(crate) certificates: Vec<rustls::pki_types::CertificateDer<'static>>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            first_byte_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            compression: true,
            #[cfg(feature = "reqwest")]
            client: None,
            #[cfg(feature = "reqwest")]
            proxy: None,
            #[cfg(feature = "rustls")]
            certificates: Vec::new(),
        }
    }
}
