//! TLS where the feature `rustls` is on; its twin without leaves connections as they are.

#[cfg(feature = "rustls")]
pub(super) use self::on::Tls;

#[cfg(not(feature = "rustls"))]
pub(super) use self::off::Tls;

#[cfg(feature = "rustls")]
mod on {
    use std::sync::Arc;

    use hyper_rustls::HttpsConnector;
    use rustls::ClientConfig;
    use rustls_platform_verifier::BuilderVerifierExt;

    use crate::error::Error;

    /// Who is trusted: whom the platform trusts.
    #[derive(Clone)]
    pub(crate) struct Tls(Arc<ClientConfig>);

    impl Tls {
        pub(crate) fn new() -> Result<Self, Error> {
            // The provider is given here and not installed for the process: that choice is the application's.
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .and_then(BuilderVerifierExt::with_platform_verifier)
                .map_err(|error| Error::exporter(format!("TLS could not be set up: {error}")))?
                .with_no_client_auth();
            Ok(Self(Arc::new(config)))
        }

        /// A connector that speaks TLS over `connector` to whom it reaches by `https`.
        pub(crate) fn over<C>(&self, connector: C) -> HttpsConnector<C> {
            HttpsConnector::from((connector, Arc::clone(&self.0)))
        }
    }
}

#[cfg(not(feature = "rustls"))]
mod off {
    use crate::error::Error;

    /// None: a DSN with `https` is an error before it comes to this.
    #[derive(Clone)]
    pub(crate) struct Tls;

    impl Tls {
        #[expect(clippy::unnecessary_wraps, reason = "the twin with TLS can fail")]
        pub(crate) fn new() -> Result<Self, Error> {
            Ok(Self)
        }

        #[expect(clippy::unused_self, reason = "the twin with TLS needs it")]
        pub(crate) fn over<C>(&self, connector: C) -> C {
            connector
        }
    }
}
