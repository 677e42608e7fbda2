//! TLS with rustls: the ring provider, and the authorities that the platform trusts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::error::Error;

/// Creates the TLS configuration.
///
/// It loads the platform's certificates only if they are needed: an image without certificates can
/// still reach a relay without TLS.
pub(super) fn config(is_needed: bool, certificates: &[CertificateDer<'static>]) -> Result<ClientConfig, Error> {
    let refused = |error: rustls::Error| Error::exporter("TLS could not be set up").caused_by(error);
    // The provider is passed explicitly: installing one for the process is the application's
    // choice.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(refused)?;
    if !is_needed {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let verifier = Verifier::new_with_extra_roots(certificates.iter().cloned(), provider).map_err(refused)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Reads the certificates of authorities from PEM text.
pub(crate) fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |found: &str| Error::setting(format!("ca_certificate: expected certificates in PEM, found {found}"));
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| wrong("text that is not valid PEM").caused_by(error))?;
    if certificates.is_empty() {
        return Err(wrong("none"));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| wrong("one that cannot be read").caused_by(error))?;
    }
    Ok(certificates)
}
