//! TLS where the feature `rustls` is on; its twin without leaves connections as they are.

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

    /// Who is trusted: whom the platform trusts.
    #[derive(Clone)]
    pub(crate) struct Tls(Arc<ClientConfig>);

    impl Tls {
        /// The platform is asked for its certificates only if they are needed: an image without any can still reach a relay without TLS.
        pub(crate) fn new(is_needed: bool) -> Result<Self, Error> {
            let refused = |error| Error::exporter(format!("TLS could not be set up: {error}"));
            // The provider is given here and not installed for the process: that choice is the application's.
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(refused)?;
            let builder = if is_needed {
                builder.with_platform_verifier().map_err(refused)?
            } else {
                builder.with_root_certificates(RootCertStore::empty())
            };
            Ok(Self(Arc::new(builder.with_no_client_auth())))
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
        pub(crate) fn new(_: bool) -> Result<Self, Error> {
            Ok(Self)
        }

        #[expect(clippy::unused_self, reason = "the twin with TLS needs it")]
        pub(crate) fn over<C>(&self, connector: C) -> C {
            connector
        }
    }
}
