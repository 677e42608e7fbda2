//! TLS if the feature `rustls` is on; without it, connections stay as they are.

#[cfg(feature = "rustls")]
pub(super) use self::on::Tls;

#[cfg(not(feature = "rustls"))]
pub(super) use self::off::Tls;

#[cfg(feature = "rustls")]
mod on {
    use std::sync::Arc;

    use hyper_rustls::HttpsConnector;
    use rustls::{ClientConfig, RootCertStore};
    use rustls_platform_verifier::BuilderVerifierExt as _;

    use crate::error::Error;

    /// TLS that trusts the certificates that the platform trusts.
    #[derive(Clone)]
    pub(crate) struct Tls(Arc<ClientConfig>);

    impl Tls {
        /// Creates the TLS configuration.
        ///
        /// Loads the platform's certificates only if they are needed. An image without certificates
        /// can still reach a relay without TLS.
        pub(crate) fn new(is_needed: bool) -> Result<Self, Error> {
            let refused = |error| Error::exporter(format!("TLS could not be set up: {error}"));
            // The provider is passed explicitly: installing one for the process is the
            // application's choice.
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(refused)?;
            let builder = if is_needed {
                builder.with_platform_verifier().map_err(refused)?
            } else {
                builder.with_root_certificates(RootCertStore::empty())
            };
            Ok(Self(Arc::new(builder.with_no_client_auth())))
        }

        /// Wraps `connector` so that it uses TLS for `https` URLs.
        pub(crate) fn over<C>(&self, connector: C) -> HttpsConnector<C> {
            HttpsConnector::from((connector, Arc::clone(&self.0)))
        }
    }
}

#[cfg(not(feature = "rustls"))]
mod off {
    use crate::error::Error;

    /// No TLS: a DSN with `https` is rejected before it gets here.
    #[derive(Clone)]
    pub(crate) struct Tls;

    impl Tls {
        #[expect(clippy::unnecessary_wraps, reason = "the twin with TLS can fail")]
        pub(crate) fn new(_: bool) -> Result<Self, Error> {
            Ok(Self)
        }

        #[expect(clippy::unused_self, reason = "the twin with TLS needs it")]
        pub(crate) fn over<C>(&self, connector: C) -> C {
            connector
        }
    }
}
